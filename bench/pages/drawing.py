"""Figures without the page's style sheet: the plots of a figure side by side with a legend, for print as SVG and PDF."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.errors import MissingError
from bench.pages.content import Figure
from bench.pages.vega import INSTALL, Spec, specifications
from bench.results.store import write_bytes

PALETTE = ("#0b62a8", "#c8501e", "#137a5c", "#8a4fa3", "#a66f00", "#2b8fb5", "#b03a63", "#5b6670")
"""Colours of the style sheet's light theme: dark enough for lines on white, and distinct for the colour-blind."""
COLOURS = {f"var(--c{i})": colour for i, colour in enumerate(PALETTE)} | {"var(--muted)": "#5c626b"}
WIDTH = 380
"""Pixels of one plot."""
OF_THE_PAGE = ("autosize", "background", "description", "width")
"""Keys of a plot that are for the page alone, not for print."""
CONFIG: Spec = {
    "font": "sans-serif", "view": {"stroke": None}, "title": {"fontSize": 12, "anchor": "start"},
    "axis": {"gridColor": "#e3e3e3", "titleFontWeight": "normal", "titleFontSize": 11, "labelFontSize": 10},
    "legend": {"orient": "bottom", "title": None, "columns": 4, "labelFontSize": 11, "labelLimit": 300},
}  # fmt: skip


def save(figures: Sequence[Figure], folder: Path) -> list[Path]:
    """Writes each figure as ``<name>.svg`` and ``<name>.pdf``.

    Args:
        figures: the figures.
        folder: made if it is missing.

    Raises:
        MissingError: vl-convert is not installed.
        StorageError: the disk is full or cannot be written.
    """
    try:
        import vl_convert
    except ImportError:
        raise MissingError("The figures for print need vl-convert-python, which is not installed.", INSTALL) from None
    written = []
    for figure in figures:
        drawn = vl_convert.vegalite_to_svg(json.dumps(unstyled(figure)))
        for suffix, content in ((".svg", drawn.encode()), (".pdf", vl_convert.svg_to_pdf(drawn))):
            path = folder / f"{figure.name}{suffix}"
            write_bytes(path, content, durable=False)
            written.append(path)
    return written


def unstyled(figure: Figure, tooltips: bool = False) -> Spec:
    """All plots of a figure as one Vega-Lite specification that needs no style sheet.

    Args:
        figure: the figure.
        tooltips: whether marks have tooltips, which print has not.
    """
    plots = []
    for title, plot in specifications(figure):
        coloured = _coloured(plot, len(figure.groups) > 1, tooltips)
        dressed = {name: part for name, part in coloured.items() if name not in OF_THE_PAGE}
        plots.append(dressed | {"width": WIDTH} | ({"title": title} if title else {}))
    spec = {
        "concat": plots,
        "columns": 2,
        "resolve": {"scale": {"color": "shared", "shape": "shared", "strokeDash": "shared"}},
        "config": CONFIG,
    }
    if figure.synthetic:
        spec["title"] = {"text": "SYNTHETIC DATA", "color": "#a33b00", "fontSize": 11, "anchor": "end"}
    return spec


def _coloured(part: Any, legend: bool, tooltips: bool) -> Any:
    """Replaces the style sheet's variables in a part of a specification by colours, and adds the legend if there is one."""
    if isinstance(part, dict):
        fields = {name: value for name, value in part.items() if name != "tooltip" or tooltips}
        coloured = {name: _coloured(value, legend, tooltips) for name, value in fields.items()}
        if legend and coloured.get("field") == "group":
            coloured.pop("legend", None)
        return coloured
    if isinstance(part, list):
        return [_coloured(value, legend, tooltips) for value in part]
    return COLOURS.get(part, part) if isinstance(part, str) else part
