"""The batch search where the memory limit is what binds: how many probes it takes, and the peak that training then reaches.

Limits are laid between what one example and what a whole update need, both probed beforehand. For each, a fresh process plans
and builds a run, settles its micro-batch as the runner does, forgets its peak so far (Linux resets it on request), trains a
few updates, and reads the peak. One limit is far too small: the search must name the smallest that would do.

    python benchmarks/bench_batch_search.py [--quick] [--arch A4] [--batch-tokens 8192] [--json FILE]

Targets: at most 8 probes; the peak within 75-85% of the limit; the error names the smallest need.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from typing import Any

import common
from common import TASK, Figure

LOW, HIGH, PROBES = 0.75, 0.85, 8
TINY = 64 * 2**20
"""Bytes that nothing fits into."""


def measure(options: argparse.Namespace) -> list[Figure]:
    """One child a limit."""
    if options.child:
        print(json.dumps(child(options)))
        raise SystemExit
    ends = ask(options, "ends", None)
    low, high = ends["peaks"]
    # Above a half an update is two micro-batches whatever fits, and two halves of it are smaller: memory no longer binds alone.
    shares = (0.5,) if options.quick else (0.2, 0.35, 0.5)
    figures, rows = [], []
    for share in shares:
        limit = int((low + share * (high - low)) / HIGH)
        found = ask(options, "train", limit)
        part = found["peak"] / limit
        probes = len(found["probes"])
        fits = found["binds"] == "memory" and LOW <= part <= HIGH and probes <= PROBES
        rows.append((f"{limit / 2**20:,.0f} MiB", found["binds"], found["micro_batch"], probes,
                     f"{found['expected'] / limit:.1%}", f"{part:.1%}", f"{found['before'] / limit:.1%}"))  # fmt: skip
        figures.append(
            Figure(
                f"peak at a limit of {limit / 2**20:,.0f} MiB",
                f"{LOW:.0%}–{HIGH:.0%}, ≤ {PROBES} probes",
                f"{part:.1%}, {probes} probes",
                fits,
            )
        )
    common.table(
        f"{common.model(options)}, {options.arch}, updates of {options.batch_tokens} tokens, "
        f"longest example {ends['longest']}: one example needs {low / 2**20:,.0f} MiB, a whole update {high / 2**20:,.0f}",
        ("limit", "binds", "micro-batch", "probes", "expected", "measured", "before training"),
        rows,
    )
    message = ends["error"]
    named = "at least" in message
    name = f"a limit of {TINY / 2**20:.0f} MiB"
    figures.append(Figure(name, "error names the need", "named" if named else "not named", named, message))
    return figures


def ask(options: argparse.Namespace, what: str, limit: int | None) -> dict[str, Any]:
    """What a fresh process finds."""
    words = [sys.executable, __file__, "--child", what, "--model", common.model(options), "--arch", options.arch, "--head",
             options.head, "--batch-tokens", str(options.batch_tokens), "--threads", str(options.threads)]  # fmt: skip
    words += ["--limit", str(limit)] if limit is not None else []
    words += ["--updates", str(2 if options.quick else options.updates)]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])  # type: ignore[no-any-return]


def child(options: argparse.Namespace) -> dict[str, Any]:
    """Probes both ends, or settles the micro-batch under a limit and trains."""
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    from bench.config import RunConfig
    from bench.errors import InvariantError
    from bench.invariants.batch import search
    from bench.reporting import SilentReporter
    from bench.results.invariants import BatchReport
    from bench.steps import gates

    config = RunConfig(
        task=(TASK,), arch=options.arch, model=common.model(options), head=options.head, batch_tokens=options.batch_tokens,
        steps=options.updates, memory_limit=options.limit,
    )  # fmt: skip
    with common.prepared(config, sizes={"train": 60, "dev": 4, "test": 4}) as (planned, _):
        trainer = common.built(planned)
        settle = (planned, trainer, SilentReporter())
        if options.child == "ends":
            ends: dict[str, Any] = {"error": "no error"}

            def both(probe: Any, longest: int, update: int, limit: int) -> BatchReport:
                try:
                    search(probe, longest, update, TINY)
                except InvariantError as error:
                    ends["error"] = error.message
                ends.update(peaks=[probe(longest), probe(update)], longest=longest)
                return BatchReport(longest, limit, None, "memory", longest)

            vars(gates)["search"] = both
            gates.settle_batch(*settle)
            return ends
        report = gates.settle_batch(*settle)
        trainer.micro_batch = report.micro_batch
        before = common.peak_memory(reset=True)
        while not trainer.sampler.done:
            trainer.run_update()
        return {
            "peak": common.peak_memory(), "before": before, "expected": report.peak, "binds": report.binds,
            "micro_batch": report.micro_batch, "probes": report.probes,
        }  # fmt: skip


def _options(parser: argparse.ArgumentParser) -> None:
    common.add_model(parser)
    parser.add_argument("--arch", default="A4")
    parser.add_argument("--head", default="span")
    parser.add_argument("--batch-tokens", type=int, default=8192)
    parser.add_argument("--updates", type=int, default=12, help="that the peak is read over (default %(default)s)")
    parser.add_argument("--child", choices=("ends", "train"), help=argparse.SUPPRESS)
    parser.add_argument("--limit", type=int, help=argparse.SUPPRESS)


if __name__ == "__main__":
    common.main(measure, __doc__, _options)
