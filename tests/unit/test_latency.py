from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from bench.evaluation import efficiency  # noqa: E402
from bench.results.evidence import Latency  # noqa: E402
from bench.training.loop import Device  # noqa: E402


class Clock:
    """Time that passes only while a model works."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def measured(monkeypatch: pytest.MonkeyPatch, lengths: list[int], cost: Any, seconds: float) -> tuple[Latency, list[int]]:
    clock, seen = Clock(), []
    monkeypatch.setattr(efficiency, "perf_counter", clock)
    monkeypatch.setattr(efficiency, "collate", lambda rows, head, pad: {"input_ids": torch.tensor(rows[0]["input_ids"])})

    def predict(name: str, batch: dict[str, Any]) -> list[str]:
        seen.append(len(batch["input_ids"]))
        clock.now += cost(len(seen), seen[-1])
        return ["prediction"]

    class Split:
        def take(self, indices: list[int]) -> list[dict[str, Any]]:
            return [{"input_ids": [1] * lengths[i]} for i in indices]

        def window(self, row: Any) -> Any:
            return row

        def __len__(self) -> int:
            return len(lengths)

    decoded: list[Any] = []
    data = SimpleNamespace(splits={"test": Split()}, head=SimpleNamespace(decode=lambda window, p: decoded.append(p)))
    model = SimpleNamespace(eval=lambda: None, predict=predict)
    found = efficiency.latency(model, "t", data, Device("cpu", "fp32"), 0, seconds)  # type: ignore[arg-type]
    assert len(decoded) == len(seen)
    return found, seen


def test_percentiles_leave_the_warm_up_out(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = list(range(1, 41))
    found, seen = measured(monkeypatch, lengths, lambda call, length: 9.0 if call <= 3 else length / 100, 1e6)
    assert len(seen) == 43
    assert sorted(seen[3:]) == lengths
    wanted = (0.205, np.percentile(np.array(lengths) / 100, 95))
    assert (found.p50, found.p95) == pytest.approx(wanted)
    assert (found.windows, found.tokens) == (40, 20.5)


def test_time_is_bounded_and_few_windows_give_no_p95(monkeypatch: pytest.MonkeyPatch) -> None:
    found, seen = measured(monkeypatch, [8] * 50, lambda call, length: 0.125, 1.0)
    assert len(seen) == 9  # one second holds eight, and the one under way is finished
    assert found == Latency(0.125, None, 6, 8.0)


def test_a_slow_model_is_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    found, seen = measured(monkeypatch, [8] * 50, lambda call, length: 60.0, 1.0)
    assert (len(seen), found.windows, found.p50) == (2, 1, 60.0)


def test_a_split_of_many_windows_is_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = measured(monkeypatch, [8] * 5000, lambda call, length: 0.01, 1e6)
    assert found.windows == efficiency.WINDOWS
