"""`bench check`: holds a plugin's parts against the conformance checks."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from bench.cli.parser import Parser
from bench.cli.text import columns, dump, paint
from bench.registry import load


def configure(parser: Parser) -> None:
    """Declares the arguments."""
    parser.description = (
        "Runs the conformance checks on every part of a plugin, or on one part. Exit code 1 where a check fails; the same\n"
        "checks run under pytest through bench.conformance."
    )
    parser.epilog = "examples:\n  bench check bench-suite\n  bench check bench-suite:quantizers\n  bench check A2"
    parser.add_argument("plugin", metavar="PLUGIN", help="a distribution, distribution:entry-point, or the name of one part")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Checks."""
    from bench.conformance import check

    results = check(args.plugin, load())
    failed = [result for result in results if not result.passed]
    if args.json:
        print(dump({"plugin": args.plugin, "passed": not failed, "checks": [asdict(result) for result in results]}))
    else:
        rows = [
            (paint("passed", "green") if r.passed else paint("FAILED", "red"), r.part, r.name, " ".join(r.detail.split()))
            for r in results
        ]
        print(columns(("result", "part", "check", "detail"), rows, flexible=3))
        print(f"\n{len(results) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0
