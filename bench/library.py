"""`bench` as a Python library: what the commands do, as functions that return what they found.

Importing it loads nothing heavy. Errors are `bench.errors.BenchError`, with the words that the commands print.

>>> import bench
>>> bench.plan(task="2015-T14", arch="A2", quant="gptq")["budget"]["tokens"]  # doctest: +SKIP
203106
>>> result = bench.run(task="2015-T14", arch="A2", quant="gptq")  # doctest: +SKIP
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, overload

from bench.config import RunConfig, from_mapping, replacing
from bench.errors import MissingError, UsageError
from bench.registry import load
from bench.reporting import Reporter, SilentReporter
from bench.results import display
from bench.results.schema import Headline, TaskScores
from bench.studies.arms import Run, read_runs

if TYPE_CHECKING:
    import pandas
    import polars
    from typing_extensions import Unpack

    from bench.runner import Outcome
    from bench.studies.compare import Comparison
    from bench.studies.study import Study, StudyRun

Place = str | Path


class RunFields(TypedDict, total=False):
    """What a run is told, by name; each is a field of `bench.config.RunConfig` and a flag of ``bench run``."""

    task: str | Sequence[str]
    task_set: str | None
    arch: str
    rank: int
    quant: str
    quant_when: Literal["load", "after"] | None
    model: Place
    head: str | None
    data: Mapping[str, Place]
    concepts: Mapping[str, Place]
    concept_language: str
    concept_sources: Sequence[str]
    allow_leak: bool
    tolerate: Sequence[str]
    seed: int
    replicate: int
    steps: int | None
    epochs: float | None
    tokens: int | None
    tokens_like: str | None
    sampling: Literal["proportional", "uniform", "temperature"]
    temperature: float
    loss_weighting: Literal["equal", "uncertainty"]
    gradients: Literal["plain", "pcgrad"]
    batch_tokens: int
    micro_batch: int | None
    max_length: int | None
    lr: float | None
    precision: Literal["auto", "fp32", "bf16"]
    device: str
    memory_limit: int | None
    checkpoint_every: int
    eval_every: int | None
    max_hours: float | None
    out: Place
    name: str | None
    study: str | None
    tracker: str | Sequence[str]
    waive: str | Sequence[str]


class RunResult(Run):
    """A finished run: `folder` of its files, and `result`, what ``result.json`` holds."""

    @property
    def id(self) -> str:
        """The run's id."""
        return self.result.id

    @property
    def headline(self) -> Headline:
        """The one number."""
        return self.result.headline

    @property
    def scores(self) -> Mapping[str, TaskScores]:
        """Task to its scores by stage."""
        return self.result.scores

    def rows(self) -> Iterator[dict[str, Any]]:
        """One row a task, split, stage and metric: the run's choices, ``value``, and ``low`` and ``high`` of its interval."""
        choices = {name: self.result.resolved(name) for name in ("arch", "quant", "rank", "seed", "replicate", "lr")}
        model = self.result.resolved("model")
        told = {
            "run": self.id,
            "name": self.result.config.get("name"),
            **choices,
            "model": model["name"] if isinstance(model, Mapping) else model,
            "tokens": self.result.invariants.tokens.get("total"),
            "synthetic": self.result.synthetic,
            "waived": ", ".join(self.result.waivers),
            "matched": self.result.matched,
        }
        for task, scores in self.result.scores.items():
            test = {"trained": scores.trained, "quantized": scores.quantized}
            for split, stages in (("test", test), ("dev", scores.dev)):
                for stage, found in stages.items():
                    for metric, value, interval in _leaves(found or {}):
                        low, high = interval or (None, None)
                        place = {"task": task, "split": split, "stage": stage, "metric": metric}
                        yield told | place | {"value": value, "low": low, "high": high}

    def _repr_html_(self) -> str:
        head = self.headline
        rows = [
            (task, stage, metric, display.score(value, interval))
            for task, scores in self.scores.items()
            for stage, found in (("trained", scores.trained), ("quantized", scores.quantized))
            for metric, value, interval in _leaves(found or {})
            if metric.rpartition(".")[2] in ("f1", "accuracy") or metric == head.metric
        ]
        title = f"{self.id}: {head.metric} {display.score(head.value, head.ci95)}"
        return display.html_table(title, ("task", "stage", "metric", "test"), rows, synthetic=self.result.synthetic)


