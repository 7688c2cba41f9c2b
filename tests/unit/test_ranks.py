"""The solver on hand-made shapes, with no torch."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from bench_plugins.architectures import Fused, PrivateOnly, SharedAndPrivate, SharedOnly, bench_architectures

from bench.adapters.ranks import declared, smallest_common_rank, solve_ranks
from bench.adapters.subset import even_subset
from bench.api.architecture import Adapter, Architecture
from bench.api.model import LinearShape
from bench.errors import InvariantError, UsageError

TASKS = ["a", "b", "c", "d", "e"]
FUSION = 2 * 384 * 64
FUSIONS = {"A4": FUSION, "A4-gated": 3 * 384 * 42}


def minilm() -> tuple[LinearShape, ...]:
    shapes = {
        "query": (384, 384),
        "key": (384, 384),
        "value": (384, 384),
        "out": (384, 384),
        "up": (384, 1536),
        "down": (1536, 384),
    }
    return tuple(LinearShape(f"layer.{i}.{name}", *shape) for i in range(6) for name, shape in shapes.items())


SIZE = 41_472
LORA = [one for one in bench_architectures() if isinstance(one, Architecture)]


@pytest.mark.parametrize("architecture", LORA, ids=lambda a: a.name)
def test_five_tasks_at_rank_8_where_whole_ranks_miss(architecture: Architecture) -> None:
    plan = solve_ranks(architecture, TASKS, minilm(), 8, FUSIONS.get(architecture.name, 0))
    assert plan.budget == 8 * SIZE
    assert abs(plan.total / plan.budget - 1) < 0.01
    assert plan.total == sum(a.parameters for a in plan.adapters.values()) + plan.fusion_parameters


def test_whole_ranks_where_they_fit() -> None:
    a1 = solve_ranks(SharedOnly(), ["x", "y"], minilm(), 16)
    a2 = solve_ranks(PrivateOnly(), ["x", "y"], minilm(), 16)
    a3 = solve_ranks(SharedAndPrivate(), ["x", "y"], minilm(), 16)
    assert [r.base for r in a1.adapters.values()] == [16]
    assert [r.base for r in a2.adapters.values()] == [8, 8]
    assert [r.base for r in a3.adapters.values()] == [8, 4, 4]
    assert a1.total == a2.total == a3.total == 16 * SIZE == 663_552
    assert not any(r.pattern for plan in (a1, a2, a3) for r in plan.adapters.values())
    assert a1.active == {"x": 663_552, "y": 663_552}
    assert a2.active == {"x": 331_776, "y": 331_776}
    assert a3.active == {"x": 12 * SIZE, "y": 12 * SIZE}


def test_fusion_is_paid_for_out_of_the_budget() -> None:
    plan = solve_ranks(Fused(), ["x", "y"], minilm(), 16, FUSION)
    assert plan.fusion_parameters == 49_152
    assert abs(plan.total / plan.budget - 1) < 0.01
    shared = sum(r.parameters for r in plan.adapters.values() if r.adapter.role == "shared")
    assert abs(shared / sum(r.parameters for r in plan.adapters.values()) - 0.5) < 0.05
    private = {r.parameters for r in plan.adapters.values() if r.adapter.role == "private"}
    assert len(private) == 1
    assert plan.active["x"] == plan.total - private.pop()


@pytest.mark.parametrize("architecture", LORA, ids=lambda a: a.name)
def test_ranks_that_another_run_has_fixed_are_kept_and_private_ones_take_the_rest(architecture: Architecture) -> None:
    fusion = FUSIONS.get(architecture.name, 0)
    first = solve_ranks(architecture, ["a", "b", "c"], minilm(), 16, fusion)
    given = {n: [rank for _, rank in r.ranks] for n, r in first.adapters.items() if r.adapter.role == "shared"}
    then = solve_ranks(architecture, ["x"], minilm(), 16, fusion, shared=given)
    assert {n: [rank for _, rank in r.ranks] for n, r in then.adapters.items() if r.adapter.role == "shared"} == given
    assert abs(then.total / then.budget - 1) < 0.01


def test_extra_ranks_lie_over_the_whole_depth() -> None:
    plan = solve_ranks(PrivateOnly(), TASKS, minilm(), 8)
    raised = plan.adapters["private-a"].pattern
    depths = {name.split(".")[1] for name in raised}
    assert {"0", "5"} <= depths
    assert len(depths) >= 4
    assert {rank for _, rank in plan.adapters["private-a"].ranks} == {1, 2}


def test_too_small_a_budget_names_the_smallest_that_works() -> None:
    with pytest.raises(
        InvariantError, match=r"--rank 5 .* 5 tasks; rank 1 in every layer already takes 248,832.*--rank 6\."
    ) as caught:
        solve_ranks(SharedAndPrivate(), TASKS, minilm(), 5)
    assert (caught.value.exit_code, caught.value.invariant) == (3, "parity")
    plan = solve_ranks(SharedAndPrivate(), TASKS, minilm(), 6)
    assert abs(plan.total / plan.budget - 1) < 0.01
    ones = solve_ranks(SharedAndPrivate(), TASKS, minilm(), 5, refuse=False)
    assert {rank for a in ones.adapters.values() for _, rank in a.ranks} == {1}


def test_the_smallest_common_rank_works_for_every_arm_and_one_less_does_not() -> None:
    group = [(a, FUSIONS.get(a.name, 0)) for a in LORA]
    smallest = smallest_common_rank(group, TASKS, minilm(), 1, 0.95)
    totals = [solve_ranks(a, TASKS, minilm(), smallest, fusion).total for a, fusion in group]
    assert min(totals) > 0.95 * max(totals)
    assert smallest == 8
    with pytest.raises(InvariantError, match="--rank 7 gives A4"):
        solve_ranks(Fused(), TASKS, minilm(), 7, FUSION)


class Declares(Architecture):
    name, version, summary = "odd", "1", "for tests"

    def __init__(self, adapters: Sequence[Adapter], passes: tuple[tuple[str, ...], ...]) -> None:
        self._adapters, self._passes = tuple(adapters), passes

    def adapters(self, tasks: Sequence[str]) -> tuple[Adapter, ...]:
        return self._adapters

    def passes(self, task: str) -> tuple[tuple[str, ...], ...]:
        return self._passes


GOOD = Adapter("s", "shared")


@pytest.mark.parametrize(
    ("adapters", "passes", "said"),
    [
        ([], (("s",),), "no adapter"),
        ([GOOD, GOOD], (("s",),), "two adapters are called 's'"),
        ([Adapter("a/b", "shared")], (("a/b",),), "adapter name 'a/b'"),
        ([Adapter("fusion", "shared")], (("fusion",),), "adapter name 'fusion'"),
        ([Adapter("s", "shared", "x")], (("s",),), "shared but belongs to task 'x'"),
        ([Adapter("p", "private")], (("p",),), "private but belongs to task None"),
        ([Adapter("p", "private", "z")], (("p",),), "belongs to task 'z'"),
        ([GOOD], (), "no pass"),
        ([GOOD], ((),), "no pass"),
        ([GOOD], (("t",),), "wants adapter 't'"),
        ([GOOD, Adapter("p", "private", "x")], (("s", "p"),), "a pass of task 'y' uses 'p', private to task 'x'"),
        ([GOOD, Adapter("t", "shared")], (("s",),), "no pass uses t"),
    ],
)
def test_what_an_architecture_may_not_declare(adapters: list[Adapter], passes: tuple[tuple[str, ...], ...], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        declared(Declares(adapters, passes), ["x", "y"])


def test_several_shared_adapters_of_a_third_party() -> None:
    odd = Declares([Adapter(f"s{i}", "shared") for i in range(3)], (("s0", "s1", "s2"),))
    plan = solve_ranks(odd, ["x"], minilm(), 16)
    assert abs(plan.total / plan.budget - 1) < 0.01
    assert len({r.parameters for r in plan.adapters.values()}) == 1


def test_private_names_are_folders_whatever_the_task_is_called() -> None:
    (adapter,) = PrivateOnly().adapters(["org/task.v1"])
    assert (adapter.name, adapter.task) == ("private-org-task-v1", "org/task.v1")
    assert PrivateOnly().passes("org/task.v1") == (("private-org-task-v1",),)


@pytest.mark.parametrize(("target", "total"), [(0, 0), (3.4, 3), (5.1, 5), (8, 8), (6.9, 6), (7.2, 8), (11, 11)])
def test_the_nearest_subset_sum(target: float, total: int) -> None:
    weights = [3, 5, 3]  # sums 0 3 5 6 8 11
    assert sum(weights[i] for i in even_subset(weights, target)) == total


def test_equal_weights_are_spread() -> None:
    assert even_subset([2] * 9, 6) == {1, 4, 7}
