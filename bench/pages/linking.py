"""Accuracy of concepts, by run and task."""

from __future__ import annotations

from bench.pages.collect import Evidence, rests
from bench.pages.content import Cell, Column, Table

_COUNTS = (("mentions", "mentions"), ("unseen", "unseen"), ("new", "new"))
_SHARES = (
    ("accuracy_seen", "seen"), ("accuracy_unseen", "unseen text"), ("accuracy_new", "new concept"),
    ("recall_at_1", "recall at 1"), ("recall_at_5", "at 5"), ("recall_at_20", "at 20"),
)  # fmt: skip


def concepts(evidence: Evidence) -> Table | None:
    """Accuracy and recall of concepts on test, for gold mentions and for predicted ones that are right."""
    columns = (
        Column("run", "run"), Column("task", "task"), Column("linker", "linked by"), Column("of", "mentions of"),
        *(Column(f"{name}_mentions" if name != "mentions" else name, label, "count") for name, label in _COUNTS),
        Column("accuracy", "accuracy", "score"), Column("low", "95% low", "score"), Column("high", "95% high", "score"),
        *(Column(name, label, "score") for name, label in _SHARES),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = []
    runs = []
    for run in evidence.runs:
        for task, accuracy in run.result.concepts.items():
            runs.append(run)
            for whose, part in (("gold", accuracy.gold), ("found", accuracy.found)):
                counts, shares = ([getattr(part, name) for name, _ in names] for names in (_COUNTS, _SHARES))
                bounds = part.ci95.get("accuracy", (None, None))
                rows.append((run.result.id, task, accuracy.linker, whose, *counts, part.accuracy, *bounds, *shares))
    caption = (
        "Test mentions with a concept in gold: all of them (gold), and those whose fragments and label were predicted (found). "
        "Unseen: no training mention has the same words. New: no training mention has the concept. "
        "The interval of accuracy is Wilson's."
    )
    return Table("concepts", "Concepts", caption, columns, tuple(rows), *rests(runs)) if rows else None
