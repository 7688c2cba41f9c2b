"""The kinds of study, each a function from what was asked for to a plan of runs.

| kind | role of a run | compared |
|---|---|---|
| ``token-control`` | ``multi``, ``total``, ``share`` | all tasks; each alone at equal total; each alone on its own tokens |
| ``ablation`` | ``arm`` | architectures, within a set of tasks (the run's group) |
| ``quantization`` | ``quantizer`` | quantizers of one model; each run holds its scores before and after |
| ``transfer`` | ``single``, ``total``, ``pair`` | each task alone, alone on twice the tokens, and with every other one |
| ``sweep`` | ``point`` | the points of a grid |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import combinations, product
from typing import Any

from bench.config import RunConfig, from_mapping
from bench.errors import UsageError, unknown
from bench.naming import bounded
from bench.studies.study import StudyRun

SEEDS = 6
"""Fewer carry no verdict of significance."""
ARMS = ("A1", "A2", "A3", "A4")
"""Architectures of an ablation that names none."""
KINDS = ("token-control", "ablation", "quantization", "transfer", "sweep")
_MOST_RUNS = 10_000
_BUDGETS = ("steps", "epochs", "tokens", "tokens_like")


@dataclass(frozen=True)
class Request:
    """What a study is asked for.

    Args:
        base: what all of its runs share; its tasks are the study's, its seed the first one.
        seeds: how many.
        names: of every task that is named, by how it was typed; a file's path stands for the task that it describes.
        arms: architectures, for an ablation; `ARMS` where empty.
        sets: name of a set to its tasks as typed, for an ablation over several; one set of all tasks where empty.
        quantizers: those that fit the model, by name to when they are applied.
        grid: field to its values, for a sweep.
    """

    base: RunConfig
    seeds: int = SEEDS
    names: Mapping[str, str] = field(default_factory=dict)
    arms: tuple[str, ...] = ()
    sets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    quantizers: Mapping[str, str | None] = field(default_factory=dict)
    grid: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.base.task_set is not None:
            raise UsageError(
                f"The set of tasks {self.base.task_set!r} of a study is not written out.",
                "Write them out: replace(written_out(config, registry, os.environ), task_set=None).",
            )
        if self.seeds < 1:
            raise UsageError(f"--seeds is {self.seeds}; it must be at least 1.", f"A verdict wants {SEEDS} or more.")

    @property
    def seed_list(self) -> tuple[int, ...]:
        """Every seed."""
        return tuple(range(self.base.seed, self.base.seed + self.seeds))


def plan(kind: str, request: Request) -> list[StudyRun]:
    """The runs of a study.

    Raises:
        UsageError: no such kind, or a request that it cannot do anything with.
    """
    if kind not in _PLANNERS:
        raise unknown("kind of study", kind, KINDS, "bench study --help")
    return _PLANNERS[kind](request)


def token_control(request: Request) -> list[StudyRun]:
    """The multi-task run, each task alone on as many tokens in all, and each task alone on the tokens that it had in it."""
    tasks = _several(request, "token-control")
    _tokens(request, "token-control", "in all")
    runs = []
    for seed in request.seed_list:
        multi = _run(request, f"multi-s{seed}", "multi", request.base.task, seed=seed)
        runs.append(multi)
        for task in tasks:
            name = request.names[task]
            for role, like in (("total", multi.key), ("share", f"{multi.key}:{name}")):
                runs.append(_run(request, f"{name}-{role}-s{seed}", role, (task,), like, seed=seed, tokens=None))
    return runs


def ablation(request: Request) -> list[StudyRun]:
    """Every architecture, on every set of tasks."""
    sets = request.sets or {"": request.base.task}
    if not all(sets.values()):
        raise UsageError("An ablation wants tasks: --task NAME, repeated, or --set NAME.", "'bench list tasks' shows them.")
    arms = request.arms or ARMS
    if len(arms) < 2:
        raise UsageError(
            f"An ablation wants two architectures or more; got {arms[0]}.",
            f"Name each with --arch, or none for {', '.join(ARMS[:-1])} and {ARMS[-1]}.",
        )
    runs = []
    for label, tasks in sets.items():
        for seed, arm in product(request.seed_list, arms):
            key = f"{label}-{arm}-s{seed}" if label else f"{arm}-s{seed}"
            runs.append(_run(request, key, "arm", tasks, group=label or None, seed=seed, arch=arm))
    return runs


def quantization(request: Request) -> list[StudyRun]:
    """Every quantizer that fits the model; a run holds its scores before and after."""
    runs = []
    for seed, (quantizer, when) in product(request.seed_list, request.quantizers.items()):
        changes: dict[str, Any] = {"quant": quantizer, "quant_when": when, "seed": seed}
        runs.append(_run(request, f"{quantizer}-s{seed}", "quantizer", request.base.task, **changes))
    return runs


def transfer(request: Request) -> list[StudyRun]:
    """Each task alone on N tokens and on 2N, and each pair on 2N, half of them each task's."""
    tasks = _several(request, "transfer")
    tokens = _tokens(request, "transfer", "of each task")
    runs = []
    for seed in request.seed_list:
        for task in tasks:
            name = request.names[task]
            runs.append(_run(request, f"{name}-s{seed}", "single", (task,), seed=seed))
            runs.append(_run(request, f"{name}-total-s{seed}", "total", (task,), seed=seed, tokens=2 * tokens))
        for pair in combinations(tasks, 2):
            label = "+".join(request.names[task] for task in pair)
            changes: dict[str, Any] = {"seed": seed, "tokens": 2 * tokens, "sampling": "uniform"}
            changes["temperature"] = RunConfig.temperature  # beside uniform it means nothing
            runs.append(_run(request, f"{label}-s{seed}", "pair", pair, **changes))
    return runs


