"""The result of a run: the names in ``result.json`` that readers may rely on. ``docs/results.md`` describes each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from bench.errors import RunStateError
from bench.results.evidence import (
    Calibration,
    Concepts,
    Efficiency,
    Errors,
    GoldFunnel,
    Macro,
    Plan,
    SharedText,
    Together,
    Training,
    Unit,
)
from bench.results.imported import Imported
from bench.results.invariants import Invariants
from bench.results.reading import check_version, plain, read_as
from bench.results.scores import FlatScores, Interval, IntervalBy
from bench.results.version_1 import from_version_1

SCHEMA_VERSION = 2
VERSIONS = (1, SCHEMA_VERSION)
"""That can be read."""

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
        ci95: its interval, low and high; None where it cannot be had.
        ci95_by: ``bootstrap`` over documents; ``beta`` or ``wilson``, from counts, where too little is right or wrong for that.
    """

    task: str
    split: str
    stage: Stage
    metric: str
    value: float
    ci95: Interval | None
    ci95_by: IntervalBy = "bootstrap"


@dataclass(frozen=True)
class BestCheckpoint:
    """A budgeted run's best checkpoint on dev: updates and tokens it had seen, and its scores on the test split."""

    step: int
    tokens: int
    scores: FlatScores


@dataclass(frozen=True)
class TaskScores:
    """Scores of one task by their dotted names, see `bench.results.scores`.

    Args:
        trained: test split, as trained. For a budgeted run the last checkpoint.
        quantized: test split, the quantized model as it was saved and loaded again; None where nothing was quantized.
        dev: dev split, by stage.
        baselines: test split, by baseline, e.g. ``dictionary``.
        best: a budgeted run's best checkpoint on dev, where it is not the last.
    """

    trained: FlatScores
    quantized: FlatScores | None = None
    dev: Mapping[str, FlatScores] = field(default_factory=dict)
    baselines: Mapping[str, FlatScores] = field(default_factory=dict)
    best: BestCheckpoint | None = None

    @property
    def stages(self) -> dict[Stage, FlatScores]:
        """Stage to scores on the test split, ``trained`` first."""
        by_stage: dict[Stage, FlatScores | None] = {"trained": self.trained, "quantized": self.quantized}
        return {stage: scores for stage, scores in by_stage.items() if scores is not None}

    @property
    def last(self) -> FlatScores:
        """Scores on the test split at the last stage."""
        return self.trained if self.quantized is None else self.quantized


