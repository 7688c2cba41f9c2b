"""The task × task matrix of gain and harm, and whether alike tasks gain more.

A pair is trained on 2N tokens, N of each task. Compared with the task alone on N tokens (`at_own`), the difference is what the
partner added; against the task alone on 2N tokens (`at_total`) it is what they were worth beside more of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING, Any, ClassVar

from bench.api.study import Request, Statement, StudyKind, StudyRun, Takes, Tone
from bench.errors import UsageError
from bench.wording import some

if TYPE_CHECKING:
    from bench.pages.content import Cell, Figure, Table
    from bench.results.statistics import Statistics
    from bench.stats.intervals import Estimate
    from bench.studies.finished import FinishedStudy
    from bench.studies.similarity import Pair

ALPHA = 0.05
ALIKE = {"labels": "labels (Jaccard)", "vocabulary": "vocabulary (1 − Jensen–Shannon)"}
"""Kinds of similarity, and how they are told."""
NONE = "not defined: fewer than three tasks, or nothing varies"


class Transfer(StudyKind):
    """The gain or harm of every partner for every task."""

    name = "transfer"
    version = "2"  # 1 called gain and harm also from fewer than six seeds
    summary = "what training two tasks together does to each, and whether alike tasks gain more"
    citation = "bench's own design; see docs/studies.md"
    licence = "Apache-2.0"
    margin: ClassVar[bool] = False
    takes: ClassVar[tuple[Takes, ...]] = ("looks",)
    one_rate: ClassVar[bool] = True
    question: ClassVar[str] = "Which of {tasks} gain from each other?"
    roles: ClassVar[Mapping[str, str]] = {"single": "alone", "total": "alone, equal total", "pair": "pair"}
    title: ClassVar[str] = "Transfer"
    words: ClassVar[Mapping[str, str]] = {"at_total": "against alone, equal total", "at_own": "against alone, own share"}

    def plan(self, request: Request) -> list[StudyRun]:
        """Each task alone on N tokens and on 2N, and each pair on 2N, half of them each task's."""
        from bench.config import RunConfig

        tasks = request.several_tasks(self.name)
        tokens = request.token_budget(self.name, "of each task")
        for name in ("sampling", "temperature"):
            if (value := getattr(request.base, name)) != getattr(RunConfig, name):
                why = f"A transfer study gives each task of a pair half of the tokens; got --{name} {value}."
                raise UsageError(why, f"Leave --{name} out.")
        runs = []
        for seed in request.seed_list:
            for task in tasks:
                name = request.names[task]
                runs.append(request.run(f"{name}-s{seed}", "single", (task,), seed=seed))
                runs.append(request.run(f"{name}-total-s{seed}", "total", (task,), seed=seed, tokens=2 * tokens))
            for pair in combinations(tasks, 2):
                label = "+".join(request.names[task] for task in pair)
                changes: dict[str, Any] = {"seed": seed, "tokens": 2 * tokens, "sampling": "uniform"}
                changes["temperature"] = RunConfig.temperature  # it has no meaning for uniform sampling
                runs.append(request.run(f"{label}-s{seed}", "pair", pair, **changes))
        return runs

    def judge(self, finished: FinishedStudy) -> Mapping[str, Any]:
        """Every ordered pair of tasks, and the rank correlation of gain with similarity."""
        from bench.stats.intervals import LEVEL, align, estimate, unit_of
        from bench.stats.multiplicity import holm
        from bench.studies.finished import SPLIT
        from bench.studies.similarity import correlation

        differences = finished.differences(("tasks", "tokens", "sampling"))
        tasks = [*finished.tasks]
        arms = _arms(finished)
        similarity = _similarity(finished)
        ordered = [(task, partner) for task in tasks for partner in tasks if task != partner]
        by_pair: dict[Pair, dict[str, Estimate]] = {}
        for task, partner in ordered:
            by_pair[task, partner] = {}
            for name, role in (("at_own", "single"), ("at_total", "total")):
                alone, together, names, _ = align(arms[role, task, task], arms["pair", task, partner])
                by_pair[task, partner][name] = estimate(
                    alone, together, names, finished.measures[task], level=finished.look.level, family=len(ordered),
                    unit=unit_of(arms["pair", task, partner]),
                )  # fmt: skip
        for name in ("at_own", "at_total"):
            adjusted = holm([finished.look.adjusted(by_pair[pair][name].p) for pair in ordered], 1 - LEVEL)
            for pair, p in zip(ordered, adjusted, strict=True):
                by_pair[pair][name] = replace(by_pair[pair][name], p_holm=p)
        gains = {pair: estimates["at_own"].difference for pair, estimates in by_pair.items()}
        return {
            "split": SPLIT,
            "metrics": finished.metrics,
            "pairs": [
                {
                    "task": task,
                    "partner": partner,
                    "first": "alone",
                    "second": f"with {partner}",
                    **{name: estimated.to_json() for name, estimated in by_pair[task, partner].items()},
                    "similarity": {kind: values[task, partner] for kind, values in similarity.items()},
                }
                for task, partner in ordered
            ],
            "spearman": {kind: correlation(gains, values, tasks) for kind, values in similarity.items()},
            "differences": differences,
        }

    def statements(self, verdict: Mapping[str, Any]) -> list[Statement]:
        """The verdict on every pair at equal total, where the number of tokens is the same."""
        return [_statement(pair) for pair in verdict["pairs"]]

    def tables(self, verdict: Mapping[str, Any]) -> list[Table]:
        """The rank correlations, and every ordered pair."""
        return [table for table in (self._spearman(verdict), self._matrix(verdict)) if table.rows]

    def figures(self, verdict: Mapping[str, Any]) -> list[Figure]:
        """Gain and harm as a matrix, and against how alike the tasks are."""
        from bench.pages.content import Figure, Mark, shown

        pairs = verdict["pairs"]
        cells = tuple(
            Mark(p["task"], p["partner"], panel, value=p[name]["difference"])
            for name, panel in self.words.items()
            for p in pairs
        )
        says = "; ".join(f"{m.x} with {m.y}, {m.panel}: {shown(m.value, 'change')}" for m in cells)
        matrix = Figure(
            "transfer", "Gain and harm", "Score with a partner less the score alone, mean over seeds.",
            f"Gain of a task from a partner. {says}.", "heat", "scored on", "trained with", cells, (),
        )  # fmt: skip
        points = tuple(
            Mark(p["similarity"][kind], p["at_own"]["difference"], ALIKE.get(kind, kind), p["task"], run=f"with {p['partner']}")
            for kind in _kinds(pairs)
            for p in pairs
        )
        if not points:
            return [matrix]
        rho = "; ".join(f"{kind}: {_rho(correlation)}" for kind, correlation in verdict["spearman"].items())
        says = "; ".join(f"{m.group} {m.run}, {m.panel} {shown(m.x, 'score')}: {shown(m.y, 'change')}" for m in points)
        similarity = Figure(
            "similarity", "Gain by similarity",
            f"Score with a partner less the score alone on its own share, against how alike the two are. Spearman: {rho}.",
            f"Gain against similarity. {says}.", "points", "similarity", "gain over alone", points,
            tuple(dict.fromkeys(m.group for m in points)), zero=True,
        )  # fmt: skip
        return [matrix, similarity]

    def _matrix(self, verdict: Mapping[str, Any]) -> Table:
        from bench.pages.content import Column, Table

        pairs = verdict["pairs"]
        kinds = _kinds(pairs)
        columns = (
            Column("task", "task"), Column("partner", "trained with"),
            *(Column(name, f"gain {words}", "change") for name, words in self.words.items()),
            *(Column(kind, ALIKE.get(kind, kind), "score") for kind in kinds),
        )  # fmt: skip
        rows: list[tuple[Cell, ...]] = [
            (
                p["task"],
                p["partner"],
                *(p[name]["difference"] for name in self.words),
                *(p["similarity"][kind] for kind in kinds),
            )
            for p in pairs
        ]
        caption = (
            "Score with the partner less the score alone: on as many tokens in all (equal total), and on as many of its own "
            "(own share); intervals are in the table of differences. Similarity is of the training splits."
        )
        return Table("transfer", "Transfer by pair", caption, columns, tuple(rows))

    def _spearman(self, verdict: Mapping[str, Any]) -> Table:
        from bench.pages.content import Column, Table

        columns = (
            Column("similarity", "similarity"), Column("rho", "Spearman’s ρ", "change"), Column("p", "p", "p"),
            Column("n", "ordered pairs", "count"), Column("note", "note"),
        )  # fmt: skip
        rows: list[tuple[Cell, ...]] = [
            (ALIKE.get(kind, kind), row.get("rho"), row.get("p"), row.get("n"), NONE if row.get("rho") is None else "")
            for kind, row in verdict["spearman"].items()
        ]
        caption = (
            "Of the gain over the task alone on its own share with how alike the tasks are. Pairs that share a task are not "
            "independent: p, two-sided, comes from giving the tasks each other's names."
        )
        return Table("spearman", "Transfer and similarity", caption, columns, tuple(rows))


