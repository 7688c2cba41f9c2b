"""Runs every benchmark, one after another in processes of their own, and ends with one table of all figures.

    python benchmarks/run_all.py [--quick] [--only NAME ...] [--json FILE] [--record]

With --quick two run at a time: their figures show that the scripts work, and stand for nothing else.

With --record what was measured is kept in benchmarks/measured.json, and the table of docs/performance.md written from it.

A missed target is a report: the exit code is 0 unless a benchmark broke.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import common
import record
from common import Figure

SCRIPTS = {path.stem.removeprefix("bench_"): path for path in sorted(Path(__file__).parent.glob("bench_*.py"))}


def main() -> int:
    """Runs them and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small inputs, few rounds: shows that the scripts work, no more")
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=SCRIPTS, help="e.g. throughput parity")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    parser.add_argument("--record", action="store_true", help="keep the figures and write them into docs/performance.md")
    options = parser.parse_args()
    if options.record and options.quick:
        parser.error("--record keeps figures of the full form only: leave out --quick.")
    figures: list[Figure] = []
    took, broken = [], []
    names = options.only or list(SCRIPTS)
    with ThreadPoolExecutor(2 if options.quick else 1) as pool:
        for name, (found, seconds, load) in zip(names, pool.map(lambda name: run(name, options.quick), names), strict=True):
            if options.record and found:
                record.keep(name, found, load)
                record.write()
            took.append((name, "broke" if found is None else len(found) or "skipped", f"{seconds:.1f}"))
            if found is None:
                broken.append(name)
            else:
                figures += found
    common.show(figures)
    common.table("scripts", ("script", "figures", "seconds"), took)
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(f) for f in figures], indent=1), encoding="utf-8")
    if broken:
        print(f"\nbroken: {', '.join(broken)}")
    return int(bool(broken))


def run(name: str, quick: bool) -> tuple[list[Figure] | None, float, float]:
    """Runs one benchmark: its figures, or None where it broke, the seconds it took, and the load before it.

    What it prints is shown as it comes; in the quick form, where two run at once, when it has ended.
    """
    started, load = time.perf_counter(), os.getloadavg()[0]
    if not quick:
        print(f"\n=== {name}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / "figures.json"
        words = [sys.executable, str(SCRIPTS[name]), *(["--quick"] if quick else []), "--json", str(kept)]
        where = subprocess.PIPE if quick else None
        done = subprocess.run(words, check=False, stdout=where, stderr=where and subprocess.STDOUT, text=True)
        if quick:
            print(f"\n=== {name}\n{done.stdout}", end="", flush=True)
        found = None
        if not done.returncode and kept.exists():
            found = [Figure(**values) for values in json.loads(kept.read_text(encoding="utf-8"))]
    return found, time.perf_counter() - started, load


if __name__ == "__main__":
    sys.exit(main())
