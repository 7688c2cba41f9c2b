"""Scores in memory and scores of the files that were written are the same numbers."""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench_tasks.common.pipe import SLOTS, read_mentions, write_mentions
from bench_tasks.semeval2015_t14.overlaps import Walk, overlap
from bench_tasks.semeval2015_t14.task import SemEval2015T14
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.api.data import Document, Fragment, Mention

TASK = SemEval2015T14()
LENGTH = 60


@st.composite
def mentions(draw: st.DrawFn) -> Mention:
    cuts = sorted(draw(st.sets(st.integers(0, LENGTH), min_size=2, max_size=6)))
    fragments = tuple(zip(cuts[::2], cuts[1::2], strict=False))
    slots = {slot.name: (draw(st.sampled_from(slot.values)),) for slot in SLOTS if draw(st.booleans())}
    places = draw(st.lists(st.sampled_from(["C8000001", "C8000002", "C8000003"]), unique=True, max_size=2))
    concept = draw(st.sampled_from([None, "CUI-less", "C0000001", "c0000001", "C0000002"]))
    return Mention(fragments, "Disorder", concept, slots | ({"BL": tuple(places)} if places else {}))


CORPORA = st.lists(st.lists(mentions(), max_size=8).map(tuple), min_size=1, max_size=4)


def corpus(rows: list[tuple[Mention, ...]], names: str = "BaDc") -> list[Document]:
    return [Document(name, "", found) for name, found in zip(names, rows, strict=False)]


@given(CORPORA, CORPORA)
@settings(max_examples=150, deadline=None)
def test_memory_and_files_agree_exactly(gold: list[tuple[Mention, ...]], predicted: list[tuple[Mention, ...]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        TASK.write(folder / "gold", corpus(gold))
        TASK.write(folder / "pred", corpus(predicted))
        assert TASK.score_files(folder / "gold", folder / "pred") == TASK.score(corpus(gold), corpus(predicted))


@given(CORPORA)
@settings(max_examples=60, deadline=None)
def test_gold_against_itself_is_perfect(gold: list[tuple[Mention, ...]]) -> None:
    scores = TASK.score(corpus(gold), corpus(gold))
    for row in ("strict", "relaxed", "span_only"):
        assert scores["task1"][row]["fp"] == scores["task1"][row]["fn"] == 0
    assert scores["task1"]["strict"]["tp"] == sum(len({m.fragments for m in found}) for found in gold)


@given(CORPORA, CORPORA)
@settings(max_examples=100, deadline=None)
def test_every_gold_mention_is_found_or_missed(gold: list[tuple[Mention, ...]], predicted: list[tuple[Mention, ...]]) -> None:
    scores = TASK.score(corpus(gold), corpus(predicted))
    total = sum(len({m.fragments for m in found}) for found in gold)
    for row in (*(scores["task1"][r] for r in ("strict", "relaxed", "span_only")), scores["task2"]):
        assert row["tp"] + row["fn"] == total
    assert scores["task1"]["relaxed"]["tp"] >= scores["task1"]["strict"]["tp"]


@given(st.lists(mentions(), max_size=8, unique_by=lambda m: m.fragments).map(tuple))
@settings(max_examples=100, deadline=None)
def test_what_is_written_is_read_back(found: tuple[Mention, ...]) -> None:
    document = Document("d", "x" * LENGTH, found)
    again = read_mentions(write_mentions(document), Path("d.pipe"), "d", LENGTH)
    assert [m.fragments for m in again] == [m.fragments for m in found]
    assert [m.concept for m in again] == [m.concept or "CUI-less" for m in found]
    for read, wrote in zip(again, found, strict=True):
        for slot in SLOTS:
            assert read.slots.get(slot.name, (slot.default,)) == wrote.slots.get(slot.name, (slot.default,))
        assert read.slots.get("BL", ()) == wrote.slots.get("BL", ())


FRAGMENTS = mentions().map(lambda m: m.fragments)


@given(st.lists(FRAGMENTS, max_size=12), st.lists(FRAGMENTS, max_size=6))
@settings(max_examples=200, deadline=None)
def test_the_walk_takes_what_comparing_every_pair_takes(
    pool: list[tuple[Fragment, ...]], queries: list[tuple[Fragment, ...]]
) -> None:
    left = {str(index): fragments for index, fragments in enumerate(pool)}
    walk = Walk(dict(left), ())
    for query in queries:
        slow = {key: overlap(query, fragments) for key, fragments in left.items() if overlap(query, fragments)}
        taken = walk.take(query)
        assert set(taken) == set(slow)
        assert [slow[key] for key in taken] == sorted(slow.values(), reverse=True)
        for key in taken:
            del left[key]
