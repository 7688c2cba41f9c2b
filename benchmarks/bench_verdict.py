"""The verdict of the token-control study on simulated studies with planted effects: how often it is wrong, and its power.

    python benchmarks/bench_verdict.py [--quick] [--json FILE]

2,000 studies of each kind (20 with ``--quick``). Promised: *genuine transfer* where there is none in at most 5% of them, and
an effect of the size that the studies say they could have detected found as often as they say. How they are simulated:
`benchmarks/simulated_studies.py`.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import common
from common import Figure
from simulated_studies import Effect, Outcome, Shape, outcome

from bench.stats.intervals import POWER

USUAL = Shape()
NOTHING = Effect()
FALSE = 0.05
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
FOUND: dict[str, tuple[Shape, Effect, str]] = {
    "genuine transfer, 1 point": (USUAL, Effect(0.01, 0.01), "genuine transfer"),
    "genuine transfer, 2 points": (USUAL, Effect(0.02, 0.02), "genuine transfer"),
    "genuine transfer, 3 points": (USUAL, Effect(0.03, 0.03), "genuine transfer"),
    "negative transfer, 3 points": (USUAL, Effect(-0.03, -0.03), "negative transfer"),
    "data exposure, 3 points": (USUAL, Effect(0.0, 0.03), "data exposure"),
    "data exposure, 3 points, 500 documents": (replace(USUAL, documents=500, seed_sd=0.02), Effect(0.0, 0.03), "data exposure"),
    "the same with 12 seeds": (replace(USUAL, documents=500, seed_sd=0.02, seeds=12), Effect(0.0, 0.03), "data exposure"),
}


def measure(options: argparse.Namespace) -> list[Figure]:
    """Simulates and prints both tables."""
    count = 20 if options.quick else 2000
    wrong = {name: outcome(shape, effect, count, seed) for seed, (name, (shape, effect)) in enumerate(WRONG.items())}
    columns = ("planted", "genuine", "exposure", "negative", "unresolved", "interval holds", "sd of seeds", "detectable")
    common.table(f"{count:,} studies each, no genuine transfer in any", columns, [_row(n, o) for n, o in wrong.items()])
    found = {name: outcome(shape, effect, count, 100 + i) for i, (name, (shape, effect, _)) in enumerate(FOUND.items())}
    common.table(f"{count:,} studies each, something to be found", columns, [_row(n, o) for n, o in found.items()])
    stated = {shape: _stated(shape, count) for shape in (USUAL, replace(USUAL, seeds=12), replace(USUAL, seed_sd=0.1))}
    figures = [
        Figure(f"false genuine transfer: {name}", "≤ 5.0%", f"{one.rate('genuine transfer'):.1%}",
               one.rate("genuine transfer") <= FALSE)
        for name, one in wrong.items()
    ]  # fmt: skip
    for shape, effect in stated.items():
        power = outcome(shape, Effect(effect, effect), count, 300).rate("genuine transfer")
        name = f"power at the stated effect of {effect:.4f} ({shape.seeds} seeds, SD over seeds {shape.seed_sd:g})"
        figures.append(Figure(name, f"{POWER:.0%} ± 5", f"{power:.1%}", abs(power - POWER) <= 0.05))
    figures += [Figure(f"found: {name}", "", f"{found[name].rate(kind):.1%}") for name, (_, _, kind) in FOUND.items()]
    return figures


def _stated(shape: Shape, count: int) -> float:
    """The effect that studies which hold an effect of about this size say they could have detected, on average."""
    effect = 0.0
    for seed in (200, 201):
        effect = outcome(shape, Effect(effect, effect), count, seed).detectable
    return effect


def _row(name: str, one: Outcome) -> tuple[str, ...]:
    kinds = ("genuine transfer", "data exposure", "negative transfer", "unresolved")
    shares = tuple(f"{one.rate(kind):.1%}" for kind in kinds)
    return (name, *shares, f"{one.covered / one.studies:.1%}", f"{one.spread:.4f}", f"{one.detectable:.4f}")


if __name__ == "__main__":
    common.main(measure, __doc__)
