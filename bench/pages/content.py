"""Tables and figures of a report as plain numbers, without layout.

Page, LaTeX, CSV and printed figures are all made from these, so that they cannot differ.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from bench.results.display import NOT_ESTIMABLE, change, duration, estimable, interval, p_value, possible, short, size

ColumnKind = Literal["text", "score", "change", "count", "ratio", "bytes", "seconds", "p", "flag"]
FigureKind = Literal["intervals", "lines", "stages", "bars", "heat", "points"]
Cell = str | int | float | bool | None

NUMBERS: frozenset[ColumnKind] = frozenset({"score", "change", "count", "ratio", "bytes", "seconds", "p"})
"""Kinds of columns that are aligned to the right and sorted as numbers."""


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Args:
        name: in the CSV.
        label: heading, for people.
        kind: decides the format of its cells.
    """

    name: str
    label: str
    kind: ColumnKind = "text"

    @property
    def numeric(self) -> bool:
        """Whether it holds numbers."""
        return self.kind in NUMBERS


@dataclass(frozen=True)
class Table:
    """A table.

    Args:
        name: of its files; unique in a report.
        title: its heading.
        caption: how to read it, in a sentence or two.
        columns: left to right.
        rows: cells as raw values; None for an empty cell.
        runs: ids of the runs that it is made from.
        synthetic: whether any of them was trained or scored on synthetic text.
    """

    name: str
    title: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    runs: tuple[str, ...] = ()
    synthetic: bool = False

    def compact(self) -> Table:
        """The same table without empty columns."""
        filled = [i for i in range(len(self.columns)) if any(row[i] not in (None, "") for row in self.rows)]
        rows = tuple(tuple(row[i] for i in filled) for row in self.rows)
        return replace(self, columns=tuple(self.columns[i] for i in filled), rows=rows)


@dataclass(frozen=True)
class Mark:
    """A mark of a figure: a point, bar, interval or cell.

    Args:
        x: horizontal position; for bars and intervals their value.
        y: vertical position; for bars and intervals the name of their line.
        panel: name of the plot that it is in.
        group: decides colour and shape.
        value: of a cell of a heat map.
        low: lower end of its interval, of x.
        high: upper end of its interval, of x.
        run: id of the run, for a mark of a single run.
        faint: whether it is drawn faintly, in a figure of stages.
    """

    x: float | str
    y: float | str
    panel: str = ""
    group: str = ""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    run: str = ""
    faint: bool = False


@dataclass(frozen=True)
class Figure:
    """A figure of one or several plots with the same axes.

    Args:
        name: of its files; unique in a report.
        title: its heading.
        caption: how to read it.
        says: its content in words, for readers who do not see it.
        kind: ``intervals``: dots with bars, one a line of the plot; ``lines``: one line a run, or the mean of several with
            a band from `low` to `high` of y; ``stages``: one line a group
            over named stages; ``bars``: stacked by group; ``heat``: a grid of coloured cells; ``points``: a scatter plot.
        x: title of the horizontal axis.
        y: title of the vertical axis.
        marks: of all plots.
        references: lines through a plot, such as the score of a dictionary: `panel`, `group` as its name, and `x`.
        groups: in the order of their colours.
        runs: ids of the runs that it is made from.
        synthetic: whether any of them was trained or scored on synthetic text.
        diagonal: whether the line x = y is drawn, as in a reliability diagram.
        front: whether the Pareto front (less x, more y) is drawn; a plot whose front has no order in y has none.
        zero: whether a line at 0 is drawn.
    """

    name: str
    title: str
    caption: str
    says: str
    kind: FigureKind
    x: str
    y: str
    marks: tuple[Mark, ...]
    groups: tuple[str, ...]
    runs: tuple[str, ...] = ()
    synthetic: bool = False
    diagonal: bool = False
    front: bool = False
    zero: bool = False
    references: tuple[Mark, ...] = ()

    @property
    def panels(self) -> tuple[str, ...]:
        """Names of its plots, in order."""
        return tuple(dict.fromkeys(mark.panel for mark in self.marks))

    def panel(self, name: str) -> tuple[Mark, ...]:
        """The marks of one plot."""
        return tuple(mark for mark in self.marks if mark.panel == name)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        from bench.pages.inline import bundle

        return bundle(self)


