"""`bench completion`: what makes a shell complete commands, flags, parts and runs, and the answers that it asks for."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path

from bench.cli.parser import Parser
from bench.errors import BenchError
from bench.registry import KINDS, load, singular
from bench.screen.terminal import say

SHELLS = ("bash", "zsh", "fish")
PARTS = {
    "task": "tasks", "target": "tasks", "head": "heads", "arch": "architectures", "quant": "quantizers", "model": "models",
    "schedule": "schedules", "tracker": "trackers",
}  # fmt: skip
"""Fields whose values are names of parts, and the kind."""
RUNS = ("RUN", "RUNS|STUDY", "FILE|NAME")

Completer = Callable[..., Iterable[str]]


def configure(parser: Parser) -> None:
    """Adds the shell, what `--help` says of the command, and where its output goes."""
    parser.description = "Prints what makes the Tab key complete commands, flags, names of parts and runs of bench."
    parser.epilog = (
        "examples:\n"
        '  eval "$(bench completion bash)"                                  in ~/.bashrc\n'
        '  eval "$(bench completion zsh)"                                   in ~/.zshrc, after compinit\n'
        "  bench completion fish > ~/.config/fish/completions/bench.fish    once"
    )
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help=", ".join(SHELLS))


def run(args: argparse.Namespace) -> int:
    """Prints the lines for one shell; returns 0."""
    from argcomplete.shell_integration import shellcode

    say(shellcode(["bench"], shell=args.shell), end="")
    return 0


def complete() -> None:
    """Answers the shell that asks what may follow the words typed so far, and ends the process."""
    import os

    import argcomplete

    words = os.environ.get("COMP_LINE", "").split()
    argcomplete.autocomplete(parser_for(words[1] if len(words) > 1 else ""), always_complete_options=False)


def parser_for(command: str) -> argparse.ArgumentParser:
    """The parser of all commands; only the one that is typed has its flags, whose module alone is imported.

    Args:
        command: the word after `bench`, whole or not.
    """
    from bench.cli import COMMANDS, MODULES

    parser = argparse.ArgumentParser(prog="bench")
    parser.add_argument("--version", action="store_true")
    commands = parser.add_subparsers(parser_class=Parser)
    for name in COMMANDS:
        typed = commands.add_parser(name, help=COMMANDS[name], prog=f"bench {name}")
        if name == command:
            import_module(f"bench.cli.{MODULES.get(name, name)}").configure(typed)
            for action in typed._actions:
                if completer := _completer(action, name):
                    action.completer = completer  # type: ignore[attr-defined]
    return parser


def _completer(action: argparse.Action, command: str) -> Completer | None:
    """What completes the value of an argument; None where files do, or nothing."""
    if action.metavar in RUNS:
        return runs
    if action.metavar == "TASK=DIR":
        return lambda **_: [f"{name}=" for name in _names("tasks")]
    if action.dest == "kind":
        return lambda **_: {"show": [*map(singular, KINDS), "run"], "study": [*_names("studies"), "show"]}.get(command, KINDS)
    if (command, action.dest) == ("show", "name"):
        return _shown
    if kind := PARTS.get(action.dest):
        return lambda **_: _names(kind)
    return None


def runs(parsed_args: argparse.Namespace, **_: object) -> list[str]:
    """Ids of the runs in the folder of runs, by their folders' names alone, and names of its studies."""
    folder = Path(getattr(parsed_args, "runs", None) or getattr(parsed_args, "out", None) or "runs")
    folder = folder if folder.is_dir() else Path("runs")
    return [path.parent.name for name in ("*/journal.jsonl", "studies/*/study.json") for path in folder.glob(name)]


def _shown(parsed_args: argparse.Namespace, **rest: object) -> list[str]:
    kind = getattr(parsed_args, "kind", None)
    plural = next((known for known in KINDS if kind in (known, singular(known))), None)
    return _names(plural) if plural else runs(parsed_args)


def _names(kind: str) -> list[str]:
    try:
        return [entry.name for entry in load().entries(kind)]
    except BenchError:
        return []
