"""The contract of a comparison: runs may differ in what is compared, and in nothing else that could explain a difference.

Every field below is read from ``result.json``. Fields that follow from a compared one may differ with it (another base model
has another number of adapter parameters); any other difference is named, and refused unless it was allowed by that name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from shlex import quote
from typing import Any

from bench.api.architecture import UNMATCHED
from bench.config import OPTIONS, TOGETHER
from bench.data.faults import listed as listed_faults
from bench.errors import ContractError, unknown
from bench.results.schema import Result
from bench.wording import some

TOKENS = 0.01
"""Training tokens may differ by this share of the larger count: budgets are met to within one example."""
PARAMETERS = 0.05
"""Adapters and fusion may differ by this share, the rule of the parity invariant. Heads are left out: studies pair runs with
different numbers of heads."""

UNCHANGED = "no"
"""Of the field ``changed``, where a run's files are those that were written."""

Facts = Mapping[str, Any]
"""Field to a value, to a number that has a tolerance, or to a mapping of which only common keys are compared."""

_TRACKERS = ("wandb", "mlflow")  # they cannot change an outcome
# Fields of a run of several tasks that mean nothing to a run of one.
_TOGETHER = tuple(name for name, option in OPTIONS.items() if option.group is TOGETHER)

FOLLOWS: Mapping[str, tuple[str, ...]] = {
    "tasks": (*_TOGETHER, "teacher"),
    "sampling": ("temperature",),
    "schedule": ("schedule_options", "teacher"),
    "quant": ("quant_when",),
    "model": ("parameters", "max_length"),
    "rank": ("parameters",),
    "budget": ("tokens", "eval_every"),
}
"""Compared field to the fields that cannot stay the same with it."""

CHOICES = (*(name for name, option in OPTIONS.items() if option.compared("choice")), "tasks")
"""The default fields of a comparison; those count in which the runs differ."""


def _model(result: Result) -> str:
    model = result.resolved("model")
    return f"{model['name']} {str(model['sha256'])[:8]}" if isinstance(model, Mapping) else str(model)


def _parameters(result: Result) -> int | str | None:
    """A number; in words where the arm is held to no other."""
    row = result.invariants.parity.own
    if row is None:
        return None
    return row.adapters + row.fusion if result.matched else f"{row.adapters + row.fusion:,} ({UNMATCHED})"


def _leaks(result: Result) -> dict[str, int]:
    return {name: report["allowed"] for name, report in result.leaks.items() if report.get("allowed")}


def _left_out(result: Result) -> dict[str, str]:
    return {name: listed_faults(result.left_out.get(name, {})) or "nothing" for name in result.scores}


def _adjusted(result: Result) -> dict[str, str]:
    return {name: listed_faults(result.adjusted.get(name, {})) or "nothing" for name in result.scores}


def _concepts(result: Result) -> dict[str, str]:
    """Task to the hash of the names that concepts were looked up in, ``none`` where training mentions alone were."""
    hashes = result.hashes.get("concepts", {})
    return {task: str(hashes.get(task, "none"))[:16] for task in result.scores}


def _train_resample(result: Result) -> dict[str, str]:
    """Whether training documents were drawn, and which draw a seed has: arms are paired by seed, and share its draw."""
    draw = result.config.get("train_resample")
    if draw is None:
        return {"documents": "all"}
    return {"documents": "a random half", f"seed {result.config.get('seed', 0)}": f"draw {draw}"}


def _versions(result: Result) -> dict[str, Any]:
    return {name: value for name, value in result.versions.items() if name not in ("parts", *_TRACKERS)}


def _parts(result: Result, tasks: bool) -> dict[str, Any]:
    parts = result.versions.get("parts", {})
    versions = {name: version for name, version in parts.items() if name.startswith("task ") == tasks}
    return {name.removeprefix("task "): version for name, version in versions.items()}


