"""`bench predict`: what the model of a finished run finds in texts of one's own."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from bench.cli.parser import Parser, add_runs
from bench.cli.signals import terminated_as_interrupted
from bench.screen.terminal import paint, say
from bench.screen.text import dump


def configure(parser: Parser) -> None:
    """Adds the flags of `bench predict`, what `--help` says of it and its examples."""
    parser.description = (
        "Predicts texts with the model of a finished run: the windows, thresholds and code of its own evaluation.\n"
        'INPUT is a text file, a folder of .txt or .text files (sub-folders too), JSON Lines ({"id": …, "text": …}),\n'
        "PubTator, BioC (.xml, .json), Parquet, or an export of doccano or Label Studio (.json); of a task that relates\n"
        "given mentions one with mentions: brat (.txt with .ann), JSON Lines, and all of these after it.\n"
        "The folder of --out appears when all is done, whole. It holds offsets, labels and concepts, and no text."
    )
    parser.epilog = (
        "examples:\n  bench predict RUN notes/ --out found\n"
        "  bench predict RUN notes.jsonl --out found --format jsonl --format official\n"
        "  bench predict RUN notes/ --out found --format brat --with-text"
    )
    parser.add_argument("run", metavar="RUN", help="a finished run's id, the beginning of it, or its folder")
    parser.add_argument("inputs", nargs="+", type=Path, metavar="INPUT", help="files and folders of texts")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="the folder to be made, new or empty")
    parser.add_argument(
        "--format",
        action="append",
        choices=("jsonl", "official", "brat"),
        help="jsonl: as the run's own prediction files (default); official: the task's format; brat: .ann files with concepts "
        "and confidences; repeatable",
    )
    parser.add_argument("--task", metavar="NAME", help="which task, where the run has several")
    parser.add_argument(
        "--stage", choices=("trained", "quantized"), default="trained", help="which model of the run (default: trained)"
    )
    parser.add_argument("--device", metavar="NAME", help="cpu, cuda or cuda:1 (default: the run's)")
    parser.add_argument("--with-text", action="store_true", help="put the text into brat's files, which brat's server needs")
    add_runs(parser, "--runs")
    parser.add_argument("--json", action="store_true", help="print what was done as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Predicts, and prints what there is now; returns 0."""
    from bench.registry import load
    from bench.results.store import find_run
    from bench.screen.console import RichReporter
    from bench.steps.predicting import Request, predict_files

    folder = find_run(args.run, args.runs, "--runs")
    formats = args.format or ["jsonl"]
    request = Request(args.inputs, args.out, formats, args.task, args.stage, args.device, args.with_text)
    with terminated_as_interrupted():
        done = predict_files(folder, load(), request, RichReporter(stderr=args.json))
    if args.json:
        say(dump(asdict(done) | {"out": str(args.out)}))
        return 0
    say(done.summary)
    if done.synthetic:
        say(paint("SYNTHETIC: the run was trained on generated text, so this says nothing about real text", "yellow"))
    say("\n".join(f"  {path}" for path in sorted(args.out.iterdir())))
    return 0
