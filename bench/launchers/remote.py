"""What launchers share that hand runs to a scheduler: their own queue, so that no more than were asked for are with it."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar

from bench.errors import UsageError, unknown
from bench.launchers.child import Job, Outcome

Handle = TypeVar("Handle")


class RemoteLauncher(ABC, Generic[Handle]):
    """Runs that a scheduler places.

    Args:
        jobs: runs that it may have at once.
    """

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs
        self._waiting: deque[Job] = deque()
        self._live: dict[str, Handle] = {}

    @abstractmethod
    def _begin(self, job: Job) -> Handle:
        """Hands a job over."""

    @abstractmethod
    def _outcome(self, key: str, handle: Handle) -> Outcome | None:
        """How a job ended, or None while it lives."""

    @abstractmethod
    def _cancel(self, handle: Handle) -> None:
        """Asks for a job to be stopped, which saves a checkpoint."""

    def submit(self, job: Job) -> None:
        """Queues a job."""
        self._waiting.append(job)

    def poll(self, seconds: float) -> list[Outcome]:
        """Those that ended; hands over what there is room for."""
        until = time.monotonic() + seconds
        while True:
            ended = self._collect()
            while self._waiting and len(self._live) < self._jobs:
                job = self._waiting.popleft()
                self._live[job.key] = self._begin(job)
            if ended or time.monotonic() >= until:
                return ended
            time.sleep(0.2)

    def active(self) -> set[str]:
        """Keys of what the scheduler has."""
        return set(self._live)

    def stop(self, patience: float = 150.0) -> list[Outcome]:
        """Every run saves a checkpoint and ends; those that wait are dropped."""
        self._waiting.clear()
        for handle in self._live.values():
            self._cancel(handle)
        ended = []
        until = time.monotonic() + patience
        while self._live and time.monotonic() < until:
            ended += self._collect()
            time.sleep(0.1)
        self._live.clear()
        return ended

    def close(self) -> None:
        """Stops what is left."""
        self.stop()

    def _collect(self) -> list[Outcome]:
        ended = []
        for key, handle in [*self._live.items()]:
            outcome = self._outcome(key, handle)
            if outcome is not None:
                del self._live[key]
                ended.append(outcome)
        return ended


def parse_options(options: Sequence[str], known: Sequence[str] | None, name: str) -> dict[str, str]:
    """``KEY=VALUE`` words as a mapping.

    Args:
        options: as typed.
        known: the keys that there are; None where the launcher hands them on.
        name: the launcher's.

    Raises:
        UsageError: no ``=``, or an unknown key.
    """
    found = {}
    for option in options:
        key, equals, value = option.partition("=")
        if not (key and equals and value):
            raise UsageError(f"--option {option!r} is not KEY=VALUE.", "See docs/studies.md.")
        if known is not None and key not in known:
            raise unknown(f"option of the launcher {name}", key, known, "bench study --help")
        found[key] = value
    return found


def parse_number(options: Mapping[str, str], key: str, default: float) -> float:
    """An option that is a number of at least 0.

    Raises:
        UsageError: it is not.
    """
    try:
        value = float(options.get(key, default))
    except ValueError:
        value = -1.0
    if value < 0:
        raise UsageError(f"--option {key}={options[key]} is not a number of at least 0.")
    return value
