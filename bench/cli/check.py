"""`bench check`: holds a plugin's parts against the conformance checks."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.parser import Parser, flag_type
from bench.config import OPTIONS
from bench.errors import MissingError, UsageError
from bench.registry import TASK_FILE, Registry, load
from bench.screen.terminal import paint, say
from bench.screen.text import columns, dump
from bench.steps.names import refuse_missing

if TYPE_CHECKING:
    from bench.conformance import CheckResult


def configure(parser: Parser) -> None:
    """Adds the flags of `bench check`, what `--help` says of it and its examples."""
    parser.description = (
        "Runs the conformance checks on every part of a plugin, or on one part. Exit code 1 where a check fails,\n"
        "5 where none fails but something it needs is not installed, or a corpus is not given; the same checks run under\n"
        "pytest through bench.testing.\n"
        "Of a task's .toml file it says what is wrong with the file and with the corpus that it names."
    )
    parser.epilog = (
        "examples:\n  bench check bench-suite\n  bench check bench-suite:quantizers\n  bench check A2\n"
        "  bench check my-task.toml"
    )
    parser.add_argument(
        "plugin", metavar="PLUGIN", help="a distribution, distribution:entry-point, the name of one part, or a task's .toml"
    )
    parser.add_argument(
        "--tolerate", action="append", metavar="KIND", help="leave faulty lines of a kind out of a .toml's corpus; repeatable"
    )
    parser.add_argument(
        "--data",
        type=flag_type(OPTIONS["data"]),
        action="append",
        metavar="TASK=DIR",
        help="a small corpus of a task that writes none; repeatable",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Prints a row a check; returns 0, 1 where one fails, or 5 where none fails but one could not run."""
    data = {name: Path(folder) for name, folder in args.data or ()}
    results = _results(args.plugin, load(), tuple(args.tolerate or ()), data)
    failed = [result for result in results if not result.passed and not result.missing]
    waiting = [result for result in results if result.missing]
    if args.json:
        say(
            dump(
                {"plugin": args.plugin, "passed": not failed and not waiting, "checks": [asdict(result) for result in results]}
            )
        )
    else:
        rows = [(_verdict(r), r.part, r.name, " ".join(r.detail.split())) for r in results]
        say(columns(("result", "part", "check", "detail"), rows, flexible=3))
        more = f", {len(waiting)} not run" if waiting else ""
        say(f"\n{len(results) - len(failed) - len(waiting)} passed, {len(failed)} failed{more}")
    return 1 if failed else MissingError.exit_code if waiting else 0


def _results(ref: str, registry: Registry, tolerate: tuple[str, ...], data: Mapping[str, Path]) -> list[CheckResult]:
    from bench.conformance import cases, check

    if ref.endswith(TASK_FILE):
        from bench.conformance.task_files import check_file

        if data:
            raise UsageError("--data beside a task's .toml file, which names its corpus itself.", "Take it out.")
        if tolerate or not Path(ref).is_file():  # what nothing carries ends here, as a mistyped flag does
            registry.get("tasks", ref).tolerating(tolerate)
        return check_file(Path(ref), registry, tolerate=tolerate)
    if tolerate:
        raise UsageError("--tolerate is about the corpus of a task's .toml file; a plugin's parts have none.")
    from bench.modeling.noise import import_heavy

    cases(ref, registry)  # a name that nothing carries ends here, before anything heavy is imported
    with suppress(ImportError):  # checks that want it say so themselves
        import_heavy()
    refuse_missing(data)
    for name in data:
        if registry.get("tasks", name).synthesizes:
            raise UsageError(
                f"{name} writes a corpus for its checks, so that --data would not be read.",
                f"Take it out. A corpus is read by: bench run --task {name} --data {name}=DIR --dry-run",
            )
    return check(ref, registry, data=data)


def _verdict(result: CheckResult) -> str:
    if result.missing:
        return paint("not run", "yellow")
    return paint("passed", "green") if result.passed else paint("FAILED", "red")
