"""The task `triage`: how urgent is a message? Five ordered levels and a scorer of its own, in one file.

A line (made up): ``{"id": "m1", "text": "Crushing chest pain for an hour.", "level": "1"}``. There is no synthetic corpus: runs
want ``--data triage=FOLDER``. Quadratic weighted kappa counts a level that is far off for more than a near one: with o the
counts of (gold, predicted) and e those that chance gives, κ = 1 - Σ (i - j)² o_ij / Σ (i - j)² e_ij.

Source: Cohen 1968, Weighted kappa, doi:10.1037/h0026256; the levels of the Emergency Severity Index.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.api.data import Corpus, Document
from bench.api.task import Scores, Task, TaskMetadata
from bench.hooks import hookimpl
from bench.kit import class_task, classes, corpora, jsonl, scores

LEVELS = ("1", "2", "3", "4", "5")


class Triage(class_task.ClassTask):
    """Urgency of messages, from most to least urgent."""

    name, version, summary = "triage", "1", "how urgent is a message, in five ordered levels"
    citation, licence = "after Cohen 1968, doi:10.1037/h0026256", "that of your messages"
    classes = LEVELS
    reader, labeller = "bench_triage:load", "bench_triage:label"
    metadata = TaskMetadata(
        reference="https://doi.org/10.1037/h0026256",
        access="open: messages of your own",
        primary_metric="kappa",
        layout="FOLDER/{train,dev,test}.jsonl, a line a message: id, text and level, '1' (most urgent) to '5'",
        unit="messages",
    )

    def line(self, document: Document, chosen: str) -> tuple[str, Mapping[str, Any]]:
        """A message's line without its text."""
        return "levels.jsonl", {"id": document.id, "level": chosen}

    def statistics(self, gold: Sequence[Document], predicted: Sequence[Document]) -> list[Mapping[str, float]]:
        """One count a message, under its gold and predicted level; without a prediction it is as wrong as it can be."""
        given = {document.id: classes.chosen_class(document) for document in predicted}
        pairs = [(classes.chosen_class(document) or "3", given.get(document.id)) for document in gold]
        rows = [(right, said or ("1" if right > "3" else "5")) for right, said in pairs]
        return [{f"{a}.{b}": float((a, b) == row) for a in LEVELS for b in LEVELS} for row in rows]

    def summarise(self, sums: Mapping[str, Any]) -> Scores:
        """Kappa, accuracy and the share that is off by more than one level."""
        pairs = [(a, b, (int(a) - int(b)) ** 2) for a in LEVELS for b in LEVELS]
        total = sum(sums.values())
        gold = {a: sum(sums[f"{a}.{b}"] for b in LEVELS) for a in LEVELS}
        said = {b: sum(sums[f"{a}.{b}"] for a in LEVELS) for b in LEVELS}
        seen = sum(weight * sums[f"{a}.{b}"] for a, b, weight in pairs)
        chance = sum(weight * gold[a] * said[b] for a, b, weight in pairs)
        far_off = scores.ratio(sum(sums[f"{a}.{b}"] for a, b, weight in pairs if weight > 1), total)
        accuracy = scores.ratio(sum(sums[f"{a}.{a}"] for a in LEVELS), total)
        return {"kappa": 1 - scores.ratio(seen * total, chance), "accuracy": accuracy, "far_off": far_off}


def label(record: jsonl.Record) -> tuple[str, str]:
    """Name and level of a line."""
    return record.identifier("id"), record.one_of("level", LEVELS)


def document(record: jsonl.Record) -> Document:
    """The message of a line."""
    name, level = label(record)
    return Document(name, record.text("text"), judgements=classes.judgements(LEVELS, level))


def load(folder: Path) -> Corpus:
    """Reads and checks the three files."""
    return corpora.load(folder, document, Triage.metadata.layout)


@hookimpl
def bench_tasks() -> Sequence[Task]:
    """The task."""
    return (Triage(),)
