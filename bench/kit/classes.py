"""Tasks of one class a document: statistics, scores, label files, and seeded splits.

Scores equal scikit-learn's ``accuracy_score`` and ``f1_score`` over the task's fixed classes. They are computed from counts
that add up over documents, so that intervals can resample documents.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from bench.api.data import Document, Judgement
from bench.api.task import Scores
from bench.errors import DataError
from bench.kit.jsonl import Record, read
from bench.kit.scores import prf, ratio

Item = TypeVar("Item")
Labels = dict[str, str]
"""Document name to class."""


def judgements(classes: Sequence[str], chosen: str) -> tuple[Judgement, ...]:
    """One judgement a class; the chosen one has score 1, the others 0."""
    return tuple(Judgement(name, float(name == chosen), name == chosen) for name in classes)


def chosen_class(document: Document) -> str | None:
    """The class of a document: the one with the highest score where several are chosen, None where none is."""
    said = [judgement for judgement in document.judgements if judgement.chosen]
    return max(said, key=lambda judgement: judgement.score).name if said else None


def statistics(classes: Sequence[str], gold: Sequence[Document], predicted: Iterable[Document]) -> list[Mapping[str, float]]:
    """Additive statistics of every gold document, in order, by the task's `classes`; predictions are matched by id.

    A document without a prediction counts as missed.
    """
    predicted_class = {document.id: chosen_class(document) for document in predicted}
    return [document_statistics(classes, chosen_class(document), predicted_class.get(document.id)) for document in gold]


def document_statistics(classes: Sequence[str], gold: str | None, predicted: str | None) -> dict[str, float]:
    """Additive statistics of one document from its gold and its predicted class; without a prediction it counts as missed."""
    row = {"documents": 1.0, "right": float(gold is not None and gold == predicted)}
    for name in classes:
        row[f"{name}.tp"] = float(gold == predicted == name)
        row[f"{name}.fp"] = float(predicted == name != gold)
        row[f"{name}.fn"] = float(gold == name != predicted)
    return row


def summarise(classes: Sequence[str], sums: Mapping[str, Any]) -> Scores:
    """Scores from summed statistics; numbers give numbers, arrays give arrays. ``macro_f1`` is the mean over all `classes`."""
    by_class = {name: prf(sums, name) for name in classes}
    return {
        "accuracy": ratio(sums["right"], sums["documents"]),
        "macro_f1": sum(row["f1"] for row in by_class.values()) / len(classes),
        "by_class": by_class,
    }


def read_labels(path: Path, label: Callable[[Record], tuple[str, str]]) -> Labels:
    """Reads classes from JSON Lines: one file, or every ``.jsonl`` file of a folder; file names then begin document names.

    `label` gives name and class of a record, and raises what the record's own methods raise.

    Raises:
        DataError: a file cannot be read, a line is wrong, or a document occurs twice.
    """
    files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    if not files:
        raise DataError(f"{path} holds no .jsonl file; wanted at least one.")
    labels: Labels = {}
    for file in files:
        for record in read(file):
            name, chosen = label(record)
            name = f"{file.stem}-{name}" if len(files) > 1 else name
            if name in labels:
                raise record.error(f"document {name!r} occurs twice; wanted it once.")
            labels[name] = chosen
    return labels


def check_same_documents(gold: Path, pred: Path, wanted: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Refuses gold and predictions, by document name, that are not about the same documents; the paths are for the error.

    Raises:
        DataError: a document is in one file alone.
    """
    for have, lack, names in ((gold, pred, wanted.keys() - given.keys()), (pred, gold, given.keys() - wanted.keys())):
        if names:
            raise DataError(f"{lack} lacks document {min(names)!r} of {have} ({len(names)} such); wanted the same in both.")


def write_labels(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes JSON Lines, one object a line; the folder is made if it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode("utf-8"))


def stratified_split(
    items: Sequence[Item],
    shares: Sequence[float],
    kind: Callable[[Item], Hashable],
    same: Callable[[Item], Hashable],
    seed: str,
) -> list[list[Item]]:
    """Splits items into parts at random: each part gets its share of every kind, and items that are the same stay together.

    Groups of the same items, such as those of one text, are taken in a seeded order. Each goes to the part that lacks most
    items of its kind, such as the class, which for single items is the method of largest remainders. Within a part, items
    keep their order. Shares add up to 1; the same seed gives the same parts in every version of Python.
    """
    groups: dict[Hashable, list[int]] = {}
    for place, item in enumerate(items):
        groups.setdefault(same(item), []).append(place)
    order = random.Random(seed).random
    ranked = sorted((order(), number) for number in range(len(groups)))
    listed = list(groups.values())
    totals = Counter(map(kind, items))
    missing = {name: [share * count for share in shares] for name, count in totals.items()}
    parts: list[list[int]] = [[] for _ in shares]
    for _, number in ranked:
        group = listed[number]
        behind = missing[kind(items[group[0]])]
        best = max(range(len(shares)), key=lambda part: (behind[part], -part))
        parts[best] += group
        for place in group:
            missing[kind(items[place])][best] -= 1
    return [[items[place] for place in sorted(part)] for part in parts]
