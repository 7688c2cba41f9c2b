"""A sampler under a curriculum: the same tokens, the easiest windows first, and a resumed one that goes on where it was."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from bench_plugins.schedules.curriculum import Competence

from bench.data.batches import Sampler
from bench.data.paced import PacedSampler, difficulties
from bench.errors import UsageError

BATCH, BUDGET = 120, 24_000
LENGTHS = {
    "a": np.random.default_rng(0).integers(5, 60, 90).astype(np.int64),
    "b": np.random.default_rng(1).integers(5, 30, 200).astype(np.int64),
}
DOCUMENTS = {"b": np.arange(200) // 4}


def paced(start: float = 0.1, until: float = 0.5, documents: Any = None) -> PacedSampler:
    hard = {task: lengths.astype(float) for task, lengths in LENGTHS.items()}
    given = (LENGTHS, 7, BATCH, BUDGET, "uniform", 2.0, documents)
    return PacedSampler(*given, curriculum=Competence(start, until), difficulty=hard)


@pytest.mark.parametrize("documents", [None, DOCUMENTS])
def test_only_the_easiest_are_drawn_and_all_of_them_in_the_end(documents: Any) -> None:
    sampler, plain = paced(documents=documents), Sampler(LENGTHS, 7, BATCH, BUDGET, "uniform", 2.0, documents)
    rule, seen = Competence(0.1, 0.5), set()
    hard = {task: lengths.astype(float) for task, lengths in LENGTHS.items()}
    for task, owners in (documents or {}).items():
        hard[task] = np.array([hard[task][owners == one].mean() for one in owners])
    rank = {task: np.argsort(np.argsort(one, kind="stable"), kind="stable") / len(one) for task, one in hard.items()}
    while not sampler.done:
        update = sampler.draw()
        reached = rule.competence(min(1.0, sampler.tokens / BUDGET))
        for task, examples in update.examples.items():
            assert max(rank[task][list(examples)]) <= reached + 4 / len(hard[task])  # a document is four of them
            seen |= {(task, one) for one in examples}
    assert abs(sampler.tokens - BUDGET) <= max(int(one.max()) for one in LENGTHS.values()) * (4 if documents else 1)
    for _ in plain:
        pass
    assert sampler.step == plain.step
    assert len(seen) == 290


def test_at_the_end_of_the_curriculum_it_is_the_plain_sampler() -> None:
    plain = Sampler(LENGTHS, 7, BATCH, BUDGET, "uniform")
    assert [update.examples for update in paced(start=1.0)] == [update.examples for update in plain]
    plain.restore(Sampler(LENGTHS, 7, BATCH, BUDGET, "uniform").state())
    assert [update.examples for update in paced(until=0.0)] == [update.examples for update in plain]


def test_it_goes_on_from_every_position() -> None:
    whole = [update.examples for update in paced()]
    sampler = paced()
    for at, wanted in enumerate(whole[:120]):
        if at % 7:
            assert sampler.draw().examples == wanted
            continue
        state = json.loads(json.dumps(sampler.state()))
        other = paced()
        other.restore(state)
        assert [update.examples for update in other] == whole[at:]
        assert sampler.draw().examples == wanted


def test_early_updates_hold_more_and_shorter_windows() -> None:
    drawn = [sum(map(len, update.examples.values())) for update in paced()]
    assert len(drawn) == BUDGET // BATCH
    assert np.mean(drawn[:20]) > 1.5 * np.mean(drawn[-20:])


def test_difficulties_that_are_none_are_refused() -> None:
    class Odd(Competence):
        def difficulty(self, task: str, tokens: Any, supervised: Any) -> Any:
            return tokens[1:]

    windows = {task: (lengths, lengths) for task, lengths in LENGTHS.items()}
    with pytest.raises(UsageError, match=r"'odd' gives 89 numbers for 90 windows of a"):
        difficulties(Odd(0.1, 0.5), "odd", windows)
    assert difficulties(Competence(0.1, 0.5), "fine", windows)["a"].tolist() == LENGTHS["a"].tolist()
