"""The frozen configuration of a run: flags over a TOML file over defaults, and the id it gives."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from bench.errors import UsageError, unknown
from bench.naming import LONGEST_ID, joined
from bench.options import Group, option, table

INVARIANTS = ("tokens", "parity", "smoke", "batch", "checkpoint")

COMPARED = Group("what is compared")
DATA = Group("data", identity="content")
BUDGET = Group("budget (one of them; otherwise the task's default)", contract="elsewhere")
TRAINING = Group("training")
TOGETHER = Group("several tasks at once", identity="given")
TAUGHT = Group("a teacher", identity="given")
MACHINE = Group("machine", contract="control")
PLACE = Group("where it goes", identity="never")


@dataclass(frozen=True)
class RunConfig:
    """Everything `bench run` takes. A field is a flag, a key of ``--config FILE.toml`` and an argument of `bench.run`.

    What a field means, and what else is asked of it, stands where it is declared; see `bench.options.Option`.
    """

    task: tuple[str, ...] = option((), COMPARED, "NAME", "a task, or a .toml file that describes one", contract="elsewhere")
    task_set: str | None = option(
        None, COMPARED, "NAME", "every task of a domain, such as clinical, after those of --task", identity="content"
    )
    arch: str = option("A1", COMPARED, "NAME", "architecture: how adapters are composed")
    quant: str = option("none", COMPARED, "NAME", "quantizer of the base model's weights")
    quant_when: Literal["load", "after"] | None = option(
        None, COMPARED, "load|after", "quantize before training (load) or after it", unset="the quantizer's own"
    )
    model: str = option("minilm-l6", COMPARED, "NAME", "short name, local folder, or org/name@revision")
    convert: bool = option(
        False, COMPARED, "", "write pickled weights of --model as safetensors, in the cache", identity="never",
    )  # fmt: skip
    attention: Literal["causal", "bidirectional"] | None = option(
        None, COMPARED, "NAME", "of a decoder: causal, or bidirectional, so that a token sees what comes after it",
        unset="the model's own", identity="given",
    )  # fmt: skip
    # The most is far above the width of any layer.
    rank: int = option(16, COMPARED, "N", "parameter budget: an arm trains N x S of them; see docs/running.md", most=100_000)
    head: str | None = option(None, COMPARED, "NAME", "what turns hidden states into predictions", unset="each task's first")
    seed: int = option(0, COMPARED, "N", "of initialisation, order and sampling", low=0, most=2**32 - 1, contract="elsewhere")
    replicate: int = option(1, COMPARED, "N", "number of a repetition of the same configuration", contract="elsewhere")

    data: Mapping[str, str] = option({}, DATA, "TASK=DIR", "a task's corpus", example="2015-T14=corpus/", place="path")
    concepts: Mapping[str, str] = option(
        {}, DATA, "TASK=FILE", "names of a task's concepts: a table, OBO or MRCONSO.RRF",
        example="2015-T14=names.tsv", place="path",
    )  # fmt: skip
    concept_language: str = option("ENG", DATA, "CODE", "language of the rows of MRCONSO.RRF that are read; '' for every one")
    concept_sources: tuple[str, ...] = option((), DATA, "NAME", "sources of those rows, such as SNOMEDCT_US", unset="all")
    allow_leak: bool = option(
        False, DATA, "", "accept documents that are in two splits; recorded", identity="given", contract="elsewhere"
    )
    tolerate: tuple[str, ...] = option(
        (), DATA, "KIND", "skip faulty lines of a kind in a corpus; recorded", identity="given", contract="elsewhere"
    )
    shots: int | None = option(
        None, DATA, "K", "at most K training documents of each task, drawn by seed", unset="all", identity="given"
    )
    train_resample: int | None = option(
        None, DATA, "DRAW", "train on a random half of each task's documents, by the number of its draw", unset="all",
        low=0, most=2**32 - 1, identity="given", contract="elsewhere",
    )  # fmt: skip
    max_length: int | None = option(
        None, DATA, "TOKENS", "longest window, with special tokens", unset="from the data", low=16, identity="always"
    )

    steps: int | None = option(None, BUDGET, "N", "updates")
    epochs: float | None = option(None, BUDGET, "N", "passes over the training data")
    tokens: int | None = option(None, BUDGET, "N", "marked tokens, to within one example")
    tokens_like: str | None = option(
        None, BUDGET, "RUN", "as many tokens as another run saw (its id or folder); RUN:TASK for one task of it", place="run"
    )

    # Larger rates leave the range of a float in the first update; 1 is far too large already.
    lr: float | None = option(
        None, TRAINING, "RATE", "peak learning rate", unset="what the heads ask for", low=0, most=1000, hint="Try 0.001."
    )
    init_from: str | None = option(
        None, TRAINING, "RUN", "start from a finished run's shared weights (its id or folder)", identity="given", place="run"
    )
    freeze_shared: bool = option(
        False, TRAINING, "", "train heads and private adapters alone; not parameter-matched", identity="given"
    )
    optimizer: Literal["adamw", "adamw-8bit", "paged-adamw-8bit"] = option(
        "adamw", TRAINING, "NAME", "adamw; with moments of 8 bits, adamw-8bit; those paged to the host, paged-adamw-8bit",
        identity="given",
    )  # fmt: skip
    batch_tokens: int = option(2048, TRAINING, "N", "marked tokens of an update, to within one example")
    micro_batch: int | None = option(None, TRAINING, "N", "padded tokens of a micro-batch", unset="searched", identity="never")
    eval_every: int | None = option(
        None, TRAINING, "N", "updates between evaluations on dev", unset="two in all", contract="control"
    )
    checkpoint_every: int = option(200, TRAINING, "N", "updates between checkpoints", identity="never")
    waive: tuple[str, ...] = option(
        (), TRAINING, "NAME", f"do not enforce {', '.join(INVARIANTS[:-1])} or {INVARIANTS[-1]}; recorded",
        contract="elsewhere",
    )  # fmt: skip

    sampling: Literal["proportional", "uniform", "temperature"] = option(
        "temperature", TOGETHER, "NAME", "shares of the tokens: proportional, uniform or temperature"
    )
    temperature: float = option(
        2.0, TOGETHER, "T", "a task's share is proportional to its size to the power 1/T", low=1,
        hint="1 is --sampling proportional; --sampling uniform is what ever higher ones come to.",
    )  # fmt: skip
    loss_weighting: Literal["equal", "uncertainty"] = option(
        "equal", TOGETHER, "NAME", "equal, or uncertainty: a trained weight for each task"
    )
    loss_weights: Mapping[str, float] = option(
        {}, TOGETHER, "TASK=W", "multiplies a task's loss", unset="1", flag="--loss-weight", example="ncbi-disease=0.5"
    )
    gradients: Literal["plain", "pcgrad"] = option(
        "plain", TOGETHER, "NAME", "the tasks' gradients: plain adds them up, pcgrad projects those in conflict"
    )
    schedule: str = option("joint", TOGETHER, "NAME", "order of training: joint, sequential, curriculum, distill or a plugin's")
    schedule_options: Mapping[str, float] = option(
        {}, TOGETHER, "OPTION=N", "a number that the schedule takes", unset="the schedule's own", low=0,
        flag="--schedule-option", example="lambda=10",
    )  # fmt: skip

    teacher: tuple[str, ...] = option(
        (),
        TAUGHT,
        "RUN",
        "a finished run that the schedule learns from (its id or folder), one for each task at most",
        place="run",
    )

    device: str = option("auto", MACHINE, "NAME", "cpu, cuda, cuda:N or auto")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = option(
        "auto", MACHINE, "NAME", "fp32, bf16, fp16 (for cards without bf16), or auto: fp32 or bf16, what the device does best"
    )
    gradient_checkpointing: Literal["auto", "on", "off"] = option(
        "auto", MACHINE, "NAME", "compute layers again in the backward pass: on, off, or auto: where no example fits otherwise",
        identity="never",
    )  # fmt: skip
    attention_implementation: Literal["auto", "eager", "sdpa", "flash"] = option(
        "auto", MACHINE, "NAME", "how the base model computes attention: eager, sdpa, flash (CUDA), or auto: what is fastest",
        identity="given",
    )  # fmt: skip
    shard: bool = option(
        False, MACHINE, "", "split the base model over the processes of accelerate launch, a part for each", identity="never"
    )
    memory_limit: int | None = option(
        None, MACHINE, "SIZE", "such as 2GiB or 500MB", unset="what is free", size=True, identity="never"
    )
    max_hours: float | None = option(None, MACHINE, "H", "save a checkpoint and stop after so many hours", identity="never")

    out: str = option("runs", PLACE, "DIR", "folder of runs", place="path")
    name: str | None = option(None, PLACE, "TEXT", "a name of your own for the run", unset="the id")
    study: str | None = option(None, PLACE, "NAME", "the study that the run belongs to; trackers nest it there")
    tracker: tuple[str, ...] = option(("wandb", "mlflow"), PLACE, "NAME", "where metrics are shown as well, or none")

    def __post_init__(self) -> None:
        object.__setattr__(self, "tolerate", tuple(sorted(set(self.tolerate))))  # in whatever order they were named
        for each in OPTIONS.values():
            each.check(getattr(self, each.name))
        if self.temperature != RunConfig.temperature and self.sampling != "temperature":
            raise UsageError(f"--temperature beside --sampling {self.sampling} means nothing.")
        if self.loss_weights and self.loss_weighting != "equal":
            raise UsageError("--loss-weight beside --loss-weighting uncertainty, which trains the weights, means nothing.")
        if self.train_resample is not None and self.shots is not None:
            raise UsageError("--train-resample beside --shots, which draws training documents by seed already, means nothing.")
        budgets = [name for name in BUDGETS if getattr(self, name) is not None]
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
        values = asdict(self)
        decisive = {
            name: values[name]
            for name, each in OPTIONS.items()
            if each.identity == "always" or (each.identity == "given" and values[name] != each.default)
        }
        return json.loads(json.dumps(decisive | resolved, sort_keys=True))  # type: ignore[no-any-return]

    def as_json(self) -> dict[str, Any]:
        """Every field, JSON-able."""
        return json.loads(json.dumps(asdict(self)))  # type: ignore[no-any-return]


OPTIONS = table(RunConfig)
"""Every field of a run, by name."""
_KEYS = {spelling: name for name, each in OPTIONS.items() for spelling in (name, each.flag[2:].replace("-", "_"))}
DIGITS = 12
"""Hexadecimal digits at the end of a run's id."""
BUDGETS = tuple(name for name, each in OPTIONS.items() if each.group is BUDGET)
"""Fields that say how long a run trains; it has one of them."""


