"""How long work tells what it does: a small protocol, silent unless somebody listens.

The runner and its steps take a `Reporter`; the command line hands them a rich one (`bench.screen.console`), a script that calls
`bench.runner.run` needs none. Nothing that passes through here may hold corpus text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Progress(Protocol):
    """One long piece of work with a known or unknown end."""

    def advance(self, n: float = 1, **stats: float | str) -> None:
        """Moves on by `n` units; `stats` stand beside the bar, e.g. ``loss=0.31``, and replace earlier ones."""


class Reporter(Protocol):
    """Where steps, progress, warnings and tables go."""

    def step(self, title: str) -> None:
        """Announces the next step of a run."""

    def progress(
        self, title: str, total: float | None = None, unit: str = "", done: int = 0
    ) -> AbstractContextManager[Progress]:
        """Opens a progress bar, which closes with the context, over so many units; None where that is unknown.

        `unit` is what is counted, in the plural, e.g. ``tokens``; `done` of them were done before, and count for no rate.
        """

    def warn(self, message: str) -> None:
        """Something the user should know that does not stop the run."""

    def note(self, message: str) -> None:
        """One line of information."""

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """A table; numbers are aligned to the right."""


class SilentProgress:
    """Counts nothing and shows nothing."""

    def advance(self, n: float = 1, **stats: float | str) -> None:
        """Does nothing."""


class SilentReporter:
    """The default where nobody listens."""

    def step(self, title: str) -> None:
        """Does nothing."""

    @contextmanager
    def progress(self, title: str, total: float | None = None, unit: str = "", done: int = 0) -> Iterator[Progress]:
        """Yields a bar that shows nothing."""
        yield SilentProgress()

    def warn(self, message: str) -> None:
        """Does nothing; warnings that matter are in the journal as well."""

    def note(self, message: str) -> None:
        """Does nothing."""

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Does nothing."""
