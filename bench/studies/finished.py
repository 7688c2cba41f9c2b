"""A study whose runs are all finished, its verdict, and the kind of a saved study."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from bench.api.study import Option, Request, StudyKind, StudyRun
from bench.api.task import Task
from bench.errors import BenchError, UsageError
from bench.registry import Registry, place_of
from bench.results.statistics import Statistics
from bench.stats.intervals import Measure
from bench.stats.sequential import ONE_LOOK, Look
from bench.studies.arms import Run, agree, measure_of, metrics_of, refuse_changed, tasks_of
from bench.studies.contract import differences, refuse
from bench.studies.looks import earlier_looks, looks_of, with_look
from bench.studies.study import Study

if TYPE_CHECKING:
    from bench.studies.compare import Comparison

_PLANNED = ("waivers", "leaks")  # these are part of the study's plan
# A checkout or a package that moved on while it ran is a warning, not a refusal.
_ALLOWED = (*_PLANNED, "git", "versions")
SPLIT = "test"
KIND_VERSION = "kind_version"
"""In a saved verdict: the version of the kind that judged; one without it is of version 1."""
_STRUCTURE = {"pairs": "", "estimate": "", "tasks": ""}
"""Keys of a verdict that are no part of the name of a comparison."""


@dataclass(frozen=True)
class FinishedStudy:
    """A study whose runs are all finished.

    Args:
        study: its plan.
        registry: knows the tasks.
        warn: called with what the runs differ in beyond what was planned.
        look: at the runs, whose level a verdict keeps to; a single one at 5% where it does not say otherwise.
    """

    study: Study
    registry: Registry
    warn: Callable[[str], None]
    look: Look = ONE_LOOK

    @cached_property
    def runs(self) -> dict[str, Run]:
        """Key to finished run; trials that were refused are not among them.

        Raises:
            ContractError: a run changed since it was written.
        """
        runs = {run.key: Run.read(self.study.out / str(run.run)) for run in self.study.finished()}
        refuse_changed(runs.values())
        return runs

    @cached_property
    def tasks(self) -> dict[str, Task]:
        """The tasks by name, whose scorers turn statistics into scores."""
        return tasks_of([*self.runs.values()], self.registry)

    @cached_property
    def metrics(self) -> dict[str, str]:
        """Task to the dotted path of the score that it is compared by."""
        return metrics_of(self.tasks, {}, None)

    @cached_property
    def measures(self) -> dict[str, Measure]:
        """Task to that score as a function of summed statistics."""
        return {name: measure_of(task, self.metrics[name]) for name, task in self.tasks.items()}

    @property
    def options(self) -> Mapping[str, Option]:
        """The kind's own options, as the study was begun with them."""
        options: Mapping[str, Option] = self.study.settings.get("options", {})
        return options

    def differences(self, by: tuple[str, ...], keys: Iterable[str] | None = None) -> list[dict[str, Any]]:
        """Checks the runs by the contract of comparisons, and returns what they differ in beyond what is compared.

        Args:
            by: the fields that are compared.
            keys: of the runs that are; all where None.

        Raises:
            ContractError: the runs differ in something that no study may differ in.
        """
        runs = self.runs if keys is None else {key: self.runs[key] for key in keys}
        return compared_by(runs, by, self.warn)

    def compare(self, keys: Iterable[str], by: Sequence[str], allow: Sequence[str] = ()) -> Comparison:
        """Some of the runs as `bench compare` compares them; what no study is refused for is allowed.

        Args:
            keys: of the runs.
            by: fields that set arms apart.
            allow: further fields that may differ.

        Raises:
            ContractError: they differ in something else.
        """
        from bench.studies.compare import compare

        runs = [self.runs[key] for key in keys]
        return compare(runs, self.registry, by=by, allow=(*_ALLOWED, *allow), look=self.look)

    def statistics(self, key: str) -> dict[str, Statistics]:
        """Task to the statistics of every test document of a run, checked against the scores of its result.

        Raises:
            RunStateError: the two do not agree.
        """
        run = self.runs[key]
        by_task = {name: run.statistics(name, SPLIT) for name in run.result.scores}
        for name, statistics in by_task.items():
            agree(run, statistics, self.metrics[name], self.measures[name])
        return by_task

    def tokens(self, key: str) -> int:
        """Marked tokens that a run was trained on."""
        return sum(account.tokens for account in self.runs[key].result.invariants.tokens.tasks.values())


def compared_by(runs: Mapping[str, Run], by: tuple[str, ...], warn: Callable[[str], None]) -> list[dict[str, Any]]:
    """What the runs of a study differ in beyond what is compared; see `FinishedStudy.differences`."""
    # Runs of an arm that is not parameter-matched may be compared with each other.
    unmatched = () if any(run.result.matched for run in runs.values()) else ("parameters",)
    differing = differences([run.facts for run in runs.values()], by, (*_ALLOWED, *unmatched))
    refuse(differing, by)
    for difference in differing:
        if difference.field not in _PLANNED:
            warn(f"In this study {difference.sentence}.")
    return [difference.to_json() for difference in differing]


