"""What trackers cost: the training thread per step, and each store for 1,000 steps of ten metrics.

    python benchmarks/bench_trackers.py [--quick] [--json FILE]

Target: wandb and MLflow together, their start included, keep the training thread at most 0.2 ms a step longer than the journal
alone does.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import common
from bench_plugins.trackers import MlflowTracker, WandbTracker
from common import Figure

from bench.api.tracker import RunEvent, RunInfo, Tracker
from bench.tracking import Journal, Mirrors, read_journal

STEPS, QUICK, METRICS, TARGET_MS = 1000, 20, 10, 0.2
PAUSE = 0.03  # a step is far longer; none at all would measure how trackers start and nothing else


def per_step(root: Path, name: str, trackers: Sequence[Tracker], steps: int) -> tuple[float, float, float]:
    """Milliseconds that a step's event keeps the training thread: median, 99th percentile, mean."""
    info = RunInfo(name, name, root / name, root, {})
    mirrors = Mirrors(trackers, info, print)
    took: list[float] = []
    with Journal(info.folder / "journal.jsonl", [mirrors.feed]) as journal:
        for step in range(steps):
            values = {f"m{i}": step / (i + 1) for i in range(METRICS)}
            began = time.perf_counter()
            journal.write("step", step, **values)
            took.append(1e3 * (time.perf_counter() - began))
            time.sleep(PAUSE)
        mirrors.close(True, 120)
    return statistics.median(took), statistics.quantiles(took, n=100)[-1], statistics.fmean(took)


def store_seconds(root: Path, tracker: Tracker, events: Sequence[RunEvent]) -> tuple[float, float]:
    """Seconds to open a store (imports and a new database included), and to write the events."""
    info = RunInfo(f"store-{tracker.name}", tracker.name, root / "stores" / f"store-{tracker.name}", root / "stores", {})
    info.folder.mkdir(parents=True)
    began = time.perf_counter()
    tracker.open(info)
    opened = time.perf_counter()
    tracker.write(events)
    tracker.close(True)
    return opened - began, time.perf_counter() - opened


def measure(options: argparse.Namespace) -> list[Figure]:
    """The journal alone, then with both trackers; then each store by itself."""
    steps = QUICK if options.quick else STEPS
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        both = (WandbTracker(), MlflowTracker())
        arms: dict[str, Sequence[Tracker]] = {"journal alone": (), "journal, wandb and mlflow": both}
        took = {name: per_step(root, f"arm-{n}", trackers, steps) for n, (name, trackers) in enumerate(arms.items())}
        common.table(
            f"{steps} steps x {METRICS} metrics; ms a step on the training thread",
            ("", "median", "p99", "mean"),
            [(name, *(f"{value:.4f}" for value in values)) for name, values in took.items()],
        )
        events = list(read_journal(root / "arm-0" / "journal.jsonl"))
        stores = {tracker.name: store_seconds(root, tracker, events) for tracker in (WandbTracker(), MlflowTracker())}
    alone, mirrored = (mean for *_, mean in took.values())
    extra = mirrored - alone
    return [
        Figure("trackers, the training thread a step", f"≤ {TARGET_MS} ms", f"{extra:.4f} ms", extra <= TARGET_MS),
        *(Figure(f"{name}, a store for {steps} steps", "", f"{wrote:.2f} s", note=f"{opened:.2f} s to open it")
          for name, (opened, wrote) in stores.items()),
    ]  # fmt: skip


if __name__ == "__main__":
    common.main(measure, __doc__)
