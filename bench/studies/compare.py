"""Compares runs: first the contract, then the statistics of their differences.

Each pair of arms gives one comparison a task. Scores vary over documents, the unit of the bootstrap and of the permutation test
(`bench.stats.paired`), and over seeds, of which a conclusion needs six (`bench.stats.intervals`). Conclusions are drawn from
the interval over both, after Holm's adjustment for all comparisons that were made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from html import escape
from itertools import combinations
from typing import Any

import numpy as np

from bench.api.task import Task
from bench.errors import ContractError, UsageError
from bench.registry import Registry
from bench.results.display import change, html_table, interval
from bench.results.scores import FlatScores
from bench.results.statistics import Statistics
from bench.stats.across import ROPE, Across, across, meaning
from bench.stats.intervals import LEVEL, MINIMUM_SEEDS, Array, Estimate, Measure, align, estimate, scores, unit_of
from bench.stats.multiplicity import Floor, SeedSpread, Tally, holm, noise_floor, over_seeds, unequal
from bench.stats.paired import RESAMPLES, Paired, paired
from bench.stats.sequential import ONE_LOOK, Look
from bench.studies.arms import Arm, Run, agree, arms_of, measure_of, metrics_of, refuse_changed, tasks_of
from bench.studies.contract import Difference, compared, differences, refuse, training_set
from bench.studies.looks import judged_by
from bench.studies.verdict import MARGIN
from bench.wording import some

TOO_FEW = "not resolved at this number of seeds"
UNRESOLVED = "not resolved"
FOR_ONE_LOOK = (
    "Levels are for one look: comparing again whenever seeds are added finds more than 5% by chance alone. "
    "Plan looks before the first run: bench study --looks."
)
LEAST = 100
"""Resamples that an interval is read off, at least."""


@dataclass(frozen=True)
class ArmScore:
    """What an arm scored on a task, by the dotted path of the metric, over seeds."""

    arm: str
    task: str
    metric: str
    spread: SeedSpread


@dataclass(frozen=True)
class Pair:
    """Two arms on one task. Differences are the second arm's score less the first's.

    Args:
        task: its name.
        metric: dotted path of the score.
        first: name of an arm.
        second: name of the other.
        estimate: the difference, over seeds and documents.
        documents: what the documents alone say.
        documents_p_holm: p of the permutation test, adjusted for all comparisons.
        seeds: interval of the difference over seeds alone.
        tally: seeds that the second arm won, tied and lost.
        conclusion: which arm is better, or that it is not resolved.
    """

    task: str
    metric: str
    first: str
    second: str
    estimate: Estimate
    documents: Paired
    documents_p_holm: float | None
    seeds: SeedSpread
    tally: Tally
    conclusion: str

    @property
    def better(self) -> str | None:
        """The arm that is better; None where that is not resolved."""
        if self.conclusion in (TOO_FEW, UNRESOLVED):
            return None
        return self.second if self.estimate.difference > 0 else self.first


@dataclass(frozen=True)
class Tasks:
    """Two arms over their tasks.

    Args:
        first: name of an arm.
        second: name of the other.
        tally: tasks that the second arm won, tied and lost.
        ties: task to the largest difference of the means over seeds that is a tie: `Floor.tie`.
        across: what the tasks say together; None where there are too few of them, or of seeds.
    """

    first: str
    second: str
    tally: Tally
    ties: dict[str, float]
    across: Across | None = None


@dataclass(frozen=True)
class Comparison:
    """The result of a comparison of runs.

    Args:
        by: the fields that set arms apart.
        split: that was scored.
        arms: name to the ids of its runs.
        scores: of every arm and task.
        pairs: every two arms on every task that both have.
        tasks: every two arms over the tasks that they share.
        floors: task to its noise floor.
        differences: what else the runs differ in, all of it allowed.
        notes: what a reader must know.
        synthetic: whether any run's text was generated.
        resamples: of the bootstrap and of the permutation test.
        level: of intervals.
    """

    by: tuple[str, ...]
    split: str
    arms: dict[str, list[str]]
    scores: tuple[ArmScore, ...]
    pairs: tuple[Pair, ...]
    tasks: tuple[Tasks, ...]
    floors: dict[str, Floor]
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]
    synthetic: bool
    resamples: int = RESAMPLES
    level: float = LEVEL

    def to_json(self) -> dict[str, Any]:
        """Every field, JSON-able."""
        return asdict(self)

    def _repr_html_(self) -> str:
        rows = [
            (
                *(pair.task, pair.metric, pair.first, pair.second, change(pair.estimate.difference)),
                interval(pair.estimate.low, pair.estimate.high, pair.estimate.seeds),
                pair.conclusion,
            )
            for pair in self.pairs
        ]
        columns = ("task", "metric", "first", "second", "second less first", "interval", "conclusion")
        table = html_table(f"Compared by {', '.join(self.by)}, on {self.split}", columns, rows, self.synthetic)
        together = [meaning(tasks.across, tasks.first, tasks.second) for tasks in self.tasks if tasks.across is not None]
        return table + "".join(f"<p>{escape(text)}</p>" for text in together)


def compare(
    runs: Sequence[Run],
    registry: Registry,
    *,
    by: Sequence[str] = (),
    metric: str | None = None,
    split: str = "test",
    allow: Sequence[str] = (),
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    look: Look = ONE_LOOK,
    rope: float = ROPE,
    seed: int = 0,
    tell: Callable[[str], None] = lambda what: None,
) -> Comparison:
    """Compares arms of runs, pair by pair.

    Args:
        runs: two or more.
        registry: knows the tasks, whose scorers are needed.
        by: fields that set arms apart; the choices in which the runs differ where empty.
        metric: dotted path of a score; each task's primary metric where None.
        split: that is compared.
        allow: fields beyond `by` that may differ.
        resamples: of the bootstrap and of the permutation test.
        level: of intervals.
        look: of several: intervals have its level, and p is that over all looks.
        rope: differences up to it count as none where a further task is looked ahead to, in the metric's own unit.
        seed: of the resampling.
        tell: called with what is being worked at.

    Raises:
        ContractError: they differ in what was not allowed, share no task, or changed since they were written.
        RunStateError: a run has no statistics, or damaged ones.
        UsageError: fewer than two runs, a name that means nothing, too few resamples, or a `rope` that is not above 0.
    """
    if not rope > 0:
        raise UsageError(f"The region of practical equivalence is {rope:g}; it must be above 0.", "Try 0.01, a point of F.")
    if split not in ("test", "dev"):
        raise UsageError(f"The split is {split!r}; it must be test or dev.")
    if resamples < LEAST:
        raise UsageError(f"The number of resamples is {resamples}; it must be at least {LEAST}.")
    if len(runs) < 2:
        raise UsageError(f"A comparison wants two runs or more; got {len(runs)}.", "Name another run, or a folder of runs.")
    if "changed" not in allow:
        refuse_changed(runs)
    conclusive, level = level, level if look.alone else look.level
    run_facts = [run.facts for run in runs]
    fields = tuple(by) or compared(run_facts)
    arms = arms_of(runs, fields)
    _share_a_task(arms)
    differing = differences(run_facts, fields, allow)
    refuse(differing, fields, () if by or "tasks" not in fields else dict.fromkeys(task for run in runs for task in run.tasks))
    tasks = tasks_of(runs, registry)
    example_scores = {name: _some_scores(runs, name) for name in tasks}
    metrics = metrics_of(tasks, example_scores, metric)
    notes = _notes(arms, fields, bool(by))
    tables = _Tables(tasks, metrics, split, strict="changed" not in allow)
    arm_scores, floors = [], {}
    for task, path in metrics.items():
        tell(f"scores of {task}")
        floors[task], unlike = tables.noise(task, arms)
        notes += unlike
        for arm in (arm for arm in arms if task in arm.tasks):
            arm_scores.append(ArmScore(arm.name, task, path, over_seeds(tables.scores(task, arm), level)))
    pairs = []
    shared = [(a, b, task) for a, b in combinations(arms, 2) for task in metrics if task in a.tasks and task in b.tasks]
    for first, second, task in shared:
        tell(f"{second.name} against {first.name} on {task}")
        pairs.append(tables.pair(task, first, second, resamples, level, len(shared), seed))
    pairs = _concluded(pairs, conclusive, look)
    notes += _cautions(pairs)
    if any(pair.estimate.seeds >= MINIMUM_SEEDS for pair in pairs):
        notes += one_look(runs)
    by_task = []
    for first, second in combinations(arms, 2):
        between = [pair for pair in pairs if (pair.first, pair.second) == (first.name, second.name)]
        ties = {pair.task: floors[pair.task].tie(pair.estimate.seeds, MARGIN) for pair in between}
        if between:
            scored = [tables.paired_scores(pair.task, first, second) for pair in between]
            firsts, seconds = [one for one, _ in scored], [two for _, two in scored]
            estimates = {pair.task: pair.estimate for pair in between}
            together = across(estimates, firsts, seconds, level=level, rope=rope, seed=seed)
            tally = Tally.of([pair.estimate.difference for pair in between], ties.values())
            by_task.append(Tasks(first.name, second.name, tally, ties, together))
    return Comparison(
        fields,
        split,
        {arm.name: [run.result.id for run in arm.runs] for arm in arms},
        tuple(arm_scores),
        tuple(pairs),
        tuple(by_task),
        floors,
        tuple(differing),
        tuple(notes),
        any(run.result.synthetic for run in runs),
        resamples,
        level,
    )


class _Tables:
    """Reads each run's statistics of a split once; `metrics` gives the score that is compared on each task.

    If `strict`, statistics that do not give the score which the result states are refused.
    """

    def __init__(self, tasks: dict[str, Task], metrics: dict[str, str], split: str, strict: bool) -> None:
        self._split = split
        self._strict = strict
        self._metrics = metrics
        self._measures: dict[str, Measure] = {name: measure_of(tasks[name], path) for name, path in metrics.items()}
        self._read: dict[tuple[str, str], Statistics] = {}

    def of(self, task: str, run: Run) -> Statistics:
        """Statistics of a run, checked against the score of its result."""
        key = task, str(run.folder)
        if key not in self._read:
            statistics = run.statistics(task, self._split)
            if self._strict:
                agree(run, statistics, self._metrics[task], self._measures[task])
            self._read[key] = statistics
        return self._read[key]

    def by_seed(self, task: str, arm: Arm) -> dict[int, Statistics]:
        """Seed to statistics."""
        return {seed: self.of(task, run) for seed, run in arm.by_seed().items()}

    def scores(self, task: str, arm: Arm) -> Any:
        """One score a seed."""
        return np.array([self._score(task, run) for run in arm.by_seed().values()])

    def paired_scores(self, task: str, first: Arm, second: Arm) -> tuple[Array, Array]:
        """The scores of both arms at the seeds that both have, of shape (seeds,) each."""
        one, two = first.by_seed(), second.by_seed()
        seeds = [seed for seed in one if seed in two]
        both = [np.array([self._score(task, runs[seed]) for seed in seeds]) for runs in (one, two)]
        return both[0], both[1]

    def _score(self, task: str, run: Run) -> float:
        return float(self._measures[task](self.of(task, run).sums()))

    def noise(self, task: str, arms: Sequence[Arm]) -> tuple[Floor, list[str]]:
        """The noise floor of a task, and notes on replicates that are not identical."""
        having = [arm for arm in arms if task in arm.tasks]
        groups: dict[tuple[str, int], list[Run]] = {}
        for arm in having:
            for run in arm.runs:
                groups.setdefault((arm.name, run.seed), []).append(run)
        repeated = {key: group for key, group in groups.items() if len(group) > 1}
        if any(run.facts["device"] != "cpu" for arm in having for run in arm.runs):
            floor = noise_floor([[self._score(task, run) for run in group] for group in repeated.values()], "replicates")
            # Without replicates, or where they are equal, what seeds change is left, which holds what replicates would.
            return floor if floor.sd else noise_floor([self.scores(task, arm).tolist() for arm in having], "seeds"), []
        unlike = unequal({key: [self.of(task, run).rows for run in group] for key, group in repeated.items()})
        notes = [
            f"Replicates of {name}, seed {seed}, are not identical on {task}, though they ran on a CPU: threads, instruction "
            "set or packages differ, or something is wrong."
            for name, seed in unlike
        ]
        if repeated and not unlike:
            notes.append(f"Replicates are identical on {task} ({len(repeated)} checked), as they must be on a CPU.")
        return noise_floor([self.scores(task, arm).tolist() for arm in having], "seeds"), notes

    def pair(self, task: str, first: Arm, second: Arm, resamples: int, level: float, family: int, seed: int) -> Pair:
        """Two arms on a task, before any adjustment."""
        measure = self._measures[task]
        by_seed_first = self.by_seed(task, first)
        first_table, second_table, names, _ = align(by_seed_first, self.by_seed(task, second))
        by_seed = scores(second_table, names, measure) - scores(first_table, names, measure)
        return Pair(
            task,
            self._metrics[task],
            first.name,
            second.name,
            estimate(first_table, second_table, names, measure, level=level, family=family, unit=unit_of(by_seed_first)),
            paired(first_table, second_table, names, measure, resamples=resamples, level=level, seed=seed),
            None,
            over_seeds(by_seed, level),
            Tally.of(by_seed.tolist()),
            UNRESOLVED,
        )


def _concluded(pairs: Sequence[Pair], level: float, look: Look) -> list[Pair]:
    """Pairs with p values adjusted for all of them and for all looks, and their conclusions."""
    combined = holm([look.adjusted(pair.estimate.p) for pair in pairs], 1 - level)
    documents = holm([look.adjusted(pair.documents.p) for pair in pairs], 1 - level)
    concluded = []
    for pair, p, p_documents in zip(pairs, combined, documents, strict=True):
        if pair.estimate.seeds < MINIMUM_SEEDS:
            conclusion = TOO_FEW
        elif p is not None and p < 1 - level:
            conclusion = f"{pair.second if pair.estimate.difference > 0 else pair.first} is better"
        else:
            conclusion = UNRESOLVED
        concluded.append(
            replace(pair, estimate=replace(pair.estimate, p_holm=p), documents_p_holm=p_documents, conclusion=conclusion)
        )
    return concluded


def _cautions(pairs: Sequence[Pair]) -> list[str]:
    """What to say of each task whose units are parts of longer texts: the largest design effect of its comparisons."""
    widest: dict[str, Estimate] = {}
    for pair in pairs:
        known = widest.setdefault(pair.task, pair.estimate)
        if (pair.estimate.design_effect or 0.0) > (known.design_effect or 0.0):
            widest[pair.task] = pair.estimate
    return [f"{task}: {estimate.caution}" for task, estimate in widest.items() if estimate.caution]


def one_look(runs: Sequence[Run]) -> list[str]:
    """What to know of looking repeatedly: that it is not covered, and which studies judged some of these runs already."""
    judged = judged_by({run.id for run in runs}, {run.folder.parent for run in runs})
    already = [f"Judged already: {'; '.join(judged)}."] if judged else []
    return [" ".join([FOR_ONE_LOOK, *already])]


def _share_a_task(arms: Sequence[Arm]) -> None:
    if len(arms) == 1 or any(set(a.tasks) & set(b.tasks) for a, b in combinations(arms, 2)):
        return
    tasks = "; ".join(f"{arm.runs[0].result.id} is of {', '.join(arm.tasks)}" for arm in arms[:3])
    raise ContractError(
        f"These runs are of different tasks and share none: {tasks}.", "Compare runs that have a task in common."
    )


def _some_scores(runs: Sequence[Run], task: str) -> FlatScores:
    return next((run.result.scores[task].trained for run in runs if task in run.result.scores), {})


def _notes(arms: Sequence[Arm], fields: Sequence[str], named: bool) -> list[str]:
    configs = [run.result.config for arm in arms for run in arm.runs]
    drawn = all(config.get("train_resample") is not None or config.get("shots") for config in configs)
    notes = [training_set(drawn)] if len(arms) > 1 else []
    older = sum(run.standing.manifest == "older" and run.result.imported is None for arm in arms for run in arm.runs)
    if older:
        notes.append(f"Of {some(older, 'run')} nothing says whether files changed: an older bench wrote no manifest.")
    if len(arms) == 1:
        notes.append("The runs differ in nothing but their seeds or replicates: there is nothing to compare but luck.")
    if len(fields) > 1 and not named:
        notes.append(f"The arms differ in {' and '.join(fields)} at once: no difference can be put down to one of them.")
    for first, second in combinations(arms, 2):
        if not set(first.tasks) & set(second.tasks):
            continue
        alone = sorted(set(first.by_seed()) ^ set(second.by_seed()))
        if alone and set(first.by_seed()) & set(second.by_seed()):
            seeds = f"Seed {alone[0]} is" if len(alone) == 1 else f"Seeds {', '.join(map(str, alone))} are"
            notes.append(f"{seeds} in one of {first.name} and {second.name} only, and left out.")
    return notes
