"""Phases: together on the budget, each with its tasks alone, and the same again from any position."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.api.schedule import Phase
from bench.data.batches import Sampler
from bench.data.phases import Phases, checked, tasks_of, total_shares
from bench.errors import UsageError

TASKS = ("a", "b", "c")
BATCH = 128


@st.composite
def cases(draw: st.DrawFn) -> dict[str, Any]:
    seed = draw(st.integers(0, 1000))
    rng = np.random.default_rng(seed)
    lengths = {task: rng.integers(3, 40, size=draw(st.integers(1, 60))) for task in TASKS}
    order = draw(st.lists(st.sets(st.sampled_from(TASKS), min_size=1), min_size=1, max_size=5))
    parts = [draw(st.integers(1, 9)) for _ in order]
    phases = [
        Phase(part / sum(parts), dict.fromkeys(sorted(tasks), 1 / len(tasks))) for part, tasks in zip(parts, order, strict=True)
    ]
    return {"lengths": lengths, "phases": phases, "seed": seed, "budget": draw(st.integers(400, 6000))}


def made(case: Mapping[str, Any], restarts: bool = True) -> Phases:
    def make(tasks: Sequence[str], seed: int, tokens: int) -> Sampler:
        return Sampler({task: case["lengths"][task] for task in tasks}, seed, BATCH, tokens)

    whole = make(tasks_of(case["phases"]), case["seed"], case["budget"])
    return Phases(make, whole, case["phases"], case["seed"], restarts)


@given(cases())
def test_phases_spend_the_budget_in_order(case: dict[str, Any]) -> None:
    sampler, ended = made(case), 0
    tokens: list[int] = []
    while not sampler.done:
        start, length = sampler.span
        assert 0 <= sampler.tokens - start <= length + 40 or sampler.ended > ended
        drawn = sampler.draw()
        phase = sampler.phases[len(tokens)]
        assert set(drawn.examples) <= set(phase.shares)
        assert drawn.tokens == sum(int(case["lengths"][t][list(e)].sum()) for t, e in drawn.examples.items())
        assert drawn.step == sampler.step - 1
        if sampler.ended > ended:
            ended += 1
            tokens.append(sampler.tokens)
    assert ended == len(case["phases"])
    ends = np.cumsum([phase.tokens for phase in case["phases"]]) * case["budget"]
    # every phase ends where the shares say, to within an example; a phase of less than an example draws one all the same
    slack = 40 * len(case["phases"])
    assert all(abs(found - wanted) <= slack for found, wanted in zip(tokens, ends, strict=True))
    seen = sampler.epochs()
    assert sum(seen[t] * int(case["lengths"][t].sum()) for t in seen) == pytest.approx(sampler.tokens)


@given(cases(), st.integers(0, 30))
def test_from_any_position_the_same_updates_follow(case: dict[str, Any], after: int) -> None:
    sampler = made(case)
    for _ in range(after):
        if sampler.done:
            break
        sampler.draw()
    other = made(case)
    other.restore(sampler.state())
    assert (other.tokens, other.step, other.ended, other.span) == (sampler.tokens, sampler.step, sampler.ended, sampler.span)
    while not sampler.done:
        assert other.draw() == sampler.draw()
    assert other.done


def test_one_phase_of_all_tasks_is_the_sampler_itself() -> None:
    lengths = {task: np.arange(5, 35) + i for i, task in enumerate(TASKS)}
    case = {"lengths": lengths, "phases": [Phase(1.0, dict.fromkeys(TASKS, 1 / 3))], "seed": 7, "budget": 3000}
    plain = Sampler(lengths, 7, BATCH, 3000, "uniform")
    assert list(iter_all(made(case))) == list(plain)


def iter_all(sampler: Phases) -> Any:
    while not sampler.done:
        yield sampler.draw()


def test_a_task_in_two_phases_is_drawn_in_another_order() -> None:
    lengths = {"a": np.full(64, 8)}
    phases = [Phase(0.5, {"a": 1.0}), Phase(0.5, {"a": 1.0})]
    drawn = [
        i
        for update in iter_all(made({"lengths": lengths, "phases": phases, "seed": 1, "budget": 1024}))
        for i in update.examples["a"]
    ]
    assert sorted(drawn[:64]) == sorted(drawn[64:]) == list(range(64))
    assert drawn[:64] != drawn[64:]


def test_shares_of_the_run_are_those_of_its_phases() -> None:
    phases = [Phase(0.5, {"a": 1.0}), Phase(0.5, {"a": 0.5, "b": 0.5})]
    assert total_shares(phases) == {"a": 0.75, "b": 0.25}
    assert tasks_of(phases) == ("a", "b")


@pytest.mark.parametrize(
    "phases",
    [
        [], [Phase(0.9, {"a": 1.0})], [Phase(1.0, {"a": 0.5})], [Phase(1.0, {"a": 1.5, "b": -0.5})], [Phase(1.0, {"b": 1.0})],
        [Phase(1.0, {"a": 0.5, "b": 0.5})], [Phase(1.0, {})],
    ],
)  # fmt: skip
def test_phases_that_make_no_sense_are_refused(phases: list[Phase]) -> None:
    with pytest.raises(UsageError, match="odd"):
        checked(phases, ["a"], "odd")
