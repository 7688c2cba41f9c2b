"""What a result says beside its scores: how it was trained, and what evaluation tells of the test split. ``docs/results.md``
describes every name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class PlannedModel:
    """The base model: its name, its parameters, and whether it is made from a seed and knows no language."""

    name: str | None = None
    parameters: int | None = None
    plumbing_only: bool = False


@dataclass(frozen=True)
class Unit:
    """What intervals are over.

    Args:
        name: what a document is, in the plural, e.g. ``abstracts``; ``sentences`` where several of one text are documents.
        test: documents of the test split.
        design_effect: of sentences, for the primary metric: see `bench.evaluation.clusters`; else, or where not known, None.
    """

    name: str
    test: int
    design_effect: float | None = None


@dataclass(frozen=True)
class SplitFacts:
    """A split as it was encoded: counts, annotations out of reach by cause, and tokens of a window at most."""

    documents: int
    windows: int
    tokens: int
    annotations: int
    lost: Mapping[str, int]
    max_length: int


@dataclass(frozen=True)
class Plan:
    """What was planned.

    Args:
        budget: tokens and updates, as ``bench run --dry-run --json`` prints them.
        data: task to split to what there is of it.
        estimate: of memory, seconds and bytes.
        model: the base model.
        quantizer: its ``name``, and ``when`` it is applied.
    """

    budget: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Mapping[str, SplitFacts]] = field(default_factory=dict)
    estimate: Mapping[str, Any] = field(default_factory=dict)
    model: PlannedModel = field(default_factory=PlannedModel)
    quantizer: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Training:
    """How training went.

    Args:
        evaluations: one mapping an evaluation on dev: step, tokens, and each task's selection metric.
        best: the best of them: score, step and tokens.
        stopped: why training ended before its tokens were spent.
        reported: which checkpoint the scores are of.
        attention: implementation of attention in training.
        evaluation_attention: that of passes without gradients.
        tokens_per_second: of training.
        evaluation_tokens_per_second: stage to those of the test split.
        repeated_updates: updates that overflowed in fp16 and were computed again; their tokens count once.
    """

    evaluations: tuple[Mapping[str, Any], ...] = ()
    best: Mapping[str, float] | None = None
    stopped: str | None = None
    reported: str | None = None
    attention: str | None = None
    evaluation_attention: str | None = None
    tokens_per_second: float | None = None
    evaluation_tokens_per_second: Mapping[str, float] = field(default_factory=dict)
    repeated_updates: int = 0


@dataclass(frozen=True)
class GradientPair:
    """The gradients of two tasks over what they share: updates in which both had one, and how often and far they conflicted."""

    tasks: tuple[str, str]
    updates: int | None = None
    conflicts: int | None = None
    conflict_frequency: float | None = None
    mean_cosine: float | None = None


@dataclass(frozen=True)
class Gradients:
    """How gradients that conflict were handled (`kind`), and every pair of tasks."""

    kind: str | None = None
    shared_parameters: int | None = None
    pairs: tuple[GradientPair, ...] = ()
    note: str | None = None


@dataclass(frozen=True)
class Together:
    """How tasks were trained together: what a weighting says of itself is open."""

    sampling: Mapping[str, Any] = field(default_factory=dict)
    loss_weighting: Mapping[str, Any] = field(default_factory=dict)
    gradients: Gradients = field(default_factory=Gradients)
    loss_weights: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class PrimaryScore:
    """A task's primary metric and its value; None where it cannot be had."""

    task: str
    metric: str
    value: float | None


@dataclass(frozen=True)
class Macro:
    """The mean of the tasks' primary metrics, with every one of them; None where one of them cannot be had."""

    split: str
    stage: str
    mean: float | None
    tasks: tuple[PrimaryScore, ...]


@dataclass(frozen=True)
class Bin:
    """A bin of a reliability diagram: its ends, how many predictions it holds, their mean confidence and the share right."""

    low: float
    high: float
    count: int
    confidence: float
    right: float


