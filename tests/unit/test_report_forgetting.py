"""The forgetting curve and its tables, from what results say of runs in phases."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.pages import forgetting
from bench.pages.collect import collect
from bench.pages.content import Cell, Table
from bench.pages.files import table_csv
from bench.pages.vega import specifications
from bench.pages.write import sections, write
from bench.results.store import read_result
from bench.steps.together import transfer_between_phases

TASKS = ("ncbi-disease", "bc5cdr", "bc2gm")
FIRST = ((0.10, 0.20, 0.30), (0.80, 0.40, 0.30), (0.50, 0.70, 0.20), (0.60, 0.40, 0.90))
"""Before the run and after each task, by task."""
SECOND = ((0.10, 0.20, 0.30), (0.60, 0.20, 0.50), (0.50, 0.90, 0.40), (0.40, 0.60, 0.70))


def schedule(scores: Sequence[Sequence[float | None]], order: Sequence[Sequence[str]] | None = None) -> dict[str, Any]:
    """What the result of a run in phases says of them."""
    trained = [(), *(order or [(task,) for task in TASKS])]
    rows: list[dict[str, Any]] = []
    for place, (tasks, values) in enumerate(zip(trained, scores, strict=True)):
        known = [value for value in values if value is not None]
        told = dict(zip(TASKS, values, strict=True)) | {"mean": sum(known) / len(known)}
        rows.append({"tasks": list(tasks), "step": 4 * place, "tokens": 1_000 * place, "scores": told, "read": 0})
    return {"name": "of-a-plugin", "options": {}, **transfer_between_phases(rows)}


def told(table: Table | None) -> list[dict[str, Cell]]:
    assert table is not None
    return [dict(zip([c.name for c in table.columns], row, strict=True)) for row in table.rows]


def two_seeds(made: ModuleType, folder: Path) -> list[Path]:
    both = [made.Made(TASKS, seed=s, extra={"schedule": schedule(scores)}) for s, scores in enumerate((FIRST, SECOND))]
    found: list[Path] = made.make(folder, both)
    return found


def test_the_matrix_is_the_mean_over_seeds(made: ModuleType, tmp_path: Path) -> None:
    two_seeds(made, tmp_path)
    rows = told(forgetting.matrix(collect((), tmp_path)))
    assert [(row["arm"], row["runs"], row["after"], row["tokens"]) for row in rows] == [
        ("A1", 2, "start", 0), ("A1", 2, "1 ncbi-disease", 1000), ("A1", 2, "2 bc5cdr", 2000), ("A1", 2, "3 bc2gm", 3000),
    ]  # fmt: skip
    for row, *scores in zip(rows, FIRST, SECOND, strict=True):
        assert [row[task] for task in TASKS] == pytest.approx([sum(pair) / 2 for pair in zip(*scores, strict=True)])


def test_average_backward_and_forward_transfer(made: ModuleType, tmp_path: Path) -> None:
    two_seeds(made, tmp_path)
    rows = {str(row["task"]): row for row in told(forgetting.transfers(collect((), tmp_path)))}
    assert [*rows] == [*TASKS, "mean of tasks"]
    first, second, third, mean = rows.values()
    assert [first["end"], first["backward"]] == pytest.approx([0.5, -0.2])  # from .8 to .6, from .6 to .4
    assert (first["forward"], first["forward_sd"], third["backward"]) == (None, None, None)  # before all others, after them
    # From .7 to .4, from .9 to .6; from .2 to .4, and still at .2.
    assert [second[way] for way in ("backward", "forward")] == pytest.approx([-0.3, (0.2 + 0.0) / 2])
    assert [third["end"], third["end_sd"]] == pytest.approx([0.8, 0.2 / 2**0.5])
    assert mean["end"] == pytest.approx((1.9 / 3 + 1.7 / 3) / 2)  # ACC
    assert mean["backward"] == pytest.approx(((-0.2 - 0.3) / 2 + (-0.2 - 0.3) / 2) / 2)  # BWT
    assert mean["forward"] == pytest.approx(((0.2 - 0.1) / 2 + (0.0 + 0.1) / 2) / 2)  # FWT


def test_a_line_is_faint_until_its_task_is_trained_and_seeds_are_dots(made: ModuleType, tmp_path: Path) -> None:
    folders = two_seeds(made, tmp_path)
    figure = forgetting.curve(collect((), tmp_path))
    assert figure is not None
    assert (figure.groups, figure.panels) == (TASKS, ("A1",))
    line = [(m.x, round(float(m.y), 3), m.faint) for m in figure.marks if m.group == "bc5cdr" and not m.run]
    assert line == [
        ("start", 0.2, True), ("1 ncbi-disease", 0.3, True), ("2 bc5cdr", 0.8, False), ("3 bc2gm", 0.5, False)
    ]  # fmt: skip
    dots = {(m.run, m.y) for m in figure.marks if m.run and m.group == "bc5cdr" and m.x == "2 bc5cdr"}
    assert dots == {(folder.name, value) for folder, value in zip(folders, (0.7, 0.9), strict=True)}
    assert "A1, bc5cdr: start .200; 1 ncbi-disease .300; 2 bc5cdr .800; 3 bc2gm .500" in figure.says
    ((_, spec),) = specifications(figure)
    # From the phase on that trained it; all of it, faint; runs; means.
    assert [len(layer["data"]["values"]) for layer in spec["layer"]] == [6, 12, 24, 12]
    assert spec["layer"][0]["encoding"]["x"]["sort"] == ["start", "1 ncbi-disease", "2 bc5cdr", "3 bc2gm"]


def test_one_run_is_its_own_line_without_dots_or_spread(made: ModuleType, tmp_path: Path) -> None:
    made.make(tmp_path, [made.Made(TASKS, extra={"schedule": schedule(FIRST)})])
    evidence = collect((), tmp_path)
    figure = forgetting.curve(evidence)
    assert figure is not None
    assert not any(mark.run for mark in figure.marks)
    assert all(row["end_sd"] is None for row in told(forgetting.transfers(evidence)))


def test_plots_of_two_arms_have_the_same_height_of_scale(made: ModuleType, tmp_path: Path) -> None:
    low = [[value / 10 for value in row] for row in FIRST]
    made.make(tmp_path, [made.Made(TASKS, arch=a, extra={"schedule": schedule(s)}) for a, s in (("A1", FIRST), ("A2", low))])
    figure = forgetting.curve(collect((), tmp_path))
    assert figure is not None
    scales = [spec["layer"][0]["encoding"]["y"]["scale"] for _, spec in specifications(figure)]
    assert len(scales) == 2
    assert scales[0] == scales[1]
    assert scales[0]["domain"] == [0.01, 0.9]


def test_other_orders_are_other_lines_and_phases_may_hold_several_tasks(made: ModuleType, tmp_path: Path) -> None:
    again = [("bc5cdr", "bc2gm"), ("ncbi-disease",), ("bc5cdr",)]
    other = made.Made(TASKS, seed=1, extra={"schedule": schedule(FIRST, again)})
    made.make(tmp_path, [made.Made(TASKS, extra={"schedule": schedule(FIRST)}), other])
    rows = told(forgetting.matrix(collect((), tmp_path)))
    labels = {str(row["arm"]): row["runs"] for row in rows}
    assert labels == {
        "A1: 1 ncbi-disease, 2 bc5cdr, 3 bc2gm": 1, "A1: 1 bc5cdr + bc2gm, 2 ncbi-disease, 3 bc5cdr": 1
    }  # fmt: skip
    figure = forgetting.curve(collect((), tmp_path))
    assert figure is not None
    (panel,) = (label for label in labels if "+" in label)
    assert [m.faint for m in figure.panel(panel) if m.group == "bc5cdr"] == [True, False, False, False]


def test_a_score_that_is_not_there_is_left_out(made: ModuleType, tmp_path: Path) -> None:
    holed = schedule(FIRST)
    holed["phases"][3]["scores"] |= {"bc5cdr": None, "mean": None}
    holed["backward"]["bc5cdr"] = holed["backward_transfer"] = None
    made.make(tmp_path, [made.Made(TASKS, extra={"schedule": holed})])
    evidence = collect((), tmp_path)
    assert told(forgetting.matrix(evidence))[3]["bc5cdr"] is None
    figure = forgetting.curve(evidence)
    assert figure is not None
    assert [mark.x for mark in figure.marks if mark.group == "bc5cdr"] == ["start", "1 ncbi-disease", "2 bc5cdr"]
    rows = {str(row["task"]): row for row in told(forgetting.transfers(evidence))}
    assert (rows["bc5cdr"]["end"], rows["bc5cdr"]["backward"]) == (None, None)
    assert (rows["mean of tasks"]["end"], rows["mean of tasks"]["backward"]) == (None, None)


def test_the_page_has_the_section_and_the_files(made: ModuleType, tmp_path: Path) -> None:
    for name in ("jinja2", "vl_convert"):
        pytest.importorskip(name)
    first, _ = two_seeds(made, tmp_path / "runs")
    page = write(collect((), tmp_path / "runs"), tmp_path / "page").page
    text = page.read_text(encoding="utf-8")
    assert '<section id="forgetting"' in text
    assert "<b>Dev score after each phase.</b>" in text
    for name in ("figures/forgetting.svg", "figures/forgetting.pdf", "tables/forgetting.tex", "tables/forgetting-transfer.csv"):
        assert (page.parent / name).stat().st_size > 0
    marks = [*csv.DictReader(io.StringIO((page.parent / "figures" / "forgetting.csv").read_text(encoding="utf-8")))]
    own = read_result(first).schedule["phases"]
    for mark in (mark for mark in marks if mark["run"] == first.name and mark["group"] == "bc2gm"):
        assert float(mark["y"]) == own[0 if mark["x"] == "start" else int(mark["x"][0])]["scores"]["bc2gm"]


def test_without_runs_in_phases_there_is_no_section(made: ModuleType, tmp_path: Path) -> None:
    made.make(tmp_path, made.grid(2, tasks=TASKS))
    assert "forgetting" not in [section.name for section in sections(collect((), tmp_path))]
    two_seeds(made, tmp_path)
    evidence = collect((), tmp_path)
    (section,) = (section for section in sections(evidence) if section.name == "forgetting")
    rests = {*chain(*(figure.runs for figure in section.figures), *(table.runs for table in section.tables))}
    assert rests == {run.id for run in evidence.runs if run.result.schedule}


@given(st.floats(0, 1), st.integers(1, 6))
def test_a_constant_matrix_has_no_transfer(score: float, tasks: int) -> None:
    names = [f"task-{i}" for i in range(tasks)]
    scores = dict.fromkeys(names, score)
    rows = [{"tasks": trained, "scores": scores, "read": 0} for trained in ([], *([name] for name in names))]
    found = transfer_between_phases(rows)
    wanted = 0.0 if tasks > 1 else None
    assert (found["backward_transfer"], found["forward_transfer"]) == (wanted, wanted)


def test_a_constant_matrix_is_shown_without_transfer(made: ModuleType, tmp_path: Path) -> None:
    made.make(tmp_path, [made.Made(TASKS, extra={"schedule": schedule([[0.5] * 3] * 4)})])
    evidence = collect((), tmp_path)
    table = forgetting.transfers(evidence)
    assert told(table)[-1] == {
        "arm": "A1", "task": "mean of tasks", "runs": 1, "end": 0.5, "end_sd": None, "backward": 0.0, "backward_sd": None,
        "forward": 0.0, "forward_sd": None,
    }  # fmt: skip
    assert table is not None
    assert "A1,mean of tasks,1,0.5,,0.0,,0.0,,yes" in table_csv(table)
    figure = forgetting.curve(evidence)
    assert figure is not None
    assert "domain" not in json.dumps(specifications(figure)[0][1]["layer"][0]["encoding"]["y"])  # which would have no width
