"""Architectures on the same tasks, within one set of them or several."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import ClassVar

from bench.api.study import Request, StudyKind, StudyRun, Takes
from bench.errors import UsageError

ARMS = ("A1", "A2", "A3", "A4")
"""Architectures of an ablation that names none."""


class Ablation(StudyKind):
    """A run for every set of tasks, seed and architecture; the report compares architectures within a set."""

    name = "ablation"
    version = "1"
    summary = "architectures, A1 to A4 or each --arch, on the tasks or on every --set of them"
    citation = "bench's own design; see docs/studies.md"
    licence = "Apache-2.0"
    takes: ClassVar[tuple[Takes, ...]] = ("arms", "sets")
    question: ClassVar[str] = "Which architecture is best on {tasks}?"
    roles: ClassVar[Mapping[str, str]] = {"arm": "architecture"}

    def plan(self, request: Request) -> list[StudyRun]:
        """Every architecture, on every set of tasks."""
        sets = request.sets or {"": request.base.task}
        if not all(sets.values()):
            raise UsageError("An ablation wants tasks: --task NAME, repeated, or --set NAME.", "'bench list tasks' shows them.")
        arms = request.arms or ARMS
        if len(arms) < 2:
            raise UsageError(
                f"An ablation wants two architectures or more; got {arms[0]}.",
                f"Name each with --arch, or none for {', '.join(ARMS[:-1])} and {ARMS[-1]}.",
            )
        runs = []
        for label, tasks in sets.items():
            for seed, arm in product(request.seed_list, arms):
                key = f"{label}-{arm}-s{seed}" if label else f"{arm}-s{seed}"
                runs.append(request.run(key, "arm", tasks, group=label or None, seed=seed, arch=arm))
        return runs
