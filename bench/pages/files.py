"""The tables of a report, and the numbers behind its figures, as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from bench.pages.content import Cell, Figure, Table

_FORMULA = tuple("=+-@\t\r\n＝＋－＠")


def table_csv(table: Table) -> str:
    """Raw values, one row a line; the last column says whether the data is synthetic."""
    names = [column.name for column in table.columns]
    marked = "synthetic" not in names
    rows = ([_raw(cell) for cell in row] + ["yes" if table.synthetic else "no"] * marked for row in table.rows)
    return _csv([*names, *["synthetic"] * marked], rows)


def figure_csv(figure: Figure) -> str:
    """All marks of a figure, one a line."""
    names = ("panel", "group", "run", "x", "y", "value", "low", "high")
    rows = ([_raw(getattr(mark, name)) for name in names] + ["yes" if figure.synthetic else "no"] for mark in figure.marks)
    return _csv([*names, "synthetic"], rows)


def _raw(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    return repr(cell) if isinstance(cell, float) else str(cell)


def _csv(header: list[str], rows: Iterable[list[str]]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    # A carriage return would end the line for readers, as Python before 3.13 does not quote it; Python 3.10 takes no NUL.
    writer.writerows([inert(cell.replace("\r", "\n").replace("\0", "\\x00")) for cell in row] for row in (header, *rows))
    return stream.getvalue()


def inert(cell: str) -> str:
    """A cell that no spreadsheet reads as a formula: an apostrophe is put before a character that begins one.

    Source: https://owasp.org/www-community/attacks/CSV_Injection
    """
    if not cell.startswith(_FORMULA):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return f"'{cell}" if cell[0] in "\t\r\n" else cell
