"""`bench sync`: brings a run's trackers up to date with its journal, without doubles."""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.cli.parser import Parser
from bench.cli.show import run_folder
from bench.registry import load


def configure(parser: Parser) -> None:
    """Declares the arguments."""
    parser.description = (
        "Hands the trackers of a run every event of its journal that they do not hold yet. A tracker that was down, slow or\n"
        "not installed during the run catches up here, as often as you like: no event arrives twice."
    )
    parser.add_argument("run", metavar="RUN", help="a run's id or folder")
    parser.add_argument("--out", type=Path, default=Path("runs"), metavar="DIR", help="folder of runs (default: runs)")


def run(args: argparse.Namespace) -> int:
    """Syncs."""
    from bench.tracking import sync

    folder = run_folder(args.run, args.out)
    for line in sync(folder, load()) or (f"{folder.name}: up to date",):
        print(line)
    return 0
