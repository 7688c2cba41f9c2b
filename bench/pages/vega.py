"""Figures as Vega-Lite, one specification a plot, and the JavaScript that draws them.

Vega and not plotly: it has a fifth of the size and draws SVG that prints well. Its colours can be CSS variables, so that dark
mode and print need no new drawing.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from bench.errors import MissingError
from bench.pages.content import Figure, Mark, front, means_and_runs

COLOURS = 8
"""Number of colours, ``--c0`` and following in the style sheet; further groups repeat them with other shapes."""
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")
DASHES = ((1, 0), (6, 3), (2, 2), (8, 3, 2, 3))
INSTALL = "pip install 'bench-suite[report]'"

Spec = dict[str, Any]


def javascript() -> str:
    """Vega, Vega-Lite and vega-embed as one script, from the wheel of vl-convert; needs no network.

    Raises:
        MissingError: vl-convert is not installed.
    """
    try:
        import vl_convert
    except ImportError:
        raise MissingError("The plots of a report need vl-convert-python, which is not installed.", INSTALL) from None
    return str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))


def specifications(figure: Figure) -> list[tuple[str, Spec]]:
    """Title and Vega-Lite specification of each plot of a figure."""
    return [(panel, _plot(figure, figure.panel(panel))) for panel in figure.panels]


def style(index: int) -> tuple[int, str, tuple[int, ...]]:
    """Colour, shape and dashes of a group by its index; the first 48 combinations are distinct."""
    return index % COLOURS, SHAPES[(index % COLOURS + index // COLOURS) % len(SHAPES)], DASHES[(index // 2) % len(DASHES)]


def _plot(figure: Figure, marks: Sequence[Mark]) -> Spec:
    draw = {"intervals": _intervals, "lines": _lines, "stages": _stages, "bars": _bars, "heat": _heat, "points": _points}
    title = marks[0].panel
    described = f"{figure.title}{f', {title}' if title else ''}"
    return {
        "width": "container",
        "description": described,
        "background": None,
        "autosize": {"type": "fit-x", "contains": "padding"},
        **draw[figure.kind](figure, marks),
    }


def _intervals(figure: Figure, marks: Sequence[Mark]) -> Spec:
    lines = list(dict.fromkeys(str(m.y) for m in marks))
    several = len({(m.y, m.group) for m in marks if not m.run}) > len(lines)
    means = [_row(m) for m in marks if not m.run]
    dots = [_row(m) for m in marks if m.run]
    y = {
        "field": "y",
        "type": "nominal",
        "sort": lines,
        "title": None,
        "axis": {"labelLimit": 170, "domain": False, "ticks": False},
    }
    offset = {"yOffset": {"field": "group", "sort": list(figure.groups)}} if several else {}
    x = {"field": "x", "type": "quantitative", "title": figure.x, "scale": {"zero": False, "nice": True}}
    tip = [_tip("group", "arm"), _tip("x", "value", ".4f"), _tip("low", "95% low", ".4f"), _tip("high", "95% high", ".4f")]
    layers: list[Spec] = [
        {
            "data": {"values": [row for row in means if "low" in row and "high" in row]},
            "mark": {"type": "rule", "strokeWidth": 2.5, "opacity": 0.85},
            "encoding": {"x": x | {"field": "low"}, "x2": {"field": "high"}, "y": y, **offset, "color": _colour(figure)},
        },
        {
            "data": {"values": dots},
            "mark": {"type": "point", "filled": True, "size": 18, "opacity": 0.45, "yOffset": 9},
            "encoding": {
                "x": x,
                "y": y,
                **offset,
                "color": _colour(figure),
                "tooltip": [_tip("run", "run"), _tip("x", "value", ".4f")],
            },
        },
        {
            "data": {"values": means},
            "mark": {"type": "point", "filled": True, "size": 95, "opacity": 1},
            "encoding": {"x": x, "y": y, **offset, "color": _colour(figure), "shape": _shape(figure), "tooltip": tip},
        },
    ]
    layers = [layer for layer in layers if layer["data"]["values"]]
    if figure.zero:
        layers.insert(0, _zero("x"))
    layers += _references(figure, marks[0].panel, "x")
    return {"height": (max(44, 16 * len(figure.groups)) if several else 38) * len(lines), "layer": layers}


def _lines(figure: Figure, marks: Sequence[Mark]) -> Spec:
    encoding = {
        "x": _number("x", figure.x, _form(marks), zero=True),
        "y": _number("y", figure.y, zero=False),
        "color": _colour(figure),
        "detail": {"field": "run"},
    }
    tip = [_tip("run", "run"), _tip("group", "arm"), _tip("x", figure.x, ",.4~f"), _tip("y", figure.y, ".4f")]
    lines = {
        "mark": {"type": "line", "strokeWidth": 1.6, "opacity": 0.85},
        "encoding": encoding | {"strokeDash": _scaled(figure, "strokeDash"), "tooltip": tip},
    }
    layers = [lines]
    if any(m.low is not None for m in marks):
        band = {"mark": {"type": "area", "opacity": 0.16}, "encoding": {**encoding, "y": encoding["y"] | {"field": "low"},
                "y2": {"field": "high"}}}  # fmt: skip
        layers.insert(0, band)
    elif figure.name.endswith("dev"):
        dots = {"type": "point", "filled": True, "size": 24, "opacity": 0.9}
        layers.append({"mark": dots, "encoding": encoding | {"shape": _shape(figure), "tooltip": tip}})
    return {"height": 240, "data": {"values": [_row(m) for m in marks]}, "layer": layers}


def _stages(figure: Figure, marks: Sequence[Mark]) -> Spec:
    stages = list(dict.fromkeys(str(m.x) for m in marks))
    means, runs = means_and_runs(marks)
    reach = [float(m.y) for m in figure.marks]  # of all plots: their heights can be compared
    domain = {"domain": [min(reach), max(reach)], "nice": True} if min(reach) < max(reach) else {}
    axis = {"labelAngle": -30 if len("".join(stages)) > 40 else 0, "grid": False}
    encoding = {
        "x": {"field": "x", "type": "nominal", "title": figure.x, "sort": stages, "axis": axis, "scale": {"padding": 0.3}},
        "y": _number("y", figure.y) | {"scale": {"zero": False} | domain},
        "color": _colour(figure),
    }  # fmt: skip
    tip = [_tip("group", "task"), _tip("x", figure.x), _tip("run", "run"), _tip("y", figure.y, ".4f")]
    line = {"type": "line", "strokeWidth": 1.8}
    dot = {"type": "point", "filled": True}

    def opacity(strong: float) -> Spec:  # a line has that of its first point
        return {"opacity": {"condition": {"test": "datum.faint", "value": 0.35 * strong}, "value": strong}}

    layers: list[Spec] = [
        {"data": {"values": [_row(m) for m in means if not m.faint]}, "mark": line, "encoding": encoding},
        {"data": {"values": [_row(m) for m in means]}, "mark": line, "encoding": encoding | opacity(1)},
        {"data": {"values": [_row(m) for m in runs]}, "mark": dot | {"size": 18},
         "encoding": encoding | opacity(0.45) | {"tooltip": tip}},
        {"data": {"values": [_row(m) for m in means]}, "mark": dot | {"size": 75},
         "encoding": encoding | opacity(1) | {"shape": _shape(figure), "tooltip": tip}},
    ]  # fmt: skip
    return {"height": 260, "layer": [layer for layer in layers if layer["data"]["values"]]}


def _bars(figure: Figure, marks: Sequence[Mark]) -> Spec:
    lines = list(dict.fromkeys(str(m.y) for m in marks))
    return {
        "height": 26 * len(lines),
        "data": {"values": [_row(m) | {"order": figure.groups.index(m.group)} for m in marks]},
        "mark": {"type": "bar", "height": {"band": 0.68}},
        "encoding": {
            "y": {"field": "y", "type": "nominal", "sort": lines, "title": None, "axis": _bare(labelLimit=230)},
            "x": _number("x", figure.x, _form(marks), zero=True) | {"stack": "zero"},
            "color": _colour(figure),
            "order": {"field": "order"},
            "tooltip": [_tip("y", "arm"), _tip("group", "part"), _tip("x", figure.x, ",.4~f")],
        },
    }  # fmt: skip


def _heat(figure: Figure, marks: Sequence[Mark]) -> Spec:
    reach = max((abs(m.value) for m in marks if m.value is not None), default=0.0) or 1.0
    wide = len({m.x for m in marks}) > 4
    place = {
        "x": {"field": "x", "type": "nominal", "title": figure.x, "sort": None, "axis": _bare(labelAngle=-30 if wide else 0)},
        "y": {"field": "y", "type": "nominal", "title": figure.y, "sort": None, "axis": _bare(labelLimit=200)},
    }  # fmt: skip
    scale = {"domain": [-reach, 0, reach], "range": ["#b35806", "#f2f0eb", "#2166ac"], "interpolate": "lab"}
    colour = {"field": "value", "type": "quantitative", "scale": scale, "legend": None}
    strong = {"condition": {"test": f"abs(datum.value) > {0.6 * reach}", "value": "#ffffff"}, "value": "#1d1d1f"}
    text = {"field": "value", "type": "quantitative", "format": "+.3f"}
    tip = [_tip("x", figure.x), _tip("y", figure.y), _tip("value", "gain", "+.4f")]
    return {
        "height": 44 * len({m.y for m in marks}),
        "data": {"values": [_row(m) for m in marks]},
        "encoding": place,
        "layer": [
            {"mark": {"type": "rect", "cornerRadius": 3}, "encoding": {"color": colour, "tooltip": tip}},
            {"mark": {"type": "text", "fontSize": 13}, "encoding": {"text": text, "color": strong}},
        ],
    }  # fmt: skip


def _points(figure: Figure, marks: Sequence[Mark]) -> Spec:
    tip = [_tip("run", "run"), _tip("group", "arm"), _tip("x", figure.x, ".4~f"), _tip("y", figure.y, ".4~f")]
    x, y = _number("x", figure.x, zero=figure.diagonal), _number("y", figure.y, zero=figure.diagonal)
    means, runs = means_and_runs(marks)
    values = [_row(m) for m in means]
    dots = {"mark": {"type": "point", "filled": True, "size": 70, "opacity": 0.9},
            "encoding": {"x": x, "y": y, "color": _colour(figure), "shape": _shape(figure), "tooltip": tip}}  # fmt: skip
    layers: list[Spec] = [{"data": {"values": values}} | dots]
    if runs:
        small = {"mark": {"type": "point", "filled": True, "size": 18, "opacity": 0.45}, "encoding": dots["encoding"]}
        layers.insert(0, {"data": {"values": [_row(m) for m in runs]}} | small)
    line = {"type": "line", "color": "var(--muted)", "strokeDash": [4, 3]}
    if figure.zero:
        layers.insert(0, _zero("y"))
    layers += _references(figure, marks[0].panel, "y")
    if ranges := [row for row in values if "low" in row and not figure.diagonal]:
        bar: Spec = {"mark": {"type": "rule", "strokeWidth": 2, "opacity": 0.6}, "data": {"values": ranges}}
        layers.append(
            bar | {"encoding": {"x": x | {"field": "low"}, "x2": {"field": "high"}, "y": y, "color": _colour(figure)}}
        )
    optimal = front(marks) if figure.front else []
    # Where means that cannot be told apart stand on the front, it has no order, and a line would claim one.
    if optimal and all(float(a.y) < float(b.y) for a, b in pairwise(optimal)):
        joined = [_row(m) for m in optimal]
        layers.insert(
            0, {"data": {"values": joined}, "mark": line | {"interpolate": "step-after"}, "encoding": {"x": x, "y": y}}
        )
    if figure.diagonal:
        ends = [{"x": 0, "y": 0}, {"x": 1, "y": 1}]
        layers.insert(0, {"data": {"values": ends}, "mark": line, "encoding": {"x": x, "y": y}})
        joined_line: Spec = {"mark": {"type": "line", "strokeWidth": 1.6, "opacity": 0.8}, "data": {"values": values}}
        layers.append(joined_line | {"encoding": {"x": x, "y": y, "color": _colour(figure), "detail": {"field": "run"}}})
    return {"height": 260, "layer": layers}


def _references(figure: Figure, panel: str, axis: str) -> list[Spec]:
    """The lines of reference of a plot, across the axis of scores."""
    found = [{"x": mark.x, "name": mark.group} for mark in figure.references if mark.panel == panel]
    if not found:
        return []
    rule = {"type": "rule", "color": "var(--muted)", "strokeDash": [2, 3], "strokeWidth": 1.5}
    place = {axis: {"field": "x", "type": "quantitative"}}
    tip = [_tip("name", "reference"), _tip("x", "value", ".4f")]
    return [{"data": {"values": found}, "mark": rule, "encoding": place | {"tooltip": tip}}]


def _zero(axis: str) -> Spec:
    """A line at 0 of an axis."""
    rule = {"type": "rule", "color": "var(--muted)", "strokeDash": [4, 3]}
    return {"data": {"values": [{}]}, "mark": rule, "encoding": {axis: {"datum": 0}}}


def _row(mark: Mark) -> dict[str, Any]:
    fields = {
        "x": mark.x,
        "y": mark.y,
        "group": mark.group,
        "value": mark.value,
        "low": mark.low,
        "high": mark.high,
        "run": mark.run,
        "faint": mark.faint or None,
    }
    return {key: _short(value) for key, value in fields.items() if value not in (None, "")}


def _short(value: Any) -> Any:
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _number(name: str, title: str, form: str = "", zero: bool = False) -> Spec:
    axis = {"format": form} if form else {}
    return {"field": name, "type": "quantitative", "title": title, "scale": {"zero": zero}, "axis": axis}


def _form(marks: Sequence[Mark]) -> str:
    """Number format of an axis: large numbers with k and M, shares as they are."""
    return "~s" if max(float(m.x) for m in marks) >= 1000 else "~r"


def _bare(**more: Any) -> Spec:
    """An axis of names: labels without a line."""
    return {"domain": False, "ticks": False, **more}


def _tip(name: str, title: str, form: str = "") -> Spec:
    return {"field": name, "title": title} | ({"format": form, "type": "quantitative"} if form else {})


def _colour(figure: Figure) -> Spec:
    return _scaled(figure, "color")


def _shape(figure: Figure) -> Spec:
    return _scaled(figure, "shape")


def _scaled(figure: Figure, what: str) -> Spec:
    styles = [style(i) for i in range(len(figure.groups))]
    ranges: dict[str, list[Any]] = {
        "color": [f"var(--c{colour})" for colour, _, _ in styles],
        "shape": [shape for _, shape, _ in styles],
        "strokeDash": [list(dash) for _, _, dash in styles],
    }
    return {
        "field": "group",
        "type": "nominal",
        "scale": {"domain": list(figure.groups), "range": ranges[what]},
        "legend": None,
    }
