"""`bench plan-power`: how many seeds and documents a difference takes to be found, from finished runs or stated variances."""

from __future__ import annotations

import argparse

from bench.cli.parser import Parser, add_runs, real, whole, wholes
from bench.errors import UsageError
from bench.registry import load
from bench.screen.terminal import say
from bench.screen.text import dump

POWER = 0.8
_POWER_FLAGS = ("effect", "seeds_sd", "documents_sd", "documents")


def configure(parser: Parser) -> None:
    """Adds the flags of `bench plan-power`, what `--help` says of it and its examples."""
    parser.usage = (
        "bench plan-power RUN [RUN ...] --effect D [...]\n"
        "       bench plan-power --effect D --seeds-sd X --documents-sd Y --documents N"
    )
    parser.description = (
        "Says how many seeds and documents find a true difference of --effect with --power, and how many hours that takes:\n"
        "from the variances of finished runs of two arms or more, two seeds of each at least, or from variances as stated.\n"
        "'bench study … --dry-run --effect D' does the same for a plan. Nothing is trained."
    )
    parser.epilog = (
        "examples:\n  bench plan-power runs/ --by arch --effect .01\n"
        "  bench plan-power --effect .01 --seeds-sd .01 --documents-sd .12 --documents 100 --looks 6,12,18,24"
    )
    parser.add_argument("runs", nargs="*", metavar="RUN", help="id, beginning of an id, folder of a run, or folder of runs")
    add_power_flags(parser.add_argument_group("what is to be found"))
    group = parser.add_argument_group("how it is judged")
    group.add_argument(
        "--margin", type=real, default=0.01, metavar="D", help="of equivalence, in the metric's unit (default: .01)"
    )
    group.add_argument(
        "--family", type=whole, metavar="N", help="questions asked at once, as tasks (default: from the runs, else 1)"
    )
    group.add_argument("--looks", type=wholes, metavar="N,N,…", help="planned looks at these numbers of seeds")
    group.add_argument("--spending", default="obrien-fleming", metavar="NAME", help="obrien-fleming (default) or pocock")
    group = parser.add_argument_group("the runs")
    group.add_argument("--task", action="append", default=[], metavar="NAME", help="only runs of this task; repeatable")
    group.add_argument("--by", action="append", default=[], metavar="FIELD", help="what is compared (default: what differs)")
    group.add_argument("--metric", metavar="PATH", help="dotted path of a score (default: each task's primary metric)")
    group.add_argument("--split", default="test", metavar="NAME", help="test or dev (default: test)")
    group.add_argument("--allow", action="append", default=[], metavar="FIELD", help="a field that may differ; repeatable")
    add_runs(group)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def add_power_flags(group: argparse._ArgumentGroup) -> None:
    """Adds the flags that say what is to be found, and the variances that may be stated."""
    group.add_argument("--effect", type=real, metavar="D", help="the true difference to be found, in the metric's unit, as .01")
    group.add_argument("--power", type=real, default=POWER, metavar="P", help="how often it shall be found (default: .8)")
    group.add_argument("--seeds-sd", type=real, metavar="X", help="standard deviation over seeds of the difference of two runs")
    group.add_argument("--documents-sd", type=real, metavar="Y", help="the same over documents, of what each adds to it")
    group.add_argument("--documents", type=whole, metavar="N", help="documents in the test split (default: those of the runs)")


def power_flags(args: argparse.Namespace) -> list[str]:
    """Those of `add_power_flags` that were typed with another value than their default."""
    typed = {"power": args.power != POWER, **{name: getattr(args, name) is not None for name in _POWER_FLAGS}}
    return [f"--{name.replace('_', '-')}" for name, given in typed.items() if given]


def run(args: argparse.Namespace) -> int:
    """Prints what it takes to find a difference. Returns 0."""
    from bench.screen.power import show
    from bench.stats.sequential import looks_of_plan, planned_looks
    from bench.studies.arms import read_runs
    from bench.studies.contract import check_fields
    from bench.studies.power import Question, pilots_of_runs, power_plan, stated_or_none

    if args.effect is None:
        raise UsageError(
            "'bench plan-power' wants the difference that is to be found.", "Add --effect D, such as --effect .01."
        )
    pilots = stated_or_none(args.seeds_sd, args.documents_sd, args.documents)
    notes: list[str] = []
    if pilots is not None and args.runs:
        raise UsageError("Variances are stated, and runs are named as well.", "Give one of them.")
    if pilots is None:
        if not args.runs:
            raise UsageError(
                "'bench plan-power' wants finished runs or stated variances.",
                "Name runs, or add --seeds-sd X --documents-sd Y --documents N.",
            )
        by, allow = check_fields(args.by, "--by"), check_fields(args.allow, "--allow")
        runs, notes = read_runs(args.runs, args.out, args.task)
        pilots = pilots_of_runs(runs, load(), by, args.metric, args.split, allow)
        if args.documents is not None:
            pilots = [pilot.with_documents(args.documents) for pilot in pilots]
    looks = looks_of_plan(planned_looks(args.looks, max(args.looks)), args.spending) if args.looks else ()
    family = args.family if args.family is not None else len(pilots)
    question = Question(args.effect, args.power, args.margin, family, looks)
    plans = [power_plan(pilot, question) for pilot in pilots]
    if args.json:
        say(dump({"question": question.to_json(), "notes": notes, "plans": [plan.to_json() for plan in plans]}))
    else:
        show(plans, question, notes)
    return 0
