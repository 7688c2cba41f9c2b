"""`bench sync`: brings a run's trackers up to date with its journal, without doubles."""

from __future__ import annotations

import argparse
import sys

from bench.cli.parser import Parser, add_runs
from bench.registry import load
from bench.screen.terminal import paint, say
from bench.wording import some


def configure(parser: Parser) -> None:
    """Adds the flags of `bench sync`, what `--help` says of it and its examples."""
    parser.description = (
        "Hands the trackers of a run every event of its journal that they do not hold yet. A tracker that was down, slow or\n"
        "not installed during the run catches up here, as often as you like: no event arrives twice."
    )
    parser.add_argument("run", metavar="RUN", help="a run's id, the beginning of it, or its folder")
    add_runs(parser)


def run(args: argparse.Namespace) -> int:
    """Syncs; 1 where a tracker could not be brought up to date."""
    from bench.results.store import find_run
    from bench.tracking import sync

    warnings: list[str] = []
    handed = sync(find_run(args.run, args.out), load(), warnings.append)
    for tracker, events in handed.items():
        outcome = f"{some(events, 'event')} handed over" if events else "was up to date"
        say(f"{paint(tracker, 'cyan')}: {outcome}")
    for warning in warnings:
        say(f"{paint('warning:', 'yellow', sys.stderr)} {warning}", sys.stderr)
    if not handed and not warnings:
        say("The run has no trackers.")
    return 1 if warnings else 0
