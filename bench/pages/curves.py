"""Learning curves, from the journal of a run: scores and losses against tokens seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench.results.layout import JOURNAL
from bench.tracking.journal import parse

POINTS = 60
"""Most points of a loss curve; each is a mean over neighbouring updates."""
SOME = 300
"""Updates that are read of each run where there are hundreds of runs, whose curves are drawn as means."""

Point = tuple[float, float]


@dataclass(frozen=True)
class Curves:
    """Learning curves of a run.

    Args:
        loss: task to points: tokens of all tasks seen so far, and the mean training loss of the updates around.
        dev: task to points: tokens of all tasks seen so far, and the selection metric on the dev split.
    """

    loss: dict[str, tuple[Point, ...]]
    dev: dict[str, tuple[Point, ...]]


def read_curves(folder: Path, updates: int | None = None) -> Curves:
    """Reads the curves of a run; they are empty where it has no journal, e.g. where only its result was kept.

    Args:
        folder: of the run.
        updates: about so many updates are read, evenly spaced; None: all. Evaluations are all read.

    Raises:
        RunStateError: a line of the journal is no event of it.
    """
    loss: dict[str, list[Point]] = {}
    dev: dict[str, list[Point]] = {}
    for kind, values in _counted(folder / JOURNAL, updates):
        if kind == "step":
            tokens = float(sum(task["tokens"] for task in values["ledger"].values()))
            for task, value in values["loss"].items():
                if isinstance(value, (int, float)):  # NaN stands as a string
                    loss.setdefault(task, []).append((tokens, float(value)))
        else:
            for task, value in values["scores"].items():
                if task != "mean" and isinstance(value, (int, float)):
                    dev.setdefault(task, []).append((float(values["tokens"]), float(value)))
    return Curves({task: thin(points) for task, points in loss.items()}, {task: tuple(points) for task, points in dev.items()})


def thin(points: Sequence[Point], most: int = POINTS) -> tuple[Point, ...]:
    """At most `most` points, each the mean of neighbouring ones."""
    if len(points) <= most:
        return tuple(points)
    edges = [round(i * len(points) / most) for i in range(most + 1)]
    pieces = [points[a:b] for a, b in pairwise(edges)]
    return tuple((sum(x for x, _ in piece) / len(piece), sum(y for _, y in piece) / len(piece)) for piece in pieces)


def _counted(path: Path, updates: int | None) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yields steps and evaluations without those that a resume replaced.

    Lines of other kinds are skipped without parsing, for speed: a report reads hundreds of journals.
    """
    if not path.exists():
        return
    valid: list[tuple[int, str, Mapping[str, Any]]] = []
    lines = path.read_bytes().splitlines(keepends=True)
    stride = 1 if updates is None else max(1, len(lines) // updates)
    for seq, line in enumerate(lines):
        if not line.endswith(b"\n"):
            break  # torn by a kill, or being written
        head = line[:120]
        if b'"kind":"resume"' in head:
            first = parse(line, seq, path).values["position"]
            valid = [item for item in valid if item[0] < first]
        elif b'"kind":"eval"' in head or (b'"kind":"step"' in head and seq % stride == 0):
            event = parse(line, seq, path)
            valid.append((seq, event.kind, event.values))
    yield from ((kind, values) for _, kind, values in valid)
