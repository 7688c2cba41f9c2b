"""A Llama in GGUF, dequantized into Hugging Face's layout: names, the rotary order of q and k, and the byte-level BPE.

llama.cpp stores the rows of q and k so that the two halves of each rotary pair stand side by side; Hugging Face wants all
first halves before all second halves.

Source: ggml-org/llama.cpp, `convert_hf_to_gguf.py` (`LlamaModel.permute`) and `gguf-py`.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float32]

_NAMES = {
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
}  # fmt: skip
_ROOTS = {
    "token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}  # fmt: skip


def read(path: Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """Tensors under Hugging Face's names in float32, and the file's metadata.

    Args:
        path: a GGUF file of architecture ``llama``.
    """
    from gguf import GGUFReader, dequantize

    reader = _fast_reader(GGUFReader)(path)
    facts = {name: field.contents() for name, field in reader.fields.items() if not name.startswith("GGUF.")}
    heads = {"attn_q": int(facts["llama.attention.head_count"]), "attn_k": int(facts["llama.attention.head_count_kv"])}
    tensors: dict[str, Array] = {}
    for tensor in reader.tensors:
        values = dequantize(tensor.data, tensor.tensor_type)
        block = tensor.name.split(".")  # blk.0.attn_q.weight
        if block[0] != "blk":
            tensors[_ROOTS[tensor.name]] = values
            continue
        if block[2] in heads:
            values = rotary_rows(values, heads[block[2]])
        tensors[f"model.layers.{block[1]}.{_NAMES[block[2]]}.{block[3]}"] = values
    return tensors, facts


def rotary_rows(weight: Array, heads: int) -> Array:
    """Puts the rows of q or k back into Hugging Face's order.

    Args:
        weight: (heads · width, inputs).
        heads: number of heads.
    """
    rows, inputs = weight.shape
    return weight.reshape(heads, rows // heads // 2, 2, inputs).swapaxes(1, 2).reshape(rows, inputs)


def tokenizer_json(facts: dict[str, Any]) -> str:
    """``tokenizer.json`` of a byte-level BPE that splits digits one by one, as GGUF's pre-tokenizer ``smollm`` does.

    Args:
        facts: the file's metadata.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors

    pieces = facts["tokenizer.ggml.tokens"]
    merges = [tuple(m.split(" ")) for m in facts["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE({piece: i for i, piece in enumerate(pieces)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    control = [p for p, kind in zip(pieces, facts["tokenizer.ggml.token_type"], strict=True) if kind == 3]
    tokenizer.add_special_tokens([AddedToken(p, normalized=False, special=True) for p in control])
    return str(tokenizer.to_str())


def tokenizer_settings(facts: dict[str, Any], max_length: int) -> str:
    """``tokenizer_config.json`` that goes with it."""
    pieces = facts["tokenizer.ggml.tokens"]
    names = {"bos_token": "bos", "eos_token": "eos", "unk_token": "unknown", "pad_token": "padding"}
    special = {ours: pieces[facts[f"tokenizer.ggml.{theirs}_token_id"]] for ours, theirs in names.items()}
    return json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": max_length, **special}, indent=1)


def _fast_reader(reader: Any) -> Any:
    """The reader with long lists of strings read through `struct`: it makes three numpy arrays a string, 6 s for 98,000."""

    class Quick(reader):  # type: ignore[misc]
        def _get_field_parts(self, orig_offs: int, raw_type: int) -> Any:
            if int(raw_type) != 9 or int.from_bytes(bytes(self.data[orig_offs : orig_offs + 4]), "little") != 8:
                return super()._get_field_parts(orig_offs, raw_type)
            from gguf import GGUFValueType

            buffer = memoryview(self.data)
            (count,) = struct.unpack_from("<Q", buffer, orig_offs + 4)
            at, parts = orig_offs + 12, []
            for _ in range(count):
                (length,) = struct.unpack_from("<Q", buffer, at)
                parts.append(buffer[at + 8 : at + 8 + length])
                at += 8 + length
            return at - orig_offs, parts, list(range(count)), [GGUFValueType.ARRAY, GGUFValueType.STRING]

    return Quick
