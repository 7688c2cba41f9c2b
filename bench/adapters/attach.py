"""Attaches an architecture to a backbone, with the checks and settings that hold for every arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from torch import nn
from torch.nn.modules.dropout import _DropoutNd

from bench.api.architecture import ArchitectureModule, BaseArchitecture, ParameterBudget
from bench.errors import BenchError, MissingError, UsageError
from bench.modeling.backbone import quiet
from bench.wording import some

IMPLEMENTATIONS = {"eager": "eager", "sdpa": "sdpa", "flash": "flash_attention_2"}
"""Values of ``--attention-implementation`` but ``auto``, to the names that transformers has for them."""


def attach(
    architecture: BaseArchitecture, backbone: nn.Module, tasks: Sequence[str], budget: ParameterBudget
) -> ArchitectureModule:
    """The backbone with what the architecture trains of it.

    Args:
        architecture: the arm.
        backbone: changed in place, frozen first of all.
        tasks: names of the run's tasks.
        budget: of trained parameters.

    Raises:
        UsageError: the module hides what it trains or which base model it calls, or does not fit this one.
        InvariantError: the budget is too small.
    """
    prepare(backbone)
    module = architecture.attach(backbone, tasks, budget)
    module.virtual_tokens = architecture.virtual_tokens
    held, known = {id(parameter) for parameter in module.parameters()}, module.trained()
    hidden = [name for task in tasks for name, p in module.trainable(task).items() if name not in known or id(p) not in held]
    wrong = None
    if module.backbone is not backbone:  # else the tokens that enter it could not be counted
        wrong = "does not keep the base model that it was given as its backbone"
    elif architecture.virtual_tokens < 0:  # else text could be hidden from the count
        wrong = f"takes {some(architecture.virtual_tokens, 'position')} for itself"
    elif hidden:  # else parity could not count it
        wrong = f"trains {hidden[0]!r}, which trained() does not name or no submodule holds"
    if wrong:
        raise UsageError(f"The module of {architecture.name!r} {wrong}.", f"Run 'bench check {architecture.name}'.")
    if budget.frozen:
        module.freeze_shared()
    return module


class Bare(BaseArchitecture):
    """The base model alone: what is left to evaluate where its own weights were trained and then quantized."""

    name, version, summary = "bare", "1", "the base model alone, nothing trained"

    def attach(self, backbone: nn.Module, tasks: Sequence[str], budget: ParameterBudget) -> ArchitectureModule:
        """The backbone as it is."""
        return BareModule(backbone)


class BareModule(ArchitectureModule, nn.Module):
    """A backbone as it is."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def trained(self) -> Mapping[str, nn.Parameter]:
        """Nothing."""
        return {}

    def load(self, folder: Path) -> None:
        """Reads nothing: what was trained is in the backbone already."""


def prepare(backbone: nn.Module) -> None:
    """Freezes a backbone, and switches off what no arm uses of it: its cache and its dropout.

    Dropout would tie the result to how memory cuts an update into micro-batches, regularises nothing where the base is frozen,
    and costs a quarter of a step on CPU.
    """
    backbone.requires_grad_(False)  # a quantizer may load it in training mode
    config: Any = getattr(backbone, "config", None)
    if getattr(config, "use_cache", False):
        config.use_cache = False  # a decoder would fill an unused cache in every pass
    without_dropout(backbone)


class Attention:
    """Which implementation of attention the base model uses, with gradients and without.

    A named one is used in both; where the model has no such attention, it keeps its own. What follows is ``auto``: on a CPU the
    backward pass of torch's fused attention takes twelve times as long as its forward pass, so that training is
    faster through ``eager``; what needs no gradient is faster through the fused one (`benchmarks/bench_attention.py` times
    both). Elsewhere both are what transformers chose.

    Args:
        backbone: what `AutoModel` gives.
        implementation: ``auto``, or a key of `IMPLEMENTATIONS`.
    """

    def __init__(self, backbone: nn.Module, implementation: str = "auto") -> None:
        self._backbone = backbone
        if implementation != "auto":
            self._set(IMPLEMENTATIONS[implementation])
        self.evaluation = self._current()
        self.training = self.evaluation
        if implementation == "auto" and next(backbone.parameters()).device.type == "cpu" and self.evaluation is not None:
            self._set("eager")
            self.training = self._current()

    def choose(self, gradients: bool) -> None:
        """Sets the implementation of the next pass."""
        implementation = self.training if gradients else self.evaluation
        if implementation is not None and implementation != self._current():
            self._set(implementation)

    def _current(self) -> str | None:
        return getattr(getattr(self._backbone, "config", None), "_attn_implementation", None)

    def _set(self, name: str) -> None:
        compatible = getattr(self._backbone, "_compatible_flash_implementations", None)
        if name == IMPLEMENTATIONS["flash"] and compatible and name not in compatible:
            return  # transformers would download a kernel in its place, which is somebody's code
        with suppress(ValueError), quiet():  # a model that has no such attention keeps its own
            cast(Any, self._backbone).set_attn_implementation(name)


def without_flash(device: str, precision: str) -> BenchError | None:
    """Why the base model cannot use flash attention on a device; None where it can.

    Args:
        device: ``cpu`` or ``cuda``, with or without an index.
        precision: ``fp32``, ``bf16`` or ``fp16``.
    """
    from transformers.utils import is_flash_attn_2_available

    told = "--attention-implementation flash"
    if not device.startswith("cuda"):
        return UsageError(f"{told} works on CUDA cards alone; the device is {device}.", "Leave it out, or take sdpa.")
    if precision == "fp32":
        return UsageError(f"{told} computes in 16 bits; the precision is fp32.", "Add --precision bf16, or take sdpa.")
    if not is_flash_attn_2_available():
        return MissingError(
            f"{told} needs the package flash-attn, 2.3.3 or later, not installed here; sdpa needs none.",
            "pip install flash-attn --no-build-isolation",
        )
    return None


def attention_on(implementation: str, device: str, precision: str) -> str:
    """The implementation that a finished run's model is used with: its own, or ``auto`` where this device has no flash."""
    return "auto" if implementation == "flash" and without_flash(device, precision) else implementation


def checkpointable(backbone: nn.Module) -> list[Any]:
    """The layers of a base model that the backward pass can compute again; none where transformers has not prepared them."""
    from transformers.modeling_layers import GradientCheckpointingLayer

    return [module for module in backbone.modules() if isinstance(module, GradientCheckpointingLayer)]


def without_dropout(model: nn.Module) -> None:
    """Sets every dropout of a model to zero, those included that a forward pass reads as a bare number."""
    for owner, name, _ in dropout_rates(model):
        setattr(owner, name, 0.0)


def dropout_rates(model: nn.Module) -> list[tuple[object, str, float]]:
    """Every rate of dropout: who holds it, under which attribute, and its value.

    Modules of dropout hold one; others keep a number that they hand to a function (OPT, Longformer, ESM), or read their
    configuration's in every pass (Falcon, GPT-Neo).
    """
    configs = {id(c): c for m in model.modules() if (c := getattr(m, "config", None)) is not None}
    rates: list[tuple[object, str, float]] = [(m, "p", m.p) for m in model.modules() if isinstance(m, _DropoutNd)]
    for owner in (*model.modules(), *configs.values()):
        rates += [(owner, name, value) for name, value in vars(owner).items() if "drop" in name and isinstance(value, float)]
    return rates
