"""`bench compare`: runs against each other, first by contract, then by statistics over documents and seeds."""

from __future__ import annotations

import argparse
import sys

from bench.cli.parser import Parser, add_runs, whole
from bench.registry import load
from bench.screen.terminal import over, paint, say
from bench.screen.text import dump


def configure(parser: Parser) -> None:
    """Adds the flags of `bench compare`, what `--help` says of it and its examples."""
    parser.description = (
        "Holds finished runs against each other. What may differ is what is compared; any other difference (tokens beyond 1%,\n"
        "adapter parameters beyond 5%, data, scorer, base model, waivers, package versions, …) is listed and refused. Then,\n"
        "from the saved statistics: bootstrap and permutation test over documents, an interval over seeds and documents,\n"
        "effect sizes, Holm's adjustment, wins, ties and losses, and the noise floor. Fewer than six seeds resolve nothing."
    )
    parser.epilog = (
        "examples:\n  bench compare RUN RUN\n  bench compare runs/ --by arch\n"
        "  bench compare RUN RUN --by quant --metric task1.relaxed.f1 --allow versions --json"
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", help="id, beginning of an id, folder of a run, or folder of runs")
    parser.add_argument("--task", action="append", default=[], metavar="NAME", help="only runs of this task; repeatable")
    parser.add_argument("--by", action="append", default=[], metavar="FIELD", help="what is compared (default: what differs)")
    parser.add_argument("--metric", metavar="PATH", help="dotted path of a score (default: each task's primary metric)")
    parser.add_argument("--split", default="test", metavar="NAME", help="test or dev (default: test)")
    parser.add_argument(
        "--allow", action="append", default=[], metavar="FIELD", help="a field that may differ as well; repeatable"
    )
    parser.add_argument(
        "--rope", type=float, default=0.01, metavar="D", help="differences that count as none on a further task (default: 0.01)"
    )
    parser.add_argument("--resamples", type=whole, default=10_000, metavar="N", help="of documents (default: 10,000)")
    add_runs(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Prints what two or more groups of runs differ by, with intervals; refuses runs that do not compare. Returns 0."""
    from bench.studies.arms import read_runs
    from bench.studies.compare import compare
    from bench.studies.contract import check_fields

    by, allow = check_fields(args.by, "--by"), check_fields(args.allow, "--allow")
    runs, passed_over = read_runs(args.runs, args.out, args.task)
    comparison = compare(
        *(runs, load()), by=by, metric=args.metric, split=args.split, allow=allow, resamples=args.resamples, rope=args.rope,
        tell=_tell,
    )  # fmt: skip
    _done()
    if args.json:
        say(dump(comparison.to_json() | {"notes": [*passed_over, *comparison.notes]}))
    else:
        from bench.cli.comparison import show

        show(comparison, passed_over)
    return 0


def _tell(what: str) -> None:
    over(paint(what, "dim", sys.stderr), sys.stderr)


def _done() -> None:
    over("", sys.stderr)
