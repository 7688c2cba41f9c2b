"""`bench compare` of two runs of 1,000 documents with 10,000 resamples, in a process of its own: 10 seconds at most.

    python benchmarks/bench_compare.py [--quick] [--json FILE]

The runs are simulated (`benchmarks/simulated_studies.py`) and written as a run writes them; the largest scorer, with all of its
statistics, scores them.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import common
import numpy as np
from common import Figure

from bench.api.data import Document
from bench.api.task import Task
from bench.config import RunConfig
from bench.naming import flatten
from bench.registry import load
from bench.results.invariants import ArmParameters, Batch, Checkpoint, Invariants, Parity, Smoke, Tokens
from bench.results.schema import Headline, Quantization, Result, TaskScores
from bench.results.statistics import Statistics, write_statistics
from bench.results.store import write_result

SECONDS = 10.0
DOCUMENTS = 1000


def made(task: Task, folder: Path, arch: str, seed: int, found: float) -> None:
    """Writes a finished run whose scorer has seen simulated counts.

    Args:
        task: whose scorer it is.
        folder: the run's.
        arch: the arm.
        seed: of the run.
        found: chance that a mention is found.
    """
    rng = np.random.default_rng([seed, round(found * 1000)])
    names = tuple(task.statistics([Document("d", "")], [Document("d", "")])[0])
    rows = rng.poisson(4, (DOCUMENTS, len(names))).astype(np.float64)
    prefix = task.metadata.primary_metric.rpartition(".")[0]
    mentions = rng.poisson(10, DOCUMENTS)
    right = rng.binomial(mentions, found)
    for name, column in (("tp", right), ("fp", rng.poisson(mentions * (1 - found))), ("fn", mentions - right)):
        rows[:, names.index(f"{prefix}.{name}")] = column
    statistics = Statistics(task.name, "test", "trained", tuple(f"d{i}" for i in range(DOCUMENTS)), names, rows)
    scores = flatten(task.summarise(statistics.sums()))
    metric = task.metadata.primary_metric
    row = ArmParameters(arch, 663_552, 0, 0, 663_552, {}, 1.0, 1.0, {})
    batch = Batch(micro_batch=2048, limit=2**33, peak=None, binds="user", longest=64)
    result = Result(
        id=folder.name,
        config=RunConfig(task=(task.name,), arch=arch, seed=seed).as_json() | {"resolved": {"device": "cpu"}},
        headline=Headline(task.name, "test", "trained", metric, float(scores[metric]), None),
        scores={task.name: TaskScores(scores)},
        invariants=Invariants(Tokens(total=200_000), Parity(arm=arch, rows=(row,)), Smoke(), batch, Checkpoint()),
        quantization=Quantization(),
        timings={},
        memory={},
        hashes={"data": {task.name: "0" * 64}},
        versions={},
        hardware={},
        git={"commit": None, "dirty": None},
        waivers=(),
        synthetic=False,
    )
    folder.mkdir(parents=True)
    write_result(folder, result)
    write_statistics(folder, statistics)


def measure(options: argparse.Namespace) -> list[Figure]:
    """Two runs, and two arms of six."""
    task = load().get("tasks", common.TASK)
    figures = []
    for seeds in (1, 6):
        with tempfile.TemporaryDirectory(prefix="bench-compare-") as temporary:
            for arch, found in (("A1", 0.80), ("A2", 0.82)):
                for seed in range(seeds):
                    made(task, Path(temporary) / f"{arch}-{seed}", arch, seed, found)
            walls, cpus = zip(*(_seconds(temporary) for _ in range(1 if options.quick else 3)), strict=True)
        name = f"compare {2 * seeds} runs of {DOCUMENTS:,} documents, 10,000 resamples"
        target, met = (f"≤ {SECONDS:.0f} s", min(walls) <= SECONDS) if seeds == 1 else ("", None)
        figures.append(Figure(name, target, f"{min(walls):.1f} s ({min(cpus):.1f} CPU s)", met))
    return figures


def _seconds(folder: str) -> tuple[float, float]:
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    words = [sys.executable, "-m", "bench", "compare", folder, "--by", "arch"]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, env=os.environ)
    wall = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    common.main(measure, __doc__)
