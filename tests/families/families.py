"""Small random checkpoints of many families of models, in the layout of the Hugging Face hub; nothing is downloaded.

Weights are random and tokenizers are trained on the synthetic corpus of 2015-T14: what these models show is whether a family
can be loaded, adapted, trained and scored, and nothing of how well.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ENCODER = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128}
DECODER = {
    "hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 256,
    "max_position_embeddings": 2048,
}  # fmt: skip
NARROW = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
PAIRS = {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
EXPERTS = {**DECODER, "intermediate_size": 128}
OFFSET = {"max_position_embeddings": 514}
RELATIVE = {"relative_attention": True, "type_vocab_size": 0, "max_position_embeddings": 512}
BUCKETS = {**RELATIVE, "pos_att_type": ["p2c", "c2p"], "position_buckets": 64, "norm_rel_ebd": "layer_norm"}
GEMMA = {**DECODER, "head_dim": 32}
SLIDING = {**GEMMA, "sliding_window": 64, "query_pre_attn_scalar": 32}
VISION = {
    "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64, "image_size": 28,
    "patch_size": 14,
}  # fmt: skip
LOOKING = {"depth": 1, "hidden_size": 32, "out_hidden_size": 128, "num_heads": 2, "intermediate_size": 64}
SECTIONS = {"rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [4, 6, 6]}}
OPT = {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "ffn_dim": 256, "max_position_embeddings": 2048}
ROPE = {
    "rope_type": "llama3", "rope_theta": 500000.0, "factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
    "original_max_position_embeddings": 8192,
}  # fmt: skip


@dataclass(frozen=True)
class Family:
    """One family of models.

    Args:
        name: as people call it.
        model: name of the class in transformers whose weights are saved.
        tokenizer: one of `TOKENIZERS`.
        settings: of the configuration.
        refused: part of the message that refuses it; None where it works.
        mechanism: what sets it apart; one of each is tried at every push.
        precision: that it is tried in; where it is ``fp32``, ``bf16`` is refused.
        senses: of the configuration of a model that reads more than text; `settings` are then those of its text.
        one_way: part of the message that refuses ``--attention bidirectional`` for a decoder; None where it works.
    """

    name: str
    model: str
    tokenizer: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    refused: str | None = None
    mechanism: str = ""
    precision: str = "bf16"
    senses: Mapping[str, Any] = field(default_factory=dict)
    one_way: str | None = None


PADDING, BESIDE, BOTH, ROUTED = "Padding moves the hidden states", "in no nn.Linear", "encoder-decoder", "mixture of experts"

FAMILIES: tuple[Family, ...] = (
    # encoders
    Family("BERT", "BertForPreTraining", "wordpiece", ENCODER, mechanism="encoder with pretraining heads"),
    Family("BERT tagger", "BertForTokenClassification", "wordpiece", ENCODER),
    Family("RoBERTa", "RobertaForMaskedLM", "bytes", {**ENCODER, **OFFSET, "type_vocab_size": 1}),
    Family("RoBERTa classifier", "RobertaForSequenceClassification", "bytes", {**ENCODER, **OFFSET, "type_vocab_size": 1}),
    Family("XLM-R", "XLMRobertaForMaskedLM", "unigram", {**ENCODER, **OFFSET}, mechanism="unigram tokenizer"),
    Family("CamemBERT", "CamembertForMaskedLM", "unigram", {**ENCODER, **OFFSET}),
    Family(
        "DeBERTa", "DebertaForMaskedLM", "bytes", {**ENCODER, **RELATIVE, "pos_att_type": ["c2p", "p2c"]},
        precision="fp32", mechanism="no bf16",
    ),
    Family(
        "DeBERTa-v2", "DebertaV2ForMaskedLM", "unigram",
        {**ENCODER, **BUCKETS, "share_att_key": False, "conv_kernel_size": 3, "conv_act": "gelu"},
    ),
    Family(
        "DeBERTa-v3", "DebertaV2Model", "unigram", {**ENCODER, **BUCKETS, "share_att_key": True,
         "position_biased_input": False},
        mechanism="relative positions",
    ),
    Family("ELECTRA", "ElectraForPreTraining", "wordpiece", {**ENCODER, "embedding_size": 32}),
    Family("DistilBERT", "DistilBertForMaskedLM", "wordpiece", {"dim": 64, "n_layers": 2, "n_heads": 2, "hidden_dim": 128}),
    Family(
        "ALBERT", "AlbertForMaskedLM", "unigram", {**ENCODER, "num_hidden_layers": 6, "embedding_size": 32},
        mechanism="shared layers",
    ),
    Family(
        "Longformer", "LongformerForMaskedLM", "bytes", {**ENCODER, **OFFSET, "attention_window": [32, 32]},
        mechanism="layers that no pass goes through",
    ),
    Family(
        "BigBird", "BigBirdForMaskedLM", "unigram",
        {**ENCODER, "block_size": 16, "num_random_blocks": 2, "max_position_embeddings": 1024},
        mechanism="modules made at the first pass",
    ),
    Family(
        "ModernBERT", "ModernBertForMaskedLM", "bytes",
        {**ENCODER, "num_hidden_layers": 3, "max_position_embeddings": 1024, "global_attn_every_n_layers": 3,
         "local_attention": 32},
    ),
    Family("MPNet", "MPNetForMaskedLM", "wordpiece", {**ENCODER, **OFFSET}),
    Family("NomicBERT", "NomicBertModel", "wordpiece", ENCODER, mechanism="names on disk that are not the model's"),
    Family("EuroBERT", "EuroBertForMaskedLM", "bytes", {**ENCODER, "num_key_value_heads": 2}),
    Family("Megatron-BERT", "MegatronBertForMaskedLM", "wordpiece", ENCODER),
    Family("LUKE", "LukeModel", "bytes", {**ENCODER, **OFFSET, "entity_vocab_size": 50, "entity_emb_size": 32}),
    Family("X-MOD", "XmodModel", "unigram", {**ENCODER, **OFFSET, "languages": ["en_XX"], "default_language": "en_XX"}),
    Family("data2vec", "Data2VecTextModel", "bytes", {**ENCODER, **OFFSET}),
    Family("RoFormer", "RoFormerForMaskedLM", "wordpiece", {**ENCODER, "embedding_size": 64}),
    Family("RemBERT", "RemBertModel", "unigram", {**ENCODER, "input_embedding_size": 32, "output_embedding_size": 32}),
    Family("ESM", "EsmForMaskedLM", "bytes", {**ENCODER, "position_embedding_type": "rotary"}),
    Family(
        "MobileBERT", "MobileBertForMaskedLM", "wordpiece",
        {**ENCODER, "hidden_size": 128, "embedding_size": 64, "intra_bottleneck_size": 64, "true_hidden_size": 64,
         "num_feedforward_networks": 2},
        refused=PADDING, mechanism="padding that is seen",
    ),
    Family(
        "ConvBERT", "ConvBertModel", "wordpiece",
        {**ENCODER, "embedding_size": 64, "head_ratio": 1, "conv_kernel_size": 3},
        refused=PADDING,
    ),
    Family("FNet", "FNetModel", "wordpiece", {"hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 128}, PADDING),
    Family(
        "XLNet", "XLNetModel", "unigram", {"d_model": 64, "n_layer": 2, "n_head": 2, "d_inner": 128},
        refused=BESIDE, mechanism="attention without linear layers",
    ),
    Family("I-BERT", "IBertModel", "bytes", {**ENCODER, **OFFSET}, refused=BESIDE),
    Family("SqueezeBERT", "SqueezeBertModel", "wordpiece", {**ENCODER, "embedding_size": 64}, refused="no linear layer"),
    Family(
        "Funnel", "FunnelModel", "wordpiece", {"block_sizes": [1, 1], "d_model": 64, "n_head": 2, "d_head": 32, "d_inner": 128},
        refused="gives none of num_hidden_layers",
    ),
    # decoders
    Family("Llama 2", "LlamaForCausalLM", "llama", DECODER, mechanism="decoder"),
    Family(
        "Llama 3.2", "LlamaForCausalLM", "begun",
        {**DECODER, "max_position_embeddings": 131072, "tie_word_embeddings": True, "rope_parameters": ROPE},
        mechanism="tied embeddings",
    ),
    Family("Qwen2", "Qwen2ForCausalLM", "bare", {**DECODER, "tie_word_embeddings": True}, mechanism="no special tokens"),
    Family("Qwen2 reward model", "Qwen2ForSequenceClassification", "bare", DECODER),
    Family("Qwen3", "Qwen3ForCausalLM", "bare", {**DECODER, "head_dim": 64}),
    Family(
        "Qwen3.5 text", "Qwen3_5ForCausalLM", "bare",
        {**GEMMA, "layer_types": ["linear_attention", "full_attention"], "linear_num_key_heads": 2, "linear_num_value_heads": 2,
         "linear_key_head_dim": 32, "linear_value_head_dim": 32},
    ),
    Family("Gemma", "GemmaForCausalLM", "llama", GEMMA),
    Family("Gemma 2", "Gemma2ForCausalLM", "llama", SLIDING),
    Family("Gemma 3 text", "Gemma3ForCausalLM", "llama", SLIDING),
    Family("Mistral", "MistralForCausalLM", "llama", {**DECODER, "sliding_window": None}),
    Family("Mistral 0.1", "MistralForCausalLM", "llama", {**DECODER, "sliding_window": 32}, mechanism="sliding window"),
    Family("Ministral 3", "Ministral3ForCausalLM", "llama", GEMMA),
    Family("Phi-3", "Phi3ForCausalLM", "llama", DECODER, mechanism="query, key and value in one layer"),
    Family("Phi-2", "PhiForCausalLM", "bare", DECODER),
    Family("Pythia", "GPTNeoXForCausalLM", "bare", {**PAIRS, "intermediate_size": 256}),
    Family("OLMo 2", "Olmo2ForCausalLM", "bare", DECODER),
    Family("SmolLM3", "SmolLM3ForCausalLM", "begun", {**DECODER, "no_rope_layer_interval": 2}),
    Family("OPT", "OPTForCausalLM", "bytes", {**OPT, "word_embed_proj_dim": 128}, mechanism="dropout as a number"),
    Family(
        "OPT-350m", "OPTForCausalLM", "bytes", {**OPT, "word_embed_proj_dim": 64},
        refused="wide; by its config.json", mechanism="states of another width",
    ),
    Family("BioGPT", "BioGptForCausalLM", "bytes", {**PAIRS, "intermediate_size": 256, "max_position_embeddings": 1024}),
    Family("Falcon", "FalconForCausalLM", "bare", PAIRS),
    Family("Falcon with ALiBi", "FalconForCausalLM", "bare", {**PAIRS, "alibi": True}, one_way="ALiBi"),
    Family("Granite", "GraniteForCausalLM", "bare", DECODER),
    Family("Bloom", "BloomForCausalLM", "bare", {"hidden_size": 64, "n_layer": 2, "n_head": 2}, one_way="ALiBi"),
    Family("StableLM", "StableLmForCausalLM", "bare", DECODER),
    Family("StarCoder2", "Starcoder2ForCausalLM", "bare", DECODER),
    Family("Cohere", "CohereForCausalLM", "bare", DECODER),
    Family(
        "GPT-Neo", "GPTNeoForCausalLM", "bare",
        {"hidden_size": 64, "num_layers": 2, "num_heads": 2, "attention_types": [[["global", "local"], 1]]},
        one_way="sees one way alone", mechanism="a mask of its own",
    ),
    Family("GPT-J", "GPTJForCausalLM", "bare", {"n_embd": 64, "n_layer": 2, "n_head": 2, "rotary_dim": 16}),
    Family(
        "LFM2", "Lfm2ForCausalLM", "begun",
        {**DECODER, "num_hidden_layers": 3, "layer_types": ["conv", "full_attention", "conv"]},
    ),
    Family(
        "Mamba", "MambaForCausalLM", "bare",
        {"hidden_size": 64, "num_hidden_layers": 2, "state_size": 8},
        refused="out_proj",
    ),
    Family(
        "Mamba 2", "Mamba2ForCausalLM", "bare",
        {"hidden_size": 64, "num_hidden_layers": 2, "state_size": 16, "num_heads": 4, "head_dim": 32, "n_groups": 1,
         "chunk_size": 32},
        refused="out_proj",
    ),
    Family("GPT-2", "GPT2LMHeadModel", "bare", {"n_embd": 64, "n_layer": 2, "n_head": 2}, refused="Conv1D"),
    Family("Mixtral", "MixtralForCausalLM", "llama", {**EXPERTS, "num_local_experts": 4}, refused=ROUTED),
    Family(
        "Qwen3-MoE", "Qwen3MoeForCausalLM", "bare",
        {**EXPERTS, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 64, "head_dim": 32}, refused=ROUTED,
    ),
    Family("gpt-oss", "GptOssForCausalLM", "bare", {**EXPERTS, "num_local_experts": 4, "head_dim": 32}, refused=ROUTED),
    Family(
        "ERNIE 4.5 MoE", "Ernie4_5_MoeForCausalLM", "bare",
        {**EXPERTS, "moe_num_experts": 4, "moe_k": 2, "moe_intermediate_size": 64, "moe_layer_start_index": 0}, refused=ROUTED,
    ),
    # a tower beside the text
    Family(
        "Gemma 3", "Gemma3ForConditionalGeneration", "llama", SLIDING,
        senses={"vision_config": VISION, "mm_tokens_per_image": 4}, mechanism="a tower beside the text",
    ),
    Family(
        "Qwen2-VL", "Qwen2VLForConditionalGeneration", "bare", {**DECODER, **SECTIONS},
        senses={"vision_config": {"depth": 1, "embed_dim": 32, "hidden_size": 128, "num_heads": 2, "patch_size": 14}},
    ),
    Family(
        "Qwen2.5-VL", "Qwen2_5_VLForConditionalGeneration", "bare", {**DECODER, **SECTIONS},
        senses={"vision_config": {**LOOKING, "fullatt_block_indexes": [0]}}, mechanism="a text stack without a head of its own",
    ),
    Family(
        "Qwen3-VL", "Qwen3VLForConditionalGeneration", "bare", {**GEMMA, **SECTIONS},
        senses={"vision_config": {**LOOKING, "deepstack_visual_indexes": [0]}},
    ),
    Family(
        "Qwen3.5", "Qwen3_5ForConditionalGeneration", "bare",
        {**GEMMA, "layer_types": ["linear_attention", "full_attention"], "linear_num_key_heads": 2, "linear_num_value_heads": 2,
         "linear_key_head_dim": 32, "linear_value_head_dim": 32},
        senses={"vision_config": LOOKING},
    ),
    Family(
        "LLaVA", "LlavaForConditionalGeneration", "llama", {**DECODER, "model_type": "llama"},
        senses={"vision_config": {**VISION, "model_type": "clip_vision_model"}},
    ),
    Family(
        "Mistral Small 3.1", "Mistral3ForConditionalGeneration", "llama", {**GEMMA, "model_type": "mistral"},
        senses={"vision_config": {**VISION, "model_type": "pixtral", "head_dim": 16}},
    ),
    Family(
        "Idefics 3", "Idefics3ForConditionalGeneration", "llama", {**DECODER, "model_type": "llama", "pad_token_id": 0},
        senses={"vision_config": VISION},
    ),
    Family(
        "PaliGemma", "PaliGemmaForConditionalGeneration", "llama", {**GEMMA, "model_type": "gemma"},
        senses={"vision_config": VISION, "projection_dim": 128}, refused=PADDING,
    ),
    Family(
        "Llama 3.2 Vision", "MllamaForConditionalGeneration", "llama",
        {**DECODER, "cross_attention_layers": [1], "pad_token_id": 0},
        senses={"vision_config": {
            "hidden_size": 32, "num_hidden_layers": 1, "num_global_layers": 1, "attention_heads": 2, "intermediate_size": 64,
            "image_size": 28, "patch_size": 14, "supported_aspect_ratios": [[1, 1]], "intermediate_layers_indices": [0],
            "vision_output_dim": 64,
        }},
        refused="no model of its text alone",
    ),
    # two stacks
    Family(
        "T5", "T5ForConditionalGeneration", "unigram",
        {"d_model": 64, "d_kv": 32, "d_ff": 128, "num_layers": 2, "num_heads": 2},
        refused=BOTH,
    ),
    Family(
        "T5 encoder", "T5EncoderModel", "unigram",
        {"d_model": 64, "d_kv": 32, "d_ff": 128, "num_layers": 2, "num_heads": 2},
        refused=BOTH,
    ),
    Family(
        "BART", "BartForConditionalGeneration", "bytes",
        {"d_model": 64, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2, "decoder_attention_heads": 2,
         "encoder_ffn_dim": 128, "decoder_ffn_dim": 128}, refused=BOTH, mechanism="encoder-decoder",
    ),
)  # fmt: skip
"""Every family that is tried, and what comes of it; `docs/models.md` lists them."""


def make(family: Family, folder: Path, texts: Sequence[str]) -> bool:
    """Writes a random checkpoint of a family, with its tokenizer.

    Args:
        family: one of `FAMILIES`.
        folder: made.
        texts: that the tokenizer is trained on.

    Returns:
        Whether this version of transformers knows the family.
    """
    import torch
    import transformers

    model_class: Any = getattr(transformers, family.model, None)
    if model_class is None:
        return False
    tokenizer = TOKENIZERS[family.tokenizer](texts)
    ids = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("pad", "bos", "eos", "cls", "sep", "mask")}
    known = {name: number for name, number in ids.items() if number is not None}
    settings = {"vocab_size": len(tokenizer), "pad_token_id": None, **known, **family.settings}
    config = model_class.config_class(**({"text_config": settings, **family.senses} if family.senses else settings))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = model_class(config)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() > 1:
                    parameter.normal_(0, 0.05)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return True


def wordpiece(texts: Sequence[str]) -> Any:
    """BERT's: pieces of small letters, [CLS] and [SEP] around a text."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
    raw = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    raw.normalizer, raw.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    raw.decoder = decoders.WordPiece()
    raw.train_from_iterator(
        texts, trainers.WordPieceTrainer(vocab_size=900, special_tokens=list(names.values()), show_progress=False)
    )
    raw.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return _fast(raw, model_max_length=512, **names)


