"""The frozen configuration of a run: flags over a TOML file over defaults, and the id it gives."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import MISSING, Field, asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from bench.errors import UsageError, unknown
from bench.naming import LONGEST_ID, joined

INVARIANTS = ("tokens", "parity", "smoke", "batch", "checkpoint")

MOST_LR = 1000
"""Larger rates leave the range of a float in the first update; 1 is far too large already."""
MOST_RANK = 100_000
"""Far above the width of any layer."""
MOST_FLOAT = 1e9
"""Of epochs and hours."""
MOST = 10**15
"""Of any other number: of tokens, a hundred times what the largest models have seen; what is larger overflows."""

# What cannot change the outcome stays out of the run's identity.
_NOT_IDENTITY = frozenset(
    {
        "tracker", "memory_limit", "max_hours", "out", "name", "study", "micro_batch", "checkpoint_every", "data", "task_set",
        "concepts", "concept_language", "concept_sources",
    }
)  # fmt: skip
# Came after runs had ids: at its default a field stays out of the identity, so that those runs are still found by theirs.
_LATER = frozenset(
    {
        "sampling", "temperature", "loss_weighting", "loss_weights", "gradients", "schedule", "schedule_options", "allow_leak",
        "tolerate", "shots", "init_from", "freeze_shared",
    }
)  # fmt: skip


@dataclass(frozen=True)
class RunConfig:
    """Everything `bench run` takes; each field is also a key of ``--config FILE.toml``.

    Args:
        task: names of the tasks, or paths of files that describe them; at least one.
        task_set: name of a set of tasks, which a run adds to `task`.
        arch: architecture.
        rank: the budget N; an arm may train N·S adapter parameters, S = Σ(in+out) over the adapted linears.
        quant: quantizer.
        quant_when: ``load`` or ``after``; None takes the quantizer's own default.
        model: short name, folder, or ``org/name@revision``.
        head: head name; None takes each task's default.
        data: task name to folder; a task that is not in it generates its synthetic corpus.
        concepts: task to a file that names its concepts: a table, OBO, or UMLS's ``MRCONSO.RRF``.
        concept_language: of the rows of ``MRCONSO.RRF`` that are read, as its second column has it; every one where empty.
        concept_sources: of those rows, as the twelfth column has them; every one where empty.
        allow_leak: whether documents may stand in two splits of a corpus; recorded in the result.
        tolerate: kinds of faulty lines that are left out of a corpus, counted and recorded; see `bench.api.task.Task.faults`.
        shots: of each task's training documents at most so many, drawn by `seed`; all of them where None.
        seed: of initialisation, order and sampling.
        replicate: index of a repetition of the very same configuration.
        steps: budget in updates.
        epochs: budget in passes over the training data.
        tokens: budget in marked tokens.
        tokens_like: id or folder of a run whose tokens are the budget.
        init_from: id or folder of a finished run, whose trained weights that tasks share are where training starts.
        freeze_shared: whether what tasks share stays as it starts, so that heads and what is private to a task train alone.
        sampling: how tasks share the tokens: ``proportional`` to their size, ``uniform``, or by ``temperature``.
        temperature: τ of the last; a task's share goes by its size to the power 1/τ.
        loss_weighting: of tasks: ``equal``, or ``uncertainty``, by a trainable log-variance a task.
        loss_weights: task to what its loss is multiplied by; 1 for a task that is not in it.
        gradients: of tasks over what they share: ``plain`` adds them up, ``pcgrad`` projects those that conflict.
        schedule: in which order the tasks take their tokens: ``joint``, all at once, ``sequential``, or a plugin's.
        schedule_options: numbers that the schedule takes, by name.
        batch_tokens: marked tokens an update holds, to within one example.
        micro_batch: padded tokens of a micro-batch; None lets the batch invariant find it.
        max_length: longest window in tokens, special tokens included; chosen from each task's training data where None.
        lr: peak learning rate; the lowest that a head of the run asks for where None.
        precision: ``fp32`` or ``bf16``; ``auto`` takes the one the device is better at.
        device: ``cpu``, ``cuda``, ``cuda:N`` or ``auto``.
        memory_limit: bytes; the smaller of this and what the machine has.
        checkpoint_every: updates between checkpoints.
        eval_every: updates between evaluations on dev; None looks twice over the run.
        max_hours: save a checkpoint and stop before this much time has passed.
        out: folder of runs.
        name: a person's name for the run.
        study: name of the study that it is run for; trackers nest it there.
        tracker: names of trackers; ``("none",)`` for none.
        waive: invariants that are not enforced; recorded in the result.
    """

    task: tuple[str, ...] = ()
    task_set: str | None = None
    arch: str = "A1"
    rank: int = 16
    quant: str = "none"
    quant_when: Literal["load", "after"] | None = None
    model: str = "minilm-l6"
    head: str | None = None
    data: Mapping[str, str] = field(default_factory=dict)
    concepts: Mapping[str, str] = field(default_factory=dict)
    concept_language: str = "ENG"
    concept_sources: tuple[str, ...] = ()
    allow_leak: bool = False
    tolerate: tuple[str, ...] = ()
    shots: int | None = None
    seed: int = 0
    replicate: int = 1
    steps: int | None = None
    epochs: float | None = None
    tokens: int | None = None
    tokens_like: str | None = None
    init_from: str | None = None
    freeze_shared: bool = False
    sampling: Literal["proportional", "uniform", "temperature"] = "temperature"
    temperature: float = 2.0
    loss_weighting: Literal["equal", "uncertainty"] = "equal"
    loss_weights: Mapping[str, float] = field(default_factory=dict)
    gradients: Literal["plain", "pcgrad"] = "plain"
    schedule: str = "joint"
    schedule_options: Mapping[str, float] = field(default_factory=dict)
    batch_tokens: int = 2048
    micro_batch: int | None = None
    max_length: int | None = None
    lr: float | None = None
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    device: str = "auto"
    memory_limit: int | None = None
    checkpoint_every: int = 200
    eval_every: int | None = None
    max_hours: float | None = None
    out: str = "runs"
    name: str | None = None
    study: str | None = None
    tracker: tuple[str, ...] = ("wandb", "mlflow")
    waive: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "tolerate", tuple(sorted(set(self.tolerate))))  # in whatever order they were named
        for name, low in (("rank", 1), ("replicate", 1), ("batch_tokens", 1), ("checkpoint_every", 1)):
            _at_least(name, getattr(self, name), low)
        for name, low in (
            ("steps", 1), ("tokens", 1), ("shots", 1), ("micro_batch", 1), ("eval_every", 1), ("memory_limit", 1),
            ("max_length", 16),
        ):  # fmt: skip
            if getattr(self, name) is not None:
                _at_least(name, getattr(self, name), low)
        for name, most in (("rank", MOST_RANK), *((name, MOST) for name in sorted(_INTS - {"rank", "seed"}))):
            if (getattr(self, name) or 0) > most:
                raise UsageError(f"{flag(name)} is {_brief(getattr(self, name))}; it must be at most {most:,}.")
        for name in ("epochs", "max_hours"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise UsageError(f"{flag(name)} is {value}; it must be a positive number.")
            if value is not None and value > MOST_FLOAT:
                raise UsageError(f"{flag(name)} is {value:g}; it must be at most {MOST_FLOAT:g}.")
        if self.lr is not None and not 0 <= self.lr <= MOST_LR:
            raise UsageError(f"--lr is {self.lr}; it must be a number between 0 and {MOST_LR}.", "Try 0.001.")
        if not 0 <= self.seed < 2**32:
            raise UsageError(f"--seed is {_brief(self.seed)}; it must lie between 0 and 4294967295.")
        if not 1 <= self.temperature < float("inf"):
            raise UsageError(
                f"--temperature is {self.temperature:g}; it must be a number of at least 1.",
                "1 is --sampling proportional; --sampling uniform is what ever higher ones come to.",
            )
        if self.temperature != RunConfig.temperature and self.sampling != "temperature":
            raise UsageError(f"--temperature beside --sampling {self.sampling} means nothing.")
        for task, weight in self.loss_weights.items():
            if not 0 < weight <= MOST_FLOAT:
                raise UsageError(f"--loss-weight of {task} is {weight:g}; it must be above 0 and at most {MOST_FLOAT:g}.")
        if self.loss_weights and self.loss_weighting != "equal":
            raise UsageError("--loss-weight beside --loss-weighting uncertainty, which trains the weights, means nothing.")
        budgets = [n for n in ("steps", "epochs", "tokens", "tokens_like") if getattr(self, n) is not None]
        if len(budgets) > 1:
            raise UsageError(f"A run has one budget; got {' and '.join(map(flag, budgets))}.")
        if len(set(self.task)) != len(self.task):
            raise UsageError(f"The same task twice: {', '.join(self.task)}.")
        for name in self.waive:
            if name not in INVARIANTS:
                raise unknown("invariant", name, INVARIANTS, "bench run --help")

    def identity(self, **resolved: Any) -> dict[str, Any]:
        """What can change the outcome, JSON-able.

        Args:
            resolved: facts that the flags leave open, such as the data hash and the precision; they replace the flags.
        """
        late = {f.name for f in fields(self) if f.name in _LATER and getattr(self, f.name) == default_of(f)}
        kept = {k: v for k, v in asdict(self).items() if k not in _NOT_IDENTITY | late}
        return json.loads(json.dumps(kept | resolved, sort_keys=True))  # type: ignore[no-any-return]

    def as_json(self) -> dict[str, Any]:
        """Every field, JSON-able."""
        return json.loads(json.dumps(asdict(self)))  # type: ignore[no-any-return]


def run_id(config: RunConfig, **resolved: Any) -> str:
    """The run's id: the tasks, the arm, and twelve hex digits of the SHA-256 of its identity.

    Of tasks whose names would make it longer than a file's name may be, the last ones are counted instead of named.
    """
    identity = config.identity(**resolved)
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]
    arm = f"_{config.arch}_{config.quant}_{digest}"
    return f"{joined(identity['task'], LONGEST_ID - len(arm.encode()))}{arm}".lower()


def default_of(field: Field[Any]) -> Any:
    """A field's value where nothing is given."""
    return field.default if field.default_factory is MISSING else field.default_factory()


