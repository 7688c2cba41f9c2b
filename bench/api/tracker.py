"""Trackers mirror a run's journal somewhere else. They never see corpus text and never stop a run."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from bench.api.part import Part
from bench.naming import flatten


@dataclass(frozen=True)
class RunEvent:
    """One line of a run's journal.

    Args:
        seq: position in the journal, from 0, without gaps; mirrors use it to leave out what they have.
        time: seconds since the epoch.
        kind: ``start``, ``plan``, ``batch``, ``smoke``, ``step``, ``eval``, ``phase``, ``memory``, ``checkpoint``, ``warning``,
            ``resume``, ``scores``, ``result``, ``end``.
        step: updates done, where it applies.
        values: numbers, strings and nested mappings of them; never corpus text.
    """

    seq: int
    time: float
    kind: str
    step: int | None = None
    values: Mapping[str, Any] = field(default_factory=dict)

    def metrics(self) -> dict[str, float]:
        """The numbers in it, flattened to ``a/b`` names."""
        flat = flatten(self.values, "/")
        return {name: float(v) for name, v in flat.items() if isinstance(v, (int, float)) and not isinstance(v, bool)}


@dataclass(frozen=True)
class RunInfo:
    """What a tracker is told when it opens a run.

    The id is the tracker's own too, so that a second sync makes no double. The name is a person's, or the id. Local stores live
    in `root`, the folder of all runs (``--out``). The configuration is JSON-able.
    """

    id: str
    name: str
    folder: Path
    root: Path
    config: Mapping[str, Any]


@dataclass(frozen=True)
class StudyInfo:
    """How a study stands, for trackers that show its runs below it.

    Args:
        name: of the study; its runs have it as ``study`` in their configuration.
        root: the folder of all runs.
        state: ``running``, ``finished``, ``failed`` where it has no verdict, or ``stopped``.
        facts: by name, in words: how many runs are finished, and the verdict on each subject.
    """

    name: str
    root: Path
    state: Literal["running", "finished", "failed", "stopped"]
    facts: Mapping[str, str] = field(default_factory=dict)


class Tracker(Part):
    """A mirror of the journal. All calls come from one thread, which is not the training thread."""

    @abstractmethod
    def open(self, run: RunInfo) -> int:
        """Opens the run, new or known, and returns how many events it already holds (the next `seq` it wants)."""

    @abstractmethod
    def write(self, events: Sequence[RunEvent]) -> None:
        """Takes a batch of events in order. Must be idempotent by `seq`."""

    @abstractmethod
    def close(self, finished: bool) -> None:
        """Closes the run; `finished` is False where it was interrupted or failed."""

    def mark_study(self, study: StudyInfo) -> None:
        """Shows how a study stands, where there is a place for it; called without `open` when it begins, ends or is stopped."""

    def add_report(self, study: str, root: Path, page: Path) -> None:
        """Keeps the report of a study that it was told of, not of one that came from elsewhere; called without `open`.

        Args:
            study: its name.
            root: the folder of all runs.
            page: one HTML file, without corpus text and without the user's folders.
        """
