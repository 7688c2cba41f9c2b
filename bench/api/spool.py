"""Documents of a split: in memory while they are few, on disk where they are many, so that a corpus may have any size.

As `tempfile.SpooledTemporaryFile` does for bytes. The file has no name from the moment it is made: nobody else can open it, and
it is gone with the process, however that ends. It lies where `tempfile` puts files (`TMPDIR`).
"""

from __future__ import annotations

import json
import tempfile
import threading
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Any, overload

from bench.api.data import Document, Fragment, Judgement, Mention, Passage, Relation
from bench.errors import StorageError

LIMIT = 64 * 2**20
"""Bytes that the documents of a split may take in memory, by `_size`: some 3,000 clinical notes with 25 mentions each."""


def spooled(documents: Iterable[Document], limit: int = LIMIT) -> Sequence[Document]:
    """The documents as a sequence that takes no more than `limit` bytes of memory: a tuple while they fit, else a `Spool`.

    They are read once, one at a time; of a generator none are kept.

    Raises:
        StorageError: the disk is full.
    """
    buffered: list[Document] = []
    size = 0
    rest = iter(documents)
    for document in rest:
        buffered.append(document)
        size += _size(document)
        if size > limit:
            spool = Spool()
            spool.extend(buffered)
            buffered.clear()
            spool.extend(rest)
            return spool
    return tuple(buffered)


class Spool(Sequence[Document]):
    """Documents in a file without a name, as JSON one after the other; one is read when it is asked for, and not kept."""

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile(prefix="bench-documents-")  # noqa: SIM115  lives as long as the spool
        self._starts = array("q", [0])
        self._lock = threading.Lock()

    def extend(self, documents: Iterable[Document]) -> None:
        """Adds documents at the end.

        Raises:
            StorageError: the disk is full.
        """
        for document in documents:
            line = as_line(document)
            try:
                with self._lock:
                    self._file.seek(self._starts[-1])
                    self._file.write(line)
                    self._file.flush()  # a full disk is told here, and not when another document is read
            except OSError as error:
                raise StorageError(
                    f"The documents of a large split cannot be kept in {tempfile.gettempdir()}: {error.strerror or error}.",
                    "Make room there, or set TMPDIR to a folder that has some.",
                ) from None
            self._starts.append(self._starts[-1] + len(line))

    def lines(self) -> Iterator[bytes]:
        """What `as_line` gives of each document, in order, read without making documents of it."""
        for start, end in zip(self._starts, self._starts[1:], strict=False):
            with self._lock:
                self._file.seek(start)
                yield self._file.read(end - start)

    def __len__(self) -> int:
        return len(self._starts) - 1

    @overload
    def __getitem__(self, index: int) -> Document: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Document, ...]: ...

    def __getitem__(self, index: int | slice) -> Document | tuple[Document, ...]:
        if isinstance(index, slice):
            return tuple(self[i] for i in range(*index.indices(len(self))))
        place = range(len(self))[index]
        with self._lock:
            self._file.seek(self._starts[place])
            line = self._file.read(self._starts[place + 1] - self._starts[place])
        return _unpacked(json.loads(line))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or len(other) != len(self):
            return False
        return all(a == b for a, b in zip(self, other, strict=True))


def as_line(document: Document) -> bytes:
    """A document as one line of JSON without its newline, everything it holds."""
    return json.dumps(_packed(document), separators=(",", ":"), default=lambda number: number.item()).encode()


def _size(document: Document) -> int:
    """Bytes that a document takes as objects, about: measured on notes of 2015-T14, whose mentions have slots."""
    parts = len(document.mentions) + len(document.relations) + len(document.judgements) + len(document.passages)
    return 2 * len(document.text) + 800 * (1 + parts)


def _packed(document: Document) -> list[Any]:
    """A document as lists, numbers and strings."""
    return [
        document.id,
        document.text,
        [[m.fragments, m.label, m.concept, dict(m.slots), m.confidence, m.written] for m in document.mentions],
        [[r.source, r.target, r.label, r.confidence] for r in document.relations],
        [[j.name, j.score, j.chosen] for j in document.judgements],
        [[p.id, p.span] for p in document.passages],
    ]


def _unpacked(packed: list[Any]) -> Document:
    ident, text, mentions, relations, judgements, passages = packed
    return Document(
        ident,
        text,
        tuple(
            Mention(_fragments(spans), label, concept, {name: tuple(v) for name, v in slots.items()}, sure, w and _fragments(w))
            for spans, label, concept, slots, sure, w in mentions
        ),
        tuple(
            Relation((_fragments(source), first), (_fragments(target), second), label, confidence)
            for (source, first), (target, second), label, confidence in relations
        ),
        tuple(Judgement(name, score, bool(chosen)) for name, score, chosen in judgements),
        tuple(Passage(name, (span[0], span[1])) for name, span in passages),
    )


def _fragments(packed: list[list[int]]) -> tuple[Fragment, ...]:
    return tuple((start, end) for start, end in packed)
