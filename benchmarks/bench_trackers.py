"""What trackers cost: the training thread per step, and each store for 1,000 steps of ten metrics.

Target: wandb and MLflow together, their start included, keep the training thread at most 0.2 ms a step longer than the journal
alone does. Run: python benchmarks/bench_trackers.py
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench_plugins.trackers import MlflowTracker, WandbTracker

from bench.api.tracker import RunEvent, RunInfo, Tracker
from bench.tracking import Journal, Mirrors, read_journal

STEPS, METRICS, TARGET_MS = 1000, 10, 0.2
PAUSE = 0.03  # a step is far longer; none at all would measure how trackers start and nothing else


def per_step(root: Path, name: str, trackers: Sequence[Tracker]) -> tuple[float, float, float]:
    """Milliseconds that a step's event keeps the training thread: median, 99th percentile, mean."""
    info = RunInfo(name, name, root / name, root, {})
    mirrors = Mirrors(trackers, info, print)
    took: list[float] = []
    with Journal(info.folder / "journal.jsonl", [mirrors.feed]) as journal:
        for step in range(STEPS):
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


def main() -> None:
    """Prints a table."""
    os.environ["WANDB_MODE"] = "offline"
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        print(f"{STEPS} steps x {METRICS} metrics; ms a step on the training thread")
        print(f"{'':28}{'median':>9}{'p99':>9}{'mean':>9}")
        means = []
        for name, trackers in (("journal alone", []), ("journal, wandb and mlflow", [WandbTracker(), MlflowTracker()])):
            median, high, mean = per_step(root, name.replace(" ", "-").replace(",", ""), trackers)
            means.append(mean)
            print(f"{name:28}{median:9.4f}{high:9.4f}{mean:9.4f}")
        extra = means[1] - means[0]
        print(f"{'trackers':46}{extra:9.4f}  {'ok' if extra <= TARGET_MS else 'OVER'} (target {TARGET_MS})")
        events = list(read_journal(root / "journal-alone" / "journal.jsonl"))
        print(f"\n{'store':28}{'open s':>9}{'write s':>9}")
        for tracker in (WandbTracker(), MlflowTracker()):
            opened, wrote = store_seconds(root, tracker, events)
            print(f"{tracker.name:28}{opened:9.2f}{wrote:9.2f}")


if __name__ == "__main__":
    main()
