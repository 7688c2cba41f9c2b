"""Schedules the unfinished runs of a study: they go to a launcher, and every run that ends is saved at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from bench.api.study import Cost, StudyRun
from bench.config import RunConfig
from bench.errors import BenchError, DivergedError, InvariantError
from bench.launchers import Job, JobOutcome, Launcher
from bench.launchers.child import Child, end
from bench.studies.argv import argv_of
from bench.studies.study import Study

LOGS = "logs"
INTERRUPTED = 130
_SMOKE = InvariantError("smoke", "").message
"""How the message of a smoke test that failed begins."""
_NO_TRIAL = "Too few of the trials that its learning rate is chosen from ended with a score on dev."


class Stopped(KeyboardInterrupt):
    """Runs were asked to stop, and have ended; `runs` says how each of those that ran did."""

    def __init__(self, runs: Sequence[JobOutcome]) -> None:
        super().__init__()
        self.runs = tuple(runs)


class Watcher(Protocol):
    """Follows the progress of a study."""

    def look(self, study: Study, active: set[str]) -> None:
        """Called several times a second while runs live."""

    def ended(self, run: StudyRun, outcome: JobOutcome) -> None:
        """A run ended, well or not."""


def job_of(study: Study, run: StudyRun, memory_limit: int | None = None) -> Job:
    """The launcher's job for a run that is ready."""
    config = replace(study.config_of(run), name=f"{study.name}/{run.key}", study=study.name, max_hours=None)
    if config.memory_limit is None and memory_limit is not None:
        config = replace(config, memory_limit=memory_limit)
    return Job(
        key=run.key,
        words=(*argv_of(config), "--json"),
        log=study.folder.absolute() / LOGS / f"{run.key}.log",
        memory=run.estimate.memory if run.estimate else 0,
        environ={"BENCH_DATA": ""},  # the plan alone names the corpora's folders
    )


def drive(
    study: Study, launcher: Launcher, watcher: Watcher, deadline: float | None = None, memory_limit: int | None = None
) -> bool:
    """Runs the unfinished runs of a study; every run that ends is saved at once.

    Args:
        study: saved after every run that ends.
        launcher: where runs go.
        watcher: follows its progress.
        deadline: `time.monotonic` at which to stop, every run with a checkpoint.
        memory_limit: bytes of a run that was given no limit.

    Returns:
        Whether every run is finished, or a trial that was refused; False where some failed, or wait for one that did.

    Raises:
        Stopped: asked to stop; every run has ended, those in training with a checkpoint.
    """
    for run in study.runs:
        if run.error is not None and not run.refused:
            study.update(run.key, error=None)
    submitted: set[str] = set()
    live: set[str] = set()
    try:
        while True:
            for run in study.due():
                if run.error is None and study.stranded(run):
                    # A trial without a rate is refused as those were that it is chosen from; a run without one has failed.
                    study.update(run.key, error=_stranded(study, run), refused=run.key in study.trials)
                elif run.run is None and run.key not in submitted and not run.refused and study.ready(run):
                    launcher.submit(job_of(study, run, memory_limit))
                    submitted.add(run.key)
                    live.add(run.key)
            if not live:
                return study.whole
            for outcome in launcher.poll(0.5):
                live.discard(outcome.key)
                _record(study, outcome, watcher)
            watcher.look(study, launcher.active())
            if deadline is not None and time.monotonic() >= deadline:
                raise KeyboardInterrupt
    except KeyboardInterrupt:
        ended = launcher.stop()
        for outcome in ended:
            if outcome.code != INTERRUPTED and outcome.code >= 0:
                _record(study, outcome, watcher)
        raise Stopped([outcome for outcome in ended if outcome.run is None]) from None
    finally:
        launcher.close()


def _stranded(study: Study, run: StudyRun) -> str:
    """Why a run has no learning rate: what refused the first of the trials that it is chosen from."""
    first = next((study[key] for key in run.best_of if study[key].error is not None), None)
    return _NO_TRIAL if first is None else f"{_NO_TRIAL} {first.key}: {str(first.error).removeprefix(_NO_TRIAL).strip()}"


