"""Reads the runs of a report, alone or as a study, and assigns them to arms."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.api.study import StudyKind, StudyRun
from bench.config import OPTIONS
from bench.errors import RunStateError, UsageError
from bench.pages.comparison import PageComparison
from bench.pages.curves import SOME, Curves, read_curves
from bench.registry import Registry, load
from bench.results.evidence import Gradients
from bench.results.layout import RESULT
from bench.results.schema import Result
from bench.results.scores import interval_of, score_of
from bench.results.store import find_run, is_run, read_result
from bench.studies.arms import Run as FinishedRun
from bench.studies.finished import kind_of
from bench.studies.review import Review, reviewed
from bench.studies.study import Study, folder_of, read_study
from bench.wording import some

LINES = 60
"""Runs of a report whose learning curves are read whole; of more, some of the updates are read, evenly spaced."""


@dataclass(frozen=True)
class ReportedRun(FinishedRun):
    """A finished run of a report.

    Args:
        arm: what it is compared as, e.g. ``A2``, or ``multi-task`` in a study of token control.
        curves: how it learned.
    """

    arm: str
    curves: Curves

    @property
    def gradients(self) -> Gradients:
        """The conflicts of its tasks' gradients; empty of a single task."""
        return Gradients() if self.result.together is None else self.result.together.gradients

    def score(self, task: str, quantized: bool = False) -> float | None:
        """A task's primary metric on the test split, at the last stage; or of the quantized model alone, None without one."""
        scores = self.result.scores[task]
        return score_of(scores.quantized if quantized else scores.last, self.result.metric(task))

    def unquantized(self, task: str) -> float | None:
        """A task's primary metric with the same adapters on the unquantized base; None where it was not measured.

        With a quantizer that is applied after training it is that of the trained stage; at load, it is a baseline.
        """
        scores = self.result.scores[task]
        at_load = scores.quantized is not None and self.result.resolved("quant_when") == "load"
        return score_of(scores.baselines.get("unquantized") if at_load else scores.trained, self.result.metric(task))

    def interval(self, task: str) -> tuple[float, float] | None:
        """The interval over documents of what `score` gives."""
        return interval_of(self.result.scores[task].last, self.result.metric(task))


@dataclass(frozen=True)
class Evidence:
    """Everything that a report is about.

    Args:
        title: of the report.
        runs: all finished runs, by arm and seed.
        study: the study; None for runs that are no study.
        unfinished: keys, or ids, of the runs without a result.
        comparison: of the runs, where there is no verdict of a study; None where it was not tried.
        kind: kind of the study; words its verdict.
        command: that the report is made by, for its page; empty where a program makes it.
        review: what of the study is not as it was written; None for runs that are no study.
    """

    title: str
    runs: tuple[ReportedRun, ...]
    study: Study | None = None
    unfinished: tuple[str, ...] = ()
    comparison: PageComparison | None = None
    kind: StudyKind | None = field(default=None, compare=False)
    command: str = field(default="", compare=False)
    review: Review | None = None

    @property
    def arms(self) -> tuple[str, ...]:
        """In the order of their colours."""
        return tuple(dict.fromkeys(run.arm for run in self.runs))

    @property
    def tasks(self) -> tuple[str, ...]:
        """Every task of any run."""
        return tuple(dict.fromkeys(task for run in self.runs for task in run.tasks))

    def of(self, task: str, arm: str | None = None) -> tuple[ReportedRun, ...]:
        """The runs of a task, or of an arm of it."""
        return tuple(run for run in self.runs if task in run.tasks and arm in (None, run.arm))


