"""`bench board` lists 10,000 results in a second: a whole process, start-up included, filtered and sorted.

python benchmarks/bench_board.py [--quick] [--json FILE]
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

import common
from common import Figure
from made_runs import grid, make

from bench.results.layout import RESULT
from bench.results.manifest import JournalEnd, file_sums, write_manifest
from bench.results.store import read_result


def measure(options: argparse.Namespace) -> list[Figure]:
    """Best of several listings of a folder of made-up runs."""
    count, listings = (200, 1) if options.quick else (10_000, 3)
    cases = {"all": [], "filtered and sorted": ["--arch", "A1", "--where", "quant=none", "--sort", "seed"]}
    cases["by a field far down"] = ["--sort", "invariants.tokens.total"]
    figures = []
    with tempfile.TemporaryDirectory(prefix="bench-board-") as folder:
        size = _fill(Path(folder), count)
        for name, words in cases.items():
            best = (float("inf"), 0.0)
            for _ in range(listings):
                wall, used = time.perf_counter(), getrusage(RUSAGE_CHILDREN)
                done = subprocess.run(
                    [sys.executable, "-m", "bench", "board", "--out", folder, *words], stdout=subprocess.PIPE, check=True
                )
                now = getrusage(RUSAGE_CHILDREN)
                cpu = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
                best = min(best, (time.perf_counter() - wall, cpu))
                assert done.stdout.count(b"\n") > count // 4
            promised = "" if name == "by a field far down" else f"≤ 1 s for {count:,}"
            met = None if not promised else best[0] <= 1
            note = "" if promised else "reads every result whole"
            figures.append(
                Figure(
                    f"bench board, {name}", promised, f"{best[0]:.2f} s ({best[1]:.2f} CPU s), {size:,} bytes each", met, note
                )
            )
    return figures


def _fill(out: Path, count: int) -> int:
    """Writes so many finished runs with manifests, copies of a hundred with ids of their own; returns a result's size."""
    made = make(out, grid(100, steps=2))
    for number in range(count):
        first = made[number % len(made)]
        folder = out / f"{first.name[:-12]}{number:012x}"
        shutil.copytree(first, folder)
        own = (first / RESULT).read_bytes().replace(first.name.encode(), folder.name.encode())
        (folder / RESULT).write_bytes(own)
        write_manifest(folder, read_result(folder), file_sums(folder), JournalEnd(1, 1, "0" * 64), "c0" * 32)
    for folder in made:
        shutil.rmtree(folder)
    return len(own)


if __name__ == "__main__":
    common.main(measure, __doc__)
