"""Which attention of the base model is the faster one, with gradients and without: the rule that runs on a CPU follow.

A run trains through eager attention on a CPU and evaluates through torch's fused one (`bench.adapters.attach.Attention`). Both
are timed in turn here, round after round in one process: micro-batches of an update forward and backward, and batches of test
windows without gradients. Target: what the rule takes is the faster one of both.

    python benchmarks/bench_attention.py [--quick] [--rounds 7] [--threads 2] [--json FILE]
"""

from __future__ import annotations

import argparse
import os

import common
from common import TASK, Figure, Lap

NAMES = ("eager", "sdpa")


def measure(options: argparse.Namespace) -> list[Figure]:
    """Both implementations in turn, on windows of synthetic notes."""
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    from bench.config import RunConfig

    rounds = 1 if options.quick else options.rounds
    config = RunConfig(task=(TASK,), model=common.model(options), steps=1)
    sizes = {"train": 8, "dev": 1, "test": 4} if options.quick else None
    with common.prepared(config, sizes) as (planned, what):
        import torch

        from bench.data.cache import collate
        from bench.evaluation.predict import PADDED_TOKENS, by_length

        trainer = common.built(planned)
        data, model = planned.data[TASK], trainer.model
        attention = model.attention
        chosen = {"training": attention.training, "evaluation": attention.evaluation}

        def batches(split: str, padded: int, count: int) -> list[dict[str, torch.Tensor]]:
            rows = data.splits[split]
            return [collate(rows.take(part), data.head, trainer.pad) for part in by_length(rows.lengths, padded)[:count]]

        def passes(kind: str, name: str) -> Lap:
            attention.training = attention.evaluation = name
            watch = common.Stopwatch()
            watch.start()
            for batch in inputs[kind]:
                if kind == "training":
                    torch.autograd.backward(model.loss(TASK, batch))
                else:
                    model.predict(TASK, batch)
            tokens = sum(int(batch["attention_mask"].sum()) for batch in inputs[kind])
            model.zero_grad(set_to_none=True)
            return watch.stop(tokens)

        inputs = {"training": batches("train", 2048, 4), "evaluation": batches("test", PADDED_TOKENS, 8)}
        figures = []
        for kind in inputs:
            model.train(kind == "training")
            with planned.device.autocast():
                for name in NAMES:
                    passes(kind, name)
                laps: dict[str, list[Lap]] = {name: [] for name in NAMES}
                for _ in range(rounds):
                    for name in NAMES:
                        laps[name].append(passes(kind, name))
            other = next(name for name in NAMES if name != chosen[kind])
            ratio = common.ratio(laps[str(chosen[kind])], laps[other], "cpu")
            figures.append(
                Figure(f"{kind}: {chosen[kind]} over {other}", "≥ 1.0 ×", f"{ratio:.2f} × ({what}, {config.model})", ratio >= 1)
            )
    return figures


def _options(parser: argparse.ArgumentParser) -> None:
    common.add_model(parser)
    parser.add_argument("--rounds", type=int, default=7, help="(default %(default)s)")


if __name__ == "__main__":
    common.main(measure, __doc__, _options)
