"""Faulty lines of a corpus: reading goes on to the end, and one error reports them all. Kinds that are named are left out.

Nothing else is left out: a fault of another kind is an error, with counts by kind and the first faults by file and line.
Messages quote no text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.errors import DataError
from bench.wording import some

SHOWN = 10
"""Number of faults that an error lists; all are counted."""

MALFORMED = "malformed-line"
KINDS: Mapping[str, str] = {
    "missing-file": "a text without annotations, or annotations without a text: the document",
    "not-utf8": "bytes that are no UTF-8: the document, or the line of JSON Lines",
    MALFORMED: "a line that is not of the format: the line, or the sentence in IOB",
    "repeated-id": "an identifier or a document's name a second time: the later one",
    "repeated-annotation": "a mention or a relation a second time in a line of JSON Lines: the later one",
    "empty-span": "a span that ends before or where it starts: the mention",
    "outside-text": "a span that lies outside the text: the mention",
    "descending-offsets": "offsets that decrease, which the organisers' scorer of 2014-T7 refuses: the mention",
    "text-mismatch": "a text column that is not what stands at the offsets: the mention",
    "other-document": "a line that names another document: the line",
    "unknown-value": "a concept or slot that is none: the line",
    "unknown-label": "a label that the corpus does not have: the mention, relation or document that carries it",
    "missing-mention": "a relation whose mention is missing: the relation",
    "self-relation": "a relation that joins a mention with itself: the relation",
    "unknown-role": "a relation whose roles are not those of its type: the relation",
    "orphan-tag": "a tag that continues no mention, or a mention without the end that its scheme wants: the sentence",
}
"""Kind of fault to its meaning and, after the colon, what is left out where the kind is tolerated."""

DEPENDENT = "dependent-relation"
"""Counts relations that are left out because their mention was; it cannot be tolerated by name."""


def of_documents(*kinds: str) -> dict[str, str]:
    """The meaning of kinds for a corpus where a fault leaves out the whole document."""
    return {kind: f"{KINDS[kind].rpartition(': ')[0]}: the document" for kind in kinds}


class Fault(DataError):
    """A faulty line of one of `KINDS`; the message says file, line, what is there and what was wanted, and no corpus text."""

    def __init__(self, kind: str, message: str, hint: str | None = None) -> None:
        super().__init__(message, hint)
        self.kind = kind


@dataclass
class Faults:
    """The faults of a corpus, as far as it was read.

    Those of `tolerated` kinds are left out and counted in `left_out`, others in `counts`; `first` holds the first `SHOWN` of
    these. `tolerable`: whether the user can name kinds to tolerate here; the error then says how.
    """

    tolerated: Collection[str] = ()
    tolerable: bool = True
    left_out: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    first: list[Fault] = field(default_factory=list)

    def add(self, fault: Fault) -> None:
        """Counts a fault: under `left_out` where its kind is tolerated, else under `counts`."""
        if fault.kind in self.tolerated:
            self.left_out[fault.kind] += 1
            return
        self.counts[fault.kind] += 1
        if len(self.first) < SHOWN:
            self.first.append(fault)

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Adds a `Fault` raised in its block, and lets reading go on after the block."""
        try:
            yield
        except Fault as fault:
            self.add(fault)

    def check(self, where: Path) -> None:
        """Raises an error if there is any fault that is not tolerated; `where`, the file or folder, stands in it.

        Raises:
            DataError: the fault itself if it is the only one, else counts by kind and the first ten.
        """
        if not self.first:
            return
        total = sum(self.counts.values())
        flags = " ".join(f"--tolerate {kind}" for kind in self.counts)
        leave = f"Mend them, or leave such lines out, counted and recorded: {flags}, or 'tolerate' in a task's own file."
        if total == 1:
            (fault,) = self.first
            hint = " ".join(part for part in (fault.hint, leave if self.tolerable else None) if part)
            raise Fault(fault.kind, fault.message, hint or None)
        counts = ", ".join(f"{kind} {count:,}" for kind, count in self.counts.most_common())
        head = "They are" if total <= SHOWN else f"The first {SHOWN} are"
        lines = "".join(f"\n  {fault.kind}: {fault.message}" for fault in self.first)
        hints = list(dict.fromkeys(fault.hint for fault in self.first if fault.hint))[:2]
        hint = " ".join([*hints, *([leave] if self.tolerable else [])])
        raise DataError(f"{where} has {some(total, 'fault')}: {counts}. {head}{lines}", hint or None)
