"""The configuration: defaults, what is refused and how, what a TOML file may say, and what makes a run's identity."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.config import INVARIANTS, RunConfig, flag, from_mapping, read_toml, run_id
from bench.errors import UsageError

BASE = RunConfig(task=("2015-T14",))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rank": 0}, "--rank is 0; it must be at least 1."),
        ({"max_length": 8}, "--max-length is 8; it must be at least 16."),
        ({"batch_tokens": -1}, "--batch-tokens is -1"),
        ({"steps": 0}, "--steps is 0"),
        ({"epochs": 0.0}, "--epochs is 0; it must be above 0."),
        ({"epochs": float("nan")}, "--epochs is nan"),
        ({"max_hours": float("inf")}, "--max-hours is inf"),
        ({"lr": -1e-3}, "--lr is -0.001"),
        ({"lr": 1e308}, "--lr is 1e+308; it must be at most 1,000."),
        ({"lr": 1000.5}, "--lr is 1000.5"),
        ({"epochs": 1e300}, "--epochs is 1e+300; it must be at most 1,000,000,000."),
        ({"max_hours": 1e10}, "--max-hours is 10000000000; it must be at most 1,000,000,000."),
        ({"steps": 10**400}, "--steps is about 10^400; it must be at most 1,000,000,000,000,000."),
        ({"batch_tokens": 2**63}, "--batch-tokens is 9223372036854775808; it must be at most"),
        ({"rank": 100_001}, "--rank is 100001; it must be at most 100,000."),
        ({"tokens": -(10**50)}, "--tokens is about -10^50; it must be at least 1."),
        ({"lr": float("nan")}, "--lr is nan"),
        ({"seed": -1}, "--seed is -1"),
        ({"seed": 2**32}, "--seed is 4294967296; it must be at most 4,294,967,295."),
        ({"loss_weights": {"a": 0.0}}, "--loss-weight of a is 0; it must be above 0."),
        ({"schedule_options": {"lambda": -1.0}}, "--schedule-option of lambda is -1; it must be at least 0."),
        ({"steps": 1, "tokens": 1}, "one budget; got --steps and --tokens"),
        ({"epochs": 1.0, "tokens_like": "x"}, "one budget; got --epochs and --tokens-like"),
        ({"task": ("a", "a")}, "The same task twice: a, a."),
        ({"temperature": 0.5}, "--temperature is 0.5; it must be at least 1."),
        ({"temperature": float("inf")}, "--temperature is inf"),
        ({"temperature": float("nan")}, "--temperature is nan"),
        ({"temperature": 3.0, "sampling": "uniform"}, "--temperature beside --sampling uniform means nothing."),
        ({"waive": ("smok",)}, "Unknown invariant 'smok'. Did you mean 'smoke'?"),
    ],
)
def test_nonsense_is_refused_in_one_line(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        RunConfig(**values)
    assert message in caught.value.message
    assert "\n" not in caught.value.message


def test_a_learning_rate_of_zero_is_for_the_smoke_invariant_to_refuse() -> None:
    assert RunConfig(lr=0.0).lr == 0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rnk": 4}, "Unknown key in f.toml 'rnk'. Did you mean 'rank'"),
        ({"rank": "4"}, "f.toml: rank is '4'; it must be a whole number."),
        ({"rank": True}, "rank is True"),
        ({"rank": 4.0}, "rank is 4.0"),
        ({"allow-leak": 1}, "f.toml: allow_leak is 1; it must be true or false."),
        ({"lr": "fast"}, "lr is 'fast'; it must be a number."),
        ({"task": 3}, "task is 3; it must be a name or a list of names."),
        ({"task": [3]}, "task is [3]"),
        ({"data": ["x"]}, "data is ['x']; it must be a table of TASK=DIR, such as 2015-T14=corpus/."),
        ({"schedule-options": {"k": "2"}}, "it must be a table of OPTION=N, such as lambda=10."),
        ({"rank": None}, "rank is None; it must be a whole number."),
        ({"memory_limit": "lots"}, "f.toml: memory_limit: 'lots' is not a size such as 2GiB"),
        ({"model": 3}, "model is 3; it must be a string."),
        ({"precision": "fp8"}, "Unknown value of precision in f.toml 'fp8'. Did you mean"),
        ({"sampling": "unifrom"}, "Unknown value of sampling in f.toml 'unifrom'. Did you mean 'uniform'?"),
        ({"loss-weighting": "unsure"}, "Unknown value of loss_weighting in f.toml 'unsure'."),
        ({"gradients": "pcgrab"}, "Unknown value of gradients in f.toml 'pcgrab'. Did you mean 'pcgrad'?"),
        ({"quant-when": "later"}, "Unknown value of quant_when in f.toml 'later'."),
    ],
)
def test_wrong_keys_and_types_name_the_file(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        from_mapping(values, "f.toml")
    assert message in caught.value.message


def test_a_file_is_laid_over_the_defaults_and_flags_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text('task = ["2015-T14"]\nbatch-tokens = 512\nlr = 1\ntracker = "none"\n[data]\n2015-T14 = "corpus"\n')
    config = from_mapping(read_toml(path), str(path))
    assert (config.task, config.batch_tokens, config.lr, config.tracker) == (("2015-T14",), 512, 1.0, ("none",))
    assert config.data == {"2015-T14": "corpus"}
    over = from_mapping({"batch_tokens": 64}, "the command line", config)
    assert (over.batch_tokens, over.lr, over.rank) == (64, 1.0, 16)


def test_a_key_may_be_spelt_as_its_flag() -> None:
    assert from_mapping({"loss-weight": {"a": 2}}, "f.toml") == from_mapping({"loss_weights": {"a": 2}}, "f.toml")


def test_files_that_are_no_toml(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no configuration file"):
        read_toml(tmp_path / "absent.toml")
    (tmp_path / "bad.toml").write_text("rank = = 3")
    with pytest.raises(UsageError, match=r"bad\.toml is not TOML"):
        read_toml(tmp_path / "bad.toml")
    with pytest.raises(UsageError, match="is not TOML"):
        read_toml(tmp_path)
    (tmp_path / "latin.toml").write_bytes(b"name = '\xe9'")
    with pytest.raises(UsageError, match="is not TOML"):
        read_toml(tmp_path / "latin.toml")


@pytest.mark.parametrize(
    "values",
    [
        {"arch": "A2"},
        {"rank": 8},
        {"seed": 1},
        {"replicate": 2},
        {"lr": 1e-3},
        {"steps": 5},
        {"waive": ("smoke",)},
        {"model": "x"},
        {"sampling": "uniform"},
        {"temperature": 3.0},
        {"loss_weighting": "uncertainty"},
        {"gradients": "pcgrad"},
        {"allow_leak": True},
        {"tolerate": ("text-mismatch",)},
        {"shots": 8},
        {"train_resample": 0},
        {"init_from": "a-run"},
        {"freeze_shared": True},
    ],
)
def test_what_can_change_the_outcome_changes_the_id(values: dict[str, Any]) -> None:
    assert run_id(replace(BASE, **values)) != run_id(BASE)


@pytest.mark.parametrize(
    "values",
    [
        {"out": "x"},
        {"task_set": "clinical"},
        {"name": "x"},
        {"tracker": ("none",)},
        {"max_hours": 1.0},
        {"memory_limit": 10},
        {"checkpoint_every": 9},
        {"concepts": {"2015-T14": "names.tsv"}},  # their content does, as a resolved fact
    ],
)
def test_what_cannot_change_the_outcome_keeps_the_id(values: dict[str, Any]) -> None:
    assert run_id(replace(BASE, **values)) == run_id(BASE)


def test_resolved_facts_replace_the_flags_and_join_the_id() -> None:
    identity = BASE.identity(precision="bf16", data={"2015-T14": "abc"})
    assert (identity["precision"], identity["data"]) == ("bf16", {"2015-T14": "abc"})
    assert run_id(BASE, data="a") != run_id(BASE, data="b")
    assert len({run_id(BASE), run_id(BASE, concepts={"2015-T14": "a"}), run_id(BASE, concepts={"2015-T14": "b"})}) == 3
    ident = run_id(replace(BASE, arch="A3", quant="gptq"))
    assert ident.startswith("2015-t14_a3_gptq_")
    assert len(ident.rsplit("_", 1)[1]) == 12


def test_runs_from_before_a_field_came_keep_their_id() -> None:
    later = {"sampling", "temperature", "loss_weighting", "gradients", "allow_leak", "tolerate"}
    assert not (later | {"shots", "train_resample", "init_from", "freeze_shared"}) & BASE.identity().keys()
    assert BASE.identity(init_from={"run": "a", "sha256": "b"})["init_from"]["run"] == "a"
    assert replace(BASE, gradients="pcgrad").identity().keys() - BASE.identity().keys() == {"gradients"}


def test_kinds_that_are_tolerated_mean_the_same_in_any_order_and_twice() -> None:
    one, other = (replace(BASE, tolerate=kinds) for kinds in (("b", "a", "b"), ("a", "b")))
    assert one == other
    assert run_id(one) == run_id(other)


def test_a_byte_order_mark_before_a_file_is_let_pass(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes(b"\xef\xbb\xbfrank = 4\n")
    assert read_toml(tmp_path / "a.toml") == {"rank": 4}


def test_flags_are_spelt_with_dashes() -> None:
    assert flag("checkpoint_every") == "--checkpoint-every"
    assert len(INVARIANTS) == 5
