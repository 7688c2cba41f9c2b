"""Step 6: the base model, plain or quantized, with architecture and heads attached."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.api.architecture import BaseArchitecture, ParameterBudget
from bench.api.quantizer import QuantizedWeights, Quantizer
from bench.config import RunConfig
from bench.errors import RunStateError
from bench.results.layout import QUANTIZED
from bench.results.schema import Stage
from bench.results.store import write_json
from bench.sealed import digests, read_sealed, sealed
from bench.steps.resolve import Parts, level_of

if TYPE_CHECKING:
    from torch import nn

    from bench.training.loop import Device
    from bench.training.model import TaskData, TaskModel
    from bench.training.sharding import Shards

_FACTS = "bench.json"


def calibration_sample(data: Mapping[str, TaskData], most: int) -> tuple[list[list[int]], str]:
    """A fixed sample of at most so many training windows, some of every task, as token ids, and the SHA-256 of it."""
    sample: list[list[int]] = []
    for task_data in data.values():
        train = task_data.splits["train"]
        count = min(len(train), max(1, most // len(data)))
        chosen = np.sort(np.random.default_rng(0).permutation(len(train))[:count]).tolist()
        sample += [list(row["input_ids"]) for row in train.take(chosen)]
    return sample, hashlib.sha256(json.dumps(sample).encode()).hexdigest()


def quantized_base(
    quantizer: Quantizer,
    source: Path,
    calibration: Sequence[Sequence[int]],
    folder: Path,
    device: str,
    warn: Callable[[str], None] = lambda message: None,
) -> tuple[Path, QuantizedWeights]:
    """Quantizes a base model from disk into the run's folder, or finds it there, every file as it was written.

    Args:
        quantizer: of the run.
        source: folder of the base model, pristine unless its own weights were trained.
        calibration: training windows as token ids.
        folder: of the run.
        device: ``cpu`` or ``cuda``.
        warn: told where what was found is damaged, and is made again.

    Returns:
        The folder of the quantized model, and what it weighs.
    """
    out = folder / QUANTIZED / quantizer.name
    facts = folder / QUANTIZED / f"{quantizer.name}.{_FACTS}"
    stored = read_sealed(facts)
    if stored is None or digests(out) != stored["files"]:
        if facts.exists():
            warn(f"{QUANTIZED}/{quantizer.name} or its facts are damaged: the base model is quantized again.")
        facts.unlink(missing_ok=True)
        shutil.rmtree(out, ignore_errors=True)
        out.parent.mkdir(parents=True, exist_ok=True)
        weights = quantizer.quantize(source, out, calibration, device)
        stored = {"bits_per_weight": weights.bits_per_weight, "bytes": weights.bytes, "files": digests(out)}
        write_json(facts, sealed(stored))
    return out, QuantizedWeights(stored["bits_per_weight"], stored["bytes"])


def kept_quantized(quantizer: Quantizer, folder: Path) -> Path:
    """Folder of the quantized base model that a finished run keeps.

    Raises:
        RunStateError: it is not there, or not as it was written.
    """
    out = folder / QUANTIZED / quantizer.name
    stored = read_sealed(folder / QUANTIZED / f"{quantizer.name}.{_FACTS}")
    if stored is None or digests(out) != stored["files"]:
        what = "is not there" if not out.is_dir() else "or its facts are damaged"
        raise RunStateError(
            f"The quantized base model {out} {what}.",
            "Put the folder back, or run the same configuration again in another --out.",
        )
    return out


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
    return build_model(base, arm, budget, heads, hidden, config.seed, device.name, shards)


def seed_everything(seed: int) -> None:
    """Seeds Python, NumPy's legacy generator and torch, which plugins may draw from."""
    import random

    import torch

    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
