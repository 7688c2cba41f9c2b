"""2014-T7: overlaps without comparing every pair, files that score as documents do, and bytes of any kind."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from bench_tasks.semeval2014_t7.scorer import Touching, document_statistics
from bench_tasks.semeval2014_t7.task import SemEval2014T7
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.api.data import Corpus, Document, Fragment, Mention
from bench.errors import DataError

TASK = SemEval2014T7()
LENGTH = 40


@st.composite
def fragments(draw: st.DrawFn) -> tuple[Fragment, ...]:
    cuts = sorted(draw(st.sets(st.integers(0, LENGTH), min_size=2, max_size=6)))
    return tuple(zip(cuts[::2], cuts[1::2], strict=False))


MENTIONS = st.dictionaries(fragments(), st.sampled_from(["C1", "C2", "CUI-less"]), max_size=7)


@given(st.lists(fragments(), max_size=8), fragments())
@settings(max_examples=200)
def test_overlaps_are_those_of_comparing_every_pair(pool: list[tuple[Fragment, ...]], query: tuple[Fragment, ...]) -> None:
    slow = any(a < d and c < b for one in pool for a, b in one for c, d in query)
    assert Touching(pool)(query) == slow


@given(MENTIONS, MENTIONS)
@settings(max_examples=200)
def test_counts_are_those_of_the_rules_read_as_they_stand(
    gold: dict[tuple[Fragment, ...], str], pred: dict[tuple[Fragment, ...], str]
) -> None:
    def overlap(one: tuple[Fragment, ...], other: tuple[Fragment, ...]) -> bool:
        return any(a < d and c < b for a, b in one for c, d in other)

    row = document_statistics(gold, pred)
    assert row["task_a.relaxed.tp"] == sum(any(overlap(p, g) for g in gold) for p in pred)
    assert row["task_a.relaxed.fn"] == sum(not any(overlap(p, g) for p in pred) for g in gold)
    assert row["task_a.relaxed.tp"] + row["task_a.relaxed.fp"] == len(pred)
    assert row["task_a.strict.tp"] == sum(p in gold for p in pred) <= row["task_a.relaxed.tp"]
    assert row["task_b.right"] == sum(gold.get(p) == c for p, c in pred.items())


CORPORA = st.lists(MENTIONS, min_size=1, max_size=4)


def documents(rows: list[dict[tuple[Fragment, ...], str]]) -> list[Document]:
    return [
        Document(f"d{n}", "", tuple(Mention(key, "Disease_Disorder", concept) for key, concept in row.items()))
        for n, row in enumerate(rows)
    ]


@given(CORPORA, CORPORA)
@settings(max_examples=80)
def test_memory_and_files_agree(
    gold: list[dict[tuple[Fragment, ...], str]], pred: list[dict[tuple[Fragment, ...], str]]
) -> None:
    with tempfile.TemporaryDirectory() as name:
        TASK.write(Path(name) / "gold", documents(gold))
        TASK.write(Path(name) / "pred", documents(pred))
        assert TASK.score_files(Path(name) / "gold", Path(name) / "pred") == TASK.score(documents(gold), documents(pred))


WHOLE = b"a.text||Disease_Disorder||C0000001||0||5||8||12\na.text||Disease_Disorder||CUI-less||20||25\n"
PIECES = [b"||", b"\n", b"\r", b"9", b"|||", b"99999", b"-"]


@given(st.data(), st.sampled_from(["a.pipe", "a.text"]))
@settings(max_examples=250)
def test_any_bytes_are_a_corpus_or_a_data_error(damaged: Any, drawn: st.DataObject, where: str) -> None:
    data = drawn.draw(st.one_of(st.binary(max_size=60), damaged(WHOLE, PIECES)))
    with tempfile.TemporaryDirectory() as name:
        for split, document in (("train", "a"), ("dev", "b"), ("test", "c")):
            folder = Path(name) / split
            folder.mkdir()
            (folder / f"{document}.text").write_bytes(b"no fever, no pain, no cough at all")
            (folder / f"{document}.pipe").write_bytes(WHOLE.replace(b"a.text", f"{document}.text".encode()))
        (Path(name) / "train" / where).write_bytes(data)
        try:
            corpus = TASK.load(Path(name))
        except DataError:
            return
        assert isinstance(corpus, Corpus)
        for found in corpus["train"]:
            for mention in found.mentions:
                ends = [offset for fragment in mention.fragments for offset in fragment]
                assert ends == sorted(ends)
                assert ends[-1] <= len(found.text)