class Runs(Sequence[RunResult]):
    """Finished runs, in the order they were named.

    Args:
        found: the runs.
        notes: on what was passed over.
    """

    def __init__(self, found: Sequence[RunResult], notes: Sequence[str] = ()) -> None:
        self._found = tuple(found)
        self.notes = tuple(notes)

    @overload
    def __getitem__(self, index: int) -> RunResult: ...

    @overload
    def __getitem__(self, index: slice) -> Runs: ...

    def __getitem__(self, index: int | slice) -> RunResult | Runs:
        """A run, or some of them."""
        return Runs(self._found[index], self.notes) if isinstance(index, slice) else self._found[index]

    def __len__(self) -> int:
        return len(self._found)

    def rows(self) -> list[dict[str, Any]]:
        """Tidy rows: one a run, task, split, stage and metric."""
        return [row for run in self for row in run.rows()]

    def to_pandas(self) -> pandas.DataFrame:
        """`rows` as a data frame.

        Raises:
            MissingError: pandas is not installed.
        """
        return _package("pandas").DataFrame(self.rows())

    def to_polars(self) -> polars.DataFrame:
        """`rows` as a data frame.

        Raises:
            MissingError: polars is not installed.
        """
        return _package("polars").DataFrame(self.rows(), infer_schema_length=None)

    def _repr_html_(self) -> str:
        rows = [
            (run.id, run.headline.task, run.headline.metric, display.score(run.headline.value, run.headline.ci95))
            for run in self
        ]
        synthetic = any(run.result.synthetic for run in self)
        return display.html_table(f"{len(self)} runs", ("run", "task", "metric", "test"), rows, synthetic)


def run(
    config: RunConfig | None = None, *, resume: str | None = None, progress: bool = True, **fields: Unpack[RunFields]
) -> RunResult:
    """Trains, quantizes and evaluates one arm, as ``bench run`` does; all five invariants are enforced.

    Args:
        config: what the fields are laid over; the defaults where None.
        resume: id or folder of an unfinished run; then only limits and trackers may be given.
        progress: whether progress and warnings are printed.
        fields: see `RunFields`.

    Raises:
        BenchError: with the words of the command line.
    """
    outcome = _outcome(config, fields, progress, resume=resume)
    assert outcome.folder is not None
    return RunResult.read(outcome.folder)


def plan(config: RunConfig | None = None, *, progress: bool = False, **fields: Unpack[RunFields]) -> Mapping[str, Any]:
    """What a run would do, as ``bench run --dry-run --json`` tells it: budget, data, parity, estimates. Leaves nothing behind.

    Args:
        config: what the fields are laid over; the defaults where None.
        progress: whether progress and warnings are printed.
        fields: see `RunFields`.

    Raises:
        BenchError: with the words of the command line.
    """
    return _outcome(config, fields, progress, dry_run=True).plan


def runs(*refs: Place, out: Place = "runs") -> Runs:
    """Finished runs.

    Args:
        refs: ids, beginnings of ids, folders of runs, or folders that hold such folders; all of `out` where none is given.
        out: where ids are looked for.

    Raises:
        RunStateError: nothing carries a name, a folder holds no finished run, or a result cannot be read.
    """
    found, notes = read_runs([str(ref) for ref in refs or (out,)], Path(out))
    return Runs([RunResult(one.folder, one.result, one.facts) for one in found], notes)


def compare(
    held: Runs | Sequence[RunResult],
    *,
    by: Sequence[str] = (),
    metric: str | None = None,
    split: Literal["test", "dev"] = "test",
    allow: Sequence[str] = (),
    resamples: int = 10_000,
) -> Comparison:
    """Holds runs against each other, as ``bench compare`` does: refuses what may not be compared, then paired statistics.

    Args:
        held: two runs or more.
        by: fields that set arms apart, such as ``arch``; the choices in which the runs differ where empty.
        metric: dotted path of a score; each task's primary metric where None.
        split: that is compared.
        allow: fields beyond `by` that may differ.
        resamples: of the bootstrap and of the permutation test.

    Raises:
        ContractError: they differ in what was not allowed, or share no task.
        UsageError: fewer than two runs, or a name that means nothing.
    """
    from bench.studies.compare import compare as compare_runs
    from bench.studies.contract import check_fields

    fields, further = check_fields(by, "by"), check_fields(allow, "allow")
    return compare_runs(held, load(), by=fields, metric=metric, split=split, allow=further, resamples=resamples)


