"""What a second core adds to training and to evaluation: the same work by one torch thread and by two, in turn.

Two processes build the same run and wait for each other: round after round each trains on the same draws, alone on the machine,
predicts dev (with two threads, two batches side by side), and multiplies matrices of the base's largest layer, whose gain is
what the machine can give. The rate is of wall seconds, so a busy machine says nothing: look at the load average.

    python benchmarks/bench_threads.py [--quick] [--precision fp32] [--rounds 5] [--updates 4] [--json FILE]

Target: with two threads at least 1.8 times the tokens a second of one in training; the gain of evaluation is told.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys

import common
from common import TASK, Figure

GAIN = 1.8
COUNTS = (1, 2)
ROWS, PRODUCTS = 2048, 400


def measure(options: argparse.Namespace) -> list[Figure]:
    """Both processes in turn."""
    if options.child:
        serve(options)
        raise SystemExit
    cores = len(os.sched_getaffinity(0))
    if cores < max(COUNTS):
        raise common.Missing(f"{max(COUNTS)} cores; this process may use {cores}")
    rounds, updates = (1, 1) if options.quick else (options.rounds, options.updates)
    words = [
        sys.executable, __file__, "--child", "--model", common.model(options), "--precision", options.precision,
        "--updates", str(updates), *(["--quick"] if options.quick else []), "--threads",
    ]  # fmt: skip
    children = {
        count: subprocess.Popen([*words, str(count)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for count in COUNTS
    }
    try:
        for child in children.values():  # built, and its first updates over
            ask(child)
        found = [{count: ask(children[count]) for count in COUNTS} for _ in range(rounds)]
    finally:
        for child in children.values():
            child.kill()
            child.wait()
    figures = []
    for kind, least in (("training", GAIN), ("evaluation", None), ("matrix products", None)):
        gain = statistics.median(lap[2][kind] / lap[1][kind] for lap in found)
        promised = ("", None) if least is None else (f"≥ {least} ×", gain >= least)
        rates = " and ".join(f"{statistics.median(lap[count][kind] for lap in found):,.0f}" for count in COUNTS)
        unit = "GFLOP" if kind == "matrix products" else "tokens"
        figures.append(Figure(f"{kind}: two threads over one", promised[0], f"{gain:.2f} × ({rates} {unit}/s)", promised[1]))
    return figures


def ask(child: subprocess.Popen[str]) -> dict[str, float]:
    """Lets a child work, and waits for its rates."""
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write("\n")
    child.stdin.flush()
    while not (line := child.stdout.readline()).startswith("{"):
        if not line:
            raise RuntimeError(f"a child ended with {child.wait()}")
    return dict(json.loads(line))


def serve(options: argparse.Namespace) -> None:
    """Answers every line with tokens and GFLOP a second."""
    # Threads wait as those of a run that is alone on the machine; while the two are built each would see the other's load.
    os.environ |= {"OMP_NUM_THREADS": str(options.threads), "GOMP_SPINCOUNT": "30000"}
    from bench.config import RunConfig

    config = RunConfig(task=(TASK,), model=options.model, precision=options.precision, steps=10_000)
    with common.prepared(config, {"train": 40, "dev": 2, "test": 2} if options.quick else None) as (planned, _):
        import torch

        from bench.evaluation.predict import predict

        trainer = common.built(planned)
        trainer.micro_batch = common.whole_update(planned)
        trainer.model.train()
        shape = max(planned.parts.model.spec.linears, key=lambda linear: linear.inputs * linear.outputs)
        rows = torch.randn(ROWS, shape.inputs, dtype=planned.device.dtype)
        weight = torch.randn(shape.inputs, shape.outputs, dtype=planned.device.dtype)
        for _ in sys.stdin:
            watch = common.Stopwatch()
            watch.start()
            seen = sum(trainer.run_update().tokens for _ in range(options.updates))
            training = watch.stop(seen).rate("wall")
            watch.start()
            read = predict(trainer.model, TASK, trainer.data[TASK], "dev", trainer.device, trainer.pad).tokens
            evaluation = watch.stop(read).rate("wall")
            trainer.tally.reset()  # what was predicted is no training token
            trainer.model.train()
            watch.start()
            for _ in range(PRODUCTS):
                rows @ weight
            products = watch.stop(2 * PRODUCTS * rows.numel() * weight.shape[1]).rate("wall") / 1e9
            print(json.dumps({"training": training, "evaluation": evaluation, "matrix products": products}), flush=True)


def _options(parser: argparse.ArgumentParser) -> None:
    common.add_model(parser)
    parser.add_argument("--precision", default="auto", choices=("auto", "fp32", "bf16"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--updates", type=int, default=4, help="a round and process")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)


if __name__ == "__main__":
    common.main(measure, __doc__, _options)
