"""Loading and encoding all of bc2gm: cold, and warm as a resumed run finds its own cache; each in a fresh process.

Cold reads and checks the files, chooses the window length and encodes 20,000 sentences into the run's folder. Warm reads and
checks the files again, since scoring and linking need the documents, and finds length and windows memory-mapped. CPU seconds;
the peak is what the process holds above the moment before loading. Imports are not in it.

    python benchmarks/bench_iob_loading.py [--quick] [--json FILE]

Targets: at most 20 s cold, 1 s warm, 1 GiB. Without ``../shared/data`` there is nothing to measure. The quick form reads a
small synthetic corpus of the same format.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import common
from common import Figure

NAME, FOLDER = "bc2gm", common.IOB / "BC2GM-IOB"
COLD, WARM, GIB = 20.0, 1.0, 1.0


def measure(options: argparse.Namespace) -> list[Figure]:
    """One child cold, then some warm ones in the same folder."""
    if options.child:
        print(json.dumps(child(options)))
        raise SystemExit
    if not (options.quick or FOLDER.is_dir()):
        raise common.Missing(f"{FOLDER} is not there; bc2gm belongs there in IOB.")
    model = common.model(options)
    with tempfile.TemporaryDirectory() as temporary:
        corpus = synthetic(Path(temporary) / "corpus") if options.quick else FOLDER
        words = [sys.executable, __file__, "--child", str(Path(temporary) / "run"), "--corpus", str(corpus), "--model", model]
        words += ["--threads", str(options.threads)]
        found = []
        for _ in range(2 if options.quick else 6):
            done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
            found.append(json.loads(done.stdout.strip().splitlines()[-1]))
    cold, *warm = found
    rows = []
    for one in found:
        times = (one["load"], one["encode"], one["load"] + one["encode"], one["wall"])
        rows.append(("cold" if one is cold else "warm", *(f"{seconds:.2f}" for seconds in times), f"{one['peak'] / 2**20:.0f}"))
    title = f"{NAME}, {cold['documents']:,} sentences, {model}, CPU seconds"
    common.table(title, ("", "load", "encode", "together", "wall", "peak MiB"), rows)
    first = cold["load"] + cold["encode"]
    later = statistics.median(one["load"] + one["encode"] for one in warm)
    peak = max(one["peak"] for one in found) / 2**30
    return [
        Figure("bc2gm, loading and encoding cold", f"≤ {COLD:.0f} s", f"{first:.1f} s", first <= COLD),
        Figure("bc2gm, loading and encoding warm", f"≤ {WARM:.0f} s", f"{later:.2f} s", later <= WARM),
        Figure("bc2gm, peak memory", f"≤ {GIB:.0f} GiB", f"{peak:.2f} GiB", peak <= GIB),
    ]


def synthetic(folder: Path) -> Path:
    """A small corpus in the format of the real one."""
    from bench.registry import load

    load().get("tasks", NAME).synthesize(folder, 2015, {"train": 60, "dev": 20, "test": 20})
    return folder


def child(options: argparse.Namespace) -> dict[str, Any]:
    """Loads and encodes, or finds encoded."""
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    common.own_cache(Path(options.child))
    from bench.config import RunConfig
    from bench.modeling.noise import import_heavy
    from bench.registry import load
    from bench.reporting import SilentReporter
    from bench.steps import corpora
    from bench.steps.resolve import resolve

    config = RunConfig(task=(NAME,), model=common.model(options), data={NAME: str(options.corpus)})
    parts = resolve(config, load())
    import_heavy()
    import datasets.arrow_writer  # noqa: F401  what is imported on first use is no cost of a sentence
    import psutil
    from transformers import AutoModel, AutoTokenizer  # noqa: F401  modules of transformers' own, imported by name

    parts.model.folder()
    before = int(psutil.Process().memory_info().rss)
    common.peak_memory(reset=True)
    watch = common.Stopwatch()
    watch.start()
    with corpora.read_corpora(parts.tasks, config) as sources:
        loaded = watch.stop()
        watch.start()
        data = corpora.encode(parts, sources, config, SilentReporter())
        encoded = watch.stop()
    documents = sum(len(split.documents) for split in data[NAME].splits.values())
    return {
        "load": loaded.cpu, "encode": encoded.cpu, "wall": loaded.wall + encoded.wall,
        "peak": common.peak_memory() - before, "documents": documents,
    }  # fmt: skip


def _options(parser: argparse.ArgumentParser) -> None:
    common.add_model(parser)
    parser.add_argument("--child", metavar="DIR", help=argparse.SUPPRESS)
    parser.add_argument("--corpus", type=Path, help=argparse.SUPPRESS)


if __name__ == "__main__":
    common.main(measure, __doc__, _options)