class StudyResult:
    """A study that has been run.

    Args:
        study: its plan, how far it has come, and its verdict.
    """

    def __init__(self, study: Study) -> None:
        self.study = study

    @property
    def name(self) -> str:
        """The study's name."""
        return self.study.name

    @property
    def folder(self) -> Path:
        """Where its plan and its logs are kept."""
        return self.study.folder

    @property
    def verdict(self) -> Mapping[str, Any] | None:
        """What its runs show, as ``bench study --json`` tells it; None where its kind has no verdict."""
        return self.study.verdict

    @property
    def runs(self) -> Runs:
        """Its finished runs, in the order of the plan."""
        return Runs([RunResult.read(self.study.out / str(run.run)) for run in self.study.finished()])

    def rows(self) -> list[dict[str, Any]]:
        """Tidy rows of its runs, each with the run's ``key`` and ``role`` in the study."""
        pairs = zip(self.study.finished(), self.runs, strict=True)
        return [{"key": planned.key, "role": planned.role, **row} for planned, run in pairs for row in run.rows()]

    def to_pandas(self) -> pandas.DataFrame:
        """`rows` as a data frame.

        Raises:
            MissingError: pandas is not installed.
        """
        return _package("pandas").DataFrame(self.rows())

    def _repr_html_(self) -> str:
        done, runs = self.study.finished(), self.runs
        rows = [
            (planned.key, planned.role, run.headline.metric, display.score(run.headline.value, run.headline.ci95))
            for planned, run in zip(done, runs, strict=True)
        ]
        title = f"{self.study.kind} {self.name}: {len(done)} of {len(self.study.runs)} runs finished"
        synthetic = any(run.result.synthetic for run in runs)
        return display.html_table(title, ("run", "role", "metric", "test"), rows, synthetic)


def study(
    kind: Literal["token-control", "ablation", "quantization", "transfer", "sweep"],
    config: RunConfig | None = None,
    *,
    seeds: int = 6,
    sets: Sequence[str] = (),
    grid: Mapping[str, Sequence[Any]] | None = None,
    margin: float = 0.01,
    jobs: int = 1,
    launcher: Literal["local", "ray", "slurm"] = "local",
    options: Sequence[str] = (),
    progress: bool = True,
    **fields: Unpack[RunFields],
) -> StudyResult:
    """Runs a study to its end, as ``bench study`` does; the same call again goes on where it was stopped.

    Args:
        kind: what is compared with what; see docs/studies.md.
        config: what the fields are laid over; the defaults where None.
        seeds: runs of each sort that differ in their seed; the first one is the field `seed`.
        sets: of an ablation: domains, or tasks joined by +.
        grid: of a sweep: field to its values.
        margin: of equivalence, in the metric's own unit.
        jobs: runs at once.
        launcher: where runs go.
        options: of the launcher, ``KEY=VALUE`` each.
        progress: whether progress and warnings are printed.
        fields: what all runs share, see `RunFields`; `name` and `max_hours` are the study's.

    Raises:
        BenchError: with the words of the command line; also where runs failed or may not be compared.
    """
    from bench.cli.studytable import StudyWatcher
    from bench.launchers import check
    from bench.steps.names import written_out
    from bench.studies.conduct import conduct
    from bench.studies.request import members, planned
    from bench.studies.study import open_study

    check(launcher, jobs)
    registry, base = load(), _configured(config, fields)
    if base.study is not None:
        raise UsageError("study is for one run; a study is named by name, and goes on when it is called again.")
    named = {label: members(label, registry) for label in sets}
    tasks = dict.fromkeys((*base.task, *(task for each in named.values() for task in each)))
    base = written_out(replace(base, task=tuple(tasks)), registry, os.environ)
    opened = open_study(planned(kind, base, registry, seeds, named, _plain(grid), margin, base.name))
    watcher = StudyWatcher(stderr=False) if progress else _Silent()
    problem = conduct(opened, registry, watcher, launcher, jobs, options, base.max_hours)
    if problem is not None:
        raise problem
    return StudyResult(opened)


