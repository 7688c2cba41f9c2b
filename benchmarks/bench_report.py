"""`bench report` writes the page of 200 runs in 8 seconds and 15 MB: a whole process, figures for print included.

python benchmarks/bench_report.py [--quick] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
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
    """One report of made-up runs of two tasks, with journals of a thousand updates and statistics of 500 documents a task."""
    count, steps, documents = (8, 100, 50) if options.quick else (200, 1_000, 500)
    with tempfile.TemporaryDirectory(prefix="bench-report-") as folder:
        runs = Path(folder) / "runs"
        make(runs, grid(count, tasks=("ncbi-disease", "bc5cdr"), steps=steps, documents=documents))
        journals = sum(path.stat().st_size for path in runs.glob("*/journal.jsonl"))
        start = time.perf_counter()
        words = ["report", str(runs), "--out", str(Path(folder) / "page"), "--json"]
        done = subprocess.run([sys.executable, "-m", "bench", *words], stdout=subprocess.PIPE, check=True, text=True)
        seconds, used = time.perf_counter() - start, getrusage(RUSAGE_CHILDREN)
        told = json.loads(done.stdout)
    note = f"{told['figures']} figures as PDF and SVG, {told['tables']} tables, {journals / 1e6:.0f} MB of journals read"
    return [
        Figure(
            f"report of {count} runs, time",
            "≤ 8 s",
            f"{seconds:.1f} s ({used.ru_utime + used.ru_stime:.1f} CPU s)",
            seconds <= 8,
            note,
        ),
        Figure(f"report of {count} runs, page", "≤ 15 MB", f"{told['bytes'] / 1e6:.1f} MB", told["bytes"] <= 15e6),
    ]


if __name__ == "__main__":
    common.main(measure, __doc__)
