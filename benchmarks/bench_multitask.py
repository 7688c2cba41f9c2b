"""Five tasks at once: what PCGrad costs, and throughput against each task alone on as many tokens.

One process trains in turn: an update of all tasks with gradients added up (``plain``), the same with PCGrad, the same with no
look at the gradients at all (``bare``: neither taken apart by task nor compared), and one of a task alone; then the next of
each. A round is five of them, so that all see as many tokens of each task, to within a bundle. The figure is the median of the
rounds' ratios. Windows, lengths and tokens are the same; what differs beside the gradients is how many micro-batches an update
is cut into, since each holds one task: see the table.

    python benchmarks/bench_multitask.py [--quick] [--arch A1] [--rounds 5] [--json FILE]

Targets: a step with PCGrad at most 1.3 times a bare one; throughput of several tasks at least 0.95 times that of single ones.
With --quick the base is tiny-bert, which only shows that the benchmark works: the less a base computes, the more PCGrad and
each micro-batch weigh.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import common
from common import Figure, Lap, Stopwatch

if TYPE_CHECKING:
    from bench.config import RunConfig
    from bench.training.loop import Trainer

TASKS = ("ncbi-disease", "bc5cdr", "bc2gm", "chemprot", "gad")
COST, THROUGHPUT = 1.3, 0.95
SIZES: Mapping[str, int] = {"train": 200, "dev": 10, "test": 10}
QUICK: Mapping[str, int] = {"train": 40, "dev": 6, "test": 6}


def measure(options: argparse.Namespace) -> list[Figure]:
    """The four in turn, each first in its round as often as the others."""
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    from bench.config import RunConfig
    from bench.registry import load

    rounds = 2 if options.quick else options.rounds
    model = common.model(options)
    registry = load()
    with tempfile.TemporaryDirectory(prefix="bench-figures-") as temporary:
        root = Path(temporary)
        for name in TASKS:
            registry.get("tasks", name).synthesize(root / name, 2015, QUICK if options.quick else SIZES)
        config = RunConfig(
            task=TASKS, arch=options.arch, model=model, sampling="uniform", steps=len(TASKS) * (rounds + 2),
            data={name: str(root / name) for name in TASKS},
        )  # fmt: skip
        several = {kind: trainer(replace(config, gradients=kind), root / kind) for kind in ("plain", "pcgrad")}
        several["bare"] = trainer(config, root / "bare")
        several["bare"].shared.groups = []
        alone = [
            trainer(replace(config, task=(name,), steps=rounds + 2, data={name: config.data[name]}), root / f"{name}-alone")
            for name in TASKS
        ]
    work: dict[str, list[Trainer]] = {kind: [one] * len(TASKS) for kind, one in several.items()} | {"alone": alone}
    laps = in_turn(work, rounds)
    common.table(
        f"{model}, {options.arch}, {', '.join(TASKS)}; {rounds} rounds, {several['plain'].shared.shared:,} shared parameters",
        ("training", "tokens/CPU s", "tokens/s", "CPU s an update", "tokens", "padded", "micro-batches"),
        [
            (name, *(f"{sum(lap.tokens for lap in found) / sum(getattr(lap, clock) for lap in found):,.0f}"
                     for clock in ("cpu", "wall")), f"{sum(lap.cpu for lap in found) / (rounds * len(TASKS)):.3f}",
             *(f"{sum(getattr(lap, count) for lap in found):,}" for count in ("tokens", "padded", "micro_batches")))
            for name, found in laps.items()
        ],
    )  # fmt: skip
    return [
        figure("PCGrad's step over a bare one, five tasks", laps["bare"], laps["pcgrad"], COST, at_most=True),
        figure(
            "PCGrad's step over a plain one, which compares gradients too", laps["plain"], laps["pcgrad"], COST, at_most=True
        ),
        figure("throughput of five tasks over single ones", laps["plain"], laps["alone"], THROUGHPUT, at_most=False),
    ]


def figure(name: str, ours: Sequence[Lap], theirs: Sequence[Lap], target: float, at_most: bool) -> Figure:
    """A ratio of rates in CPU time, its wall time noted beside it."""
    cpu, wall = (common.ratio(ours, theirs, clock) for clock in ("cpu", "wall"))
    met = cpu <= target if at_most else cpu >= target
    return Figure(name, f"{'≤' if at_most else '≥'} {target} ×", f"{cpu:.2f} ×", met, f"{wall:.2f} × in wall time")


@dataclass
class Round(Lap):
    """An update of each task alone, or as many of all tasks.

    Args:
        padded: positions computed, padding included.
        micro_batches: how many they were computed in; each has costs of its own, whatever it holds.
    """

    padded: int = 0
    micro_batches: int = 0

    def update(self, one: Trainer) -> None:
        """Adds an update to it."""
        before = positions(one)
        watch = Stopwatch()
        watch.start()
        report = one.run_update()
        lap = watch.stop(report.tokens)
        self.tokens, self.wall, self.cpu = self.tokens + lap.tokens, self.wall + lap.wall, self.cpu + lap.cpu
        self.padded += positions(one) - before
        self.micro_batches += report.micro_batches


def positions(one: Trainer) -> int:
    """Positions that a training has computed, padding included."""
    return sum(account.tokens + account.padded for account in one.ledger.accounts.values())


def in_turn(work: Mapping[str, Sequence[Trainer]], rounds: int) -> dict[str, list[Round]]:
    """Runs update after update, one of each kind and then the next of each, so that a machine that slows down slows all.

    Args:
        work: kind to whose turn it is at each update of a round.
        rounds: that are counted; one before them is not.
    """
    laps: dict[str, list[Round]] = {name: [] for name in work}
    names = list(work)
    for number in range(rounds + 1):
        found = {name: Round() for name in names}
        for turn in range(len(TASKS)):
            at = (number + turn) % len(names)
            for name in names[at:] + names[:at]:
                found[name].update(work[name][turn])
        for name, lap in found.items():
            laps[name].append(lap)
    return {name: own[1:] for name, own in laps.items()}


def trainer(config: RunConfig, folder: Path) -> Trainer:
    """A planned and built run, every update of which fits one pass over its micro-batches."""
    from bench.config import run_id
    from bench.modeling.noise import import_heavy
    from bench.registry import load
    from bench.reporting import SilentReporter
    from bench.runner import plan, resolved_facts
    from bench.steps.context import Clock
    from bench.steps.corpora import read_corpora
    from bench.steps.resolve import resolve

    parts = resolve(config, load())
    import_heavy()
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", torch.get_num_threads())))
    with read_corpora(parts.tasks, config) as sources:
        facts = resolved_facts(config, parts, sources)
        planned = plan(config, facts, run_id(config, **facts), folder, parts, sources, SilentReporter(), Clock())
    made = common.built(planned)
    made.micro_batch = common.whole_update(planned)
    return made


def _options(parser: argparse.ArgumentParser) -> None:
    common.add_model(parser)
    parser.add_argument("--arch", default="A1", help="A1 shares the most that can be shared")
    parser.add_argument("--rounds", type=int, default=5)


if __name__ == "__main__":
    common.main(measure, __doc__, _options)
