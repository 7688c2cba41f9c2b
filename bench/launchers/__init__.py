"""Launchers: where the runs of a study become processes. Every one starts ``python -m bench run``, so a crash stays its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from bench.errors import UsageError, unknown
from bench.launchers.child import Job, Outcome

LAUNCHERS = ("local", "ray", "slurm")

__all__ = ["LAUNCHERS", "Job", "Launcher", "Outcome", "check", "launcher"]


class Launcher(Protocol):
    """Takes jobs, runs as many at once as fit, and says which have ended."""

    def submit(self, job: Job) -> None:
        """Queues a job."""

    def poll(self, seconds: float) -> list[Outcome]:
        """Those that ended since the last call; waits this long at most for the first."""

    def active(self) -> set[str]:
        """Keys of jobs that run just now; the other submitted ones wait."""

    def stop(self) -> list[Outcome]:
        """Asks every run to save a checkpoint and stop, waits for it, and returns what ended meanwhile."""

    def close(self) -> None:
        """Lets go of what was started; nothing runs any more."""


def check(name: str, jobs: int) -> None:
    """Refuses a launcher that does not exist, or no run at once; before anything is planned.

    Raises:
        UsageError: one of the two.
    """
    if name not in LAUNCHERS:
        raise unknown("launcher", name, LAUNCHERS, "bench study --help")
    if jobs < 1:
        raise UsageError(f"--jobs is {jobs}; it must be at least 1.")


def launcher(name: str, jobs: int, folder: Path, options: Sequence[str] = ()) -> Launcher:
    """The launcher of a name.

    Args:
        name: one of `LAUNCHERS`.
        jobs: runs at once.
        folder: of the study, for what the launcher keeps.
        options: ``KEY=VALUE`` of the launcher's own, e.g. a partition of slurm.

    Raises:
        UsageError: no such launcher, fewer jobs than one, or no such option.
        MissingError: its package is not installed.
    """
    check(name, jobs)
    if name == "local":
        from bench.launchers.local import LocalLauncher

        return LocalLauncher.opened(jobs, options)
    if name == "ray":
        from bench.launchers.on_ray import RayLauncher

        return RayLauncher.opened(jobs, options)
    from bench.launchers.on_slurm import SlurmLauncher

    return SlurmLauncher.opened(jobs, folder, options)
