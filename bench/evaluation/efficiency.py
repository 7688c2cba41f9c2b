"""Latency: seconds that one window takes at batch size 1, from token ids on the host to decoded annotations.

It is how long a user waits who sends one text at a time; throughput over full batches does not show it. The windows are the
same for every run of a task: evenly spaced over the test split.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any

import numpy as np
import torch

from bench.data.batches import evenly
from bench.data.cache import collate
from bench.results.evidence import Latency
from bench.training.loop import Device
from bench.training.model import TaskData, TaskModel

WINDOWS = 50
"""Most windows that are measured."""
WARM_UP = 3
"""Windows that are run before measuring."""
SECONDS = 0.7
"""Seconds after which no further window is started, warm-up included."""
FOR_P95 = 20
"""Fewest windows for a 95th percentile."""


def latency(model: TaskModel, name: str, data: TaskData, device: Device, pad: int, seconds: float = SECONDS) -> Latency:
    """Seconds that a window takes at batch 1.

    Args:
        model: put into evaluation mode here.
        name: of the task.
        data: of the task.
        device: device and precision.
        pad: id of the padding token.
        seconds: time limit; at least one window is measured, after one of warm-up.

    Returns:
        ``p50`` and ``p95`` in seconds (p95 None below `FOR_P95` windows), the number of ``windows`` and their mean ``tokens``.
    """
    encoded = data.splits["test"]
    chosen = evenly(len(encoded), WINDOWS).tolist()
    rows = encoded.take(chosen) if chosen else []
    # In random order, so that the windows are a sample of all documents also where the time is up.
    order = np.random.default_rng(0).permutation(len(rows)).tolist()
    model.eval()
    taken: list[float] = []
    started = perf_counter()

    def over() -> bool:
        return perf_counter() - started > seconds

    for index in order[:WARM_UP]:
        _once(model, name, data, rows[index], device, pad)
        if over():
            break
    for index in order:
        taken.append(_once(model, name, data, rows[index], device, pad))
        if over():
            break
    tokens = [len(rows[index]["input_ids"]) for index in order[: len(taken)]]
    return Latency(
        float(np.percentile(taken, 50)) if taken else None,
        float(np.percentile(taken, 95)) if len(taken) >= FOR_P95 else None,
        len(taken),
        float(np.mean(tokens)) if tokens else None,
    )


def _once(model: TaskModel, name: str, data: TaskData, row: dict[str, Any], device: Device, pad: int) -> float:
    _wait(device)
    started = perf_counter()
    batch = device.move(collate([row], data.head, pad))
    with device.autocast():
        (prediction,) = model.predict(name, batch)
    data.head.decode(data.splits["test"].window(row), prediction)
    _wait(device)
    return perf_counter() - started


def _wait(device: Device) -> None:
    if device.name != "cpu":
        torch.cuda.synchronize(device.name)
