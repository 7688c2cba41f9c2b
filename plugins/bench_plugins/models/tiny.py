"""Two tiny models made from a configuration and a seed: for testing the plumbing, and nothing else.

Their weights are random, so no figure measured on them says anything about a method. Tokenizers are made here as well, so
that neither needs a network: pieces of one and two letters, which split any English text into a few thousand known tokens.

>>> TinyBert().spec().layers
2
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any, ClassVar

from bench.api.model import Model, ModelSpec
from bench.api.part import Requirement
from bench.modeling.files import Header, written_whole
from bench.modeling.spec import describe
from bench_plugins.models.llama import llama_shapes
from bench_plugins.models.tokenizers import byte_pairs, word_pieces

_TRAIN = (Requirement("tokenizers", "bench-suite[train]"), Requirement("safetensors", "bench-suite[train]"))
_SEED = 20151
_WIDTH, _MLP, _LAYERS, _LENGTH = 64, 128, 2, 512  # multiples of 64: NF4 and groups of 64 fit


class _Tiny(Model):
    plumbing_only = True
    version = "1"
    licence = "Apache-2.0"
    requires = _TRAIN
    config: ClassVar[Mapping[str, Any]]

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name of each tensor of the checkpoint to its shape."""
        raise NotImplementedError

    def tokenizer(self) -> tuple[str, dict[str, Any]]:
        """The contents of ``tokenizer.json`` and of ``tokenizer_config.json``."""
        raise NotImplementedError

    def spec(self) -> ModelSpec:
        """What the configuration says; no weight is made for it."""
        headers = {n: Header("F32", s, 4 * prod(s)) for n, s in self.shapes().items()}
        return describe(self.name, self.config, headers)

    def folder(self, cache: Path) -> Path:
        """Makes the folder once; the same seed gives the same bytes."""
        out = cache / f"{self.name}-{self.version}"
        if (out / "model.safetensors").is_file():
            return out
        import numpy as np
        from safetensors.numpy import save_file

        rng = np.random.Generator(np.random.PCG64(_SEED))
        tensors: dict[str, Any] = {}
        for name, shape in sorted(self.shapes().items()):
            if len(shape) == 1:
                tensors[name] = np.full(shape, 1.0 if "norm" in name.lower() and name.endswith("weight") else 0.0, np.float32)
            else:  # by fan-in scaling attention and MLP contribute to the residual stream as in a trained model
                scale = 0.5 if "embed" in name else shape[1] ** -0.5
                tensors[name] = (scale * rng.standard_normal(shape)).astype(np.float32)
        tokenizer, settings = self.tokenizer()
        with written_whole(out) as folder:
            save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
            (folder / "config.json").write_text(json.dumps(dict(self.config), indent=1), encoding="utf-8")
            (folder / "tokenizer.json").write_text(tokenizer, encoding="utf-8")
            (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=1), encoding="utf-8")
        return out


class TinyBert(_Tiny):
    """A BERT of two layers, width 64."""

    name = "tiny-bert"
    summary = "random two-layer BERT, plumbing only"
    config: ClassVar[Mapping[str, Any]] = {
        "architectures": ["BertModel"], "model_type": "bert", "vocab_size": 1664, "hidden_size": _WIDTH,
        "num_hidden_layers": _LAYERS, "num_attention_heads": 2, "intermediate_size": _MLP, "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1, "max_position_embeddings": _LENGTH,
        "type_vocab_size": 2, "initializer_range": 0.02, "layer_norm_eps": 1e-12, "pad_token_id": 0,
    }  # fmt: skip

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Tensor name to shape, as `BertModel` names them, without a pooler."""
        shapes: dict[str, tuple[int, ...]] = {
            "embeddings.word_embeddings.weight": (int(self.config["vocab_size"]), _WIDTH),
            "embeddings.position_embeddings.weight": (_LENGTH, _WIDTH),
            "embeddings.token_type_embeddings.weight": (2, _WIDTH),
        }
        linears = {
            "attention.self.query": (_WIDTH, _WIDTH), "attention.self.key": (_WIDTH, _WIDTH),
            "attention.self.value": (_WIDTH, _WIDTH), "attention.output.dense": (_WIDTH, _WIDTH),
            "intermediate.dense": (_MLP, _WIDTH), "output.dense": (_WIDTH, _MLP),
        }  # fmt: skip
        norms = ["embeddings.LayerNorm"]
        for i in range(_LAYERS):
            for name, shape in linears.items():
                shapes[f"encoder.layer.{i}.{name}.weight"] = shape
                shapes[f"encoder.layer.{i}.{name}.bias"] = shape[:1]
            norms += [f"encoder.layer.{i}.attention.output.LayerNorm", f"encoder.layer.{i}.output.LayerNorm"]
        return shapes | {f"{n}.{part}": (_WIDTH,) for n in norms for part in ("weight", "bias")}

    def tokenizer(self) -> tuple[str, dict[str, Any]]:
        """WordPiece over pieces of one and two letters."""
        return word_pieces(int(self.config["vocab_size"])), {
            "tokenizer_class": "BertTokenizer", "model_max_length": _LENGTH, "do_lower_case": True, "unk_token": "[UNK]",
            "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]", "mask_token": "[MASK]",
        }  # fmt: skip


class TinyLlama(_Tiny):
    """A Llama of two layers, width 64."""

    name = "tiny-llama"
    summary = "random two-layer Llama, plumbing only"
    config: ClassVar[Mapping[str, Any]] = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 1024, "hidden_size": _WIDTH,
        "num_hidden_layers": _LAYERS, "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 32,
        "intermediate_size": _MLP, "hidden_act": "silu", "max_position_embeddings": _LENGTH, "initializer_range": 0.02,
        "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1,
        "tie_word_embeddings": True,
    }  # fmt: skip

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Tensor name to shape, as `LlamaForCausalLM` with tied embeddings stores them."""
        return llama_shapes(self.config)

    def tokenizer(self) -> tuple[str, dict[str, Any]]:
        """Byte-level BPE, so that nothing is unknown."""
        return byte_pairs(int(self.config["vocab_size"]), ("<s>", "</s>")), {
            "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": _LENGTH, "bos_token": "<s>", "eos_token": "</s>",
            "pad_token": "</s>",
        }  # fmt: skip
