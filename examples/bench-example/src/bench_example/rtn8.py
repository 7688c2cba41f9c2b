"""Round to nearest with eight bits: 256 evenly spaced values for each group of 64 weights. No calibration.

Half the memory of bf16 at an output error of a percent or so; stored in GPTQ's own layout, so that it loads wherever GPTQ
checkpoints load.

>>> RoundToNearest8().bits
8
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from bench.api.model import ModelSpec
from bench.api.part import Requirement
from bench.api.quantizer import QuantizedWeights, Quantizer, When
from bench.kit.weights import already, narrow, write_packed

if TYPE_CHECKING:
    import torch
    from torch import nn


class RoundToNearest8(Quantizer):
    """Eight bits, groups of 64, symmetric."""

    name = "rtn8"
    version = "1"
    summary = "round to nearest, 8 bits in groups of 64"
    licence = "Apache-2.0"
    requires = (Requirement("torch", "bench-suite[train]"), Requirement("transformers", "bench-suite[train]"))
    when: ClassVar[tuple[When, ...]] = ("after", "load")
    bits = 8
    group_size = 64
    sym = True

    def supports(self, spec: ModelSpec, when: When, device: str) -> str | None:
        """Wants unquantized weights; four integers share a 32-bit word, so widths are multiples of 4."""
        return already(spec) or narrow(spec, 4, "packing eight-bit integers into words")

    def quantize(self, source: Path, out: Path, calibration: Sequence[Sequence[int]], device: str) -> QuantizedWeights:
        """Rounds each linear layer on its own."""
        return write_packed(source, out, self.bits, self.group_size, self.sym)

    def load(self, folder: Path, dtype: torch.dtype, device: str) -> nn.Module:
        """The backbone with the rounded weights, dense in memory."""
        from bench.modeling.backbone import load_backbone

        return load_backbone(folder, dtype, device)
