"""A curriculum from short windows to long ones: as training goes on, longer windows may be drawn.

Example: with ``start`` at 0.1 and ``until`` at 0.5 the first updates hold windows of the shortest tenth alone. When an eighth
of the tokens is spent it is the shortest half, and from half of the tokens on any window, as without a curriculum.

Source: Bengio et al. 2009, Curriculum Learning, doi:10.1145/1553374.1553380; the rule, Platanios et al. 2019, Competence-based
Curriculum Learning for Neural Machine Translation, arXiv 1903.09848, equation 7.

>>> round(Competence(start=0.1, until=0.5).competence(0.125), 2)
0.51
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt
from typing import TYPE_CHECKING, ClassVar

from bench.api.schedule import Curriculum, Phase, Schedule

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Curricular(Schedule):
    """All tasks at once, each from its short windows to its long ones."""

    name = "curriculum"
    version = "1"
    summary = "all tasks at once, from short windows to long ones"
    citation = "Platanios et al. 2019, arXiv 1903.09848; Bengio et al. 2009, doi:10.1145/1553374.1553380"
    licence = "Apache-2.0"
    options: ClassVar[Mapping[str, float]] = {"start": 0.1, "until": 0.5}

    def phases(self, shares: Mapping[str, float]) -> Sequence[Phase]:
        """One phase of all tasks."""
        return [Phase(1.0, dict(shares))]

    def curriculum(self, options: Mapping[str, float]) -> Curriculum:
        """By length."""
        return Competence(options["start"], options["until"])


class Competence(Curriculum):
    """A share √(p·(1 - start²)/until + start²) of the windows at progress p, and all of them from ``until`` on.

    Args:
        start: share of the windows that the first updates may draw.
        until: progress from which all may be drawn.
    """

    def __init__(self, start: float, until: float) -> None:
        self.start, self.until = start, until

    def difficulty(self, task: str, tokens: NDArray[np.int64], supervised: NDArray[np.int64]) -> NDArray[np.float64]:
        """The longer, the harder."""
        return tokens.astype(float)

    def competence(self, progress: float) -> float:
        """Share of the windows that may be drawn."""
        if progress >= self.until:
            return 1.0
        return min(1.0, sqrt(progress * (1 - self.start**2) / self.until + self.start**2)) if self.start < 1 else 1.0
