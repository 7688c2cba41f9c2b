"""Runs as processes of this machine, as many at once as requested and as fit into memory."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace

from bench.errors import UsageError
from bench.launchers.child import Child, Job, JobOutcome, end

ROOM = 0.85
"""Share of the free memory that runs may take together."""
_TICK = 0.1


class LocalLauncher:
    """Starts runs as processes of this machine.

    Args:
        jobs: runs at once.
    """

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs
        self._waiting: deque[Job] = deque()
        self._children: dict[str, Child] = {}
        self._environ = threads(jobs, os.environ)

    @classmethod
    def opened(cls, jobs: int, options: Sequence[str]) -> LocalLauncher:
        """Makes a launcher.

        Raises:
            UsageError: an option is given; it has none.
        """
        if options:
            raise UsageError(f"The launcher 'local' has no option {options[0].partition('=')[0]!r}; it has none.")
        return cls(jobs)

    def submit(self, job: Job) -> None:
        """Queues a job."""
        self._waiting.append(replace(job, environ={**self._environ, **job.environ}))

    def poll(self, seconds: float) -> list[JobOutcome]:
        """Jobs that ended since the last call; starts waiting jobs that fit."""
        until = time.monotonic() + seconds
        while True:
            ended = self._ended()
            self._fill()
            if ended or time.monotonic() >= until:
                return ended
            time.sleep(_TICK)

    def active(self) -> set[str]:
        """Keys of the jobs that are running."""
        return set(self._children)

    def stop(self) -> list[JobOutcome]:
        """Asks every run to save a checkpoint and stop, and drops waiting jobs."""
        self._waiting.clear()
        for child in self._children.values():
            child.stop()
        ended = [end(child) for child in self._children.values()]
        self._children.clear()
        return ended

    def close(self) -> None:
        """Stops the remaining runs."""
        self.stop()

    def _ended(self) -> list[JobOutcome]:
        outcomes = [outcome for child in self._children.values() if (outcome := child.poll()) is not None]
        for outcome in outcomes:
            del self._children[outcome.key]
        return outcomes

    def _fill(self) -> None:
        while self._waiting and len(self._children) < self._jobs and self._fits(self._waiting[0]):
            job = self._waiting.popleft()
            self._children[job.key] = Child(job)

    def _fits(self, job: Job) -> bool:
        """Whether free memory suffices for this run and the expected growth of the others; a single run may always start."""
        if not self._children:
            return True
        growth = sum(max(0, child.job.memory - child.memory()) for child in self._children.values())
        return growth + job.memory <= ROOM * free_memory()


def free_memory() -> int:
    """Bytes that this process and its children may still take: free memory of the machine or of its control group."""
    from pathlib import Path

    import psutil

    free = int(psutil.virtual_memory().available)
    group = Path("/sys/fs/cgroup")
    try:
        limit = int((group / "memory.max").read_text())
        free = min(free, limit - int((group / "memory.current").read_text()))
    except (OSError, ValueError):  # no control group, or one without a limit
        pass
    return max(0, free)


def threads(jobs: int, environ: Mapping[str, str]) -> dict[str, str]:
    """Environment variables that divide the cores among runs; what the user has set stays."""
    if jobs == 1:
        return {}
    import psutil

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    physical = min(cores, psutil.cpu_count(logical=False) or cores)
    wanted = {"OMP_NUM_THREADS": str(max(1, physical // jobs)), "OMP_WAIT_POLICY": "PASSIVE"}
    return {name: value for name, value in wanted.items() if name not in environ}
