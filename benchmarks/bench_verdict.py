"""The verdict of the token-control study on simulated studies with planted effects: how often it is wrong, and its power.

    python benchmarks/bench_verdict.py [--quick] [--json FILE]

2,000 studies of each kind (20 with ``--quick``). Promised: *genuine transfer* where there is none in at most 5% of them; where
each word is true, another one in at most 10% (two questions at 5% each); and an effect of the size that the studies say they
could have detected found as often as they say. How they are simulated: `benchmarks/simulated_studies.py`.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import get_args

import common
from common import Figure
from simulated_studies import Effect, Outcome, Shape, outcome

from bench.stats.intervals import POWER
from bench.studies.verdict import Kind

KINDS = get_args(Kind)
USUAL = Shape()
NOTHING = Effect()
FALSE = 0.05
OTHER = 0.1
"""Two questions at 5% each."""
WRONG: dict[str, tuple[Shape, Effect]] = {
    "no effect at all": (USUAL, NOTHING),
    "no effect, seeds decide": (replace(USUAL, seed_sd=0.1), NOTHING),
    "no effect, seeds decide, heavy tails": (replace(USUAL, seed_sd=0.1, heavy=True), NOTHING),
    "no effect, documents decide": (replace(USUAL, seed_sd=0.003, arm_sd=0.3), NOTHING),
    "no effect, 20 documents": (replace(USUAL, documents=20), NOTHING),
    "no effect, 500 documents, 12 seeds": (replace(USUAL, documents=500, seeds=12), NOTHING),
    "data exposure of 3 points": (replace(USUAL, seed_sd=0.02, arm_sd=0.05), Effect(0.0, 0.03)),
    "negative transfer of 3 points": (USUAL, Effect(-0.03, -0.03)),
    "worse at equal total by half a point": (USUAL, Effect(-0.005, 0.02)),
}
"""Where there is no genuine transfer to be found."""
TRUTHS: dict[str, Effect] = {
    "genuine transfer": Effect(0.03, 0.05),
    "data exposure": Effect(0.0, 0.03),
    "costly sharing": Effect(-0.03, 0.03),
    "no transfer": Effect(-0.03, 0.0),
    "negative transfer": Effect(-0.03, -0.03),
    "no effect": Effect(0.0, 0.0),
}
"""Word to an effect that it is the true word of."""
DESIGNS: tuple[Shape, ...] = (
    replace(USUAL, seed_sd=0.02),
    replace(USUAL, seed_sd=0.02, documents=500),
    replace(USUAL, seed_sd=0.02, documents=500, seeds=12),
)
EDGE: dict[str, tuple[Shape, Effect]] = {
    "better by 1 point at both, the margin itself": (DESIGNS[2], Effect(0.01, 0.01)),
    "better by 1 point at equal total, by 3 at own tokens": (DESIGNS[2], Effect(0.01, 0.03)),
    "better by half a point at both": (DESIGNS[2], Effect(0.005, 0.005)),
    "the same, 4,000 documents, 24 seeds": (replace(DESIGNS[2], documents=4000, seeds=24), Effect(0.005, 0.005)),
}
"""Where a difference is as large as the margin, or real and smaller."""


def measure(options: argparse.Namespace) -> list[Figure]:
    """Simulates and prints both tables."""
    count = 20 if options.quick else 2000
    wrong = {name: outcome(shape, effect, count, seed) for seed, (name, (shape, effect)) in enumerate(WRONG.items())}
    columns = ("planted", *KINDS, "interval holds", "sd of seeds", "detectable")
    common.table(f"{count:,} studies each, no genuine transfer in any", columns, [_row(n, o) for n, o in wrong.items()])
    truths: dict[tuple[str, Shape], Outcome] = {}
    for shape in DESIGNS:
        for word, effect in TRUTHS.items():
            truths[word, shape] = outcome(shape, effect, count, 100 + len(truths))
        rows = [_row(word, truths[word, shape]) for word in TRUTHS]
        common.table(f"{count:,} studies of each word, {shape.seeds} seeds, {shape.documents} documents", columns, rows)
    edge = {name: outcome(shape, effect, count, 400 + i) for i, (name, (shape, effect)) in enumerate(EDGE.items())}
    common.table(f"{count:,} studies each, at the margin and within it", columns, [_row(n, o) for n, o in edge.items()])
    stated = {shape: _stated(shape, count) for shape in (USUAL, replace(USUAL, seeds=12), replace(USUAL, seed_sd=0.1))}
    figures = [
        Figure(f"false genuine transfer: {name}", "≤ 5.0%", f"{one.rate('genuine transfer'):.1%}",
               one.rate("genuine transfer") <= FALSE)
        for name, one in wrong.items()
    ]  # fmt: skip
    for shape, detectable in stated.items():
        power = outcome(shape, Effect(detectable, detectable), count, 300).rate("genuine transfer")
        name = f"power at the stated effect of {detectable:.4f} ({shape.seeds} seeds, SD over seeds {shape.seed_sd:g})"
        figures.append(Figure(name, f"{POWER:.0%} ± 5", f"{power:.1%}", abs(power - POWER) <= 0.05))
    for (word, shape), one in truths.items():
        wrong_words = 1 - one.rate(word) - one.rate("unresolved")
        design = f"{shape.seeds} seeds, {shape.documents} documents"
        figures.append(Figure(f"found: {word} ({design})", "", f"{one.rate(word):.1%}"))
        figures.append(Figure(f"another word: {word} ({design})", "≤ 10.0%", f"{wrong_words:.1%}", wrong_words <= OTHER))
    return figures


def _stated(shape: Shape, count: int) -> float:
    """The effect that studies which hold an effect of about this size say they could have detected, on average."""
    effect = 0.0
    for seed in (200, 201):
        effect = outcome(shape, Effect(effect, effect), count, seed).detectable
    return effect


def _row(name: str, one: Outcome) -> tuple[str, ...]:
    shares = tuple(f"{one.rate(kind):.1%}" for kind in KINDS)
    return (name, *shares, f"{one.covered / one.studies:.1%}", f"{one.spread:.4f}", f"{one.detectable:.4f}")


if __name__ == "__main__":
    common.main(measure, __doc__)
