"""Time and memory against the number of training notes: loaded, encoded and trained for ten updates.

Each size is a process of its own that takes the runner's steps: A1 on the task's synthetic corpus, with 60 notes in dev and in
test. The peak is what the process holds above the moment before loading.

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
        print(f"{notes:,} notes are done", flush=True)
    common.table(
        f"{model}, synthetic {TASK}, {STEPS} updates, seconds",
        ("notes", "text MiB", "load", "encode", "ms a note", "train", "peak MiB", "cache MiB"),
        [
            (f"{n:,}", f"{f['text'] / 2**20:.1f}", f"{f['load']:.1f}", f"{f['encode']:.1f}",
             f"{1e3 * (f['load'] + f['encode']) / n:.2f}", f"{f['train']:.1f}", f"{f['peak'] / 2**20:.0f}",
             f"{f['cache'] / 2**20:.0f}")
            for n, f in found.items()
        ],
    )  # fmt: skip
    if options.plot is not None:
        options.plot.write_text(plot(found), encoding="utf-8")
    first, last = sizes[0], sizes[-1]
    a_note = {n: (f["load"] + f["encode"]) / n for n, f in found.items()}
    growth = a_note[last] / a_note[first]
    before = max((n for n in sizes if n <= last / 10), default=first)
    more = found[last]["peak"] / found[before]["peak"]
    return [
        Figure(
            f"loading and encoding, time a note, {first:,} to {last:,} notes", f"≤ {GROWTH} ×",
            f"{growth:.2f} × ({1e3 * a_note[last]:.2f} ms)", growth <= GROWTH,
        ),
        Figure(
            f"peak memory, {before:,} to {last:,} notes", f"≤ {MEMORY} ×",
            f"{more:.2f} × ({found[last]['peak'] / 2**20:,.0f} MiB)", more <= MEMORY,
            f"{found[last]['text'] / 2**20:,.0f} MiB of text, {found[last]['cache'] / 2**20:,.0f} MiB of mapped cache",
        ),
    ]  # fmt: skip


def child(options: argparse.Namespace) -> dict[str, float]:
    """Steps 4 to 8 of a run, without gates and evaluation."""
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    from bench import user_cache
    from bench.config import RunConfig
    from bench.modeling.noise import import_heavy
    from bench.registry import load
    from bench.reporting import SilentReporter
    from bench.runner import plan, resolved_facts
    from bench.steps import corpora
    from bench.steps.context import Clock
    from bench.steps.resolve import resolve

    with tempfile.TemporaryDirectory() as temporary:
        folder, out = Path(temporary) / "corpus", Path(temporary) / "run"
        common.own_cache(Path(temporary) / "cache")
        config = RunConfig(task=(TASK,), model=options.model, data={TASK: str(folder)}, steps=STEPS)
        parts = resolve(config, load())
        parts.tasks[TASK].synthesize(folder, 2015, {"train": options.child, "dev": HELD_OUT, "test": HELD_OUT})
        import_heavy()
        import datasets.arrow_writer  # noqa: F401  what is imported on first use is no cost of a note
        import transformers  # noqa: F401

        before = resident()
        common.peak_memory(reset=True)
        clock = Clock()
        with clock("load"):
            sources = corpora.read_corpora(parts.tasks, config)
            found = sources.__enter__()
        planned = plan(config, resolved_facts(config, parts, found), "scale", out, parts, found, SilentReporter(), clock)
        with clock("train"):
            trainer = common.built(planned)
            trainer.micro_batch = common.whole_update(planned)
            for _ in range(STEPS):
                trainer.run_update()
        sources.__exit__(None, None, None)
        return {
            "load": clock.seconds["load"], "encode": clock.seconds["encoding"], "train": clock.seconds["train"],
            "peak": common.peak_memory() - before, "cache": user_cache.size("encoded"),
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
            ("load and encode, s", f["load"] + f["encode"]), ("ten updates, s", f["train"]),
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