@dataclass(frozen=True)
class Kept:
    """The surest predictions: the share of all (`coverage`), the least confidence, and how good they are."""

    coverage: float
    right: float
    threshold: float | None = None
    recall: float | None = None
    f1: float | None = None


@dataclass(frozen=True)
class Abstention:
    """What giving only the surest predictions would buy: a curve, and the share wrong, averaged over all coverages."""

    curve: tuple[Kept, ...] = ()
    risk_area: float | None = None


@dataclass(frozen=True)
class Calibration:
    """Predictions against the probability that the head gave them; `ece` and `reliability` by kind of bins."""

    predictions: int | None = None
    right: float | None = None
    confidence: float | None = None
    brier: float | None = None
    ece: Mapping[str, float | None] = field(default_factory=dict)
    reliability: Mapping[str, tuple[Bin, ...]] = field(default_factory=dict)
    abstention: Abstention = field(default_factory=Abstention)


@dataclass(frozen=True)
class ErrorKinds:
    """Mentions of gold and predicted ones by kind of error."""

    gold: Mapping[str, int] = field(default_factory=dict)
    predicted: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Errors(ErrorKinds):
    """Mentions by kind of error; `by` sort and group of mention the same."""

    by: Mapping[str, Mapping[str, ErrorKinds]] = field(default_factory=dict)


@dataclass(frozen=True)
class Reached:
    """How many of gold there are, and how many reach a stage of the head."""

    gold: int = 0
    reached: int = 0

    @property
    def share(self) -> float | None:
        """In [0, 1]; None without any gold."""
        return self.reached / self.gold if self.gold else None


@dataclass(frozen=True)
class FunnelStages:
    """How far gold mentions come, stage by stage."""

    fragments: Reached = field(default_factory=Reached)
    links: Reached = field(default_factory=Reached)
    candidates: Reached = field(default_factory=Reached)
    accepted: Reached = field(default_factory=Reached)


@dataclass(frozen=True)
class GoldFunnel(FunnelStages):
    """How far gold mentions come; `by` sort and group of mention the same."""

    by: Mapping[str, Mapping[str, FunnelStages]] = field(default_factory=dict)


@dataclass(frozen=True)
class SharedText:
    """What one split shares with another: documents in all, whole ones and touched ones; 13-grams in all and shared ones."""

    documents: int
    exact: int
    touched: int
    grams: int
    shared: int


@dataclass(frozen=True)
class Latency:
    """Seconds that a window takes alone, how many were measured, and their mean tokens."""

    p50: float | None = None
    p95: float | None = None
    windows: int = 0
    tokens: float | None = None


@dataclass(frozen=True)
class EnergyUse:
    """Energy over predicting and scoring the test split."""

    source: str | None
    joules: float
    tokens: int
    joules_per_1000_tokens: float | None


@dataclass(frozen=True)
class Efficiency:
    """Latency by task, and energy; None where no counter can be read."""

    latency: Mapping[str, Latency] = field(default_factory=dict)
    energy: EnergyUse | None = None


@dataclass(frozen=True)
class ConceptAccuracy:
    """Shares of mentions whose concept is found, how many count, and Wilson's interval of each share by its name."""

    mentions: int = 0
    unseen: int = 0
    new: int = 0
    accuracy: float | None = None
    accuracy_seen: float | None = None
    accuracy_unseen: float | None = None
    accuracy_new: float | None = None
    recall_at_1: float | None = None
    recall_at_5: float | None = None
    recall_at_20: float | None = None
    ci95: Mapping[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Concepts:
    """How well concepts are found: of all gold mentions, and of those that were predicted; and what links them."""

    linker: str
    gold: ConceptAccuracy
    found: ConceptAccuracy
    file: str | None = None
    names: int | None = None
    concepts: int | None = None
    unknown: Mapping[str, int] = field(default_factory=dict)
    judged: float | None = None
    missed: float | None = None
    embeddings: bool | None = None
    judged_with_embeddings: float | None = None
    threshold: float | None = None
