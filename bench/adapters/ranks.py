"""Solving LoRA ranks so that every arm trains the same number of parameters. No torch in here.

With S = Σ(in+out) over the adapted linears, an adapter of rank r everywhere has r·S parameters, and an arm may train N·S:
adapters and fusion together. Whole ranks are tried first; where they miss the budget, single layers get one rank more,
spread over the depth.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from math import ceil
from typing import Any

from bench.adapters.subset import even_subset
from bench.api.architecture import Adapter, Architecture
from bench.api.model import LinearShape
from bench.errors import InvariantError, UsageError
from bench.wording import some

WHOLE = 0.01
"""Whole ranks are good enough within this share of the budget."""
SLACK = 0.02
"""Rank 1 everywhere may exceed the budget by this share; two arms at its ends still hold the rule of 0.95."""
FUSION = "fusion"
"""What the fusion is called among the components; no adapter may be called so."""

_NAME = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class AdapterRanks:
    """The ranks of one adapter.

    Args:
        adapter: name, role and task.
        ranks: (linear, rank) for every adapted linear, in the backbone's order; no rank is 0.
        magnitudes: whether every layer has DoRA's magnitudes as well, one an output.
    """

    adapter: Adapter
    ranks: tuple[tuple[LinearShape, int], ...]
    magnitudes: bool = False

    @property
    def base(self) -> int:
        """The commonest rank, the smaller one where two are equally common: PEFT's ``r``."""
        counts = Counter(rank for _, rank in self.ranks)
        return min(counts, key=lambda rank: (-counts[rank], rank))

    @property
    def pattern(self) -> dict[str, int]:
        """Name of a linear to its rank, for those that differ from `base`."""
        return {linear.name: rank for linear, rank in self.ranks if rank != self.base}

    @property
    def parameters(self) -> int:
        """Number of parameters, Σ rank·(in+out), and Σ out more where there are magnitudes."""
        return sum(rank * weight(linear) + self.magnitudes * linear.outputs for linear, rank in self.ranks)

    def as_json(self) -> dict[str, Any]:
        """JSON-able: role, task, rank, the layers that differ, parameters."""
        return {
            "role": self.adapter.role, "task": self.adapter.task, "rank": self.base, "rank_pattern": self.pattern,
            "parameters": self.parameters,
        }  # fmt: skip


@dataclass(frozen=True)
class RankPlan:
    """The ranks of one arm.

    Args:
        architecture: its name.
        budget_rank: the budget N.
        budget: N·S parameters.
        adapters: adapter name to its ranks, in the architecture's order.
        fusion_parameters: parameters of the fusion, 0 where there is none.
        active: task to the parameters (adapters + fusion) that a batch of it uses.
    """

    architecture: str
    budget_rank: int
    budget: int
    adapters: Mapping[str, AdapterRanks]
    fusion_parameters: int
    active: Mapping[str, int]

    @property
    def total(self) -> int:
        """Parameters of all adapters and the fusion."""
        return self.fusion_parameters + sum(a.parameters for a in self.adapters.values())

    def as_json(self) -> dict[str, Any]:
        """JSON-able, as the result stores it."""
        return {
            "architecture": self.architecture, "budget_rank": self.budget_rank, "budget": self.budget, "total": self.total,
            "adapters": {name: ranks.as_json() for name, ranks in self.adapters.items()},
            "fusion_parameters": self.fusion_parameters, "active": dict(self.active),
        }  # fmt: skip


def weight(linear: LinearShape) -> int:
    """Parameters that one rank costs in this linear layer."""
    return linear.inputs + linear.outputs


