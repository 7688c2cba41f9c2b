"""Pools a study over sites: what every contrast comes to at each site, over the sites, and how far they disagree.

A site with a problem is named and left out. Of the kind ``token-control`` the contrasts are the multi-task run against each
task alone, at equal total and at the task's own tokens, and the pooled intervals give a verdict; of other kinds every two arms.

Where the study planned looks, the pool is a look too, at the seeds that all sites have, and is held to the level of that look.
The levels of a plan hold 5% over all of its looks whatever makes a site go on, as long as every pool is at a look of the plan.
Something is concluded only where all sites stand at the same look: others ended where their own data pleased.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

from bench.errors import ContractError, UsageError
from bench.pooling.checks import Site, held_together, read_site
from bench.pooling.share import SharedRun
from bench.registry import Registry
from bench.results.statistics import Statistics
from bench.sealed import read_sealed
from bench.stats.intervals import LEVEL, MINIMUM_SEEDS, Measure, align, estimate, scores, unit_of
from bench.stats.multiplicity import holm
from bench.stats.pooled import PooledDifference, pooled, tie_groups
from bench.stats.sequential import ALPHA, Look, Spending
from bench.studies.arms import measure_of
from bench.studies.looks import NOTHING_LEFT, UNRESOLVED, resolved_at, summary
from bench.studies.verdict import MARGIN, TaskVerdict, judge
from bench.wording import some

CONTROL = {"total": "equal total", "share": "own tokens"}
"""Roles of the kind ``token-control`` that the role ``multi`` is held against."""


@dataclass(frozen=True)
class Contrast:
    """Two arms on a task. Differences are the second arm's score less the first's.

    Args:
        task: its name.
        first: name of an arm.
        second: name of the other.
        group: set of tasks that both were trained on, where the study has several.
        metric: dotted path of the score.
        difference: at every site, and over them.
    """

    task: str
    first: str
    second: str
    group: str | None
    metric: str
    difference: PooledDifference

    @property
    def name(self) -> str:
        """Both arms, as ``A2 − A1``."""
        if self.first in CONTROL:
            return f"multi-task − alone, {CONTROL[self.first]}"
        return f"{self.second} − {self.first}" + (f" ({self.group})" if self.group else "")

    @property
    def better(self) -> str | None:
        """The arm that is better at these sites; None where that is not resolved."""
        over = self.difference.estimate
        if over.seeds < MINIMUM_SEEDS or over.p_holm is None or over.p_holm >= 1 - LEVEL:
            return None
        return self.second if over.difference > 0 else self.first


@dataclass(frozen=True)
class Pool:
    """A study pooled over sites.

    Args:
        kind: of the study.
        sites: all that were given, those with problems too.
        contrasts: over the sites without.
        verdicts: of the kind ``token-control``, one a task.
        ties: task, and group, to its arms from the best down in groups that are not told apart.
        means: task, and group, to the mean score of each arm, weighted by documents.
        registered: names of the sites that registered their corpora beforehand.
        margin: of equivalence.
        look: at the seeds that are pooled.
        absent: names of the sites that registered and are not among those that were given.
    """

    kind: str
    sites: tuple[Site, ...]
    contrasts: tuple[Contrast, ...]
    verdicts: tuple[TaskVerdict, ...]
    ties: Mapping[str, Sequence[tuple[str, ...]]]
    means: Mapping[str, Mapping[str, float]]
    registered: tuple[str, ...]
    margin: float
    look: Look
    absent: tuple[str, ...] = ()

    @property
    def apart(self) -> bool:
        """Whether the sites stand at different looks, so that nothing is concluded."""
        return _apart(self.sound)

    @property
    def missing(self) -> list[str]:
        """A sentence for every site that registered and was not given."""
        return [
            f"{name} registered its corpora, and no site of that name is here. Ask why it is missing." for name in self.absent
        ]

    @property
    def looks(self) -> list[str]:
        """What a reader must know of the looks, in sentences; empty of a study with one look."""
        said = []
        if self.apart:
            stand = ", ".join(f"{site.name} at {site.stands}" for site in self.sound)
            said.append(
                f"The sites stand at different looks ({stand} of {some(self.look.total, 'seed')}), so nothing is concluded. "
                f"Differences are those of the first {some(self.look.seeds[-1], 'seed')}, which all sites have."
            )
        return said if self.look.alone else [*said, summary(self.look)]

    @property
    def sound(self) -> tuple[Site, ...]:
        """The sites that are pooled."""
        return tuple(site for site in self.sites if not site.problems)

    def to_json(self) -> dict[str, Any]:
        """Every figure, JSON-able."""
        return {
            "kind": self.kind,
            "margin": self.margin,
            "look": {"seeds": self.look.seeds[-1], "total": self.look.total, "level": self.look.alpha},
            "absent": list(self.absent),
            "notes": [*self.missing, *self.looks],
            "sites": [
                {
                    "site": site.name, "path": str(site.path), "problems": list(site.problems), "documents": site.documents,
                    "runs": len(site.manifests), "plan": site.plan, "code": site.code, "data": dict(site.data),
                    "registered": site.name in self.registered, "synthetic": bool(site.about.get("synthetic")),
                    "seeds": site.stands if site.about else None,
                }
                for site in self.sites
            ],
            "contrasts": [
                {
                    "task": c.task, "first": c.first, "second": c.second, "group": c.group, "metric": c.metric,
                    "better": c.better, **c.difference.to_json(),
                }
                for c in self.contrasts
            ],
            "verdicts": [verdict.to_json() for verdict in self.verdicts],
            "ties": {key: [list(group) for group in groups] for key, groups in self.ties.items()},
            "means": {key: dict(means) for key, means in self.means.items()},
        }  # fmt: skip


def pool(paths: Sequence[Path], registry: Registry, registrations: Sequence[Path] = ()) -> Pool:
    """Reads sites, checks them, and pools those without a problem.

    Args:
        paths: folders or zip files of sites, one or more.
        registry: knows the tasks, whose scorers turn statistics into scores.
        registrations: what sites registered before the study.

    Raises:
        UsageError: a path holds no site, or a registration was changed.
        ContractError: every site has a problem; they are named.
    """
    if not paths:
        raise UsageError(
            "A pool wants sites; got none.", "bench pool SITE SITE, each a folder or zip file of 'bench pool pack'."
        )
    registered: dict[str, Mapping[str, Any]] = {}
    for path in registrations:
        known = read_sealed(path)
        data = None if known is None else known.get("data")
        if known is None or not isinstance(data, dict) or not all(isinstance(corpus, dict) for corpus in data.values()):
            raise UsageError(
                f"{path} is no registration, or was changed since it was written.", "'bench pool register' writes one."
            )
        name = str(known.get("site"))
        if registered.setdefault(name, known) != known:
            raise UsageError(f"{name} registered twice, and not the same corpora.", "Name the one that came first.")
    sites = held_together([read_site(path, lambda name: registry.get("tasks", name)) for path in paths], registered)
    sound = [site for site in sites if not site.problems]
    if not sound:
        named = "; ".join(f"{site.name}: {site.problems[0]}" for site in sites[:4])
        raise ContractError(
            f"None of {some(len(sites), 'site')} can be pooled: {named}", "Ask the sites to pack their studies again."
        )
    planned = sound[0].about["settings"].get("margin")
    margin = MARGIN if planned is None else float(planned)  # 0 is a margin too: nothing is equal then
    control = sound[0].about["kind"] == "token-control"
    apart = _apart(sound)
    verdicts: dict[str, TaskVerdict] = {}
    for look in _looks(sound):
        contrasts, means = _contrasts(sound, registry, look)
        for verdict in _verdicts(contrasts, means, margin, look) if control and not apart else ():
            if verdict.task not in verdicts or verdicts[verdict.task].kind == UNRESOLVED:  # what an earlier look resolved stays
                verdicts[verdict.task] = verdict
    if apart:  # no adjusted p, so that no arm is called better
        contrasts = [_adjusted(contrast, None) for contrast in contrasts]
    ties = {} if control or apart else _ties(contrasts, means)
    here = {site.name for site in sites}
    return Pool(
        str(sound[0].about["kind"]), tuple(sites), tuple(contrasts), tuple(verdicts.values()), ties, means,
        tuple(s.name for s in sites if s.name in registered), margin, look,
        tuple(name for name in registered if name not in here),
    )  # fmt: skip


def _apart(sites: Sequence[Site]) -> bool:
    return len({site.stands for site in sites}) > 1


def _looks(sites: Sequence[Site]) -> list[Look]:
    """The looks that all sites had. Of what was spent elsewhere on their runs the most that was at any site counts."""
    settings, plan = sites[0].about["settings"], sites[0].plan_looks
    seeds = [count for count in plan if count <= min(site.stands for site in sites)]
    spent = [max(site.elsewhere.get(count, 0.0) for site in sites) for count in seeds]
    budgets = tuple(1 - gone / ALPHA for gone in spent)
    spending: Spending = settings.get("spending") or "obrien-fleming"
    return [Look(tuple(seeds[: i + 1]), plan[-1], len(plan), spending, budgets[: i + 1]) for i in range(len(seeds))]


def _arms(runs: Sequence[SharedRun]) -> dict[str, str]:
    """Key of a run to the name of its arm: role and architecture, each where there are several, and then what else differs."""
    several = [len({getattr(run, name) for run in runs}) > 1 for name in ("role", "arm")]
    named: dict[str, list[SharedRun]] = {}
    for run in runs:
        words = [*([run.role] * several[0]), *([run.arm] * (several[1] or not several[0]))]
        named.setdefault(" ".join(words), []).append(run)
    return {run.key: " ".join([name, *rest]) for name, group in named.items() for run, rest in _unlike(group)}


def _unlike(runs: Sequence[SharedRun]) -> Iterator[tuple[SharedRun, list[str]]]:
    """Runs of one role and architecture, each with the settings that tell it from those that were scored beside it."""
    fields: dict[str, None] = {}
    for one, other in combinations(runs, 2):
        a, b = one.identity["config"], other.identity["config"]
        if (one.seed, one.group) == (other.seed, other.group) and {*a["task"]} & {*b["task"]}:
            fields |= dict.fromkeys(name for name in (*a, *(b.keys() - a.keys())) if a.get(name) != b.get(name))
    for run in runs:
        values = ((name, run.identity["config"].get(name)) for name in fields)
        yield run, ["+".join(map(str, value)) if name == "task" else f"{name}={value}" for name, value in values]


def _contrasts(sites: Sequence[Site], registry: Registry, look: Look) -> tuple[list[Contrast], dict[str, dict[str, float]]]:
    by_site = {site.name: _tables(site, look.seeds[-1]) for site in sites}
    first = by_site[sites[0].name]
    control = sites[0].about["kind"] == "token-control"
    asked = []
    for task, group in first:
        arms = [*first[task, group]]
        pairs = [(role, "multi") for role in CONTROL if role in arms and "multi" in arms] if control else combinations(arms, 2)
        asked += [(task, group, one, other) for one, other in pairs]
    metrics = {task: registry.get("tasks", task).metadata.primary_metric for task, _ in first}
    measures: dict[str, Measure] = {task: measure_of(registry.get("tasks", task), metric) for task, metric in metrics.items()}
    contrasts = []
    for task, group, one, other in asked:
        at_site = {}
        for name, tables in by_site.items():
            a, b, names, _ = align(tables[task, group][one], tables[task, group][other])
            unit = unit_of(tables[task, group][other])
            at_site[name] = estimate(a, b, names, measures[task], level=look.level, family=len(asked), unit=unit)
        over = pooled(at_site, level=look.level, family=len(asked))
        contrasts.append(Contrast(task, one, other, group, metrics[task], over))
    adjusted = holm([look.adjusted(contrast.difference.estimate.p) for contrast in contrasts], 1 - LEVEL)
    contrasts = [_adjusted(contrast, p) for contrast, p in zip(contrasts, adjusted, strict=True)]
    means: dict[str, dict[str, float]] = {}
    for (task, group), arms_of in first.items():
        for arm in arms_of:
            rows = [tables[task, group][arm] for tables in by_site.values()]
            means.setdefault(_place(task, group), {})[arm] = _mean(rows, measures[task])
    return contrasts, means


def _adjusted(contrast: Contrast, p: float | None) -> Contrast:
    """A contrast with its p adjusted for all of them."""
    difference = contrast.difference
    return replace(contrast, difference=replace(difference, estimate=replace(difference.estimate, p_holm=p)))


def _tables(site: Site, seeds: int) -> dict[tuple[str, str | None], dict[str, dict[int, Statistics]]]:
    """Task and group to arm to seed to statistics, of the first seeds of the plan."""
    tables: dict[tuple[str, str | None], dict[str, dict[int, Statistics]]] = {}
    first = site.seeds[:seeds]
    kept = [run for run in site.runs if run.run is not None and not run.trial and run.seed in first]
    arms = _arms(kept)
    for run in kept:
        for (ident, task), statistics in site.statistics.items():
            if ident == run.run:
                tables.setdefault((task, run.group), {}).setdefault(arms[run.key], {})[run.seed] = statistics
    return tables


def _mean(sites: Sequence[Mapping[int, Statistics]], measure: Measure) -> float:
    values, weights = [], []
    for by_seed in sites:
        table, _, names, _ = align(by_seed, by_seed)
        values.append(float(scores(table, names, measure).mean()))
        weights.append(table.shape[1])
    return sum(v * w for v, w in zip(values, weights, strict=True)) / sum(weights)


def _place(task: str, group: str | None) -> str:
    return f"{task} ({group})" if group else task


def _ties(contrasts: Sequence[Contrast], means: Mapping[str, Mapping[str, float]]) -> dict[str, list[tuple[str, ...]]]:
    return {
        place: tie_groups(
            arms, {(c.first, c.second): c.better is not None for c in contrasts if _place(c.task, c.group) == place}
        )
        for place, arms in means.items()
        if len(arms) > 1
    }


def _verdicts(
    contrasts: Sequence[Contrast], means: Mapping[str, Mapping[str, float]], margin: float, look: Look
) -> list[TaskVerdict]:
    """The verdict of `bench.studies.verdict`, on what is pooled of these sites."""
    judged = []
    for task in dict.fromkeys(contrast.task for contrast in contrasts):
        by_role = {contrast.first: contrast for contrast in contrasts if contrast.task == task}
        if set(by_role) != set(CONTROL):
            continue
        at_total, at_own = (by_role[role].difference.estimate for role in CONTROL)
        kind, reason = judge(at_total, at_own, margin, look=look)
        if look.exhausted:
            kind, reason = UNRESOLVED, f"{NOTHING_LEFT} Seen alone: {reason}"
        elif kind != UNRESOLVED:
            reason += resolved_at(look)
        reason = " ".join(filter(None, (reason, at_total.caution)))
        multi, total, own = (means[task][role] for role in ("multi", *CONTROL))
        judged.append(TaskVerdict(task, kind, reason, by_role["total"].metric, multi, total, own, at_total, at_own))
    return judged
