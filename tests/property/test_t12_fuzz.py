"""Whatever bytes stand in a file, 2016-T12 gives a corpus or a `DataError`, and scores or a `DataError`."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import pytest

pytest.importorskip("anafora")

from bench_tasks.semeval2016_t12.scorer import contained
from bench_tasks.semeval2016_t12.task import SemEval2016T12
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.api.data import SPLITS, Corpus, Document, Mention, Relation
from bench.errors import DataError

TASK = SemEval2016T12()
TEXT = b"In May the bird sang."
XML = b"""<?xml version="1.0" encoding="UTF-8"?><data><annotations>
<entity><id>1@e</id><span>3,6</span><type>TIMEX3</type><properties><Class>DATE</Class></properties></entity>
<entity><id>2@e</id><span>16,20</span><type>EVENT</type><properties><DocTimeRel>BEFORE</DocTimeRel></properties></entity>
<relation><id>1@r</id><type>TLINK</type><properties><Source>1@e</Source><Type>CONTAINS</Type><Target>2@e</Target></properties>
</relation></annotations></data>"""
PIECES = [piece for piece in re.split(rb"(<[^>]*>|\s+)", XML) if piece]


def outcome(xml: bytes, text: bytes = TEXT) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for split in SPLITS:
            (folder / split / split).mkdir(parents=True)
            (folder / split / split / split).write_bytes(text if split == "dev" else TEXT)
            (folder / split / split / f"{split}.x.gold.completed.xml").write_bytes(xml if split == "dev" else XML)
        for attempt in (
            lambda: isinstance(TASK.load(folder), Corpus),
            lambda: "closure" in TASK.score_files(folder / "dev", folder / "dev"),
        ):
            try:
                assert attempt()
            except DataError as error:
                assert str(error)  # noqa: PT017


@given(st.binary(max_size=60), st.binary(max_size=30))
@settings(max_examples=60, deadline=None)
def test_any_bytes(xml: bytes, text: bytes) -> None:
    outcome(xml, text)


@given(st.integers(0, len(XML) - 1), st.integers(0, 12), st.binary(max_size=4))
@settings(max_examples=150, deadline=None)
def test_any_damage(at: int, gone: int, new: bytes) -> None:
    outcome(XML[:at] + new + XML[at + gone :])


@given(st.lists(st.tuples(st.integers(0, len(PIECES) - 1), st.integers(0, len(PIECES) - 1)), min_size=1, max_size=3))
@settings(max_examples=200, deadline=None)
def test_any_piece_in_any_place(swaps: list[tuple[int, int]]) -> None:
    pieces = list(PIECES)
    for at, other in swaps:
        pieces[at] = PIECES[other]
    outcome(b"".join(pieces))


KEYS = [(((i, i + 1),), label) for i in range(0, 8, 2) for label in ("EVENT", "TIMEX3")]


@st.composite
def documents(draw: st.DrawFn) -> Document:
    keys = draw(st.lists(st.sampled_from(KEYS), max_size=6, unique=True))
    slots = st.sampled_from([{}, {"DocTimeRel": ("BEFORE",)}, {"DocTimeRel": ("BEFORE/OVERLAP",)}])
    mentions = tuple(Mention(fragments, label, slots=draw(slots)) for fragments, label in keys)
    pairs = draw(st.lists(st.tuples(st.sampled_from(keys), st.sampled_from(keys)), max_size=6)) if keys else []
    return Document("d", "", mentions, tuple(Relation(a, b, "CONTAINS") for a, b in pairs))


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=14))
@settings(max_examples=300, deadline=None)
def test_the_closure_of_containers_is_that_of_anaforatools(pairs: list[tuple[int, int]]) -> None:
    from anafora.evaluate import TemporalClosureScores

    given_ = {((((a, a + 1),), ((b, b + 1),)), "TLINK", ("Type", "CONTAINS")) for a, b in pairs}
    theirs = {relation for relation in TemporalClosureScores()._closure(given_) if relation[2] == ("Type", "CONTAINS")}
    assert contained(given_) == theirs


@given(documents(), documents())
@settings(max_examples=100, deadline=None)
def test_memory_and_files_agree(gold: Document, predicted: Document) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        TASK.write(folder / "gold", [gold])
        TASK.write(folder / "pred", [predicted])
        scores = TASK.score_files(folder / "gold", folder / "pred")
        assert scores == TASK.score([gold], [predicted])
        same = TASK.score([gold], [gold])
        assert all(row["f1"] == 1.0 for name, row in same.items() if name != "closure")
