"""`bench serve`: a page and an endpoint that tell what the model of a finished run finds in a text."""

from __future__ import annotations

import argparse
import os
import sys

from bench.cli.parser import Parser, add_runs, whole
from bench.cli.signals import terminated_as_interrupted

TOKEN = "BENCH_SERVE_TOKEN"


def configure(parser: Parser) -> None:
    """Adds the flags of `bench serve`, what `--help` says of it and its examples."""
    parser.description = (
        "Serves the model of a finished run: a page that shows what it finds in a text, and POST /predict for programs.\n"
        "No text is logged or written to disk. It listens on this machine alone unless --host says otherwise; then every\n"
        "request has to bring a token."
    )
    parser.epilog = (
        "examples:\n  bench serve RUN\n  bench serve RUN --stage quantized --port 0\n"
        "  curl -H 'Content-Type: application/json' -d '{\"texts\": [\"…\"]}' http://127.0.0.1:8000/predict"
    )
    parser.add_argument("run", metavar="RUN", help="id of a finished run, the beginning of it, or its folder")
    parser.add_argument("--task", metavar="NAME", help="which task, where the run has several")
    parser.add_argument(
        "--stage", choices=("trained", "quantized"), default="trained", help="which model of the run (default: trained)"
    )
    parser.add_argument("--device", metavar="NAME", help="cpu, cuda or cuda:1 (default: the run's)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1, this machine alone)")
    parser.add_argument("--port", type=whole, default=8000, help="port to listen on; 0 for any that is free (default: 8000)")
    parser.add_argument(
        "--token", help=f"what requests have to bring; other users can see it here, but not in the variable {TOKEN} (default: "
        "none on this machine, else one that is made and printed)",
    )  # fmt: skip
    add_runs(parser, "--runs")


def run(args: argparse.Namespace) -> int:
    """Serves until it is interrupted; returns 0."""
    from bench.registry import load
    from bench.results.store import find_run
    from bench.screen.console import RichReporter
    from bench.serving.serve import ServeConfig, serve

    folder = find_run(args.run, args.runs, "--runs")
    token = args.token if args.token is not None else os.environ.get(TOKEN) or None
    config = ServeConfig(args.task, args.stage, args.device, args.host, args.port, token)
    with terminated_as_interrupted():
        idle = serve(folder, load(), config, RichReporter())
    if not idle:  # Python would wait for the thread of a prediction that nobody wants any more
        sys.stdout.flush()
        os._exit(0)
    return 0
