"""`bench probe`: what the shared and the private adapters of a finished run encode, by linear probes."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from bench.cli.parser import Parser, add_runs, whole
from bench.errors import UsageError
from bench.screen.terminal import say
from bench.screen.text import columns, dump, number

PROBE = "probe.json"


def configure(parser: Parser) -> None:
    """Adds the flags of `bench probe`, what `--help` says of it and its examples."""
    parser.description = (
        "Trains linear probes on the mean hidden states of short stretches of text, with no adapter active, with each one\n"
        "alone and as trained: which task a stretch is of, and whether it holds each label. Balanced accuracy on test\n"
        "documents, with intervals over them. What a probe finds is encoded; whether the model uses it, a probe cannot tell."
    )
    parser.epilog = "example:\n  bench probe RUN --json"
    parser.add_argument("run", metavar="RUN", help="a finished run's id, the beginning of it, or its folder")
    add_runs(parser)
    parser.add_argument(
        "--examples", type=whole, default=300, metavar="N", help="stretches of each split of a task at most (default: 300)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Trains the probes, writes ``probe.json`` into the run's folder and prints it; returns 0."""
    if args.examples < 20:
        raise UsageError(f"--examples {args.examples}: a probe wants at least 20 stretches.")
    from bench.registry import load
    from bench.results.reading import plain
    from bench.results.store import find_run, write_json
    from bench.screen.console import RichReporter
    from bench.steps.probing import probe_run

    folder = find_run(args.run, args.out)
    probe = plain(probe_run(folder, load(), RichReporter(stderr=True), args.examples))
    write_json(folder / PROBE, probe)
    say(dump(probe) if args.json else report(probe))
    return 0


def report(probe: Mapping[str, Any]) -> str:
    """A row for each question, a column for each condition."""
    questions = {"task": probe["task"]} if probe["task"] else {}
    questions |= {f"{task}: {label}": scores for task, labels in probe["labels"].items() for label, scores in labels.items()}
    shown = [condition for condition in probe["conditions"] if any(condition in scores for scores in questions.values())]
    rows = []
    for question, scores in questions.items():
        chance = next(iter(scores.values()))["chance"]
        rows.append([question, number(chance), *(_cell(scores.get(condition)) for condition in shown)])
    return columns(["balanced accuracy", "chance", *shown], rows)


def _cell(scores: Mapping[str, Any] | None) -> str:
    if scores is None:
        return ""
    low_high = scores["ci95"]
    spread = f" [{number(low_high[0])}, {number(low_high[1])}]" if low_high else ""
    return number(scores["balanced_accuracy"]) + spread
