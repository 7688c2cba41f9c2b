"""Step 6: the base model, plain or quantized, with architecture and heads attached."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.api.architecture import BaseArchitecture, ParameterBudget
from bench.config import RunConfig
from bench.results.schema import Stage
from bench.steps.quantized import calibration_sample, kept_quantized, quantized_base
from bench.steps.resolve import Parts, level_of

if TYPE_CHECKING:
    from torch import nn

    from bench.training.loop import Device
    from bench.training.model import TaskData, TaskModel
    from bench.training.sharding import Shards


def load_base(
    parts: Parts, data: Mapping[str, TaskData], folder: Path, device: Device, warn: Callable[[str], None] = lambda message: None
) -> nn.Module:
    """The base model to train on, quantized first where that is when the quantizer works."""
    if parts.quantizes and parts.when == "load":
        sample, _ = calibration_sample(data, parts.quantizer.calibration)
        out, _ = quantized_base(parts.quantizer, parts.model.folder(), sample, folder, device.name, warn)
        return parts.quantizer.load(out, device.dtype, device.name)
    return finished_base(parts, folder, "trained", device)


def finished_base(parts: Parts, folder: Path, stage: Stage, device: Device) -> nn.Module:
    """The base model of a finished run as it was when a stage was scored.

    Raises:
        RunStateError: the run quantized it, and it is not there as it was written.
    """
    from bench.modeling.backbone import load_backbone
    from bench.training.build import base_dtype

    if stage == "trained" and not (parts.quantizes and parts.when == "load"):
        return load_backbone(parts.model.folder(), base_dtype(parts.architecture, device.dtype), device.name)
    dtype = device.dtype if stage == "trained" else parts.quantizer.floor_dtype(device.dtype)
    return parts.quantizer.load(kept_quantized(parts.quantizer, folder), dtype, device.name)


def parameter_budget(config: RunConfig, parts: Parts) -> ParameterBudget:
    """How many parameters an arm of the run's group may train, and which of them are given."""
    linears = parts.model.spec.linears
    ranks = {} if parts.start is None else parts.start.shared_ranks(linears)
    return ParameterBudget(config.rank, linears, "parity" not in config.waive, parts.model.name, ranks, config.freeze_shared)


def rebuilding(config: RunConfig, parts: Parts, folder: Path, heads: Mapping[str, tuple[str, Any]]) -> dict[str, Any]:
    """What `bench.training.build.rebuilt` makes a run's model of, in another process or for another run; JSON-able.

    Args:
        config: of the run.
        parts: of the run.
        folder: of the run.
        heads: task to the name and the state of its head.

    Raises:
        RunStateError: the run trains on a quantized base model, and it is not there as it was written.
    """
    quantized = parts.quantizes and parts.when == "load"
    return {
        "base": str((kept_quantized(parts.quantizer, folder) if quantized else parts.model.folder()).absolute()),
        "quantizer": parts.quantizer.name if quantized else None,
        "architecture": parts.architecture.name,
        "levels": {name: level_of(task, parts.heads[name]) for name, task in parts.tasks.items()},
        "rank": config.rank,
        "shared_ranks": parameter_budget(config, parts).shared_ranks,
        "frozen": config.freeze_shared,
        "tasks": dict(heads),
        "files": {name: str(task.file) for name, task in parts.tasks.items() if task.file is not None},
        "hidden": parts.model.spec.hidden_size,
        "linears": [linear.name for linear in parts.model.spec.linears],
        "seed": config.seed,
        "attention": config.attention_implementation,
    }


def attach(
    base: nn.Module,
    parts: Parts,
    data: Mapping[str, TaskData],
    config: RunConfig,
    device: Device,
    architecture: BaseArchitecture | None = None,
    shards: Shards | None = None,
) -> TaskModel:
    """The run's architecture (or another) and heads on a base model; the same start for every arm of a seed."""
    from bench.training.build import build_model

    heads: dict[str, Any] = {name: task_data.head for name, task_data in data.items()}
    budget = parameter_budget(config, parts)
    arm, hidden = architecture or parts.architecture, parts.model.spec.hidden_size
    return build_model(base, arm, budget, heads, hidden, config.seed, device.name, shards, config.attention_implementation)


def seed_everything(seed: int) -> None:
    """Seeds Python, NumPy's legacy generator and torch, which plugins may draw from."""
    import random

    import torch

    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