@dataclass(frozen=True)
class Quantization:
    """What quantizing did to the base model; each None where nothing was quantized or it was not measured.

    Args:
        bits_per_weight: stored bits, scales and zero points included, per weight of the quantized layers.
        bytes: of the weight files.
        error: relative output error on dev text against the unquantized model, adapters attached.
        rtn_error: the same for round-to-nearest in the same dtype, bits, group size and symmetry.
        missing: figure (``error``, ``rtn_error``, or the scores ``unquantized``) to why it could not be measured here.
    """

    bits_per_weight: float | None = None
    bytes: int | None = None
    error: float | None = None
    rtn_error: float | None = None
    missing: Mapping[str, str] = field(default_factory=dict)


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
        hardware: processor, cores, memory, accelerator, the processes that shared the updates, and whether the base too.
        git: ``commit`` and ``dirty`` of the checkout that ran or was built; both None where neither is known.
        waivers: invariants that were not enforced.
        synthetic: whether any task's text was generated.
        leaks: by task, the documents that stand in two splits: ``allowed`` by ``--allow-leak``, or ``tolerated`` by the loader.
        left_out: by task, faulty lines that were left out of its corpus because their kind is tolerated, by kind.
        adjusted: by task, mentions and relations that were put right without being at fault, by what was done.
        units: by task, what a document of the test split is, which intervals are over.
        matched: whether the arm is held to training as many parameters as others; False is *not parameter-matched*.
        schema_version: of this layout; raised when a name changes its meaning or goes.
        plan: what was planned.
        training: how it went.
        thresholds: by task, from which probability on predictions are accepted, and what that is worth.
        together: of several tasks, how they were trained together.
        macro: of several tasks, the mean of their primary metrics.
        schedule: of tasks that came one after another, what was learned and forgotten; its options are open.
        init_from: of a run that starts from another one, which, and what that was trained on; open.
        shots: by task, how many training documents were drawn, of a run with ``--shots``.
        train_resample: the same of a run with ``--train-resample``; `config` has the number of the draw.
        calibration: by task, stage and kind of prediction.
        errors: by task and stage.
        funnel: by task and stage, how far gold mentions come.
        overlap: by task and pair of splits, such as ``test-train``.
        efficiency: by stage.
        concepts: by task whose mentions have concepts.
        imported: of a system that bench did not run, what is known of it.
        extra: further keys, written at the top level beside the promised ones, such as those of a newer version.
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
    units: Mapping[str, Unit] = field(default_factory=dict)
    matched: bool = True
    schema_version: int = SCHEMA_VERSION
    plan: Plan = field(default_factory=Plan)
    training: Training = field(default_factory=Training)
    thresholds: Mapping[str, Any] = field(default_factory=dict)
    together: Together | None = None
    macro: Macro | None = None
    schedule: Mapping[str, Any] = field(default_factory=dict)
    init_from: Mapping[str, Any] = field(default_factory=dict)
    shots: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    train_resample: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    calibration: Mapping[str, Mapping[str, Mapping[str, Calibration]]] = field(default_factory=dict)
    errors: Mapping[str, Mapping[str, Errors]] = field(default_factory=dict)
    funnel: Mapping[str, Mapping[str, GoldFunnel]] = field(default_factory=dict)
    overlap: Mapping[str, Mapping[str, SharedText]] = field(default_factory=dict)
    efficiency: Mapping[str, Efficiency] = field(default_factory=dict)
    concepts: Mapping[str, Concepts] = field(default_factory=dict)
    imported: Imported | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The mapping that ``result.json`` holds: strict JSON, what must not be missed first."""
        first = ("schema_version", "id", "waivers", "synthetic", "headline", "macro", "leaks", "left_out", "matched")
        names = [name for name in _NAMES if name != "extra"]
        clash = sorted(set(names) & set(self.extra))
        if clash:
            raise ValueError(f"Extra keys of a result stand for promised ones: {', '.join(clash)}.")
        mapping = {name: plain(getattr(self, name)) for name in names if name not in OPTIONAL or getattr(self, name)}
        mapping |= {name: plain(value) for name, value in self.extra.items()}
        return {name: mapping.pop(name) for name in first if name in mapping} | mapping

    def resolved(self, name: str) -> Any:
        """A field of the configuration as the run resolved it, else as it was given; None where there is none."""
        return self.config.get("resolved", {}).get(name, self.config.get(name))

    def metric(self, task: str) -> str:
        """Dotted name of a task's primary metric; empty where the result does not tell it."""
        metrics = {row.task: row.metric for row in self.macro.tasks} if self.macro is not None else {}
        return (metrics | {self.headline.task: self.headline.metric}).get(task, "")

    @classmethod
    def from_json(cls, value: Any, source: str = "The result") -> Result:
        """A result from what `to_json` made, now or at an earlier version; `source` is named in errors.

        Raises:
            RunStateError: another schema version, a missing name, or a value of the wrong kind.
        """
        value = current(value, source)
        try:
            extra = {name: member for name, member in value.items() if name not in _NAMES}
            result: Result = read_as(cls, {**value, "extra": extra})
            if result.headline.task not in result.scores:
                raise ValueError("scores lack the headline's task")
            for name, held in (
                ("config.resolved", result.config.get("resolved", {})),
                ("hashes.data", result.hashes.get("data", {})),
                ("versions.parts", result.versions.get("parts", {})),
            ):
                if not isinstance(held, Mapping):
                    raise ValueError(f"{name} is no object")
            if not isinstance(result.config.get("seed", 0), int):
                raise ValueError("config.seed is no integer")
            return result
        except ValueError as error:
            promised = f"what schema version {value['schema_version']} promises"
            raise RunStateError(f"{source} is not {promised}: {error}.") from None


_NAMES = [f.name for f in fields(Result)]
OPTIONAL = frozenset(_NAMES[_NAMES.index("schema_version") + 1 :])
"""Names that are left out of a file where there is nothing to say."""


def current(value: Any, source: str) -> Mapping[str, Any]:
    """Parsed JSON of a result of any version, in the names of this one.

    Raises:
        RunStateError: it is no result, of another schema version, or damaged.
    """
    parsed = check_version(value, VERSIONS, source, "a result of bench")
    if parsed["schema_version"] == SCHEMA_VERSION:
        return parsed
    try:
        return from_version_1(parsed) | {"schema_version": SCHEMA_VERSION}
    except (AttributeError, KeyError, TypeError) as error:
        what = f"it lacks {error.args[0]}" if isinstance(error, KeyError) else "scores or headline are no object"
        raise RunStateError(f"{source} is not what schema version 1 promises: {what}.") from None