_ROBERTA = {
    "bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>", "mask_token": "<mask>",
    "cls_token": "<s>", "sep_token": "</s>",
}  # fmt: skip
_FIRST = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


def bytes_(texts: Sequence[str]) -> Any:
    """RoBERTa's: pairs of bytes, <s> and </s> around a text, padding 1."""
    from tokenizers import processors

    raw = _byte_pairs(texts, _FIRST)
    raw.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=False)
    return _fast(raw, model_max_length=512, **_ROBERTA)


def unigram(texts: Sequence[str]) -> Any:
    """XLM-R's: SentencePiece's unigrams."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    raw = Tokenizer(models.Unigram())
    raw.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC()])
    raw.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    raw.decoder = decoders.Metaspace()
    raw.train_from_iterator(
        texts, trainers.UnigramTrainer(vocab_size=600, special_tokens=_FIRST, unk_token="<unk>", show_progress=False)
    )
    raw.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    return _fast(raw, model_max_length=512, **_ROBERTA)


def llama(texts: Sequence[str]) -> Any:
    """Llama 2's: spaces as ▁, bytes for what is not known, <s> before a text, no padding."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    raw = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    raw.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    raw.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    raw.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    letters = [f"<0x{number:02X}>" for number in range(256)]
    raw.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=900, special_tokens=["<unk>", "<s>", "</s>", *letters], show_progress=False)
    )
    raw.pre_tokenizer = None
    plain = json.loads(raw.to_str())
    plain["added_tokens"] = [token for token in plain["added_tokens"] if token["content"] not in letters]
    raw = Tokenizer.from_str(json.dumps(plain))
    raw.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return _fast(raw, model_max_length=4096, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def begun(texts: Sequence[str]) -> Any:
    """Llama 3's: pairs of bytes, a token before a text, offsets with the space before a word, no padding."""
    from tokenizers import pre_tokenizers, processors

    raw = _byte_pairs(texts, ["<|begin_of_text|>", "<|eot_id|>"])
    raw.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single="<|begin_of_text|> $A", special_tokens=[("<|begin_of_text|>", 0)]),
    ])  # fmt: skip
    assert isinstance(raw.pre_tokenizer, pre_tokenizers.ByteLevel)
    return _fast(raw, model_max_length=131072, bos_token="<|begin_of_text|>", eos_token="<|eot_id|>")


def bare(texts: Sequence[str]) -> Any:
    """GPT-2's and Qwen's: pairs of bytes, nothing around a text, no padding."""
    from tokenizers import processors

    raw = _byte_pairs(texts, ["<|endoftext|>"])
    raw.post_processor = processors.ByteLevel(trim_offsets=False)
    return _fast(raw, model_max_length=32768, eos_token="<|endoftext|>")


def _byte_pairs(texts: Sequence[str], special: list[str]) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer, raw.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    letters = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=900, special_tokens=special, initial_alphabet=letters, show_progress=False)
    raw.train_from_iterator(texts, trainer)
    return raw


def _fast(raw: Any, **settings: Any) -> Any:
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(tokenizer_object=raw, **settings)


TOKENIZERS: Mapping[str, Callable[[Sequence[str]], Any]] = {
    "wordpiece": wordpiece, "bytes": bytes_, "unigram": unigram, "llama": llama, "begun": begun, "bare": bare,
}  # fmt: skip
"""The kinds of tokenizers in use."""
