"""What comparisons are made of: the additive statistics of every document, saved beside the predictions.

Summed over documents, or over a resample of them, they give a task's scores (`bench.api.Task.summarise`), so that runs can be
held against each other without a corpus or a model. They hold numbers and document ids, never text.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import RunStateError
from bench.results.layout import STATISTICS, statistics_name
from bench.results.reading import check_version
from bench.results.store import read_json, write_bytes
from bench.wording import some

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NUMBERED = re.compile(r"(train|dev|test)-\d{6}")
"""Names that `bench.kit.iob` gives to sentences that belong to no document."""
STATISTICS_VERSION = 1
"""Of the layout of these files; another one than `bench.results.schema.SCHEMA_VERSION`."""


@dataclass(frozen=True, eq=False)
class Statistics:
    """Additive statistics of one task, split and stage: a row for each document, a column for each name, none twice.

    Args:
        task: its name.
        split: its name.
        stage: of the run.
        documents: ids, in the order of the corpus.
        names: of the statistics.
        rows: of shape (documents, names).
        unit: what a document is, in the plural; see `bench.api.data.Corpus.unit`. Empty where nobody says it.
    """

    task: str
    split: str
    stage: str
    documents: tuple[str, ...]
    names: tuple[str, ...]
    rows: NDArray[np.float64]
    unit: str = ""

    @classmethod
    def of(
        cls,
        task: str,
        split: str,
        stage: str,
        documents: Sequence[str],
        rows: Sequence[Mapping[str, float]],
        unit: str = "",
    ) -> Statistics:
        """From what `bench.api.Task.statistics` gives; a statistic that a document does not have is 0."""
        import numpy as np

        names = tuple(dict.fromkeys(name for row in rows for name in row))
        table = np.array([[row.get(name, 0.0) for name in names] for row in rows], dtype=np.float64)
        return cls(task, split, stage, tuple(documents), names, table.reshape(len(rows), len(names)), unit)

    def sums(self) -> dict[str, float]:
        """Over all documents: what `bench.api.Task.summarise` takes."""
        return {name: float(value) for name, value in zip(self.names, self.rows.sum(axis=0), strict=True)}


def write_statistics(folder: Path, statistics: Statistics) -> Path:
    """Saves statistics in a run's folder, whole or not at all, and returns the path."""
    path = folder / STATISTICS / statistics_name(statistics.task, statistics.split, statistics.stage)
    value = {
        "schema_version": STATISTICS_VERSION,
        "task": statistics.task,
        "split": statistics.split,
        "stage": statistics.stage,
        **({"unit": statistics.unit} if statistics.unit else {}),
        "documents": list(statistics.documents),
        "names": list(statistics.names),
        "rows": [[_number(cell) for cell in row] for row in statistics.rows.tolist()],
    }
    write_bytes(path, (json.dumps(value, allow_nan=False, ensure_ascii=False) + "\n").encode(errors="backslashreplace"))
    return path


def read_statistics(folder: Path, task: str, split: str, stage: str) -> Statistics:
    """Reads what `write_statistics` saved in a run's folder.

    Raises:
        RunStateError: there is none, it is damaged, of another schema version, or of something else than it is named for.
    """
    import numpy as np

    path = folder / STATISTICS / statistics_name(task, split, stage)
    if folder.is_dir() and not path.exists():
        raise RunStateError(
            f"Run {folder.name} has no statistics of {task}, {split}, {stage}: there is no {path}.",
            "A run of an older bench, or of other tasks; run it again to compare it.",
        )
    value = check_version(read_json(path), (STATISTICS_VERSION,), str(path), "a file of statistics")
    try:
        statistics = Statistics(
            str(value["task"]),
            str(value["split"]),
            str(value["stage"]),
            tuple(str(name) for name in value["documents"]),
            tuple(str(name) for name in value["names"]),
            np.array(value["rows"], dtype=np.float64).reshape(len(value["rows"]), len(value["names"])),
            str(value.get("unit", "")) or _unit(value["documents"]),
        )
    except (KeyError, TypeError, ValueError):
        raise RunStateError(f"{path} does not hold one number a document and name, or lacks a key.") from None
    _check(path, statistics, (task, split, stage))
    return statistics


def _unit(documents: Sequence[str]) -> str:
    """The unit in a file that does not say it, of an older run: sentences without a document have a number for a name."""
    return "sentences" if documents and all(NUMBERED.fullmatch(str(document)) for document in documents) else ""


def _check(path: Path, stats: Statistics, expected: tuple[str, str, str]) -> None:
    import numpy as np

    if (stats.task, stats.split, stats.stage) != expected:
        raise RunStateError(f"{path} says it is of {stats.task}, {stats.split}, {stats.stage}: it was moved or changed.")
    if len(stats.rows) != len(stats.documents):
        raise RunStateError(f"{path} has {some(len(stats.rows), 'row')} for {some(len(stats.documents), 'document')}.")
    if len(set(stats.documents)) != len(stats.documents) or len(set(stats.names)) != len(stats.names):
        raise RunStateError(f"{path} names a document or a statistic twice.")
    if not np.isfinite(stats.rows).all():
        raise RunStateError(f"{path} holds something that is not a finite number.")


def _number(value: float) -> float | int | None:
    """Counts without the ``.0``, which is a third of a file; None for what is no number, which a reader then refuses."""
    if not math.isfinite(value):
        return None  # a scorer's mistake must not cost a trained run its result
    return int(value) if value.is_integer() else value
