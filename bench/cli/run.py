"""`bench run`: flags over a TOML file over defaults, names resolved before anything heavy is imported, then the runner."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from dataclasses import fields as dataclass_fields
from pathlib import Path
from typing import Any, TypeVar

from bench.cli.parser import Parser, named_file, pair, real, size, whole
from bench.config import INVARIANTS, NUMBERED, RunConfig, flag, from_mapping, read_toml, replacing
from bench.errors import BenchError, DataWarning, UsageError
from bench.registry import PluginWarning, load
from bench.reporting import SilentReporter
from bench.screen.terminal import say
from bench.screen.text import dump

Given = TypeVar("Given", str, float)
EPILOG = """Every flag is also a key of --config FILE.toml (lists for the repeatable ones, a table for data). Flags win over the
file, the file over the defaults. BENCH_DATA may name a folder with one sub-folder a task, named like the task; --data
wins over it. A task without a corpus writes a seeded synthetic one, and the result says so.

examples:
  bench run --task 2015-T14 --arch A2 --quant gptq
  bench run --task 2015-T14 --data 2015-T14=corpus/ --arch A4 --quant nf4 --dry-run
  bench run --task ./my-task.toml
  bench run --config study.toml --seed 3
  bench run --resume RUN"""


def configure(parser: Parser, several: bool = False) -> None:
    """Adds the flags of `bench run`, what `--help` says of it and its examples.

    Args:
        parser: of the command.
        several: whether `--arch` and `--shots` may be repeated, as in a study.
    """
    parser.usage = "bench run --task NAME [--arch NAME] [--quant NAME] [...]\n       bench run --resume RUN"
    parser.description = "Trains, quantizes and evaluates one arm; all five invariants are enforced."
    parser.epilog = EPILOG
    what = parser.add_argument_group("what is compared")
    what.add_argument("--task", action="append", metavar="NAME", help="a task or a .toml file that describes one; repeatable")
    what.add_argument("--task-set", metavar="NAME", help="every task of a domain, such as clinical")
    arch, repeated = "architecture (default: A1)", "append" if several else "store"
    what.add_argument("--arch", action=repeated, metavar="NAME", help=arch)
    what.add_argument(
        "--rank", type=whole, metavar="N", help="the budget: an arm trains N x S adapter parameters (default: 16)"
    )
    what.add_argument("--quant", metavar="NAME", help="quantizer (default: none)")
    what.add_argument("--quant-when", metavar="load|after", help="quantize before training or after (default: the quantizer's)")
    what.add_argument("--model", metavar="NAME", help="short name, local folder, or org/name@revision (default: minilm-l6)")
    what.add_argument("--head", metavar="NAME", help="head (default: each task's first)")
    what.add_argument("--seed", type=whole, metavar="N", help="of initialisation, order and sampling (default: 0)")
    what.add_argument("--replicate", type=whole, metavar="N", help="repeats the very same configuration (default: 1)")

    data = parser.add_argument_group("data")
    data.add_argument("--data", type=pair, action="append", metavar="TASK=DIR", help="a task's corpus; repeat it for several")
    data.add_argument(
        "--concepts", type=named_file, action="append", metavar="TASK=FILE",
        help="names of a task's concepts: a table, OBO or MRCONSO.RRF; repeatable",
    )  # fmt: skip
    data.add_argument("--concept-language", metavar="CODE", help="rows of MRCONSO.RRF that are read (default: ENG)")
    data.add_argument(
        "--concept-sources", action="append", metavar="NAME", help="sources of those rows, such as SNOMEDCT_US; repeatable"
    )
    data.add_argument(
        "--allow-leak", action="store_true", default=None, help="go on with documents that stand in two splits; recorded"
    )
    data.add_argument(
        "--tolerate", action="append", metavar="KIND", help="leave faulty lines of a kind out of a corpus; recorded; repeatable"
    )
    data.add_argument(
        "--shots", type=whole, action=repeated, metavar="K",
        help="at most K training documents of each task, drawn by seed (default: all)",
    )  # fmt: skip
    data.add_argument("--max-length", type=whole, metavar="TOKENS", help="longest window (default: from the data)")

    budget = parser.add_argument_group("budget (one of them; a default of each task's own otherwise)")
    budget.add_argument("--steps", type=whole, metavar="N", help="updates")
    budget.add_argument("--epochs", type=real, metavar="N", help="passes over the training data")
    budget.add_argument("--tokens", type=whole, metavar="N", help="marked tokens, to within one example")
    budget.add_argument(
        "--tokens-like", metavar="RUN", help="as many tokens as another run saw (its id or folder), or RUN:TASK"
    )

    training = parser.add_argument_group("training")
    training.add_argument("--lr", type=real, metavar="RATE", help="peak learning rate (default: what the heads ask for)")
    training.add_argument(
        "--init-from",
        metavar="RUN",
        help="start from the shared weights of a finished run; its id or folder",
    )
    training.add_argument(
        "--freeze-shared",
        action="store_true",
        default=None,
        help="train heads and private adapters alone; recorded",
    )
    training.add_argument("--batch-tokens", type=whole, metavar="N", help="marked tokens an update holds (default: 2048)")
    training.add_argument("--micro-batch", type=whole, metavar="N", help="padded tokens of a micro-batch (default: searched)")
    training.add_argument("--eval-every", type=whole, metavar="N", help="updates between evaluations (default: two in all)")
    training.add_argument("--checkpoint-every", type=whole, metavar="N", help="updates between checkpoints (default: 200)")
    training.add_argument("--waive", action="append", metavar="NAME", help=f"do not enforce: {', '.join(INVARIANTS)}; recorded")

    together = parser.add_argument_group("several tasks at once")
    together.add_argument(
        "--sampling", metavar="NAME", help="tasks share the tokens proportional, uniform or temperature (default: temperature)"
    )
    together.add_argument(
        "--temperature", type=real, metavar="T", help="a task's share goes by its size to the power 1/T (2.0)"
    )
    together.add_argument("--loss-weighting", metavar="NAME", help="of the tasks: equal or uncertainty (default: equal)")
    together.add_argument(
        "--loss-weight", type=named_number, action="append", metavar="TASK=W", help="what a task's loss is multiplied by (1)"
    )
    together.add_argument(
        "--schedule", metavar="NAME", help="order of the tasks: joint, sequential or a plugin's (default: joint)"
    )
    together.add_argument(
        "--schedule-option", type=named_number, action="append", metavar="NAME=VALUE", help="a number that the schedule takes"
    )
    together.add_argument("--gradients", metavar="NAME", help="over what tasks share: plain or pcgrad (default: plain)")

    machine = parser.add_argument_group("machine")
    machine.add_argument("--device", metavar="NAME", help="cpu, cuda, cuda:N or auto (default: auto)")
    machine.add_argument("--precision", metavar="NAME", help="fp32, bf16 or auto (default: auto)")
    machine.add_argument("--memory-limit", type=size, metavar="SIZE", help="such as 2GiB or 500MB (default: what is free)")
    machine.add_argument("--max-hours", type=real, metavar="H", help="save a checkpoint and stop before this")

    where = parser.add_argument_group("where it goes")
    where.add_argument("--out", metavar="DIR", help="folder of runs (default: runs)")
    where.add_argument("--name", metavar="TEXT", help="a name of your own for the run")
    where.add_argument("--study", metavar="NAME", help="the study that it belongs to; trackers nest it there")
    where.add_argument("--tracker", action="append", metavar="NAME", help="wandb and mlflow where left out; repeat it, or none")
    where.add_argument(
        "--json", action="store_true", help="result and headline, or the error, as one JSON object on stdout; rest on stderr"
    )

    control = parser.add_argument_group("control")
    control.add_argument("--config", type=Path, metavar="FILE.toml", help="any of these flags as keys")
    control.add_argument("--dry-run", action="store_true", help="stop after the parity check and print the plan")
    control.add_argument("--resume", metavar="RUN", help="carry on with an unfinished run; its id or folder")


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
        from bench.cli.result import explanation, headline, next_commands
        from bench.results.store import read_json

        result = read_json(outcome.result_path)
        reporter.blank()
        say("\n".join([headline(outcome.headline, bool(result["synthetic"])), *explanation(result)]))
        say(next_commands(outcome.result_path.parent))
    return 0


def configuration(args: argparse.Namespace, start: RunConfig | None = None) -> RunConfig:
    """Flags over the TOML file over the defaults.

    Args:
        args: what `configure` declares.
        start: what flags are laid over where there is no TOML file; the defaults where None.

    Raises:
        UsageError: an unknown key, a wrong type, or a number out of range.
    """
    base = start or RunConfig()
    if args.config is not None:
        base = from_mapping(sizes(read_toml(args.config), str(args.config)), str(args.config))
    names = {field.name for field in dataclass_fields(RunConfig)} - {"data", "concepts"}
    typed = {name: value for name, value in vars(args).items() if name in names and value is not None}
    typed = replacing(typed)
    typed["data"] = dict(base.data) | each_once("--data", args.data)
    typed["concepts"] = dict(base.concepts) | each_once("--concepts", args.concepts)
    for name in NUMBERED:
        noun = "task" if name == "loss_weights" else "option"
        given = each_once(flag(name), getattr(args, flag(name)[2:].replace("-", "_")), noun)
        typed[name] = dict(getattr(base, name)) | given
    return from_mapping(typed, "the command line", base)


def named_number(text: str) -> tuple[str, float]:
    """``NAME=NUMBER`` of the command line.

    Raises:
        ArgumentTypeError: it is something else.
    """
    name, equals, number = text.rpartition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form NAME=NUMBER")
    return name, real(number)


def each_once(spelling: str, pairs: Sequence[tuple[str, Given]] | None, noun: str = "task") -> dict[str, Given]:
    """What a repeatable flag gives to each task, or to each of what the noun says.

    Raises:
        UsageError: it gives one task two things, of which one would be passed over.
    """
    given: dict[str, Given] = {}
    for task, place in pairs or ():
        if task in given:
            raise UsageError(f"{spelling} names the {noun} {task!r} twice; wanted once.", f"Take one {spelling} {task}=… out.")
        given[task] = place
    return given


def sizes(values: dict[str, Any], source: str) -> dict[str, Any]:
    """The keys of a TOML file with sizes such as ``2GiB`` as bytes."""
    for key in ("memory_limit", "memory-limit"):
        if isinstance(values.get(key), str):
            try:
                values[key] = size(values[key])
            except argparse.ArgumentTypeError as error:
                raise UsageError(f"{source}: {key}: {error}.") from None
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