def declared(architecture: Architecture, tasks: Sequence[str]) -> tuple[Adapter, ...]:
    """The adapters of an architecture, checked by the rules of `bench.api.Architecture`.

    Raises:
        UsageError: names that clash or cannot be folders, a role without its task, a pass with an unknown adapter or another
            task's private one, an adapter that no pass uses.
    """
    adapters = architecture.adapters(tasks)
    names = [adapter.name for adapter in adapters]
    used: set[str] = set()

    def wrong(what: str) -> UsageError:
        return UsageError(f"Architecture {architecture.name!r}: {what}.", f"Run 'bench check {architecture.name}'.")

    if not adapters:
        raise wrong("it declares no adapter")
    for adapter in adapters:
        if not _NAME.fullmatch(adapter.name) or adapter.name == FUSION:
            raise wrong(f"adapter name {adapter.name!r}; wanted letters, digits, '-' and '_', and not {FUSION!r}")
        if names.count(adapter.name) > 1:
            raise wrong(f"two adapters are called {adapter.name!r}")
        if (adapter.role == "shared") != (adapter.task is None) or (adapter.task is not None and adapter.task not in tasks):
            raise wrong(f"adapter {adapter.name!r} is {adapter.role} but belongs to task {adapter.task!r}")
    others = {adapter.name: adapter.task for adapter in adapters}
    for task in tasks:
        passes = architecture.passes(task)
        if not passes or not all(passes):
            raise wrong(f"task {task!r} has no pass, or one without an adapter")
        for name in (name for path in passes for name in path):
            if name not in others:
                raise wrong(f"a pass of task {task!r} wants adapter {name!r}, which it does not declare")
            if others[name] not in (None, task):
                raise wrong(f"a pass of task {task!r} uses {name!r}, private to task {others[name]!r}")
            used.add(name)
    if idle := [name for name in names if name not in used]:
        raise wrong(f"no pass uses {', '.join(idle)}")
    return adapters


def solve_ranks(
    architecture: Architecture,
    tasks: Sequence[str],
    linears: Sequence[LinearShape],
    budget_rank: int,
    fusion_parameters: int = 0,
    *,
    refuse: bool = True,
    shared: Mapping[str, Sequence[int]] | None = None,
) -> RankPlan:
    """Ranks for every adapter, nearest to the budget and with the shared part near one half.

    All private adapters are of equal size, and so are all shared ones. A layer's rank differs by one at most within an
    adapter.

    Args:
        architecture: the arm.
        tasks: names of the tasks, at least one.
        linears: every linear layer that gets an adapter.
        budget_rank: the budget N; N·S parameters.
        fusion_parameters: what the arm's fusion takes of the budget.
        refuse: False gives rank 1 everywhere where that is too much already (the invariant is waived).
        shared: the ranks of shared adapters where another run has fixed them; private ones then take what is left.

    Raises:
        InvariantError: rank 1 everywhere already is too much; it names the smallest N that works.
        UsageError: the architecture declares adapters that cannot be.
    """
    if not tasks or not linears:
        raise UsageError("Adapters need at least one task and one linear layer of the base model.")
    adapters = declared(architecture, tasks)
    size = sum(map(weight, linears))
    budget = budget_rank * size
    fixed = fusion_parameters + magnitudes(architecture, tasks, linears)
    least = len(adapters) * size + fixed
    if refuse and least > budget * (1 + SLACK):
        smallest = _least_rank(least, size)
        raise InvariantError(
            "parity",
            f"--rank {budget_rank} gives {architecture.name} {some(budget, 'adapter parameter')} for {len(tasks)} "
            f"{'task' if len(tasks) == 1 else 'tasks'}; rank 1 in every layer already takes {least:,}.",
            f"The smallest that works for {architecture.name} is --rank {smallest}.",
        )
    numbers = Counter[str](adapter.role for adapter in adapters)
    if shared:
        chosen: dict[str, Sequence[int]] = {each.name: shared[each.name] for each in adapters if each.role == "shared"}
        rest = budget - fixed - sum(_cost(linears, ranks) for ranks in chosen.values())
        if numbers["private"]:
            each = _fill(linears, numbers["private"], rest, budget)
            chosen |= {adapter.name: each for adapter in adapters if adapter.role == "private"}
    else:
        roles = _split(numbers, linears, budget, budget - fixed)
        chosen = {adapter.name: roles[adapter.role] for adapter in adapters}
    solved = {
        adapter.name: AdapterRanks(adapter, tuple(zip(linears, chosen[adapter.name], strict=True)), architecture.variant.dora)
        for adapter in adapters
    }
    active: dict[str, int] = {}
    for task in tasks:
        passes = architecture.passes(task)
        names = {name for path in passes for name in path}
        active[task] = sum(solved[name].parameters for name in names) + (fusion_parameters if len(passes) > 1 else 0)
    return RankPlan(architecture.name, budget_rank, budget, solved, fusion_parameters, active)