class _Silent:
    """Is told how a study goes, and says nothing of it."""

    def warn(self, message: str) -> None:
        pass

    def surveying(self, run: StudyRun, place: int, total: int) -> None:
        pass

    def watching(self, study: Study) -> AbstractContextManager[None]:
        return nullcontext()

    def look(self, study: Study, active: set[str]) -> None:
        pass

    def ended(self, run: StudyRun, outcome: Any) -> None:
        pass


def score(task: str, gold: Place, pred: Place, tolerate: Sequence[str] = ()) -> Mapping[str, Any]:
    """Scores files of any system by the rules of a task's organisers, as ``bench score`` does.

    Args:
        task: a task's name, its ``.toml``, or a format: ``iob`` or ``brat``.
        gold: file or folder, in the official format.
        pred: the same of the system.
        tolerate: kinds of faulty lines that are left out of gold.

    Raises:
        DataError: a file cannot be read.
        UsageError: no such task, file or folder.
    """
    from bench.evaluation.score import score_files

    return score_files(task, Path(gold), Path(pred), load(), tolerate)


def write_report(
    *refs: Place,
    runs: Place = "runs",
    out: Place | None = None,
    task: Sequence[str] = (),
    by: Sequence[str] = (),
    allow: Sequence[str] = (),
) -> Path:
    """Writes one page about runs or a study, as ``bench report`` does, with its tables and figures beside it.

    Args:
        refs: a study, or runs; all of `runs` where none is given.
        runs: folder of runs.
        out: where it goes; ``report/`` of the study or of `runs` where None.
        task: only runs of these tasks.
        by: what is compared; what differs where empty.
        allow: fields beyond `by` that may differ.

    Returns:
        The page.

    Raises:
        MissingError: the extra ``report`` is not installed.
        RunStateError: nothing carries a name.
    """
    from bench.report.collect import collect
    from bench.report.held import hold
    from bench.report.write import require, write
    from bench.studies.contract import check_fields

    require()
    fields, further = check_fields(by, "by"), check_fields(allow, "allow")
    evidence = hold(collect([str(ref) for ref in refs], Path(runs), list(task)), load(), fields, further)
    place = Path(out) if out is not None else (evidence.study.folder if evidence.study is not None else Path(runs)) / "report"
    return write(evidence, place).page


def _outcome(config: RunConfig | None, fields: Mapping[str, Any], progress: bool, **how: Any) -> Outcome:
    """What the runner gives, as `bench.cli.run` calls it."""
    from bench.runner import run as run_arm
    from bench.steps.names import check
    from bench.steps.threads import settle_threads

    registry, whole = load(), _configured(config, fields)
    check(whole, registry, resuming=how.get("resume") is not None)
    settle_threads(os.environ)
    return run_arm(whole, registry, console=_console(progress), **how)


def _configured(config: RunConfig | None, fields: Mapping[str, Any]) -> RunConfig:
    given = {name: _plain(value) for name, value in fields.items()}
    return from_mapping(replacing(given), "bench.run", config)


def _package(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        raise MissingError(f"Its data frames need {name}, which is not installed.", f"pip install {name}") from None


def _plain(value: Any) -> Any:
    """Paths as text, which a configuration holds."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def _console(progress: bool) -> Reporter:
    if not progress:
        return SilentReporter()
    from bench.cli.console import RichReporter

    return RichReporter()


def _leaves(scores: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float, Any]]:
    """Dotted path, value and interval of every number."""
    for key, value in scores.items():
        path = f"{prefix}.{key}" if prefix else key
        if isinstance(value, Mapping):
            yield from _leaves(value, path)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            yield path, float(value), scores.get("ci95") if key == "f1" else None


__all__ = ["RunFields", "RunResult", "Runs", "StudyResult", "compare", "plan", "run", "runs", "score", "study", "write_report"]
