"""Optimizers of eight bits: resumed bit for bit, known to the contract, refused where they cannot work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from bench import runner  # noqa: E402
from bench.config import RunConfig, run_id  # noqa: E402
from bench.errors import MissingError, OutOfMemory, UsageError  # noqa: E402
from bench.registry import load  # noqa: E402
from bench.results.layout import ADAPTERS, RESULT  # noqa: E402
from bench.results.store import read_result  # noqa: E402
from bench.studies.contract import compared, differences, facts  # noqa: E402
from bench.training import loop, optimizers  # noqa: E402

Make = Callable[..., RunConfig]


def test_a_run_with_moments_of_eight_bits_is_resumed_bit_for_bit(tiny: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("bitsandbytes")
    changes = {"optimizer": "adamw-8bit", "steps": 5, "eval_every": 5, "checkpoint_every": 1}
    straight = runner.run(tiny(**changes), load()).folder
    config = tiny(**changes, out=str(straight) + "-stopped")
    real = loop.Trainer.run_update

    def full(self: loop.Trainer) -> Any:
        if self.step == 3:
            raise MemoryError
        return real(self)

    with monkeypatch.context() as patch:
        patch.setattr(loop.Trainer, "run_update", full)
        with pytest.raises(OutOfMemory):
            runner.run(config, load())
    (folder,) = Path(config.out).iterdir()
    runner.run(RunConfig(out=config.out, tracker=("none",)), load(), resume=str(folder))
    assert straight is not None
    assert straight.name == folder.name
    names = [path.relative_to(straight) for path in (straight / ADAPTERS).rglob("*.safetensors")]
    assert len(names) == 2
    for name in names:
        assert (straight / name).read_bytes() == (folder / name).read_bytes()

    plain = runner.run(tiny(steps=5, eval_every=5), load()).folder
    assert plain is not None
    runs = [facts(read_result(path)) for path in (straight, plain)]
    assert [run["optimizer"] for run in runs] == ["adamw-8bit", "adamw"]
    assert compared(runs) == ("optimizer",)
    assert [found.field for found in differences(runs, (), ("waivers",)) if not found.allowed] == ["optimizer"]
    assert (straight / RESULT).exists()


def test_what_a_checkpoint_holds_of_eight_bits() -> None:
    pytest.importorskip("bitsandbytes")
    torch.manual_seed(0)
    large, small = (torch.nn.Parameter(torch.randn(size)) for size in (8192, 10))
    optimizer = optimizers.make_optimizer([large, small], 0.01, "adamw-8bit")

    def step(seed: int) -> None:
        torch.manual_seed(seed)
        for parameter in (large, small):
            parameter.grad = torch.randn_like(parameter)
        optimizer.step()

    step(1)
    step(2)
    states = [{k: v.clone() for k, v in optimizers.kept(optimizer.state[p]).items()} for p in (large, small)]
    assert {key: value.dtype for key, value in states[0].items()} == {
        "step": torch.int64, "state1": torch.uint8, "state2": torch.uint8, "absmax1": torch.float32, "absmax2": torch.float32,
    }  # fmt: skip
    assert states[1]["state1"].dtype == torch.float32
    weights = [p.detach().clone() for p in (large, small)]
    step(3)
    wanted = [p.detach().clone() for p in (large, small)]
    step(4)
    optimizer.state.clear()
    for parameter, weight, state in zip((large, small), weights, states, strict=True):
        parameter.data.copy_(weight)
        optimizers.put_back(optimizer, parameter, state)
    step(3)
    for parameter, weight in zip((large, small), wanted, strict=True):
        assert torch.equal(parameter, weight)


def test_the_default_is_no_part_of_an_older_id() -> None:
    config = RunConfig(task=("x",))
    assert "optimizer" not in config.identity()
    assert run_id(config, task=["x"]) == run_id(RunConfig(task=("x",), optimizer="adamw"), task=["x"])
    assert run_id(config, task=["x"]) != run_id(RunConfig(task=("x",), optimizer="adamw-8bit"), task=["x"])
    assert "gradient_checkpointing" not in RunConfig(task=("x",), gradient_checkpointing="on").identity()


def test_refused_before_anything_is_trained(tiny: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("bitsandbytes")
    with pytest.raises(UsageError, match="pages a GPU's memory; this run is on the cpu") as caught:
        runner.run(tiny(optimizer="paged-adamw-8bit"), load(), dry_run=True)
    assert caught.value.hint == "Take --optimizer adamw-8bit."

    def none(*args: Any, **named: Any) -> Any:
        raise NotImplementedError

    with monkeypatch.context() as patch:
        patch.setattr("bitsandbytes.functional.optimizer_update_8bit_blockwise", none)
        with pytest.raises(UsageError, match="cannot take a step of it on cpu"):
            optimizers.refuse_unfit("adamw-8bit", "cpu")
    optimizers.refuse_unfit("adamw-8bit", "cpu")
    monkeypatch.setattr("bench.api.part.Requirement.present", lambda self: False)
    with pytest.raises(MissingError, match="needs bitsandbytes"):
        optimizers.refuse_unfit("adamw-8bit", "cpu")