def collect(refs: Sequence[str], runs: Path, tasks: Sequence[str] = (), registry: Registry | None = None) -> Evidence:
    """Reads the runs or the study of some references.

    Args:
        refs: one study (its name or folder), or runs (ids, folders, or folders of runs); all runs of `runs` where empty.
        runs: the folder of runs.
        tasks: only runs with one of these are kept.
        registry: has the kinds of study; None: what is installed.

    Raises:
        UsageError: there is no run or study of a name, or the runs have no task in common, directly or through others.
        RunStateError: there is no result, or one that is damaged or of another schema.
    """
    if len(refs) == 1 and (place := folder_of(refs[0], runs)) is not None:
        return of_study(read_study(place), load() if registry is None else registry)
    folders: dict[Path, None] = {}
    chosen: set[Path] = set()
    for ref in refs or (str(runs),):
        path = Path(ref)
        if path.is_dir() and not is_run(path):
            folders_inside = sorted(item for item in path.iterdir() if is_run(item))
            if not folders_inside:
                raise UsageError(f"{path} holds no run.", "Name a folder of runs, such as runs/, or runs by their ids.")
            folders |= dict.fromkeys(folders_inside)
        elif not refs:
            raise UsageError(f"{path} is no folder of runs.", "Name one with --runs DIR.")
        else:
            folder = find_run(ref, runs, "--runs")
            folders[folder] = None
            chosen.add(folder)
    return of_runs(tuple(folders), chosen, tasks)


def rests(runs: Sequence[ReportedRun]) -> tuple[tuple[str, ...], bool]:
    """The distinct ids of some runs, and whether any of them is on synthetic text."""
    return tuple(dict.fromkeys(run.id for run in runs)), any(run.result.synthetic for run in runs)


def of_runs(folders: Sequence[Path], chosen: Collection[Path] = (), tasks: Sequence[str] = ()) -> Evidence:
    """Runs that are no study: arms are the fields of the configuration that differ.

    Args:
        folders: of the runs.
        chosen: folders that the user named; without a result they are an error, others count as unfinished.
        tasks: only runs with one of these are kept.

    Raises:
        RunStateError: see `collect`.
        UsageError: no run has one of `tasks`; and see `collect`.
    """
    done = [folder for folder in folders if folder in chosen or (folder / RESULT).exists()]
    results = {folder: read_result(folder) for folder in done}
    if not results:
        raise RunStateError("There is no finished run to report on.", "'bench board' lists the runs that there are.")
    if tasks:
        known = dict.fromkeys(task for result in results.values() for task in result.scores)
        results = {folder: result for folder, result in results.items() if set(tasks) & set(result.scores)}
    if not results:
        raise UsageError(f"There is no finished run of {' or '.join(tasks)} to report on; there are of {', '.join(known)}.")
    _connected(results.values())
    arms = _arms([*results.values()])
    updates = SOME if len(results) > LINES else None
    read = zip(results.items(), arms, strict=True)
    finished = [ReportedRun(folder, result, arm, read_curves(folder, updates)) for (folder, result), arm in read]
    left = tuple(folder.name for folder in folders if folder not in done)
    return Evidence(_title(finished), _ordered(finished), None, left)


def _title(runs: Sequence[ReportedRun]) -> str:
    if len(runs) == 1:
        return runs[0].id
    tasks = dict.fromkeys(task for run in runs for task in run.tasks)
    return " and ".join(tasks) if len(tasks) < 3 else some(len(tasks), "task")


def of_study(study: Study, registry: Registry) -> Evidence:
    """Reads the finished runs of a study; of trials, which only search, its kind tells.

    Args:
        study: the study.
        registry: has its kind, which decides the names of arms.

    Raises:
        RunStateError: a result is damaged or of another version, or no run has finished.
    """
    kind = kind_of(study.kind, registry)
    finished: dict[tuple[str, str], ReportedRun] = {}
    unfinished = []
    due = {run.key for run in study.due()}
    entries = [run for run in study.runs if run.key in due and run.key not in study.trials]
    updates = SOME if len(entries) > LINES else None
    for entry, label in zip(entries, _labels(entries, kind), strict=True):
        place = study.out / str(entry.run)
        if entry.run is None or not (place / RESULT).exists():
            unfinished.append(entry.key)
        else:
            finished[entry.run, label] = ReportedRun(place, read_result(place), label, read_curves(place, updates))
    if not finished:
        raise RunStateError(
            f"No run of the study {study.name!r} has finished.", f"'bench study {study.kind}' carries on with it."
        )
    review = reviewed(study, registry)
    return Evidence(study.name, _ordered(finished.values(), keep=True), study, tuple(unfinished), kind=kind, review=review)