@dataclass(frozen=True)
class Section:
    """A section of the page.

    Args:
        name: its anchor.
        title: its heading.
        figures: shown first.
        tables: below the figures.
    """

    name: str
    title: str
    figures: tuple[Figure, ...]
    tables: tuple[Table, ...]


def in_words(marks: Iterable[Mark]) -> str:
    """Scores of intervals in words: a sentence for each plot and group."""
    lines_of: dict[str, list[str]] = {}
    for m in marks:
        lines_of.setdefault(f"{m.panel}, {m.group}", []).append(f"{m.y}, {shown(m.x, 'score')}")
    return ". ".join(f"{line}: {'; '.join(words)}" for line, words in lines_of.items())


def shown(value: Any, kind: ColumnKind = "text") -> str:
    """The text of a cell: scores as .812, changes with a sign, counts with separators, sizes with a unit, None as ""."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if kind == "flag":
        return "yes" if value else "no"
    if isinstance(value, str) or kind == "text":
        return str(value)
    if kind == "score":
        return short(value)
    if kind == "change":
        return change(value)
    if kind == "p":
        return p_value(value)
    if kind == "bytes":
        return size(value)
    if kind == "seconds":
        return duration(value)
    if kind == "count" or 1000 <= abs(value) < 1e6:
        return f"{value:,.0f}"
    # Three digits, also where the last of them are 0: the figures of a column are equally exact.
    return f"{value:#.3g}".removesuffix(".") if abs(value) >= 1 else f"{value:.3g}"


def difference(estimate: Mapping[str, Any]) -> str:
    """A difference with its interval, from the JSON of an estimate."""
    bounds = interval(estimate.get("low"), estimate.get("high"), estimate.get("seeds"))
    return f"{change(estimate['difference'])} {bounds}".rstrip()


def bounded(estimate: Mapping[str, Any], name: str) -> Cell:
    """A figure of a difference for a table, with a word in the place of an interval that is not estimable."""
    if name in ("low", "high") and not estimable(estimate.get("seeds")):
        return NOT_ESTIMABLE if name == "low" else None
    value = estimate.get(name)
    if name == "detectable" and isinstance(value, (int, float)) and not possible(value):
        return "none"
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def means_and_runs(marks: Iterable[Mark]) -> tuple[list[Mark], list[Mark]]:
    """Marks of means, and marks of single runs; without any mean, the latter are taken as the former."""
    listed = [*marks]
    means = [mark for mark in listed if not mark.run]
    return (means, [mark for mark in listed if mark.run]) if means else (listed, [])


def front(marks: Iterable[Mark]) -> list[Mark]:
    """The means that no other surely dominates (less x, more y), in the order of x; of the runs where there are no means.

    The best of several runs can be the best by chance, so that means are used where they exist. Where x has an interval, one
    mean dominates another only if the intervals do not overlap.
    """
    means = sorted(means_and_runs(marks)[0], key=lambda m: (float(m.x), -float(m.y)))
    optimal: list[Mark] = []
    for mark in means:
        if not any(_dominates(other, mark) for other in means) and all((m.x, m.y) != (mark.x, mark.y) for m in optimal):
            optimal.append(mark)
    return optimal


def _dominates(first: Mark, second: Mark) -> bool:
    if float(first.y) < float(second.y):
        return False
    if first.high is not None and second.low is not None:
        return first.high < second.low
    return float(first.x) < float(second.x) or (first.x == second.x and float(first.y) > float(second.y))
