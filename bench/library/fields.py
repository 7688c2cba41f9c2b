"""A run's settings from Python: the fields of a configuration by name, paths and single names as they come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypedDict

from bench.config import RunConfig, from_mapping, replacing

Place = str | Path


class RunFields(TypedDict, total=False):
    """A run's settings, by name; each is a field of `bench.config.RunConfig` and a flag of ``bench run``."""

    task: str | Sequence[str]
    task_set: str | None
    arch: str
    quant: str
    quant_when: Literal["load", "after"] | None
    model: Place
    convert: bool
    attention: Literal["causal", "bidirectional"] | None
    rank: int
    head: str | None
    seed: int
    replicate: int
    data: Mapping[str, Place]
    concepts: Mapping[str, Place]
    concept_language: str
    concept_sources: str | Sequence[str]
    allow_leak: bool
    tolerate: str | Sequence[str]
    shots: int | None
    train_resample: int | None
    max_length: int | None
    steps: int | None
    epochs: float | None
    tokens: int | None
    tokens_like: str | None
    lr: float | None
    init_from: str | None
    freeze_shared: bool
    optimizer: Literal["adamw", "adamw-8bit", "paged-adamw-8bit"]
    batch_tokens: int
    micro_batch: int | None
    eval_every: int | None
    checkpoint_every: int
    waive: str | Sequence[str]
    sampling: Literal["proportional", "uniform", "temperature"]
    temperature: float
    loss_weighting: Literal["equal", "uncertainty"]
    loss_weights: Mapping[str, float]
    gradients: Literal["plain", "pcgrad"]
    schedule: str
    schedule_options: Mapping[str, float]
    teacher: str | Sequence[str]
    device: str
    precision: Literal["auto", "fp32", "bf16", "fp16"]
    gradient_checkpointing: Literal["auto", "on", "off"]
    attention_implementation: Literal["auto", "eager", "sdpa", "flash"]
    shard: bool
    memory_limit: int | str | None
    max_hours: float | None
    out: Place
    name: str | None
    study: str | None
    tracker: str | Sequence[str]


def configured(config: RunConfig | None, fields: Mapping[str, Any]) -> RunConfig:
    """A configuration with fields laid over it, each checked as a file's are.

    Raises:
        UsageError: an unknown field, a wrong type, or a number out of range.
    """
    values = {name: plain(value) for name, value in fields.items()}
    return from_mapping(replacing(values), "bench.run", config)


def plain(value: Any) -> Any:
    """Paths as text, which a configuration holds."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, (list, tuple)) else value
