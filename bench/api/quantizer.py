"""A quantizer: how the base model's weights are stored."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from bench.api.model import ModelSpec
from bench.api.part import Part

if TYPE_CHECKING:
    import torch
    from torch import nn

When = Literal["load", "after"]
"""``load``: the base is quantized before training (QLoRA). ``after``: it is quantized once the adapters are trained."""

Reuse = Literal["model", "calibration"]
"""``model``: files of the model decide what is made. ``calibration``: these and the calibration windows."""


@dataclass(frozen=True)
class QuantizedWeights:
    """What quantizing left on disk: bytes of the weight files, and stored bits per weight of the quantized linear layers.

    Scales and zero points are counted.
    """

    bits_per_weight: float
    bytes: int


class Quantizer(Part):
    """Quantizes the linear layers of a frozen base model."""

    when: ClassVar[tuple[When, ...]]
    """When it can be applied; the first is the default."""
    bits: ClassVar[float]
    """Nominal bits per weight."""
    group_size: ClassVar[int] = 64
    """Inputs that share a scale, -1 for a whole row; round-to-nearest is measured beside it at the same."""
    sym: ClassVar[bool] = True
    """Whether its grid is symmetric about zero; round-to-nearest is measured beside it with the same."""
    packed_bits: ClassVar[float | None] = None
    """Bits that a weight of a linear layer takes in memory once it is loaded, scales included; None where it is dense there."""
    calibration: ClassVar[int] = 64
    """Training windows that calibrate it, the same for every arm and seed."""
    reused: ClassVar[Reuse | None] = None
    """What decides every byte that it writes, beside its version and settings, the machine and the packages of `requires`.

    What it makes of a base model is then kept in the user's cache for later runs; None keeps nothing.
    """

    @abstractmethod
    def supports(self, spec: ModelSpec, when: When, device: str) -> str | None:
        """Why it cannot work with this model here, or None. Asked at plan time; imports nothing heavy."""

    @abstractmethod
    def quantize(self, source: Path, out: Path, calibration: Sequence[Sequence[int]], device: str) -> QuantizedWeights:
        """Quantizes the pristine model of folder `source` into folder `out`, safetensors only.

        Args:
            source: base model folder in Hugging Face's layout.
            out: made here, written whole or not at all.
            calibration: token ids of training examples; the same for every arm. Quantizers without calibration ignore it.
            device: ``cpu`` or ``cuda``.
        """

    @abstractmethod
    def load(self, folder: Path, dtype: torch.dtype, device: str) -> nn.Module:
        """The frozen backbone, as `AutoModel` gives it, from a folder that `quantize` wrote; LoRA gradients flow through it."""

    def proven(self, spec: ModelSpec) -> bool:
        """Whether it is known to work with every model of this kind that `supports` lets through.

        Where it is not, it is tried before training on two random layers of the kind; that must leave hidden states that
        differ from the unquantized ones by less than their size.
        """
        return False

    def floor_dtype(self, dtype: torch.dtype) -> torch.dtype:
        """The dtype its kernels compute in; round-to-nearest is measured beside it in the same one."""
        return dtype
