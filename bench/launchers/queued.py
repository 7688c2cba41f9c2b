"""Base class of launchers: it queues jobs and begins them as others end; and the parsing of a launcher's options."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping, Sequence
from typing import ClassVar, Generic, TypeVar

from bench.errors import UsageError, unknown
from bench.launchers.child import Job, JobOutcome

Handle = TypeVar("Handle")


class QueuedLauncher(ABC, Generic[Handle]):
    """Queues jobs and begins them while fewer than `jobs` run. A subclass begins one, reads how it ended, and stops it."""

    tick: ClassVar[float] = 0.2
    """Seconds between two checks."""
    ask_again: ClassVar[float] = 30.0
    """Seconds after which a job that was asked to stop, and still runs, is asked again: Ray may lose a request."""

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs
        self._waiting: deque[Job] = deque()
        self._live: dict[str, Handle] = {}

    @abstractmethod
    def _begin(self, job: Job) -> Handle:
        """Begins a job."""

    @abstractmethod
    def _outcome(self, key: str, handle: Handle) -> JobOutcome | None:
        """How a job ended; None while it runs."""

    @abstractmethod
    def _cancel(self, handle: Handle) -> None:
        """Asks a job to save a checkpoint and stop."""

    def _fits(self, job: Job) -> bool:
        """Whether a job may begin beside those that run."""
        return True

    def submit(self, job: Job) -> None:
        """Queues a job."""
        self._waiting.append(job)

    def poll(self, seconds: float) -> list[JobOutcome]:
        """Begins waiting jobs that fit; gives those that ended since the last call, after at most `seconds`."""
        until = time.monotonic() + seconds
        while True:
            ended = self._collect()
            while self._waiting and len(self._live) < self._jobs and self._fits(self._waiting[0]):
                job = self._waiting.popleft()
                self._live[job.key] = self._begin(job)
            if ended or time.monotonic() >= until:
                return ended
            time.sleep(self.tick)

    def active(self) -> set[str]:
        """Keys of the jobs that have begun and not ended."""
        return set(self._live)

    def stop(self, patience: float = 150.0) -> list[JobOutcome]:
        """Asks every run to save a checkpoint and stop, drops waiting jobs, and waits at most `patience` seconds."""
        self._waiting.clear()
        ended: list[JobOutcome] = []
        until, ask = time.monotonic() + patience, 0.0
        while self._live and time.monotonic() < until:
            if time.monotonic() >= ask:
                ask = time.monotonic() + self.ask_again
                for handle in self._live.values():
                    self._cancel(handle)
            ended += self._collect()
            time.sleep(0.1)
        self._live.clear()
        return ended

    def close(self) -> None:
        """Stops the remaining runs."""
        self.stop()

    def _collect(self) -> list[JobOutcome]:
        ended = []
        for key, handle in [*self._live.items()]:
            outcome = self._outcome(key, handle)
            if outcome is not None:
                del self._live[key]
                ended.append(outcome)
        return ended


def parse_options(options: Sequence[str], known: Sequence[str] | None, name: str) -> dict[str, str]:
    """Parses ``KEY=VALUE`` options of a launcher; `known` None allows any key.

    Raises:
        UsageError: an option has no ``=``, or its key is unknown.
    """
    parsed = {}
    for option in options:
        key, equals, value = option.partition("=")
        if not (key and equals and value):
            raise UsageError(f"--option {option!r} is not KEY=VALUE.", "See docs/studies.md.")
        if known is not None and key not in known:
            raise unknown(f"option of the launcher {name}", key, known, "bench study --help")
        parsed[key] = value
    return parsed


def parse_number(options: Mapping[str, str], key: str, default: float) -> float:
    """The value of an option, a number of at least 0.

    Raises:
        UsageError: it is something else.
    """
    try:
        value = float(options.get(key, default))
    except ValueError:
        value = -1.0
    if value < 0:
        raise UsageError(f"--option {key}={options[key]} is not a number of at least 0.")
    return value
