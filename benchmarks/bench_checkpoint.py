"""What checkpoints cost: seconds for one, written whole and synced, beside the seconds of the updates between two.

Measured on the arm that trains most (A4: two adapters, the fusion, a head) through the code that the training stage calls, turn
by turn with updates. Wall seconds, since a disk makes wait without computing; the median checkpoint over 200 median updates.

    python benchmarks/bench_checkpoint.py [--quick] [--model minilm-l6] [--threads 1] [--json FILE]

Target: at most 2% of training time at the default cadence of 200 updates.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from pathlib import Path

import common
from common import TASK, Figure, Stopwatch

TARGET = 0.02


def measure(options: argparse.Namespace) -> list[Figure]:
    """Updates and checkpoints in turn."""
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    from bench.config import RunConfig

    every = RunConfig().checkpoint_every
    model, rounds = common.model(options), 3 if options.quick else 8
    config = RunConfig(task=(TASK,), arch=options.arch, model=model, steps=rounds + 1)
    updates, writes = Stopwatch(), Stopwatch()
    with (
        common.prepared(config, sizes={"train": 40, "dev": 4, "test": 4}) as (planned, what),
        tempfile.TemporaryDirectory() as kept,
    ):
        from bench.training.stage import Progress, write_checkpoint

        trainer = common.built(planned)
        trainer.micro_batch = common.whole_update(planned)
        trainer.run_update()  # Adam's moments are there from now on
        for _ in range(rounds):
            updates.start()
            report = trainer.run_update()
            updates.stop(report.tokens)
            writes.start()
            write_checkpoint(trainer, Progress(), Path(kept), 0)
            writes.stop()
        size = sum(f.stat().st_size for f in next(Path(kept).glob("step-*")).iterdir())
    update, write = (statistics.median(lap.wall for lap in w.laps) for w in (updates, writes))
    cpu_update, cpu_write = (statistics.median(lap.cpu for lap in w.laps) for w in (updates, writes))
    common.table(
        f"{model}, {options.arch}, {what}, {rounds} rounds; a checkpoint holds {size / 2**20:.1f} MiB",
        ("seconds (median)", "wall", "CPU"),
        [("one update", f"{update:.3f}", f"{cpu_update:.3f}"), ("one checkpoint", f"{write:.3f}", f"{cpu_write:.3f}")],
    )
    share = write / (write + every * update)
    cpu_share = cpu_write / (cpu_write + every * cpu_update)
    return [Figure("checkpoints' share of training", f"≤ {TARGET:.0%}", f"{share:.2%} (CPU {cpu_share:.2%})", share <= TARGET)]


def _options(parser: argparse.ArgumentParser) -> None:
    common.add_model(parser)
    parser.add_argument("--arch", default="A4")


if __name__ == "__main__":
    common.main(measure, __doc__, _options)
