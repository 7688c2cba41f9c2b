"""Runs as jobs of a Slurm cluster, by submitit: https://github.com/facebookincubator/submitit.

A job that is preempted or runs out of time asks its run for a checkpoint and is queued again; the run continues from there.
Every node must see the folder of runs. ``--option cluster=local`` runs the same jobs as processes of this machine.
"""

from __future__ import annotations

import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

from bench.errors import MissingError, UsageError
from bench.launchers.child import INTERRUPTED, Child, Job, JobOutcome, end, run_here
from bench.launchers.queued import QueuedLauncher, parse_options

MINUTES = 24 * 60
"""Time limit of a job, unless ``--option timeout_min=N`` sets another; a longer run continues in the next job."""
_HEADROOM = 1.25


class Work:
    """The work of a Slurm job: one run to its end. Submitit pickles it, and calls `checkpoint` before it queues it again."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self._child: Child | None = None

    def __call__(self) -> JobOutcome:
        """Runs the job to its end."""
        # Submitit does not handle SIGTERM, which Slurm sends before it kills. The run saves a checkpoint, and no result is
        # written, which would end a job that Slurm is about to queue again.
        signal.signal(signal.SIGTERM, self._end)
        return run_here(self.job, begun=self._remember)

    def checkpoint(self) -> Any:
        """Stops the run with a checkpoint, and gives submitit the same work to queue again."""
        from submitit.helpers import DelayedSubmission

        if self._child is not None:
            end(self._child)
        return DelayedSubmission(Work(self.job))

    def _remember(self, child: Child) -> None:
        self._child = child

    def _end(self, number: int, frame: FrameType | None) -> None:
        if self._child is not None:
            end(self._child)
        sys.exit(128 + number)


class SlurmLauncher(QueuedLauncher[Any]):
    """Starts runs as jobs of a Slurm cluster by submitit's executor; the scheduler has at most `jobs` at once."""

    def __init__(self, jobs: int, executor: Any, parameters: Mapping[str, Any]) -> None:
        super().__init__(jobs)
        self._executor, self._parameters = executor, parameters
        self._given: dict[str, Job] = {}
        self._again: dict[str, int] = {}

    @classmethod
    def opened(cls, jobs: int, folder: Path, options: Sequence[str]) -> SlurmLauncher:
        """Makes a launcher.

        Raises:
            MissingError: submitit is not installed, or this machine has no Slurm.
            UsageError: submitit does not know an option, or the folder's name has a ``%``.
        """
        parsed: dict[str, Any] = {key: _typed(value) for key, value in parse_options(options, None, "slurm").items()}
        cluster = parsed.pop("cluster", "slurm")
        if cluster not in ("slurm", "local"):
            raise UsageError(f"--option cluster={cluster}: the cluster is slurm or local.")
        try:
            import submitit
        except ImportError:
            raise MissingError(
                "The launcher 'slurm' needs submitit, which is not installed.", "pip install 'bench-suite[slurm]'"
            ) from None
        if cluster == "slurm" and shutil.which("sbatch") is None:
            raise MissingError("There is no Slurm on this machine: sbatch is not found.", "Type it on a login node.")
        if "%" in str(folder.absolute()):
            raise UsageError(
                f"{folder.absolute()} has a % in its name, which Slurm reads as the beginning of a pattern such as %j.",
                "Take another --out for studies that go to Slurm.",
            )
        executor = submitit.AutoExecutor(folder=str(folder.absolute() / "slurm"), cluster=cluster)
        parameters = {"timeout_min": MINUTES, "name": "bench", **parsed}
        try:
            executor.update_parameters(**parameters)
        except (NameError, TypeError, ValueError) as error:
            first_line = str(error).partition("\n")[0]
            raise UsageError(f"submitit does not take these options: {first_line}", "See docs/studies.md.") from None
        return cls(jobs, executor, parameters)

    def _begin(self, job: Job) -> Any:
        parameters = dict(self._parameters)
        if job.memory and "mem_gb" not in parameters and "slurm_mem" not in parameters:
            parameters["mem_gb"] = max(1, -(-int(job.memory * _HEADROOM) // 2**30))
        self._executor.update_parameters(**parameters)
        self._given[job.key] = job
        return self._executor.submit(Work(job))

    def _outcome(self, key: str, handle: Any) -> JobOutcome | None:
        if not handle.done():
            return None
        try:
            outcome: JobOutcome = handle.result()
            return outcome
        except Exception as error:
            # Killed without a result, e.g. with its node. The message is not shown: submitit quotes logs in it.
            if self._again.get(key, 0) < self._given[key].retries and key in self._live:
                self._again[key] = self._again.get(key, 0) + 1
                self._live[key] = self._begin(self._given[key])
                return None
            return JobOutcome(key, INTERRUPTED, message=f"Slurm ended it: {type(error).__name__}.")

    def _cancel(self, handle: Any) -> None:
        for key in self._live:
            self._again[key] = sys.maxsize  # a stopped job is not started again
        with suppress(Exception):
            handle.cancel(check=False)


def _typed(value: str) -> int | float | str:
    for kind in (int, float):
        with suppress(ValueError):
            return kind(value)
    return value
