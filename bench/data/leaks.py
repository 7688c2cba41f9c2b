"""Leaks: documents that are in two splits, by id (checked here) or by text (reported by loaders).

A score on such documents measures memorisation. Loaders report leaks and do not refuse them, so that files can be scored and
inspected. A run refuses them, or with ``--allow-leak`` records them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.api.data import Corpus, Leak
from bench.errors import LeakError
from bench.wording import some

NAMED = 100
"""Number of documents that a result names; all are counted."""


def leaks_of(corpus: Corpus) -> tuple[Leak, ...]:
    """Documents whose id, ignoring case, is also in an earlier split, and the leaks that the loader reported.

    An id that occurs twice within a split is no leak.
    """
    leaks: dict[tuple[str, str], Leak] = {}
    home: dict[str, str] = {}
    for split in corpus:
        ids = [document.id.casefold() for document in corpus[split]]
        if not home.keys().isdisjoint(ids):  # rare: only then documents are compared one by one
            for document, name in zip(corpus[split], ids, strict=True):
                if name in home:
                    leaks.setdefault((document.id, split), Leak(document.id, split, home[name]))
        home = dict.fromkeys(ids, split) | home
    for leak in corpus.leaks:
        leaks.setdefault((leak.document, leak.split), leak)
    return tuple(leaks.values())


def refuse(where: Path | str, leaks: Sequence[Leak]) -> None:
    """Refuses leaks that the loader does not tolerate; `where` is the corpus, for the error.

    Raises:
        LeakError: naming the documents and their splits.
    """
    refused = [(_name(leak), leak.other, leak.split) for leak in leaks if not leak.tolerated]
    if refused:
        hint = "Take them out of one of the two, or go on with --allow-leak, which the result records."
        raise LeakError(where, refused, hint)


def as_json(leaks: Sequence[Leak]) -> dict[str, Any]:
    """A corpus's leaks as a result records them: counts, and ids of the first `NAMED`; no text."""
    first = sorted(leaks, key=lambda leak: leak.tolerated)[:NAMED]
    return counted(leaks) | {
        "documents": [
            {"document": leak.document, "split": leak.split, "twin": leak.twin or leak.document, "other": leak.other}
            for leak in first
        ]
    }


def counted(leaks: Sequence[Leak]) -> dict[str, Any]:
    """Number of leaks that the user allowed, and that the loader tolerated."""
    tolerated = sum(leak.tolerated for leak in leaks)
    return {"allowed": len(leaks) - tolerated, "tolerated": tolerated}


def notice(task: str, leaks: Sequence[Leak]) -> str | None:
    """The console's message about leaks that the user allowed; None where there are none."""
    count = sum(not leak.tolerated for leak in leaks)
    if not count:
        return None
    where = f"{'stands' if count == 1 else 'stand'} in two splits of {task}"
    return f"{some(count, 'document')} {where}: allowed by --allow-leak, and recorded; the scores are not of unseen text."


def _name(leak: Leak) -> str:
    return f"{leak.document} = {leak.twin}" if leak.twin and leak.twin != leak.document else leak.document