def _arms(finished: FinishedStudy) -> dict[tuple[str, str, str], dict[int, Statistics]]:
    """Role, task and partner, itself where it is alone, to the statistics of every seed."""
    arms: dict[tuple[str, str, str], dict[int, Statistics]] = {}
    for run in finished.study.runs:
        by_task = finished.statistics(run.key)
        for task, statistics in by_task.items():
            partner = next((other for other in by_task if other != task), task)
            arms.setdefault((run.role, task, partner), {})[run.seed] = statistics
    return arms


def _similarity(finished: FinishedStudy) -> dict[str, dict[Pair, float]]:
    """How alike the tasks are, both ways round, by their labels and by their words.

    Raises:
        DataError: a corpus is not what it was.
    """
    from bench.steps.corpora import read_corpora
    from bench.studies.similarity import jaccard, labels, overlap, words

    runs = finished.study.runs
    folders = {name: folder for run in runs for name, folder in run.config.data.items()}
    seen = {}
    with read_corpora(finished.tasks, replace(runs[0].config, data=folders)) as sources:
        for name, source in sources.items():
            train = source.corpus["train"]
            seen[name] = labels(train), words(train)
    by_labels: dict[Pair, float] = {}
    by_words: dict[Pair, float] = {}
    for first, second in combinations(finished.tasks, 2):
        for pair in ((first, second), (second, first)):
            by_labels[pair] = jaccard(seen[first][0], seen[second][0])
            by_words[pair] = overlap(seen[first][1], seen[second][1])
    return {"labels": by_labels, "vocabulary": by_words}


