"""Every kind of error, worked by hand."""

from __future__ import annotations

import json

import pytest

from bench.api.data import Document, Mention
from bench.evaluation.errors_by_kind import KINDS, Finding, compare, findings, records, tabulate
from bench.evaluation.mention_sorts import Sorter, abbreviated

A, B, C, D = (0, 4), (5, 9), (10, 14), (15, 19)


def m(*fragments: tuple[int, int], label: str = "X", concept: str | None = None) -> Mention:
    return Mention(fragments, label, concept)


CASES = {
    "the same": ([m(A, concept="C1")], [m(A, concept="C1")], [("correct", (0,), (0,))]),
    "another concept": ([m(A, concept="C1")], [m(A, concept="C2")], [("concept", (0,), (0,))]),
    "no concept": ([m(A, concept="C1")], [m(A)], [("concept", (0,), (0,))]),
    "another label": ([m(A, B)], [m(A, B, label="Y")], [("type", (0,), (0,))]),
    "nothing there": ([m(A)], [m(C)], [("missed", (0,), ()), ("spurious", (), (0,))]),
    "touching is not overlapping": ([m((0, 4))], [m((4, 8))], [("missed", (0,), ()), ("spurious", (), (0,))]),
    "too long": ([m(A)], [m((0, 9))], [("boundary", (0,), (0,))]),
    "too long and another label": ([m(A)], [m((0, 9), label="Y")], [("boundary_type", (0,), (0,))]),
    "one long one in two": ([m((0, 9))], [m(A), m(B)], [("split", (0,), (0, 1))]),
    "fragments apart": ([m(A, C)], [m(A), m(C)], [("split", (0,), (0, 1))]),
    "two labels are no split": ([m((0, 9))], [m(A), m(B, label="Y")], [("boundary", (0,), (0,)), ("spurious", (), (1,))]),
    "two in one long one": ([m(A), m(B)], [m((0, 9))], [("merged", (0, 1), (0,))]),
    "shared head joined": ([m(A, C), m(B, C)], [m(A, B, C)], [("merged", (0, 1), (0,))]),
    "nested ones are not merged": ([m(A), m((0, 9))], [m((0, 14))], [("boundary", (1,), (0,)), ("missed", (0,), ())]),
    "crossed": ([m(A, B), m(C, D)], [m(A, D), m(B, C)], [("link", (0,), (0,)), ("link", (1,), (1,))]),
    "a fragment too few": ([m(A, C)], [m(A)], [("link", (0,), (0,))]),
    "a fragment too many": ([m(A)], [m(A, C)], [("link", (0,), (0,))]),
    "a fragment too short": ([m(A, C)], [m(A, (10, 12))], [("boundary", (0,), (0,))]),
    "overlaps most": ([m((0, 9))], [m((0, 2)), m((2, 18))], [("boundary", (0,), (1,)), ("spurious", (), (0,))]),
    "of one label first": ([m((0, 9))], [m((0, 8), label="Y"), m((8, 20))], [("boundary", (0,), (1,)), ("spurious", (), (0,))]),
    "predicted twice": ([m(A)], [m(A), m(A, label="Y")], [("correct", (0,), (0,)), ("spurious", (), (1,))]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_each_kind(case: str) -> None:
    gold, predicted, wanted = CASES[case]
    assert sorted(findings(gold, predicted), key=str) == sorted((Finding(*one) for one in wanted), key=str)


def test_cases_hold_every_kind() -> None:
    assert {kind for *_, wanted in CASES.values() for kind, *_ in wanted} == set(KINDS)


def test_two_labels_at_one_place_pair_by_label() -> None:
    gold = [m(A, label="X"), m(A, label="Y")]
    assert {f.kind for f in findings(gold, gold[::-1])} == {"correct"}


TEXT = "COPD and left atrial dilation, severe chronic kidney disease stage 4 noted"


def test_sorts() -> None:
    slots = Mention(((10, 15),), "X", slots={"NI": ("yes",), "SV": ("mild",)})
    sorter = Sorter.fit([Document("t", "copd COPD fever", (m((0, 4)), m((5, 9)), slots))])
    document = Document("d", TEXT)
    assert sorter(document, m((0, 4))) == {
        "length": "1", "training": "2-5", "fragments": "1", "abbreviation": "yes", "negated": "no",
    }  # fmt: skip
    split = Mention(((9, 13), (21, 29)), "X", slots={"NI": ("yes",)})
    assert sorter(document, split) == {
        "length": "2", "training": "0", "fragments": "2+", "abbreviation": "no", "negated": "yes",
    }  # fmt: skip
    assert sorter(document, m((31, 68)))["length"] == "5+"
    assert "negated" not in Sorter.fit([Document("t", "copd", (m((0, 4)),))]).groups


@pytest.mark.parametrize("text", ["COPD", "HbA1c", "H/O", "T2DM"])
def test_abbreviations(text: str) -> None:
    assert abbreviated(text, m((0, len(text))))


@pytest.mark.parametrize("text", ["Fever", "a", "ABCDEFGHIJ", "MI in", "McBride"])
def test_no_abbreviations(text: str) -> None:
    assert not abbreviated(text, m((0, len(text))))


def test_tables_and_records_count_the_same_and_hold_no_text() -> None:
    gold = [Document("d", TEXT, (m((0, 4), concept="C1"), m((9, 29)), m((38, 61)))), Document("e", "COPD", (m((0, 4)),))]
    predicted = [Document("d", "", (m((0, 4), concept="C2"), m((9, 13)), m((14, 29)), m((70, 74))))]
    sorter = Sorter.fit([Document("t", "COPD", (m((0, 4)),))])
    compared = compare(gold, predicted)
    table = tabulate(compared, sorter)
    assert table["gold"] == {"concept": 1, "split": 1, "missed": 2}
    assert table["predicted"] == {"concept": 1, "split": 2, "spurious": 1}
    for groups in table["by"].values():
        for side in ("gold", "predicted"):
            for kind in KINDS:
                assert sum(group[side].get(kind, 0) for group in groups.values()) == table[side].get(kind, 0)
    assert table["by"]["training"]["1"]["gold"] == {"concept": 1, "missed": 1}
    found = records(compared)
    assert [(r["id"], r["kind"]) for r in found] == [
        ("d", "concept"), ("d", "split"), ("d", "missed"), ("d", "spurious"), ("e", "missed"),
    ]  # fmt: skip
    assert found[1]["predicted"] == [{"fragments": [[9, 13]], "label": "X"}, {"fragments": [[14, 29]], "label": "X"}]
    told = json.dumps([table, found])
    assert not any(word.lower() in told.lower() for word in ("COPD", "atrial", "kidney", "severe"))
