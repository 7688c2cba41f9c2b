"""Memory on CPU: the probe's child, a search that the limit binds, and freed memory that goes back to the system."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from bench import runner  # noqa: E402
from bench.config import RunConfig  # noqa: E402
from bench.errors import BenchError  # noqa: E402
from bench.registry import load  # noqa: E402
from bench.results.layout import RESULT  # noqa: E402
from bench.training import loop, probe  # noqa: E402

Make = Callable[..., RunConfig]

FRAGMENTED = """
import psutil
from bench.training.loop import return_freed_memory

process = psutil.Process()
kept = [bytearray(2000) for _ in range(100_000)]
kept = kept[::50]  # a piece here and there keeps the heap from shrinking by itself
before = process.memory_info().rss
return_freed_memory()
print(before - process.memory_info().rss)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries keep nothing back, or say nothing")
def test_freed_memory_goes_back_to_the_system() -> None:
    out = subprocess.run([sys.executable, "-c", FRAGMENTED], capture_output=True, text=True, check=True, timeout=120).stdout
    assert int(out) > 100 << 20


def test_memory_is_trimmed_every_tenth_update(tiny: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    monkeypatch.setattr(loop, "return_freed_memory", lambda: calls.append(1))
    runner.run(tiny(steps=20, eval_every=50, checkpoint_every=50), load())
    assert len(calls) == 2


def searched(config: RunConfig) -> dict[str, Any]:
    outcome = runner.run(config, load())
    assert outcome.folder is not None
    assert not list(outcome.folder.rglob("probe.json"))
    found = json.loads((outcome.folder / RESULT).read_text(encoding="utf-8"))["invariants"]
    assert isinstance(found, dict)
    return found


def test_a_limit_that_binds_cuts_the_micro_batch(tiny: Make, kit: Any) -> None:
    wide = {"micro_batch": None, "batch_tokens": 16_384, "steps": 1, "eval_every": 1}
    # Each in a process forked off this one, so that both begin with the same memory.
    free = kit.forked(lambda told: searched(tiny(**wide))["batch"]).value
    assert free["binds"] == "update"
    peaks = dict(free["probes"])
    one, whole = peaks[free["longest"]], peaks[free["micro_batch"]]
    assert whole > one
    # A limit whose 85% lies between what one example takes and what the update takes.
    limit = int((one + 0.5 * (whole - one)) / 0.85)
    bound = kit.forked(lambda told: searched(tiny(**wide, memory_limit=limit, replicate=2))["batch"]).value
    assert bound["binds"] == "memory"
    assert len(bound["probes"]) <= 8
    assert free["longest"] <= bound["micro_batch"] < free["micro_batch"]
    assert bound["peak"] <= 0.85 * limit


def test_the_first_update_is_probed_and_drawn_again(tiny: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    specs: list[Any] = []

    class Told(probe.Probe):
        def __init__(self, spec: Any, path: Path, resident: int) -> None:
            super().__init__(spec, path, resident)
            specs.append(spec)

    monkeypatch.setattr(probe, "Probe", Told)
    changes = {"steps": 1, "eval_every": 1, "checkpoint_every": 1}
    told = searched(tiny(**changes, micro_batch=None))
    given = searched(tiny(**changes, micro_batch=told["batch"]["micro_batch"], replicate=2))
    (longest, examples, units) = specs[0]["rows"]["2015-T14"]
    assert units is None
    assert len(longest["input_ids"]) >= max(len(row["input_ids"]) for row in examples)
    assert told["tokens"]["total"] == sum(len(row["input_ids"]) for row in examples)
    assert told["tokens"] == given["tokens"]


def test_a_probe_runs_the_update_and_as_many_of_the_longest_as_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"input_ids": [1] * length} for length in (10, 10, 10, 40)]
    seen: list[list[int]] = []
    monkeypatch.setattr("bench.data.cache.collate", lambda batch, head, pad: [len(row["input_ids"]) for row in batch])

    class Model:
        def train(self) -> None: ...

        def loss(self, task: str, batch: list[int]) -> torch.Tensor:
            seen.append(batch)
            return torch.zeros(1, requires_grad=True).sum()

    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)])
    device = loop.Device("cpu", "fp32")
    monkeypatch.setattr(loop.Device, "move", lambda self, batch: batch)
    told = {"a": (rows[3], rows, None), "b": (rows[0], [], None), "c": (rows[0], rows[:3], [0, 1, 1])}
    probe.heaviest_step(Model(), dict.fromkeys(told), told, 80, device, 0, optimizer)
    assert sorted(map(tuple, seen[:-4])) == [(10, 10, 10), (40,)]
    assert seen[-4:] == [[40] * 2, [10] * 8, [10] * 3, [10] * 8]


