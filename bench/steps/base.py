"""Step 6: the frozen base model, plain or quantized, with adapters and heads attached."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.adapters.ranks import RankPlan
from bench.api.quantizer import QuantizedWeights, Quantizer
from bench.config import RunConfig
from bench.results.layout import QUANTIZED
from bench.results.store import read_json, write_json
from bench.steps.resolve import Parts

if TYPE_CHECKING:
    from torch import nn

    from bench.training.loop import Device
    from bench.training.model import TaskData, TaskModel

CALIBRATION = 64
"""Training windows that calibrate a quantizer, the same for every arm and seed. Twice as many take half as long again, for a
twentieth less of gptq's error (`docs/performance.md`)."""
_FACTS = "bench.json"


def calibration_sample(data: Mapping[str, TaskData]) -> tuple[list[list[int]], str]:
    """A fixed sample of training windows of every task, as token ids, and the SHA-256 of it."""
    sample: list[list[int]] = []
    for one in data.values():
        train = one.splits["train"]
        count = min(len(train), max(1, CALIBRATION // len(data)))
        chosen = np.sort(np.random.default_rng(0).permutation(len(train))[:count]).tolist()
        sample += [list(row["input_ids"]) for row in train.take(chosen)]
    return sample, hashlib.sha256(json.dumps(sample).encode()).hexdigest()


def quantized_base(
    quantizer: Quantizer, parts: Parts, calibration: Sequence[Sequence[int]], folder: Path, device: str
) -> tuple[Path, QuantizedWeights]:
    """Quantizes the pristine base model from disk into the run's folder, or finds it there whole.

    Returns:
        The folder of the quantized model, and what it weighs.
    """
    out = folder / QUANTIZED / quantizer.name
    facts = folder / QUANTIZED / f"{quantizer.name}.{_FACTS}"
    if not facts.exists():
        out.parent.mkdir(parents=True, exist_ok=True)
        weights = quantizer.quantize(parts.model.folder(), out, calibration, device)
        write_json(facts, {"bits_per_weight": weights.bits_per_weight, "bytes": weights.bytes})
    return out, QuantizedWeights(**read_json(facts))


def load_base(
    parts: Parts, data: Mapping[str, TaskData], folder: Path, device: Device
) -> tuple[nn.Module, QuantizedWeights | None]:
    """The frozen base model to train on, quantized first where that is when the quantizer works."""
    from bench.modeling.backbone import load_backbone

    if parts.quantizes and parts.when == "load":
        sample, _ = calibration_sample(data)
        out, weights = quantized_base(parts.quantizer, parts, sample, folder, device.name)
        return parts.quantizer.load(out, device.dtype, device.name), weights
    return load_backbone(parts.model.folder(), device.dtype, device.name), None


def attach(
    base: nn.Module, parts: Parts, plan: RankPlan, data: Mapping[str, TaskData], config: RunConfig, device: Device
) -> TaskModel:
    """Adapters and heads on a base model; the same start for every arm of a seed."""
    from bench.training.build import build_model

    heads: dict[str, Any] = {name: one.head for name, one in data.items()}
    return build_model(
        base, parts.architecture, plan, heads, parts.model.spec.hidden_size, config.seed, device.name, parts.model.name
    )


def seed_everything(seed: int) -> None:
    """Seeds Python, NumPy's legacy generator and torch, which plugins may draw from."""
    import random

    import torch

    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
