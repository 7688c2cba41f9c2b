"""Loading and encoding: seconds and peak memory against the number of notes, each size in a fresh process.

The notes are the task's synthetic corpus, read back by the real loader and encoded by the runner's own step into the
memory-mapped cache. CPU seconds; the peak is what the process holds above the moment before loading.

    python benchmarks/bench_encoding.py [--quick] [--full] [--json FILE]

Targets: time per note at the largest size at most 1.3 times that at the smallest; at most 64 KiB of memory for every further
note.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import common
from common import TASK, Figure

GROWTH, NOTE_KIB = 1.3, 64


def measure(options: argparse.Namespace) -> list[Figure]:
    """One child a size."""
    if options.child:
        print(json.dumps(child(options)))
        raise SystemExit
    sizes = (20, 40) if options.quick else (500, 1000, 2000, *((5000, 10000) if options.full else ()))
    found, model = {}, common.model(options)
    for notes in sizes:
        words = [sys.executable, __file__, "--child", str(notes), "--model", model, "--threads", str(options.threads)]
        done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
        found[notes] = json.loads(done.stdout.strip().splitlines()[-1])
    common.table(
        f"{model}, synthetic {TASK}, CPU seconds",
        ("notes", "text MiB", "load", "encode", "ms a note", "peak MiB", "cache MiB"),
        [
            (notes, f"{f['text'] / 2**20:.1f}", f"{f['load']:.2f}", f"{f['encode']:.2f}",
             f"{1e3 * (f['load'] + f['encode']) / notes:.2f}", f"{f['peak'] / 2**20:.0f}", f"{f['cache'] / 2**20:.1f}")
            for notes, f in found.items()
        ],
    )  # fmt: skip
    first, last = found[sizes[0]], found[sizes[-1]]
    per_note = [(f["load"] + f["encode"]) / n for n, f in found.items()]
    growth = per_note[-1] / per_note[0]
    extra = (last["peak"] - first["peak"]) / (sizes[-1] - sizes[0]) / 1024
    span = f"{sizes[0]:,} to {sizes[-1]:,} notes"
    return [
        Figure(f"time a note, {span}", f"≤ {GROWTH} ×", f"{growth:.2f} ×", growth <= GROWTH),
        Figure(f"memory a further note, {span}", f"≤ {NOTE_KIB} KiB", f"{extra:.1f} KiB", extra <= NOTE_KIB),
    ]


def child(options: argparse.Namespace) -> dict[str, Any]:
    """Loads and encodes one corpus."""
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    from bench.config import RunConfig
    from bench.modeling.noise import import_heavy
    from bench.registry import load
    from bench.reporting import SilentReporter
    from bench.steps import corpora
    from bench.steps.resolve import resolve

    notes = options.child
    parts = resolve(RunConfig(task=(TASK,), model=common.model(options)), load())
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "corpus"
        sizes = {"train": notes - 2 * (notes // 10), "dev": notes // 10, "test": notes // 10}
        parts.tasks[TASK].synthesize(folder, 2015, sizes)
        config = RunConfig(task=(TASK,), model=common.model(options), data={TASK: str(folder)})
        import_heavy()
        import datasets.arrow_writer  # noqa: F401  what is imported on first use is no cost of a note
        import transformers  # noqa: F401

        before = resident()
        common.peak_memory(reset=True)
        watch = common.Stopwatch()
        watch.start()
        with corpora.read_corpora(parts.tasks, config) as sources:
            loaded = watch.stop()
            watch.start()
            corpora.encode(parts, sources, config, Path(temporary) / "run", SilentReporter())
            encoded = watch.stop()
        size = sum(f.stat().st_size for f in (Path(temporary) / "run").rglob("*.arrow"))
        text = sum(f.stat().st_size for f in folder.rglob("*.text"))
        return {"load": loaded.cpu, "encode": encoded.cpu, "peak": common.peak_memory() - before, "cache": size, "text": text}


def resident() -> int:
    """Resident bytes of this process."""
    import psutil

    return int(psutil.Process().memory_info().rss)


def _options(parser: argparse.ArgumentParser) -> None:
    common.add_model(parser)
    parser.add_argument("--full", action="store_true", help="up to 10,000 notes")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)


if __name__ == "__main__":
    common.main(measure, __doc__, _options)
