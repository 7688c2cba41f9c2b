"""The plan of memory against measured peaks: what a larger micro-batch adds to a smaller one.

For each base model, arm and quantizer, with and without gradient checkpointing, a child process runs the updates of the batch
search at a quarter of a size and at the whole of it, and its peaks are read (Linux resets them on request). Their difference is
what activations take; what libraries keep, which is most of a small model's peak, is in both.

    python benchmarks/bench_memory_plan.py [--quick] [--models minilm-l6 tiny-llama] [--padded 8192] [--json FILE]

Target: the plan is within a third of what is measured.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import common
from common import TASK, Figure

CASES = (("A1", "none"), ("A4", "none"), ("A1", "nf4"), ("A1", "int8"), ("full", "none"))
TOLERANCE = 1 / 3


def measure(options: argparse.Namespace) -> list[Figure]:
    """One child a case, with checkpointing and without."""
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    models = options.models or (["tiny-bert"] if options.quick else ["minilm-l6", "tiny-llama"])
    figures, rows = [], []
    for model in models:
        for arch, quant in CASES[:1] if options.quick else CASES:
            for again in (False, True):
                planned, measured = one(model, arch, quant, again, options.padded)
                gap = planned / measured - 1
                rows.append((model, arch, quant, "on" if again else "off", f"{planned / 2**20:,.0f}",
                             f"{measured / 2**20:,.0f}", f"{gap:+.0%}"))  # fmt: skip
                name = f"{model}, {arch}, {quant}, checkpointing {'on' if again else 'off'}"
                figures.append(
                    Figure(name, "within a third", f"{gap:+.0%} of {measured / 2**20:,.0f} MiB", abs(gap) < TOLERANCE)
                )
    columns = ("model", "arm", "quantizer", "checkpointing", "planned MiB", "measured MiB", "plan over measured")
    common.table(f"updates of {options.padded} padded tokens", columns, rows)
    return figures


def one(model: str, arch: str, quant: str, again: bool, padded: int) -> tuple[int, int]:
    """Bytes that three quarters of so many padded tokens add: planned, and measured."""
    from bench.config import RunConfig

    config = RunConfig(task=(TASK,), model=model, arch=arch, quant=quant, head="bio", steps=1, batch_tokens=padded)
    with common.prepared(config, {"train": 60, "dev": 2, "test": 2}) as (planned, _):
        from bench.steps.gates import probed, probed_rows
        from bench.steps.plan import load_of
        from bench.training.probe import ALLOWANCE, Probe

        trainer = common.built(planned)
        longest = int(planned.data[TASK].splits["train"].lengths.max())
        spec = probed(planned, trainer, probed_rows(planned.data, trainer.sampler), again)
        with tempfile.TemporaryDirectory() as folder:
            probe = Probe(spec, Path(folder) / "probe.json", 0)
            try:
                less, more = probe(padded // 4), probe(padded)
            finally:
                probe.close()
        if less is None or more is None:
            raise common.Missing(f"{padded} padded tokens do not fit into this machine's memory.")
        load = load_of(planned, longest)
        return load.activations(padded, again) - load.activations(padded // 4, again), int((more - less) / ALLOWANCE)


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--models", nargs="+", help="base models (default minilm-l6 and tiny-llama; tiny-bert with --quick)")
    parser.add_argument("--padded", type=int, default=8192, help="padded tokens of an update (default %(default)s)")


if __name__ == "__main__":
    common.main(measure, __doc__, _options)
