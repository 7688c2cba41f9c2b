"""Leaks: a document that stands in two splits. Errors name documents by id, never by text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

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
