"""`bench score`: any system's files against gold files, by the task's official rules; no model, no text, no torch."""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.api.task import Task
from bench.cli.parser import Parser
from bench.cli.terminal import paint, say
from bench.cli.text import columns, dump, fields, number
from bench.errors import DataWarning, UsageError, unknown
from bench.registry import TASK_FILE, Registry, load

FORMATS = ("iob", "brat")
"""Formats of mentions whose files are scored without a task: whatever types they hold."""
_COUNTED = ("tp", "fp", "fn", "precision", "recall", "f1")


def configure(parser: Parser) -> None:
    """Declares the arguments."""
    parser.description = "Scores predicted files against gold files by the rules of the task's organisers."
    parser.epilog = (
        "examples:\n  bench score 2015-T14 --gold corpus/test/ --pred mine/ --json\n"
        "  bench score brat --gold corpus/test/ --pred mine/\n"
        "  bench score iob --gold corpus/test.tsv --pred mine.tsv"
    )
    parser.add_argument(
        "task", metavar="TASK", help="a name that 'bench list tasks' shows, a task's .toml, or a format: iob or brat"
    )
    parser.add_argument("--gold", required=True, type=Path, metavar="PATH", help="gold file or folder, official format")
    parser.add_argument("--pred", required=True, type=Path, metavar="PATH", help="predicted file or folder, same format")
    parser.add_argument(
        "--tolerate", action="append", metavar="KIND", help="leave faulty lines of a kind out of gold; repeatable"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Scores."""
    task = scorer(args.task, load()).tolerating(args.tolerate or ())
    if args.tolerate and task.file is None:
        raise UsageError(f"The official scorer of {task.name!r} leaves no line out.", "Take --tolerate away.")
    for option, path in (("--gold", args.gold), ("--pred", args.pred)):
        if not path.exists():
            raise UsageError(f"{option}: there is no file or folder {path}.")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DataWarning)
        scores = task.score_files(args.gold, args.pred)
    for warning in caught:
        say(f"{paint('warning:', 'yellow', sys.stderr)} {warning.message}", stream=sys.stderr)
    say(dump({"task": args.task, "scores": scores}) if args.json else report(scores))
    return 0


def scorer(name: str, registry: Registry) -> Task:
    """The task of a name, or what scores the files of a format.

    Raises:
        UsageError: neither a task nor a format, with the nearest of both.
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
    """A task of mentions in a format, without a corpus: one that a file describes is all that scoring needs."""
    with tempfile.TemporaryDirectory(prefix="bench-score-") as folder:
        path = Path(folder) / f"{name}{TASK_FILE}"
        path.write_text(f'kind = "mentions"\nformat = "{name}"\nfolder = "."\n', encoding="utf-8")
        return registry.get("tasks", str(path))


def report(scores: Mapping[str, Any]) -> str:
    """Scores for people: one row a measure with counts, the other figures below."""
    groups = dict(_groups("", scores))
    header = ["measure", *_COUNTED]
    intervals = any("ci95" in group for group in groups.values())
    rows = []
    for name, group in groups.items():
        row = [name, *(number(group[key]) if key in group else "" for key in _COUNTED)]
        rows.append(row + ([interval(group.get("ci95"))] if intervals else []))
    header += ["95% interval"] if intervals else []
    text = columns([header[0], *header[1:]], [_right(row, header, rows) for row in rows]) if rows else ""
    loose = {name: number(value) for name, value in _loose("", scores)}
    return "\n\n".join(part for part in (text, fields(loose) if loose else "") if part)


def interval(bounds: Any) -> str:
    """A confidence interval; empty where there is none."""
    return f"[{number(bounds[0])}, {number(bounds[1])}]" if bounds else ""


def _right(row: list[str], header: list[str], rows: list[list[str]]) -> list[str]:
    widths = [max(len(header[i]), *(len(r[i]) for r in rows)) for i in range(len(row))]
    return [paint(row[0], "cyan"), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]


def _groups(prefix: str, node: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if "f1" in node:
        yield prefix, node
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from _groups(f"{prefix}.{key}" if prefix else key, value)


def _loose(prefix: str, node: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    counted = (*_COUNTED, "ci95") if "f1" in node else ()
    for key, value in node.items():
        name = f"{prefix}.{key}" if prefix else key
        if isinstance(value, Mapping):
            yield from _loose(name, value)
        elif key not in counted and isinstance(value, (int, float)):
            yield name, value