def judged(study: Study, registry: Registry, warn: Callable[[str], None]) -> Mapping[str, Any] | None:
    """The verdict of a study at the look that it has reached; None for a kind that judges nothing.

    All runs of that look must be finished. The looks before it are judged again: what they resolved stays.

    It has the version of the kind that judged as ``kind_version``, so that a verdict of an earlier version is known as such.

    Raises:
        ContractError: a run changed since it was written.
        BenchError: the runs cannot be compared, a package is missing, or the kind's own code failed.
    """
    verdict = judged_by_look(study, registry, warn)[-1]
    return None if verdict is None else {**verdict, KIND_VERSION: kind_of(study.kind, registry).version}


def judged_by_look(study: Study, registry: Registry, warn: Callable[[str], None]) -> list[Mapping[str, Any] | None]:
    """The verdict at every look up to the one that a study has reached, as `judged` gives the last of them."""
    kind = kind_of(study.kind, registry)
    looks = looks_of(study, kind)
    verdicts: list[Mapping[str, Any] | None] = []
    for look in looks:
        runs = study.upto(look.seeds[-1]) if look.planned > 1 else study
        finished = FinishedStudy(runs, registry, warn if look is looks[-1] else _silent, look)
        with own_faults(kind, "judging"):
            seen = kind.judge(finished)
            json.dumps(seen)  # a verdict that is no JSON is the kind's fault too
            if seen is not None and not look.alone:
                seen = with_look(seen, look, verdicts[-1] if verdicts else None, kind, earlier_looks(study))
        verdicts.append(seen)
    return verdicts


def _silent(message: str) -> None:
    """Takes what was told at an earlier look."""


def planned_runs(kind: StudyKind, request: Request) -> list[StudyRun]:
    """The plan of a kind.

    Raises:
        UsageError: a request that it cannot do anything with, a role that it does not declare, or no run.
        BenchError: the kind's own code failed.
    """
    with own_faults(kind, "planning"):
        runs = list(kind.plan(request))
        unknown_roles = sorted({run.role for run in runs} - set(kind.roles))
    if unknown_roles:
        raise UsageError(
            f"The study kind {kind.name!r} plans runs of the role {unknown_roles[0]!r}, which it does not declare."
        )
    return runs


class UnknownKind(StudyKind):
    """Stands for a kind that is not installed, so that its saved studies can be shown.

    Args:
        name: of the kind.
    """

    version, summary = "0", "not installed"
    roles: Mapping[str, str] = {}  # type: ignore[misc]

    def __init__(self, name: str) -> None:
        self.name = name  # type: ignore[misc]

    def plan(self, request: Request) -> list[StudyRun]:
        """Refuses."""
        raise UsageError(f"The study kind {self.name!r} is not installed.", "Run 'bench list studies'.")


def kind_of(name: str, registry: Registry) -> StudyKind:
    """The kind of a saved study, also where it is no longer installed."""
    known = {entry.name: cast(StudyKind, entry.part) for entry in registry.entries("studies")}
    return known[name] if name in known else UnknownKind(name)


@contextmanager
def own_faults(kind: StudyKind, what: str) -> Iterator[None]:
    """Turns whatever a kind's own code raises into one message, without the text of the exception, which could quote anything.

    `what` it is doing, e.g. ``planning``, stands in the message.

    Raises:
        BenchError: it raised something that is none.
    """
    try:
        yield
    except BenchError:
        raise
    except Exception as error:
        raise BenchError(
            f"The study kind {kind.name!r} raised {type(error).__name__} while {what} ({place_of(error)}).",
            "Report it to its authors; 'bench list studies' says where it comes from.",
        ) from None


def estimates_in(verdict: Any, kind: StudyKind | None) -> list[tuple[str, str, Mapping[str, Any]]]:
    """Every difference that a verdict holds: its subject, the comparison in the words of the kind, and the estimate.

    An estimate is a mapping with the keys of `bench.stats.intervals.Estimate`.
    """
    return [*_estimates(verdict, _STRUCTURE | dict(kind.words if kind is not None else {}), "", "")]


def _estimates(node: Any, words: Mapping[str, str], subject: str, name: str) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    if isinstance(node, Mapping):
        if isinstance(node.get("difference"), (int, float)):
            yield subject, name, node
            return
        here = str(node.get("task") or node.get("subject") or subject)
        pair = f"{node['second']} − {node['first']}" if "first" in node and "second" in node else ""
        pair = f"with {node['partner']}" if "partner" in node else pair
        for key, value in node.items():
            word = words.get(str(key), str(key).replace("_", " "))
            yield from _estimates(value, words, here, ", ".join(filter(None, (pair, word))))
    elif isinstance(node, list):
        for value in node:
            yield from _estimates(value, words, subject, name)
