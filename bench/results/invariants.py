"""What the five invariants leave in a result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal["held", "waived", "not parameter-matched", "unknown"]
"""``unknown`` of a system that was imported."""


@dataclass
class Account:
    """What one task has cost so far.

    Args:
        tokens: marked by the attention mask; the count that budgets control. Several passes count once.
        padded: positions that hold no token.
        supervised: positions that a loss was taken over.
        examples: windows, repeats included.
        updates: optimizer steps that held at least one of its examples.
        flops: floating-point operations, forward and backward, padding and every pass included.
    """

    tokens: int = 0
    padded: int = 0
    supervised: int = 0
    examples: int = 0
    updates: int = 0
    flops: int = 0


@dataclass(frozen=True)
class Tokens:
    """The token ledger of the whole run.

    Args:
        status: whether it was enforced.
        total: marked tokens of all tasks together.
        budget: what was to be spent.
        controlled: whether the budget ended training, rather than early stopping.
        tasks: task to its account.
        epochs: task to passes over its training split.
        disagreements: updates at which the base model saw other tokens than the ledger was told.
    """

    status: Status = "held"
    total: int | None = None
    budget: int | None = None
    controlled: bool = True
    tasks: Mapping[str, Account] = field(default_factory=dict)
    epochs: Mapping[str, float] = field(default_factory=dict)
    disagreements: int = 0


@dataclass(frozen=True)
class ArmParameters:
    """Trainable parameters of one arm; ratios are over the largest count of the group.

    Args:
        arm: the architecture.
        adapters: parameters of all components but the fusion.
        fusion: parameters of the fusion.
        heads: parameters of all heads.
        total: all of them.
        active: task to the parameters its batches use, its head included.
        ratio: of adapters and fusion.
        ratio_all: of all trainable parameters.
        ranks: adapter to its commonest rank.
    """

    arm: str
    adapters: int
    fusion: int
    heads: int
    total: int
    active: Mapping[str, int]
    ratio: float
    ratio_all: float
    ranks: Mapping[str, int]


@dataclass(frozen=True)
class Parity:
    """Trainable parameters of every arm of the group.

    Args:
        status: whether it was enforced.
        arm: the one that ran.
        rule: the ratio that has to be exceeded.
        holds: whether it is.
        waived: whether it need not be.
        problem: why it does not hold, else None; only a waived invariant leaves one.
        rows: one an arm.
        plan: how the arm spends its budget, such as its ranks; what an architecture says of itself, so open.
        notes: what a reader should know, such as arms that are the same.
        uncounted: installed arms that cannot be counted, to the reason; nothing is said of them.
        group: that the arm names; None where it is compared with nothing.
    """

    status: Status = "held"
    arm: str | None = None
    rule: float | None = None
    holds: bool | None = None
    waived: bool = False
    problem: str | None = None
    rows: tuple[ArmParameters, ...] = ()
    plan: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    uncounted: Mapping[str, str] = field(default_factory=dict)
    group: str | None = None

    @property
    def own(self) -> ArmParameters | None:
        """The arm that ran."""
        return next((row for row in self.rows if row.arm == self.arm), None)


@dataclass(kw_only=True)
class SmokeReport:
    """What the smoke gate saw.

    Args:
        passed: whether every task learned and every tensor moved.
        waived: whether the user named it with ``--waive smoke``.
        loss: task to the mean loss over its examples before and after.
        curve: task to the loss of each update.
        dead: task to the trainable tensors without a gradient or an update.
        gradients: task to gradient norm by component after two updates and one evaluation.
        frozen: parameters that do not train, by what holds them.
        examples: task to the number of examples used.
        unlabelled: task to the share of its training examples without a label.
        lr: learning rate used.
        trials: of a run that did not pass, other rates with the worst ratio of a task's loss after to its loss before.
    """

    passed: bool = False
    waived: bool = False
    loss: dict[str, tuple[float, float]] = field(default_factory=dict)
    curve: dict[str, list[float]] = field(default_factory=dict)
    dead: dict[str, list[str]] = field(default_factory=dict)
    gradients: dict[str, dict[str, float]] = field(default_factory=dict)
    frozen: dict[str, int] = field(default_factory=dict)
    examples: dict[str, int] = field(default_factory=dict)
    unlabelled: dict[str, float] = field(default_factory=dict)
    lr: float = 0.0
    trials: dict[str, float] = field(default_factory=dict)


@dataclass(kw_only=True)
class Smoke(SmokeReport):
    """What the smoke gate saw, and its ``status``."""

    status: Status = "held"


@dataclass
class BatchReport:
    """What the search for a micro-batch found.

    Args:
        micro_batch: padded tokens of a micro-batch at most.
        limit: bytes.
        peak: bytes the process is expected to reach at that micro-batch; None where nothing was probed.
        binds: what decided: ``memory``, ``update``, or ``user``.
        longest: tokens of the longest example.
        probes: padded tokens tried and the peak each gave (None: out of memory).
        waived: whether ``--waive batch`` was given.
        gradient_checkpointing: whether layers are computed again in the backward pass.
    """

    micro_batch: int
    limit: int
    peak: int | None
    binds: str
    longest: int
    probes: list[tuple[int, int | None]] = field(default_factory=list)
    waived: bool = False
    gradient_checkpointing: bool = False


@dataclass(kw_only=True)
class Batch(BatchReport):
    """What the search found, its ``status``, and ``final_micro_batch``, which deaths for want of memory make smaller."""

    status: Status = "held"
    final_micro_batch: int | None = None


@dataclass(frozen=True)
class Checkpoint:
    """Checkpoints.

    Args:
        status: whether it was enforced.
        written: how many.
        seconds: they took.
        resumed_from: updates that the run went on from.
    """

    status: Status = "held"
    written: int = 0
    seconds: float = 0.0
    resumed_from: tuple[int, ...] = ()


@dataclass(frozen=True)
class Invariants:
    """What each control found. Each has ``status``: ``held``, or ``waived`` where it was not enforced."""

    tokens: Tokens
    parity: Parity
    smoke: Smoke
    batch: Batch
    checkpoint: Checkpoint
