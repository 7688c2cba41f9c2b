"""Loading backbones: the same names and shapes as the spec's, frozen, with nothing left changed behind."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from bench.errors import UsageError  # noqa: E402
from bench.modeling.backbone import adapted_linears, load_backbone, load_tokenizer, meta_backbone  # noqa: E402
from bench.modeling.spec import inspect  # noqa: E402

SMALL = {
    "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128, "vocab_size": 100,
    "max_position_embeddings": 64, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
DISTIL = {"dim": 64, "n_layers": 2, "n_heads": 4, "hidden_dim": 128, "vocab_size": 100, "max_position_embeddings": 64}
GROUPED = SMALL | {"num_key_value_heads": 2}
CASES: list[tuple[str, str, dict[str, Any], int]] = [
    ("BertConfig", "BertModel", SMALL, 12),
    ("BertConfig", "BertForPreTraining", SMALL, 12),
    ("BertConfig", "BertForTokenClassification", SMALL, 12),
    ("RobertaConfig", "RobertaForMaskedLM", SMALL, 12),
    ("DistilBertConfig", "DistilBertModel", DISTIL, 12),
    ("DistilBertConfig", "DistilBertForMaskedLM", DISTIL, 12),
    ("ElectraConfig", "ElectraForPreTraining", SMALL | {"embedding_size": 32}, 12),
    ("DebertaV2Config", "DebertaV2Model", SMALL | {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]}, 16),
    ("MPNetConfig", "MPNetForMaskedLM", SMALL, 12),
    ("ModernBertConfig", "ModernBertForMaskedLM", SMALL, 8),
    ("LlamaConfig", "LlamaModel", GROUPED, 14),
    ("LlamaConfig", "LlamaForCausalLM", GROUPED, 14),
    ("Qwen2Config", "Qwen2ForCausalLM", GROUPED, 14),
    ("GPTNeoXConfig", "GPTNeoXModel", SMALL, 8),
    ("GPTNeoXConfig", "GPTNeoXForCausalLM", SMALL, 8),
    ("Gemma2Config", "Gemma2ForCausalLM", GROUPED | {"head_dim": 16}, 14),
    ("OPTConfig", "OPTForCausalLM", SMALL | {"ffn_dim": 128, "word_embed_proj_dim": 64}, 12),
]


def make(path: Path, config: str, model: str, settings: dict[str, Any]) -> Any:
    torch.manual_seed(0)
    made = getattr(transformers, model)(getattr(transformers, config)(**settings)).eval()
    made.save_pretrained(path)
    (path / "tokenizer.json").write_text("{}")
    return made


@pytest.mark.parametrize(("config", "model", "settings", "count"), CASES, ids=[c[1] for c in CASES])
def test_spec_meta_and_loaded_agree(tmp_path: Path, config: str, model: str, settings: dict[str, Any], count: int) -> None:
    made = make(tmp_path, config, model, settings)
    spec, meta = inspect(tmp_path), meta_backbone(tmp_path)
    backbone = load_backbone(tmp_path, torch.float32, "cpu")
    assert len(spec.linears) == count
    assert spec.linears == adapted_linears(meta) == adapted_linears(backbone)
    assert spec.parameters == sum(p.numel() for p in meta.parameters()) == sum(p.numel() for p in backbone.parameters())
    assert {p.device.type for p in meta.parameters()} == {"meta"}
    assert not any(p.requires_grad for p in backbone.parameters())
    assert not any("pooler" in n or "lm_head" in n for n, _ in backbone.named_modules() if n != "pooler")

    ids = torch.randint(3, 90, (2, 10))
    hidden = backbone(input_ids=ids).last_hidden_state
    original = getattr(made, made.base_model_prefix, made)
    assert torch.equal(hidden, original(input_ids=ids).last_hidden_state)
    ids[:, -1] = (ids[:, -1] + 1) % 90
    unmoved = torch.allclose(hidden[:, :-1], backbone(input_ids=ids).last_hidden_state[:, :-1], atol=1e-5)
    assert unmoved == spec.causal


def test_longest_input_leaves_out_the_padding_positions(tmp_path: Path) -> None:
    make(tmp_path, "RobertaConfig", "RobertaModel", SMALL | {"pad_token_id": 1})
    spec = inspect(tmp_path)
    backbone = load_backbone(tmp_path, torch.float32, "cpu")
    assert spec.max_length == 62
    backbone(input_ids=torch.full((1, 62), 5))
    with pytest.raises((IndexError, RuntimeError)):
        backbone(input_ids=torch.full((1, 63), 5))


def test_dtype_and_device(tmp_path: Path) -> None:
    make(tmp_path, "BertConfig", "BertModel", SMALL)
    assert {p.dtype for p in load_backbone(tmp_path, torch.bfloat16, "cpu").parameters()} == {torch.bfloat16}


def test_loading_leaves_the_random_state_and_the_defaults_alone(tmp_path: Path) -> None:
    import numpy as np

    make(tmp_path, "BertConfig", "BertModel", SMALL)
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
    threads, dtype, grad = torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled()
    load_backbone(tmp_path, torch.bfloat16, "cpu")
    meta_backbone(tmp_path)
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before[:2]
    assert torch.equal(torch.get_rng_state(), before[2])
    assert (torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled()) == (threads, dtype, grad)


def test_missing_tensors_are_not_made_up(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    make(tmp_path, "BertConfig", "BertModel", SMALL)
    state = load_file(tmp_path / "model.safetensors")
    del state["encoder.layer.1.output.dense.weight"]
    save_file(state, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(UsageError, match=r"encoder\.layer\.1\.output\.dense\.weight"):
        load_backbone(tmp_path, torch.float32, "cpu")


def test_code_of_a_model_is_never_run(tmp_path: Path) -> None:
    make(tmp_path, "BertConfig", "BertModel", SMALL)
    config = json.loads((tmp_path / "config.json").read_text())
    config |= {"model_type": "own_bert", "auto_map": {"AutoConfig": "own.Config", "AutoModel": "own.Model"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "own.py").write_text(f"import pathlib; pathlib.Path({str(tmp_path / 'ran')!r}).touch()")
    for load in (meta_backbone, load_tokenizer, lambda f: load_backbone(f, torch.float32, "cpu")):
        with pytest.raises(UsageError, match="which bench never does"):
            load(tmp_path)
    assert not (tmp_path / "ran").exists()


def test_unreadable_tokenizer(tmp_path: Path) -> None:
    make(tmp_path, "BertConfig", "BertModel", SMALL)
    (tmp_path / "tokenizer.json").write_text("no json")
    with pytest.raises(UsageError, match=r"The tokenizer of .* cannot be used \(JSONDecodeError"):
        load_tokenizer(tmp_path)
