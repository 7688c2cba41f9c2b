"""Documents on disk: what comes back is what went in, the file has no name, and a corpus on disk is read as one in memory."""

from __future__ import annotations

import dataclasses
import errno
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.api import spool
from bench.api.data import Document, Judgement, Mention, Passage, Relation
from bench.api.spool import Spool, spooled
from bench.errors import StorageError
from bench.registry import Registry

WORDS = st.text(max_size=8)  # lone surrogates too, which a JSON Lines corpus can hold
PLACES = st.integers(0, 10**6)
SPANS = st.tuples(PLACES, PLACES)
PIECES = st.lists(SPANS, min_size=1, max_size=3).map(tuple)
LIKELY = st.none() | st.floats(0, 1)
KEYS = st.tuples(PIECES, WORDS)
MENTIONS = st.builds(
    Mention,
    PIECES,
    WORDS,
    st.none() | WORDS,
    st.dictionaries(WORDS, st.lists(WORDS, max_size=2).map(tuple), max_size=2),
    LIKELY,
    st.none() | PIECES,
)
DOCUMENTS = st.builds(
    Document,
    WORDS,
    st.text(max_size=20),
    st.lists(MENTIONS, max_size=3).map(tuple),
    st.lists(st.builds(Relation, KEYS, KEYS, WORDS, LIKELY), max_size=2).map(tuple),
    st.lists(st.builds(Judgement, WORDS, st.floats(allow_nan=False), st.booleans()), max_size=2).map(tuple),
    st.lists(st.builds(Passage, WORDS, SPANS), max_size=2).map(tuple),
)


def whole(document: Document) -> dict[str, Any]:
    """Every field, those too that do not count when documents are compared."""
    return dataclasses.asdict(document)


@given(st.lists(DOCUMENTS, max_size=5), st.integers(0, 5000))
def test_what_goes_in_comes_back(documents: list[Document], limit: int) -> None:
    found = spooled(iter(documents), limit)
    assert [whole(d) for d in found] == [whole(d) for d in documents]
    assert len(found) == len(documents)
    assert found[1:] == tuple(documents[1:])
    assert [found[i] for i in range(-len(documents), 0)] == documents
    if documents:
        small = spooled(documents, 0)
        assert isinstance(small, Spool)
        assert small == tuple(documents)
        assert small != (*documents, documents[0])
        with pytest.raises(IndexError):
            small[len(documents)]


def test_numbers_of_numpy_are_numbers() -> None:
    mention = Mention(((np.int64(0), np.int32(3)),), "x", confidence=np.float32(0.5))  # type: ignore[arg-type]
    (found,) = spooled([Document("d", "abc", (mention,))], 0)[:]
    assert found.mentions[0].fragments == ((0, 3),)
    assert found.mentions[0].confidence == 0.5


def test_the_file_has_no_name_that_others_could_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    kept = spooled([Document("d", "SECRET " * 1000)] * 3, 0)
    assert kept[2].text.startswith("SECRET")
    assert not any(tmp_path.iterdir())


def test_a_full_disk_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def seek(self, place: int) -> None: ...
        def write(self, line: bytes) -> None: ...
        def flush(self) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **options: Full())
    with pytest.raises(StorageError, match=r"cannot be kept in .*: No space left on device\.") as told:
        spooled([Document("d", "SECRET")], 0)
    assert "TMPDIR" in str(told.value.hint)
    assert "SECRET" not in f"{told.value.message} {told.value.hint}"


def test_few_documents_stay_in_memory_and_many_do_not() -> None:
    note = Document("d", "x" * 1000)
    assert isinstance(spooled([note] * 10), tuple)
    assert isinstance(spooled(note for _ in range(spool.LIMIT // 2000)), Spool)


@pytest.mark.parametrize("task", ["2015-T14", "2014-T7", "2016-T12", "ncbi-disease", "chemprot", "pubmedqa", "2017-T3-A"])
def test_a_corpus_on_disk_is_the_corpus_in_memory(
    task: str, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench.data.leaks import leaks_of
    from bench.data.spans import tidied_corpus
    from bench.evaluation.overlap import overlap

    made = registry.get("tasks", task)
    made.synthesize(tmp_path / "corpus", 1, {"train": 12, "dev": 4, "test": 4})
    before = tidied_corpus(made.load(tmp_path / "corpus"))
    monkeypatch.setattr(spool.spooled, "__defaults__", (0,))
    after = tidied_corpus(made.load(tmp_path / "corpus"))
    assert all(isinstance(after[split], Spool) for split in after)
    assert [[whole(d) for d in after[s]] for s in after] == [[whole(d) for d in before[s]] for s in before]
    assert dataclasses.replace(after, splits={}) == dataclasses.replace(before, splits={})
    assert leaks_of(after) == leaks_of(before)
    assert overlap(after.splits) == overlap(before.splits)
