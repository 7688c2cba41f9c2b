"""The commands as functions."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bench.config import RunConfig
from bench.errors import UsageError
from bench.library.fields import Place, RunFields, configured, plain
from bench.library.reporters import reporter, watcher
from bench.library.results import RunResult, Runs, StudyResult
from bench.registry import load as installed
from bench.results.store import find_run
from bench.steps.names import ready
from bench.studies.arms import read_runs

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from bench.kit.prepare import Prepared
    from bench.runner import Outcome
    from bench.studies.compare import Comparison
    from bench.studies.power import PowerPlan


def run(
    config: RunConfig | None = None, *, resume: str | None = None, progress: bool = False, **fields: Unpack[RunFields]
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
    """The plan of a run, as ``bench run --dry-run --json`` prints it: budget, data, parity, estimates. Leaves no run behind.

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
        UsageError: nothing carries a name, or a folder holds no run.
        RunStateError: no run of a folder is finished, or a result cannot be read.
    """
    finished, notes = read_runs([str(ref) for ref in refs or (out,)], Path(out))
    return Runs([RunResult(run.folder, run.result) for run in finished], notes)


def load(ref: Place, *, out: Place = "runs") -> RunResult:
    """One finished run.

    Args:
        ref: its id, the beginning of it, or its folder.
        out: where ids are looked for.

    Raises:
        UsageError: nothing or several carry the name.
        RunStateError: the run did not finish.
    """
    return RunResult.read(find_run(str(ref), Path(out)))


def compare(
    results: Runs | Sequence[RunResult],
    *,
    by: Sequence[str] = (),
    metric: str | None = None,
    split: Literal["test", "dev"] = "test",
    allow: Sequence[str] = (),
    resamples: int = 10_000,
    rope: float = 0.01,
) -> Comparison:
    """Compares runs, as ``bench compare`` does: refuses runs that may not be compared, then paired statistics.

    Args:
        results: two runs or more.
        by: fields that set arms apart, such as ``arch``; the choices in which the runs differ where empty.
        metric: dotted path of a score; each task's primary metric where None.
        split: that is compared.
        allow: fields beyond `by` that may differ.
        resamples: of the bootstrap and of the permutation test.
        rope: differences that count as none on a further task, in the metric's own unit.

    Raises:
        ContractError: they differ in what was not allowed, or share no task.
        UsageError: fewer than two runs, a name that means nothing, or too few resamples.
    """
    from bench.studies.compare import compare as compare_runs
    from bench.studies.contract import check_fields

    fields, further = check_fields(by, "by"), check_fields(allow, "allow")
    return compare_runs(
        *(results, installed()), by=fields, metric=metric, split=split, allow=further, resamples=resamples, rope=rope
    )


def plan_power(
    results: Runs | Sequence[RunResult] = (),
    *,
    effect: float,
    power: float = 0.8,
    margin: float = 0.01,
    family: int | None = None,
    looks: Sequence[int] = (),
    spending: Literal["obrien-fleming", "pocock"] = "obrien-fleming",
    seeds_sd: float | None = None,
    documents_sd: float | None = None,
    documents: int | None = None,
    by: Sequence[str] = (),
    metric: str | None = None,
    split: Literal["test", "dev"] = "test",
    allow: Sequence[str] = (),
) -> tuple[PowerPlan, ...]:
    """How many seeds and documents find a difference, as ``bench plan-power`` says it; one plan a difference.

    Args:
        results: finished runs of two arms or more, with two seeds each at least; none where the variances are stated.
        effect: the true difference to be found, in the metric's own unit.
        power: how often it shall be found.
        margin: of equivalence, in the same unit.
        family: questions asked at once; as many as the runs answer, or 1, where None.
        looks: planned numbers of seeds at which a study is judged.
        spending: form of the error rate spent over the looks.
        seeds_sd: standard deviation over seeds of the difference of two runs.
        documents_sd: standard deviation over documents of what each adds to the difference.
        documents: in the test split; those of the runs where None.
        by: as of `compare`.
        metric: as of `compare`.
        split: as of `compare`.
        allow: as of `compare`.

    Raises:
        BenchError: with the words of the command line.
    """
    from bench.stats.sequential import looks_of_plan, planned_looks
    from bench.studies.contract import check_fields
    from bench.studies.power import Question, pilots_of_runs, power_plan, stated_or_none

    pilots = stated_or_none(seeds_sd, documents_sd, documents)
    if (pilots is None) == (not results):
        raise UsageError(
            f"Power is planned from finished runs or from stated variances; got {'neither' if pilots is None else 'both'}.",
            "Name runs, or state the standard deviations over seeds and over documents, and the number of documents.",
        )
    if pilots is None:
        fields, further = check_fields(by, "by"), check_fields(allow, "allow")
        pilots = pilots_of_runs(results, installed(), fields, metric, split, further)
        if documents is not None:
            pilots = [pilot.with_documents(documents) for pilot in pilots]
    planned = looks_of_plan(planned_looks(looks, max(looks)), spending) if looks else ()
    question = Question(effect, power, margin, family if family is not None else len(pilots), planned)
    return tuple(power_plan(pilot, question) for pilot in pilots)


def study(
    kind: str,
    config: RunConfig | None = None,
    *,
    seeds: int | None = None,
    looks: Sequence[int] = (),
    spending: Literal["obrien-fleming", "pocock"] = "obrien-fleming",
    arms: Sequence[str] = (),
    sets: Sequence[str] = (),
    grid: Mapping[str, Sequence[Any]] | None = None,
    margin: float = 0.01,
    jobs: int = 1,
    launcher: Literal["local", "ray", "slurm"] = "local",
    options: Sequence[str] = (),
    kind_options: Mapping[str, int | float | str] | None = None,
    targets: Sequence[str] = (),
    shot_counts: Sequence[int] = (),
    resample_train: int | None = None,
    dry_run: bool = False,
    progress: bool = False,
    **fields: Unpack[RunFields],
) -> StudyResult:
    """Runs a study to its end, as ``bench study`` does; the same call again goes on where it was stopped.

    Args:
        kind: what is compared with what, as ``bench list studies`` shows it; see docs/studies.md.
        config: what the fields are laid over; the defaults where None.
        seeds: runs of each sort that differ in their seed, by default 6 or those of the last look; `seed` is the first.
        looks: numbers of seeds at which it is judged, and ends if nothing is open; only at all of them where empty.
        spending: form of the error rate spent over the looks.
        arms: of an ablation: architectures; A1 to A4 where empty.
        sets: of an ablation: domains, or tasks joined by +.
        grid: of a sweep: field to its values.
        margin: of equivalence, in the metric's own unit.
        jobs: runs at once.
        launcher: where runs go.
        options: of the launcher, ``KEY=VALUE`` each.
        kind_options: of the kind itself, by name.
        targets: of a study of unseen tasks: those that are not trained on first.
        shot_counts: of the same: numbers of training documents; the field `shots` where there is one.
        resample_train: so many seeds instead, each on a random half of the training documents of its own.
        dry_run: plan its runs and estimate their tokens, time and memory, and leave no study behind.
        progress: whether progress and warnings are printed.
        fields: what all runs share, see `RunFields`; `name` and `max_hours` are the study's.

    Raises:
        BenchError: with the words of the command line; also where runs failed or may not be compared.
    """
    from bench.launchers import check
    from bench.studies.conduct import conduct, estimate
    from bench.studies.request import StudyConfig, planned
    from bench.studies.study import open_study

    check(launcher, jobs)
    registry, base = installed(), configured(config, fields)
    if base.study is not None:
        raise UsageError("study is for one run; a study is named by name, and goes on when it is called again.")
    own_options = {name: str(value) for name, value in (kind_options or {}).items()}
    request = StudyConfig(
        *(kind, base, arms, plain(grid), shot_counts, looks, seeds, tuple(sets), tuple(targets), margin, spending, own_options),
        resample_train,
    )
    opened = open_study(planned(request, registry, os.environ))
    if dry_run:
        estimate(opened, registry, watcher(progress))
        return StudyResult(opened)
    problem = conduct(opened, registry, watcher(progress), launcher, jobs, options, base.max_hours)
    if problem is not None:
        raise problem
    return StudyResult(opened)


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

    return score_files(task, Path(gold), Path(pred), installed(), tolerate)


def prepare(task: str, release: Place, out: Place, tolerate: Sequence[str] = ()) -> Prepared:
    """Arranges the release of a task's corpus in the layout that ``data`` wants, as ``bench data prepare`` does.

    Args:
        task: its name, such as ``2015-T14``.
        release: an archive or a folder as the corpus is published; only read.
        out: the folder to be made, new or empty.
        tolerate: kinds of faulty lines that the check lets pass.

    Raises:
        DataError: the release cannot be read, or the task's loader refuses it.
        UsageError: no such task, or one that does not know its release; or the folder holds something.
    """
    from bench.kit.prepare import prepare as prepare_release

    return prepare_release(installed().get("tasks", task), Path(release), Path(out), tolerate)


def report(
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
        UsageError: nothing carries a name.
    """
    from bench.pages.write import hand_over
    from bench.pages.write import report as write_report
    from bench.studies.contract import check_fields

    fields, further = check_fields(by, "by"), check_fields(allow, "allow")
    place = None if out is None else Path(out)
    registry = installed()
    written = write_report([str(ref) for ref in refs], Path(runs), registry, place, task, fields, further)
    hand_over(written, registry)
    return written.page


def _outcome(config: RunConfig | None, fields: Mapping[str, Any], progress: bool, **how: Any) -> Outcome:
    registry = installed()
    whole = ready(configured(config, fields), registry, os.environ, resuming=how.get("resume") is not None)
    from bench.runner import run as run_arm  # after threads are settled: it imports torch

    return run_arm(whole, registry, console=reporter(progress), **how)
