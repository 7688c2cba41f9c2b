"""Launchers: start the runs of a study, each as a process ``python -m bench run``, so that a crash ends that run alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.errors import UsageError, unknown
from bench.launchers.child import Job, JobOutcome
from bench.launchers.queued import QueuedLauncher

__all__ = ["LAUNCHERS", "Job", "JobOutcome", "Launcher", "check", "launcher"]

LAUNCHERS = ("local", "ray", "slurm")
Launcher = QueuedLauncher[Any]
"""Takes jobs, runs as many at once as fit, and reports those that have ended."""


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
    """The launcher of a name, for `jobs` runs at once; it may write files to the study's folder.

    `options` are the launcher's own, ``KEY=VALUE``, e.g. a partition of Slurm.

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
