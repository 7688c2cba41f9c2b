"""What a report is made of, before anything says how it looks: tables and figures as plain numbers.

The page, the LaTeX, the CSV and the printed figures are all drawn from these, so that they cannot differ.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from bench.results.display import change, p_value, size

ColumnKind = Literal["text", "score", "change", "count", "ratio", "bytes", "seconds", "p", "flag"]
FigureKind = Literal["intervals", "lines", "bars", "heat", "points"]
Cell = str | int | float | bool | None

NUMBERS: frozenset[ColumnKind] = frozenset({"score", "change", "count", "ratio", "bytes", "seconds", "p"})
"""Kinds of columns that are aligned to the right and sorted as numbers."""


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Args:
        name: in the CSV.
        label: at its head, for people.
        kind: how its cells read.
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
        name: of its files; no two of a report are the same.
        title: its heading.
        caption: how to read it, in a sentence or two.
        columns: left to right.
        rows: cells as raw values; None where there is nothing to tell.
        runs: ids of the runs that it rests on.
        synthetic: whether any of them was trained or scored on generated text.
    """

    name: str
    title: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    runs: tuple[str, ...] = ()
    synthetic: bool = False

    def compact(self) -> Table:
        """The same without the columns in which no row tells anything."""
        kept = [i for i in range(len(self.columns)) if any(row[i] not in (None, "") for row in self.rows)]
        rows = tuple(tuple(row[i] for i in kept) for row in self.rows)
        return replace(self, columns=tuple(self.columns[i] for i in kept), rows=rows)


@dataclass(frozen=True)
class Mark:
    """Something drawn.

    Args:
        x: place from left to right; of bars and intervals their value.
        y: place from bottom to top; of bars and intervals the name of their line.
        panel: which of the figure's plots it stands in.
        group: what its colour and shape tell.
        value: of a cell of a heat map.
        low: lower end of its interval.
        high: upper end.
        run: the run that it is of, where it is of one.
    """

    x: float | str
    y: float | str
    panel: str = ""
    group: str = ""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    run: str = ""


@dataclass(frozen=True)
class Figure:
    """A figure of one plot or several that share their axes' meaning.

    Args:
        name: of its files; no two of a report are the same.
        title: its heading.
        caption: how to read it.
        says: what it shows, in words, for who does not see it.
        kind: how it is drawn. ``intervals``: dots with bars, a line of the plot each; ``lines``: one a run; ``bars``: stacked
            by group; ``heat``: a grid of coloured cells; ``points``: a cloud.
        x: title of the axis from left to right.
        y: title of the other axis.
        marks: all of them.
        groups: in the order of their colours.
        runs: ids of the runs that it rests on.
        synthetic: whether any of them was trained or scored on generated text.
        diagonal: whether the line x = y is drawn, as in a reliability diagram.
        front: whether the marks that no other beats on both axes (less x, more y) are joined.
        zero: whether the line of no difference is drawn.
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
    """A heading of the page with what stands below it.

    Args:
        name: its anchor.
        title: its heading.
        figures: drawn first.
        tables: below them.
    """

    name: str
    title: str
    figures: tuple[Figure, ...]
    tables: tuple[Table, ...]


def in_words(marks: Iterable[Mark]) -> str:
    """What intervals show, for those who do not see them: a sentence a plot and group, each line with its score."""
    told: dict[str, list[str]] = {}
    for m in marks:
        told.setdefault(f"{m.panel}, {m.group}", []).append(f"{m.y}, {shown(m.x, 'score')}")
    return ". ".join(f"{line}: {'; '.join(words)}" for line, words in told.items())


def shown(value: Any, kind: ColumnKind = "text") -> str:
    """How a cell reads: scores as .812, changes signed, counts grouped, sizes in their unit; nothing as an empty cell."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if kind == "flag":
        return "yes" if value else "no"
    if isinstance(value, str) or kind == "text":
        return str(value)
    if kind == "score":
        return _fraction(value)
    if kind == "change":
        return change(value)
    if kind == "p":
        return p_value(value)
    if kind == "bytes":
        return size(value)
    if kind == "seconds":
        return _seconds(value)
    return f"{value:,.0f}" if kind == "count" or 1000 <= abs(value) < 1e6 else f"{value:.3g}"


def difference(estimate: Mapping[str, Any]) -> str:
    """A difference with its interval, from the JSON of an estimate."""
    low, high = shown(estimate.get("low"), "change"), shown(estimate.get("high"), "change")
    return f"{shown(estimate['difference'], 'change')}{f' [{low}, {high}]' if low and high else ''}"


def means_and_runs(marks: Iterable[Mark]) -> tuple[list[Mark], list[Mark]]:
    """Marks of means, and those of single runs beside them; all of them and none where no mean is drawn."""
    listed = [*marks]
    means = [mark for mark in listed if not mark.run]
    return (means, [mark for mark in listed if mark.run]) if means else (listed, [])


def front(marks: Iterable[Mark]) -> list[Mark]:
    """The marks that no other beats, less x and more y, by x.

    Where means stand beside runs they are those of the means: the best of several runs can be luck.
    """
    kept: list[Mark] = []
    for mark in sorted(means_and_runs(marks)[0], key=lambda m: (float(m.x), -float(m.y))):
        if not kept or float(mark.y) > float(kept[-1].y):
            kept.append(mark)
    return kept


def _fraction(value: float) -> str:
    text = f"{value:.3f}"
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text


def _seconds(value: float) -> str:
    if value < 60:
        return f"{value:.1f} s"
    minutes = round(value / 60)
    return f"{minutes} min" if minutes < 100 else f"{value / 3600:.1f} h"
