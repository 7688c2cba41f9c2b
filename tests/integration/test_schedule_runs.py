"""Tasks one after another: the same tokens, forgetting as numbers, a resumed run like one that was never stopped."""

from __future__ import annotations

import csv
import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from safetensors.torch import load_file  # noqa: E402

from bench import runner  # noqa: E402
from bench.cli import main  # noqa: E402
from bench.config import RunConfig  # noqa: E402
from bench.errors import UsageError  # noqa: E402
from bench.invariants import checkpoint as checkpoints  # noqa: E402
from bench.registry import load  # noqa: E402
from bench.results.layout import ADAPTERS, CHECKPOINTS, RESULT  # noqa: E402

Make = Callable[..., RunConfig]
PAIR = ("2015-T14", "second")
STEPS = 8


@pytest.fixture
def pair(pair: Make) -> Make:
    shared = {"steps": STEPS, "sampling": "uniform", "temperature": 2.0, "lr": 2e-2}
    return lambda **changes: pair(**(shared | changes))


@pytest.fixture
def registry(kit: Any) -> Any:
    return kit.with_parts(tasks=[kit.task_like("second")])


def result_of(folder: Path | None) -> dict[str, Any]:
    assert folder is not None
    found: dict[str, Any] = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    return found


def weights(folder: Path) -> dict[str, Any]:
    return load_file(folder / ADAPTERS / "shared" / "adapter_model.safetensors")


