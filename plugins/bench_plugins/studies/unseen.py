"""The gain of training on other tasks for an unseen task with only a few training documents.

Example, sources ``bc5cdr`` and ``2015-T14``, target ``ncbi-disease``, 8 and 32 documents: for each seed the sources are trained
together once. From that run two runs of the target begin, on 8 and on 32 documents; what the sources share is frozen, and a
fresh head (and a fresh private adapter, where the arm has one) is trained. Beside each runs a fresh start: the same arm, the
same documents, the same tokens, and all of it trained. The difference is what the sources' shared part is worth.

Sources: a frozen shared part and a fresh head as a test of what was learned, Conneau et al. 2017, arXiv:1705.02364; learning
curves over few documents, Howard & Ruder 2018, arXiv:1801.06146.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from bench.api.study import Option, Request, StudyKind, StudyRun, Takes, Tone
from bench.errors import ContractError, UsageError

if TYPE_CHECKING:
    from bench.pages.content import Table
    from bench.results.statistics import Statistics
    from bench.stats.intervals import Estimate
    from bench.studies.finished import FinishedStudy

COMPARED = ("tasks", "tokens", "shots", "init_from", "freeze_shared", "parameters")
"""What the runs differ in by plan: a frozen part trains fewer parameters than a fresh start, and is stamped so."""


class Unseen(StudyKind):
    """A task from the shared part of others against a fresh start, on a few documents."""

    name = "unseen"
    version = "1"
    summary = "a task on few documents: from what other tasks share, frozen, against a fresh start; --source, --target, --shots"
    citation = "bench's own design, after Conneau et al. 2017, arXiv:1705.02364; see docs/studies.md"
    licence = "Apache-2.0"
    takes: ClassVar[tuple[Takes, ...]] = ("targets", "shots", "looks")
    options: ClassVar[Mapping[str, Option]] = {"source-tokens": 0}
    one_rate: ClassVar[bool] = True
    question: ClassVar[str] = "How much is the shared part of other tasks worth with few documents: {tasks}?"
    roles: ClassVar[Mapping[str, str]] = {"source": "sources", "target": "from the sources, frozen", "fresh": "fresh start"}
    title: ClassVar[str] = "An unseen task"
    tones: ClassVar[Mapping[str, Tone]] = {
        "better than a fresh start": "good", "worse than a fresh start": "bad", "no difference": "even", "unresolved": "open",
    }  # fmt: skip
    words: ClassVar[Mapping[str, str]] = {"gain": "from the sources less a fresh start"}

    def plan(self, request: Request) -> list[StudyRun]:
        """The sources together; then, for every target and number of documents, the target from them and the fresh start."""
        sources = [task for task in request.base.task if task not in request.targets]
        for what, values, flag in (
            ("a task to train on first", sources, "--source NAME"),
            ("a task that the sources are not", request.targets, "--target NAME"),
            ("a number of training documents", request.shots, "--shots K, repeated for several"),
        ):
            if not values:
                raise UsageError(f"An unseen study wants {what}; got none.", f"Add {flag}.")
        if request.base.init_from is not None or request.base.freeze_shared:
            raise UsageError("An unseen study says itself what starts from what.", "Leave --init-from and --freeze-shared out.")
        tokens = request.token_budget(self.name, "of every run")
        first = int(request.options["source-tokens"]) or tokens
        runs = []
        for seed in request.seed_list:
            source = request.run(f"source-s{seed}", "source", sources, seed=seed, tokens=first)
            runs.append(source)
            for target in request.targets:
                for count in request.shots:
                    of = f"{request.names[target]}-{count}"
                    few: dict[str, Any] = {"group": of, "seed": seed, "shots": count}
                    frozen: dict[str, Any] = {"start": source.key, "freeze_shared": True}
                    runs.append(request.run(f"{of}-target-s{seed}", "target", (target,), **few, **frozen))
                    runs.append(request.run(f"{of}-fresh-s{seed}", "fresh", (target,), **few))
        return runs

    def judge(self, finished: FinishedStudy) -> Mapping[str, Any]:
        """The difference for every target and number of documents, adjusted by Holm for all of them."""
        from bench.stats.intervals import LEVEL, align, estimate, scores, unit_of
        from bench.stats.multiplicity import holm
        from bench.studies.contract import TOKENS
        from bench.studies.finished import SPLIT
        from bench.wording import some

        differences = finished.differences(COMPARED)
        asked: dict[tuple[str, int], dict[str, dict[int, Statistics]]] = {}
        tokens: dict[tuple[str, int, int], set[int]] = {}
        for run in finished.study.runs:
            if run.role != "source":
                ((task, statistics),) = finished.statistics(run.key).items()
                question = task, run.config.shots or 0
                asked.setdefault(question, {}).setdefault(run.role, {})[run.seed] = statistics
                tokens.setdefault((*question, run.seed), set()).add(finished.tokens(run.key))
        for (task, count, seed), both in tokens.items():
            if max(both) - min(both) > TOKENS * max(both):
                unequal = " and ".join(f"{total:,}" for total in sorted(both))
                runs = f"The two runs of {task} on {some(count, 'document')}, seed {seed}"
                why = f"{runs}, were trained on {unequal} tokens: no equal budget."
                raise ContractError(why, "Remove their folders and type the study's command again.")
        gains: list[tuple[float, float, Estimate]] = []
        for (task, _), arms in asked.items():
            fresh, target, names, _ = align(arms["fresh"], arms["target"])
            measure = finished.measures[task]
            means = [float(scores(table, names, measure).mean()) for table in (target, fresh)]
            unit = unit_of(arms["target"])
            known = estimate(fresh, target, names, measure, level=finished.look.level, family=len(asked), unit=unit)
            gains.append((means[0], means[1], known))
        adjusted = holm([finished.look.adjusted(gain.p) for *_, gain in gains], 1 - LEVEL)
        margin = finished.study.settings["margin"]
        comparisons = []
        for (task, count), (target_mean, fresh_mean, gain), p in zip(asked, gains, adjusted, strict=True):
            gain = replace(gain, p_holm=p)
            kind, reason = verdict_of(gain, margin, 1 - LEVEL)
            comparisons.append(
                {
                    "subject": f"{task}, {some(count, 'document')}", "target": task, "shots": count, "kind": kind,
                    "reason": " ".join(filter(None, (reason, gain.caution))),
                    "from_sources": target_mean, "fresh": fresh_mean, "gain": gain.to_json(),
                }
            )  # fmt: skip
        return {
            "split": SPLIT,
            "metrics": {task: finished.metrics[task] for task, _ in asked},
            "margin": margin,
            "comparisons": comparisons,
            "differences": differences,
        }

    def tables(self, verdict: Mapping[str, Any]) -> list[Table]:
        """Both scores and their difference for every number of documents."""
        from bench.pages.content import Column, Table, bounded

        columns = (
            Column("target", "task"), Column("shots", "documents", "count"), Column("from_sources", "from sources", "score"),
            Column("fresh", "fresh start", "score"), Column("gain", "difference", "change"), Column("low", "95% low", "change"),
            Column("high", "95% high", "change"), Column("p", "p (Holm)", "p"), Column("kind", "verdict"),
        )  # fmt: skip
        rows = tuple(
            (c["target"], c["shots"], c["from_sources"], c["fresh"],
             *(bounded(c["gain"], name) for name in ("difference", "low", "high", "p_holm")), c["kind"])
            for c in verdict["comparisons"]
        )  # fmt: skip
        caption = (
            "Score on test, mean over seeds: with what the sources share, frozen, and a fresh head; and from a fresh start, "
            "all of it trained, on the same documents and as many tokens. The first trains fewer parameters."
        )
        return [Table("unseen", "An unseen task by number of documents", caption, columns, rows)]


def verdict_of(gain: Estimate, margin: float, alpha: float) -> tuple[str, str]:
    """The verdict of a difference, and the sentence that says why.

    Args:
        gain: from the sources less a fresh start, with its adjusted p.
        margin: of equivalence, in the metric's own unit.
        alpha: error rate.
    """
    from bench.results.display import findable, within
    from bench.stats.intervals import MINIMUM_SEEDS
    from bench.studies.verdict import beats, loses, shown

    if gain.seeds < MINIMUM_SEEDS:
        seeds = f"{gain.seeds}, and a verdict wants {MINIMUM_SEEDS} or more"
        return "unresolved", f"Not resolved at this number of seeds: {seeds}. The difference is {shown(gain)}."
    if beats(gain, alpha):
        return "better than a fresh start", f"What the sources share, frozen, gives more than a fresh start: {shown(gain)}."
    if loses(gain, alpha):
        return "worse than a fresh start", f"What the sources share, frozen, gives less than a fresh start: {shown(gain)}."
    if gain.within(margin):
        return "no difference", f"It equals a fresh start within {within(margin)}: {shown(gain)}."
    could = "" if gain.detectable is None else f" {findable(gain.detectable).capitalize()} would have been found."
    return "unresolved", f"It neither beats a fresh start nor loses to it: {shown(gain)}.{could}"
