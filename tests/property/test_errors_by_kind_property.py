from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from bench.api.data import Document, Mention
from bench.evaluation.errors_by_kind import KINDS, compare, findings, tabulate
from bench.evaluation.mention_sorts import Sorter


@st.composite
def mentions(draw: st.DrawFn) -> Mention:
    """One to three fragments on a short text, so that all sorts of overlap occur."""
    ends = sorted(draw(st.sets(st.integers(0, 14), min_size=2, max_size=6)))
    fragments = tuple(zip(ends[::2], ends[1::2], strict=False))
    return Mention(fragments, draw(st.sampled_from("XY")), draw(st.sampled_from([None, "C1", "C2"])))


SETS = st.lists(mentions(), max_size=7)


@given(SETS, SETS)
def test_every_mention_is_in_exactly_one_finding(gold: list[Mention], predicted: list[Mention]) -> None:
    found = findings(gold, predicted)
    assert Counter(i for f in found for i in f.gold) == Counter(range(len(gold)))
    assert Counter(i for f in found for i in f.predicted) == Counter(range(len(predicted)))
    for finding in found:
        assert finding.kind in KINDS
        sides = {"missed": (1, 0), "spurious": (0, 1)}.get(finding.kind, (1, 1))
        if finding.kind == "split":
            assert len(finding.gold) == 1
            assert len(finding.predicted) >= 2
        elif finding.kind == "merged":
            assert len(finding.gold) >= 2
            assert len(finding.predicted) == 1
        else:
            assert (len(finding.gold), len(finding.predicted)) == sides


@given(SETS)
def test_a_perfect_prediction_has_no_errors(gold: list[Mention]) -> None:
    assert {f.kind for f in findings(gold, gold[::-1])} <= {"correct"}


@given(SETS, SETS)
def test_what_agrees_is_correct_and_what_is_left_over_overlaps_nothing_left_over(
    gold: list[Mention], predicted: list[Mention]
) -> None:
    found = findings(gold, predicted)
    same = Counter((m.key, m.concept) for m in gold) & Counter((m.key, m.concept) for m in predicted)
    assert sum(f.kind == "correct" for f in found) == same.total()
    missed = [gold[f.gold[0]] for f in found if f.kind == "missed"]
    spurious = [predicted[f.predicted[0]] for f in found if f.kind == "spurious"]
    for one in missed:
        for other in spurious:
            assert not any(max(a, c) < min(b, d) for a, b in one.fragments for c, d in other.fragments)


@given(SETS, SETS)
def test_gold_and_prediction_change_places(gold: list[Mention], predicted: list[Mention]) -> None:
    swapped = {"split": "merged", "merged": "split", "missed": "spurious", "spurious": "missed"}
    there = Counter(f.kind for f in findings(gold, predicted))
    back = Counter(swapped.get(f.kind, f.kind) for f in findings(predicted, gold))
    assert there["correct"] == back["correct"]
    assert there["concept"] == back["concept"]
    assert there["type"] == back["type"]


@given(SETS, SETS)
def test_tables_add_up(gold: list[Mention], predicted: list[Mention]) -> None:
    document = Document("d", "ab cd ef ghi jk", tuple(gold))
    table = tabulate(compare([document], [Document("d", "", tuple(predicted))]), Sorter.fit([document]))
    assert sum(table["gold"].values()) == len(gold)
    assert sum(table["predicted"].values()) == len(predicted)
    for groups in table["by"].values():
        assert sum(sum(g["gold"].values()) for g in groups.values()) == len(gold)
