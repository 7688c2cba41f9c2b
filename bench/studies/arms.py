"""Runs on the disk, as arms: what was compared sets arms apart, seeds are what an arm is repeated over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.api.task import Task
from bench.errors import ContractError, RunStateError, UsageError, unknown
from bench.naming import flatten
from bench.registry import Registry
from bench.results.layout import RESULT
from bench.results.manifest import Standing
from bench.results.schema import Result
from bench.results.scores import FlatScores, numbers, score_of
from bench.results.statistics import Statistics, read_statistics
from bench.results.store import find_run, is_run, read_result
from bench.stats.intervals import Measure
from bench.studies.contract import UNCHANGED, facts, label
from bench.studies.standing import same, standing_of
from bench.wording import some

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True)
class Run:
    """A finished run: its folder and its result."""

    folder: Path
    result: Result

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The run of a folder.

        Raises:
            RunStateError: it did not finish, or its result is damaged or of another schema version.
        """
        return cls(folder, read_result(folder))

    @cached_property
    def facts(self) -> Mapping[str, Any]:
        """The value of every field of the contract."""
        changed = self.standing.changed
        return {**facts(self.result), "changed": f"{self.id}: {', '.join(changed[:2])}" if changed else UNCHANGED}

    @cached_property
    def standing(self) -> Standing:
        """Whether its files are those that were written, and its scores those that its statistics give."""
        return standing_of(self.folder, self.result)

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
        """The run's seed; runs are paired by it."""
        return int(self.result.config.get("seed", 0))

    @property
    def replicate(self) -> int:
        """Index of a repetition of the very same configuration."""
        return int(self.result.config.get("replicate", 1))

    def statistics(self, task: str, split: str) -> Statistics:
        """Of every document of a split, at the last stage there was."""
        return read_statistics(self.folder, task, split, self.result.headline.stage)


@dataclass(frozen=True)
class Arm:
    """Runs that are the same but for their seed, in the order they were named, and what sets them apart as their name."""

    name: str
    runs: tuple[Run, ...]

    @property
    def tasks(self) -> tuple[str, ...]:
        """That its runs were scored on."""
        return self.runs[0].tasks

    def by_seed(self) -> dict[int, Run]:
        """Seed to its run; of several replicates the first."""
        runs: dict[int, Run] = {}
        for run in sorted(self.runs, key=lambda run: (run.seed, run.replicate)):
            runs.setdefault(run.seed, run)
        return runs


def read_runs(refs: Iterable[str], out: Path, tasks: Sequence[str] = ()) -> tuple[list[Run], list[str]]:
    """The runs that were named, each once, and notes on runs that are left out.

    A reference is an id, looked for in `out`, the beginning of one, a run's folder, or a folder that holds such folders. Of
    `tasks`, where any are named, every run that is kept has one.

    Raises:
        UsageError: nothing carries a name, a folder holds no run, or no run has one of `tasks`.
        RunStateError: no run of a folder is finished, or a result cannot be read.
    """
    folders, notes = finished_folders(refs, out)
    runs = [Run.read(folder) for folder in folders]
    known = dict.fromkeys(task for run in runs for task in run.tasks)
    for name in tasks:
        if name not in known:
            raise unknown("task of these runs", name, known, "bench board")
    return [run for run in runs if not tasks or {*tasks} & {*run.tasks}], notes


def finished_folders(refs: Iterable[str], out: Path) -> tuple[list[Path], list[str]]:
    """The folders of the runs that `read_runs` reads, each once, and its notes.

    Raises:
        UsageError: nothing carries a name, or a folder holds no run.
        RunStateError: no run of a folder is finished.
    """
    folders: dict[Path, Path] = {}
    notes = []
    for ref in refs:
        folder = Path(ref)
        if ref.strip() and folder.is_dir() and not is_run(folder):
            inside = sorted(path for path in folder.iterdir() if is_run(path))
            finished = [path for path in inside if (path / RESULT).exists()]
            if not finished:
                what = f"{some(len(inside), 'run')}, none of them finished" if inside else "no run"
                error = RunStateError if inside else UsageError
                raise error(f"Folder {folder} holds {what}.", "Name runs, or a folder of finished runs.")
            if len(inside) > len(finished):
                notes.append(f"Left out of {folder}: {some(len(inside) - len(finished), 'unfinished run')}.")
        else:
            finished = [find_run(ref, out)]
        for path in finished:
            folders.setdefault(path.resolve(), path)
    return list(folders.values()), notes


