"""Step 2: names to parts. A name that nothing carries ends here before torch is imported, a pair that cannot work after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from bench import user_cache
from bench.api.architecture import Architecture, BaseArchitecture
from bench.api.head import Head
from bench.api.model import ModelSpec
from bench.api.part import Part, Requirement
from bench.api.quantizer import Quantizer, When
from bench.api.schedule import Phase, Schedule
from bench.api.task import Task
from bench.api.tracker import Tracker
from bench.config import RunConfig
from bench.data.phases import checked
from bench.errors import MissingError, UsageError, unknown
from bench.modeling.find import BaseModel, find_model
from bench.registry import Registry

if TYPE_CHECKING:
    from bench.steps.start import Start
    from bench.training.processes import Processes

P = TypeVar("P", bound=Part)


@dataclass(frozen=True)
class Parts:
    """The parts of a run.

    Args:
        tasks: name to task, in the order typed.
        heads: task to its head, not fitted; `fresh_head` gives a copy.
        architecture: the arm.
        installed: every architecture there is; parity holds those of the arm's group against each other.
        quantizer: of the base model's weights.
        when: before training or after.
        model: the base model.
        trackers: mirrors of the journal.
        schedule: the order of the tasks.
        schedule_options: every number that it takes.
        start: the run whose shared weights it begins with; None for most.
    """

    tasks: Mapping[str, Task]
    heads: Mapping[str, Head]
    architecture: BaseArchitecture
    installed: tuple[BaseArchitecture, ...]
    quantizer: Quantizer
    when: When
    model: BaseModel
    trackers: tuple[Tracker, ...]
    schedule: Schedule
    schedule_options: Mapping[str, float]
    start: Start | None = None

    def phases(self, shares: Mapping[str, float]) -> tuple[Phase, ...]:
        """The phases of the run; one where all tasks train at once.

        Args:
            shares: task to its share of the tokens.

        Raises:
            UsageError: the schedule gives phases that make no sense.
        """
        return checked(self.schedule.phases(shares), list(self.tasks), self.schedule.name)

    def fresh_head(self, task: str) -> Head:
        """A head of a task that nothing has fitted yet."""
        return deepcopy(self.heads[task])

    @property
    def quantizes(self) -> bool:
        """Whether the base model's weights are changed at all."""
        return self.quantizer.name != "none"

    def used(self) -> tuple[Part, ...]:
        """Every part that can change the outcome."""
        model = () if self.model.part is None else (self.model.part,)
        return (*self.tasks.values(), *self.heads.values(), self.architecture, self.quantizer, self.schedule, *model)

    def versions(self) -> dict[str, str]:
        """Version of every part that can change the outcome, by kind and name."""
        versions = {f"task {name}": task.version for name, task in self.tasks.items()}
        # A head that the task itself makes is covered by the task's version.
        added = [head for name, head in self.heads.items() if head.name not in self.tasks[name].heads]
        versions |= {f"head {head.name}": head.version for head in added}
        versions[f"architecture {self.architecture.name}"] = self.architecture.version
        versions[f"quantizer {self.quantizer.name}"] = self.quantizer.version
        if self.schedule.name != RunConfig.schedule:
            versions[f"schedule {self.schedule.name}"] = self.schedule.version
        if self.model.part is not None:
            versions[f"model {self.model.name}"] = self.model.part.version
        return versions


def resolve(config: RunConfig, registry: Registry) -> Parts:
    """Looks every name up; whether the quantizer fits the model is for `refuse_misfit` to say.

    Raises:
        UsageError: an unknown name.
        MissingError: a part that is not installed, with the command that installs it.
    """
    tasks = named_tasks(config, registry)
    heads = {name: registry.head(task, config.head) for name, task in tasks.items()}
    quantizer = _ready(registry.get("quantizers", config.quant))
    for module in ("torch", "transformers", "peft", "datasets", "safetensors"):
        if not (requirement := Requirement(module, "bench-suite[train]")).present():
            raise MissingError(f"Training needs {module}, which is not installed.", requirement.command)
    model = find_model(config.model, registry, user_cache.folder("models"), config.convert).attending(config.attention)
    levels = {name: level_of(task, heads[name]) for name, task in tasks.items()}
    architecture = _ready(registry.get("architectures", config.arch)).bound(levels)
    schedule = _ready(registry.get("schedules", config.schedule))
    if odd := [name for name in config.loss_weights if name not in tasks]:
        raise unknown("task after --loss-weight:", odd[0], tasks, hint=f"The run's tasks: {', '.join(tasks)}.")
    trackers = [] if config.tracker == ("none",) else [registry.get("trackers", name) for name in config.tracker]
    return Parts(
        tasks=tasks,
        heads=heads,
        architecture=architecture,
        installed=tuple(registry.get("architectures", e.name).bound(levels) for e in registry.entries("architectures")),
        quantizer=quantizer,
        when=when_of(quantizer, config),
        model=model,
        trackers=tuple(trackers),
        schedule=schedule,
        schedule_options=options_of(schedule, config.schedule_options),
    )


def when_of(quantizer: Quantizer, config: RunConfig) -> When:
    """When a run quantizes: as configured, or the first that its quantizer names.

    Raises:
        UsageError: the quantizer cannot be applied then.
    """
    when = config.quant_when or quantizer.when[0]
    if when not in quantizer.when:
        said = {"load": "at load, before training", "after": "after training"}
        raise UsageError(
            f"The quantizer {quantizer.name!r} cannot be applied {said[when]}, only {said[quantizer.when[0]]}.",
            f"Run 'bench show quantizer {quantizer.name}'.",
        )
    return when