def _record(study: Study, outcome: JobOutcome, watcher: Watcher) -> None:
    error = None if outcome.run else outcome.message or f"exit code {outcome.code}"
    refused = outcome.key in study.trials and _says_of_the_rate(outcome)
    study.update(outcome.key, run=outcome.run, error=error, refused=refused)
    watcher.ended(study[outcome.key], outcome)


def _says_of_the_rate(outcome: JobOutcome) -> bool:
    """Whether a trial ended by what says of its learning rate that it is none; lack of memory, say, does not."""
    if outcome.kind == InvariantError.__name__:
        return outcome.message.startswith(_SMOKE)
    return outcome.kind == DivergedError.__name__


def share_of_memory(launcher: str, jobs: int) -> int | None:
    """Bytes that each of several runs on this machine may take; without a limit each would plan for all free memory."""
    if launcher != "local" or jobs == 1:
        return None
    from bench.launchers.local import ROOM, free_memory

    return int(ROOM * free_memory() / jobs)


def survey(study: Study, announce: Callable[[StudyRun, int, int], None], folder: Path) -> None:
    """Asks a dry run of every kind of run in the plan what it costs, which proves parity before anything is trained.

    Runs that differ in seed, learning rate or tokens have the same cost per token; one dry run estimates all of them.

    Args:
        study: its runs get estimates; it is not saved.
        announce: called with a run before its dry run, its place, and how many there are.
        folder: where dry runs write their logs.

    Raises:
        BenchError: a dry run was refused; with its exit code and words.
    """
    plans: dict[str, Mapping[str, object]] = {}
    order = sorted(study.runs, key=lambda run: run.like is not None)
    shapes = {run.key: _shape(run) for run in order}
    if all(run.estimate for run in order):
        return
    number, kinds = 0, len(set(shapes.values()))
    tokens: dict[str, int] = {}
    by_task: dict[str, Mapping[str, int]] = {}
    for run in order:
        shape = shapes[run.key]
        like = _tokens_like(run, tokens, by_task)
        if shape not in plans:
            number += 1
            announce(run, number, kinds)
            plans[shape] = _dry_run(run, like, folder.absolute() / LOGS)
        plan = plans[shape]
        budget, guess = plan["budget"], plan["estimate"]
        assert isinstance(budget, Mapping)
        assert isinstance(guess, Mapping)
        count = int(like or run.config.tokens or budget["tokens"])
        share = count / int(budget["tokens"])
        tokens[run.key] = count
        by_task[run.key] = {task: round(n * share) for task, n in budget["task_tokens"].items()}
        seconds = float(guess["before"]) + float(guess["seconds"]) * share + float(guess["evaluation"])
        estimate = Cost(count, round(seconds, 1), int(guess["memory"]))
        place = study.runs.index(run)
        study.runs[place] = replace(run, estimate=estimate)


def _tokens_like(run: StudyRun, tokens: Mapping[str, int], by_task: Mapping[str, Mapping[str, int]]) -> int | None:
    if run.like is None:
        return None
    key, _, task = run.like.partition(":")
    if not task:
        return tokens[key]
    return by_task[key][task]


def _shape(run: StudyRun) -> str:
    """The settings that decide a run's cost per token; one dry run estimates all runs of a shape."""
    counted = run.config.tokens is not None or run.like is not None
    seed = 0 if run.config.shots is None else run.config.seed  # the seed decides which documents are drawn
    shape = replace(run.config, seed=seed, replicate=1, lr=None, name=None, study=None)
    return repr(replace(shape, tokens=1) if counted else shape)


def _dry_run(run: StudyRun, like: int | None, logs: Path) -> Mapping[str, object]:
    config: RunConfig = run.config if like is None else replace(run.config, tokens=like)
    words = (*argv_of(config), "--dry-run", "--json")
    child = Child(Job(run.key, words, logs / f"{run.key}.plan.log", environ={"BENCH_DATA": ""}, retries=0))
    try:
        while (outcome := child.poll()) is None:
            time.sleep(0.1)
    except KeyboardInterrupt:
        end(child)
        raise
    if outcome.code:
        message, _, hint = outcome.message.partition("\n")
        error = BenchError(f"{run.key}: {message}", hint or None)
        error.exit_code = outcome.code if outcome.code > 0 else 1
        raise error
    plan = outcome.answer["plan"]
    assert isinstance(plan, Mapping)
    return plan
