"""Leaks: a document that stands in two splits. Errors name documents by id, never by text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from bench.api.data import Document
from bench.errors import DataError

_SHOWN = 5


class LeakError(DataError):
    """Documents that stand in two splits.

    Args:
        where: the corpus's folder, or what else names it.
        leaks: name of each document with the two splits, in the order that they were found.
        hint: the next move.
    """

    def __init__(self, where: Path | str, leaks: Iterable[tuple[str, str, str]], hint: str | None = None) -> None:
        self.leaks = tuple(leaks)
        shown = ", ".join(f"{name!r} ({one} and {other})" for name, one, other in self.leaks[:_SHOWN])
        more = f" and {len(self.leaks) - _SHOWN} more" if len(self.leaks) > _SHOWN else ""
        noun = "document stands" if len(self.leaks) == 1 else "documents stand"
        super().__init__(
            f"{len(self.leaks)} {noun} in two splits of {where}: {shown}{more}; wanted each in one split only.",
            hint or "Take it out of one of them.",
        )


def refuse_leaks(where: Path | str, ids: Mapping[str, Iterable[str]]) -> None:
    """Refuses a corpus in which one document's id stands in two splits; case makes no difference.

    An id that stands twice in one split is not this check's business.

    Args:
        where: the corpus's folder, for the error.
        ids: split to the ids of its documents.

    Raises:
        LeakError: naming the ids and their splits.
    """
    home: dict[str, str] = {}
    leaks: dict[str, tuple[str, str, str]] = {}
    for split, names in ids.items():
        for name in names:
            other = home.setdefault(name.casefold(), split)
            if other != split:
                leaks.setdefault(name.casefold(), (name, other, split))
    if leaks:
        raise LeakError(where, leaks.values())


def refuse_repeats(where: Path | str, splits: Mapping[str, Sequence[Document]], words: int = 8, share: float = 0.01) -> None:
    """Refuses a corpus in which many documents of one split stand word for word in an earlier one.

    Meant for corpora whose documents are sentences without a name. Real ones repeat a few: headings ("METHODS :") often, and
    whole sentences at times (12 of the 4,791 longer ones of BC2GM's test split stand in its training split), which is how
    everyone's published figures were had. A split that was copied into another, or cut carelessly, repeats far more.

    Args:
        where: the corpus's folder, for the error.
        splits: documents with text, in the order in which splits are compared.
        words: shorter documents are not looked at.
        share: the most that may be repeated, of a split's documents that are looked at.

    Raises:
        LeakError: naming the repeated documents.
    """
    home: dict[str, tuple[str, str]] = {}
    for split, documents in splits.items():
        long = [document for document in documents if document.text.count(" ") + 1 >= words]
        repeated = [document for document in long if document.text in home]
        if len(repeated) > share * len(long):
            leaks = [(f"{d.id} = {home[d.text][1]}", split, home[d.text][0]) for d in repeated]
            raise LeakError(where, leaks, f"Of {len(long)} long documents of {split}, at most {share:.0%} may be repeated.")
        for document in long:
            home.setdefault(document.text, (split, document.id))
