"""Step 1, the part that flags, files and programs share: what a configuration leaves to the machine is written out and checked.

Nothing here imports torch: a name that nothing carries is refused in a quarter of a second.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import replace
from pathlib import Path

from bench.config import RunConfig, whole_path
from bench.errors import UsageError, unknown
from bench.modeling.find import unknown_model
from bench.registry import Registry
from bench.results.store import is_run
from bench.steps.resolve import tasks_by_name, tolerating, when_of
from bench.steps.threads import settle_threads
from bench.training import devices


def ready(config: RunConfig, registry: Registry, environ: MutableMapping[str, str], resuming: bool = False) -> RunConfig:
    """A configuration as it was typed, written out and checked, and threads settled: what comes next may import torch.

    Args:
        config: of a run that begins, or what was typed beside ``--resume``.
        registry: the plugins.
        environ: ``BENCH_DATA`` is read from it; how threads wait is written into it.
        resuming: whether a run goes on, whose folder says what it was begun with.

    Raises:
        UsageError: a name that nothing carries, or a combination that means nothing.
    """
    whole = config if resuming else written_out(config, registry, environ)
    check(whole, registry, resuming)
    settle_threads(environ)
    return whole


def written_out(config: RunConfig, registry: Registry, environ: Mapping[str, str]) -> RunConfig:
    """The configuration with the tasks of its set, with corpora below ``BENCH_DATA`` where it names none, and whole paths.

    Args:
        config: of a run that begins; one that is written out already stays as it is.
        registry: knows the tasks of a set.
        environ: `BENCH_DATA` is read from it.

    Raises:
        UsageError: no such set, or `BENCH_DATA` is no folder.
    """
    named = config.task
    more = task_set(config.task_set, registry) if config.task_set is not None else ()
    names = {registry.get("tasks", ref).name for ref in named} if more else set()
    tasks = (*named, *(name for name in more if name not in names))
    data = corpora_below(tasks, environ) | dict(config.data)
    return replace(
        config,
        task=tasks,
        data={task: whole_path(folder) for task, folder in data.items()},
        concepts={task: whole_path(file) for task, file in config.concepts.items()},
        tokens_like=config.tokens_like and _whole_run(config.tokens_like),
        init_from=config.init_from and _whole_run(config.init_from),
        teacher=tuple(map(_whole_run, config.teacher)),
    )


def _whole_run(ref: str) -> str:
    """A run's folder, or RUN:TASK, with its whole path; an id stays, which is looked for in ``--out``."""
    return whole_path(ref) if is_run(Path(ref)) or is_run(Path(ref.rpartition(":")[0] or ref)) else ref


def task_set(name: str, registry: Registry) -> tuple[str, ...]:
    """The tasks of a set: those whose metadata name it as their domain.

    Raises:
        UsageError: no task does.
    """
    sets: dict[str, list[str]] = {}
    for entry in registry.entries("tasks"):
        if domain := registry.get("tasks", entry.name).metadata.domain:
            sets.setdefault(domain, []).append(entry.name)
    if name not in sets:
        raise unknown("set of tasks", name, sets, "bench list tasks")
    return tuple(sets[name])


def corpora_below(tasks: Iterable[str], environ: Mapping[str, str]) -> dict[str, str]:
    """Task to its folder below ``BENCH_DATA``, for those that have one.

    Raises:
        UsageError: `BENCH_DATA` is no folder.
    """
    root = environ.get("BENCH_DATA")
    if not root:
        return {}
    if not Path(root).is_dir():
        raise UsageError(f"BENCH_DATA is {root}, which is no folder.", "It holds one sub-folder a task, named like the task.")
    return {task: str(Path(root) / task) for task in tasks if (Path(root) / task).is_dir()}


def check(config: RunConfig, registry: Registry, resuming: bool = False) -> None:
    """Looks every name up.

    Raises:
        UsageError: a name that nothing carries, or a combination that means nothing.
    """
    if not config.task and not resuming:
        raise UsageError("No task was named.", "Add --task NAME; 'bench list tasks' shows them.")
    tasks = tasks_by_name(config.task, registry)
    for task in tasks.values():
        registry.head(task, config.head)
        if task.folder is not None and task.name not in config.data and not task.folder.is_dir():
            fix = f"Correct 'folder' in {task.file}, or add --data {task.name}=DIR."
            raise UsageError(f"The corpus of {task.name!r} should lie in {task.folder}, which is no folder.", fix)
        if task.needs_data and task.name not in config.data and not resuming:
            raise task.no_corpus()
    tolerating(tasks, () if resuming else config.tolerate)
    registry.get("architectures", config.arch)
    when_of(registry.get("quantizers", config.quant), config)
    # A folder and a hub id need no plugin; whether they hold a model is for the model step to say.
    if "/" not in config.model and not Path(config.model).exists():
        known = [entry.name for entry in registry.entries("models")]
        if config.model not in known:
            raise unknown_model(config.model, known)
    if "none" in config.tracker and len(config.tracker) > 1:
        raise UsageError(f"--tracker none beside {' and '.join(t for t in config.tracker if t != 'none')} means nothing.")
    for name in config.tracker:
        if name != "none":
            registry.get("trackers", name)
    devices.check_name(config.device)
    for flag, paths in (("--data", config.data), ("--concepts", config.concepts)):
        if odd := [name for name in paths if tasks and name not in tasks]:
            raise UsageError(f"{flag} names the task {odd[0]!r}, which this run does not have.", f"It has {', '.join(tasks)}.")
    refuse_missing(config.data)
    for name, file in config.concepts.items():
        if not Path(file).is_file():
            there = "that is a folder; wanted a file" if Path(file).is_dir() else "there is no such file"
            raise UsageError(f"--concepts {name}={file}: {there}.")


def refuse_missing(data: Mapping[str, str | Path]) -> None:
    """Checks that there is a folder for every task of ``--data``.

    Raises:
        UsageError: naming the first that is not there.
    """
    for name, folder in data.items():
        if not Path(folder).is_dir():
            raise UsageError(f"--data {name}={folder}: there is no such folder.")