_READ: Mapping[str, Callable[[Result], Any]] = {
    "tasks": lambda result: "+".join(sorted(result.scores)),
    "model": _model,
    "attention": lambda result: result.resolved("attention") or "the model's own",
    "head": lambda result: dict(result.resolved("head") or {}),
    "teacher": lambda result: ", ".join(one["recipe"] for one in result.resolved("teacher") or ()) or "none",
    "budget": lambda result: "whole" if result.invariants.tokens.controlled else "early stopping",
    "tokens": lambda result: result.invariants.tokens.total,
    "parameters": _parameters,
    "data": lambda result: dict(result.hashes.get("data", {})),
    "concepts": _concepts,
    "scorer": lambda result: _parts(result, tasks=True),
    "parts": lambda result: _parts(result, tasks=False),
    "versions": _versions,
    "git": lambda result: result.git.get("commit"),
    "waivers": lambda result: ", ".join(sorted(result.waivers)) or "none",
    "leaks": _leaks,
    "left_out": _left_out,
    "adjusted": _adjusted,
    "shots": lambda result: result.config.get("shots") or "all",
    "train_resample": _train_resample,
    "init_from": lambda result: result.config.get("resolved", {}).get("init_from", {}).get("recipe", "none"),
    "synthetic": lambda result: result.synthetic,
    "imported": lambda result: _imported(result),
    "changed": lambda result: UNCHANGED,  # the files tell, see `bench.studies.arms.Run.facts`
}
_CONFIG = {n: option.default for n, option in OPTIONS.items() if n not in _READ and option.compared("choice", "control")}
"""Fields of the configuration that can change the outcome, each with the value of results older than the field."""
FIELDS = (*_CONFIG, *_READ)
"""Every field of the contract, as ``--by`` and ``--allow`` take them."""
_TOLERANCE = {"tokens": TOKENS, "parameters": PARAMETERS}
# These count even where every run has the same.
_SPOILS: Mapping[str, Callable[[Any], bool]] = {
    "waivers": lambda value: value != "none",
    "leaks": bool,
    "parameters": lambda value: isinstance(value, str),
    "imported": lambda value: value not in (None, "no"),
    "changed": lambda value: value not in (None, UNCHANGED),
}
_KNOWN = ("tasks", "model", "data", "scorer", "waivers", "leaks", "left_out", "synthetic", "imported", "changed")
"""Fields that are known of a system that was imported."""


def _imported(result: Result) -> str:
    if result.imported is None:
        return "no"
    known = {"training tokens": result.imported.tokens, "parameters": result.imported.parameters}
    unknown_of = [name for name, value in known.items() if value is None]
    return (
        f"{result.imported.system} ({' and '.join(unknown_of)} unknown)"
        if unknown_of
        else f"{result.imported.system} (as declared)"
    )


def facts(result: Result) -> dict[str, Any]:
    """The value of every field in a result; None where the field does not apply to the run."""
    values = {name: result.resolved(name) for name in _CONFIG} | {name: read(result) for name, read in _READ.items()}
    values |= {name: default for name, default in _CONFIG.items() if values[name] is None}
    if len(result.scores) < 2:
        values |= dict.fromkeys(set(_TOGETHER) - {"schedule", "schedule_options"})
    if result.imported is not None:
        # None is no difference: what is not known is said once, by the field `imported`.
        values = {name: value if name in _KNOWN else None for name, value in values.items()}
        values |= {"tokens": result.imported.tokens, "parameters": result.imported.parameters}
    if values["budget"] == "whole":
        values["eval_every"] = None  # the last checkpoint is the result, whenever dev was looked at
    return values


@dataclass(frozen=True)
class Difference:
    """A field that forbids a comparison: runs differ in it beyond what is compared, or have what none should have.

    Args:
        field: its name.
        told: the values, and how many runs have each.
        allowed: whether the user allowed it.
        same: whether all runs have the same, such as a waived invariant.
    """

    field: str
    told: str
    allowed: bool
    same: bool = False

    @property
    def sentence(self) -> str:
        """The field and its values, as what is said of the runs."""
        return f"{'all runs have' if self.same else 'the runs differ in'} {self.field}: {self.told}"

    def to_json(self) -> dict[str, Any]:
        """Every field."""
        return asdict(self)


def training_set(drawn: bool) -> str:
    """For which training documents a conclusion holds: where every seed has `drawn` its own, or where all have the same."""
    if drawn:
        return "Over training documents as well: each seed has drawn its own, from the corpus that is there."
    return "For this training set: seeds and test documents vary, training documents do not ('bench study --resample-train')."


def check_fields(names: Iterable[str], option: str) -> tuple[str, ...]:
    """Names of fields, once each, as typed after an option; commas may join several.

    Raises:
        UsageError: one that is no field.
    """
    fields = tuple(dict.fromkeys(part for name in names for part in name.split(",") if part))
    for name in fields:
        if name not in FIELDS:
            raise unknown(f"field of {option}", name, FIELDS, "bench compare --help")
    return fields


def compared(runs: Sequence[Facts]) -> tuple[str, ...]:
    """The default fields of a comparison: the choices in which the runs differ."""
    fields = [name for name in CHOICES if differs(name, [run[name] for run in runs])]
    follow = {after for name in fields for after in FOLLOWS.get(name, ())}
    return tuple(name for name in fields if name not in follow)


