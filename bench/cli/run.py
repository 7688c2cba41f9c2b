"""`bench run`: flags over a TOML file over defaults, names resolved before anything heavy is imported, then the runner."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.cli.parser import Parser, add_flags
from bench.config import OPTIONS, RunConfig, from_mapping, read_toml, replacing
from bench.errors import BenchError, DataWarning, UsageError
from bench.options import Option
from bench.registry import PluginWarning, load
from bench.reporting import SilentReporter
from bench.screen.terminal import say
from bench.screen.text import dump

EPILOG = """Every flag is also a key of --config FILE.toml (what is repeatable a list, pairs a table). Flags override the
file, the file over the defaults. BENCH_DATA may name a folder with one sub-folder a task, named like the task; --data
wins over it. A task without a corpus writes a seeded synthetic one, and the result says so.

examples:
  bench run --task 2015-T14 --arch A2 --quant gptq
  bench run --task 2015-T14 --data 2015-T14=corpus/ --arch A4 --quant nf4 --dry-run
  bench run --task ./my-task.toml
  bench run --config study.toml --seed 3
  bench run --resume RUN"""


def configure(parser: Parser, options: Mapping[str, Option] = OPTIONS) -> None:
    """Adds the flags of `bench run`, its help and its examples; the `options` of a study take several architectures."""
    parser.usage = "bench run --task NAME [--arch NAME] [--quant NAME] [...]\n       bench run --resume RUN"
    parser.description = "Trains, quantizes and evaluates one arm; all five invariants are enforced."
    parser.epilog = EPILOG
    add_flags(parser, options.values())
    control = parser.add_argument_group("control")
    control.add_argument("--config", type=Path, metavar="FILE.toml", help="any of these flags as keys")
    control.add_argument("--dry-run", action="store_true", help="stop after the parity check and print the plan")
    control.add_argument("--resume", metavar="RUN", help="continue an unfinished run; its id or folder")
    control.add_argument(
        "--json", action="store_true", help="result and headline, or the error, as one JSON object on stdout; rest on stderr"
    )


def run(args: argparse.Namespace) -> int:
    """Trains, quantizes and scores one arm, or with `--dry-run` plans it; prints the headline and returns 0."""
    try:
        return _run(args)
    except BenchError as error:
        if args.json:
            say(dump({"error": error.as_json()}))
        raise


def _run(args: argparse.Namespace) -> int:
    from bench.steps.names import ready

    registry = load()
    config = ready(configuration(args), registry, os.environ, resuming=args.resume is not None)

    from bench.runner import run as run_arm
    from bench.screen.console import RichReporter
    from bench.training.processes import launched, started_alone

    reporter = RichReporter(stderr=args.json)
    if started_alone():
        reporter.warn(
            "accelerate started one process only: --cpu starts several through MPI alone. On CPU, too, launch with "
            "--multi_gpu --num_processes N."
        )
    with warnings.catch_warnings():
        _relay(reporter if launched().main else SilentReporter())
        outcome = run_arm(config, registry, dry_run=args.dry_run, resume=args.resume, console=reporter)
    if not launched().main:
        return 0
    if args.json:
        path = str(outcome.result_path) if outcome.result_path else None
        say(dump({"plan": outcome.plan} if args.dry_run else {"result": path, "headline": outcome.headline}))
    elif outcome.result_path is not None:
        from bench.cli.result import next_commands, summary
        from bench.results.store import read_result
        from bench.tracking.mirrors import behind

        folder = outcome.result_path.parent
        result = read_result(folder)
        reporter.blank()
        say(summary(result, outcome.headline))
        say(next_commands(folder, behind(folder, result.config["tracker"])))
    return 0


def configuration(args: argparse.Namespace, start: RunConfig | None = None) -> RunConfig:
    """Flags over the TOML file, or over `start` where there is none, over the defaults.

    Raises:
        UsageError: an unknown key, a wrong type, or a number out of range.
    """
    base = start or RunConfig()
    if args.config is not None:
        base = from_mapping(read_toml(args.config), str(args.config))
    return from_mapping(replacing(typed(args, OPTIONS, base)), "the command line", base)


def typed(args: argparse.Namespace, options: Mapping[str, Option], base: object = None) -> dict[str, Any]:
    """The fields whose flags were typed, by name; what `base` has in a mapping stays, less what was typed anew.

    Raises:
        UsageError: a repeatable flag gives one name two values, of which one would be passed over.
    """
    values = {name: value for name in options if (value := getattr(args, name)) is not None}
    for name, option in options.items():
        if option.type is not dict or name not in values:
            continue
        pairs: dict[str, Any] = {}
        for key, value in values[name]:
            if key in pairs:
                noun = option.metavar.partition("=")[0].lower()
                raise UsageError(
                    f"{option.flag} names the {noun} {key!r} twice; wanted once.", f"Take one {option.flag} {key}=… out."
                )
            pairs[key] = value
        values[name] = {**getattr(base, name, {}), **pairs}
    return values


def _relay(reporter: Any) -> None:
    """Warnings of plugins and of loaders go through the console; everybody else's stay where Python puts them."""
    show = warnings.showwarning

    def relay(message: Warning | str, category: type[Warning], *rest: Any, **named: Any) -> None:
        if issubclass(category, (PluginWarning, DataWarning)):
            reporter.warn(str(message))
        else:
            show(message, category, *rest, **named)

    for category in (PluginWarning, DataWarning):
        warnings.simplefilter("always", category)
    warnings.showwarning = relay
    sys.stdout.flush()
