"""Figures for print: matplotlib, as SVG and as PDF with embedded fonts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import MissingError
from bench.report.content import Figure, Mark, front, means_and_runs
from bench.report.vega import INSTALL, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PALETTE = ("#0b62a8", "#c8501e", "#137a5c", "#8a4fa3", "#a66f00", "#2b8fb5", "#b03a63", "#5b6670")
"""Those of the style sheet's light theme: dark enough for lines on white, apart for the colour-blind."""
MARKERS = {"circle": "o", "square": "s", "triangle-up": "^", "diamond": "D", "cross": "P", "triangle-down": "v"}
WIDTH = 5.6
"""Inches of one plot."""


def save(figures: Sequence[Figure], folder: Path) -> list[Path]:
    """Writes each figure as ``<name>.svg`` and ``<name>.pdf``.

    Args:
        figures: what is drawn.
        folder: where; made where missing.

    Raises:
        MissingError: matplotlib is not installed.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure as Canvas
    except ImportError:
        raise MissingError("The figures for print need matplotlib, which is not installed.", INSTALL) from None
    folder.mkdir(parents=True, exist_ok=True)
    plain: Any = {
        "font.family": "sans-serif", "font.size": 8.5, "pdf.fonttype": 42, "svg.fonttype": "none", "svg.hashsalt": "bench",
        "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": "#e3e3e3", "grid.linewidth": 0.6,
        "axes.axisbelow": True, "axes.edgecolor": "#8a8a8a", "xtick.color": "#444444", "ytick.color": "#444444",
        "axes.titlesize": 9.5, "axes.titlelocation": "left", "legend.frameon": False,
    }  # fmt: skip
    written = []
    with rc_context(plain):
        for figure in figures:
            canvas = Canvas(layout="constrained")
            FigureCanvasAgg(canvas)
            panels = figure.panels
            across = min(2, len(panels))
            down = -(-len(panels) // across)
            heights = [_height(figure, figure.panel(name)) for name in panels]
            canvas.set_size_inches(WIDTH * across, max(heights) * down + 0.5)
            grid = canvas.subplots(down, across, squeeze=False).ravel()
            for axes, name in zip(grid, panels, strict=False):
                _plot(axes, figure, figure.panel(name))
                axes.set_title(name)
            for axes in grid[len(panels) :]:
                axes.set_axis_off()
            if len(figure.groups) > 1:
                shown = dict(sorted(_legend([*grid[: len(panels)]]).items(), key=lambda pair: figure.groups.index(pair[0])))
                canvas.legend(shown.values(), shown.keys(), loc="outside lower center", ncols=min(4, len(shown)), fontsize=8)
            if figure.synthetic:
                # Not in bold: a second font in every PDF takes a fifth of the time.
                canvas.suptitle("SYNTHETIC DATA", x=0.995, ha="right", fontsize=9, color="#a33b00")
            canvas.draw_without_rendering()
            canvas.set_layout_engine("none")  # it is laid out; each file would do it again
            for suffix in ("svg", "pdf"):
                path = folder / f"{figure.name}.{suffix}"
                stamp = {"Date": None} if suffix == "svg" else {"CreationDate": None}
                canvas.savefig(path, metadata={"Title": figure.title, **stamp})
                written.append(path)
    return written


def _height(figure: Figure, marks: Sequence[Mark]) -> float:
    lines = len({m.y for m in marks})
    return {"intervals": 0.9 + 0.34 * lines, "bars": 0.9 + 0.3 * lines, "heat": 1.2 + 0.45 * lines}.get(figure.kind, 2.9)


def _plot(axes: Axes, figure: Figure, marks: Sequence[Mark]) -> None:
    draw = {"intervals": _intervals, "lines": _lines, "bars": _bars, "heat": _heat, "points": _points}[figure.kind]
    draw(axes, figure, marks)
    axes.set_xlabel(figure.x)
    if figure.y:
        axes.set_ylabel(figure.y)


def _look(figure: Figure, group: str) -> tuple[str, str, Any]:
    colour, shape, dashes = style(figure.groups.index(group))
    return PALETTE[colour], MARKERS[shape], "-" if dashes == (1, 0) else (0, dashes)


def _rows(axes: Axes, marks: Sequence[Mark]) -> dict[str, int]:
    """Names down the axis, the first one on top."""
    names = list(dict.fromkeys(str(m.y) for m in marks))
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(False, axis="y")
    return {name: i for i, name in enumerate(names)}


def _intervals(axes: Axes, figure: Figure, marks: Sequence[Mark]) -> None:
    places = _rows(axes, marks)
    shared = len({(m.y, m.group) for m in marks}) > len(places)
    dots: dict[str, list[tuple[float, float]]] = {}
    for mark in marks:
        colour, shape, _ = _look(figure, mark.group)
        shift = (figure.groups.index(mark.group) - (len(figure.groups) - 1) / 2) * 0.22 if shared else 0.0
        y = places[str(mark.y)] + shift
        if mark.run:
            dots.setdefault(colour, []).append((float(mark.x), y + 0.2))
            continue
        if mark.low is not None and mark.high is not None:
            axes.plot([mark.low, mark.high], [y, y], color=colour, lw=1.6)
        axes.plot(float(mark.x), y, shape, color=colour, ms=5.5, label=mark.group, ls="none")
    for colour, points in dots.items():
        axes.plot([x for x, _ in points], [y for _, y in points], "o", color=colour, ms=2.4, alpha=0.5)
    if figure.zero:
        axes.axvline(0, color="#777777", lw=0.8, ls=(0, (4, 3)))


def _lines(axes: Axes, figure: Figure, marks: Sequence[Mark]) -> None:
    from matplotlib.ticker import EngFormatter

    for group in dict.fromkeys(mark.group for mark in marks):
        colour, shape, dashes = _look(figure, group)
        marker = shape if figure.name.endswith("dev") else None
        xs, ys = _broken(mark for mark in marks if mark.group == group)
        axes.plot(xs, ys, color=colour, ls=dashes, marker=marker, ms=3, lw=1.1, alpha=0.85, label=group)
    if max(float(mark.x) for mark in marks) >= 1000:
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))


def _bars(axes: Axes, figure: Figure, marks: Sequence[Mark]) -> None:
    from matplotlib.ticker import EngFormatter

    places = _rows(axes, marks)
    ends = dict.fromkeys(places, 0.0)
    for mark in sorted(marks, key=lambda m: figure.groups.index(m.group)):
        name, (colour, _, _) = str(mark.y), _look(figure, mark.group)
        axes.barh(places[name], float(mark.x), left=ends[name], height=0.66, color=colour, label=mark.group)
        ends[name] += float(mark.x)
    if max(ends.values()) >= 1000:
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))


def _heat(axes: Axes, figure: Figure, marks: Sequence[Mark]) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    places = _rows(axes, marks)
    columns = list(dict.fromkeys(str(m.x) for m in marks))
    cells = [[float("nan")] * len(columns) for _ in places]
    for mark in marks:
        if mark.value is not None:
            cells[places[str(mark.y)]][columns.index(str(mark.x))] = mark.value
    reach = max((abs(m.value) for m in marks if m.value is not None), default=0.0) or 1.0
    axes.imshow(cells, cmap=LinearSegmentedColormap.from_list("gain", ("#b35806", "#f2f0eb", "#2166ac")), vmin=-reach,
                vmax=reach, aspect="auto")  # fmt: skip
    axes.set_xticks(range(len(columns)), columns, rotation=20, ha="right")
    axes.grid(False)
    for mark in marks:
        if mark.value is not None:
            colour = "white" if abs(mark.value) > 0.6 * reach else "#1d1d1f"
            axes.text(
                columns.index(str(mark.x)), places[str(mark.y)], f"{mark.value:+.3f}", ha="center", va="center", color=colour
            )


def _points(axes: Axes, figure: Figure, marks: Sequence[Mark]) -> None:
    if figure.front:
        joined = front(marks)
        axes.step(
            [float(m.x) for m in joined], [float(m.y) for m in joined], where="post", color="#777777", lw=0.9, ls=(0, (4, 3))
        )
    if figure.zero:
        axes.axhline(0, color="#777777", lw=0.8, ls=(0, (4, 3)))
    if figure.diagonal:
        axes.plot([0, 1], [0, 1], color="#777777", lw=0.9, ls=(0, (4, 3)))
    for group in dict.fromkeys(mark.group for mark in marks):
        colour, shape, _ = _look(figure, group)
        means, runs = means_and_runs(mark for mark in marks if mark.group == group)
        xs, ys = _broken(means)
        axes.plot(xs, ys, shape, color=colour, ms=5, ls="-" if figure.diagonal else "none", lw=0.9, label=group)
        if runs:
            axes.plot([float(m.x) for m in runs], [float(m.y) for m in runs], "o", color=colour, ms=2.4, alpha=0.5, ls="none")


def _broken(marks: Iterable[Mark]) -> tuple[list[float], list[float]]:
    """The lines of several runs as one that breaks between them: one artist is drawn, not hundreds."""
    xs: list[float] = []
    ys: list[float] = []
    last = None
    for mark in marks:
        if last not in (None, mark.run):
            xs.append(float("nan"))
            ys.append(float("nan"))
        xs.append(float(mark.x))
        ys.append(float(mark.y))
        last = mark.run
    return xs, ys


def _legend(grid: Sequence[Axes]) -> dict[str, Any]:
    """Each group's name to one of its handles, whichever plot it stands in."""
    found: dict[str, Any] = {}
    for axes in grid:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    return found