def differences(runs: Sequence[Facts], by: Sequence[str], allow: Iterable[str] = ()) -> list[Difference]:
    """What the runs differ in beyond what is compared. A waived invariant, an allowed leak and an arm that is not
    parameter-matched count, even if all runs have it.

    Args:
        runs: the facts of each.
        by: the fields that are compared.
        allow: fields that may differ.
    """
    expected, allowed = {*by, *(after for name in by for after in FOLLOWS.get(name, ()))}, set(allow)
    differing = []
    for name in FIELDS:
        values = [run[name] for run in runs]
        spoilt = name in _SPOILS and name not in by and any(map(_SPOILS[name], values))
        unlike = differs(name, values)
        if spoilt or (name not in expected and unlike):
            differing.append(Difference(name, summary(name, values), name in allowed, not unlike))
    return differing


def refusal(differing: Sequence[Difference], by: Sequence[str]) -> tuple[str, str] | None:
    """Why runs cannot be compared, and the flags that would allow it; None where they can."""
    refused = [difference for difference in differing if not difference.allowed]
    if not refused:
        return None
    what = f"in more than {' and '.join(by)}" if by else "though nothing is compared"
    alike = all(difference.same for difference in refused)
    why = "all of them have what a comparison forbids" if alike else f"they differ {what}"
    return why, f"If you mean to: {' '.join(f'--allow {difference.field}' for difference in refused)}"


def listed(differing: Sequence[Difference]) -> str:
    """The differences that were not allowed, with their values."""
    return "; ".join(f"{difference.field}: {difference.told}" for difference in differing if not difference.allowed)


def refuse(differing: Sequence[Difference], by: Sequence[str], tasks: Iterable[str] = ()) -> None:
    """Stops a comparison of runs that differ in what was not allowed.

    `tasks` are those of the runs where nobody asked to compare runs of different tasks: one of them may have been meant.

    Raises:
        ContractError: naming every field, its values, and how to allow it.
    """
    refused = refusal(differing, by)
    if refused is not None:
        why, allowing = refused
        of_one = " or ".join(f"--task {quote(name)}" for name in tasks)
        hint = f"Runs of one task: {of_one}. {allowing}" if of_one else allowing
        raise ContractError(f"The runs cannot be compared, {why}: {listed(differing)}.", hint)


def differs(name: str, values: Sequence[Any]) -> bool:
    """Whether values of a field differ by more than its tolerance; None is ignored."""
    return any(len(group) > 1 for group in _grouped(name, values).values())


def summary(name: str, values: Sequence[Any]) -> str:
    """Values of a field and how many runs have each, as in ``A1 in 3 runs, A2 in 3 runs``; only what differs of a mapping."""
    groups = _grouped(name, values)
    shown = {key: group for key, group in groups.items() if len(group) > 1} or groups
    parts = []
    for key, group in shown.items():
        shares = ", ".join(f"{value} in {some(count, 'run')}" for value, count in list(group.items())[:4])
        parts.append((f"{key} " if key else "") + shares + (f" and {len(group) - 4} more" if len(group) > 4 else ""))
    return ", ".join(parts[:3]) + (f" and {len(parts) - 3} more" if len(parts) > 3 else "")


def label(name: str, value: Any, values: Sequence[Any]) -> str:
    """The name of an arm by one field.

    Args:
        name: of the field.
        value: of a run of the arm.
        values: of all runs, so that only what sets arms apart is named.
    """
    if isinstance(value, Mapping):
        groups = _grouped(name, values)
        differing = [str(value[key]) for key in value if len(groups.get(key, ())) > 1]
        return "+".join(dict.fromkeys(differing)) or "the same"
    if name in _TOLERANCE and isinstance(value, int):
        return f"{_near(name, values)[value]:,} {name}"
    if name == "model":
        shorter = {str(v).rpartition(" ")[0] for v in values}
        return str(value).rpartition(" ")[0] if len(shorter) == len(set(values)) else str(value)
    return "none" if value is None else str(value)


def _grouped(name: str, values: Sequence[Any]) -> dict[str, dict[str, int]]:
    """Number of runs by value, for each key of a mapping; a value that is no mapping has the key ""."""
    groups: dict[str, dict[str, int]] = {}
    near = _near(name, values) if name in _TOLERANCE else {}
    for value in values:
        pairs = value.items() if isinstance(value, Mapping) else [("", value)] if value is not None else []
        for key, item in pairs:
            text = f"{near[item]:,}" if item in near else str(item)[:16] if name in ("data", "git") else str(item)
            group = groups.setdefault(str(key), {})
            group[text] = group.get(text, 0) + 1
    return groups


def _near(name: str, values: Sequence[Any]) -> dict[int, int]:
    """Each number to the smallest of the numbers within the tolerance of it, which stands for all of them."""
    nearest: dict[int, int] = {}
    first = None
    for value in sorted({value for value in values if isinstance(value, int)}):
        if first is None or value - first > _TOLERANCE[name] * value:
            first = value
        nearest[value] = first
    return nearest
