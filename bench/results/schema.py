"""The result of a run: the names in ``result.json`` that readers may rely on. ``docs/results.md`` describes each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from bench.errors import RunStateError

SCHEMA_VERSION = 1

# These came later: a result without them is of a run that could not have had any.
_LATER = frozenset({"leaks", "left_out", "adjusted", "matched"})

Interval = tuple[float, float]
Stage = Literal["trained", "quantized"]


@dataclass(frozen=True)
class Headline:
    """The one number: the last stage's primary metric on the test split.

    Args:
        task: the run's first task.
        split: ``test``.
        stage: ``quantized`` where the base was quantized, else ``trained``.
        metric: dotted path into the task's scores, e.g. ``task1.strict.f1``.
        value: in [0, 1].
        ci95: document-clustered bootstrap interval, low and high; None where it cannot be had.
    """

    task: str
    split: str
    stage: Stage
    metric: str
    value: float
    ci95: Interval | None


@dataclass(frozen=True)
class TaskScores:
    """Scores of one task, each a nested mapping as ``bench score --json`` prints it, with ``ci95`` beside each F.

    Args:
        trained: test split, as trained. For a budgeted run the last checkpoint.
        quantized: test split, the quantized model as it was saved and loaded again; None where nothing was quantized.
        dev: dev split, by stage.
        baselines: test split, by baseline, e.g. ``dictionary``.
        best: a budgeted run's best checkpoint on dev: its test ``scores``, with the ``step`` and ``tokens`` it had seen.
    """

    trained: Mapping[str, Any]
    quantized: Mapping[str, Any] | None = None
    dev: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    baselines: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    best: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Invariants:
    """What each control found. Every mapping has ``status``: ``held``, or ``waived`` where it was not enforced.

    Args:
        tokens: per task, the tokens, padded positions, supervised positions and operations of the whole run.
        parity: trainable parameters of every arm of the group, and their ratios.
        smoke: per task, the loss before and after, and the gradient check.
        batch: the micro-batch, the limit and the peak.
        checkpoint: how many were written, what they cost, and what the run was resumed from.
    """

    tokens: Mapping[str, Any]
    parity: Mapping[str, Any]
    smoke: Mapping[str, Any]
    batch: Mapping[str, Any]
    checkpoint: Mapping[str, Any]


@dataclass(frozen=True)
class Quantization:
    """What quantizing did to the base model; each None where nothing was quantized or it was not measured.

    Args:
        bits_per_weight: stored bits, scales and zero points included, per weight of the quantized layers.
        bytes: of the weight files.
        error: relative output error on dev text against the unquantized model, adapters attached.
        rtn_error: the same for round-to-nearest in the same dtype, bits, group size and symmetry.
    """

    bits_per_weight: float | None = None
    bytes: int | None = None
    error: float | None = None
    rtn_error: float | None = None


@dataclass(frozen=True)
class Result:
    """A finished run.

    Args:
        id: the run's id.
        config: every field of the configuration, resolved values included.
        headline: the one number.
        scores: by task.
        invariants: what each control found.
        quantization: what quantizing did.
        timings: name to seconds.
        memory: name to bytes.
        hashes: name to SHA-256: data by task, model, configuration.
        versions: packages, the interpreter, and every part used.
        hardware: processor, cores, memory, accelerator, and the processes that shared the updates.
        git: ``commit`` and ``dirty`` of the checkout that ran; both None outside one.
        waivers: invariants that were not enforced.
        synthetic: whether any task's text was generated.
        leaks: by task, the documents that stand in two splits: ``allowed`` by ``--allow-leak``, or ``tolerated`` by the loader.
        left_out: by task, faulty lines that were left out of its corpus because their kind is tolerated, by kind.
        adjusted: by task, mentions and relations that were put right without being at fault, by what was done.
        matched: whether the arm is held to training as many parameters as others; False is *not parameter-matched*.
        schema_version: of this layout; raised when a name changes its meaning or goes.
        extra: further keys, written at the top level beside the promised ones.
    """

    id: str
    config: Mapping[str, Any]
    headline: Headline
    scores: Mapping[str, TaskScores]
    invariants: Invariants
    quantization: Quantization
    timings: Mapping[str, float]
    memory: Mapping[str, int]
    hashes: Mapping[str, Any]
    versions: Mapping[str, Any]
    hardware: Mapping[str, Any]
    git: Mapping[str, Any]
    waivers: tuple[str, ...]
    synthetic: bool
    leaks: Mapping[str, Any] = field(default_factory=dict)
    left_out: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    adjusted: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    matched: bool = True
    schema_version: int = SCHEMA_VERSION
    extra: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The mapping that ``result.json`` holds: strict JSON, what must not be missed first."""
        first = ("schema_version", "id", "waivers", "synthetic", "headline", "macro", "leaks", "left_out", "matched")
        names = [f.name for f in fields(self) if f.name != "extra"]
        clash = sorted(set(names) & set(self.extra))
        if clash:
            raise ValueError(f"Extra keys of a result stand for promised ones: {', '.join(clash)}.")
        told = {name: plain(getattr(self, name)) for name in names} | {k: plain(v) for k, v in self.extra.items()}
        return {name: told.pop(name) for name in first if name in told} | told

    def resolved(self, name: str) -> Any:
        """A field of the configuration as the run resolved it, else as it was given; None where there is none."""
        return self.config.get("resolved", {}).get(name, self.config.get(name))

    @classmethod
    def from_json(cls, value: Any, source: str = "The result") -> Result:
        """A result from what `to_json` made.

        Args:
            value: the parsed JSON.
            source: named in errors, e.g. the file's path.

        Raises:
            RunStateError: another schema version, a missing name, or a value of the wrong kind.
        """
        if not isinstance(value, Mapping) or "schema_version" not in value:
            raise RunStateError(f"{source} is not a result of bench: it has no schema_version.")
        if value["schema_version"] != SCHEMA_VERSION:
            raise RunStateError(
                f"{source} has schema version {value['schema_version']!r}; this bench reads {SCHEMA_VERSION}.",
                "Read it with the bench that wrote it, or upgrade: pip install -U bench-suite",
            )
        known = {f.name for f in fields(cls)} - {"extra"}
        absent = sorted(known - _LATER - set(value))
        if absent:
            raise RunStateError(f"{source} lacks {', '.join(absent)}.")
        try:
            return cls(
                id=str(value["id"]),
                config=dict(value["config"]),
                headline=_build(Headline, value["headline"], ci95=_interval(value["headline"]["ci95"])),
                scores={task: _build(TaskScores, scores) for task, scores in value["scores"].items()},
                invariants=_build(Invariants, value["invariants"]),
                quantization=_build(Quantization, value["quantization"]),
                timings=dict(value["timings"]),
                memory=dict(value["memory"]),
                hashes=dict(value["hashes"]),
                versions=dict(value["versions"]),
                hardware=dict(value["hardware"]),
                git=dict(value["git"]),
                waivers=tuple(value["waivers"]),
                synthetic=bool(value["synthetic"]),
                leaks=dict(value.get("leaks", {})),
                left_out={task: dict(counts) for task, counts in value.get("left_out", {}).items()},
                adjusted={task: dict(counts) for task, counts in value.get("adjusted", {}).items()},
                matched=bool(value.get("matched", True)),
                extra={k: v for k, v in value.items() if k not in known},
            )
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise RunStateError(f"{source} is not what schema version {SCHEMA_VERSION} promises: {error}.") from None


def pick(scores: Mapping[str, Any], metric: str) -> float | None:
    """The number at a dotted path such as ``task1.strict.f1``, or None where there is none."""
    found: Any = scores
    for part in metric.split("."):
        if not isinstance(found, Mapping) or part not in found:
            return None
        found = found[part]
    return float(found) if isinstance(found, (int, float)) and not isinstance(found, bool) else None


def plain(value: Any) -> Any:
    """Strict JSON: the result's own classes and mappings to dicts, sequences to lists, NaN and infinities to null.

    Raises:
        TypeError: anything else; its content is not shown.
    """
    if isinstance(value, (Headline, TaskScores, Invariants, Quantization)):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        return plain(value.item())
    raise TypeError(f"A result cannot hold a {type(value).__name__}.")


def _interval(value: Any) -> Interval | None:
    if value is None:
        return None
    low, high = value
    return float(low), float(high)


def _build(kind: type[Any], value: Mapping[str, Any], **given: Any) -> Any:
    return kind(**{**value, **given})
