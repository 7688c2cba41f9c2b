"""Any tasks, any shapes: what the solver promises."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from bench_plugins.architectures import bench_architectures
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bench.adapters.ranks import SLACK, WHOLE, magnitudes, smallest_common_rank, solve_ranks, weight
from bench.adapters.subset import even_subset
from bench.api.architecture import Adapter, Architecture
from bench.api.model import LinearShape
from bench.errors import InvariantError

LORA = [one for one in bench_architectures() if isinstance(one, Architecture)]
FUSIONS = {"A4": 128, "A4-gated": 126}
"""Architecture to the parameters of its fusion for each dimension of the hidden states."""

shapes = st.lists(st.tuples(st.integers(1, 4096), st.integers(1, 4096)), min_size=1, max_size=40).map(
    lambda pairs: tuple(LinearShape(f"l.{i}", *pair) for i, pair in enumerate(pairs))
)


class Many(Architecture):
    """Several shared adapters and several private ones a task."""

    name, version, summary = "many", "1", "for tests"

    def __init__(self, shared: int, private: int) -> None:
        self.shared, self.private = shared, private

    def _names(self, task: str) -> list[str]:
        return [f"p-{task}-{i}" for i in range(self.private)]

    def adapters(self, tasks: Sequence[str]) -> tuple[Adapter, ...]:
        own = [Adapter(name, "private", task) for task in tasks for name in self._names(task)]
        return tuple([Adapter(f"s-{i}", "shared") for i in range(self.shared)] + own)

    def passes(self, task: str) -> tuple[tuple[str, ...], ...]:
        return (tuple([f"s-{i}" for i in range(self.shared)] + self._names(task)),)


architectures = st.one_of(
    st.sampled_from(LORA),
    st.builds(Many, st.integers(0, 3), st.integers(0, 3)).filter(lambda many: many.shared + many.private > 0),
)


def _best_whole(numbers: list[int], size: int, rest: int) -> int:
    """The smallest distance from the budget that whole ranks of at least 1 can reach."""
    if len(numbers) == 1:
        return min(abs(numbers[0] * rank * size - rest) for rank in range(1, rest // (numbers[0] * size) + 2))
    first, second = numbers
    return min(
        abs((first * a + second * b) * size - rest)
        for a in range(1, rest // (first * size) + 2)
        for b in {max(1, (rest - first * a * size) // (second * size) + up) for up in (0, 1)}
    )


@settings(max_examples=150, deadline=None)
@given(architectures, st.integers(1, 12), st.integers(2, 64), shapes, st.floats(0, 0.4))
def test_never_further_from_the_budget_than_whole_ranks(
    architecture: Architecture, tasks: int, rank: int, linears: tuple[LinearShape, ...], fused: float
) -> None:
    names = [f"t{i}" for i in range(tasks)]
    size = sum(map(weight, linears))
    fusion = int(fused * rank * size) if len(architecture.passes(names[0])) > 1 else 0
    adapters = architecture.adapters(names)
    try:
        plan = solve_ranks(architecture, names, linears, rank, fusion)
    except InvariantError:
        assert len(adapters) * size + fusion + magnitudes(architecture, names, linears) > rank * size * (1 + SLACK)
        return
    fixed = fusion + magnitudes(architecture, names, linears)
    by_role: dict[str, set[int]] = {}
    for ranks in plan.adapters.values():
        own = [r for _, r in ranks.ranks]
        assert min(own) >= 1
        assert max(own) - min(own) <= 1
        by_role.setdefault(ranks.adapter.role, set()).add(ranks.parameters)
    assert all(len(sizes) == 1 for sizes in by_role.values())
    numbers = [sum(a.role == role for a in adapters) for role in by_role]
    best = _best_whole(numbers, size, rank * size - fixed)
    assert abs(plan.total - plan.budget) <= max(best, WHOLE * plan.budget) + 1e-6
    # The grain of per-layer ranks is half a step of the dearest layer in every adapter of the rarer role.
    grain = min(numbers) * max(map(weight, linears)) / 2
    if rank * size >= len(adapters) * size + fixed:
        assert abs(plan.total - plan.budget) <= max(grain, WHOLE * plan.budget) + 1


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12), st.integers(2, 64), st.integers(64, 2048), st.integers(2, 24))
def test_transformers_hold_parity_whenever_the_budget_is_not_refused(tasks: int, rank: int, hidden: int, layers: int) -> None:
    names = [f"t{i}" for i in range(tasks)]
    one = [(hidden, hidden)] * 4 + [(hidden, 4 * hidden), (4 * hidden, hidden)]
    linears = tuple(LinearShape(f"{i}.{j}", *shape) for i in range(layers) for j, shape in enumerate(one))
    plans = []
    for architecture in LORA:
        try:
            plans.append(solve_ranks(architecture, names, linears, rank, hidden * FUSIONS.get(architecture.name, 0)))
        except InvariantError:
            assume(False)
    assert all(abs(plan.total / plan.budget - 1) <= SLACK for plan in plans if layers >= 6)
    totals = [plan.total for plan in plans]
    if layers >= 4:
        assert min(totals) > 0.95 * max(totals)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 12), shapes, st.integers(1, 20))
def test_the_named_rank_works(tasks: int, linears: tuple[LinearShape, ...], above: int) -> None:
    names = [f"t{i}" for i in range(tasks)]
    group = [(architecture, 40 * FUSIONS.get(architecture.name, 0)) for architecture in LORA]
    rank = smallest_common_rank(group, names, linears, above, 0.95)
    totals = [solve_ranks(one, names, linears, rank, fusion).total for one, fusion in group]
    assert rank > above
    assert min(totals) > 0.95 * max(totals)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=9), st.floats(0, 1))
def test_the_subset_is_the_nearest_of_all(weights: list[int], share: float) -> None:
    target = share * sum(weights)
    best = min(abs(sum(some) - target) for n in range(len(weights) + 1) for some in combinations(weights, n))
    assert abs(sum(weights[i] for i in even_subset(weights, target)) - target) == best
