"""argparse with our manners: every mistake is one line, names the option and suggests the nearest one."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any, NoReturn

from bench.errors import UsageError, unknown
from bench.registry import KINDS, Kind, singular

if TYPE_CHECKING:
    from bench.options import Group, Option


class Parser(argparse.ArgumentParser):
    """Raises `UsageError` where argparse would print its usage and exit."""

    def __init__(self, prog: str, usage: str | None = None, description: str | None = None, epilog: str | None = None) -> None:
        super().__init__(
            prog=prog,
            usage=usage,
            description=description,
            epilog=epilog,
            allow_abbrev=False,
            formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, max_help_position=30, width=_width()),
        )

    def error(self, message: str) -> NoReturn:
        """Raises what argparse complains of as a `UsageError` that names the option and the nearest choice."""
        text = message.removeprefix("argument ")
        missing = re.fullmatch(r"the following arguments are required: (.*)", text)
        if missing:
            text = f"'{self.prog}' wants {' and '.join(missing[1].split(', '))}"
        choice = re.match(r"(\S+): invalid choice: '(.*?)' \(choose from (.*)\)", text)
        if choice:
            raise unknown(f"value of {choice[1]}", choice[2], re.findall(r"[\w-]+", choice[3]), f"{self.prog} --help")
        raise UsageError(f"{text}.", f"See '{self.prog} --help'.")


def _width() -> int:
    """Columns of the help: no more than a terminal has, so that it wraps at words."""
    return min(110, get_terminal_size().columns - 2) if sys.stdout.isatty() else 110


def parse(parser: Parser, words: Sequence[str]) -> argparse.Namespace | None:
    """Parses the words of one command.

    Returns:
        The arguments, or None where `--help` or `--version` has said all there was to say.

    Raises:
        UsageError: an unknown option, with the nearest one; anything else that argparse refuses.
    """
    try:
        args, extra = parser.parse_known_args(words)
    except SystemExit:
        return None
    if extra:
        options = [option for action in parser._actions for option in action.option_strings if option.startswith("--")]
        for word in extra:
            if word.startswith("-"):
                raise unknown("option", word.split("=")[0], options, f"{parser.prog} --help")
        raise UsageError(f"'{parser.prog}' does not know what to do with {extra[0]!r}.", f"See '{parser.prog} --help'.")
    return args


def kind(word: str) -> Kind:
    """A kind of part, in the singular or the plural.

    Raises:
        UsageError: there is no such kind.
    """
    for known in KINDS:
        if word in (known, singular(known)):
            return known
    raise unknown("kind", word, KINDS, "bench list")


def add_runs(parser: argparse._ActionsContainer, *names: str) -> None:
    """Declares the flag of the folder of runs: ``--out`` or ``--runs``, or one of them where the other means something else."""
    flags = names or ("--out", "--runs")
    parser.add_argument(*flags, type=Path, default=Path("runs"), metavar="DIR", help="folder of runs (default: runs)")


def whole(text: str) -> int:
    """Parses a whole number, for argparse; underscores and commas may group its digits, and k or M stand behind them."""
    digits, unit = (text[:-1], text[-1]) if text.endswith(("k", "M")) else (text, "")
    try:
        return int(digits.replace(",", "")) * {"k": 1_000, "M": 1_000_000, "": 1}[unit]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number, such as 200000 or 200k") from None


def wholes(text: str) -> tuple[int, ...]:
    """Parses whole numbers with commas between them, for argparse."""
    if not (numbers := tuple(whole(part) for part in text.split(",") if part.strip())):
        raise argparse.ArgumentTypeError(f"{text!r} names no number; wanted such as 6,12")
    return numbers


def real(text: str) -> float:
    """Parses a number, for argparse."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None


def flag_type(option: Option) -> Callable[[str], Any]:
    """What argparse reads a value of a field with; a mapping's is a pair."""
    if option.type is not dict:
        kind = option.values if option.type is tuple else option.type
        return size if option.size else {int: whole, float: real}.get(kind, str)

    def pair(text: str) -> tuple[str, Any]:
        # A path may hold an equals sign; a name before a number as well.
        name, equals, value = text.partition("=") if option.values is str else text.rpartition("=")
        if not (name and equals and value):
            raise argparse.ArgumentTypeError(f"{text!r} is not {option.metavar}, such as {option.example}")
        return name, value if option.values is str else real(value)

    return pair


def add_flags(parser: Parser, options: Iterable[Option]) -> argparse._ArgumentGroup:
    """Adds a flag for each of a configuration's fields under the headings that they name, and returns the last of these."""
    groups: dict[Group, argparse._ArgumentGroup] = {}
    for option in options:
        group = groups.get(option.group) or parser.add_argument_group(option.group.title)
        groups[option.group] = group
        default = f" (default: {option.shown_default})" if option.shown_default else ""
        if option.type is bool:
            how: dict[str, Any] = {"action": "store_true", "default": None}
        else:
            several = option.type in (tuple, dict)
            how = {"type": flag_type(option), "metavar": option.metavar, "action": "append" if several else "store"}
            default = "; repeatable" * several + default
        group.add_argument(option.flag, dest=option.name, help=option.help + default, **how)
    return group


def size(text: str) -> int:
    """Parses bytes such as ``2GiB``, for argparse."""
    from bench.options import parsed_size

    try:
        return parsed_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
