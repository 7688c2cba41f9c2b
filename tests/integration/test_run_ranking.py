"""Ranking: a query is drawn and compared whole, however memory cuts an update, and a stopped run goes on bit for bit."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from bench import runner  # noqa: E402
from bench.config import RunConfig  # noqa: E402
from bench.errors import Interrupted  # noqa: E402
from bench.heads.ranking import RankingModule  # noqa: E402
from bench.registry import load  # noqa: E402
from bench.results.layout import ADAPTERS  # noqa: E402

TASK = "2017-T3-A"
CANDIDATES = 10


@pytest.fixture
def config(tiny: Callable[..., RunConfig], tmp_path: Path) -> Callable[..., RunConfig]:
    folder = tmp_path / "forum"
    load().get("tasks", TASK).synthesize(folder, 3, {"train": 12, "dev": 2, "test": 2})

    def make(**changes: Any) -> RunConfig:
        usual = {"task": (TASK,), "head": None, "data": {TASK: str(folder)}, "batch_tokens": 1024, "micro_batch": 2048}
        return tiny(**usual | {"steps": 4, "eval_every": 4} | changes)

    return make


def queries_in_memory(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The queries of the windows of every micro-batch that a loss with a gradient was taken over."""
    seen: list[list[int]] = []
    original = RankingModule.loss

    def loss(self: RankingModule, hidden: Any, batch: Any) -> Any:
        if torch.is_grad_enabled():
            seen.append(batch["query"].tolist())
        return original(self, hidden, batch)

    monkeypatch.setattr(RankingModule, "loss", loss)
    return seen


def whole(batches: Sequence[Sequence[int]]) -> float:
    """Share of windows that meet all the others of their query."""
    met = sum(count for batch in batches for query in set(batch) if (count := batch.count(query)) % CANDIDATES == 0)
    return met / sum(map(len, batches))


def test_passages_of_a_query_meet_in_training_and_in_the_gate(
    config: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen = queries_in_memory(monkeypatch)
    runner.run(config(), load())
    assert len(seen) > 4
    assert whole(seen) == 1.0
    seen.clear()
    runner.run(config(micro_batch=200, out=str(tmp_path / "small")), load())
    assert whole(seen) < 1.0  # what does not fit into memory cannot be compared


def test_a_stopped_run_goes_on_bit_for_bit(config: Callable[..., RunConfig], kit: Any, tmp_path: Path) -> None:
    straight = runner.run(config(out=str(tmp_path / "straight")), load())

    def stop(event: Any) -> None:
        if event.kind == "step" and event.step == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    registry = load()
    registry.add(kit.Observer(stop), "test:stop", "test")
    stopped = config()
    with pytest.raises(Interrupted):
        runner.run(stopped, registry)
    resumed = runner.run(RunConfig(out=stopped.out), load(), resume=str(straight.folder.name if straight.folder else ""))
    weights = [
        {p.name: p.read_bytes() for p in sorted((outcome.folder / ADAPTERS).rglob("*.safetensors"))}
        for outcome in (straight, resumed)
        if outcome.folder is not None
    ]
    assert len(weights[0]) >= 2
    assert weights[0] == weights[1]
