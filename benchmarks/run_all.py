"""Runs every benchmark, one after another in processes of their own, and ends with one table of all figures.

    python benchmarks/run_all.py [--quick] [--only NAME ...] [--json FILE]

A missed target is a report: the exit code is 0 unless a benchmark broke.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import common
from common import Figure

HERE = Path(__file__).parent
VERDICTS = {"ok": True, "MISSED": False, "OVER": False}
"""Last words of a line by which the benchmarks without ``--json`` tell a figure's verdict."""


def main() -> int:
    """Runs them and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="e.g. throughput parity")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    figures: list[Figure] = []
    broken = []
    for path in sorted(HERE.glob("bench_*.py")):
        name = path.stem.removeprefix("bench_")
        if options.only and name not in options.only:
            continue
        print(f"\n=== {name}", flush=True)
        code, found = run(path, options.quick)
        figures += found
        # Those without --json exit with 1 where a target is missed.
        if code and not found:
            broken.append(name)
    common.show(figures)
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(f) for f in figures], indent=1), encoding="utf-8")
    if broken:
        print(f"\nbroken, or a target missed without a figure: {', '.join(broken)}")
    return int(bool(broken))


def run(path: Path, quick: bool) -> tuple[int, list[Figure]]:
    """Runs one benchmark, its output shown as it comes; its exit code and figures."""
    takes_json = "common.main(" in path.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / "figures.json"
        words = [sys.executable, str(path)]
        if takes_json:
            words += [*(["--quick"] if quick else []), "--json", str(kept)]
        lines = []
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
            for line in process.stdout or ():
                print(line, end="", flush=True)
                lines.append(line.rstrip("\n"))
        if takes_json:
            known = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else []
            return process.returncode, [Figure(**values) for values in known]
        return process.returncode, [f for line in lines for f in read(path.stem.removeprefix("bench_"), line)]


def read(name: str, line: str) -> list[Figure]:
    """The figure in a line that ends with a verdict, as the older benchmarks print it."""
    words = line.split()
    for at, word in enumerate(words):
        if word in VERDICTS:
            return [Figure(name, " ".join(words[at + 1 :]).strip("()"), " ".join(words[:at]), VERDICTS[word])]
    return []


if __name__ == "__main__":
    sys.exit(main())
