"""Several processes at one run: the ledger and, to rounding, the curves of one; and whatever ends one of them ends them all."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")
pytest.importorskip("accelerate")

from bench import runner  # noqa: E402
from bench.config import RunConfig  # noqa: E402
from bench.errors import DataError, UsageError  # noqa: E402
from bench.registry import load  # noqa: E402
from bench.results.layout import ADAPTERS, CHECKPOINTS, JOURNAL, RESULT  # noqa: E402
from bench.steps.resolve import refuse_unshardable, resolve  # noqa: E402
from bench.tracking.journal import read_journal, timeline  # noqa: E402
from bench.training.loop import Trainer  # noqa: E402
from bench.training.processes import Processes  # noqa: E402
from bench.training.sharding import Shards  # noqa: E402

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

Make = Callable[..., RunConfig]
MIXED: dict[str, Any] = {"arch": "A3", "gradients": "pcgrad", "loss_weighting": "uncertainty"}


@pytest.fixture
def pair(pair: Make) -> Make:
    """Runs of two tasks, whose gradients are projected and whose losses are weighed."""
    return lambda **changes: pair(**({"precision": "fp32", "device": "cpu"} | MIXED | changes))


@pytest.fixture
def registry(kit: Any) -> Any:
    return kit.with_parts(tasks=[kit.task_like("second")])


Launch = Callable[..., list[Any]]


@pytest.fixture
def launch(kit: Any, registry: Any) -> Launch:
    """Runs a configuration in two processes that are told what `accelerate launch` tells them; gives what became of each."""

    def go(config: RunConfig, resume: str | None = None, second: Callable[[], None] = lambda: None, runs: int = 1) -> list[Any]:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = str(probe.getsockname()[1])

        def one(index: int) -> Callable[[Any], Any]:
            def work(told: Any) -> Any:
                os.environ.update(RANK=str(index), LOCAL_RANK=str(index), WORLD_SIZE="2", LOCAL_WORLD_SIZE="2")
                os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=port)
                if index == 1:
                    second()
                for _ in range(runs):
                    found = runner.run(config, registry, resume=resume, console=told)
                return found.folder, found.result_path

            return work

        waits = [kit.started(one(index)) for index in range(2)]
        return [wait() for wait in waits]

    return go


def at_update(number: int, what: Callable[[], None]) -> Callable[[], None]:
    """Does something to a process when it begins an update."""

    def patch() -> None:
        accumulate = Trainer._accumulate

        def patched(self: Trainer, drawn: Any) -> Any:
            if drawn.step == number - 1:
                what()
            return accumulate(self, drawn)

        Trainer._accumulate = patched  # type: ignore[method-assign]

    return patch


def only(config: RunConfig) -> Path:
    (folder,) = Path(config.out).iterdir()
    return folder


def result_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    return found


def told(folder: Path, kind: str) -> list[tuple[int | None, dict[str, Any]]]:
    return [(e.step, dict(e.values)) for e in timeline(read_journal(folder / JOURNAL)) if e.kind == kind]


def weights(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted((folder / ADAPTERS).rglob("*.safetensors"))}


def same_run(found: Path, wanted: Path) -> None:
    """The same ledger update by update, the same curves to rounding, the same scores."""
    steps = told(wanted, "step")
    assert [step for step, _ in told(found, "step")] == [step for step, _ in steps] == list(range(1, len(steps) + 1))
    for (_, ours), (_, theirs) in zip(told(found, "step"), steps, strict=True):
        assert ours["ledger"] == theirs["ledger"]
        assert ours["micro_batches"] == theirs["micro_batches"]
        for name in ("loss", "weight", "gradient_norm", "cosine"):
            if name in theirs:
                assert ours[name] == pytest.approx(theirs[name], rel=1e-4, abs=1e-6), name
    for (_, ours), (_, theirs) in zip(told(found, "eval"), told(wanted, "eval"), strict=True):
        assert ours["scores"] == pytest.approx(theirs["scores"], abs=0.01)
    one, two = result_of(wanted), result_of(found)
    assert two["id"] == one["id"]
    assert two["invariants"]["tokens"] == one["invariants"]["tokens"]
    assert two["headline"]["value"] == pytest.approx(one["headline"]["value"], abs=0.01)


_two: dict[str, Any] = {}


@pytest.fixture
def two(pair: Make, launch: Launch, tmp_path: Path) -> Path:
    """The folder of a run that two processes went through without trouble; the same for every test."""
    if not _two:
        config = pair(out=str(tmp_path / "two"))
        _two.update(children=launch(config, runs=2), folder=only(config))
    folder: Path = _two["folder"]
    return folder


def test_two_processes_give_the_ledger_and_the_curves_of_one(pair: Make, registry: Any, two: Path) -> None:
    first, second = _two["children"]
    assert (first.code, second.code) == (0, 0), (first, second)
    assert first.value == (two, two / RESULT)
    assert first.told == [f"Run {two.name} is finished; --replicate 2 repeats it."]  # to the second call of it
    assert (second.value, second.told) == (first.value, [])
    one = runner.run(pair(), registry).folder
    assert one is not None
    same_run(two, one)
    assert (result_of(one)["hardware"]["processes"], result_of(two)["hardware"]["processes"]) == (1, 2)
    (ours,), (theirs,) = (result_of(folder)["together"]["gradients"]["pairs"] for folder in (two, one))
    assert (ours["updates"], ours["conflicts"]) == (theirs["updates"], theirs["conflicts"])
    assert [p.name for p in sorted((two / CHECKPOINTS).iterdir())] == [p.name for p in sorted((one / CHECKPOINTS).iterdir())]


def test_accelerate_launch_starts_them(tiny: Make, small_corpus: Path, tmp_path: Path) -> None:
    one = runner.run(tiny(device="cpu", steps=3, precision="fp32"), load())  # two halves add up alike in fp32 alone
    assert one.folder is not None
    launcher = "--multi_gpu --num_processes 2 --num_machines 1 --main_process_port 0 --mixed_precision no --dynamo_backend no"
    flags = (
        "--task 2015-T14 --model tiny-bert --head bio --steps 3 --eval-every 3 --checkpoint-every 2 --max-length 64 "
        "--batch-tokens 256 --micro-batch 256 --tracker none --waive smoke --device cpu --precision fp32 "
        f"--out {tmp_path / 'launched'}"
    )
    done = subprocess.run(
        [sys.executable, "-m", "accelerate.commands.launch", *launcher.split(), "-m", "bench", "run", *flags.split(),
         "--data", f"2015-T14={small_corpus}"],
        capture_output=True, text=True, timeout=500, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "launched").iterdir()
    same_run(folder, one.folder)
    assert done.stdout.count("training:") == 1
    assert done.stdout.count("bench show run") == 1


@pytest.mark.parametrize("kind", ["bench", "bug"])
def test_one_that_fails_ends_both_with_its_code_and_one_process_goes_on(
    kind: str, pair: Make, registry: Any, launch: Launch, two: Path, kit: Any
) -> None:
    def fail() -> None:
        raise DataError("Row 7 is odd.", "Mend it.") if kind == "bench" else KeyError("text of a corpus")

    config = pair()
    first, second = launch(config, second=at_update(4, fail))
    assert second.error == {"bench": "DataError", "bug": "KeyError"}[kind]
    assert (first.error, first.code) == ("RelayedError", {"bench": 4, "bug": 70}[kind])
    assert "text of a corpus" not in first.message
    if kind == "bench":
        assert (first.message, first.hint) == ("Row 7 is odd.", "Mend it.")
    else:
        assert "KeyError in process 1, raised in" in first.message
        assert "test_processes_runs.py" in first.message
    folder = only(config)
    assert told(folder, "end")[-1][1]["status"] == "failed"
    assert [step for step, _ in told(folder, "step")] == [1, 2, 3]
    assert not (folder / RESULT).exists()
    if kind == "bench":
        console = kit.Told()
        runner.run(RunConfig(out=config.out, tracker=("none",)), registry, resume=folder.name, console=console)
        assert console.said("processes changed since the run began: it carries on, but not bit for bit")
        same_run(folder, two)


def test_one_that_is_killed_ends_the_other(pair: Make, launch: Launch) -> None:
    config = pair()
    first, second = launch(config, second=at_update(3, lambda: os.kill(os.getpid(), signal.SIGKILL)))
    assert second.signal == signal.SIGKILL
    assert (first.error, first.code) == ("LostError", 1)
    assert told(only(config), "end")[-1][1]["message"] == first.message


def test_asked_to_stop_both_save_once_and_two_go_on_bit_for_bit(pair: Make, launch: Launch, two: Path) -> None:
    config = pair()
    for child in launch(config, second=at_update(3, lambda: os.kill(os.getpid(), signal.SIGTERM))):
        assert (child.error, child.code) == ("Interrupted", 130), child
        assert child.message == "Stopped on SIGTERM after update 3; its checkpoint is saved."
    folder = only(config)
    assert [step for step, _ in told(folder, "checkpoint")].count(3) == 1
    first, second = launch(replace(RunConfig(), out=config.out, tracker=("none",)), resume=folder.name)
    assert (first.code, second.code) == (0, 0), (first, second)
    assert not any("bit for bit" in line for line in first.told)
    assert weights(folder) == weights(two)
    assert [step["loss"] for _, step in told(folder, "step")] == [step["loss"] for _, step in told(two, "step")]


def test_one_that_runs_out_of_memory_halves_the_micro_batches_of_both(pair: Make, launch: Launch, two: Path) -> None:
    def once() -> None:
        if not tried:
            tried.append(True)
            raise MemoryError

    tried: list[bool] = []
    config = pair()
    first, second = launch(config, second=at_update(2, once))
    assert (first.code, second.code) == (0, 0), (first, second)
    assert any("Out of memory at update 2: micro-batches now hold 128 padded tokens" in line for line in first.told)
    ours, theirs = (result_of(folder)["invariants"]["tokens"]["tasks"] for folder in (only(config), two))
    for task, account in ours.items():
        assert {k: v for k, v in account.items() if k not in ("padded", "flops")} == {
            k: v for k, v in theirs[task].items() if k not in ("padded", "flops")
        }
    for (_, one), (_, other) in zip(told(only(config), "step"), told(two, "step"), strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-4)


def test_a_token_hidden_in_one_process_is_found_by_all(pair: Make, launch: Launch) -> None:
    def hide() -> None:
        from bench.invariants.tokens import Tally

        expect = Tally.expect
        Tally.expect = lambda self, tokens: expect(self, tokens + 1)  # type: ignore[method-assign]

    children = launch(pair(steps=2), second=at_update(1, hide))
    assert [child.code for child in children] == [3, 3]
    assert children[0].message == children[1].message
    assert "at update 1 the base model saw" in children[0].message


def shards_base() -> bool:
    from torch.distributed import fsdp

    return hasattr(getattr(fsdp, "FSDPModule", None), "set_custom_all_gather")


sharding = pytest.mark.skipif(not shards_base(), reason="needs a torch whose FSDP2 gathers by a callback")
_sharded: dict[str, Any] = {}


def measuring(path: Path) -> Callable[[], None]:
    """Writes down the bytes that this process holds of the frozen base between two updates."""

    def patch() -> None:
        run_update = Trainer.run_update

        def patched(self: Trainer) -> Any:
            frozen = [p for p in self.model.adapted.backbone.parameters() if not p.requires_grad]
            held = sum(getattr(p, "_local_tensor", p).untyped_storage().nbytes() for p in frozen)
            path.write_text(f"{held} {sum(p.numel() * p.element_size() for p in frozen)}")
            return run_update(self)

        Trainer.run_update = patched  # type: ignore[method-assign]

    return patch


@pytest.fixture
def sharded(pair: Make, launch: Launch, tmp_path: Path) -> Path:
    """The folder of a run of two processes that each held half of the base; the same for every test."""
    if not _sharded:
        config = pair(out=str(tmp_path / "sharded"), shard=True)
        measured = tmp_path / "held"
        _sharded.update(children=launch(config, second=measuring(measured)), folder=only(config), held=measured.read_text())
    folder: Path = _sharded["folder"]
    return folder


@sharding
def test_a_sharded_base_gives_the_ledger_and_the_curves_of_a_whole_one(sharded: Path, two: Path) -> None:
    first, second = _sharded["children"]
    assert (first.code, second.code) == (0, 0), (first, second)
    same_run(sharded, two)
    hardware = result_of(sharded)["hardware"]
    assert (hardware["processes"], hardware["sharded"]) == (2, True)
    assert "sharded" not in result_of(two)["hardware"]
    assert [p.name for p in sorted((sharded / CHECKPOINTS).iterdir())] == [
        p.name for p in sorted((two / CHECKPOINTS).iterdir())
    ]
    held, whole = map(int, _sharded["held"].split())
    assert 0.45 < held / whole < 0.55


@sharding
def test_stopped_while_sharded_it_goes_on_bit_for_bit_and_one_process_may_go_on_with_the_whole_base(
    pair: Make, registry: Any, launch: Launch, sharded: Path, kit: Any
) -> None:
    config = pair(shard=True)
    for child in launch(config, second=at_update(3, lambda: os.kill(os.getpid(), signal.SIGTERM))):
        assert (child.error, child.code) == ("Interrupted", 130), child
    folder = only(config)
    assert [step for step, _ in told(folder, "checkpoint")].count(3) == 1
    rest = RunConfig(out=config.out, tracker=("none",))
    with pytest.raises(UsageError, match="--shard in one process"):
        runner.run(rest, registry, resume=folder.name)
    first, second = launch(rest, resume=folder.name)
    assert (first.code, second.code) == (0, 0), (first, second)
    assert not any("bit for bit" in line for line in first.told)
    assert weights(folder) == weights(sharded)


@sharding
@pytest.mark.parametrize("kind", ["bench", "bug", "memory", "killed"])
def test_one_that_fails_within_a_pass_of_a_sharded_base_ends_both(kind: str, pair: Make, launch: Launch) -> None:
    error = {"bench": DataError("Row 7 is odd.", "Mend it."), "bug": KeyError("text of a corpus"), "memory": MemoryError()}

    def fail() -> None:
        if kind == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        raise error[kind]

    config = pair(shard=True, steps=3)
    first, second = launch(config, second=at_update(2, within_a_pass(fail)))
    codes = {"bench": 4, "bug": 70, "memory": 8, "killed": 1}
    assert (first.error, first.code) == ("LostError" if kind == "killed" else "RelayedError", codes[kind]), first
    assert second.signal == signal.SIGKILL if kind == "killed" else second.error is not None
    assert "text of a corpus" not in first.message
    assert told(only(config), "end")[-1][1]["status"] == "failed"


def within_a_pass(what: Callable[[], None]) -> Callable[[], None]:
    """Does something to a process in the middle of its next pass: the first layer is put together, the second is not."""

    def arm() -> None:
        gather = Shards.__call__
        calls: list[int] = []

        def patched(self: Shards, *args: Any, **kwargs: Any) -> Any:
            calls.append(1)
            if len(calls) == 3:
                what()
            return gather(self, *args, **kwargs)

        Shards.__call__ = patched  # type: ignore[method-assign]

    return arm


@sharding
def test_the_first_process_that_fails_while_another_follows_it_ends_both(pair: Make, launch: Launch, monkeypatch: Any) -> None:
    def failing(self: Any, task: str, parts: Any) -> Any:
        loss, _ = self.loss_of(task, parts[0])
        assert loss.requires_grad  # the others go through this pass, and not back
        raise DataError("Row 7 is odd.", "Mend it.")

    monkeypatch.setattr("bench.invariants.smoke.Gate.mean_loss", failing)
    for child in launch(pair(shard=True)):
        assert (child.code, child.message) == (4, "Row 7 is odd."), child


@sharding
def test_the_first_process_is_interrupted_while_another_follows_it(pair: Make, launch: Launch, monkeypatch: Any) -> None:
    gather = torch.distributed.all_gather_into_tensor
    calls: list[int] = []

    def interrupted(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        if len(calls) == 3 and os.environ["RANK"] == "0":  # what was begun together is ended together first
            os.kill(os.getpid(), signal.SIGINT)
        return gather(*args, **kwargs)

    monkeypatch.setattr(torch.distributed, "all_gather_into_tensor", interrupted)
    for child in launch(pair(shard=True)):
        assert child.code == 130, child
        assert child.message.startswith("Stopped on SIGINT; what was saved before is whole.")


@sharding
def test_a_process_without_rows_and_layers_that_are_computed_again(pair: Make, registry: Any, launch: Launch) -> None:
    changes: dict[str, Any] = {"arch": "A2", "micro_batch": 1, "steps": 3, "model": "tiny-llama"}
    changes["gradient_checkpointing"] = "on"
    config = pair(shard=True, **changes)
    for child in launch(config):
        assert child.code == 0, child
    whole = runner.run(pair(**changes, out=str(Path(config.out) / "whole")), registry).folder
    assert whole is not None
    (found,) = Path(config.out).glob("[!w]*")
    same_run(found, whole)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "--shard in one process"),
        ({"quant": "rtn"}, "--shard beside --quant rtn"),
        ({"micro_batch": None}, "leaves the micro-batch to you"),
        ({"arch": "prompt"}, "--shard beside --arch prompt"),
    ],
)
def test_what_cannot_be_sharded_is_refused(changes: dict[str, Any], message: str, tiny: Make) -> None:
    registry = load()
    config = tiny(shard=True, **changes)
    processes = Processes() if not changes else Processes(0, 2)
    with pytest.raises(UsageError, match=message):
        refuse_unshardable(config, resolve(config, registry), processes)
