"""Checks of a registered head, on the synthetic corpus of the first installed task that it fits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy, deepcopy
from typing import cast, get_args

from bench.api.head import Cut, Gold, Head
from bench.api.task import Task
from bench.conformance import learning, tasks
from bench.conformance.common import described
from bench.conformance.corpora import corpus_of
from bench.conformance.privacy import head_places, plant
from bench.conformance.workbench import Workbench, expect, named, without_heavy_imports
from bench.wording import some


def task_with(head: Head, bench: Workbench) -> Task:
    """The first task of the registry that wants what the head predicts, with this head alone."""

    def make() -> Task:
        installed = [cast(Task, entry.part) for entry in bench.registry.entries("tasks") if not entry.part.missing()]
        fitting = [task for task in installed if set(task.head(task.heads[0]).predicts) == set(head.predicts)]
        expect(bool(fitting), f"no installed task wants {named(head.predicts)}, all of it and no more; the head fits none")
        task = copy(fitting[0])
        # The class declares both for all instances; this instance has another head.
        task.heads = (head.name,)  # type: ignore[misc]
        task.head = lambda name: deepcopy(head)  # type: ignore[method-assign]
        return task

    return bench.once(head, "task", make)


def metadata(head: Head, bench: Workbench) -> str:
    """`predicts` and `cuts` have known values, and an installed task wants what it predicts."""
    described(head)
    kinds = get_args(Gold)
    odd = sorted(set(head.predicts) - set(kinds))
    expect(not odd, f"predicts names {named(odd)}; wanted some of {', '.join(kinds)}")
    expect(0 < len(set(head.predicts)) == len(head.predicts), f"predicts is {head.predicts!r}; wanted distinct names")
    expect(head.cuts in get_args(Cut), f"cuts is {head.cuts!r}; wanted one of {', '.join(get_args(Cut))}")
    expect(head.learning_rate > 0, f"learning_rate is {head.learning_rate!r}; wanted a peak rate above 0")
    with without_heavy_imports():
        task = task_with(head, bench)
        task.head(head.name).fit(corpus_of(task, bench)["train"])
    return f"predicts {' and '.join(head.predicts)}, tried on {task.name}"


def determinism(head: Head, bench: Workbench) -> str:
    """The same documents give the same state, and the same windows the same columns."""
    task = task_with(head, bench)
    tasks.learns_alike(task, corpus_of(task, bench))
    return f"on {task.name}"


def save_and_load(head: Head, bench: Workbench) -> str:
    """A state survives JSON, and a restored head behaves alike."""
    task = task_with(head, bench)
    tasks.survives(task, corpus_of(task, bench))
    return f"on {task.name}"


def privacy(head: Head, bench: Workbench) -> str:
    """Words planted in the corpus are in no state, repr, window, encoding or prediction."""
    task = task_with(head, bench)
    planted = plant(task, bench)
    places = dict(head_places(task, planted.corpus))
    planted.nowhere_in(places)
    return f"{some(len(planted.canaries), 'planted word')}, {some(len(places), 'place')}, on {task.name}"


CHECKS: Mapping[str, Callable[[Head, Workbench], str]] = {
    "metadata": metadata,
    "determinism": determinism,
    "oracle-round-trip": lambda head, bench: tasks.round_trip(task_with(head, bench), bench),
    "gradients": lambda head, bench: learning.gradients(task_with(head, bench), bench),
    "token-counts": lambda head, bench: learning.token_counts(task_with(head, bench), bench),
    "save-and-load": save_and_load,
    "privacy": privacy,
}
