"""Runs as tasks of a Ray cluster: https://docs.ray.io. It joins an existing cluster, else starts one on this machine.

Ray retries a task whose worker dies, on any worker, and its run continues from its last checkpoint. Every worker must
therefore see the folder of runs.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from bench.errors import BenchError, MissingError, UsageError
from bench.launchers.child import INTERRUPTED, Job, JobOutcome, run_here
from bench.launchers.queued import QueuedLauncher, parse_number, parse_options
from bench.results.environment import cores

OPTIONS = ("address", "num_cpus", "num_gpus")


class RayLauncher(QueuedLauncher[Any]):
    """Starts runs as tasks of a Ray cluster, at most `jobs` at once, each with `cpus` cores and `gpus` devices (may be a part).

    The cluster ends with the study if this process started it.
    """

    def __init__(self, jobs: int, cpus: float, gpus: float, started: bool) -> None:
        super().__init__(jobs)
        self._cpus, self._gpus, self._started = cpus, gpus, started

    @classmethod
    def opened(cls, jobs: int, options: Sequence[str]) -> RayLauncher:
        """Joins a cluster or starts one.

        Raises:
            MissingError: Ray is not installed.
            UsageError: an option is unknown, or the cluster cannot be reached.
            BenchError: no cluster can be started.
        """
        parsed = parse_options(options, OPTIONS, "ray")
        cpus = parse_number(parsed, "num_cpus", max(1, cores() // jobs))
        gpus = parse_number(parsed, "num_gpus", 0.0)
        ray = _ray()
        quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": "ERROR"}
        started = False
        address = parsed.get("address") or os.environ.get("RAY_ADDRESS")
        if not ray.is_initialized():
            try:
                ray.init(address=address or "auto", log_to_driver=False, logging_level="ERROR")
            except Exception as error:
                if address is not None:
                    raise UsageError(
                        f"There is no Ray cluster at {address}: {type(error).__name__}.",
                        "Start one with 'ray start --head', or leave the address out to start one here.",
                    ) from None
                started = True
                try:
                    ray.init(address="local", num_cpus=max(1, round(jobs * cpus)), **quiet)
                except Exception as failed:
                    ray.shutdown()
                    raise BenchError(
                        f"Ray could not be started on this machine: {type(failed).__name__}.",
                        "Start it with 'ray start --head', which says why, or take --launcher local.",
                    ) from None
        devices = ray.cluster_resources().get("GPU", 0.0)
        if "num_gpus" not in parsed and devices:
            gpus = min(1.0, devices / jobs)
        return cls(jobs, cpus, gpus, started)

    def close(self) -> None:
        """Stops the remaining runs, and the cluster if it was started here."""
        super().close()
        if self._started:
            _ray().shutdown()
            self._started = False

    def _begin(self, job: Job) -> Any:
        task = _ray().remote(max_retries=job.retries, num_cpus=self._cpus, num_gpus=self._gpus)(run_here)
        return task.options(name=f"bench {job.key}").remote(job)

    def _outcome(self, key: str, handle: Any) -> JobOutcome | None:
        ray = _ray()
        ready, _ = ray.wait([handle], timeout=0)
        if not ready:
            return None
        try:
            outcome: JobOutcome = ray.get(handle)
            return outcome
        except ray.exceptions.TaskCancelledError:
            return JobOutcome(key, INTERRUPTED, message="Cancelled.")
        except ray.exceptions.RayError as error:
            code = INTERRUPTED if isinstance(getattr(error, "cause", None), KeyboardInterrupt) else 1
            return JobOutcome(key, code, message=f"Ray gave it up: {type(error).__name__}.")

    def _cancel(self, handle: Any) -> None:
        with suppress(Exception):
            _ray().cancel(handle)


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise MissingError("The launcher 'ray' needs ray, which is not installed.", "pip install 'bench-suite[ray]'") from None
    return ray
