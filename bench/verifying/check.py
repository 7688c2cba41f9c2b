"""What a check of `bench verify` comes to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

Outcome = Literal["holds", "differs", "not checked"]
SHOWN = 3
"""Names that a note lists."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Args:
        what: that was looked at.
        outcome: ``holds``, ``differs`` or ``not checked``.
        note: what was found, or why it was not checked; never text of a corpus.
    """

    what: str
    outcome: Outcome
    note: str = ""


@dataclass(frozen=True)
class Verification:
    """All checks of a run, or of a study.

    Args:
        run: its id, or the study's name; the folder's name where it cannot be read.
        folder: of the run or the study.
        checks: in the order in which they were made.
        kind: which of the two it is.
    """

    run: str
    folder: Path
    checks: tuple[Check, ...]
    kind: Literal["run", "study"] = "run"

    @property
    def differs(self) -> tuple[Check, ...]:
        """The checks that found something else than the run says."""
        return tuple(check for check in self.checks if check.outcome == "differs")

    def to_json(self) -> dict[str, Any]:
        """JSON-able, with ``holds``: whether nothing differs."""
        checks = [asdict(check) for check in self.checks]
        return {self.kind: self.run, "folder": str(self.folder), "holds": not self.differs, "checks": checks}


def verdict(what: str, wrong: Sequence[str], note: str = "") -> Check:
    """A check that holds unless something is wrong."""
    more = f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
    return Check(what, "differs", f"{', '.join(wrong[:SHOWN])}{more}") if wrong else Check(what, "holds", note)
