"""Turns the request for a study into its plan, for the command line and `bench.library` alike.

Nothing here imports torch: a name that nothing carries, or a combination that is not possible, is refused at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from bench import user_cache
from bench.api.quantizer import Quantizer
from bench.api.study import BUDGETS, SEEDS, Option, Request, StudyKind, Takes
from bench.api.task import Task
from bench.config import OPTIONS, RunConfig, flag, whole_paths
from bench.errors import UsageError, unknown
from bench.options import Group, option, table
from bench.registry import Registry
from bench.stats.sequential import SPENDINGS, planned_looks
from bench.steps.names import check, task_set, written_out
from bench.studies.finished import planned_runs
from bench.studies.study import Study, plan_name

STUDY = Group("the study")


@dataclass(frozen=True)
class StudyConfig:
    """Everything that a study is planned from.

    Args:
        kind: as ``bench list studies`` shows it.
        run: what all runs share, as it was typed; its seed is the first one, its name the study's.
        arms: architectures, for a kind that takes several; the kind's own choice where empty.
        shots: numbers of training documents, for a kind that takes several; that of `run` where empty.
        looks: numbers of seeds at which the study is judged; the last may be left out, and without any it is judged once.
        grid: of a sweep: field to its values.

    The other fields say themselves what they are. An option of the kind is taken for the type of its default.
    """

    kind: str
    run: RunConfig
    arms: Sequence[str] = ()
    grid: Mapping[str, Sequence[Any]] | None = None
    shots: Sequence[int] = ()
    looks: Sequence[int] = ()
    seeds: int | None = option(
        None, STUDY, "N", "runs of each kind that differ in their seed", unset=f"{SEEDS}, or those of the last look"
    )
    sets: tuple[str, ...] = option((), STUDY, "A+B", "of an ablation: a domain, or tasks joined by +", flag="--set")
    targets: tuple[str, ...] = option((), STUDY, "NAME", "of unseen: a task that is not trained on first", flag="--target")
    margin: float = option(0.01, STUDY, "D", "of equivalence, in the metric's own unit")
    spending: Literal["obrien-fleming", "pocock"] = option(
        "obrien-fleming", STUDY, "NAME", "of several looks: obrien-fleming or pocock"
    )
    options: Mapping[str, str] = option(
        {},
        STUDY,
        "KEY=VALUE",
        "of the kind itself, see 'bench show study KIND'",
        flag="--kind-option",
        unset="the kind's",
        example="examples=16",
    )
    resample_train: int | None = option(
        None, STUDY, "B", "B seeds, each on a random half of the training documents of its own", unset="all train on all"
    )


STUDY_OPTIONS = table(StudyConfig)
"""The fields of a study that are flags, by name."""


def planned(config: StudyConfig, registry: Registry, environ: Mapping[str, str]) -> Study:
    """A study as a plan: sets of tasks are written out and corpora looked for, also below ``BENCH_DATA`` of the environment.

    Args:
        config: the request.
        registry: knows the parts.
        environ: ``BENCH_DATA`` is read from it.

    Raises:
        UsageError: something means nothing, or does not fit the kind.
    """
    part, run, grid = study_kind(config.kind, registry), config.run, config.grid or {}
    sets = {label: whole_paths(members(label, registry)) for label in config.sets}
    swept = [task for tasks in grid.get("task", ()) for task in as_tuple(tasks)]
    if swept and run.task:
        raise UsageError("Tasks are given twice: the grid sweeps over task, which is given beside it as well.")
    arms = tuple(config.arms)
    if "arms" in part.takes and not arms and run.arch != RunConfig.arch:
        arms = (run.arch,)
    shots, targets = tuple(config.shots), whole_paths(config.targets)
    if "shots" in part.takes:
        shots, run = shots or (() if run.shots is None else (run.shots,)), replace(run, shots=None)
    _refuse_unused(part, registry, arms, sets, config.grid, targets, shots, config.looks)
    given = config.resample_train if config.resample_train is not None else config.seeds
    seeds = given if given is not None else max(config.looks, default=SEEDS)
    looks = planned_looks(config.looks, seeds)
    if config.spending not in SPENDINGS:
        raise unknown("value of --spending", config.spending, SPENDINGS, "bench study --help")
    if config.spending != StudyConfig.spending and not looks:
        raise UsageError(f"--spending {config.spending} is for several looks; got one.", "Add --looks, such as --looks 6,12.")
    refuse_ignored(part, config)
    sources = [registry.get("tasks", ref).name for ref in run.task] if targets else []
    if both := [name for name in (registry.get("tasks", ref).name for ref in targets) if name in sources]:
        raise UsageError(f"{both[0]} is both a source and a target; wanted a target that no source is.")
    chosen = own_options(part, config.options)
    if config.resample_train is not None and run.train_resample is not None:
        raise UsageError("--train-resample is one draw for all runs, --resample-train one for each seed; got both.")
    if config.resample_train is not None and (shots or run.shots is not None):
        raise UsageError("--shots draws training documents by seed already; --resample-train beside it means nothing.")
    if config.resample_train is not None and config.seeds not in (None, config.resample_train):
        raise UsageError(
            f"--resample-train is {config.resample_train} and --seeds {config.seeds}: every seed has a draw of its own.",
            "Leave --seeds out.",
        )
    tasks = dict.fromkeys((*run.task, *swept, *targets, *(task for listed in sets.values() for task in listed)))
    base = written_out(replace(run, task=tuple(tasks)), registry, environ)
    base = replace(base, name=None, task_set=None, max_hours=None, lr=shared_rate(part, base, registry))
    request = Request(
        base=base,
        seeds=seeds,
        resample=config.resample_train is not None,
        names={ref: registry.get("tasks", ref).name for ref in base.task},
        arms=arms,
        sets=sets,
        quantizers=fitting(base, registry) if "quantizers" in part.takes else {},
        grid=grid,
        options=chosen,
        targets=tuple(dict.fromkeys(targets)),
        shots=tuple(sorted(set(shots))),
    )
    runs = planned_runs(part, request)
    for each in {repr(replace(run.config, seed=0)): run.config for run in runs}.values():
        check(each, registry)
    names = [request.names.get(task, task) for run in runs for task in run.config.task]
    settings = {
        "seeds": list(request.seed_list),
        "tasks": list(dict.fromkeys(names)),
        "arms": list(dict.fromkeys(run.arm for run in runs)),
        "tokens": request.base.tokens,
        "margin": config.margin,
        "sets": {label: list(members) for label, members in request.sets.items()},
        "grid": {field: list(values) for field, values in request.grid.items()},
    }
    if request.resample:
        settings["resample_train"] = request.seeds
    if chosen:
        settings["options"] = dict(chosen)
    design = {"looks": list(looks), "spending": config.spending} if looks else {}
    name = run.name or plan_name(part.name, names, runs, design)
    return Study(Path(base.out), part.name, name, settings | design, runs)


def study_kind(name: str, registry: Registry) -> StudyKind:
    """A kind of study by its name.

    Raises:
        UsageError: nothing carries it.
    """
    known = {entry.name for entry in registry.entries("studies")}
    if name not in known:
        raise unknown("kind of study", name, known, "bench list studies")
    return registry.get("studies", name)


def own_options(kind: StudyKind, values: Mapping[str, Any]) -> dict[str, Option]:
    """The options of a kind, each as it was given or else its default.

    Args:
        kind: declares names, defaults and with them types.
        values: by name; text is read as the type of the default.

    Raises:
        UsageError: a name that the kind does not have, or a value of another type.
    """
    chosen = dict(kind.options)
    for name, value in values.items():
        if name not in chosen:
            error = unknown(f"option of a {kind.name} study:", name, chosen, f"bench show study {kind.name}")
            raise error if chosen else UsageError(f"A {kind.name} study has no options of its own; got {name!r}.")
        expected = type(chosen[name])
        try:
            chosen[name] = expected(value)
        except (TypeError, ValueError):
            words = {int: "a whole number", float: "a number"}.get(expected, expected.__name__)
            raise UsageError(f"The option {name} of a {kind.name} study is {value!r}; it must be {words}.") from None
    return chosen


def _refuse_unused(
    kind: StudyKind,
    registry: Registry,
    arms: Sequence[str],
    sets: Mapping[str, tuple[str, ...]],
    grid: Mapping[str, Sequence[Any]] | None,
    targets: Sequence[str],
    shots: Sequence[int],
    looks: Sequence[int],
) -> None:
    """Refuses arguments that the kind of study does not take, and a missing grid."""

    def others(takes: Takes) -> str:
        return " and ".join(e.name for e in registry.entries("studies") if takes in registry.get("studies", e.name).takes)

    if targets and "targets" not in kind.takes:
        raise UsageError(f"Targets are for {others('targets')}; a {kind.name} study takes --task or --task-set.")
    if looks and "looks" not in kind.takes:
        raise UsageError(f"Looks are for {others('looks')}; studies of the kind {kind.name} are judged once at most.")
    if shots and "shots" not in kind.takes:
        raise UsageError(f"A {kind.name} study has one --shots; several are for {others('shots')}.")
    if sets and "sets" not in kind.takes:
        raise UsageError(f"Sets are for {others('sets')}; a {kind.name} study takes --task or --task-set.")
    if arms and "arms" not in kind.takes:
        why = f"A {kind.name} study has one architecture; got {', '.join(arms)}."
        raise UsageError(why, f"Name one; several are for {others('arms')}.")
    if grid is not None and "grid" not in kind.takes:
        raise UsageError(f"A grid is for {others('grid')}; a {kind.name} study takes none.", "See 'bench list studies'.")
    if grid is None and "grid" in kind.takes:
        raise UsageError(f"A {kind.name} wants a grid.", "It holds a list of values a field; see docs/studies.md.")


def refuse_ignored(kind: StudyKind, config: StudyConfig) -> None:
    """Refuses what no run and no verdict of the study would have a use for, instead of passing over it.

    Raises:
        UsageError: naming it, and what decides in its place.
    """
    judges = type(kind).judge is not StudyKind.judge
    if config.margin != StudyConfig.margin and not (judges and kind.margin):
        what = "has no verdict" if not judges else "asks for differences alone"
        raise UsageError(f"--margin is of equivalence, and a {kind.name} study {what}.", "Leave --margin out.")
    if config.sets and (config.run.task or config.run.task_set):
        given = " and ".join(flag(name) for name in ("task", "task_set") if getattr(config.run, name))
        raise UsageError(f"Tasks are given twice: by --set, and by {given}.", f"Leave {given} out, or make it a --set.")
    if config.grid is not None:
        changed = [name for name, each in OPTIONS.items() if name != "task" and getattr(config.run, name) != each.default]
        refuse_swept([*changed, *["seeds"] * (config.seeds not in (None, SEEDS))], config.grid)


def refuse_swept(given: Iterable[str], grid: Iterable[str]) -> None:
    """Refuses fields that are given beside a grid which decides them.

    Args:
        given: fields of a run, or ``seeds``.
        grid: fields that are swept over.

    Raises:
        UsageError: naming the field.
    """
    swept = set(grid)
    for name in given:
        decides = {"seed"} if name == "seeds" else {*BUDGETS} if name in BUDGETS else {name}
        if both := sorted(decides & swept):
            spelt = "--seeds" if name == "seeds" else flag(name)
            raise UsageError(
                f"The grid sweeps over {both[0]}, and {spelt} is given beside it; one of them would be ignored.",
                f"Leave {spelt} out, or take {both[0]} out of [grid].",
            )


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


def shared_rate(kind: StudyKind, base: RunConfig, registry: Registry) -> float | None:
    """The learning rate of all runs of a study: the lowest that a head asks for, where its kind wants one for all of them."""
    if base.lr is not None or not kind.one_rate:
        return base.lr
    tasks: list[Task] = [registry.get("tasks", ref) for ref in base.task]
    return min((registry.head(task, base.head).learning_rate for task in tasks), default=None)


def fitting(base: RunConfig, registry: Registry) -> dict[str, str | None]:
    """Installed quantizers that fit the model, by name to when they are applied; none is the first.

    Raises:
        UsageError: only the weights as they are fit, or the study was told which to take.
    """
    from bench.modeling.find import find_model
    from bench.steps.resolve import misfit

    if base.quant != "none" or base.quant_when is not None:
        raise UsageError("The study takes every quantizer that fits; leave --quant and --quant-when out.")
    model = find_model(base.model, registry, user_cache.folder("models"), base.convert).attending(base.attention)
    parts: list[Quantizer] = [registry.get("quantizers", entry.name) for entry in registry.entries("quantizers")]
    fits = [q for q in parts if q.name != "none" and not q.missing() and not misfit(q, model.spec, q.when[0], base.device)]
    if not fits:
        raise UsageError(f"No installed quantizer fits {model.name!r}.", "Run 'bench list quantizers'.")
    return {"none": None} | {q.name: q.when[0] for q in fits}


def read_grid(values: Mapping[str, Any], source: str) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """The content of a sweep's file: fields that all runs share, ``[run]``, and a list of values a field, ``[grid]``.

    Args:
        values: the parsed TOML.
        source: named in errors.

    Raises:
        UsageError: another table, an unknown field, or no list of values; `source` is named.
    """
    tables = ("run", "grid")
    for name in values:
        if name not in tables:
            raise unknown(f"table in {source}", name, tables, "bench study --help")
    run, grid = dict(values.get("run", {})), values.get("grid", {})
    named = {key.replace("-", "_") for key in run}
    fixed = {name for name, each in OPTIONS.items() if each.identity == "never" or each.place == "path"} | {"task_set"}
    clean: dict[str, list[Any]] = {}
    for key, listed in grid.items():
        name = key.replace("-", "_")
        if name not in OPTIONS:
            raise unknown(f"field in [grid] of {source}", key, OPTIONS.keys() - fixed, "bench run --help")
        if name in fixed:
            raise UsageError(
                f"{source}: {key} under [grid] cannot be swept over; it belongs under [run] or on the command line."
            )
        if not isinstance(listed, list):
            raise UsageError(f"{source}: {key} under [grid] is {listed!r}; it must be a list of values.")
        if not listed:
            raise UsageError(f"{source}: {key} under [grid] is an empty list; the grid has no point.")
        clean[name] = listed
    if len(set(clean) & set(BUDGETS)) > 1:
        raise UsageError(f"{source}: a run has one budget; [grid] names {' and '.join(sorted(set(clean) & set(BUDGETS)))}.")
    refuse_swept([name for name in OPTIONS if name in named and name != "task"], clean)
    return run, clean
