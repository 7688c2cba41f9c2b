"""`bench list`: every part there is, whether it is ready, and which plugins are broken."""

from __future__ import annotations

import argparse
from typing import Any

from bench.api.task import Task
from bench.cli.parser import Parser
from bench.cli.parser import kind as parse_kind
from bench.registry import KINDS, Broken, Entry, Kind, load
from bench.screen.terminal import paint, say
from bench.screen.text import columns, dump, fields


def configure(parser: Parser) -> None:
    """Adds the flags of `bench list`, what `--help` says of it and its examples."""
    parser.description = (
        "Lists the parts of every installed plugin: name, version, the distribution it came from, whether it is ready or "
        "what to\ninstall, and one line on what it is. Plugins that could not be loaded come last, with the reason and "
        "the fix.\nBENCH_NO_PLUGINS=1 leaves third-party plugins out."
    )
    parser.add_argument("kind", nargs="?", metavar="KIND", help=f"one of {', '.join(KINDS)}; everything where left out")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Prints a table a kind of part, then the plugins that could not be loaded; returns 0 even where some could not."""
    kinds: tuple[Kind, ...] = (parse_kind(args.kind),) if args.kind else KINDS
    registry = load()
    if args.json:
        listing: dict[str, Any] = {kind: [describe(entry) for entry in registry.entries(kind)] for kind in kinds}
        say(dump(listing | {"broken": [vars(broken) for broken in registry.broken]}))
        return 0
    blocks = []
    for kind in kinds:
        rows = [_row(entry) for entry in registry.entries(kind)]
        table = (
            columns(("name", "version", "from", "status", "what it is"), rows, flexible=4, indent="  ") if rows else "  none"
        )
        blocks.append(f"{paint(kind, 'bold')}\n{table}")
    if registry.broken:
        blocks.append(f"{paint('broken plugins', 'bold')}\n" + "\n".join(_broken(broken) for broken in registry.broken))
    say("\n\n".join(blocks))
    return 0


def describe(entry: Entry) -> dict[str, Any]:
    """What `bench list --json` says of a part: name, version, origin, and what is missing."""
    missing = entry.part.missing()
    return {
        "name": entry.name,
        "version": entry.part.version,
        "summary": entry.part.summary,
        "distribution": entry.distribution,
        "plugin": entry.plugin,
        "ready": not missing,
        "missing": [{"module": need.module, "install": need.command} for need in missing],
        **({"wants": wants(entry)} if wants(entry) else {}),
    }


def wants(entry: Entry) -> str:
    """What a run has to be given for a part beside its name, `--data NAME=DIR` for some tasks; empty for all others."""
    return f"--data {entry.name}=DIR" if isinstance(entry.part, Task) and entry.part.needs_data else ""


def status(entry: Entry) -> str:
    """`ready`, or the commands that make it so."""
    commands = dict.fromkeys(need.command for need in entry.part.missing())
    return " && ".join(commands) or "ready"


def _row(entry: Entry) -> tuple[str, ...]:
    state = status(entry)
    if state == "ready" and wants(entry):
        state = f"needs {wants(entry)}"
    shown = paint(state, "green" if state == "ready" else "yellow")
    return paint(entry.name, "cyan"), entry.part.version, entry.distribution, shown, entry.part.summary


def _broken(broken: Broken) -> str:
    return f"  {paint(broken.plugin, 'red')}\n" + fields({"reason": broken.reason, "fix": broken.fix}, indent="    ")
