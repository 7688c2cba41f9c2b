"""Round to nearest: every weight to the nearest of 16 evenly spaced values of its group of 64. No calibration.

The floor: what GPTQ and AWQ must beat at equal bits, group size and symmetry. Stored in GPTQ's own layout, so that it counts
and reloads exactly like GPTQ's result.

>>> RoundToNearest().bits
4
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from bench.api.model import ModelSpec
from bench.api.part import Requirement
from bench.api.quantizer import QuantizedWeights, Quantizer, When
from bench.kit.weights import GROUP_SIZE, already, narrow, write_packed

if TYPE_CHECKING:
    import torch
    from torch import nn


class RoundToNearest(Quantizer):
    """Four bits, groups of 64, symmetric."""

    name = "rtn"
    version = "1"
    summary = "round to nearest, 4 bits: the floor that gptq and awq must beat"
    licence = "Apache-2.0"
    requires = (Requirement("torch", "bench-suite[train]"), Requirement("transformers", "bench-suite[train]"))
    when: ClassVar[tuple[When, ...]] = ("after", "load")
    bits = 4
    reused = "model"
    sym: ClassVar[bool] = True
    """Whether the grid is symmetric about zero."""

    def supports(self, spec: ModelSpec, when: When, device: str) -> str | None:
        """Wants unquantized weights whose widths fill 32-bit words."""
        return already(spec) or narrow(spec, 32, "packing four-bit integers into words")

    def proven(self, spec: ModelSpec) -> bool:
        """Always: it looks at each linear layer alone."""
        return True

    def quantize(self, source: Path, out: Path, calibration: Sequence[Sequence[int]], device: str) -> QuantizedWeights:
        """Rounds each linear layer on its own; takes a second."""
        return write_packed(source, out, int(self.bits), GROUP_SIZE, self.sym)

    def load(self, folder: Path, dtype: torch.dtype, device: str) -> nn.Module:
        """The backbone with the rounded weights as dense tensors, through which LoRA's gradients flow."""
        from bench.modeling.backbone import load_backbone

        return load_backbone(folder, dtype, device)
