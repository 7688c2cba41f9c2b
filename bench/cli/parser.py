"""argparse with our manners: every mistake is one line, names the option and suggests the nearest one."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import NoReturn

from bench.errors import UsageError, unknown
from bench.registry import KINDS, Kind, singular

_UNITS = {"": 1, "B": 1}
for _power, _prefix in enumerate("KMGT", start=1):
    _UNITS |= {f"{_prefix}B": 1000**_power, f"{_prefix}IB": 1024**_power, _prefix: 1024**_power}


class Parser(argparse.ArgumentParser):
    """Raises `UsageError` where argparse would print its usage and exit."""

    def __init__(self, prog: str, usage: str | None = None, description: str | None = None, epilog: str | None = None) -> None:
        super().__init__(
            prog=prog,
            usage=usage,
            description=description,
            epilog=epilog,
            allow_abbrev=False,
            formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, max_help_position=30, width=110),
        )

    def error(self, message: str) -> NoReturn:
        """Raises what argparse complains of as a `UsageError` that names the option and the nearest choice."""
        text = message.removeprefix("argument ")
        missing = re.fullmatch(r"the following arguments are required: (.*)", text)
        if missing:
            text = f"'{self.prog}' also wants {' and '.join(missing[1].split(', '))}"
        choice = re.match(r"(\S+): invalid choice: '(.*?)' \(choose from (.*)\)", text)
        if choice:
            raise unknown(f"value of {choice[1]}", choice[2], re.findall(r"[\w-]+", choice[3]), f"{self.prog} --help")
        raise UsageError(f"{text}.", f"See '{self.prog} --help'.")


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


def whole(text: str) -> int:
    """Parses a whole number, for argparse; underscores and commas may group its digits."""
    try:
        return int(text.replace(",", ""))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None


def real(text: str) -> float:
    """Parses a number, for argparse."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None


def size(text: str) -> int:
    """Bytes: `2GiB`, `500MB`, `1.5G` (powers of 1024 without the B) or a plain number."""
    match = re.fullmatch(r"\s*([0-9][0-9_]*\.?[0-9]*)\s*([A-Za-z]*)\s*", text)
    if not match or match[2].upper() not in _UNITS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 2GiB, 500MB or 1073741824")
    try:
        return int(float(match[1]) * _UNITS[match[2].upper()])
    except OverflowError:
        raise argparse.ArgumentTypeError(f"a size of {len(match[1])} digits is none") from None


def named_file(text: str) -> tuple[str, str]:
    """Parses `TASK=FILE`, for argparse."""
    name, equals, file = text.partition("=")
    if not (name and equals and file):
        raise argparse.ArgumentTypeError(f"{text!r} is not TASK=FILE, such as 2015-T14=names.tsv")
    return name, file


def pair(text: str) -> tuple[str, str]:
    """Parses `TASK=DIR`, for argparse."""
    name, equals, folder = text.partition("=")
    if not (name and equals and folder):
        raise argparse.ArgumentTypeError(f"{text!r} is not TASK=DIR, such as 2015-T14=corpus/")
    return name, folder