def magnitudes(architecture: Architecture, tasks: Sequence[str], linears: Sequence[LinearShape]) -> int:
    """Parameters of DoRA's magnitudes over all adapters of an arm; 0 where there are none."""
    if not architecture.variant.dora:
        return 0
    return len(architecture.adapters(tasks)) * sum(linear.outputs for linear in linears)


def smallest_common_rank(
    fusions: Sequence[tuple[Architecture, int]],
    tasks: Sequence[str],
    linears: Sequence[LinearShape],
    above: int,
    ratio: float,
) -> int:
    """The smallest budget N above a given one at which every arm can be solved and the parity rule holds.

    It exists: the ranks' grain is fixed, so it vanishes beside a growing budget.

    Args:
        fusions: each architecture with the parameters of its fusion.
        tasks: names of the tasks.
        linears: every linear layer that gets an adapter.
        above: the budget that did not work.
        ratio: what smallest over largest count has to exceed.
    """
    size = sum(map(weight, linears))
    first = max(
        _least_rank(len(arm.adapters(tasks)) * size + fusion + magnitudes(arm, tasks, linears), size) for arm, fusion in fusions
    )
    for rank in count(max(above + 1, first)):
        totals = [solve_ranks(arm, tasks, linears, rank, fusion).total for arm, fusion in fusions]
        if min(totals) > ratio * max(totals):
            return rank
    raise AssertionError("unreachable: count() does not end")


def _least_rank(least: int, size: int) -> int:
    """The smallest budget N whose N·S holds `least` parameters, the slack included."""
    return next(n for n in count(max(1, ceil(least / size / (1 + SLACK)) - 1)) if least <= n * size * (1 + SLACK))


def _split(numbers: Mapping[str, int], linears: Sequence[LinearShape], budget: int, rest: int) -> dict[str, list[int]]:
    """Ranks by role, given how many adapters have it and the parameters they may take together."""
    size = sum(map(weight, linears))
    if len(numbers) == 1:
        ((role, number),) = numbers.items()
        return {role: _fill(linears, number, rest, budget)}
    # The role with fewer adapters is the finer scale: a rank more costs less there, so it takes up what the other leaves.
    coarse, fine = sorted(numbers, key=lambda role: (-numbers[role], role))
    least, most = numbers[coarse] * size, max(rest - numbers[fine] * size, numbers[coarse] * size)

    def completed(ranks: list[int]) -> dict[str, list[int]]:
        left = rest - numbers[coarse] * _cost(linears, ranks)
        return {coarse: ranks, fine: _fill(linears, numbers[fine], left, budget)}

    def miss(split: Mapping[str, list[int]]) -> int:
        return abs(sum(numbers[role] * _cost(linears, ranks) for role, ranks in split.items()) - rest)

    nearest = sorted(range(1, most // least + 1), key=lambda rank: (abs(rank * least - rest / 2), rank))
    for rank in nearest[:3]:
        whole = completed([rank] * len(linears))
        if len(set(whole[fine])) == 1 and miss(whole) <= WHOLE * budget:
            return whole
    halves = completed(_fill(linears, numbers[coarse], min(max(rest // 2, least), most), budget))
    if miss(halves) <= WHOLE * budget:
        return halves
    return min((halves, *(completed([rank] * len(linears)) for rank in nearest)), key=miss)


def _fill(linears: Sequence[LinearShape], number: int, total: int, budget: int) -> list[int]:
    """One rank a linear for `number` equal adapters that take `total` parameters together."""
    size = sum(map(weight, linears))
    whole = max(1, round(total / (number * size)))
    if abs(number * whole * size - total) <= WHOLE * budget or total < number * size:
        return [whole] * len(linears)
    floor = total // (number * size)
    more = even_subset([weight(linear) for linear in linears], total / number - floor * size)
    return [floor + (index in more) for index in range(len(linears))]


def _cost(linears: Sequence[LinearShape], ranks: Sequence[int]) -> int:
    """Parameters of one adapter with these ranks."""
    return sum(rank * weight(linear) for linear, rank in zip(linears, ranks, strict=True))
