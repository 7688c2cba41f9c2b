"""Finished runs that a schedule learns from: found and held against the run by their results, loaded when its model is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.config import RunConfig
from bench.data.content import tokenizer_digest
from bench.errors import UsageError
from bench.registry import Registry
from bench.results.layout import ADAPTERS
from bench.results.reading import plain
from bench.results.schema import Result
from bench.results.store import find_run
from bench.steps.base import rebuilding
from bench.steps.finished import finished_run
from bench.steps.resolve import Parts
from bench.steps.start import recipe_of, weights_sha256
from bench.steps.trial import as_loaded
from bench.wording import some

if TYPE_CHECKING:
    from bench.api.head import HeadModule
    from bench.steps.context import Planned
    from bench.training.model import TaskData, TaskModel


@dataclass(frozen=True)
class Teacher:
    """A finished run with what of it this run learns from.

    Args:
        result: of the run.
        tasks: that both have.
        parts: of the run.
        spec: rebuilds its model; see `bench.training.build.teachers`.
        registry: the plugins that it is made of.
    """

    result: Result = field(repr=False)
    tasks: tuple[str, ...]
    parts: Parts = field(repr=False)
    spec: Mapping[str, Any] = field(repr=False)
    registry: Registry = field(repr=False)

    def identity(self) -> dict[str, Any]:
        """Its id, what it was trained on in tokens, the SHA-256 of its trained weights, and its recipe; JSON-able."""
        return {
            "id": self.result.id,
            "tasks": list(self.tasks),
            "tokens": self.result.invariants.tokens.total,
            "weights": weights_sha256(Path(self.spec["adapters"]).parent, heads=True),
            "recipe": recipe_of(self.result),
        }


def find_teachers(config: RunConfig, parts: Parts, registry: Registry) -> tuple[Teacher, ...]:
    """The runs that ``--teacher`` names.

    Raises:
        UsageError: the schedule learns from none or wants one, a run is not there or has no task of this one, or two have the
            same.
        RunStateError: a run did not finish.
    """
    name = parts.schedule.name
    if bool(config.teacher) != parts.schedule.taught:
        if config.teacher:
            raise UsageError(
                f"The schedule {name!r} learns from no teacher.", "Leave --teacher out, or take --schedule distill."
            )
        raise UsageError(f"The schedule {name!r} learns from a finished run; got none.", "Add --teacher RUN.")
    from bench.training.devices import resolve_device
    from bench.training.plan import resolve_precision

    precision = resolve_precision(config.precision, resolve_device(config.device))
    teachers = tuple(_teacher(find_run(ref, Path(config.out)), parts, registry, precision) for ref in config.teacher)
    for index, teacher in enumerate(teachers):
        if not teacher.tasks:
            had, tasks = ", ".join(teacher.result.scores), ", ".join(parts.tasks)
            raise UsageError(f"The teacher {teacher.result.id} had {had}; wanted one of the run's tasks, {tasks}.")
        for other in teachers[:index]:
            if both := [task for task in teacher.tasks if task in other.tasks]:
                raise UsageError(f"The teachers {other.result.id} and {teacher.result.id} both had {both[0]}; wanted one.")
    return teachers


def _teacher(folder: Path, parts: Parts, registry: Registry, precision: str) -> Teacher:
    run = finished_run(folder, registry)
    loaded = as_loaded(run.parts, precision)
    heads = {name: (saved["head"], saved["state"]) for name, saved in run.saved_heads().items()}
    shared = tuple(name for name in loaded.tasks if name in parts.tasks)
    spec = rebuilding(run.config, loaded, folder, heads) | {"adapters": str((folder / ADAPTERS).absolute()), "teaches": shared}
    return Teacher(run.result, shared, loaded, spec, registry)


def refuse_unfit(teachers: Sequence[Teacher], config: RunConfig, parts: Parts, data: Mapping[str, TaskData]) -> None:
    """Refuses teachers that saw another corpus or have outputs of another kind, and what the schedule cannot work with.

    Raises:
        UsageError: naming what differs.
    """
    from bench.invariants.parity import meta_module
    from bench.modeling.backbone import load_tokenizer

    taught: dict[str, HeadModule] = {}

    def refuse(teacher: Teacher, what: str) -> None:
        raise UsageError(f"The teacher {teacher.result.id} {what}.", "Take another --teacher.")

    for teacher in teachers:
        spec = teacher.parts.model.spec
        if any(counts.get("allowed") for counts in teacher.result.leaks.values()) and not config.allow_leak:
            refuse(teacher, "was trained with --allow-leak; without it a run may not learn from such a teacher")
        if teacher.parts.model.sha256() != teacher.result.hashes["model"]:
            refuse(teacher, f"was trained on another {spec.name} than is there now")
        digests = [tokenizer_digest(load_tokenizer(each.model.folder())) for each in (parts, teacher.parts)]
        if digests[0] != digests[1]:
            refuse(teacher, f"reads text by another tokenizer, that of {spec.name}; wanted that of {parts.model.name}")
        for task in teacher.tasks:
            head, length = data[task].head, data[task].max_length
            if teacher.result.hashes["data"][task] != data[task].corpus.sha256:
                refuse(teacher, f"was trained on another corpus of {task}")
            theirs = teacher.parts.fresh_head(task)
            theirs.restore(teacher.spec["tasks"][task][1])
            if (theirs.name, plain(theirs.outputs())) != (head.name, plain(head.outputs())):
                refuse(teacher, f"has the head {theirs.name!r} for {task}, or other labels; wanted {head.name!r}")
            if length > (most := spec.max_length - teacher.parts.architecture.virtual_tokens):
                refuse(teacher, f"reads windows of {some(most, 'token')} at most; those of {task} have {length}")
            taught[task] = meta_module(partial(head.module, parts.model.spec.hidden_size))
    parts.schedule.check(parts.schedule_options, taught)


def teach(model: TaskModel, planned: Planned) -> None:
    """Gives the run's model the objective of its schedule, with the models of its teachers.

    Raises:
        RunStateError: weights are missing or damaged.
    """
    from bench.training.build import teachers

    models: dict[str, TaskModel] = {}
    for teacher in planned.teachers:
        models |= teachers([teacher.spec], teacher.registry, planned.device)
    model.learns(planned.parts.schedule.objective(planned.parts.schedule_options, models))
