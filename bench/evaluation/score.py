"""Scores the files of any system against gold files, by a task's official rules, without a model or torch."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.api.task import Task
from bench.errors import UsageError, unknown
from bench.registry import TASK_FILE, Registry

FORMATS = ("iob", "brat")
"""Formats of mentions whose files can be scored without a task, with any types."""


def score_files(name: str, gold: Path, pred: Path, registry: Registry, tolerate: Sequence[str] = ()) -> Mapping[str, Any]:
    """Scores predicted files against gold files.

    Args:
        name: of a task, a task's ``.toml``, or one of `FORMATS`.
        gold: file or folder, in the official format.
        pred: the system's file or folder, in the same format.
        registry: the plugins.
        tolerate: kinds of faulty lines that are left out of gold.

    Raises:
        DataError: a file cannot be read.
        UsageError: there is no such task, file or folder, or the task's scorer cannot leave out lines.
    """
    task = scorer(name, registry).tolerating(tolerate)
    if tolerate and task.file is None:
        raise UsageError(f"The official scorer of {task.name!r} leaves no line out.", "Take --tolerate away.")
    for option, path in (("--gold", gold), ("--pred", pred)):
        if not path.exists():
            raise UsageError(f"{option}: there is no file or folder {path}.")
    return task.score_files(gold, pred)


def scorer(name: str, registry: Registry) -> Task:
    """The task of a name; for a format, a task that scores its files.

    Raises:
        UsageError: the name is neither a task nor a format; names the nearest of both.
    """
    known = [entry.name for entry in registry.entries("tasks")]
    if name in FORMATS and name not in known:
        return _of_format(name, registry)
    try:
        return registry.get("tasks", name)
    except UsageError as error:
        if name.endswith(TASK_FILE):
            raise
        nearest = unknown("task", name, (*known, *FORMATS), "bench list tasks")
        nearest.hint = f"{error.hint} Files of the formats {' and '.join(FORMATS)} are scored under those names."
        raise nearest from None


def _of_format(name: str, registry: Registry) -> Task:
    """A task of mentions in a format, without a corpus, made from a temporary task file."""
    with tempfile.TemporaryDirectory(prefix="bench-score-") as folder:
        path = Path(folder) / f"{name}{TASK_FILE}"
        path.write_text(f'kind = "mentions"\nformat = "{name}"\nfolder = "."\n', encoding="utf-8")
        return registry.get("tasks", str(path))
