"""What `bench show run ID` prints, as plain rows; the console lays them out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from bench.data.faults import listed
from bench.results.schema import Result, TaskScores


@dataclass(frozen=True)
class Row:
    """A line of a table.

    Args:
        section: heading that it stands below; rows of a section follow one another.
        name: what is told.
        value: how it reads, units included.
    """

    section: str
    name: str
    value: str


def notices(result: Result) -> list[str]:
    """What must not be missed above any number: synthetic text, waived invariants, allowed leaks, faulty lines left out."""
    found = []
    if result.synthetic:
        found.append("SYNTHETIC corpus: the figures say that the plumbing works, nothing about clinical text.")
    if result.waivers:
        found.append(f"WAIVED: {', '.join(result.waivers)}; comparisons refuse this run unless told otherwise.")
    leaking = [f"{task} {told['allowed']}" for task, told in result.leaks.items() if told["allowed"]]
    if leaking:
        found.append(f"LEAKS ALLOWED, documents in two splits: {', '.join(leaking)}; comparisons refuse this run likewise.")
    for task, counts in result.left_out.items():
        found.append(f"LEFT OUT of {task}, faulty lines that were tolerated: {listed(counts)}.")
    return found


def rows(result: Result) -> list[Row]:
    """The result, most important first."""
    head = result.headline
    mark = " (synthetic)" if result.synthetic else ""
    found = [Row("headline", f"{head.task} {head.split}, {head.stage}: {head.metric}", score(head.value, head.ci95) + mark)]
    for task, scores in result.scores.items():
        for label, one in _stages(scores):
            found += [Row(f"scores of {task}, {label}", name, value) for name, value in _scores(one)]
    for control in fields(result.invariants):
        found.append(Row("invariants", control.name, _facts(getattr(result.invariants, control.name))))
    quantization = result.quantization
    for name, unit in (("bits_per_weight", ""), ("bytes", "bytes"), ("error", ""), ("rtn_error", "")):
        value = getattr(quantization, name)
        if value is not None:
            found.append(Row("quantization", name, size(value) if unit else f"{value:.4g}"))
    found += [Row("timings", name, f"{value:,.1f} s") for name, value in result.timings.items() if value is not None]
    found += [Row("memory", name, size(value)) for name, value in result.memory.items() if value is not None]
    found += [Row("hardware", name, str(value)) for name, value in result.hardware.items() if isinstance(value, (str, int))]
    found += [Row("versions", name, str(value)) for name, value in result.versions.items() if isinstance(value, str)]
    return found


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


def _short(value: float) -> str:
    text = f"{value:.3f}"
    return text.removeprefix("0") if text.startswith("0.") else text


def _stages(scores: TaskScores) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield "test, trained", scores.trained
    if scores.quantized is not None:
        yield "test, quantized", scores.quantized
    for name, baseline in scores.baselines.items():
        yield f"test, {name} baseline", baseline


def _scores(scores: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """One line for every mapping that holds an F, and one for every other number in [0, 1] outside of those."""
    if "f1" in scores:
        parts = [score(scores["f1"], scores.get("ci95"))]
        parts += [f"{letter} {_short(scores[key])}" for letter, key in (("P", "precision"), ("R", "recall")) if key in scores]
        yield prefix or "f1", "  ".join(parts)
    for key, value in scores.items():
        name = f"{prefix}.{key}" if prefix else key
        if isinstance(value, Mapping):
            yield from _scores(value, name)
        elif isinstance(value, float) and key not in ("f1", "precision", "recall", "tp", "fp", "fn"):
            yield name, _short(value)


def _facts(control: Mapping[str, Any]) -> str:
    numbers = [
        f"{name} {value:,}" if isinstance(value, int) else f"{name} {value:.4g}"
        for name, value in control.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    ]
    return "; ".join([str(control.get("status", "unknown")), *numbers[:4]])
