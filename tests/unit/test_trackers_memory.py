from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bench.tracking import Journal, MemoryWatch
from bench.tracking.memory import grows_since

MB = 1 << 20
Shape = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def watch(sizes: np.ndarray, window: int = 16) -> int | None:
    """What is found as the samples come in, one every 50 steps."""
    samples: list[tuple[int, int]] = []
    for i, size in enumerate(sizes):
        samples.append((50 * (i + 1), int(size)))
        found = grows_since(samples, window)
        if found is not None:
            return found
    return None


QUIET: dict[str, Shape] = {
    "flat": lambda t, r: np.full(len(t), 900.0),
    "noise": lambda t, r: 900 + r.normal(0, 60, len(t)),
    "heavy-tailed noise": lambda t, r: 900 + np.clip(20 * r.standard_t(2, len(t)), -800, 3000),
    "sawtooth": lambda t, r: 900 + 40 * (t % 7) + r.normal(0, 5, len(t)),
    "evaluation spikes": lambda t, r: 900 + 400 * (t % 10 == 0) + r.normal(0, 5, len(t)),
    "one jump": lambda t, r: 900 + 500 * (t > r.integers(5, 70)) + r.normal(0, 5, len(t)),
    "two jumps": lambda t, r: 900 + 300 * (t > 20) + 300 * (t > 60) + r.normal(0, 5, len(t)),
    "levels off": lambda t, r: 900 + 600 * (1 - np.exp(-t / 3)) + r.normal(0, 5, len(t)),
    "falls": lambda t, r: 2000 - 10 * t + r.normal(0, 5, len(t)),
    "creeps by less than matters": lambda t, r: 900 + 0.2 * t,
}


@pytest.mark.parametrize("shape", QUIET.values(), ids=QUIET.keys())
def test_no_alarm_without_steady_growth(shape: Shape) -> None:
    t = np.arange(100)
    alarms = [watch(shape(t, np.random.default_rng(seed)) * MB) for seed in range(12)]
    assert alarms == [None] * 12


@pytest.mark.parametrize("rate", [4, 20, 200], ids=lambda r: f"{r} MiB a sample")
@pytest.mark.parametrize("start", [0, 30, 55])
def test_a_leak_is_found_with_the_step_where_it_began(start: int, rate: float) -> None:
    t = np.arange(100)
    for seed in range(20):
        noise = np.random.default_rng(seed).normal(0, rate / 2, len(t))
        found = watch((900 + rate * np.maximum(0, t - start) + noise) * MB)
        assert found is not None
        assert abs(found - 50 * (start + 1)) <= 50 * 5


def test_a_slow_leak_in_much_noise_is_found_later() -> None:
    t = np.arange(120)
    for seed in range(20):
        found = watch((900 + 8 * t + np.random.default_rng(seed).normal(0, 12, len(t))) * MB)
        assert found is not None
        assert found <= 50 * 12


def run(path: Path, sizes: list[int], **options: int) -> tuple[Journal, list[str], list[dict[str, object] | None]]:
    warned: list[str] = []
    journal = Journal(path)
    values = iter(sizes)
    memory = MemoryWatch("cpu", journal, warned.append, read=lambda: (next(values), max(sizes)), **options)
    return journal, warned, [memory.observe(step) for step in range(1, 50 * len(sizes) + 1)]


def test_a_sample_every_fifty_steps_goes_to_the_journal(tmp_path: Path) -> None:
    journal, warned, seen = run(tmp_path / "journal.jsonl", [5 * MB, 6 * MB, 5 * MB])
    assert [(e.kind, e.step, e.values) for e in journal.events()] == [
        ("memory", 50, {"current": 5 * MB, "peak": 6 * MB}),
        ("memory", 100, {"current": 6 * MB, "peak": 6 * MB}),
        ("memory", 150, {"current": 5 * MB, "peak": 6 * MB}),
    ]
    assert [i + 1 for i, value in enumerate(seen) if value is not None] == [50, 100, 150]
    assert warned == []


def test_growth_is_warned_about_once_and_named_from_then_on(tmp_path: Path) -> None:
    sizes = [300 * MB] * 24 + [(300 + 30 * i) * MB for i in range(1, 25)]
    journal, warned, _ = run(tmp_path / "journal.jsonl", sizes)
    assert len(warned) == 1
    match = re.search(r"since step (\d+): ([\d,]+) MiB then, ([\d,]+) MiB at step (\d+)", warned[0])
    assert match
    assert abs(int(match[1]) - 1200) <= 100
    assert int(match[2]) <= 360
    last = journal.events()[-1]
    assert last.values["grows_since"] == int(match[1])
    assert "grows_since" not in journal.events()[20].values


def test_warm_up_is_left_out(tmp_path: Path) -> None:
    sizes = [(100 + 100 * i) * MB for i in range(12)] + [1200 * MB] * 20
    assert len(run(tmp_path / "a.jsonl", sizes, warm_up=0, window=8)[1]) == 1
    assert run(tmp_path / "b.jsonl", sizes, warm_up=12, window=8)[1] == []


RESIDENT = """
import numpy as np
from bench.tracking.memory import reader

read = reader("cpu")
before, _ = read()
block = np.ones(256 << 20, dtype=np.uint8)
after, peak = read()
del block
current, peak_after = read()
print(after - before, peak - after, peak_after - peak, after - current)
"""


def test_resident_memory_is_that_of_this_process() -> None:
    # A process of its own: among other tests, whatever they left behind is freed at any moment.
    out = subprocess.run([sys.executable, "-c", RESIDENT], capture_output=True, text=True, check=True, timeout=60).stdout
    grown, over, higher, freed = (int(word) for word in out.split())
    assert grown > 192 * MB
    assert over >= 0
    assert higher >= 0
    assert freed > 192 * MB