def test_sequential_trains_as_many_tokens_as_joint_and_tells_what_was_forgotten(pair: Make, registry: Any) -> None:
    joint = result_of(runner.run(pair(), registry).folder)
    folder = runner.run(pair(schedule="sequential"), registry).folder
    result = result_of(folder)
    assert folder is not None
    accounts = [one["invariants"]["tokens"]["tasks"] for one in (joint, result)]
    for task in PAIR:
        assert abs(accounts[0][task]["tokens"] - accounts[1][task]["tokens"]) <= 64
    found = result["schedule"]
    assert (found["name"], found["options"], found["read"]) == ("sequential", {"lambda": 0.0}, 0)
    assert [row["tasks"] for row in found["phases"]] == [[], ["2015-T14"], ["second"]]
    assert [row["step"] for row in found["phases"]] == [0, STEPS // 2, STEPS]
    assert found["phases"][1]["tokens"] == accounts[1]["2015-T14"]["tokens"]
    scores = [row["scores"] for row in found["phases"]]
    assert found["backward"] == {"2015-T14": scores[2]["2015-T14"] - scores[1]["2015-T14"]}
    assert found["forward"] == {"second": scores[1]["second"] - scores[0]["second"]}
    assert result["training"]["reported"] == "last checkpoint of the budget"
    steps = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]
    rates = [line["values"]["lr"] for line in steps if line["kind"] == "step"]
    assert rates[: STEPS // 2] == pytest.approx(rates[STEPS // 2 :], rel=0.3)  # it rises and falls once a task
    assert "schedule" not in joint


def test_the_report_of_a_finished_run_draws_what_was_forgotten(pair: Make, registry: Any, tmp_path: Path) -> None:
    for name in ("jinja2", "vl_convert"):
        pytest.importorskip(name)
    folder = runner.run(pair(schedule="sequential"), registry).folder
    found = result_of(folder)["schedule"]
    assert main(["report", str(folder), "--out", str(tmp_path / "page")]) == 0
    assert '<section id="forgetting"' in (tmp_path / "page" / "index.html").read_text(encoding="utf-8")
    with (tmp_path / "page" / "tables" / "forgetting.csv").open(encoding="utf-8") as stream:
        rows = [*csv.DictReader(stream)]
    assert [row["after"] for row in rows] == ["start", "1 2015-T14", "2 second"]
    assert [[float(row[task]) for task in PAIR] for row in rows] == [
        [phase["scores"][task] for task in PAIR] for phase in found["phases"]
    ]
    with (tmp_path / "page" / "tables" / "forgetting-transfer.csv").open(encoding="utf-8") as stream:
        *_, last = csv.DictReader(stream)
    assert float(last["backward"]) == found["backward_transfer"]
    assert float(last["forward"]) == found["forward_transfer"]


def test_elastic_weights_stay_nearer_to_where_the_first_task_left_them(pair: Make, kit: Any) -> None:
    moved = {}
    for strength in (0.0, 1e6):
        options = {"lambda": strength}
        config = pair(schedule="sequential", schedule_options=options, checkpoint_every=STEPS // 2)
        config = replace(config, out=f"{config.out}-{strength:g}")
        saved: dict[int, Any] = {}

        def keep(event: Any, config: RunConfig = config, saved: dict[int, Any] = saved) -> None:
            if event.kind == "checkpoint":
                (root,) = Path(config.out).glob(f"*/{CHECKPOINTS}")
                saved[event.step] = checkpoints.load(root, event.step).model

        own = kit.with_parts(tasks=[kit.task_like("second")])
        own.add(kit.Observer(keep), "test:keep", "test")
        folder = runner.run(config, own).folder
        assert folder is not None
        between, end = saved[STEPS // 2], saved[STEPS]
        shared = [name for name in end if name.startswith("adapters.adapter.shared.")]
        assert shared
        moved[strength] = sum(float((end[name] - between[name]).square().sum()) for name in shared)
        assert (result_of(folder)["schedule"]["read"] > 0) == (strength > 0)
        lines = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]
        values = [line["values"].get("penalty") for line in lines if line["kind"] == "step"]
        if strength == 0:
            assert values == [None] * STEPS
        else:
            # at the anchor it is 0 but for rounding
            assert [value["value"] for value in values[: STEPS // 2 + 1]] == pytest.approx([0.0] * (STEPS // 2 + 1), abs=1e-6)
            assert values[-1]["value"] > 0
    assert 0 < moved[1e6] < 0.5 * moved[0.0]


def test_killed_after_the_first_task_it_goes_on_bit_for_bit(pair: Make, registry: Any, tmp_path: Path, kit: Any) -> None:
    how: dict[str, Any] = {"schedule": "sequential", "schedule_options": {"lambda": 50.0}, "checkpoint_every": 1}
    whole = runner.run(pair(out=str(tmp_path / "whole"), **how), registry).folder
    assert whole is not None
    config = pair(out=str(tmp_path / "killed"), **how)

    def die(event: Any) -> None:
        if (event.kind, event.step) == ("step", STEPS // 2 + 2):
            os.kill(os.getpid(), signal.SIGKILL)

    def first(told: Any) -> None:
        registry.add(kit.Observer(die), "test:kill", "test")
        runner.run(config, registry, console=told)

    assert kit.forked(first).signal == signal.SIGKILL
    folder = Path(config.out) / whole.name
    runner.run(RunConfig(out=config.out, tracker=("none",)), registry, resume=folder.name)
    found, wanted = result_of(folder), result_of(whole)
    assert found["invariants"]["checkpoint"]["resumed_from"] == [STEPS // 2 + 1]
    assert found["schedule"] == wanted["schedule"]
    assert found["scores"] == wanted["scores"]
    one, other = weights(folder), weights(whole)
    assert all(torch.equal(one[name], other[name]) for name in other)


def test_weights_given_by_hand_count(pair: Make, registry: Any, tmp_path: Path) -> None:
    plain = runner.run(pair(steps=2), registry).folder
    ones = runner.run(pair(steps=2, loss_weights={"second": 1.0}), registry).folder
    heavy = runner.run(pair(steps=2, loss_weights={"second": 5.0}), registry).folder
    assert plain is not None
    assert ones is not None
    assert heavy is not None
    assert len({plain.name, ones.name, heavy.name}) == 3
    same, other = weights(plain), weights(heavy)
    assert all(torch.equal(same[name], tensor) for name, tensor in weights(ones).items())
    assert not all(torch.equal(same[name], tensor) for name, tensor in other.items())
    assert result_of(heavy)["together"]["loss_weights"] == {"second": 5.0}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"schedule": "sequentail"}, "sequentail"),
        ({"schedule": "sequential", "schedule_options": {"lamda": 1.0}}, "It takes: lambda."),
        ({"schedule_options": {"lambda": 1.0}}, "It takes none."),
        ({"schedule": "sequential", "schedule_options": {"lambda": -1.0}}, "of lambda is -1; it must be at least 0"),
        ({"loss_weights": {"third": 2.0}}, "third"),
    ],
)
def test_what_makes_no_sense_is_refused_before_training(pair: Make, registry: Any, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        runner.run(pair(**changes), registry, dry_run=True)
    assert said in f"{caught.value.message} {caught.value.hint}"


def test_one_task_alone_is_the_same_run_in_any_order(tiny: Make) -> None:
    plain = runner.run(tiny(), load()).folder
    other = runner.run(tiny(schedule="sequential"), load()).folder
    assert plain is not None
    assert other is not None
    assert all(torch.equal(weights(plain)[name], tensor) for name, tensor in weights(other).items())
