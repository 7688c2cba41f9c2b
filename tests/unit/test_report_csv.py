"""Tables as CSV hold no formula, whatever a task, a label or a study is called, and every number stays one."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bench.pages.content import Column, Figure, Mark, Table
from bench.pages.files import figure_csv, inert, table_csv


@pytest.mark.parametrize(
    "cell", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(1)", "\t=1", "\r=1", "\n5", "＝1", "-", "+-1", "--1"]
)
def test_what_begins_a_formula_is_quoted(cell: str) -> None:
    assert inert(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["", "a", "-1", "+.5", "-1.5e-05", "-inf", "a=1", "'=1", "−.012", "1-2"])
def test_all_else_stays(cell: str) -> None:
    assert inert(cell) == cell


@given(st.text(max_size=8), st.floats(allow_nan=False), st.integers())
@example("\0", 0.0, 0)  # Python 3.10 cannot write it
def test_every_cell_of_a_table_and_of_a_figure_is_inert(text: str, real: float, whole: int) -> None:
    columns = (Column("=name", "n"), Column("real", "r"), Column("whole", "w"))
    table = Table("t", "t", "", columns, ((text, real, whole), ("=1", -real, -whole)), (), False)
    figure = Figure("f", "f", "", "", "points", "x", "y", (Mark(real, text, panel="@x", group="-a"),), (), (), False)
    for content in (table_csv(table), figure_csv(figure)):
        for row in csv.reader(io.StringIO(content, newline="")):
            for cell in row:
                if cell[:1] in tuple("=+-@\t\r\n") and cell:
                    float(cell)
    first, second = [*csv.reader(io.StringIO(table_csv(table), newline=""))][1:]
    assert (float(first[1]), int(first[2]), float(second[1]), int(second[2])) == (real, whole, -real, -whole)
    assert second[0] == "'=1"