def sweep(request: Request) -> list[StudyRun]:
    """Every point of a grid over the fields of a run."""
    if not request.grid:
        raise UsageError("The grid of a sweep is empty: its file names no field under [grid].", "See docs/studies.md.")
    grid = {name: list(values) for name, values in request.grid.items()}
    if "seed" not in grid:
        grid["seed"] = list(request.seed_list)
    count = 1
    for values in grid.values():
        count *= len(values)
    if not 0 < count <= _MOST_RUNS:
        none = [name for name, values in grid.items() if not values]
        told = f"'{none[0]}' has no value" if none else f"it has {count:,} points, and {_MOST_RUNS:,} is the most"
        raise UsageError(f"The grid of a sweep must have points: {told}.")
    runs = []
    for chosen in product(*grid.values()):
        point = dict(zip(grid, chosen, strict=True))
        shown = [f"{name}={_shown(value)}" for name, value in point.items() if name != "seed"]
        config = from_mapping(_one_budget(point), "[grid]", request.base)
        key = ",".join([*shown, f"s{config.seed}"])
        runs.append(_planned(request, key, "point", config))
    return runs


_PLANNERS: dict[str, Callable[[Request], list[StudyRun]]] = {
    "token-control": token_control,
    "ablation": ablation,
    "quantization": quantization,
    "transfer": transfer,
    "sweep": sweep,
}


def read_grid(values: Mapping[str, Any], source: str) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """What a sweep's file says: fields that all runs share, ``[run]``, and a list of values a field, ``[grid]``.

    Args:
        values: the parsed TOML.
        source: named in errors.

    Raises:
        UsageError: another table, an unknown field, or no list of values.
    """
    tables = ("run", "grid")
    for name in values:
        if name not in tables:
            raise unknown(f"table in {source}", name, tables, "bench study --help")
    run, grid = dict(values.get("run", {})), values.get("grid", {})
    known = {one.name for one in fields(RunConfig)}
    fixed = {"out", "name", "study", "data", "concepts", "task_set", "tracker"}
    clean: dict[str, list[Any]] = {}
    for key, listed in grid.items():
        name = key.replace("-", "_")
        if name not in known:
            raise unknown(f"field in [grid] of {source}", key, known - fixed, "bench run --help")
        if name in fixed:
            raise UsageError(
                f"{source}: {key} under [grid] cannot be swept over; it belongs under [run] or on the command line."
            )
        if not isinstance(listed, list):
            raise UsageError(f"{source}: {key} under [grid] is {listed!r}; it must be a list of values.")
        if not listed:
            raise UsageError(f"{source}: {key} under [grid] is an empty list; the grid has no point.")
        clean[name] = listed
    if len(set(clean) & set(_BUDGETS)) > 1:
        raise UsageError(f"{source}: a run has one budget; [grid] names {' and '.join(sorted(set(clean) & set(_BUDGETS)))}.")
    return run, clean


def _run(
    request: Request,
    key: str,
    role: str,
    tasks: tuple[str, ...],
    like: str | None = None,
    group: str | None = None,
    **changes: Any,
) -> StudyRun:
    return _planned(request, key, role, replace(request.base, **changes, task=tasks), like, group)


def _planned(
    request: Request, key: str, role: str, config: RunConfig, like: str | None = None, group: str | None = None
) -> StudyRun:
    names = [request.names.get(task, task) for task in config.task]
    data, concepts = ({name: told[name] for name in names if name in told} for told in (config.data, config.concepts))
    config = replace(config, task_set=None, data=data, concepts=concepts)
    task = names[0] if len(names) == 1 else None
    return StudyRun(_safe(key), role, task, config.seed, config.arch, config, like, group)


def _several(request: Request, kind: str) -> tuple[str, ...]:
    if len(request.base.task) < 2:
        got = f"got {request.base.task[0]}" if request.base.task else "got none"
        raise UsageError(f"A {kind} study wants two tasks or more; {got}.", "Repeat --task, or name a --task-set.")
    return request.base.task


def _tokens(request: Request, kind: str, what: str) -> int:
    given = [name for name in _BUDGETS if getattr(request.base, name) is not None]
    if request.base.tokens is None:
        got = f"got {', '.join(f'--{name}' for name in given).replace('_', '-')}" if given else "got none"
        raise UsageError(f"A {kind} study counts its budget in tokens; {got}.", f"Add --tokens N, the tokens {what}.")
    return request.base.tokens


def _one_budget(point: Mapping[str, Any]) -> dict[str, Any]:
    """A budget of the grid replaces the base's, whichever of the four that was."""
    if set(point) & set(_BUDGETS):
        return dict.fromkeys(_BUDGETS) | dict(point)
    return dict(point)


def _shown(value: Any) -> str:
    return "+".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _safe(key: str) -> str:
    """A key that is also a file's name."""
    return bounded("".join(c if c.isalnum() or c in "._+-=," else "-" for c in key))
