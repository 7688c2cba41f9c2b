"""Builds the trainable model on a frozen base model; the same code for the run, its memory probes and its teachers."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from bench.adapters.attach import attach, attention_on
from bench.api.architecture import BaseArchitecture, ParameterBudget
from bench.api.head import Head
from bench.registry import Registry
from bench.training.model import TaskModel

if TYPE_CHECKING:
    from bench.training.loop import Device
    from bench.training.sharding import Shards


def build_model(
    backbone: nn.Module,
    architecture: BaseArchitecture,
    budget: ParameterBudget,
    heads: Mapping[str, Head],
    hidden_size: int,
    seed: int,
    device: str,
    shards: Shards | None = None,
    attention: str = "auto",
) -> TaskModel:
    """Attaches an architecture and heads.

    Every arm draws its heads from the same seed, task by task, so that arms differ in nothing but their adapters.

    Args:
        backbone: frozen.
        architecture: the arm.
        budget: of trained parameters.
        heads: task to its fitted head.
        hidden_size: of the backbone.
        seed: of the run.
        device: ``cpu`` or ``cuda``.
        shards: of the processes that share the backbone, which is then on the CPU; None where each holds it whole.
        attention: its implementation in the backbone, as configured.
    """
    with seeded(seed, "adapters"):
        adapted = attach(architecture, backbone, tuple(heads), budget)
    if shards is not None:
        shards.split(adapted)
    modules: dict[str, Any] = {}
    for task, head in heads.items():
        with seeded(seed, f"head {task}"):
            modules[task] = head.module(hidden_size)
    return TaskModel(adapted, modules, attention).to(device)


def rebuilt(spec: Mapping[str, Any], registry: Registry, device: Device) -> TaskModel:
    """A run's model from what is JSON-able of it, with starting values.

    Args:
        spec: ``base`` (folder), ``quantizer`` (name, or None where the folder is plain), ``architecture``, ``levels``,
            ``rank``, ``shared_ranks`` and ``frozen`` (as in `ParameterBudget`), ``tasks`` (task to head name and state),
            ``files`` (task to the file that it was made from, if it was), ``hidden``, ``linears`` (names of those to adapt),
            ``seed``, ``attention`` (as configured).
        registry: the plugins.
        device: where and in what precision.
    """
    from bench.modeling.backbone import adapted_linears, load_backbone

    architecture = registry.get("architectures", spec["architecture"]).bound(spec["levels"])
    if spec["quantizer"] is None:
        base = load_backbone(Path(spec["base"]), base_dtype(architecture, device.dtype), device.name)
    else:
        base = registry.get("quantizers", spec["quantizer"]).load(Path(spec["base"]), device.dtype, device.name)
    shared = {name: tuple(ranks) for name, ranks in spec["shared_ranks"].items()}
    linears = tuple(linear for linear in adapted_linears(base) if linear.name in spec["linears"])
    budget = ParameterBudget(spec["rank"], linears, False, shared_ranks=shared, frozen=spec["frozen"])
    heads = restored_heads(spec, registry)
    attention = attention_on(spec["attention"], device.name, device.precision)
    return build_model(base, architecture, budget, heads, int(spec["hidden"]), spec["seed"], device.name, attention=attention)


def restored_heads(spec: Mapping[str, Any], registry: Registry) -> dict[str, Head]:
    """Task to its head, as it was fitted; ``tasks`` and ``files`` of a spec as for `rebuilt`."""
    heads = {}
    for name, (head, state) in spec["tasks"].items():
        heads[name] = registry.head(registry.get("tasks", spec["files"].get(name, name)), head)
        heads[name].restore(state)
    return heads


def teachers(specs: Sequence[Mapping[str, Any]], registry: Registry, device: Device) -> dict[str, TaskModel]:
    """Task to the frozen model that teaches it, with the weights of the run that trained it.

    Args:
        specs: of `rebuilt`, one a run, with ``adapters``, the folder of what it saved, and ``teaches``, its tasks here.
        registry: the plugins.
        device: of the run that learns.

    Raises:
        RunStateError: weights are missing or damaged.
    """
    by_task: dict[str, TaskModel] = {}
    for spec in specs:
        model = rebuilt(spec, registry, device)
        model.load(Path(spec["adapters"]))
        model.requires_grad_(False).eval()
        by_task |= dict.fromkeys(spec["teaches"], model)
    return by_task


def base_dtype(architecture: BaseArchitecture, dtype: torch.dtype) -> torch.dtype:
    """The dtype of an unquantized base model: that of matrix products, unless its own weights are trained.

    Adam's small steps would be lost in bf16.
    """
    return torch.float32 if architecture.trains_base else dtype


@contextmanager
def seeded(seed: int, purpose: str) -> Iterator[None]:
    """A random stream of its own for one purpose; the global one is left as it was."""
    before = torch.get_rng_state()
    # torch's generator on CPU reads the low 32 bits of a seed and nothing else, so both must go into those.
    torch.manual_seed(zlib.crc32(f"{seed} {purpose}".encode()))
    try:
        yield
    finally:
        torch.set_rng_state(before)