def run_id(config: RunConfig, **resolved: Any) -> str:
    """The run's id: the tasks, the arm, and twelve hex digits of the SHA-256 of its identity.

    Of tasks whose names would make it longer than a file's name may be, the last ones are counted instead of named.
    """
    identity = config.identity(**resolved)
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:DIGITS]
    arm = f"_{config.arch}_{config.quant}_{digest}"
    return f"{joined(identity['task'], LONGEST_ID - len(arm.encode()))}{arm}".lower()


def flag(name: str) -> str:
    """The command-line spelling of a field."""
    return OPTIONS[name].flag


def from_mapping(values: Mapping[str, Any], source: str, base: RunConfig | None = None) -> RunConfig:
    """A configuration from keys and values, as a TOML file or the command line gives them.

    Args:
        values: fields, as they or their flags are spelt, with ``-`` or ``_``, to values.
        source: named in errors, e.g. the file's path.
        base: what the values are laid over; the defaults where None.

    Raises:
        UsageError: an unknown key, or a value of the wrong type.
    """
    clean: dict[str, Any] = {}
    for key, value in values.items():
        name = _KEYS.get(key.replace("-", "_"))
        if name is None:
            raise unknown(f"key in {source}", key, OPTIONS, "bench run --help")
        if name in clean:
            raise UsageError(f"{source}: {name} stands there twice, by two spellings.", "Leave one of them.")
        clean[name] = OPTIONS[name].read(value, source)
    if "task" in clean:
        clean["task"] = whole_paths(clean["task"])
    return replace(base or RunConfig(), **clean)


def whole_path(path: str) -> str:
    """A path that names the same file from any folder, so that a run can be resumed from there."""
    return str(Path(path).absolute())


def whole_paths(tasks: Iterable[str]) -> tuple[str, ...]:
    """Names of tasks, those of files with their whole path."""
    return tuple(whole_path(task) if task.endswith(".toml") else task for task in tasks)


def replacing(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values with the fields that they take the place of at their defaults: of four budgets there is one; so with tasks."""
    replaced = dict(values)
    for together in ({*BUDGETS}, {"task", "task_set"}):
        if together & values.keys():
            replaced = {name: OPTIONS[name].default for name in together} | replaced
    return replaced


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
