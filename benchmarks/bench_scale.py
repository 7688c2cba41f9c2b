"""Time and memory of a whole run against the number of training notes: loaded, encoded and trained for ten updates.

Each size is a run of `bench.runner.run` in a process of its own, all invariants on, A1 on the task's synthetic corpus with 60
notes in dev and in test. Seconds are those that the result tells; the peak is what the process holds above the moment before.

    python benchmarks/bench_scale.py [--quick] [--sizes 1000 10000 100000] [--plot docs/scale.svg] [--json FILE]

Targets: nothing grows worse than linearly; memory stays within 1.25 times that at a tenth of the notes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

import common
from common import TASK, Figure

GROWTH, MEMORY = 1.3, 1.25
STEPS, HELD_OUT = 10, 60
SIZES = (1_000, 3_000, 10_000, 30_000, 100_000)

Found = Mapping[int, Mapping[str, float]]


def measure(options: argparse.Namespace) -> list[Figure]:
    """One child a size."""
    if options.child:
        print(json.dumps(child(options)))
        raise SystemExit
    sizes = (60, 120) if options.quick else tuple(sorted(options.sizes))
    found: dict[int, Mapping[str, float]] = {}
    model = common.model(options)
    for notes in sizes:
        words = [sys.executable, __file__, "--child", str(notes), "--model", model, "--threads", str(options.threads)]
        done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
        found[notes] = json.loads(done.stdout.strip().splitlines()[-1])
        print(f"{notes:,} notes: {found[notes]['total']:.0f} s", flush=True)
    common.table(
        f"{model}, synthetic {TASK}, {STEPS} updates, seconds",
        ("notes", "text MiB", "load", "encode", "ms a note", "all", "peak MiB", "cache MiB"),
        [
            (f"{n:,}", f"{f['text'] / 2**20:.1f}", f"{f['data']:.1f}", f"{f['encoding']:.1f}",
             f"{1e3 * (f['data'] + f['encoding']) / n:.2f}", f"{f['total']:.0f}", f"{f['peak'] / 2**20:.0f}",
             f"{f['cache'] / 2**20:.0f}")
            for n, f in found.items()
        ],
    )  # fmt: skip
    if options.plot is not None:
        options.plot.write_text(plot(found), encoding="utf-8")
    first, last = sizes[0], sizes[-1]
    a_note = {n: (f["data"] + f["encoding"]) / n for n, f in found.items()}
    growth = a_note[last] / a_note[first]
    before = max((n for n in sizes if n <= last / 10), default=first)
    more = found[last]["peak"] / found[before]["peak"]
    return [
        Figure(
            f"loading and encoding, time a note, {first:,} to {last:,} notes", f"≤ {GROWTH} ×",
            f"{growth:.2f} × ({1e3 * a_note[last]:.2f} ms)", growth <= GROWTH,
        ),
        Figure(
            f"a run's peak memory, {before:,} to {last:,} notes", f"≤ {MEMORY} ×",
            f"{more:.2f} × ({found[last]['peak'] / 2**20:,.0f} MiB)", more <= MEMORY,
            f"{found[last]['text'] / 2**20:,.0f} MiB of text, {found[last]['cache'] / 2**20:,.0f} MiB of mapped cache",
        ),
    ]  # fmt: skip


def child(options: argparse.Namespace) -> dict[str, float]:
    """One run."""
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    from bench.config import RunConfig
    from bench.modeling.noise import import_heavy
    from bench.registry import load
    from bench.results.store import read_result
    from bench.runner import run
    from bench.steps.resume import State

    registry = load()
    with tempfile.TemporaryDirectory() as temporary:
        folder, out = Path(temporary) / "corpus", Path(temporary) / "runs"
        sizes = {"train": options.child, "dev": HELD_OUT, "test": HELD_OUT}
        registry.get("tasks", TASK).synthesize(folder, 2015, sizes)
        config = RunConfig(
            task=(TASK,), model=common.model(options), data={TASK: str(folder)}, out=str(out), steps=STEPS,
            tracker=("none",),
            waive=("smoke",) if options.model == "tiny-bert" else (),  # it learns too little in 50 updates
        )  # fmt: skip
        import_heavy()
        before = resident()
        common.peak_memory(reset=True)
        watch = common.Stopwatch()
        watch.start()
        with patch.object(State, "clean"):  # which would remove the cache before it is weighed
            outcome = run(config, registry)
        total = watch.stop().wall
        assert outcome.folder is not None
        timings = read_result(outcome.folder).to_json()["timings"]
        return {
            "data": timings["data"], "encoding": timings["encoding"], "total": total, "peak": common.peak_memory() - before,
            "cache": sum(f.stat().st_size for f in outcome.folder.rglob("*.arrow")),
            "text": sum(f.stat().st_size for f in folder.rglob("*.text")),
        }  # fmt: skip


def resident() -> int:
    """Resident bytes of this process."""
    import psutil

    return int(psutil.Process().memory_info().rss)


def plot(found: Found) -> str:
    """Time and memory against size, both axes logarithmic, as SVG."""
    import vl_convert

    rows = [
        {"notes": n, "value": value, "what": what}
        for n, f in found.items()
        for what, value in (
            ("load and encode, s", f["data"] + f["encoding"]), ("whole run, s", f["total"]),
            ("peak memory, MiB", f["peak"] / 2**20), ("mapped cache on disk, MiB", f["cache"] / 2**20),
        )
    ]  # fmt: skip
    axis: dict[str, Any] = {"type": "quantitative", "scale": {"type": "log"}}
    spec = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "width": 520, "height": 300, "background": "white", "data": {"values": rows},
        "mark": {"type": "line", "point": True},
        "encoding": {
            "x": {"field": "notes", "title": "training notes", **axis},
            "y": {"field": "value", "title": "seconds, MiB", **axis},
            "color": {"field": "what", "title": None},
        },
    }  # fmt: skip
    return str(vl_convert.vegalite_to_svg(spec))


def _options(parser: argparse.ArgumentParser) -> None:
    common.add_model(parser)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, metavar="N", help="training notes")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw time and memory against size as SVG")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)


if __name__ == "__main__":
    common.main(measure, __doc__, _options)
