"""`bench import-predictions`: other systems beside runs, on boards, in comparisons and in reports."""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.cli.parser import Parser, add_runs, whole
from bench.errors import UsageError
from bench.screen.terminal import paint, say
from bench.screen.text import dump, number
from bench.wording import some


def configure(parser: Parser) -> None:
    """Adds the flags of `bench import-predictions`, what `--help` says of it and its examples."""
    parser.description = (
        "Scores a system's predictions for the test split as a run is scored, and keeps them as results that board, compare\n"
        "and report take. They are stamped imported: tokens and parameters are unknown unless you declare them."
    )
    parser.epilog = (
        "examples:\n"
        "  bench import-predictions 2015-T14 mine/ --data 2015-T14=/secure/share2015 --system 'GPT, prompted'\n"
        "  bench import-predictions ncbi-disease a.tsv b.tsv c.tsv --data ncbi-disease=NCBI-disease-IOB --system lab-x\n"
        "  bench compare RUN IMPORTED --allow imported"
    )
    parser.add_argument("task", metavar="TASK", help="a name that 'bench list tasks' shows, or a task's .toml")
    parser.add_argument(
        "predictions", nargs="+", type=Path, metavar="PATH",
        help="a file or folder a seed: the task's official format, or JSON Lines of 'bench predict'",
    )  # fmt: skip
    parser.add_argument("--system", required=True, metavar="NAME", help="the system's name, which boards show")
    parser.add_argument("--data", metavar="TASK=DIR", help="the corpus that it read")
    parser.add_argument("--system-version", default="", metavar="V", help="its version")
    parser.add_argument("--tokens", type=whole, metavar="N", help="training tokens, where you know them")
    parser.add_argument("--parameters", type=whole, metavar="N", help="trained parameters, where you know them")
    parser.add_argument("--note", default="", metavar="TEXT", help="what else there is to say, such as where it is described")
    parser.add_argument("--seed", type=whole, default=0, metavar="N", help="of the first path, the next follow (default: 0)")
    parser.add_argument("--tolerate", action="append", default=[], metavar="KIND", help="as of 'bench run'; repeatable")
    parser.add_argument("--allow-leak", action="store_true", help="as of 'bench run'")
    add_runs(parser, "--out")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Imports and prints each result's headline; returns 0."""
    from bench.registry import load
    from bench.results.reading import plain
    from bench.results.store import read_result
    from bench.steps.imports import ImportRequest, import_predictions

    registry = load()
    folder = None
    if args.data is not None:
        name, equals, given = args.data.partition("=")
        if not equals or registry.get("tasks", name).name != registry.get("tasks", args.task).name:
            raise UsageError(f"--data is {args.data!r}; wanted {args.task}=DIR.")
        folder = Path(given)
    request = ImportRequest(
        args.task, args.predictions, args.system, folder, args.out, args.system_version, args.tokens, args.parameters,
        args.note, args.seed, args.tolerate, args.allow_leak,
    )  # fmt: skip
    folders = import_predictions(request, registry)
    results = [read_result(folder) for folder in folders]
    if args.json:
        said = [{"id": r.id, "headline": plain(r.headline), "imported": plain(r.imported)} for r in results]
        say(dump({"results": [place / "result.json" for place in folders], "imported": said}))
        return 0
    for result in results:
        head, about = result.headline, result.imported
        bounds = f" [{number(head.ci95[0])}, {number(head.ci95[1])}]" if head.ci95 else ""
        stamp = paint("  SYNTHETIC data", "yellow") if result.synthetic else ""
        say(f"{head.task} test, imported: {head.metric} {number(head.value)}{bounds}  {about.system if about else ''}{stamp}")
        if about is not None and (left := about.missing.get(head.task)):
            say(paint(f"  no prediction for {some(left, 'document')} of the split: counted as nothing found", "yellow"))
        say(f"  {result.id}")
    return 0
