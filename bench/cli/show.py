"""`bench show`: one part, or one run, in detail."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, cast

from bench.api.head import Head
from bench.api.part import Part
from bench.api.quantizer import Quantizer
from bench.api.schedule import Schedule
from bench.api.study import StudyKind
from bench.api.task import Task
from bench.cli.list_ import describe, status, wants
from bench.cli.parser import Parser
from bench.cli.parser import kind as parse_kind
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
    parser.add_argument("--out", type=Path, default=Path("runs"), metavar="DIR", help="folder of runs (default: runs)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Prints what one part says of itself, or the result of one run; returns 0."""
    if args.kind in ("run", "runs"):
        return _show_run(args.name, args.out, args.json)
    registry = load()
    entry = registry.entry(parse_kind(args.kind), args.name)
    if args.json:
        say(dump(describe(entry) | {"kind": entry.kind} | facts(entry.part, registry)))
        return 0
    say(f"{paint(entry.name, 'bold')}  {singular(entry.kind)}, version {entry.part.version}, from {entry.distribution}")
    say(f"{entry.part.summary}\n")
    say(fields({"status": status(entry), **_flat(facts(entry.part, registry))}))
    _next(entry)
    return 0


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


def _next(entry: Entry) -> None:
    flag = {
        "tasks": "--task", "heads": "--head", "architectures": "--arch", "quantizers": "--quant", "models": "--model",
        "schedules": "--schedule", "trackers": "--tracker",
    }  # fmt: skip
    task = {"tasks": "", "heads": " --task NAME"}.get(entry.kind, " --task 2015-T14")
    file = entry.part.file if isinstance(entry.part, Task) else None
    data = f" {wants(entry)}" if wants(entry) else ""
    run = f"bench run{task} {flag.get(entry.kind, '')} {file or entry.name}{data}"
    say(f"\n{paint('use it:', 'dim')} {f'bench study {entry.name}' if entry.kind == 'studies' else run}")


def _show_run(ref: str, out: Path, as_json: bool) -> int:
    from bench.cli.result import report
    from bench.results.layout import RESULT
    from bench.results.schema import current
    from bench.results.store import find_run, read_json, read_result

    folder = find_run(ref, out)
    result = read_result(folder)  # refuses what is unfinished, damaged or of another schema
    # As it is stored: a newer bench may have written names that this one does not know.
    say(dump(current(read_json(folder / RESULT), folder.name)) if as_json else report(result, folder))
    return 0
