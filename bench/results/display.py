"""How numbers read, wherever one is shown."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from bench.wording import some

NOT_ESTIMABLE = "not estimable"
FEWEST = 3
"""Fewest seeds whose interval is told. That of two is the t-interval with one degree of freedom, which reaches further than
any two scores can differ."""


def score(value: float, ci95: Any = None) -> str:
    """A score and its interval, as in ``.812 [.790, .833]``."""
    text = short(value)
    return text if ci95 is None else f"{text} [{short(ci95[0])}, {short(ci95[1])}]"


def p_value(p: float | None) -> str:
    """A p value, as in ``.031``, and ``<.001`` for what is smaller; empty where there is none."""
    return "" if p is None else "<.001" if p < 0.001 else short(p)


def change(value: float | None) -> str:
    """A difference with its sign, as in ``+.012`` and ``−.012``; empty where there is none."""
    if value is None:
        return ""
    text = short(abs(value))
    return text if not text.strip("0.") else f"{'+' if value > 0 else '−'}{text}"


def interval(low: float | None, high: float | None, seeds: int | None = None) -> str:
    """The interval of a difference, as in ``[−.012, +.034]``; empty where there is none.

    Args:
        low: its lower end.
        high: its upper end.
        seeds: number of seeds that it is over; from fewer than `FEWEST` none is told.
    """
    if low is None or high is None:
        return ""
    return f"[{change(low)}, {change(high)}]" if estimable(seeds) else f"[{NOT_ESTIMABLE} from {some(seeds or 0, 'seed')}]"


def estimable(seeds: int | None) -> bool:
    """Whether an interval over so many seeds says anything; None where it is over something else."""
    return seeds is None or seeds >= FEWEST


def stated(value: float) -> str:
    """A difference as it was given, as in ``.01``."""
    return f"{value:g}".removeprefix("0") or "0"


def within(margin: float) -> str:
    """A margin as it was given, as in ``±.01``."""
    return f"±{stated(margin)}"


def possible(difference: float) -> bool:
    """Whether two scores can differ so much: they lie between 0 and 1."""
    return difference <= 1


def findable(detectable: float) -> str:
    """What seeds and documents could have found, as in ``a true difference of .026``."""
    return f"a true difference of {short(detectable)}" if possible(detectable) else "no true difference, however large,"


def size(count: float) -> str:
    """Bytes in the largest binary unit that leaves a number of at least 1."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def duration(seconds: float) -> str:
    """Seconds for people, as in ``42 s``, ``3:05`` or ``2:10 h``."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 1:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d} h" if hours else f"{minutes}:{rest:02d}"


def html_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], synthetic: bool = False) -> str:
    """A table for a notebook, stamped where any of it is of generated text."""
    stamp = " <strong>SYNTHETIC</strong>" if synthetic else ""
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><caption>{escape(title)}{stamp}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def short(value: float) -> str:
    """A number between −1 and 1, as in ``.812``, ``1.000`` and ``−.031``."""
    text = f"{abs(value):.3f}"
    sign = "−" if value < 0 and text.strip("0.") else ""
    return f"{sign}{text.removeprefix('0') if text.startswith('0.') else text}"