def level_of(task: Task, head: Head) -> int:
    """A task's level: its own word, or 1 where its head finds mentions and 2 where it does not."""
    return task.level or (1 if "mentions" in head.predicts else 2)


def options_of(schedule: Schedule, options: Mapping[str, float]) -> dict[str, float]:
    """Every option of a schedule, as given or at its default.

    Raises:
        UsageError: the schedule has no option of that name.
    """
    for name in options:
        if name not in schedule.options:
            hint = f"It takes: {', '.join(schedule.options)}." if schedule.options else "It takes none."
            raise unknown(f"option of the schedule {schedule.name}:", name, schedule.options, hint=hint)
    return {**schedule.options, **options}


def refuse_misfit(parts: Parts, config: RunConfig, registry: Registry) -> None:
    """Asks architecture and quantizer whether they fit the model on the device of the run, which takes torch to know.

    Raises:
        UsageError: one does not; with those that do.
    """
    reason = parts.architecture.supports(parts.model.spec, parts.when if parts.quantizes else None)
    if reason is not None:
        raise UsageError(
            f"Architecture {parts.architecture.name!r} cannot be trained so: {reason}",
            f"Run 'bench show architecture {parts.architecture.name}'.",
        )
    reason = misfit(parts.quantizer, parts.model.spec, parts.when, config.device)
    if reason is None:
        return
    known = [registry.get("quantizers", entry.name) for entry in registry.entries("quantizers")]
    fitting = [q.name for q in known if not misfit(q, parts.model.spec, q.when[0], config.device)]
    raise UsageError(
        f"Quantizer {parts.quantizer.name!r} does not fit {parts.model.name!r}: {reason}", f"These fit: {', '.join(fitting)}."
    )


def refuse_unshardable(config: RunConfig, parts: Parts, processes: Processes) -> None:
    """Refuses to shard what cannot be sharded.

    Raises:
        UsageError: says which, and the next move.
    """
    if not config.shard:
        return
    import torch
    from torch.distributed.fsdp import FSDPModule

    wrong = None
    if processes.count == 1:
        wrong = ("in one process has nobody to share the base model with", "Start several: accelerate launch --multi_gpu …")
    elif parts.quantizes:
        wrong = (f"beside --quant {parts.quantizer.name}: one process quantizes a base model whole", "Take --quant none.")
    elif config.teacher:
        wrong = ("beside --teacher: a teacher's base model is not sharded", "Leave one of them out.")
    elif not isinstance(parts.architecture, Architecture):
        wrong = (f"beside --arch {config.arch}: it changes the base model by more than LoRA adapters", "Take A1, for example.")
    elif config.micro_batch is None and "batch" not in config.waive:
        wrong = ("leaves the micro-batch to you: what fits is not searched", "Add --micro-batch N, in padded tokens.")
    elif not hasattr(FSDPModule, "set_custom_all_gather"):
        wrong = (f"needs a newer torch than {torch.__version__}", "pip install --upgrade torch")
    if wrong is not None:
        raise UsageError(f"--shard {wrong[0]}.", wrong[1])


def misfit(quantizer: Quantizer, spec: ModelSpec, when: When, device: str) -> str | None:
    """Why a quantizer cannot work with a model, or None.

    Args:
        quantizer: asked.
        spec: of the model.
        when: it would be applied.
        device: as configured; ``auto`` is what this machine has.
    """
    from bench.training.devices import kind, resolve_device

    return quantizer.supports(spec, when, kind(resolve_device(device)))


def named_tasks(config: RunConfig, registry: Registry) -> dict[str, Task]:
    """The tasks of a run by the names that they carry: a task from a file is named by the file, not by its path.

    Raises:
        UsageError: an unknown name, two tasks of one name, or a kind of faulty line that no task of the run can leave out.
        MissingError: a task that is not installed.
    """
    tasks = tasks_by_name(config.task, registry)
    return tolerating({name: _ready(task) for name, task in tasks.items()}, config.tolerate)


def tasks_by_name(typed: Sequence[str], registry: Registry) -> dict[str, Task]:
    """Tasks by their names.

    Args:
        typed: names of tasks, and paths of task files.
        registry: the plugins.

    Raises:
        UsageError: an unknown name, or two tasks of one name.
    """
    tasks: dict[str, Task] = {}
    for ref in typed:
        task = registry.get("tasks", ref)
        if task.name in tasks:
            raise UsageError(f"Two tasks are named {task.name!r}, the second one {ref}.", "Give one of them another name.")
        tasks[task.name] = task
    return tasks


def tolerating(tasks: Mapping[str, Task], kinds: Sequence[str]) -> dict[str, Task]:
    """The tasks, each leaving out faulty lines of those kinds that it knows.

    Raises:
        UsageError: a kind that none of them knows.
    """
    known = list(dict.fromkeys(kind for task in tasks.values() for kind in task.faults))
    for kind in kinds:
        if kind not in known:
            hint = f"These can be left out: {', '.join(known)}." if known else "The run's tasks can leave none out."
            raise unknown("kind of faulty line after --tolerate:", kind, known, hint=hint)
    return {name: task.tolerating(kind for kind in kinds if kind in task.faults) for name, task in tasks.items()}


def _ready(part: P) -> P:
    """A part that is installed with all it needs."""
    if missing := part.missing():
        raise MissingError(
            f"{part.name!r} needs {', '.join(m.module for m in missing)}, which is not installed.",
            f"Type: {missing[0].command}",
        )
    return part
