"""Levels of tasks: mentions are found at level 1, relations, ranks and classes at level 2.

Example: of bc5cdr (level 1) and chemprot (level 2) a batch of the first runs once, with the adapters ``shared`` and
``level-1``. A batch of the second runs twice, with ``shared`` and ``level-1``, then with ``shared`` and ``level-2``; every
token of the second pass attends to all tokens of the first, and what it finds there is added to its state.

Sources: low-level tasks at lower layers, Søgaard & Goldberg 2016 (ACL, P16-2038), and Hashimoto et al. 2017, arXiv:1611.01587;
attention with several heads, Vaswani et al. 2017, arXiv:1706.03762.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import TYPE_CHECKING, ClassVar

from bench.api.architecture import Adapter, ArchitectureModule, ParameterBudget
from bench_plugins.architectures.lora import SHARED, Lora

if TYPE_CHECKING:
    from torch import nn


def level_adapter(level: int) -> Adapter:
    """The adapter of all tasks of a level."""
    return Adapter(f"level-{level}", "shared")


class Hierarchical(Lora):
    """A shared adapter and one a level; tokens of level 2 attend to the states of level 1."""

    name = "hierarchical"
    summary = "shared adapter and one a level of tasks; level 2 attends to level 1"
    citation = "Hu et al. 2021, arXiv:2106.09685; levels after Hashimoto et al. 2017, arXiv:1611.01587"
    attends: ClassVar[bool] = True
    """Whether level 2 looks at level 1 at all."""
    detaches: ClassVar[bool] = False
    """Whether the states of level 1 are taken as they are, so that the loss of level 2 trains nothing of level 1."""

    def __init__(self) -> None:
        self.levels: Mapping[str, int] = {}

    def bound(self, levels: Mapping[str, int]) -> Hierarchical:
        """The architecture for tasks of these levels; every level above 1 counts as 2."""
        bound = copy(self)
        bound.levels = {task: min(level, 2) for task, level in levels.items()}
        return bound

    def level(self, task: str) -> int:
        """1 or 2."""
        return self.levels.get(task, 1)

    def adapters(self, tasks: Sequence[str]) -> tuple[Adapter, ...]:
        """The shared adapter, and that of every level that the passes of these tasks use."""
        used = {name for task in tasks for route in self.passes(task) for name in route}
        return (SHARED, *(a for a in map(level_adapter, (1, 2)) if a.name in used))

    def passes(self, task: str) -> tuple[tuple[str, ...], ...]:
        """One pass with the shared adapter and the level's; of level 2 one of level 1 before it, where it attends to that."""
        above = (SHARED.name, level_adapter(self.level(task)).name)
        below = (SHARED.name, level_adapter(1).name)
        return (below, above) if self.level(task) == 2 and self._cross_attends() else (above,)

    def _cross_attends(self) -> bool:
        # States of level 1 that no task trains, level 2 included, carry no information.
        return self.attends and (not self.detaches or 1 in self.levels.values())

    def fusion(self, hidden_size: int) -> nn.Module | None:
        """The attention of level 2 over level 1; None where no task has it."""
        from bench_plugins.architectures.levels import CrossLevelAttention

        return CrossLevelAttention(hidden_size) if 2 in self.levels.values() and self._cross_attends() else None

    def attach(self, backbone: nn.Module, tasks: Sequence[str], budget: ParameterBudget) -> ArchitectureModule:
        """The adapters, routed by level; see `bench_plugins.architectures.levels`."""
        from bench_plugins.architectures.levels import LevelledModel

        return LevelledModel.attached(self, backbone, tasks, budget)


class Detached(Hierarchical):
    """The same, but the loss of level 2 trains only the shared adapter of level 1."""

    name = "hierarchical-detached"
    summary = "hierarchical, and level 2 trains nothing of level 1"
    detaches = True


class Flat(Hierarchical):
    """The same adapters, without the attention of level 2 over level 1."""

    name = "hierarchical-flat"
    summary = "hierarchical without attention between levels: what the levels' adapters do alone"
    attends = False
