"""Several looks at growing seeds on simulated studies: false differences over all looks, and what they cost in power.

    python benchmarks/bench_looks.py [--quick] [--json FILE]

2,000 studies of each kind (20 with ``--quick``) are judged at 6, 12, 18 and 24 seeds, and end at the first look that finds a
difference at equal total. Promised: with planned looks, a difference where there is none in at most 5% of them over all looks.
Beside it stands what happens if every look tests at 5% again, and one look at all seeds. How studies are simulated:
`benchmarks/simulated_studies.py`.

The same of studies that three sites pool look by look (`bench pool`), each with documents of its own.

Designs that `bench.stats.power` plans for 80%, from the variances of other simulated studies, are simulated as well, without
looks and with. Promised: power within 5 points of what was planned.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import common
from common import Figure
from simulated_studies import Effect, Looked, Shape, looked, pilot

from bench.stats.intervals import POWER
from bench.stats.power import detectable, seeds_needed, sequential_power
from bench.stats.sequential import ALPHA, looks_of_plan

SEEDS = (6, 12, 18, 24)
USUAL = Shape(seeds=SEEDS[-1])
SEEDS_DECIDE = replace(USUAL, seed_sd=0.1)
SHAPES = {
    "usual": USUAL,
    "seeds decide": SEEDS_DECIDE,
    "seeds decide, heavy tails": replace(SEEDS_DECIDE, heavy=True),
    "documents decide": replace(USUAL, seed_sd=0.003, arm_sd=0.3),
    "20 documents": replace(USUAL, documents=20),
}
EFFECTS = (0.01, 0.02, 0.03)
SITES = (40, 100, 160)
"""Documents of each of the sites that pool a study."""


DESIGNS = {
    "5% at every look": [look for seeds in SEEDS for look in looks_of_plan([seeds])],
    "O'Brien–Fleming": looks_of_plan(SEEDS),
    "Pocock": looks_of_plan(SEEDS, "pocock"),
    "one look": looks_of_plan(SEEDS[-1:]),
}


def measure(options: argparse.Namespace) -> list[Figure]:
    """Simulates and prints both tables."""
    count = 20 if options.quick else 2000
    columns = ("seeds vary", "design", *(f"by {seeds} seeds" for seeds in SEEDS), "intervals hold at all looks")
    rows, figures = [], []
    for number, (name, shape) in enumerate(SHAPES.items()):
        for design, outcome in looked(shape, Effect(), DESIGNS, count, number).items():
            rows.append((name, design, *_by_look(outcome), f"{outcome.covered / count:.1%}"))
            if design != "5% at every look":
                figures.append(_held(f"false differences over all looks: {name}, {design}", outcome))
    common.table(f"Nothing to be found: differences found in {count:,} studies", columns, rows)
    rows = []
    for number, name in enumerate(("usual", "seeds decide", "seeds decide, heavy tails", "documents decide")):
        for design, outcome in looked(SHAPES[name], Effect(), DESIGNS, count, 200 + number, SITES).items():
            rows.append((name, design, *_by_look(outcome), f"{outcome.covered / count:.1%}"))
            if design != "5% at every look":
                figures.append(_held(f"false differences over all looks, pooled over sites: {name}, {design}", outcome))
    common.table(f"The same, pooled over {len(SITES)} sites", columns, rows)
    rows = []
    for place, effect in enumerate(EFFECTS):
        for design, outcome in looked(SEEDS_DECIDE, Effect(effect, effect), DESIGNS, count, 100 + place).items():
            if design != "5% at every look":
                rows.append((f"{effect:.3f}", design, *_by_look(outcome), f"{outcome.seeds / count:.1f}"))
                figures.append(
                    Figure(f"found of {effect:.2f}, seeds decide: {design}", "", rows[-1][5], None, f"{rows[-1][6]} seeds")
                )
    columns = ("planted", "design", *(f"by {seeds} seeds" for seeds in SEEDS), "seeds used")
    common.table(f"A difference to be found, seeds decide: found in {count:,} studies", columns, rows)
    return figures + [figure for shape in (SEEDS_DECIDE, USUAL) for figure in _as_planned(shape, count)]


def _as_planned(shape: Shape, count: int) -> list[Figure]:
    """The power of designs that were planned from the variances of other studies, without looks and with."""
    effect = 0.0
    for seed in (900, 901):  # runs of a pilot differ by the effect that is to be found
        components = pilot(shape, Effect(effect, effect), 5 if count < 100 else 100, seed)
        effect = detectable(components, 10, shape.documents)
    seeds = seeds_needed(components, effect, shape.documents) or SEEDS[-1]
    looks = looks_of_plan(SEEDS)
    stated = sequential_power(components, effect, shape.documents, looks)
    single, several = looked(
        shape, Effect(effect, effect), {"single": looks_of_plan([seeds]), "several": looks}, count, 300
    ).values()
    name = f"planned for {effect:.4f}, SD over seeds {shape.seed_sd:g}"
    return [
        Figure(f"{name}: {seeds} seeds", f"{POWER:.0%} ± 5", f"{single.rate():.1%}", abs(single.rate() - POWER) <= 0.05),
        Figure(f"{name}: looks", f"{stated.power:.0%} ± 5", f"{several.rate():.1%}", abs(several.rate() - stated.power) <= 0.05,
               f"{several.seeds / count:.1f} seeds used, {stated.seeds:.1f} planned"),
    ]  # fmt: skip


def _by_look(outcome: Looked) -> list[str]:
    """What was found by each look; of a single one at the end."""
    rates = [f"{outcome.rate(looks + 1):.1%}" for looks in range(len(outcome.found))]
    return ["–"] * (len(SEEDS) - len(rates)) + rates


def _held(name: str, outcome: Looked) -> Figure:
    """Held to 5% and what 2,000 studies scatter by: two standard errors, 1.0%."""
    most = ALPHA + 2 * (ALPHA * (1 - ALPHA) / outcome.studies) ** 0.5
    return Figure(name, "≤ 5.0% ± 1.0", f"{outcome.rate():.1%}", outcome.rate() <= most)


if __name__ == "__main__":
    common.main(measure, __doc__)
