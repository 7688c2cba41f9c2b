"""Modules whose trained parameters are the base model's own; see `bench_plugins.architectures.weights`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from torch import Tensor, nn

from bench.api.architecture import ArchitectureModule, read_tensors
from bench.errors import UsageError
from bench.modeling.backbone import save_backbone
from bench.modeling.files import WEIGHTS

PART = "backbone"
"""The component that all of it belongs to."""


class Biases(ArchitectureModule, nn.Module):
    """A backbone of which the biases are trained.

    Raises:
        UsageError: the backbone has none, a parameter is no floating-point number, or two names share one tensor.
    """

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        seen: dict[int, str] = {}
        for name, parameter in backbone.named_parameters(remove_duplicate=False):
            if (first := seen.setdefault(id(parameter), name)) != name:
                raise UsageError(
                    f"The base model's {first} and {name} are one tensor, so that training one would train the other.",
                    "Take a base model without tied weights, or an architecture that trains adapters.",
                )
            if not parameter.is_floating_point():
                raise UsageError(f"The base model's {name} is of {parameter.dtype}, which has no gradient.")
        self._trained = {f"{PART}.{name}": p for name, p in backbone.named_parameters() if self.wants(name)}
        if not self._trained:
            raise UsageError("The base model has no bias to train.", "Take another base model or another architecture.")
        for parameter in self._trained.values():
            parameter.requires_grad_(True)

    def wants(self, name: str) -> bool:
        """Whether a parameter of the backbone is trained."""
        return name.rpartition(".")[2] == "bias"

    def trained(self) -> Mapping[str, nn.Parameter]:
        """The parameters of the backbone that are trained, ``backbone.<name>``."""
        return self._trained


class AllWeights(Biases):
    """A backbone of which every parameter is trained."""

    def wants(self, name: str) -> bool:
        """All of them."""
        return True

    def save(self, folder: Path) -> None:
        """Writes the whole model; `transformers.AutoModel.from_pretrained(folder)` loads it."""
        save_backbone(self.backbone, folder)

    def read(self, folder: Path, components: Collection[str]) -> dict[str, Tensor]:
        """What `save` wrote, without the backbone's buffers."""
        stored = {f"{PART}.{name}": tensor for name, tensor in read_tensors(folder / WEIGHTS).items()}
        buffers = {f"{PART}.{name}" for name, _ in self.backbone.named_buffers()}
        return {name: tensor for name, tensor in stored.items() if name not in buffers}
