"""Runs every benchmark, one after another in processes of their own, and ends with one table of all figures.

    python benchmarks/run_all.py [--quick] [--only NAME ...] [--json FILE] [--record]

With --quick two run at a time, forked off one process that has imported torch: their figures show that the scripts work, and
stand for nothing else.

With --record what was measured is kept in benchmarks/measured.json, and the table of docs/performance.md written from it.

A missed target is a report: the exit code is 0 unless a benchmark broke.
"""

from __future__ import annotations

import argparse
import json
import os
import runpy
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib.util import find_spec
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
    for name, found, seconds, load in quickly(names) if options.quick else map(run, names):
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


Ran = tuple[str, list[Figure] | None, float, float]
"""A benchmark's name, its figures or None where it broke, the seconds it took, and the load before it."""


def run(name: str) -> Ran:
    """Runs one benchmark; what it prints is shown as it comes."""
    started, load = time.perf_counter(), os.getloadavg()[0]
    print(f"\n=== {name}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / "figures.json"
        done = subprocess.run([sys.executable, str(SCRIPTS[name]), "--json", str(kept)], check=False)
        return name, figures_in(kept, done.returncode), time.perf_counter() - started, load


def quickly(names: Sequence[str]) -> Iterator[Ran]:
    """Runs the quick forms two at a time; what one prints is shown when it has ended."""
    if find_spec("torch") is not None:
        from bench.modeling.noise import import_heavy

        import_heavy()
    waiting, live = list(names), dict[int, tuple[str, float]]()
    with tempfile.TemporaryDirectory() as folder:
        while waiting or live:
            while waiting and len(live) < 2:
                name = waiting.pop(0)
                live[forked(name, Path(folder))] = name, time.perf_counter()
            child, status = os.wait()
            name, started = live.pop(child)
            said = (Path(folder) / f"{name}.txt").read_text(encoding="utf-8", errors="replace")
            print(f"\n=== {name}\n{said}", end="", flush=True)
            yield name, figures_in(Path(folder) / f"{name}.json", status), time.perf_counter() - started, 0.0


def forked(name: str, folder: Path) -> int:
    """Begins a quick form in a fork of this process; gives the fork's id."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        said = os.open(folder / f"{name}.txt", os.O_WRONLY | os.O_CREAT)
        os.dup2(said, 1)
        os.dup2(said, 2)
        sys.stdout, sys.stderr = (os.fdopen(stream, "w", encoding="utf-8", closefd=False) for stream in (1, 2))
        sys.argv = [str(SCRIPTS[name]), "--quick", "--json", str(folder / f"{name}.json")]
        runpy.run_path(sys.argv[0], run_name="__main__")
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def figures_in(kept: Path, status: int) -> list[Figure] | None:
    """What a benchmark measured, or None where it broke."""
    if status or not kept.exists():
        return None
    return [Figure(**values) for values in json.loads(kept.read_text(encoding="utf-8"))]


if __name__ == "__main__":
    sys.exit(main())
