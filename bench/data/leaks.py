"""Documents that stand in two splits: found by id here, by text in the loaders; refused, or allowed and recorded.

A score on such documents says how well they were learned by heart. Loaders report, they do not refuse, so that files can be
scored and a corpus can be looked at whatever it holds; a run refuses unless ``--allow-leak`` says otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.api.data import Corpus, Leak
from bench.errors import LeakError

NAMED = 100
"""Documents that a result names; all are counted."""


def leaks_of(corpus: Corpus) -> tuple[Leak, ...]:
    """Every document whose id stands in an earlier split too, case apart, and what the loader reported beside those.

    An id that stands twice in one split is not this check's business.
    """
    found: dict[tuple[str, str], Leak] = {}
    home: dict[str, str] = {}
    for split in corpus:
        own = [document.id.casefold() for document in corpus[split]]
        if not home.keys().isdisjoint(own):  # rare, and all that has to be looked at one by one
            for document, name in zip(corpus[split], own, strict=True):
                if name in home:
                    found.setdefault((document.id, split), Leak(document.id, split, home[name]))
        home = dict.fromkeys(own, split) | home
    for leak in corpus.leaks:
        found.setdefault((leak.document, leak.split), leak)
    return tuple(found.values())


def refuse(where: Path | str, leaks: Sequence[Leak]) -> None:
    """Refuses leaks that the loader does not let through.

    Args:
        where: the corpus's folder, for the error.
        leaks: of the corpus.

    Raises:
        LeakError: naming the documents and their splits.
    """
    refused = [(_name(leak), leak.other, leak.split) for leak in leaks if not leak.tolerated]
    if refused:
        hint = "Take them out of one of the two, or go on with --allow-leak, which the result records."
        raise LeakError(where, refused, hint)


def told(leaks: Sequence[Leak]) -> dict[str, Any]:
    """What a result says of a corpus's leaks: how many were allowed and tolerated, and the first of them by name; no text."""
    first = sorted(leaks, key=lambda leak: leak.tolerated)[:NAMED]
    return counted(leaks) | {
        "documents": [
            {"document": leak.document, "split": leak.split, "twin": leak.twin or leak.document, "other": leak.other}
            for leak in first
        ],
    }


def counted(leaks: Sequence[Leak]) -> dict[str, Any]:
    """How many were allowed by the user, and tolerated by the loader."""
    tolerated = sum(leak.tolerated for leak in leaks)
    return {"allowed": len(leaks) - tolerated, "tolerated": tolerated}


def notice(task: str, leaks: Sequence[Leak]) -> str | None:
    """What the console says of leaks that were allowed."""
    count = sum(not leak.tolerated for leak in leaks)
    if not count:
        return None
    documents = "1 document stands" if count == 1 else f"{count} documents stand"
    return f"{documents} in two splits of {task}: allowed by --allow-leak, and recorded; the scores are not of unseen text."


def _name(leak: Leak) -> str:
    return f"{leak.document} = {leak.twin}" if leak.twin and leak.twin != leak.document else leak.document
