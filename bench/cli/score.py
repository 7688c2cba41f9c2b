"""`bench score`: any system's files against gold files, by the task's official rules; no model, no text, no torch."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.cli.parser import Parser
from bench.errors import DataWarning
from bench.evaluation.score import score_files
from bench.naming import flatten
from bench.registry import load
from bench.results.scores import INTERVAL, INTERVAL_BY
from bench.screen.terminal import paint, say
from bench.screen.text import columns, dump, fields, number

_COUNTED = ("tp", "fp", "fn", "precision", "recall", "f1")


def configure(parser: Parser) -> None:
    """Adds the flags of `bench score`, what `--help` says of it and its examples."""
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
    """Prints the official scores of predicted files, warnings on standard error; returns 0. Imports no torch."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DataWarning)
        scores = score_files(args.task, args.gold, args.pred, load(), args.tolerate or ())
    for warning in caught:
        say(f"{paint('warning:', 'yellow', sys.stderr)} {warning.message}", stream=sys.stderr)
    say(dump({"task": args.task, "scores": scores}) if args.json else report(scores))
    return 0


def report(scores: Mapping[str, Any]) -> str:
    """Scores for people, nested or by dotted name: one row a measure with counts, the other figures below."""
    flat = flatten(scores)
    groups = {name[:-2] for name in flat if name.endswith(".f1") or name == "f1"}  # up to the last dot
    header = ["measure", *_COUNTED]
    intervals = any(f"{group}f1{INTERVAL}" in flat for group in groups)
    rows, noted = [], False
    for group in dict.fromkeys(name[: name.rfind(".") + 1] for name in flat):
        if group in groups:
            row = [group.rstrip("."), *(number(flat[group + key]) if group + key in flat else "" for key in _COUNTED)]
            noted |= f"{group}f1{INTERVAL_BY}" in flat
            mark = "*" if f"{group}f1{INTERVAL_BY}" in flat else ""
            rows.append(row + ([f"{interval(flat.get(f'{group}f1{INTERVAL}'))}{mark}"] if intervals else []))
    header += ["95% interval"] if intervals else []
    text = columns([header[0], *header[1:]], [_right(row, header, rows) for row in rows]) if rows else ""
    counted = {group + key for group in groups for key in _COUNTED}
    loose = {name: number(v) for name, v in flat.items() if name not in counted and isinstance(v, (int, float))}
    note = "* from counts: too few items for a bootstrap over documents" if noted else ""
    return "\n\n".join(part for part in (text, note, fields(loose) if loose else "") if part)


def interval(bounds: Any) -> str:
    """A confidence interval; empty where there is none."""
    pair = isinstance(bounds, (list, tuple)) and len(bounds) == 2  # a result can be edited
    return f"[{number(bounds[0])}, {number(bounds[1])}]" if pair else ""


def _right(row: list[str], header: list[str], rows: list[list[str]]) -> list[str]:
    widths = [max(len(header[i]), *(len(r[i]) for r in rows)) for i in range(len(row))]
    return [paint(row[0], "cyan"), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
