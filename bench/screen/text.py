"""Plain text for fast commands: columns, colour on a terminal, JSON. Importing rich would make `bench list` too slow."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from bench.results.display import short
from bench.screen.terminal import line, paint, width


def columns(header: Sequence[str], rows: Sequence[Sequence[str]], flexible: int | None = None, indent: str = "") -> str:
    """Aligned columns of cells, which may be coloured; `indent` begins every line.

    `flexible` is the index of a column that is wrapped where the terminal is too narrow; piped output is not wrapped.
    """
    table = [[paint(title, "dim") for title in header], *([line(cell) for cell in row] for row in rows)]
    widths = [max(width(row[i]) for row in table) for i in range(len(header))]
    if flexible is not None and sys.stdout.isatty():
        room = _terminal() - len(indent) - sum(widths) - 2 * (len(widths) - 1) + widths[flexible]
        widths[flexible] = min(widths[flexible], max(room, 20))
    lines = []
    for row in table:
        first, *rest = _wrap(row, flexible, widths)
        lines += [first, *rest]
    return "\n".join(
        (indent + "  ".join(cell + " " * (room - width(cell)) for cell, room in zip(cells, widths, strict=True))).rstrip()
        for cells in lines
    )


def folded(
    header: Sequence[str], rows: Sequence[Sequence[str]], keep: Sequence[str] = (), spare: Sequence[str] = ()
) -> tuple[list[str], list[list[str]], dict[str, str]]:
    """A table with as many of its columns as a terminal has room for; piped output has all.

    Those that have the same in every row go first, but for those of `keep`; then those of `spare`, one after another.

    Returns:
        What is left of header and rows, and by its title what was the same in every row.
    """
    table = [[*header], *([line(cell) for cell in row] for row in rows)]
    columns = dict(zip(header, zip(*table, strict=True), strict=True))
    same: dict[str, str] = {}

    def narrow() -> bool:
        shown = sum(max(map(width, cells)) + 2 for cells in columns.values()) - 2
        return sys.stdout.isatty() and shown > _terminal()

    if len(rows) > 1 and narrow():
        same = {title: cells[1] for title, cells in columns.items() if len({*cells[1:]}) == 1 and title not in keep}
    for title in (*same, *spare):
        if title in columns and (title in same or narrow()):
            del columns[title]
    return [*columns], [[*row] for row in [*zip(*columns.values(), strict=True)][1:]], same


def wrapped(text: str, stream: IO[str], indent: int = 0) -> str:
    """A text as it is printed to a stream: on a terminal wrapped at words, never inside of one such as a path or a flag.

    `indent` is that of the lines which go on with one.
    """
    if not stream.isatty():
        return text
    wrapper = textwrap.TextWrapper(
        max(_terminal(), 40), subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(piece for part in text.split("\n") for piece in wrapper.wrap(part) or [""])


def _terminal() -> int:
    from shutil import get_terminal_size

    return get_terminal_size().columns


def _wrap(row: list[str], flexible: int | None, widths: list[int]) -> list[list[str]]:
    if flexible is None or width(row[flexible]) <= widths[flexible]:
        return [row]
    pieces = textwrap.wrap(row[flexible], widths[flexible], break_on_hyphens=False)
    blank = [""] * len(row)
    lines = [[*row[:flexible], pieces[0], *row[flexible + 1 :]]]
    return lines + [[*blank[:flexible], piece, *blank[flexible + 1 :]] for piece in pieces[1:]]


def fields(pairs: Mapping[str, str], indent: str = "") -> str:
    """One name and value a line, values wrapped on a terminal; empty values are left out."""
    shown = {line(name): value for name, value in pairs.items() if value}
    widest = max(map(len, shown), default=0)
    room = max(_terminal() - widest - 2 - len(indent), 30) if sys.stdout.isatty() else 10**6
    lines = []
    for name, value in shown.items():
        parts = (textwrap.wrap(line(part), room, break_on_hyphens=False) for part in value.split("\n"))
        pieces = [piece for part in parts for piece in part] or [""]
        lines.append(f"{indent}{paint(name.ljust(widest), 'dim')}  {pieces[0]}")
        lines += [f"{indent}{' ' * (widest + 2)}{piece}" for piece in pieces[1:]]
    return "\n".join(lines)


def dump(value: Any) -> str:
    """Indented JSON; paths become strings and numpy scalars numbers."""
    return json.dumps(value, indent=2, default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"no JSON for {type(value).__name__}")


def number(value: Any) -> str:
    """A number for people: scores as .823, whole numbers with separators, others with four digits."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if float(value).is_integer() and (isinstance(value, int) or abs(value) > 1):
        return f"{int(value):,}"
    return short(value) if abs(value) <= 1 else f"{value:,.4g}"
