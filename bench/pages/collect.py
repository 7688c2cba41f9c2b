"""What a report is about: finished runs, alone or as a study, read and put in arms."""

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
from bench.pages.curves import SOME, Curves, read_curves
from bench.pages.held import Held
from bench.registry import Registry, load
from bench.results.layout import RESULT
from bench.results.schema import Result, TaskScores, pick
from bench.results.store import find_run, is_run, read_result
from bench.studies.finished import kind_of
from bench.studies.study import STUDIES, STUDY, Study, read_study

LINES = 60
"""Runs of a report whose learning curves are read whole; the curves of more are drawn as means of their arms."""


@dataclass(frozen=True)
class Run:
    """A finished run.

    Args:
        folder: of it.
        result: what it found.
        arm: what it is compared as, e.g. ``A2``, or ``multi-task`` in a study of token control.
        curves: how it learned.
    """

    folder: Path
    result: Result
    arm: str
    curves: Curves

    @property
    def id(self) -> str:
        """The run's id."""
        return self.result.id

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks it was trained on, in its own order."""
        return tuple(self.result.scores)

    @property
    def seed(self) -> int:
        """The seed of its initialisation and order."""
        return int(self.result.config.get("seed", 0))

    def metric(self, task: str) -> str | None:
        """Dotted path of a task's primary metric; None where the result does not tell it."""
        head = self.result.headline
        if task == head.task:
            return head.metric
        rows = self.result.extra.get("macro", {}).get("tasks", ())
        return next((str(row["metric"]) for row in rows if row["task"] == task), None)

    def stages(self, task: str) -> dict[str, Mapping[str, Any]]:
        """Stage to the task's scores on the test split, ``trained`` first."""
        scores: TaskScores = self.result.scores[task]
        return {"trained": scores.trained} | ({} if scores.quantized is None else {"quantized": scores.quantized})

    def score(self, task: str, stage: str | None = None) -> float | None:
        """A task's primary metric on the test split, at the last stage unless one is named."""
        metric, stages = self.metric(task), self.stages(task)
        return None if metric is None else pick(stages.get(stage or [*stages][-1], {}), metric)

    def unquantized(self, task: str) -> float | None:
        """A task's primary metric with the same adapters on the unquantized base; None where it was not measured.

        A quantizer applied after training leaves it as the trained stage; one applied at load has it measured beside.
        """
        metric, scores = self.metric(task), self.result.scores[task]
        beside = scores.baselines.get("unquantized")
        at_load = scores.quantized is not None and self.result.resolved("quant_when") == "load"
        if metric is None or (at_load and beside is None):
            return None
        return pick(beside if at_load and beside is not None else scores.trained, metric)

    def interval(self, task: str) -> tuple[float, float] | None:
        """The interval over documents of what `score` gives."""
        metric = self.metric(task)
        if metric is None:
            return None
        found: Any = [*self.stages(task).values()][-1]
        for part in metric.split(".")[:-1]:
            found = found.get(part, {}) if isinstance(found, Mapping) else {}
        bounds = found.get("ci95") if isinstance(found, Mapping) else None
        return None if bounds is None else (float(bounds[0]), float(bounds[1]))


@dataclass(frozen=True)
class Evidence:
    """Everything that a report tells.

    Args:
        title: of the report.
        runs: all that finished, by arm and seed.
        study: the study; None where runs were named one by one or by their folder.
        unfinished: keys of the study's runs that have no result yet, or ids of the folder's.
        held: what holding the runs against each other gave, where no study has judged; None where it was not tried.
        kind: of the study, which tells its verdict.
    """

    title: str
    runs: tuple[Run, ...]
    study: Study | None = None
    unfinished: tuple[str, ...] = ()
    held: Held | None = None
    kind: StudyKind | None = field(default=None, compare=False)

    @property
    def arms(self) -> tuple[str, ...]:
        """In the order of their colours."""
        return tuple(dict.fromkeys(run.arm for run in self.runs))

    @property
    def tasks(self) -> tuple[str, ...]:
        """Every task of any run."""
        return tuple(dict.fromkeys(task for run in self.runs for task in run.tasks))

    def of(self, task: str, arm: str | None = None) -> tuple[Run, ...]:
        """The runs of a task, or of an arm of it."""
        return tuple(run for run in self.runs if task in run.tasks and arm in (None, run.arm))


def collect(refs: Sequence[str], runs: Path, tasks: Sequence[str] = (), registry: Registry | None = None) -> Evidence:
    """The runs or the study that words of the command line name.

    Args:
        refs: one study (its name or folder), or runs (ids, folders, or folders of runs); all runs of `runs` where empty.
        runs: the folder of runs.
        tasks: leave out runs that have none of these.
        registry: knows the kinds of study; what is installed where None.

    Raises:
        RunStateError: nothing carries a name, a result is damaged or of another schema, or there is none.
        UsageError: the runs are of tasks that have nothing to do with one another.
    """
    if len(refs) == 1 and (study := find(refs[0], runs)) is not None:
        return of_study(study, kind_of(study.kind, load() if registry is None else registry))
    folders: dict[Path, None] = {}
    chosen: set[Path] = set()
    for ref in refs or (str(runs),):
        path = Path(ref)
        if path.is_dir() and not is_run(path):
            found = sorted(one for one in path.iterdir() if is_run(one))
            if not found:
                raise RunStateError(f"{path} holds no run.", "Name a folder of runs, such as runs/, or runs by their ids.")
            folders |= dict.fromkeys(found)
        elif not refs:
            raise RunStateError(f"There is no folder of runs {path}.", "Name one with --runs DIR.")
        else:
            folder = find_run(ref, runs)
            folders[folder] = None
            chosen.add(folder)
    return of_runs(tuple(folders), chosen, tasks)


