"""Texts that stand in two splits of a corpus, under whatever ids, found by checksum; no text is kept or shown."""

from __future__ import annotations

import hashlib
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.api.data import Document
from bench_tasks.common.leaks import LeakError


@dataclass(frozen=True)
class Repeat:
    """A document whose text stands in an earlier split too.

    Args:
        id: of the document.
        split: its split.
        other: id of the first document with that text.
        home: the split of that one.
        text: checksum of the text.
    """

    id: str
    split: str
    other: str
    home: str
    text: str


def repeated_texts(splits: Mapping[str, Sequence[Document]]) -> tuple[Repeat, ...]:
    """Documents whose text, but for blanks and case, stands in an earlier split.

    Args:
        splits: in the order train, dev, test.
    """
    first: dict[str, tuple[str, str]] = {}
    found = []
    for split, documents in splits.items():
        for document in documents:
            digest = hashlib.sha256(" ".join(document.text.casefold().split()).encode("utf-8")).hexdigest()
            home, other = first.setdefault(digest, (split, document.id))
            if home != split:
                found.append(Repeat(document.id, split, other, home, digest))
    return tuple(found)


def refuse_repeated_texts(where: Path, splits: Mapping[str, Sequence[Document]], published: Container[str] = ()) -> None:
    """Refuses a corpus in which a text stands in two splits.

    Args:
        where: the corpus's folder, for the error.
        splits: in the order train, dev, test.
        published: checksums of texts that the corpus's own authors left in two splits, which are let through.

    Raises:
        LeakError: naming the documents and their splits.
    """
    leaks = [repeat for repeat in repeated_texts(splits) if repeat.text not in published]
    if leaks:
        raise LeakError(where, [(repeat.id, repeat.home, repeat.split) for repeat in leaks])
