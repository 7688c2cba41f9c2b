"""Runs as processes of this machine, as many at once as requested and as fit into memory."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from bench.errors import UsageError
from bench.launchers.child import Child, Job, JobOutcome, end
from bench.launchers.queued import QueuedLauncher
from bench.results.environment import cores

ROOM = 0.85
"""Share of the free memory that runs may take together."""


class LocalLauncher(QueuedLauncher[Child]):
    """Starts runs as processes of this machine, at most `jobs` at once."""

    tick = 0.1

    def __init__(self, jobs: int) -> None:
        super().__init__(jobs)
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

    def stop(self, patience: float = 120.0) -> list[JobOutcome]:
        """Asks every run to save a checkpoint and stop, kills those that take longer than `patience` seconds, drops others."""
        self._waiting.clear()
        for child in self._live.values():
            child.stop()
        ended = [end(child, patience) for child in self._live.values()]
        self._live.clear()
        return ended

    def _begin(self, job: Job) -> Child:
        return Child(replace(job, environ={**self._environ, **job.environ}))

    def _outcome(self, key: str, handle: Child) -> JobOutcome | None:
        return handle.poll()

    def _cancel(self, handle: Child) -> None:
        handle.stop()

    def _fits(self, job: Job) -> bool:
        """Whether free memory suffices for this run and the expected growth of the others; a single run may always start."""
        if not self._live:
            return True
        growth = sum(max(0, child.job.memory - child.memory()) for child in self._live.values())
        return growth + job.memory <= ROOM * free_memory()


def free_memory() -> int:
    """Bytes that this process and its children may still take: free memory of the machine or of its control group."""
    from pathlib import Path

    import psutil

    free = int(psutil.virtual_memory().available)
    group = Path("/sys/fs/cgroup")
    with suppress(OSError, ValueError):  # no control group, or one without a limit
        limit = int((group / "memory.max").read_text())
        free = min(free, limit - int((group / "memory.current").read_text()))
    return max(0, free)


def threads(jobs: int, environ: Mapping[str, str]) -> dict[str, str]:
    """Environment variables that divide the cores among runs; what the user has set stays."""
    if jobs == 1:
        return {}
    import psutil

    physical = min(cores(), psutil.cpu_count(logical=False) or cores())
    variables = {"OMP_NUM_THREADS": str(max(1, physical // jobs)), "OMP_WAIT_POLICY": "PASSIVE"}
    return {name: value for name, value in variables.items() if name not in environ}
