"""Figures for print: the page's plots without its style sheet."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

pytest.importorskip("vl_convert")

from bench.pages.content import Figure, FigureKind, Mark
from bench.pages.drawing import PALETTE, save

GROUPS = ("A1", "A2")


def figure(kind: str, synthetic: bool = False, groups: tuple[str, ...] = GROUPS) -> Figure:
    """Two plots of each group's mean and run."""
    marks = []
    for panel in ("first task", "second task"):
        for place, group in enumerate(groups):
            line = group if kind in ("intervals", "bars", "heat") else 0.5 + place
            x: float | str = f"on {group}" if kind in ("heat", "stages") else 0.25 + place
            marks.append(Mark(x, line, panel, group, value=0.125 * place, low=0.125, high=0.875))
            marks += [Mark(x, line, panel, group, run="run-1")] if kind == "intervals" else []
    return Figure(
        "made", "Made up", "How to read it.", "Two arms.", cast(FigureKind, kind), "tokens", "F1", tuple(marks), groups,
        ("run-1",), synthetic,
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["intervals", "lines", "stages", "bars", "heat", "points"])
def test_a_printed_figure_needs_no_style_sheet(kind: str, tmp_path: Path) -> None:
    svg, pdf = save([figure(kind)], tmp_path / "figures")
    drawn = svg.read_text(encoding="utf-8")
    assert "var(" not in drawn
    assert all(title in drawn for title in ("first task", "second task", "tokens"))
    assert kind == "heat" or all(colour in drawn for colour in PALETTE[: len(GROUPS)])
    assert pdf.read_bytes().startswith(b"%PDF")
    assert b"FontFile" in pdf.read_bytes()  # a paper's publisher asks for embedded fonts


@pytest.mark.parametrize("kind", ["intervals", "lines", "stages", "bars", "heat", "points"])
def test_in_a_notebook_a_figure_is_vega_lite_that_draws_without_a_style_sheet(kind: str) -> None:
    import json

    import vl_convert

    made = figure(kind, synthetic=True)
    shown = made._repr_mimebundle_()
    spec = json.dumps(shown["application/vnd.vegalite.v5+json"])
    assert "var(" not in spec
    assert "tooltip" in spec
    assert "SYNTHETIC DATA" in spec
    drawn = vl_convert.vegalite_to_svg(spec, vl_version="5.20")
    assert all(part in drawn for part in ("first task", "second task", "SYNTHETIC DATA"))
    assert shown["image/svg+xml"].startswith("<svg")
    assert shown["text/plain"] == "Made up. Two arms."


def test_without_vl_convert_a_notebook_still_gets_vega_lite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    assert set(figure("bars")._repr_mimebundle_()) == {"application/vnd.vegalite.v5+json", "text/plain"}


def test_a_legend_stands_where_there_is_more_than_one_group(tmp_path: Path) -> None:
    (several, _), (single, _) = save([figure("lines")], tmp_path / "2"), save([figure("lines", groups=("A1",))], tmp_path / "1")
    assert all(f">{name}<" in several.read_text(encoding="utf-8") for name in GROUPS)
    assert ">A1<" not in single.read_text(encoding="utf-8")


def test_synthetic_data_is_stamped(tmp_path: Path) -> None:
    made = figure("bars", synthetic=True)
    assert "SYNTHETIC DATA" in save([made], tmp_path / "a")[0].read_text(encoding="utf-8")
    assert "SYNTHETIC" not in save([replace(made, synthetic=False)], tmp_path / "b")[0].read_text(encoding="utf-8")


def test_the_same_figure_is_the_same_svg(tmp_path: Path) -> None:
    (first, _), (again, _) = save([figure("points")], tmp_path / "a"), save([figure("points")], tmp_path / "b")
    assert first.read_bytes() == again.read_bytes()