def flag(name: str) -> str:
    """The command-line spelling of a field."""
    return "--" + _SINGULAR.get(name, name).replace("_", "-")


def from_mapping(values: Mapping[str, Any], source: str, base: RunConfig | None = None) -> RunConfig:
    """A configuration from keys and values, as a TOML file or the command line gives them.

    Args:
        values: field names, with ``-`` or ``_``, to values.
        source: named in errors, e.g. the file's path.
        base: what the values are laid over; the defaults where None.

    Raises:
        UsageError: an unknown key, or a value of the wrong type.
    """
    known = {f.name for f in fields(RunConfig)}
    clean: dict[str, Any] = {}
    for key, value in values.items():
        name = key.replace("-", "_")
        if name not in known:
            raise unknown(f"key in {source}", key, known, "bench run --help")
        clean[name] = _typed(name, value, source)
    return replace(base or RunConfig(), **clean)


def replacing(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values with the fields that they take the place of at their defaults: of four budgets there is one; so with tasks."""
    found = dict(values)
    for together in ({"steps", "epochs", "tokens", "tokens_like"}, {"task", "task_set"}):
        if together & values.keys():
            found = {name: getattr(RunConfig, name) for name in together} | found
    return found


def read_toml(path: Path) -> dict[str, Any]:
    """The keys of a TOML file.

    Raises:
        UsageError: the file is missing or is not TOML.
    """
    import sys

    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise UsageError(f"There is no configuration file {path}.") from None
    except (ValueError, IsADirectoryError) as error:  # a number of 5,000 digits is a ValueError of Python's own
        raise UsageError(f"{path} is not TOML: {error}.") from None
    except RecursionError:
        raise UsageError(f"{path} is not TOML that can be read: it is nested too deeply.") from None


_TUPLES = {"task", "tracker", "waive", "tolerate", "concept_sources"}
_INTS = {
    "rank", "shots", "seed", "replicate", "steps", "tokens", "batch_tokens", "micro_batch", "max_length", "memory_limit",
    "checkpoint_every", "eval_every",
}  # fmt: skip
_FLOATS = {"epochs", "lr", "max_hours", "temperature"}
NUMBERED = {"loss_weights": "tasks", "schedule_options": "names"}
"""Fields that map names to numbers, and what the names are."""
_SINGULAR = {"loss_weights": "loss_weight", "schedule_options": "schedule_option"}
"""Fields whose flag is given once for each of their values."""
_CHOICES: dict[str, tuple[str, ...]] = {
    "quant_when": ("load", "after"),
    "precision": ("auto", "fp32", "bf16"),
    "sampling": ("proportional", "uniform", "temperature"),
    "loss_weighting": ("equal", "uncertainty"),
    "gradients": ("plain", "pcgrad"),
}


def _typed(name: str, value: Any, source: str) -> Any:
    if value is None:
        return None
    if name in _TUPLES:
        items = (value,) if isinstance(value, str) else value
        if isinstance(items, (list, tuple)) and all(isinstance(i, str) for i in items):
            return tuple(map(_placed, items)) if name == "task" else tuple(items)
        raise UsageError(f"{source}: {name} is {value!r}; it must be a name or a list of names.")
    if name in ("allow_leak", "freeze_shared"):
        if isinstance(value, bool):
            return value
        raise UsageError(f"{source}: {name} is {value!r}; it must be true or false.")
    if name in _INTS:
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        raise UsageError(f"{source}: {name} is {value!r}; it must be a whole number.")
    if name in _FLOATS:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
        raise UsageError(f"{source}: {name} is {value!r}; it must be a number.")
    if name in NUMBERED:
        numbers = isinstance(value, Mapping) and all(type(v) in (int, float) for v in value.values())
        if numbers:
            return {key: float(v) for key, v in value.items()}
        raise UsageError(f"{source}: {name} must map {NUMBERED[name]} to numbers.")
    if name in ("data", "concepts"):
        if isinstance(value, Mapping) and all(isinstance(v, str) for v in value.values()):
            return dict(value)
        raise UsageError(f"{source}: {name} must map task names to {'folders' if name == 'data' else 'files'}.")
    if not isinstance(value, str):
        raise UsageError(f"{source}: {name} is {value!r}; it must be a string.")
    if name in _CHOICES and value not in _CHOICES[name]:
        raise unknown(f"value of {name} in {source}", value, _CHOICES[name], "bench run --help")
    return value


def _placed(task: str) -> str:
    """A task's file with its whole path, so that a run can be resumed from any folder."""
    return str(Path(task).absolute()) if task.endswith(".toml") else task


def _at_least(name: str, value: int, low: int) -> None:
    if value < low:
        raise UsageError(f"{flag(name)} is {_brief(value)}; it must be at least {low}.")


def _brief(number: int) -> str:
    """A whole number; one that fills the screen in powers of ten."""
    if abs(number) < 10**30:
        return str(number)
    return f"about {'-' if number < 0 else ''}10^{round((number.bit_length() - 1) * 0.30103)}"
