"""`bench show`: one part, or one run, in detail."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from bench.api.head import Head
from bench.api.model import Model
from bench.api.part import Part
from bench.api.quantizer import Quantizer
from bench.api.schedule import Schedule
from bench.api.study import StudyKind
from bench.api.task import Task
from bench.cli.list_ import describe, status, wants
from bench.cli.parser import Parser, add_runs
from bench.cli.parser import kind as parse_kind
from bench.config import RunConfig
from bench.errors import UsageError
from bench.registry import KINDS, Entry, Registry, load, singular
from bench.screen.terminal import paint, say
from bench.screen.text import dump, fields, number


def configure(parser: Parser) -> None:
    """Adds the flags of `bench show`, what `--help` says of it and its examples."""
    parser.description = (
        "Shows one part (citation, licence, access, parameters) or one run (headline, scores, invariants, hashes)."
    )
    parser.epilog = "examples:\n  bench show task 2015-T14\n  bench show quantizer gptq --json\n  bench show run RUN"
    kinds = ", ".join(singular(kind) for kind in KINDS)
    parser.add_argument("kind", metavar="KIND", help=f"{kinds}, or run")
    parser.add_argument("name", metavar="NAME", help="a name that 'bench list' shows; of a run, its id or its folder")
    add_runs(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Prints what one part says of itself, or the result of one run; returns 0."""
    if args.kind in ("run", "runs"):
        return _show_run(args.name, args.out, args.json)
    registry = load()
    kind = parse_kind(args.kind)
    if kind == "heads":
        _refuse_head_of_a_task(args.name, registry)
    entry = registry.entry(kind, args.name)
    if args.json:
        say(dump(describe(entry) | {"kind": entry.kind} | facts(entry.part, registry)))
        return 0
    say(f"{paint(entry.name, 'bold')}  {singular(entry.kind)}, version {entry.part.version}, from {entry.distribution}")
    say(f"{entry.part.summary}\n")
    say(fields({"status": status(entry), **_flat(facts(entry.part, registry))}))
    say(f"\n{paint('use it:', 'dim')} {usage(entry, registry)}")
    return 0


def _refuse_head_of_a_task(name: str, registry: Registry) -> None:
    """Refuses a head that a task brings along, which is no part of its own, with the command that shows the task."""
    tasks = [entry.name for entry in registry.entries("tasks") if name in cast(Task, entry.part).heads]
    if tasks and name not in {entry.name for entry in registry.entries("heads")}:
        raise UsageError(f"Head {name!r} is defined by task {tasks[0]}.", f"Type: bench show task {tasks[0]}")


def facts(part: Part, registry: Registry) -> dict[str, Any]:
    """What `bench show` prints of a part beside its name and status, JSON-able; with a task's heads, and a head's tasks."""
    details: dict[str, Any] = {"licence": part.licence, "citation": part.citation}
    if isinstance(part, Task):
        meta = part.metadata
        details |= {"reference": meta.reference, "access": meta.access, "layout": meta.layout}
        details |= {"unit": meta.unit} if meta.unit else {}
        details |= {"heads": [*registry.heads_of(part)]}
        details |= {"primary_metric": meta.primary_metric, "published_best": dict(meta.published_best)}
        details |= {"published_source": meta.published_source}
        details |= {"can_leave_out": [*part.faults]} if part.faults else {}
    if isinstance(part, Head):
        fits = [entry.name for entry in registry.entries("tasks") if part.name in registry.heads_of(cast(Task, entry.part))]
        details |= {"predicts": [*part.predicts], "learning_rate": part.learning_rate, "tasks": fits}
    if isinstance(part, StudyKind):
        details |= {"roles": [*part.roles], "takes": [*part.takes]}
        details |= {"options": [f"{name}={value}" for name, value in part.options.items()]} if part.options else {}
    if isinstance(part, Schedule) and part.options:
        details |= {"options": [f"{name}={value:g}" for name, value in part.options.items()]}
    if isinstance(part, Quantizer):
        details |= {"applied": [*part.when], "bits": part.bits}
    return details | {"parameters": dict(part.parameters())}


def _flat(details: dict[str, Any]) -> dict[str, str]:
    parameters = details.pop("parameters")
    shown = {}
    for key, value in details.items():
        if isinstance(value, dict):
            value = ", ".join(f"{name} {number(best)}" for name, best in value.items())
        elif isinstance(value, list):
            value = ", ".join(value)
        shown[key.replace("_", " ")] = number(value)
    return shown | {str(name): str(value) for name, value in parameters.items()}


def usage(entry: Entry, registry: Registry) -> str:
    """A command that uses a part: with a task, a model and whatever else it needs, of those that are installed here.

    What only the user has stands as ``RUN``, a finished run, or ``FILE.toml``, the grid of a sweep.
    """
    part, name = entry.part, entry.name
    two = "--task ncbi-disease --task bc5cdr"
    if isinstance(part, StudyKind):
        words = "--source ncbi-disease --source bc5cdr --target gad --shots 32" if "targets" in part.takes else two
        return f"bench study {name}{' FILE.toml' * ('grid' in part.takes)} {words} --tokens 200000"
    if isinstance(part, Task):
        return " ".join(filter(None, ("bench run --task", str(part.file or name), wants(entry))))
    if isinstance(part, Head):
        return f"bench run --task {next(iter(facts(part, registry)['tasks']), 'NAME')} --head {name}"
    if isinstance(part, Schedule):
        return f"bench run {two} --schedule {name}{' --teacher RUN' * part.taught}"
    flag = {"architectures": "--arch", "quantizers": "--quant", "models": "--model", "trackers": "--tracker"}[entry.kind]
    model = f" --model {_fitting(part, registry)}" if isinstance(part, Quantizer) else ""
    return f"bench run --task 2015-T14 {flag} {name}{model}"


def _fitting(quantizer: Quantizer, registry: Registry) -> str:
    """The first installed model that a quantizer fits, the default before all others, tiny ones last."""
    models = [cast(Model, entry.part) for entry in registry.entries("models") if not entry.part.missing()]
    models.sort(key=lambda model: (model.name != RunConfig.model, model.plumbing_only))
    fits = (model.name for model in models if quantizer.supports(model.spec(), quantizer.when[0], "cpu") is None)
    return next(fits, "FOLDER")


def _show_run(ref: str, out: Path, as_json: bool) -> int:
    from bench.cli.result import report
    from bench.results.layout import RESULT
    from bench.results.schema import current
    from bench.results.store import find_run, read_json
    from bench.studies.arms import Run

    run = Run.read(find_run(ref, out))  # refuses what is unfinished, damaged or of another schema
    if as_json:  # as it is stored: a newer bench may have written names that this one does not know
        stored = current(read_json(run.folder / RESULT), run.folder.name)
        say(dump({**stored, "standing": asdict(run.standing)}))
    else:
        say(report(run))
    return 0