def test_compiled_products_are_kept_for_few_shapes() -> None:
    code = "import os; from bench.modeling.noise import import_heavy; import_heavy(); print(os.environ[{!r}])"
    name = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"
    for given, kept in (({}, "64"), ({name: "1024"}, "1024")):
        words = [sys.executable, "-c", code.format(name)]
        plain = {k: v for k, v in os.environ.items() if k != name}
        out = subprocess.run(words, capture_output=True, text=True, check=True, timeout=120, env=plain | given).stdout
        assert out.strip() == kept


def test_a_prepared_child_is_the_one_that_answers_and_an_unused_one_ends(tmp_path: Path) -> None:
    probe.prepare()
    (spare,) = probe._spare
    probe.prepare()
    assert probe._spare == [spare]
    asked = probe.Probe({"threads": 1}, tmp_path / "probe.json", 0)
    with pytest.raises(BenchError, match="The memory probe ended with exit code 1"):  # such a specification builds nothing
        asked(64)
    assert probe._spare == []
    assert spare.returncode == 1
    probe.prepare()
    (unused,) = probe._spare
    probe.discard()
    assert probe._spare == []
    assert unused.returncode is not None
    with pytest.raises(ProcessLookupError):
        os.kill(unused.pid, 0)


def test_a_run_leaves_no_prepared_child_behind(tiny: Make) -> None:
    runner.run(tiny(micro_batch=None, steps=1, eval_every=1), load())
    assert probe._spare == []
    with pytest.raises(BenchError):
        runner.run(tiny(micro_batch=None, rank=1, arch="A4", steps=1, seed=5, data={"2015-T14": "/nowhere"}), load())
    assert probe._spare == []


class Tight(probe.Probe):
    """One example does not fit unless layers are computed again."""

    asked: ClassVar[list[bool]] = []

    def __init__(self, spec: Any, path: Path, resident: int) -> None:
        self.again = spec["gradient_checkpointing"]
        self.asked.append(self.again)

    def __call__(self, padded: int) -> int | None:
        return 2**20 if self.again else 2**50

    def close(self) -> None: ...


def test_checkpointing_is_switched_on_where_no_example_fits_without(
    tiny: Make, kit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = {"steps": 2, "eval_every": 2, "arch": "A4"}
    plain = runner.run(tiny(**changes), load())
    monkeypatch.setattr(probe, "Probe", Tight)
    monkeypatch.setattr(Tight, "asked", [])
    told = kit.Told()
    tight = runner.run(tiny(**changes, micro_batch=None, out=str(plain.folder) + "-tight"), load(), console=told)
    assert Tight.asked == [False, True]
    assert told.said("Gradient checkpointing is on, for without it one example of ")
    assert plain.folder is not None
    assert tight.folder is not None
    assert plain.folder.name == tight.folder.name
    one, other = (json.loads((folder / RESULT).read_text(encoding="utf-8")) for folder in (plain.folder, tight.folder))
    assert not one["invariants"]["batch"]["gradient_checkpointing"]
    assert other["invariants"]["batch"]["gradient_checkpointing"]
    assert one["scores"] == other["scores"]
    assert one["invariants"]["tokens"]["total"] == other["invariants"]["tokens"]["total"]
    monkeypatch.setattr(Tight, "asked", [])
    with pytest.raises(BenchError, match=r"one example of .* needs at least"):
        runner.run(tiny(**changes, micro_batch=None, gradient_checkpointing="off", replicate=2), load())
    assert Tight.asked == [False]


def test_a_run_that_was_stopped_goes_on_with_checkpointing(tiny: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny(steps=4, eval_every=4, checkpoint_every=1)
    real = loop.Trainer.run_update

    def full(self: loop.Trainer) -> Any:
        if self.step == 2:
            raise MemoryError("one example of 64 tokens does not fit into memory")
        return real(self)

    with monkeypatch.context() as patch:
        patch.setattr(loop.Trainer, "run_update", full)
        with pytest.raises(BenchError, match="add --gradient-checkpointing on"):
            runner.run(config, load())
    (folder,) = Path(config.out).iterdir()
    limits = RunConfig(out=config.out, gradient_checkpointing="on", tracker=("none",))
    runner.run(limits, load(), resume=str(folder))
    result = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    assert result["invariants"]["batch"]["gradient_checkpointing"]
    straight = runner.run(tiny(steps=4, eval_every=4, out=config.out + "-straight"), load())
    assert straight.folder is not None
    assert result["scores"] == json.loads((straight.folder / RESULT).read_text(encoding="utf-8"))["scores"]