def _labels(entries: Sequence[StudyRun], kind: StudyKind) -> list[str]:
    """Name of the arm of each run of a study: role and architecture, each where there are several."""
    roles, arms = {entry.role for entry in entries}, {entry.arm for entry in entries}
    labels = []
    for entry in entries:
        if kind.named_by_key:
            labels.append(re.sub(r"[-,]s\d+$", "", entry.key))
            continue
        words = [kind.roles.get(entry.role, entry.role)] if len(roles) > 1 and entry.role != entry.arm else []
        words += [entry.arm] if len(arms) > 1 or not words else []
        labels.append(" · ".join(words))
    return labels


def _arms(results: Sequence[Result]) -> list[str]:
    # Where no study says what its arms are, they are named by what may be compared, and of that by what differs.
    choices = {name: option.default for name, option in OPTIONS.items() if option.compared("choice") and name != "arch"}
    configs = [choices | dict(result.config) for result in results]
    differ = [name for name in choices if len({_plain(config[name]) for config in configs}) > 1]
    sets = {tuple(result.scores) for result in results}
    budgets = Counter((tuple(r.scores), _budget(r)) for r in results)
    many = {tasks for tasks, _ in budgets if sum(t == tasks for t, _ in budgets) > 1}
    names = []
    for result, config in zip(results, configs, strict=True):
        words = [str(config.get("arch", "?"))]
        words += [_named(name, config[name]) for name in differ if (name, config[name]) != ("quant", "none")]
        if len(sets) > 1 and any(len(tasks) > 1 for tasks in sets):
            words.append("alone" if len(result.scores) == 1 else some(len(result.scores), "task"))
        if tuple(result.scores) in many and (budget := _budget(result)):
            words.append(budget)
        names.append(" · ".join(words))
    return names


def _budget(result: Result) -> str:
    for name in ("tokens", "steps", "epochs"):
        if result.config.get(name) is not None:
            return f"{result.config[name]:,} {name}"
    return str(result.config.get("tokens_like") or "")


def _named(name: str, value: Any) -> str:
    return str(value) if name in ("quant", "model") else f"{name.replace('_', ' ')} {_plain(value)}"


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        value = ", ".join(f"{name} {number}" for name, number in value.items()) or None
    return "default" if value is None else str(value)


def _ordered(runs: Iterable[ReportedRun], keep: bool = False) -> tuple[ReportedRun, ...]:
    """The runs by arm and seed; with `keep` arms stay in their first order."""
    listed = [*runs]
    order = {arm: i for i, arm in enumerate(dict.fromkeys(run.arm for run in listed))}
    return tuple(sorted(listed, key=lambda r: (order[r.arm] if keep else 0, r.arm, r.tasks, r.seed, r.id)))


def _connected(results: Iterable[Result]) -> None:
    """Refuses runs whose tasks are not connected by runs of several tasks: their scores cannot be compared."""
    groups: list[set[str]] = []
    counts = Counter(tuple(result.scores) for result in results)
    for tasks in counts:
        joined = [group for group in groups if group & set(tasks)]
        groups = [group for group in groups if group not in joined] + [set(tasks).union(*joined)]
    if len(groups) > 1:
        listed = "; ".join(
            f"{', '.join(sorted(group))}, {sum(n for tasks, n in counts.items() if set(tasks) & group)} of them"
            for group in groups
        )
        raise UsageError(
            f"The runs are of different tasks, and none of them joins these: {listed}.",
            f"A report compares runs of the same tasks; choose with --task {sorted(groups[0])[0]}",
        )
