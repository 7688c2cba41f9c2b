"""A study from its plan to its verdict: what is left of it runs, then it is judged; stopped and continued at any time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from bench.api.study import StudyRun
from bench.errors import BenchError, Interrupted
from bench.launchers import launcher as open_launcher
from bench.registry import Registry
from bench.results.lock import RunLock
from bench.studies.finished import judged
from bench.studies.scheduler import Watcher, drive, share_of_memory, survey
from bench.studies.study import Study


class Audience(Watcher, Protocol):
    """Who is told how a study goes, from its survey to its verdict."""

    def warn(self, message: str) -> None:
        """Takes one line."""

    def surveying(self, run: StudyRun, place: int, total: int) -> None:
        """A run's dry run begins."""

    def watching(self, study: Study) -> AbstractContextManager[None]:
        """Around the time in which runs live."""
        ...


def conduct(
    study: Study,
    registry: Registry,
    audience: Audience,
    launcher: str = "local",
    jobs: int = 1,
    options: Sequence[str] = (),
    max_hours: float | None = None,
) -> BenchError | None:
    """Runs what is left of a study and judges it; what is finished is written down whatever happens.

    Args:
        study: opened by `bench.studies.study.open_study`.
        registry: knows the parts.
        audience: is told.
        launcher: ``local``, ``ray`` or ``slurm``.
        jobs: runs at once.
        options: of the launcher, ``KEY=VALUE`` each.
        max_hours: after which every run saves a checkpoint and stops.

    Returns:
        Why it has no verdict: runs that failed, or that cannot be compared. The study can be shown all the same.

    Raises:
        Interrupted: stopped before its end.
        BenchError: a dry run was refused.
    """
    started = time.monotonic()
    with RunLock(study.folder):
        for key in study.forget_missing():
            audience.warn(f"The folder of {key} is gone; it runs again.")
        whole = len(study.finished()) == len(study.runs)
        if not whole:
            running = open_launcher(launcher, jobs, study.folder, tuple(options))
            study.save()
            try:
                refuse_repeats(study, registry)
                survey(study, audience.surveying, study.folder)
                study.save()
                deadline = None if max_hours is None else started + 3600 * max_hours
                with audience.watching(study):
                    whole = drive(study, running, audience, deadline, share_of_memory(launcher, jobs))
            except KeyboardInterrupt:
                raise Interrupted(
                    f"Study {study.name} stopped with {len(study.finished())} of {len(study.runs)} runs finished; "
                    "those that ran saved a checkpoint.",
                    "Go on by typing the same command again.",
                ) from None
            finally:
                running.close()
        if whole and study.verdict is None:
            try:
                study.verdict = judged(study, registry, audience.warn)
            except BenchError as refused:
                return refused
            study.save()
    return _failed(study)


def estimate(study: Study, registry: Registry, audience: Audience) -> None:
    """Estimates the tokens, time and memory of every run by dry runs, which prove parity; nothing is kept but in the study.

    Raises:
        BenchError: a dry run was refused.
    """
    refuse_repeats(study, registry)
    with TemporaryDirectory(prefix="bench-study-") as aside:
        survey(study, audience.surveying, Path(aside))


def refuse_repeats(study: Study, registry: Registry) -> None:
    """Looks now, and not after an hour of training, for what runs that start from others would be refused for.

    Raises:
        LeakError: documents of dev or test of such a run are among the training documents of the run it starts from.
    """
    from bench.steps.start import refuse_repeated

    pairs = [(study[run.start].config, run.config) for run in study.runs if run.start is not None and run.run is None]
    alike = {repr((one.data, one.task, one.shots and one.seed, other.data, other.task)): (one, other) for one, other in pairs}
    for source, target in alike.values():
        refuse_repeated(source, target, registry)


def _failed(study: Study) -> BenchError | None:
    failed = [run for run in study.runs if run.error is not None]
    if not failed:
        return None
    left = len(study.runs) - len(study.finished())
    return BenchError(
        f"{len(failed)} of {len(study.runs)} runs failed, and {left} are not finished; {failed[0].key}: {failed[0].error}",
        f"What it printed is in {study.folder / 'logs'}; the same command tries again.",
    )
