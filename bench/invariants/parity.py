"""Parity: every arm of the group trains the same number of parameters, proved before any weight is loaded.

Every arm is built on the meta device and counted; the smallest count over the largest must exceed 0.95, for all trainable
parameters and for adapters and fusion alone, since equal heads would hide a difference. An arm of the group that cannot be
counted is named and left out, unless it is the one that runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.adapters.ranks import FUSION, RankPlan, smallest_common_rank, solve_ranks
from bench.api.architecture import Architecture
from bench.api.model import LinearShape
from bench.errors import BenchError, InvariantError

if TYPE_CHECKING:
    from torch import nn

    from bench.adapters.model import AdaptedModel

RULE = 0.95
"""count / max count has to exceed this."""

_BASE = "base model"
_HEAD = "head of "


@dataclass(frozen=True)
class ParityRow:
    """What one arm trains.

    Args:
        arm: the architecture.
        groups: adapter names, ``fusion`` and ``head of TASK`` to their trainable parameters.
        adapters: parameters of all adapters.
        fusion: parameters of the fusion.
        heads: parameters of all heads.
        active: task to the parameters its batches use, its head included.
        ratio: adapters + fusion over the largest such count of the group.
        ratio_all: the same for all trainable parameters.
        ranks: adapter name to its commonest rank.
    """

    arm: str
    groups: Mapping[str, int]
    adapters: int
    fusion: int
    heads: int
    active: Mapping[str, int]
    ratio: float
    ratio_all: float
    ranks: Mapping[str, int]

    @property
    def total(self) -> int:
        """All trainable parameters."""
        return self.adapters + self.fusion + self.heads

    def as_json(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "arm": self.arm, "adapters": self.adapters, "fusion": self.fusion, "heads": self.heads, "total": self.total,
            "active": dict(self.active), "ratio": self.ratio, "ratio_all": self.ratio_all, "ranks": dict(self.ranks),
        }  # fmt: skip


@dataclass(frozen=True)
class ParityReport:
    """The group's counts, and the ranks of the arm that runs.

    Args:
        arm: the architecture that runs.
        plan: its ranks.
        rows: one an arm, in the order given.
        holds: whether the rule holds.
        problem: why it does not, else None; only a waived invariant leaves one.
        waived: whether it was waived.
        notes: what a reader should know, such as arms that are the same.
        uncounted: installed arms that cannot be counted, to the reason; nothing is said of them.
    """

    arm: str
    plan: RankPlan
    rows: tuple[ParityRow, ...]
    holds: bool
    problem: str | None
    waived: bool
    notes: tuple[str, ...]
    uncounted: Mapping[str, str] = field(default_factory=dict)

    @property
    def row(self) -> ParityRow:
        """The arm that runs."""
        return next(row for row in self.rows if row.arm == self.arm)

    def as_json(self) -> dict[str, Any]:
        """JSON-able, as the result stores it."""
        return {
            "arm": self.arm, "rule": RULE, "holds": self.holds, "waived": self.waived, "problem": self.problem,
            "rows": [row.as_json() for row in self.rows], "plan": self.plan.as_json(), "notes": list(self.notes),
            "uncounted": dict(self.uncounted),
        }  # fmt: skip

    def warning(self) -> str | None:
        """What a user is told of the arms that are left out; None where there are none."""
        if not self.uncounted:
            return None
        told = "; ".join(f"{name}: {reason}" for name, reason in self.uncounted.items())
        return f"Parity says nothing of what cannot be counted ({told}). Run 'bench check {next(iter(self.uncounted))}'."

    def recount(self, model: AdaptedModel, heads: Mapping[str, nn.Module]) -> dict[str, int]:
        """Counts the real model; it must agree with the plan exactly.

        Args:
            model: the arm with its weights; count again after the first updates, for a fusion may grow in its forward.
            heads: task to head.

        Returns:
            What was counted, by group.

        Raises:
            InvariantError: unless waived, naming every group of parameters that differs.
        """
        counted = count(model, heads)
        planned = dict(self.row.groups)
        odd = [name for name in dict.fromkeys([*planned, *counted]) if planned.get(name, 0) != counted.get(name, 0)]
        if odd and not self.waived:
            told = "; ".join(f"{name} has {counted.get(name, 0):,}, planned {planned.get(name, 0):,}" for name in odd)
            free = [n for n, p in model.backbone.named_parameters() if p.requires_grad and ".lora_" not in n]
            where = f" (unfrozen: {', '.join(free[:3])}{', …' if len(free) > 3 else ''})" if free else ""
            raise InvariantError(
                "parity",
                f"the trainable parameters of {self.arm} are not those of its plan: {told}{where}.",
                f"Run 'bench check {self.arm}'.",
            )
        return counted


def check(
    arms: Sequence[Architecture],
    arm: str,
    tasks: Sequence[str],
    linears: Sequence[LinearShape],
    budget_rank: int,
    backbone: Callable[[], nn.Module],
    heads: Mapping[str, Callable[[], nn.Module]],
    *,
    waived: bool = False,
) -> ParityReport:
    """Solves, builds and counts every arm on the meta device.

    Args:
        arms: the group, the arm that runs among them.
        arm: the name of the architecture that runs.
        tasks: names of the tasks.
        linears: every linear layer that gets an adapter.
        budget_rank: the budget N.
        backbone: makes a fresh backbone on the meta device, which is then changed.
        heads: task to what makes its head.
        waived: record instead of raise.

    Raises:
        InvariantError: the arm that runs cannot be counted (waived: cannot be built), the budget is too small for an arm, or
            the rule does not hold; it names the smallest N that works for every arm.
    """
    config: Any = backbone().config
    solved: list[tuple[Architecture, int, RankPlan]] = []
    counts: dict[str, dict[str, int]] = {}
    uncounted: dict[str, str] = {}
    problem: str | None = None
    for one in arms:
        try:
            fusion = fusion_parameters(one, config.hidden_size)
            plan = solve_ranks(one, tasks, linears, budget_rank, fusion, refuse=False)
            counts[one.name] = _on_meta(one, tasks, plan, backbone, heads)
            _refuse_base(one, counts[one.name])
        except Exception as error:  # an arm is a plugin's code: whatever it raises says that it cannot be counted
            if one.name != arm:
                uncounted[one.name] = _told(error)
                continue
            problem = f"{arm} cannot be counted: {_told(error)}"
            if not waived or arm not in counts:
                raise InvariantError("parity", f"{problem}.", f"Run 'bench check {arm}'.") from error
        solved.append((one, fusion, plan))
    counts = {one.name: counts[one.name] for one, _, _ in solved}
    rows = _rows(solved, counts, tasks)
    if problem is None and (problem := _broken(rows, solved, tasks, linears, budget_rank)) and not waived:
        smallest = smallest_common_rank([(one, fusion) for one, fusion, _ in solved], tasks, linears, budget_rank, RULE)
        raise InvariantError("parity", f"{problem}.", f"The smallest that works for every arm is --rank {smallest}.")
    plans = {one.name: plan for one, _, plan in solved}
    notes = _notes([one for one, _, _ in solved], tasks)
    return ParityReport(arm, plans[arm], rows, problem is None, problem, waived, notes, uncounted)


def fusion_parameters(architecture: Architecture, hidden_size: int) -> int:
    """Parameters of an architecture's fusion, counted on the meta device; 0 where it has none.

    Raises:
        InvariantError: a parameter takes its shape only when it is first used, so that nothing can be counted beforehand.
    """
    import torch

    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        fusion = architecture.fusion(hidden_size)
    parameters = list(fusion.parameters()) if fusion is not None else []
    if any(isinstance(parameter, torch.nn.UninitializedParameter) for parameter in parameters):
        raise InvariantError("parity", f"the fusion of {architecture.name} has lazy parameters, which cannot be planned.")
    return sum(parameter.numel() for parameter in parameters)


def count(model: AdaptedModel, heads: Mapping[str, nn.Module]) -> dict[str, int]:
    """Trainable parameters by group: every adapter, ``fusion``, ``head of TASK``, and ``base model`` where that is not frozen.

    Everything with ``requires_grad`` is counted, each tensor once, wherever it is.
    """
    seen: set[int] = set()
    counted: dict[str, int] = {}

    def tally(name: str, parameters: Iterable[nn.Parameter]) -> None:
        for parameter in parameters:
            if parameter.requires_grad and id(parameter) not in seen:
                seen.add(id(parameter))
                counted[name] = counted.get(name, 0) + parameter.numel()

    for name, parameters in model.components().items():
        tally(name, parameters)
    if model.fusion is not None:
        tally(FUSION, model.fusion.parameters())
    for task, head in heads.items():
        tally(_HEAD + task, head.parameters())
    tally(_BASE, model.parameters())
    return counted


def _on_meta(
    architecture: Architecture,
    tasks: Sequence[str],
    plan: RankPlan,
    backbone: Callable[[], nn.Module],
    heads: Mapping[str, Callable[[], nn.Module]],
) -> dict[str, int]:
    import torch

    from bench.adapters.model import AdaptedModel

    model = AdaptedModel(backbone(), architecture, tasks, plan)
    with torch.random.fork_rng(devices=[]):
        return count(model, {task: _head(make) for task, make in heads.items()})


def _refuse_base(architecture: Architecture, counted: Mapping[str, int]) -> None:
    if counted.get(_BASE):
        raise InvariantError("parity", f"{architecture.name} trains {counted[_BASE]:,} parameters of the base model.")


def _head(make: Callable[[], nn.Module]) -> nn.Module:
    import torch

    try:
        with torch.device("meta"):
            return make()
    except (RuntimeError, NotImplementedError):  # it reads a value while it starts, which meta tensors do not have
        return make()


def _rows(
    solved: Sequence[tuple[Architecture, int, RankPlan]], counts: Mapping[str, Mapping[str, int]], tasks: Sequence[str]
) -> tuple[ParityRow, ...]:
    def heads(groups: Mapping[str, int]) -> int:
        return sum(number for name, number in groups.items() if name.startswith(_HEAD))

    largest = max(sum(groups.values()) - heads(groups) for groups in counts.values())
    largest_all = max(sum(groups.values()) for groups in counts.values())
    rows = []
    for one, _, plan in solved:
        groups = counts[one.name]
        body = sum(groups.values()) - heads(groups)
        rows.append(
            ParityRow(
                arm=one.name,
                groups=groups,
                adapters=body - groups.get(FUSION, 0),
                fusion=groups.get(FUSION, 0),
                heads=heads(groups),
                active={task: plan.active[task] + groups.get(_HEAD + task, 0) for task in tasks},
                ratio=body / largest,
                ratio_all=sum(groups.values()) / largest_all,
                ranks={name: ranks.base for name, ranks in plan.adapters.items()},
            )
        )
    return tuple(rows)


def _broken(
    rows: Sequence[ParityRow],
    solved: Sequence[tuple[Architecture, int, RankPlan]],
    tasks: Sequence[str],
    linears: Sequence[LinearShape],
    budget_rank: int,
) -> str | None:
    """Why the rule does not hold, or None."""
    for one, fusion, _ in solved:
        try:
            solve_ranks(one, tasks, linears, budget_rank, fusion)
        except InvariantError as error:
            return _told(error)
    for row in rows:
        if min(row.ratio, row.ratio_all) <= RULE:
            largest = max(rows, key=lambda other: other.adapters + other.fusion)
            return (
                f"at --rank {budget_rank} {row.arm} trains {row.adapters + row.fusion:,} adapter and fusion parameters, "
                f"{row.ratio:.1%} of the {largest.adapters + largest.fusion:,} of {largest.arm}; more than {RULE:.0%} is asked"
            )
    return None


def _told(error: Exception) -> str:
    """What an error says, without the invariant's name in front and the full stop."""
    if isinstance(error, InvariantError):
        return error.message.partition(": ")[2].rstrip(".")
    return error.message.rstrip(".") if isinstance(error, BenchError) else f"{type(error).__name__}: {error}"


def _notes(arms: Sequence[Architecture], tasks: Sequence[str]) -> tuple[str, ...]:
    same = [one.name for one in arms if len(tasks) == 1 and len(one.passes(tasks[0])) == 1]
    if len(same) < 2:
        return ()
    return (
        f"With one task {', '.join(same[:-1])} and {same[-1]} are one and the same but for their start; "
        "an ablation wants two tasks or more.",
    )
