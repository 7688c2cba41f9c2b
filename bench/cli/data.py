"""`bench data prepare`: a corpus's release in the layout that `--data` wants."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from shlex import quote

from bench.cli.parser import Parser
from bench.cli.signals import terminated_as_interrupted
from bench.screen.terminal import paint, say
from bench.screen.text import columns, dump

ACTIONS = ("prepare",)


def configure(parser: Parser) -> None:
    """Adds the flags of `bench data`, what `--help` says of it and its examples."""
    parser.description = (
        "Arranges the release of a task's corpus in the layout that --data wants, and checks it by the task's own loader.\n"
        "RELEASE is a zip or tar file as it was downloaded, or the unpacked folder; it is only read. The folder OUT\n"
        "appears whole or not at all, and only you can read it. Counts are printed, and no text."
    )
    parser.epilog = "example:\n  bench data prepare 2015-T14 semeval2015-1.0.zip /secure/share2015"
    parser.add_argument("action", choices=ACTIONS, metavar="prepare", help="what is done")
    parser.add_argument("task", metavar="TASK", help="a task whose release is known, such as 2015-T14")
    parser.add_argument("release", type=Path, metavar="RELEASE", help="an archive or a folder")
    parser.add_argument("out", type=Path, metavar="OUT", help="the folder to be made, new or empty")
    parser.add_argument(
        "--tolerate", action="append", metavar="KIND", help="let faulty lines of a kind pass the check; repeatable"
    )
    parser.add_argument("--json", action="store_true", help="print what was done as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Prepares the corpus and prints counts; returns 0."""
    from bench.kit.prepare import prepare
    from bench.registry import load

    with terminated_as_interrupted():
        done = prepare(load().get("tasks", args.task), args.release, args.out, args.tolerate or ())
    if args.json:
        say(dump(asdict(done)))
        return 0
    rows = [
        [split, *(f"{count[split]:,}" for count in (done.documents, done.mentions, done.discontiguous))]
        for split in done.documents
    ]
    say(columns(["split", "documents", "mentions", "discontiguous"], rows))
    for kind, count in done.left_out.items():
        say(paint(f"{kind} {count:,}: such lines stay in the files; runs need --tolerate {kind}", "yellow"))
    say(paint(f"  bench run --task {done.task} --data {quote(f'{done.task}={args.out}')}", "cyan"))
    return 0
