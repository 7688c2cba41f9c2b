"""From what a study is asked for to its plan; the command line and `bench.library` both come here.

Nothing here imports torch: a name that nothing carries, or a combination that is not possible, is refused at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.api.quantizer import Quantizer
from bench.api.task import Task
from bench.config import RunConfig
from bench.errors import UsageError, unknown
from bench.registry import Registry
from bench.steps.names import check, task_set, written_out
from bench.studies.kinds import KINDS, SEEDS, Request, plan
from bench.studies.study import Study, plan_name

MARGIN = 0.01
"""Of equivalence, in the metric's own unit."""


def requested(
    kind: str,
    config: RunConfig,
    registry: Registry,
    environ: Mapping[str, str],
    seeds: int = SEEDS,
    sets: Sequence[str] = (),
    grid: Mapping[str, Sequence[Any]] | None = None,
    margin: float = MARGIN,
    name: str | None = None,
) -> Study:
    """A study as a plan, from a configuration as it was typed: tasks of sets are written out and corpora looked for.

    Args:
        kind: one of `KINDS`.
        config: what all runs share; it may name a set of tasks.
        registry: knows the parts.
        environ: ``BENCH_DATA`` is read from it.
        seeds: how many.
        sets: of an ablation: domains, or tasks joined by +.
        grid: of a sweep: field to its values.
        margin: of equivalence, in the metric's own unit.
        name: of the study; from its plan where None.

    Raises:
        UsageError: something means nothing, or does not fit the kind.
    """
    named = {label: members(label, registry) for label in sets}
    swept = [task for tasks in (grid or {}).get("task", ()) for task in as_tuple(tasks)]
    if swept and config.task:
        raise UsageError("Tasks are given twice: the grid sweeps over task, which is given beside it as well.")
    tasks = dict.fromkeys((*config.task, *swept, *(task for listed in named.values() for task in listed)))
    base = written_out(replace(config, task=tuple(tasks)), registry, environ)
    return planned(kind, base, registry, seeds, named, grid, margin, name)


def planned(
    kind: str,
    base: RunConfig,
    registry: Registry,
    seeds: int = SEEDS,
    sets: Mapping[str, tuple[str, ...]] | None = None,
    grid: Mapping[str, Sequence[Any]] | None = None,
    margin: float = MARGIN,
    name: str | None = None,
) -> Study:
    """A study as a plan; every name in it is known and every combination possible.

    Args:
        kind: one of `KINDS`.
        base: what all runs share, with corpora for the tasks of all `sets`; its seed is the first one.
        registry: knows the parts.
        seeds: how many.
        sets: of an ablation: label to tasks; see `members`.
        grid: of a sweep: field to its values.
        margin: of equivalence, in the metric's own unit.
        name: of the study; from its plan where None.

    Raises:
        UsageError: something means nothing, or does not fit the kind.
    """
    if kind not in KINDS:
        raise unknown("kind of study", kind, KINDS, "bench study --help")
    if sets and kind != "ablation":
        raise UsageError(f"Sets are for an ablation; a {kind} study takes --task or --task-set.")
    if (grid is not None) != (kind == "sweep"):
        raise UsageError(
            "A sweep wants a grid, and nothing else does.", "It holds a list of values a field; see docs/studies.md."
        )
    base = replace(base, name=None, task_set=None, max_hours=None, lr=shared_rate(kind, base, registry))
    swept = [task for tasks in (grid or {}).get("task", ()) for task in as_tuple(tasks)]
    asked = Request(
        base=base,
        seeds=seeds,
        names={ref: registry.get("tasks", ref).name for ref in dict.fromkeys((*base.task, *swept))},
        sets=sets or {},
        quantizers=fitting(base, registry) if kind == "quantization" else {},
        grid=grid or {},
    )
    runs = plan(kind, asked)
    for config in {repr(replace(run.config, seed=0)): run.config for run in runs}.values():
        check(config, registry)
    tasks = [asked.names.get(task, task) for run in runs for task in run.config.task]
    settings = {
        "seeds": list(asked.seed_list),
        "tasks": list(dict.fromkeys(tasks)),
        "arms": list(dict.fromkeys(run.arm for run in runs)),
        "tokens": asked.base.tokens,
        "margin": margin,
        "sets": {label: list(members) for label, members in asked.sets.items()},
        "grid": {field: list(values) for field, values in asked.grid.items()},
    }
    return Study(Path(base.out), kind, name or plan_name(kind, tasks, runs), settings, runs)


def members(label: str, registry: Registry) -> tuple[str, ...]:
    """The tasks of a set of an ablation: tasks joined by +, one task, or a domain.

    Raises:
        UsageError: no such domain.
    """
    if "+" in label:
        return tuple(part for part in label.split("+") if part)
    return (label,) if label in {entry.name for entry in registry.entries("tasks")} else task_set(label, registry)


def as_tuple(value: Any) -> tuple[str, ...]:
    """One task or several, as a grid may hold either."""
    return (value,) if isinstance(value, str) else tuple(value)


def shared_rate(kind: str, base: RunConfig, registry: Registry) -> float | None:
    """The learning rate of all runs of a study whose runs have more and fewer tasks: the lowest that a head asks for.

    Each run by itself would take the lowest of its own heads, and a task alone another one than beside others.
    """
    if base.lr is not None or kind not in ("token-control", "transfer"):
        return base.lr
    tasks: list[Task] = [registry.get("tasks", ref) for ref in base.task]
    return min((task.head(base.head or task.heads[0]).learning_rate for task in tasks), default=None)


def fitting(base: RunConfig, registry: Registry) -> dict[str, str | None]:
    """Installed quantizers that fit the model, by name to when they are applied; none is the first.

    Raises:
        UsageError: only the weights as they are fit, or the study was told which to take.
    """
    from bench.modeling.find import find_model
    from bench.steps.resolve import misfit, models_cache

    if base.quant != "none" or base.quant_when is not None:
        raise UsageError("A quantization study takes every quantizer that fits; leave --quant and --quant-when out.")
    model = find_model(base.model, registry, models_cache())
    parts: list[Quantizer] = [registry.get("quantizers", entry.name) for entry in registry.entries("quantizers")]
    fits = [q for q in parts if q.name != "none" and not q.missing() and not misfit(q, model.spec, q.when[0], base.device)]
    if not fits:
        raise UsageError(f"No installed quantizer fits {model.name!r}.", "Run 'bench list quantizers'.")
    return {"none": None} | {q.name: q.when[0] for q in fits}
