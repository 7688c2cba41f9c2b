"""`bench board`: all runs of a folder, filtered and sorted."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from bench.api.architecture import UNMATCHED
from bench.cli.parser import Parser, add_runs
from bench.errors import UsageError
from bench.pages.board import Entry, entries, held, needs_whole
from bench.registry import load
from bench.results.display import score
from bench.screen.terminal import paint, say
from bench.screen.text import columns, dump, folded, number, wrapped
from bench.wording import some

HEADER = ("run", "task", "arch", "quant", "model", "seed", "score", "metric", "marks")
SHOWN = ("arch", "quant", "model", "seed")
HELD = 100
"""Most runs whose files and statistics are all looked at; of more the results alone are held against their manifests."""


def configure(parser: Parser) -> None:
    """Adds the flags of `bench board`, what `--help` says of it and its examples."""
    parser.description = (
        "Lists the runs of a folder with their headlines, best first. A field is one of the configuration or the headline\n"
        "(arch, seed, value), state, or a dotted path into the result (invariants.tokens.total)."
    )
    parser.epilog = (
        "examples:\n  bench board --task ncbi-disease --arch A1\n  bench board --where quant=none --where seed=3 --sort lr\n"
        "  bench board --where state=unfinished\n  bench board --sort invariants.tokens.total --json"
    )
    add_runs(parser)
    parser.add_argument(
        "--task", action="append", default=[], metavar="NAME", help="only runs that train it; repeatable: all of them"
    )
    parser.add_argument(
        "--arch", action="append", default=[], metavar="NAME", help="only this architecture; repeatable: any of them"
    )
    parser.add_argument(
        "--where", action="append", type=condition, default=[], metavar="FIELD=VALUE", help="only runs with it; repeatable: all"
    )
    parser.add_argument(
        "--sort", default="value:desc", metavar="FIELD", help="ascending; FIELD:desc descending (default: value:desc)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON array of the runs")


def condition(text: str) -> tuple[str, str]:
    """Parses `FIELD=VALUE` of `--where`."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not FIELD=VALUE, such as seed=3")
    return name, value


def run(args: argparse.Namespace) -> int:
    """Prints the runs of a folder that match, sorted, as a table or as JSON; returns 0."""
    if not args.out.is_dir():
        raise UsageError(f"{args.out} is no folder of runs.", "Name one with --out DIR.")
    field, _, direction = args.sort.partition(":")
    field = {"score": "value"}.get(field, field)  # as its column is headed
    if direction not in ("", "asc", "desc"):
        raise UsageError(f"--sort is {args.sort!r}; wanted FIELD, FIELD:asc or FIELD:desc.")
    runs = [*entries(args.out, needs_whole([field, *(name for name, _ in args.where)]))]
    if not runs:
        raise UsageError(f"{args.out} holds no run.", "Name a folder of runs with --out DIR.")
    _known(field, runs)
    for name, _ in args.where:
        _known(name, runs)
    known = {name for entry in runs for name in (*entry.tasks, str(entry.field("arch")))}
    for kind, names in (("tasks", args.task), ("architectures", args.arch)):
        for name in {*names} - known:
            load().get(kind, name)  # a name that nothing carries, as a mistyped field
    chosen = [entry for entry in runs if _wanted(entry, args.task, args.arch, args.where)]
    chosen = _sorted(chosen, field, direction == "desc")
    extra = [
        name
        for name in dict.fromkeys([field, *(name for name, _ in args.where)])
        if name not in (*HEADER, "value", "id", "state")
    ]
    if len(chosen) <= HELD:
        chosen = [held(entry, args.out) for entry in chosen]
    if args.json:
        say(dump([_record(entry, extra) for entry in chosen]))
        return 0
    synthetic = any(entry.known.get("synthetic") for entry in chosen)
    if chosen:
        rows = [_row(entry, extra) for entry in chosen]
        # an id spells what it was trained on and with
        header, rows, same = folded(
            (*HEADER[:-1], *extra, "marks"), rows, ("run", "score", "metric"), ("quant", "arch", "task")
        )
        say(columns(header, rows, header.index("metric")))
        if told := [f"{title} {value}" for title, value in same.items() if value]:
            say(wrapped(paint(f"\nThe same in all: {', '.join(told)}", "dim"), sys.stdout))
    summary = some(len(chosen), "run") if len(chosen) == len(runs) else f"{len(chosen):,} of {some(len(runs), 'run')}"
    counts = [
        f"{n:,} {state}"
        for state in ("unfinished", "refused", "damaged", "other schema")
        if (n := sum(e.state == state for e in chosen))
    ]
    say(f"\n{summary}{''.join(f', {count}' for count in counts)}")
    changed = sum(bool(entry.changed) for entry in chosen)
    if changed:
        say(paint(f"CHANGED since they were written: {some(changed, 'run')}; what still holds: bench verify RUN", "red"))
    if len(chosen) > HELD:
        say(paint(f"More than {HELD} runs: results are held against their manifests, not against their statistics.", "dim"))
    if synthetic:
        say(paint("SYNTHETIC data: such scores say nothing about the real corpora.", "yellow"))
    return 0


