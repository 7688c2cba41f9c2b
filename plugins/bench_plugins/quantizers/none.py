"""No quantizing: the weights as they are, in fp32, or in bf16 where the device is better at it.

>>> Unquantized().bits
32
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from bench.api.model import ModelSpec
from bench.api.part import Requirement
from bench.api.quantizer import QuantizedWeights, Quantizer, When
from bench.modeling.files import copy_companions, weight_bytes, weight_files, written_whole
from bench.modeling.packed import bits_per_weight
from bench.modeling.spec import inspect

if TYPE_CHECKING:
    import torch
    from torch import nn


class Unquantized(Quantizer):
    """Leaves the weights alone; also the way to train on a base that is stored as GPTQ or AWQ."""

    name = "none"
    version = "1"
    summary = "the weights as they are"
    licence = "Apache-2.0"
    requires = (Requirement("torch", "bench-suite[train]"), Requirement("transformers", "bench-suite[train]"))
    when: ClassVar[tuple[When, ...]] = ("load", "after")
    bits = 32

    def supports(self, spec: ModelSpec, when: When, device: str) -> str | None:
        """Always None: nothing is changed, so that every model fits."""
        return None

    def proven(self, spec: ModelSpec) -> bool:
        """Always: it looks at each linear layer alone."""
        return True

    def quantize(self, source: Path, out: Path, calibration: Sequence[Sequence[int]], device: str) -> QuantizedWeights:
        """Copies the model's folder, whole or not at all, and quantizes nothing."""
        from shutil import copyfile

        with written_whole(out) as folder:
            copy_companions(source, folder)
            for path in weight_files(source):
                copyfile(path, folder / path.name)
            index = source / "model.safetensors.index.json"
            if index.is_file():
                copyfile(index, folder / index.name)
        return QuantizedWeights(bits_per_weight(out, inspect(out).linears), weight_bytes(out))

    def load(self, folder: Path, dtype: torch.dtype, device: str) -> nn.Module:
        """The backbone with its weights as they are stored."""
        from bench.modeling.backbone import load_backbone

        return load_backbone(folder, dtype, device)
