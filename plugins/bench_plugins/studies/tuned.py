"""Architectures, each at the learning rate that suits it: one rate for all arms is itself an unfair choice.

Every arm gets the same search: the same rates around the head's default, each trained on a quarter of the tokens; the better
half of them again on half of the tokens; the best of those is the arm's rate for all seeds. Trials are ranked by the mean of
the tasks' primary metrics on dev; test decides nothing. So all arms have equally many trials and search tokens, whatever the
trials score. That is successive halving with rungs that wait for each other. A sampler that learns from trials, such as TPE,
draws its first ten at random, and there are no more than that here.

Sources: successive halving, Jamieson & Talwalkar 2016, arXiv:1502.07943, and Li et al. 2018, Hyperband, arXiv:1603.06560;
learning rates as a confounder of comparisons of LoRA variants, arXiv:2602.04998.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import TYPE_CHECKING, Any, ClassVar

from bench.api.study import Option, Request, Statement, StudyKind, StudyRun, Takes
from bench.errors import UsageError
from bench.wording import some
from bench_plugins.studies.ablation import ARMS

if TYPE_CHECKING:
    from bench.pages.content import Figure, Table
    from bench.studies.compare import Pair
    from bench.studies.finished import FinishedStudy

COMPARED = ("arch", "lr")
MOST, HIGHEST = 50, 1000
"""Rates of a search, and the highest that a run takes."""


class Tuned(StudyKind):
    """Each architecture at its own learning rate, found with equally many trials and tokens."""

    name = "tuned"
    version = "1"
    summary = "architectures, each at its own learning rate, searched on dev with equally many trials and tokens for all"
    citation = "successive halving, Jamieson & Talwalkar 2016, arXiv:1502.07943; see docs/studies.md"
    licence = "Apache-2.0"
    takes: ClassVar[tuple[Takes, ...]] = ("arms", "looks")
    options: ClassVar[Mapping[str, Option]] = {"rates": 5, "step": 2.0}
    margin: ClassVar[bool] = False
    one_rate: ClassVar[bool] = True
    question: ClassVar[str] = "Which architecture is best on {tasks}, each at its own learning rate?"
    roles: ClassVar[Mapping[str, str]] = {
        "trial": "search, a quarter of the tokens", "finalist": "search, half of the tokens", "tuned": "at its own rate",
    }  # fmt: skip
    title: ClassVar[str] = "Search for a learning rate"

    def plan(self, request: Request) -> list[StudyRun]:
        """For every architecture: a trial a rate, the better half of them again, and a run a seed at the best rate."""
        tokens = request.token_budget(self.name, "of every run after the search")
        count, step = int(request.options["rates"]), float(request.options["step"])
        if not 2 <= count <= MOST or not 1 < step < 100:
            raise UsageError(
                f"A {self.name} study searches 2 to {MOST} rates, 1 to 100 times apart; got {count}, {step:g} times apart.",
                "Leave --kind-option rates=N and step=X out for 5 and 2.",
            )
        arms = request.arms or ARMS
        if len(arms) < 2:
            raise UsageError(f"A {self.name} study wants two architectures or more; got {arms[0]}.", "Name each with --arch.")
        tasks, seed = request.base.task, request.base.seed
        centre = 1e-3 if request.base.lr is None else request.base.lr
        rates = [float(f"{centre * step ** (place - (count - 1) / 2):.3g}") for place in range(count)]
        if len(set(rates)) < count or not 0 < rates[0] < rates[-1] <= HIGHEST:
            raise UsageError(
                f"{some(count, 'rate')}, {step:g} times apart around {centre:g}, go from {rates[0]:g} to {rates[-1]:g}; "
                f"wanted rates that differ, above 0 and up to {HIGHEST}.",
                "Change --lr, --kind-option rates=N or step=X.",
            )
        runs = []
        for arm in arms:
            common: dict[str, Any] = {"arch": arm, "group": None}
            trials = [
                request.run(f"{arm}-lr{rate:g}", "trial", tasks, seed=seed, lr=rate, tokens=max(1, tokens // 4), **common)
                for rate in rates
            ]
            keys = [run.key for run in trials]
            finalists = [
                request.run(
                    f"{arm}-half-{place + 1}", "finalist", tasks, best_of=keys, place=place, seed=seed,
                    tokens=max(1, tokens // 2), **common,
                )
                for place in range((count + 1) // 2)
            ]  # fmt: skip
            best = [run.key for run in finalists]
            runs += [*trials, *finalists]
            runs += [request.run(f"{arm}-s{s}", "tuned", tasks, best_of=best, seed=s, **common) for s in request.seed_list]
        return runs

    def judge(self, finished: FinishedStudy) -> Mapping[str, Any]:
        """Every two architectures on every task, each at its own rate, and what the search says of other rates."""
        from bench.studies.finished import SPLIT

        study = finished.study
        keys = [run.key for run in study.runs if run.role == "tuned"]
        differences = finished.differences(COMPARED, keys)
        comparison = finished.compare(keys, by=COMPARED[:1], allow=COMPARED[1:])
        search = {arm: _search(finished, arm) for arm in dict.fromkeys(run.arm for run in study.runs)}
        return {
            "split": SPLIT,
            "metrics": finished.metrics,
            "search": search,
            "comparisons": [_told(pair, search) for pair in comparison.pairs],
            "differences": differences,
        }

    def statements(self, verdict: Mapping[str, Any]) -> list[Statement]:
        """One for every two architectures and task."""
        return [
            Statement(told["subject"], told["kind"], told["reason"], "good" if told["better"] else "open")
            for told in verdict["comparisons"]
        ]

    def tables(self, verdict: Mapping[str, Any]) -> list[Table]:
        """The trials of every architecture, and what its search cost."""
        from bench.pages.content import Column, Table

        trials = Table(
            "search",
            "Trials",
            "Dev: mean of the tasks' primary metrics. A refused trial failed a gate or diverged, and comes last.",
            (Column("arm", "architecture"), Column("rate", "learning rate", "ratio"), Column("role", "trained on"),
             Column("tokens", "tokens", "count"), Column("dev", "dev", "score"), Column("chosen", "chosen", "flag"),
             Column("refused", "refused", "flag")),
            tuple(
                (arm, trial["rate"], self.roles[trial["role"]].partition(", ")[2], trial["tokens"], trial["dev"],
                 trial["role"] == "finalist" and trial["rate"] == searched["rate"], trial["refused"])
                for arm, searched in verdict["search"].items() for trial in searched["trials"]
            ),
        )  # fmt: skip
        cost = Table(
            "search-cost",
            "What the search cost",
            "Tokens that were counted in the search and in the runs after it.",
            (Column("arm", "architecture"), Column("rate", "learning rate", "ratio"), Column("trials", "trials", "count"),
             Column("refused", "refused", "count"), Column("searched", "search tokens", "count"),
             Column("trained", "tokens of the runs", "count")),
            tuple(
                (arm, searched["rate"], len(searched["trials"]), sum(trial["refused"] for trial in searched["trials"]),
                 searched["tokens"], searched["trained"])
                for arm, searched in verdict["search"].items()
            ),
        )  # fmt: skip
        return [cost, trials]

    def figures(self, verdict: Mapping[str, Any]) -> list[Figure]:
        """Dev against the rate, one line an architecture."""
        from bench.pages.content import Figure, Mark, shown

        scored = [
            (arm, trial)
            for arm, searched in verdict["search"].items()
            for trial in searched["trials"]
            if trial["role"] == "trial" and trial["dev"] is not None
        ]
        marks = tuple(Mark(f"{trial['rate']:g}", trial["dev"], "", arm) for arm, trial in scored)
        best = "; ".join(f"{arm} {searched['rate']:g}" for arm, searched in verdict["search"].items())
        says = "; ".join(f"{arm} at {trial['rate']:g}, {shown(trial['dev'], 'score')}" for arm, trial in scored)
        return [
            Figure(
                "search-rates", "Score on dev by learning rate",
                f"A quarter of the tokens and one seed each. Chosen after the second round: {best}.",
                f"Mean primary metric on dev by learning rate. {says}.", "stages", "learning rate", "dev", marks,
                tuple(verdict["search"]),
            )
        ]  # fmt: skip


def _search(finished: FinishedStudy, arm: str) -> dict[str, Any]:
    from bench.studies.trials import dev_score

    study = finished.study
    trials, counted, trained, rate = [], 0, 0, None
    for run in (run for run in study.runs if run.arm == arm):
        tokens = 0 if run.run is None else finished.tokens(run.key)
        if run.role == "tuned":
            trained, rate = trained + tokens, study.config_of(run).lr
            continue
        dev = dev_score(finished.runs[run.key].result) if run.run is not None else None
        counted += tokens
        trials.append(
            {
                "key": run.key, "role": run.role, "rate": study.config_of(run).lr if study.ready(run) else None,
                "tokens": tokens, "dev": dev if dev is not None and isfinite(dev) else None, "refused": run.refused,
            }
        )  # fmt: skip
    return {"rate": rate, "tokens": counted, "trained": trained, "trials": trials}


def _told(pair: Pair, search: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """A pair of architectures with the sentence that says what the rates do to it."""
    from bench.pages.content import difference, shown
    from bench.results.display import findable

    estimate = pair.estimate
    first, second = (
        {
            trial["rate"]: trial["dev"]
            for trial in search[arm]["trials"]
            if trial["role"] == "trial" and trial["dev"] is not None
        }
        for arm in (pair.first, pair.second)
    )
    common = sorted(first.keys() & second.keys())
    ahead = sum(second[rate] > first[rate] for rate in common)
    rates = " and ".join(f"{arm} at {search[arm]['rate']:g}" for arm in (pair.first, pair.second))
    holm = f", p {shown(estimate.p_holm, 'p')} after Holm" if estimate.p_holm is not None else ""
    reason = (
        f"{pair.metric} {difference(estimate.to_json())} over {some(estimate.seeds, 'seed')} and "
        f"{estimate.units}{holm}; {rates}. In the search {pair.second} was ahead on dev at {ahead} of "
        f"{some(len(common), 'rate')} that both tried."
    )
    for arm in (pair.first, pair.second):
        trials = search[arm]["trials"]
        if refused := sum(trial["refused"] for trial in trials):
            reason += f" Of the search of {arm} {refused} of {len(trials)} trials were refused, so that it used fewer tokens."
    if estimate.detectable is not None and pair.better is None:
        reason += f" {findable(estimate.detectable).capitalize()} would probably have been found."
    reason = " ".join(filter(None, (reason, estimate.caution)))
    return {
        "task": pair.task, "first": pair.first, "second": pair.second, "subject": f"{pair.task}: {pair.second} − {pair.first}",
        "kind": pair.conclusion, "better": pair.better, "reason": reason, "ahead": ahead, "rates": len(common),
        "estimate": estimate.to_json(),
    }  # fmt: skip
