"""Figures for print: the page's own plots side by side with a legend, as SVG and as PDF with embedded fonts."""

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
"""Those of the style sheet's light theme: dark enough for lines on white, apart for the colour-blind."""
COLOURS = {f"var(--c{i})": colour for i, colour in enumerate(PALETTE)} | {"var(--muted)": "#5c626b"}
WIDTH = 380
"""Pixels of one plot."""
OF_THE_PAGE = ("autosize", "background", "description", "width")
"""What a plot on the page has and one on paper has not."""
CONFIG: Spec = {
    "font": "sans-serif", "view": {"stroke": None}, "title": {"fontSize": 12, "anchor": "start"},
    "axis": {"gridColor": "#e3e3e3", "titleFontWeight": "normal", "titleFontSize": 11, "labelFontSize": 10},
    "legend": {"orient": "bottom", "title": None, "columns": 4, "labelFontSize": 11, "labelLimit": 300},
}  # fmt: skip


def save(figures: Sequence[Figure], folder: Path) -> list[Path]:
    """Writes each figure as ``<name>.svg`` and ``<name>.pdf``.

    Args:
        figures: what is drawn.
        folder: where; made where missing.

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
        drawn = vl_convert.vegalite_to_svg(json.dumps(_printed(figure)))
        for suffix, content in ((".svg", drawn.encode()), (".pdf", vl_convert.svg_to_pdf(drawn))):
            path = folder / f"{figure.name}{suffix}"
            write_bytes(path, content, durable=False)
            written.append(path)
    return written


def _printed(figure: Figure) -> Spec:
    """All plots of a figure as one specification that needs no style sheet."""
    plots = []
    for title, plot in specifications(figure):
        dressed = {name: part for name, part in _dressed(plot, len(figure.groups) > 1).items() if name not in OF_THE_PAGE}
        plots.append(dressed | {"width": WIDTH} | ({"title": title} if title else {}))
    whole = {
        "concat": plots,
        "columns": 2,
        "resolve": {"scale": {"color": "shared", "shape": "shared", "strokeDash": "shared"}},
        "config": CONFIG,
    }
    if figure.synthetic:
        whole["title"] = {"text": "SYNTHETIC DATA", "color": "#a33b00", "fontSize": 11, "anchor": "end"}
    return whole


def _dressed(part: Any, legend: bool) -> Any:
    """A part of a specification with colours in place of the style sheet's names and, where there is to be one, its legend."""
    if isinstance(part, dict):
        found = {name: _dressed(value, legend) for name, value in part.items() if name != "tooltip"}
        if legend and found.get("field") == "group":
            found.pop("legend", None)
        return found
    if isinstance(part, list):
        return [_dressed(value, legend) for value in part]
    return COLOURS.get(part, part) if isinstance(part, str) else part