def arms_of(runs: Sequence[Run], by: Sequence[str]) -> list[Arm]:
    """Runs grouped by what is compared, in the order in which they first come.

    Raises:
        ContractError: an arm has a seed of an imported system twice.
    """
    groups: dict[str, list[Run]] = {}
    values = {name: [run.facts[name] for run in runs] for name in by}
    for run in runs:
        name = ", ".join(label(field, run.facts[field], values[field]) for field in by)
        groups.setdefault(name or "all runs", []).append(run)
    for name, group in groups.items():
        _refuse_twice(name, group)
    return [Arm(name, tuple(group)) for name, group in groups.items()]


def _refuse_twice(arm: str, runs: Sequence[Run]) -> None:
    """Refuses an arm that has a seed of an imported system twice: nothing says which of the two is meant."""
    seen: dict[tuple[object, ...], Run] = {}
    for run in (run for run in runs if run.result.imported is not None):
        if (other := seen.setdefault((run.tasks, run.seed), run)) is not run:
            raise ContractError(
                f"{other.id} and {run.id} are both seed {run.seed} of {arm!r}; wanted each seed once.",
                "Name one of them, compare by model, or import the other with a --seed or --system-version of its own.",
            )


def tasks_of(runs: Sequence[Run], registry: Registry) -> dict[str, Task]:
    """The tasks of runs, by name, whose scorers turn statistics into scores.

    Raises:
        UsageError: a task that is not installed.
        ContractError: a scorer of another version than the one that wrote the statistics.
    """
    tasks: dict[str, Task] = {}
    for run in runs:
        for name in run.result.config.get("task", ()):
            task = registry.get("tasks", name)
            tasks.setdefault(task.name, task)
        for name in run.result.scores:
            if name not in tasks:
                tasks[name] = registry.get("tasks", name)
            scored = run.facts["scorer"].get(name)
            if scored is not None and str(scored) != str(tasks[name].version):
                now = tasks[name].version
                raise ContractError(
                    f"Run {run.result.id} was scored by version {scored} of {name}; version {now} is installed.",
                    "Scores of two versions are two metrics: run it again, or install the bench that wrote it.",
                )
    return tasks


def refuse_changed(runs: Iterable[Run]) -> None:
    """Stops what would rest on runs that are not what they were when they were written.

    Raises:
        ContractError: naming the first of them, and what of it changed.
    """
    changed = [run for run in runs if run.standing.changed]
    if changed:
        more = f" So did {len(changed) - 1} more." if len(changed) > 1 else ""
        raise ContractError(
            f"Run {changed[0].id} {changed[0].standing}.{more}",
            f"See what of it holds with 'bench verify {changed[0].folder}', or run it again. "
            "'bench compare' and 'bench report' take it as it is with --allow changed.",
        )


def measure_of(task: Task, metric: str) -> Measure:
    """The score of a dotted name, from summed statistics, numbers or arrays."""
    return lambda sums: flatten(task.summarise(sums))[metric]


def metrics_of(tasks: Mapping[str, Task], scores: Mapping[str, FlatScores], metric: str | None) -> dict[str, str]:
    """Task to the metric that is compared: the requested one, or the task's primary metric.

    Args:
        tasks: by name.
        scores: some scores of each, so that the requested one can be looked up.
        metric: a dotted path; tasks that do not have it are left out.

    Raises:
        UsageError: no task has it.
    """
    if metric is None:
        return {name: task.metadata.primary_metric for name, task in tasks.items()}
    metrics = {name: metric for name in tasks if score_of(scores[name], metric) is not None}
    if not metrics:
        known = {name for flat in scores.values() for name, _ in numbers(flat)}
        raise unknown("metric", metric, known, "bench show run RUN --json")
    return metrics


def agree(run: Run, statistics: Statistics, metric: str, measure: Measure) -> Run:
    """The run, once its statistics give the score that its result states.

    Raises:
        RunStateError: they do not: one of the two was changed.
    """
    if statistics.split != "test":
        return run
    scores = run.result.scores[statistics.task]
    stated = score_of(scores.quantized if statistics.stage == "quantized" else scores.trained, metric)
    computed = float(measure(statistics.sums()))
    if stated is not None and not same(stated, computed):
        raise RunStateError(
            f"Run {run.result.id} tells {metric} {stated:.6f} of {statistics.task}, but its statistics give {computed:.6f}.",
            "One of the two files was changed; run it again.",
        )
    return run
