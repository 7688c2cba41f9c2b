"""What the finished runs of a study show: the verdict that is kept in its ``study.json``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bench.api.task import Task
from bench.errors import ContractError
from bench.registry import Registry
from bench.results.statistics import Statistics
from bench.studies.arms import Run, agree, measure_of, metrics_of, tasks_of
from bench.studies.contract import TOKENS, differences, refuse
from bench.studies.study import Study

_PLANNED = ("waivers", "leaks")  # the plan of a study says so itself
# A checkout or a package that moved on while it ran is told, not refused.
_ALLOWED = (*_PLANNED, "git", "versions")
SPLIT = "test"


def judge(study: Study, registry: Registry, warn: Callable[[str], None]) -> dict[str, Any] | None:
    """The verdict of a study whose runs are all finished; None for a kind that has none.

    Args:
        study: finished.
        registry: knows the tasks.
        warn: told what the runs differ in beyond what was planned.

    Raises:
        BenchError: the runs cannot be held against each other, or a package is missing.
    """
    if study.kind == "token-control":
        return token_control(study, registry, warn)
    if study.kind == "transfer":
        from bench.studies.transfer import matrix

        return matrix(study, registry, warn)
    return None


def token_control(study: Study, registry: Registry, warn: Callable[[str], None]) -> dict[str, Any]:
    """Genuine transfer, data exposure, negative transfer or unresolved, for every task."""
    from bench.studies.verdict import verdicts

    runs = read_all(study)
    told = hold(runs, ("tasks", "tokens"), warn)
    tasks, metrics = scored(study, runs, registry)
    arms: dict[str, dict[str, dict[Any, Statistics]]] = {role: {} for role in ("multi", "total", "share")}
    measures = {name: measure_of(task, metrics[name]) for name, task in tasks.items()}
    for planned in study.runs:
        run = runs[planned.key]
        for name in run.result.scores:
            statistics = run.statistics(name, SPLIT)
            agree(run, statistics, metrics[name], measures[name])
            arms[planned.role].setdefault(name, {})[planned.seed] = statistics
    _equal_total(study, runs)
    found = verdicts(arms["multi"], arms["total"], arms["share"], measures, metrics, margin=study.settings["margin"])
    return found.to_json() | {"split": SPLIT, "differences": told}


def read_all(study: Study) -> dict[str, Run]:
    """Key to finished run."""
    return {run.key: Run.read(study.out / str(run.run)) for run in study.runs}


def hold(runs: Mapping[str, Run], by: tuple[str, ...], warn: Callable[[str], None]) -> list[dict[str, Any]]:
    """Holds the runs against the contract of comparisons, and returns what they differ in beyond what is compared.

    Raises:
        ContractError: in something that no study may differ in.
    """
    # Runs of one arm that is compared with no other may be held against each other.
    unmatched = () if any(run.result.matched for run in runs.values()) else ("parameters",)
    found = differences([run.facts for run in runs.values()], by, (*_ALLOWED, *unmatched))
    refuse(found, by)
    for one in found:
        if one.field not in _PLANNED:
            warn(f"The runs of the study differ in {one.field}: {one.told}.")
    return [one.to_json() for one in found]


def scored(study: Study, runs: Mapping[str, Run], registry: Registry) -> tuple[dict[str, Task], dict[str, str]]:
    """The tasks of a study and the metric that each is compared by."""
    tasks = tasks_of([*runs.values()], registry)
    return tasks, metrics_of(tasks, {}, None)


def tokens_of(run: Run) -> int:
    """Marked tokens that a run was trained on."""
    return sum(int(account["tokens"]) for account in run.result.invariants.tokens["tasks"].values())


def _equal_total(study: Study, runs: Mapping[str, Run]) -> None:
    """Refuses a single run that was not trained on what the multi-task run of its seed was."""
    for planned in study.runs:
        if planned.role == "total" and planned.after is not None:
            multi, single = tokens_of(runs[planned.after]), tokens_of(runs[planned.key])
            if abs(multi - single) > TOKENS * max(multi, single):
                raise ContractError(
                    f"{planned.key} was trained on {single:,} tokens and {planned.after} on {multi:,}: no equal total.",
                    "Remove the folder of the first and type the study's command again.",
                )