def _statement(pair: Mapping[str, Any]) -> Statement:
    from bench.pages.content import difference
    from bench.stats.intervals import MINIMUM_SEEDS

    at_total, at_own = pair["at_total"], pair["at_own"]
    p = at_total.get("p_holm")
    verdict: str = "unresolved"
    tone: Tone = "open"
    reason = f"Against alone at equal total {difference(at_total)}; against alone on its own share {difference(at_own)}."
    if at_total["seeds"] < MINIMUM_SEEDS:
        reason += f" A verdict needs at least {MINIMUM_SEEDS} seeds."
    elif p is not None and p < ALPHA:
        verdict, tone = ("gain", "good") if at_total["difference"] > 0 else ("harm", "bad")
    return Statement(f"{pair['task']} with {pair['partner']}", verdict, reason, tone)


def _kinds(pairs: list[Mapping[str, Any]]) -> list[str]:
    return [*dict.fromkeys(kind for pair in pairs for kind in pair.get("similarity", ()))]


def _rho(correlation: Mapping[str, Any]) -> str:
    from bench.pages.content import shown

    pairs = some(correlation.get("n", 0), "pair")
    if correlation.get("rho") is None:
        return f"{NONE} ({pairs})"
    return f"ρ {shown(correlation['rho'], 'change')}, p {shown(correlation.get('p'), 'p')}, {pairs}"
