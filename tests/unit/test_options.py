"""The table of fields: one declaration is all that a field takes, and whatever knows the fields knows them from there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

import pytest

from bench.api.study import BUDGETS as STUDY_BUDGETS
from bench.cli.parser import Parser, add_flags, parse
from bench.cli.run import configuration, configure, typed
from bench.config import BUDGETS, OPTIONS, RunConfig, from_mapping
from bench.errors import UsageError
from bench.library.fields import configured
from bench.options import Contract, Group, Identity, Option, option, table
from bench.steps.resume import LIMITS
from bench.studies.argv import argv_of
from bench.studies.contract import CHOICES, FIELDS
from bench.studies.request import STUDY_OPTIONS

OURS = Group("ours", identity="given")


@dataclass(frozen=True)
class Third:
    """What somebody adds: each field once, of every type there is."""

    share: float = option(0.5, OURS, "P", "of something", most=1)
    examples: int | None = option(None, OURS, "N", "how many", unset="all")
    words: tuple[str, ...] = option(("a", "b"), OURS, "WORD", "some words")
    mode: Literal["one", "two"] | None = option(None, OURS, "NAME", "one or two")
    frozen: bool = option(False, OURS, "", "whether it is frozen")
    weights: Mapping[str, float] = option({}, OURS, "TASK=W", "a weight", flag="--weight", example="a=2")
    room: int = option(2**20, OURS, "SIZE", "bytes", size=True)
    beside: str = "no field of the command line"


def arguments(words: list[str]) -> tuple[str, dict[str, Any]]:
    parser = Parser(prog="third")
    add_flags(parser, table(Third).values())
    args = parse(parser, words)
    assert args is not None
    return " ".join(parser.format_help().split()), typed(args, table(Third))


def test_one_declaration_makes_the_flag_its_help_and_what_it_is_read_as() -> None:
    words = [
        "--share=.25",
        "--examples=3",
        "--words=c",
        "--mode=two",
        "--frozen",
        "--weight=a=2",
        "--weight=b=3",
        "--room=2KiB",
    ]
    told, given = arguments(words)
    assert given == {
        "share": 0.25, "examples": 3, "words": ["c"], "mode": "two", "frozen": True, "weights": {"a": 2.0, "b": 3.0},
        "room": 2048,
    }  # fmt: skip
    for line in (
        "ours: --share P of something (default: 0.5)", "--examples N how many (default: all)",
        "--words WORD some words; repeatable (default: a, b)", "--frozen whether it is frozen --weight",
        "--weight TASK=W a weight; repeatable --room", "--room SIZE bytes (default: 1048576)",
    ):  # fmt: skip
        assert line in told
    assert arguments([])[1] == {}
    with pytest.raises(UsageError, match="--weight names the task 'a' twice"):
        arguments(["--weight=a=2", "--weight=a=3"])
    with pytest.raises(UsageError, match="--weight: 'a' is not TASK=W, such as a=2"):
        arguments(["--weight=a"])


@pytest.mark.parametrize(
    ("name", "value", "held"),
    [
        ("share", 1, 1.0),
        ("examples", None, None),
        ("share", 10**400, float("inf")),
        ("words", "c", ("c",)),
        ("mode", "one", "one"),
        ("room", "2KB", 2000),
    ],
)
def test_a_value_is_read_as_the_annotation_says(name: str, value: Any, held: Any) -> None:
    found = table(Third)[name].read(value, "f.toml")
    assert (found, type(found)) == (held, type(held))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("share", None, "f.toml: share is None; it must be a number."),
        ("frozen", 1, "f.toml: frozen is 1; it must be true or false."),
        ("mode", "tow", "Unknown value of mode in f.toml 'tow'. Did you mean 'two'?"),
        ("weights", {"a": "b"}, "it must be a table of TASK=W, such as a=2."),
        ("room", 1.5, "f.toml: room is 1.5; it must be a whole number."),
    ],
)
def test_another_type_is_refused(name: str, value: Any, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        table(Third)[name].read(value, "f.toml")
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("share", 0.0, "--share is 0; it must be above 0."),
        ("share", float("nan"), "--share is nan; it must be above 0."),
        ("share", 1.5, "--share is 1.5; it must be at most 1."),
        ("examples", 0, "--examples is 0; it must be at least 1."),
        ("weights", {"a": 1.0, "b": -2.0}, "--weight of b is -2; it must be above 0."),
    ],
)
def test_a_number_out_of_range_is_refused(name: str, value: Any, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        table(Third)[name].check(value)
    assert caught.value.message == message


def test_every_field_of_a_run_is_declared_in_full() -> None:
    assert [*OPTIONS] == [each.name for each in fields(RunConfig)]
    for name, each in {**OPTIONS, **STUDY_OPTIONS}.items():
        assert each.help, name
        assert "default" not in each.help, name  # it is added
        assert bool(each.metavar) == (each.type is not bool), name
        assert bool(each.example) == (each.type is dict), name
        assert each.identity in get_args(Identity), name
        assert each.contract in get_args(Contract), name
        assert ("=" in each.metavar) == (each.type is dict), name
    flags = [each.flag for each in OPTIONS.values()]
    assert len(flags) == len({*flags})


def sample(each: Option) -> Any:
    """A value that is not the default."""
    if each.choices:
        return next(choice for choice in reversed(each.choices) if choice != each.default)
    if each.type is dict:
        return {"a": "/x"} if each.values is str else {"a": 2.5}
    if each.type is tuple:
        return ("smoke",) if each.name == "waive" else ("x", "y")
    return {bool: True, int: 33, float: 2.5, str: "/x" if each.place == "path" else "x"}[each.type]


@pytest.mark.parametrize("name", [name for name in OPTIONS if name != "task_set"])
def test_a_field_means_the_same_as_a_flag_in_a_file_and_in_python(name: str, tmp_path: Path) -> None:
    value = sample(OPTIONS[name])
    config = RunConfig(**{name: value})
    parser = Parser(prog="bench run")
    configure(parser)
    args = parse(parser, argv_of(config))
    assert args is not None
    assert getattr(configuration(args), name) == value != OPTIONS[name].default
    assert from_mapping({name.replace("_", "-"): value}, "f.toml") == config
    assert configured(None, {name: value}) == config
    assert from_mapping(config.as_json(), "result.json") == config
    if OPTIONS[name].identity in ("always", "given"):
        assert config.identity() != RunConfig().identity()
        assert config.identity()[name] == config.as_json()[name]
    else:
        assert config.identity() == RunConfig().identity()


def test_what_a_resumed_run_may_be_told_and_what_a_comparison_holds_follow_from_the_table() -> None:
    assert {*LIMITS} == {
        "memory_limit",
        "shard",
        "max_hours",
        "tracker",
        "name",
        "study",
        "micro_batch",
        "checkpoint_every",
        "convert",
        "gradient_checkpointing",
    }
    assert {*CHOICES} == {
        "arch", "quant", "model", "tasks", "head", "rank", "sampling", "temperature", "loss_weighting", "loss_weights",
        "gradients", "schedule", "schedule_options", "teacher", "lr", "batch_tokens", "max_length", "quant_when",
        "shots", "init_from", "freeze_shared", "attention", "optimizer",
    }  # fmt: skip
    elsewhere = {
        "tokens", "eval_every", "precision", "device", "attention_implementation", "data", "concepts", "train_resample",
    }  # fmt: skip
    assert {*FIELDS} & OPTIONS.keys() == {*CHOICES} - {"tasks"} | elsewhere
    assert BUDGETS == STUDY_BUDGETS


def test_what_a_file_may_not_hold() -> None:
    for values, says in (
        ({"out": "a\0b"}, "zero byte"), ({"task": ["a\0"]}, "zero byte"),
        ({"loss-weight": {"a": 1.0}, "loss_weights": {"a": 2.0}}, "twice"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=says):
            from_mapping(values, "x.toml")
