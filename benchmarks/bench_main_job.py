"""The default main job as a newcomer types it: wall time, peak memory of all its processes, and what the result says.

`bench run --task 2015-T14 --arch A2 --quant gptq` runs in a fresh process; memory is the resident size of that process and all
its children together, sampled every fifth of a second (what they share counts twice). The BIO baseline is a second run.

    python benchmarks/bench_main_job.py [--quick] [--no-baseline] [--json FILE]

Targets: at most 5 minutes on two cores and 3 GiB; on the synthetic test split, trained span-only F at least .85 and
discontiguous F at least .70, where the BIO baseline's discontiguous recall is 0 and the dictionary's span-only F at most .60.
With --quick the job is cut to 12 updates of tiny-bert and rtn on a few notes: that only shows that the benchmark works.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import common
from common import TASK, Figure

JOB = ("--task", TASK, "--arch", "A2", "--quant", "gptq")
BASELINE = ("--task", TASK, "--arch", "A2", "--quant", "none", "--head", "bio", "--tracker", "none")
# A random model of two layers learns too little from generated text for the smoke test.
TINY = (
    *BASELINE[:4], "--quant", "rtn", "--model", "tiny-bert", "--steps", "12", "--micro-batch", "512", "--waive", "smoke",
    "--tracker", "none",
)  # fmt: skip
MINUTES, GIB = 5.0, 3.0


def measure(options: argparse.Namespace) -> list[Figure]:
    """The job, then the baseline."""
    with tempfile.TemporaryDirectory() as folder:
        job = (*TINY, "--data", f"{TASK}={notes(Path(folder) / 'notes')}") if options.quick else JOB
        seconds, peak, result = run(job, Path(folder) / "job")
        test = result["scores"][TASK]
        trained = test["trained"]
        dictionary = test["baselines"]["dictionary"]["task1.span_only.f1"]
        spans, pieces = trained["task1.span_only.f1"], trained["task1.discontiguous.f1"]
        found = [
            Figure("main job, wall", f"≤ {MINUTES:.0f} min on two cores", f"{seconds / 60:.1f} min", seconds <= 60 * MINUTES),
            Figure("main job, peak of all processes", f"≤ {GIB:.0f} GiB", f"{peak / 2**30:.2f} GiB", peak <= GIB * 2**30),
            Figure("trained span-only F", "≥ .85", f"{spans:.3f}", spans >= 0.85),
            Figure("trained discontiguous F", "≥ .70", f"{pieces:.3f}", pieces >= 0.70),
            Figure("dictionary's span-only F", "≤ .60", f"{dictionary:.3f}", dictionary <= 0.60),
        ]  # fmt: skip
        timings = sorted(result["timings"].items(), key=lambda item: -item[1])
        common.table("where the job's time goes", ("step", "seconds"), [(name, f"{value:.1f}") for name, value in timings])
        if not (options.no_baseline or options.quick):
            _, _, other = run(BASELINE, Path(folder) / "bio")
            recall = other["scores"][TASK]["trained"]["task1.discontiguous.recall"]
            found.append(Figure("BIO baseline's discontiguous recall", "0", f"{recall:.3f}", recall == 0))
    return found


def notes(folder: Path) -> Path:
    """A few synthetic notes."""
    from bench.registry import load

    load().get("tasks", TASK).synthesize(folder, 2015, {"train": 24, "dev": 6, "test": 6})
    return folder


def run(words: tuple[str, ...], out: Path) -> tuple[float, int, dict[str, Any]]:
    """Runs `bench run`: wall seconds, peak bytes, and the result."""
    import psutil

    command = [sys.executable, "-m", "bench", "run", *words, "--out", str(out), "--json"]
    # A newcomer sets no thread count.
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    started, peak = time.perf_counter(), 0
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as said,
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said, text=True, env=environment) as job,
    ):
        process = psutil.Process(job.pid)
        while job.poll() is None:
            peak = max(peak, sum(_resident(p) for p in _family(process)))
            time.sleep(0.2)
        seconds = time.perf_counter() - started
        if job.returncode:
            said.seek(0)
            last = "\n".join(said.read().splitlines()[-5:])
            raise SystemExit(f"'bench run {' '.join(words)}' ended with exit code {job.returncode}:\n{last}")
    (path,) = out.glob("*/result.json")
    return seconds, peak, json.loads(path.read_text(encoding="utf-8"))


def _family(process: Any) -> list[Any]:
    import psutil

    try:
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return []


def _resident(process: Any) -> int:
    import psutil

    try:
        return int(process.memory_info().rss)
    except psutil.Error:  # ended meanwhile
        return 0


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--no-baseline", action="store_true", help="leave the BIO run out")


if __name__ == "__main__":
    common.main(measure, __doc__, _options)
