"""The parity check before training: seconds for all arms of the group on the meta device, by number of tasks.

    python benchmarks/bench_parity.py [--quick] [--model minilm-l6] [--json FILE]

No target was promised; every run pays this once.
"""

from __future__ import annotations

import argparse
import statistics
from functools import partial

import common
from common import TASK, Figure, Stopwatch

TASKS = (1, 2, 5)


def measure(options: argparse.Namespace) -> list[Figure]:
    """The check for one to five tasks, in turn."""
    from bench.config import RunConfig

    model = common.model(options)
    config = RunConfig(task=(TASK,), model=model, steps=1)
    rounds = 1 if options.quick else 3
    watches = {count: Stopwatch() for count in TASKS}
    with common.prepared(config, sizes={"train": 12, "dev": 4, "test": 4}) as (planned, _):
        from bench.invariants.parity import check
        from bench.modeling.backbone import meta_backbone
        from bench.steps.base import parameter_budget

        parts, spec = planned.parts, planned.parts.model.spec
        head, budget = planned.data[TASK].head, parameter_budget(config, parts)
        for _ in range(rounds):
            for count, watch in watches.items():
                names = tuple(f"task-{i}" for i in range(count))
                watch.start()
                report = check(
                    parts.installed, config.arch, names, budget, partial(meta_backbone, parts.model.folder()),
                    {name: partial(head.module, spec.hidden_size) for name in names},
                )  # fmt: skip
                watch.stop()
                assert not report.uncounted
    seconds = {n: [statistics.median(getattr(lap, c) for lap in w.laps) for c in ("wall", "cpu")] for n, w in watches.items()}
    common.table(
        f"{model}, {len(report.rows)} arms, median of {rounds}",
        ("tasks", "wall s", "CPU s"),
        [(count, f"{wall:.2f}", f"{cpu:.2f}") for count, (wall, cpu) in seconds.items()],
    )
    return [Figure(f"parity check, {n} task(s)", "", f"{cpu:.2f} CPU s") for n, (_, cpu) in seconds.items()]


def _options(parser: argparse.ArgumentParser) -> None:
    common.add_model(parser)


if __name__ == "__main__":
    common.main(measure, __doc__, _options)
