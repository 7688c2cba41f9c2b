"""Runs a study from its plan to its verdict: first the unfinished runs, then the verdict. It can be stopped and continued."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from bench.api.study import StudyRun
from bench.errors import BenchError, Interrupted
from bench.invariants import checkpoint as checkpoints
from bench.launchers import JobOutcome
from bench.launchers import launcher as open_launcher
from bench.registry import Registry
from bench.results.layout import CHECKPOINTS
from bench.results.lock import RunLock
from bench.studies.finished import judged, kind_of, own_faults
from bench.studies.looks import looked_already, record
from bench.studies.mark import StudyMark
from bench.studies.review import outdated
from bench.studies.scheduler import Stopped, Watcher, drive, share_of_memory, survey
from bench.studies.study import Study
from bench.wording import some


class Audience(Watcher, Protocol):
    """Follows the progress of a study from its survey to its verdict."""

    def warn(self, message: str) -> None:
        """Takes one line."""

    def looked(self, message: str) -> None:
        """A look was had at which something is open, and the runs of the next one begin."""

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
    """Runs the unfinished runs of a study and judges it, look by look; every run that ends is saved at once.

    Where looks were planned, the runs of the next one begin only if this one leaves something open.

    Args:
        study: opened by `bench.studies.study.open_study`.
        registry: knows the parts.
        audience: follows its progress.
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
    deadline = None if max_hours is None else time.monotonic() + 3600 * max_hours
    with RunLock(study.folder):
        for key in study.forget_missing():
            audience.warn(f"The folder of {key} is gone; it runs again.")
        if (looked := looked_already(study, kind_of(study.kind, registry))) is not None:
            audience.warn(looked)
        mark = StudyMark(study, registry, audience.warn)
        while True:
            if not study.whole:
                running = open_launcher(launcher, jobs, study.folder, tuple(options))
                study.save()
                mark.begin()
                try:
                    refuse_repeats(study, registry)
                    survey(study, audience.surveying, study.folder)
                    study.save()
                    with audience.watching(study):
                        drive(study, running, audience, deadline, share_of_memory(launcher, jobs))
                except BenchError:
                    mark.end("failed", {})
                    raise
                except KeyboardInterrupt as stopped:
                    mark.end("stopped", {})
                    done = f"{len(study.finished())} of {some(len(study.due()), 'run')} finished"
                    runs = stopped.runs if isinstance(stopped, Stopped) else ()
                    raise Interrupted(
                        f"Study {study.name} stopped with {done}; {kept(study, runs)}",
                        "Go on by typing the same command again.",
                    ) from None
                finally:
                    running.close()
            if not study.whole:
                failed = _failed(study)
                mark.end("stopped" if failed is None else "failed", {})
                break
            if study.judged and not outdated(study, kind_of(study.kind, registry)):
                break
            try:
                another = _look(study, registry, audience)
            except BenchError as refused:
                mark.end("failed", {})
                return refused
            if not another:
                mark.end("finished", _said(study, registry))
                break
    return _failed(study)


def kept(study: Study, stopped: Sequence[JobOutcome]) -> str:
    """What the runs that were stopped left to go on from."""
    if not stopped:
        return "no other run had begun."
    saved = sum(bool(run.begun and checkpoints.steps(study.out / run.begun / CHECKPOINTS)) for run in stopped)
    if saved == len(stopped):
        return f"{some(saved, 'run')} will go on from {'its' if saved == 1 else 'their'} last checkpoint."
    anew = f"{some(len(stopped) - saved, 'run')} had not come to a first checkpoint and will train from the beginning."
    return f"{some(saved, 'run')} will go on from a checkpoint, {anew}" if saved else anew


def _look(study: Study, registry: Registry, audience: Audience) -> bool:
    """Judges a study at the look that it has reached, keeps both in it, and returns whether another look follows."""
    reached, kind = study.reach, kind_of(study.kind, registry)
    study.verdict = judged(study, registry, audience.warn)
    if study.verdict is not None and all(look.seeds != reached for look in study.looks):
        with own_faults(kind, "telling the verdict"):
            study.looks.append(record(study, study.verdict, kind))
    study.save()
    another = study.verdict is not None and not study.judged
    if another:
        said = "; ".join(f"{subject} {words}" for subject, words in study.looks[-1].verdicts.items())
        audience.looked(f"look at {some(reached, 'seed')}: {said}; on to {some(study.reach, 'seed')}")
    return another


def _said(study: Study, registry: Registry) -> dict[str, str]:
    """The verdict on each subject, in a word or two."""
    if study.verdict is None:
        return {}
    return {f"verdict.{said.subject}": said.verdict for said in kind_of(study.kind, registry).statements(study.verdict)}


def estimate(study: Study, registry: Registry, audience: Audience) -> None:
    """Estimates the tokens, time and memory of every run by dry runs, which prove parity; nothing is kept but in the study.

    Args:
        study: opened by `bench.studies.study.open_study`.
        registry: knows the parts.
        audience: follows its progress.

    Raises:
        BenchError: a dry run was refused.
    """
    refuse_repeats(study, registry)
    with TemporaryDirectory(prefix="bench-study-") as aside:
        survey(study, audience.surveying, Path(aside))


def refuse_repeats(study: Study, registry: Registry) -> None:
    """Checks before any training whether runs that start from others would be refused for repeated documents.

    Raises:
        LeakError: documents of dev or test of such a run are among the training documents of the run it starts from.
    """
    from bench.steps.start import refuse_repeated

    pairs = [(study[run.start].config, run.config) for run in study.runs if run.start is not None and run.run is None]
    by_data = {repr((a.data, a.task, a.shots and a.seed, a.train_resample, b.data, b.task)): (a, b) for a, b in pairs}
    for source, target in by_data.values():
        refuse_repeated(source, target, registry)


def _failed(study: Study) -> BenchError | None:
    failed = [run for run in study.runs if run.error is not None and not run.refused]
    if not failed:
        return None
    left = sum(run.run is None and not run.refused for run in study.due())
    logs = f"What it printed is in {study.folder / 'logs'}"
    again = "search other rates: --lr is their middle" if study.stranded(failed[0]) else "the same command tries again"
    return BenchError(
        f"{len(failed)} of {some(len(study.due()), 'run')} failed, {left} not finished; {failed[0].key}: {failed[0].error}",
        f"{logs}; {again}.",
    )