def rests(runs: Sequence[Run]) -> tuple[tuple[str, ...], bool]:
    """Ids of the runs that something rests on, each once, and whether any of them is of generated text."""
    return tuple(dict.fromkeys(run.id for run in runs)), any(run.result.synthetic for run in runs)


def of_runs(folders: Sequence[Path], chosen: Collection[Path] = (), tasks: Sequence[str] = ()) -> Evidence:
    """Runs that are no study: arms are the fields of the configuration that differ.

    Args:
        folders: of the runs.
        chosen: those that were named one by one: refused where they did not finish, rather than counted as unfinished.
        tasks: leave out runs that have none of these.

    Raises:
        RunStateError: see `collect`.
        UsageError: see `collect`.
    """
    done = [folder for folder in folders if folder in chosen or (folder / RESULT).exists()]
    results = {folder: read_result(folder) for folder in done}
    if tasks:
        results = {folder: result for folder, result in results.items() if set(tasks) & set(result.scores)}
    if not results:
        what = f"a finished run of {' or '.join(tasks)}" if tasks else "a finished run"
        raise RunStateError(
            f"There is no {what.removeprefix('a ')} to report on.", "'bench board' lists the runs that there are."
        )
    _connected(results.values())
    arms = _arms([*results.values()])
    some = SOME if len(results) > LINES else None
    read = zip(results.items(), arms, strict=True)
    found = [Run(folder, result, arm, read_curves(folder, some)) for (folder, result), arm in read]
    left = tuple(folder.name for folder in folders if folder not in done)
    return Evidence(_title(found), _ordered(found), None, left)


def _title(runs: Sequence[Run]) -> str:
    if len(runs) == 1:
        return runs[0].id
    tasks = dict.fromkeys(task for run in runs for task in run.tasks)
    return " and ".join(tasks) if len(tasks) < 3 else f"{len(tasks)} tasks"


def find(ref: str, runs: Path) -> Study | None:
    """The study of a name or a folder; None where there is none, so that it may be a run."""
    place = Path(ref).parent if Path(ref).name == STUDY else Path(ref)
    if (place / STUDY).is_file():
        return read_study(place.resolve())
    return read_study(runs.resolve() / STUDIES / ref) if ref and (runs / STUDIES / ref / STUDY).is_file() else None


def of_study(study: Study, kind: StudyKind) -> Evidence:
    """A study and those of its runs that finished.

    Args:
        study: the study.
        kind: of it, which says how its runs are named.

    Raises:
        RunStateError: a result is damaged or of another version, or no run has finished.
    """
    found: dict[tuple[str, str], Run] = {}
    unfinished = []
    some = SOME if len(study.runs) > LINES else None
    for entry, label in zip(study.runs, _labels(study.runs, kind), strict=True):
        place = study.out / str(entry.run)
        if entry.run is None or not (place / RESULT).exists():
            unfinished.append(entry.key)
        else:
            found[entry.run, label] = Run(place, read_result(place), label, read_curves(place, some))
    if not found:
        raise RunStateError(
            f"No run of the study {study.name!r} has finished.", f"'bench study {study.kind}' carries on with it."
        )
    return Evidence(study.name, _ordered(found.values(), keep=True), study, tuple(unfinished), kind=kind)


def _labels(entries: Sequence[StudyRun], kind: StudyKind) -> list[str]:
    """What each run of a study is compared as: its role where there are several, its architecture where those are."""
    roles, arms = {entry.role for entry in entries}, {entry.arm for entry in entries}
    found = []
    for entry in entries:
        if kind.named_by_key:
            found.append(re.sub(r"[-,]s\d+$", "", entry.key))
            continue
        words = [kind.roles.get(entry.role, entry.role)] if len(roles) > 1 and entry.role != entry.arm else []
        words += [entry.arm] if len(arms) > 1 or not words else []
        found.append(" · ".join(words))
    return found


def _arms(results: Sequence[Result]) -> list[str]:
    # Where no study says what its arms are, they are told apart by what may be compared, and of that by what differs.
    choices = {name: option.default for name, option in OPTIONS.items() if option.compared("choice") and name != "arch"}
    configs = [choices | dict(result.config) for result in results]
    differ = [name for name in choices if len({_plain(config[name]) for config in configs}) > 1]
    sets = {tuple(result.scores) for result in results}
    budgets = Counter((tuple(r.scores), _budget(r)) for r in results)
    many = {tasks for tasks, _ in budgets if sum(t == tasks for t, _ in budgets) > 1}
    found = []
    for result, config in zip(results, configs, strict=True):
        words = [str(config.get("arch", "?"))]
        words += [_named(name, config[name]) for name in differ if (name, config[name]) != ("quant", "none")]
        if len(sets) > 1 and any(len(tasks) > 1 for tasks in sets):
            words.append("alone" if len(result.scores) == 1 else f"{len(result.scores)} tasks")
        if tuple(result.scores) in many and (budget := _budget(result)):
            words.append(budget)
        found.append(" · ".join(words))
    return found


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


def _ordered(runs: Iterable[Run], keep: bool = False) -> tuple[Run, ...]:
    """By arm and seed; with `keep` the arms stay in the order in which they come."""
    listed = [*runs]
    order = {arm: i for i, arm in enumerate(dict.fromkeys(run.arm for run in listed))}
    return tuple(sorted(listed, key=lambda r: (order[r.arm] if keep else 0, r.arm, r.tasks, r.seed, r.id)))


def _connected(results: Iterable[Result]) -> None:
    """Refuses runs of tasks that no run joins: their numbers stand on different scales and are no comparison."""
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
