"""Thresholds of predicted mentions: the best there is on dev but for a bounded cost, and shared where there is little."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("numpy")

from bench.api.data import Document, Mention
from bench.evaluation import thresholds
from bench.evaluation.thresholds import COST, FEWEST, Group, Thresholds, choose

Row = tuple[str, bool, float, bool]
"""Label, discontiguous, probability, whether it is in gold."""


def documents(rows: list[Row], missed: list[tuple[str, bool]]) -> tuple[list[Document], list[Document]]:
    gold, predicted = [], []
    for n, (label, several, sure, right) in enumerate(rows):
        mention = Mention(spans(n, several), label, confidence=sure)
        predicted.append(Document(f"p{n}", "", (mention,)))
        gold.append(Document(f"p{n}", "", (Mention(mention.fragments, label),) if right else ()))
    for n, (label, several) in enumerate(missed):
        gold.append(Document(f"m{n}", "", (Mention(spans(n, several), label),)))
        predicted.append(Document(f"m{n}", ""))
    return gold, predicted


def spans(n: int, several: bool) -> tuple[tuple[int, int], ...]:
    return ((n, n + 2), (n + 4, n + 6)) if several else ((n, n + 2),)


def f1(gold: list[Document], found: tuple[Document, ...] | list[Document]) -> float:
    wanted = {(d.id, m.key) for d in gold for m in d.mentions}
    given_ = {(d.id, m.key) for d in found for m in d.mentions}
    return 2 * len(wanted & given_) / (len(wanted) + len(given_)) if wanted or given_ else 0.0


rows = st.lists(
    st.tuples(st.sampled_from("ab"), st.booleans(), st.integers(5, 99).map(lambda n: n / 100), st.booleans()), max_size=60
)
missed = st.lists(st.tuples(st.sampled_from("ab"), st.booleans()), max_size=20)


@given(rows, missed)
def test_no_worse_on_dev_than_one_half(made: list[Row], lacking: list[tuple[str, bool]]) -> None:
    # Enough of either kind, all of them missed, so that each has a threshold of its own.
    gold, predicted = documents(made, [*((label, n % 2 == 0) for label in "ab" for n in range(2 * FEWEST)), *lacking])
    chosen = choose(gold, predicted)
    found, plain = chosen.accept(predicted), Thresholds().accept(predicted)
    assert f1(gold, found) >= f1(gold, plain) - COST - 1e-12  # so much may discontiguous mentions cost
    only = Thresholds({group: value for group, value in chosen.groups.items() if not group.several}).accept(predicted)
    assert f1(gold, only) >= f1(gold, plain) - 1e-12
    assert set(chosen.groups.values()) <= {round(float(v), 2) for v in thresholds.GRID}


@pytest.mark.parametrize("several", [False, True])
def test_many_sure_gains_move_a_threshold_and_a_few_do_not(several: bool) -> None:
    def chosen(right: int, wrong: int) -> float:
        rows = [("a", several, 0.8, True)] * 60 + [("a", several, 0.3, True)] * right + [("a", several, 0.2, False)] * wrong
        return choose(*documents(rows, [])).groups[Group("a", several)]

    assert 0.2 < chosen(40, 200) <= 0.3
    assert chosen(0, 200) == 0.5
    level = [("a", several, 0.8, True)] * 60 + [("a", several, 0.3, n < 8) for n in range(14)]
    assert choose(*documents(level, [])).groups[Group("a", several)] == 0.5  # 8 right of 14 are within the error of none
    high = [("a", several, 0.9, True)] * 60 + [("a", several, 0.6, False)] * 80
    assert 0.6 < choose(*documents(high, [])).groups[Group("a", several)] <= 0.61


def test_a_rare_group_shares_the_threshold_of_its_kind() -> None:
    common = [("a", False, 0.3, True)] * 30 + [("a", True, 0.1, True)] * 30
    rare = [("b", False, 0.9, True), ("c", True, 0.9, False)]
    chosen = choose(*documents([*common, *rare], []))
    assert chosen.groups[Group("a", True)] <= 0.1 < chosen.groups[Group("a", False)] <= 0.3
    assert chosen.groups[Group("b", False)] == chosen.groups[Group("c", True)]  # too few of either kind: one for both
    assert chosen.as_json()["a discontiguous"] == chosen.groups[Group("a", True)]


def test_what_was_never_seen_is_accepted_from_one_half_and_what_has_no_probability_always() -> None:
    sure, unsure = (Mention(((0, 2),), "x", confidence=value) for value in (0.5, 0.49))
    kept = Thresholds().accept([Document("d", "", (sure, unsure, Mention(((3, 4),), "x")))])
    assert [m.confidence for m in kept[0].mentions] == [0.5, None]


words = st.sampled_from(["a", "relation", "class", "mention", "contiguous", "discontiguous"])
labels = st.lists(words, min_size=1, max_size=4).map(" ".join)
groups = st.builds(Group, labels, st.booleans()) | st.builds(Group, labels, kind=st.just("relation"))
chances = st.integers(5, 95).map(lambda n: n / 100)


@given(st.dictionaries(groups, chances), st.dictionaries(labels, chances))
def test_thresholds_are_read_back_whatever_the_labels(groups: dict[Group, float], classes: dict[str, float]) -> None:
    chosen = Thresholds(groups, classes)
    assert len(chosen.as_json()) == len(groups) + len(classes)
    assert Thresholds.from_json(chosen.as_json()) == chosen


def test_a_plain_label_stands_for_itself() -> None:
    assert [str(g) for g in (Group("Disease"), Group("Disease", True), Group("CPR:3", kind="relation"))] == [
        "Disease", "Disease discontiguous", "relation CPR:3",
    ]  # fmt: skip
