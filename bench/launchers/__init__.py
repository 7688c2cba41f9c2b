"""Launchers: start the runs of a study, each as a process ``python -m bench run``, so that a crash ends that run alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from bench.errors import UsageError, unknown
from bench.launchers.child import Job, JobOutcome

LAUNCHERS = ("local", "ray", "slurm")

__all__ = ["LAUNCHERS", "Job", "JobOutcome", "Launcher", "check", "launcher"]


class Launcher(Protocol):
    """Interface of a launcher: it takes jobs, runs as many at once as fit, and reports those that have ended."""

    def submit(self, job: Job) -> None:
        """Queues a job."""

    def poll(self, seconds: float) -> list[JobOutcome]:
        """Jobs that ended since the last call; waits at most `seconds` for the first."""

    def active(self) -> set[str]:
        """Keys of the jobs that are running; other submitted ones wait."""

    def stop(self) -> list[JobOutcome]:
        """Asks every run to save a checkpoint and stop, waits for them, and returns how they ended."""

    def close(self) -> None:
        """Stops the remaining runs and frees what the launcher started."""


def check(name: str, jobs: int) -> None:
    """Checks name and number of jobs before anything is planned.

    Raises:
        UsageError: there is no such launcher, or `jobs` is below 1.
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
        folder: of the study; the launcher may write files there.
        options: ``KEY=VALUE``, the launcher's own, e.g. a partition of Slurm.

    Raises:
        UsageError: there is no such launcher or option, or `jobs` is below 1.
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
