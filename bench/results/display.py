"""How numbers read, wherever one is shown."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any


def score(value: float, ci95: Any = None) -> str:
    """A score and its interval, as in ``.812 [.790, .833]``."""
    text = _short(value)
    return text if ci95 is None else f"{text} [{_short(ci95[0])}, {_short(ci95[1])}]"


def p_value(p: float | None) -> str:
    """A p value, as in ``.031``, and ``<.001`` for what is smaller; empty where there is none."""
    return "" if p is None else "<.001" if p < 0.001 else _short(p)


def change(value: float | None) -> str:
    """A difference with its sign, as in ``+.012`` and ``−.012``; empty where there is none."""
    if value is None:
        return ""
    text = _short(abs(value))
    return text if not text.strip("0.") else f"{'+' if value > 0 else '−'}{text}"


def some(count: int, noun: str) -> str:
    """A count with its noun, as in ``1 run`` and ``1,200 runs``."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


def size(count: float) -> str:
    """Bytes in the largest binary unit that leaves a number of at least 1."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def html_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], synthetic: bool = False) -> str:
    """A table for a notebook, stamped where any of it is of generated text."""
    stamp = " <strong>SYNTHETIC</strong>" if synthetic else ""
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><caption>{escape(title)}{stamp}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _short(value: float) -> str:
    text = f"{value:.3f}"
    return text.removeprefix("0") if text.startswith("0.") else text