def _known(name: str, runs: Iterable[Entry]) -> None:
    """Refuses a field that no run has: a typing mistake would otherwise look like an empty folder."""
    listed = [*runs]
    if any(entry.field(name) is not None for entry in listed):
        return
    fields: dict[str, None] = {"id": None, "state": None, "task": None}
    for entry in listed:
        for part in ("headline", "config"):
            fields |= dict.fromkeys(entry.known.get(part, {}))
    if name in fields or name == "value":
        return
    from bench.errors import unknown

    raise unknown("field", name, fields, "bench board --json")


def _wanted(entry: Entry, tasks: list[str], archs: list[str], where: list[tuple[str, str]]) -> bool:
    if any(task not in entry.tasks for task in tasks):
        return False
    if archs and str(entry.field("arch")) not in archs:
        return False
    return all(_equal(entry.field(name), value) for name, value in where)


def _equal(actual: Any, expected: str) -> bool:
    if isinstance(actual, bool) or actual is None:
        return expected.lower() in (("true", "yes") if actual else ("false", "no") if actual is False else ("none", "null", ""))
    if isinstance(actual, (int, float)):
        try:
            return float(expected) == float(actual)
        except ValueError:
            return False
    if isinstance(actual, (list, tuple)):
        return expected in map(str, actual)
    return str(actual) == expected


def _sorted(runs: list[Entry], name: str, descending: bool) -> list[Entry]:
    """By a field, numbers before words; runs without it stand at the end whichever way it goes."""
    keyed = [(value, entry) for entry in runs if (value := entry.field(name)) is not None]
    numbers = [(v, e) for v, e in keyed if isinstance(v, (int, float))]
    words = [(str(v), e) for v, e in keyed if not isinstance(v, (int, float))]
    numbers.sort(key=lambda pair: pair[0], reverse=descending)
    words.sort(key=lambda pair: pair[0], reverse=descending)
    return [entry for _, entry in [*numbers, *words]] + [entry for entry in runs if entry.field(name) is None]


def _row(entry: Entry, extra: list[str]) -> list[str]:
    head: Mapping[str, Any] = entry.known.get("headline", {})
    if head:
        value = "–" if head["value"] is None else score(head["value"], head.get("ci95"))
        metric = f"{head['task']} {head['metric']}" if len(entry.tasks) > 1 else str(head["metric"])
        metric += "".join(f"; {row['task']} {'–' if row['value'] is None else score(row['value'])}" for row in entry.rest)
    else:
        value, metric = paint(entry.state, "yellow"), ""
    marks = [f"CHANGED: {', '.join(entry.changed[:2])}"] * bool(entry.changed)
    marks += ["synthetic"] * bool(entry.known.get("synthetic")) + [f"waived {name}" for name in entry.known.get("waivers", ())]
    marks += [UNMATCHED] * (entry.known.get("matched") is False)
    cells = (_text(entry.field(name)) for name in SHOWN)
    return [
        entry.id,
        "+".join(entry.tasks),
        *cells,
        value,
        metric,
        *(_text(entry.field(name)) for name in extra),
        ", ".join(marks),
    ]


def _record(entry: Entry, extra: list[str]) -> dict[str, Any]:
    head = entry.known.get("headline")
    record: dict[str, Any] = {"id": entry.id, "state": entry.state, "task": [*entry.tasks]}
    record |= {name: _name(entry.field(name)) for name in SHOWN}
    record |= {"headline": head, "rest": entry.rest, "synthetic": entry.known.get("synthetic")}
    record["changed"] = [*entry.changed]
    record["waivers"] = entry.known.get("waivers", [])
    record["matched"] = entry.known.get("matched", True)
    return record | {name: entry.field(name) for name in extra}


def _name(value: Any) -> Any:
    return value.get("name") if isinstance(value, Mapping) and "name" in value else value


def _text(value: Any) -> str:
    value = _name(value)
    return "" if value is None else ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else number(value)
