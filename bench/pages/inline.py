"""Figures in a notebook: Vega-Lite for front ends that support it, SVG for others."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from bench.pages.content import Figure
from bench.pages.drawing import unstyled
from bench.results.display import html_table
from bench.wording import some

VEGA_LITE = "application/vnd.vegalite.v5+json"
SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"


def bundle(figure: Figure) -> dict[str, Any]:
    """MIME type to content for a notebook: a Vega-Lite specification, an SVG if vl-convert is installed, and text."""
    spec = {"$schema": SCHEMA, "description": figure.says} | unstyled(figure, tooltips=True)
    shown: dict[str, Any] = {VEGA_LITE: spec, "text/plain": f"{figure.title}. {figure.says}"}
    try:
        import vl_convert
    except ImportError:
        return shown
    return shown | {"image/svg+xml": vl_convert.vegalite_to_svg(json.dumps(unstyled(figure)))}


class Figures(Mapping[str, Figure]):
    """The figures of runs or of a study, by name; a notebook shows the list, and draws a single figure.

    Args:
        figures: name to figure, in the order of a report.
    """

    def __init__(self, figures: Mapping[str, Figure]) -> None:
        self._figures = dict(figures)

    def __getitem__(self, name: str) -> Figure:
        return self._figures[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._figures)

    def __len__(self) -> int:
        return len(self._figures)

    def __repr__(self) -> str:
        return f"Figures({', '.join(self._figures)})"

    def _repr_html_(self) -> str:
        rows = [(name, figure.title) for name, figure in self._figures.items()]
        synthetic = any(figure.synthetic for figure in self._figures.values())
        return html_table(some(len(rows), "figure"), ("name", "figure"), rows, synthetic)
