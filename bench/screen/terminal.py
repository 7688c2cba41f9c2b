r"""Output to the terminal: all that the command line prints passes here, and control characters of data are escaped.

A label, a file name or a library's message may hold escape sequences that recolour, hide or overwrite what a terminal shows,
and marks that reverse the direction of text. They are shown as Python writes them, as in ``\x1b``. Our own colours are written
as marks that no text holds, and become escape sequences at the end.
"""

from __future__ import annotations

import os
import sys
from typing import IO

STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_MARKS = dict(zip(STYLES, map(chr, range(0xFDD0, 0xFDE0)), strict=False))  # noncharacters, which Unicode keeps out of texts
_PLAIN, _ERASE = "\ufdee", "\ufdef"
_TURNING = "\u061c\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Characters that change the direction of text or break lines."""


_CONTROLS = [*range(0x20), *range(0x7F, 0xA0), *map(ord, _TURNING), *range(0xD800, 0xE000)]
_SPELT = {code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" for code in _CONTROLS if chr(code) not in "\t\n"}
_SPELT[ord("\r")] = "\\r"
_LINE = _SPELT | {ord("\t"): "\\t", ord("\n"): "\\n"}
_OURS = {ord(mark): f"\x1b[{STYLES[style]}m" for style, mark in _MARKS.items()}
_EDGE = _SPELT | _OURS | {ord(_PLAIN): "\x1b[0m", ord(_ERASE): "\r\x1b[K"}
_WITHOUT = dict.fromkeys([*_OURS, ord(_PLAIN), ord(_ERASE)], "")


def clean(text: str) -> str:
    """A text with control characters escaped; tabs and line ends stay."""
    return text.translate(_SPELT)


def line(text: str) -> str:
    """A text as one line, such as a cell of a table: tabs and line ends are escaped too."""
    return text if text.isprintable() else text.translate(_LINE)


def say(text: str, stream: IO[str] | None = None, end: str = "\n") -> None:
    """Prints a text that may hold results of `paint`, by default to stdout; commands without rich print only by this."""
    stream = stream or sys.stdout
    stream.write(text.translate(_EDGE) + end)
    if not end:
        stream.flush()


def coloured(stream: IO[str] | None = None) -> bool:
    """Whether a stream shows colours: it is a terminal, and NO_COLOR is not set (https://no-color.org)."""
    stream = stream or sys.stdout
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, style: str, stream: IO[str] | None = None) -> str:
    """The text in a style, for `say`; unchanged if the stream shows no colours."""
    return f"{_MARKS[style]}{text}{_PLAIN}" if text and coloured(stream) else text


def over(text: str, stream: IO[str]) -> None:
    """Replaces the current line of a terminal by a text; writes nothing elsewhere."""
    if stream.isatty():
        say(f"{_ERASE}{text}", stream, end="")


def width(cell: str) -> int:
    """Number of characters that a text shows, without those that `paint` added."""
    return len(cell if cell.isprintable() else cell.translate(_WITHOUT))
