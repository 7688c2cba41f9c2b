"""The tables of a report as CSV and as booktabs LaTeX, and the numbers behind its figures as CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable

from bench.report.content import Cell, Figure, Table, shown

_TEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "−": r"$-$", "×": r"$\times$", "→": r"$\to$", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}",
}  # fmt: skip


def table_csv(table: Table) -> str:
    """Raw values, one row a line; a last column says whether they rest on synthetic data."""
    names = [column.name for column in table.columns]
    marked = "synthetic" not in names
    rows = ([_raw(cell) for cell in row] + ["yes" if table.synthetic else "no"] * marked for row in table.rows)
    return _csv([*names, *["synthetic"] * marked], rows)


def figure_csv(figure: Figure) -> str:
    """Everything that a figure draws."""
    names = ("panel", "group", "run", "x", "y", "value", "low", "high")
    rows = ([_raw(getattr(mark, name)) for name in names] + ["yes" if figure.synthetic else "no"] for mark in figure.marks)
    return _csv([*names, "synthetic"], rows)


def table_tex(table: Table) -> str:
    """A ``table`` with booktabs rules; numbers to the right. It wants the package booktabs and no other."""
    align = "".join("r" if column.numeric else "l" for column in table.columns)
    stamp = r"\textbf{Synthetic data.} " if table.synthetic else ""
    head = " & ".join(tex(column.label) for column in table.columns)
    body = [" & ".join(tex(shown(cell, c.kind)) for cell, c in zip(row, table.columns, strict=True)) for row in table.rows]
    lines = [
        f"% {table.title}. Rests on {len(table.runs)} runs: {', '.join(table.runs)}",
        r"% \usepackage{booktabs}",
        r"\begin{table}",
        r"  \centering",
        f"  \\caption{{{stamp}{tex(table.title)}. {tex(table.caption)}}}",
        f"  \\label{{tab:{table.name}}}",
        f"  \\begin{{tabular}}{{{align}}}",
        r"    \toprule",
        f"    {head} \\\\",
        r"    \midrule",
        *(f"    {line} \\\\" for line in body),
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def tex(text: str) -> str:
    """Text with everything escaped that LaTeX would read as its own."""
    return re.sub(r"[\\&%$#_{}~^−×→<>|]", lambda found: _TEX[found[0]], text)


def _raw(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    return repr(cell) if isinstance(cell, float) else str(cell)


def _csv(header: list[str], rows: Iterable[list[str]]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return stream.getvalue()
