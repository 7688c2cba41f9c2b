"""`bench board` lists 10,000 results in a second: a whole process, start-up included, filtered and sorted.

python benchmarks/bench_board.py [--quick] [--json FILE]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

import common
from common import Figure
from made_runs import grid, make


def measure(options: argparse.Namespace) -> list[Figure]:
    """Best of several listings of a folder of made-up runs."""
    count, listings = (200, 1) if options.quick else (10_000, 3)
    cases = {"all": [], "filtered and sorted": ["--arch", "A1", "--where", "quant=none", "--sort", "seed"]}
    cases["by a field far down"] = ["--sort", "invariants.tokens.total"]
    figures = []
    with tempfile.TemporaryDirectory(prefix="bench-board-") as folder:
        (first, *_) = make(Path(folder), grid(count, steps=2))
        size = (first / "result.json").stat().st_size
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


if __name__ == "__main__":
    common.main(measure, __doc__)
