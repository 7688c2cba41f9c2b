"""Every point of a grid over the fields of a run."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any, ClassVar

from bench.api.study import BUDGETS, Request, StudyKind, StudyRun, Takes
from bench.errors import UsageError
from bench.wording import some

MOST_RUNS = 10_000


class Sweep(StudyKind):
    """A run for every point, and for every seed unless the seed is in the grid."""

    name = "sweep"
    version = "1"
    summary = "a grid over the fields of a run, from a file: [run] holds what is the same, [grid] a list of values a field"
    citation = "bench's own design; see docs/studies.md"
    licence = "Apache-2.0"
    takes: ClassVar[tuple[Takes, ...]] = ("grid",)
    question: ClassVar[str] = "What do the fields of the grid change on {tasks}?"
    roles: ClassVar[Mapping[str, str]] = {"point": "point of the grid"}
    named_by_key: ClassVar[bool] = True

    def plan(self, request: Request) -> list[StudyRun]:
        """Every point of the grid."""
        from bench.config import from_mapping

        if not request.grid:
            raise UsageError("The grid of a sweep is empty: its file names no field under [grid].", "See docs/studies.md.")
        grid = {name: list(values) for name, values in request.grid.items()}
        if "seed" not in grid:
            grid["seed"] = list(request.seed_list)
        count = 1
        for values in grid.values():
            count *= len(values)
        if not 0 < count <= MOST_RUNS:
            none = [name for name, values in grid.items() if not values]
            why = f"'{none[0]}' has no value" if none else f"it has {some(count, 'point')}, and {MOST_RUNS:,} is the most"
            raise UsageError(f"The grid of a sweep must have points: {why}.")
        runs = []
        for chosen in product(*grid.values()):
            point = dict(zip(grid, chosen, strict=True))
            shown = [f"{name}={_shown(value)}" for name, value in point.items() if name != "seed"]
            config = from_mapping(_one_budget(point), "[grid]", request.base)
            runs.append(request.planned(",".join([*shown, f"s{config.seed}"]), "point", config))
        return runs


def _one_budget(point: Mapping[str, Any]) -> dict[str, Any]:
    """A budget of the grid replaces the base's, whichever of the four that was."""
    if set(point) & set(BUDGETS):
        return dict.fromkeys(BUDGETS) | dict(point)
    return dict(point)


def _shown(value: Any) -> str:
    return "+".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
