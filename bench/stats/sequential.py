"""Several looks at growing data: how small p must be at each, so that 5% hold over all of them.

Whoever tests six seeds, then twelve, then eighteen, each time at 5%, finds a difference that is not there in more than 5%
of the studies. A group-sequential design spends the 5% over its looks: by the look at the share t of the seeds, α(t) of it
may be gone.

- *O'Brien–Fleming* type: α(t) = 4 − 4 Φ(z / √t), z the quantile of 1 − α/4. Hardly anything early, nearly all at the last
  look.
- *Pocock* type: α(t) = α ln(1 + (e − 1) t). About the same at every look: it stops earlier, and pays for it at the last
  one.

The level of a look follows from α(t) and the looks before it, for normal scores with correlation √(t₁ / t₂) between two
looks, by numerical integration of their density look by look. The level is then applied to the p of a t test and to its
interval, which is the usual approximation where the variance is not known; `benchmarks/bench_looks.py` holds it to 5% from
six seeds on.

The share of the seeds stands for the share of information. All looks are at the same documents, so that where documents
decide two looks are more alike than √(t₁ / t₂) says: fewer false positives, never more.

Sources: Lan and DeMets (1983), Discrete sequential boundaries for clinical trials, Biometrika 70(3); O'Brien and Fleming
(1979), Biometrics 35(3); Pocock (1977), Biometrika 64(2); Armitage, McPherson and Rowe (1969), Repeated significance tests
on accumulating data, JRSS A 132(2), for the integration; Jennison and Turnbull (2000), Group sequential methods, chapters
3, 7 and 9; Maurer and Bretz (2013), Multiple testing in group sequential trials using graphical approaches, Stat Biopharm
Res 5(4), for Holm's adjustment.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Literal, get_args

import numpy as np

from bench.errors import UsageError, unknown
from bench.stats.intervals import LEVEL, MINIMUM_SEEDS, Array
from bench.wording import some

Spending = Literal["obrien-fleming", "pocock"]
SPENDINGS: tuple[str, ...] = get_args(Spending)
ALPHA = 1 - LEVEL
"""Error rate over all looks."""
_NODES = 200
_FAR = 8.5
"""Standard deviations beyond which nothing is integrated: 2 · 10⁻¹⁷ lie there."""
_NOTHING = 1e-15
"""A probability of crossing for which no border is looked for."""
_SPENT = 1e-6
"""A rest of the error rate that counts as none, as a share of it, where other studies have spent the rest."""
_NARROWEST = 1e-9
"""Smallest error rate of an interval; the ends of a smaller one would be infinite."""


def spent(share: float, alpha: float = ALPHA, spending: Spending = "obrien-fleming") -> float:
    """How much of an error rate may be gone by a look, two-sided.

    Args:
        share: of the information, above 0 and at most 1.
        alpha: error rate over all looks.
        spending: the form of the function.
    """
    from scipy import special

    if share >= 1:
        return alpha
    if spending == "pocock":
        return alpha * math.log1p((math.e - 1) * share)
    return 4 * float(special.ndtr(-special.ndtri(1 - alpha / 4) / math.sqrt(share)))


@lru_cache(maxsize=4096)
def levels(
    shares: tuple[float, ...],
    alpha: float = ALPHA,
    spending: Spending = "obrien-fleming",
    budgets: tuple[float, ...] | None = None,
) -> tuple[float, ...]:
    """The two-sided level of every look: p below it rejects there.

    Args:
        shares: of the information at each look, growing.
        alpha: error rate over all looks.
        spending: the form of the spending function.
        budgets: share of `alpha` that is left for these looks, as it was known at each; all of it where None.

    Returns:
        A level for each look; 0 where nothing is left.
    """
    from scipy import special

    found: list[float] = []
    gone = before = 0.0
    # The density of paths that have not crossed yet, times the weights of its nodes; at first all of it in one point.
    nodes: Array = np.zeros(1)
    density: Array = np.ones(1)
    x, weights = _legendre()
    for share, budget in zip(shares, budgets or (1.0,) * len(shares), strict=True):
        rest = min(spent(share, alpha, spending), alpha * budget) - gone if alpha * budget - gone > _SPENT * alpha else 0.0
        edge, step = math.sqrt(share), math.sqrt(share - before)
        border = _border(rest, nodes, density, edge, step)
        found.append(2 * float(special.ndtr(-border)))
        reach = min(border, _FAR) * edge
        kernel = np.exp(-0.5 * ((reach * x[:, None] - nodes) / step) ** 2) / (step * math.sqrt(2 * math.pi))
        nodes, density = reach * x, reach * weights * (kernel @ density)
        gone, before = gone + rest, share
    return tuple(found)


def _border(rest: float, nodes: Array, density: Array, edge: float, step: float) -> float:
    """The z beyond which a look rejects, so that paths cross it for the first time there with probability `rest`."""
    from scipy import optimize, special

    def crossing(z: float) -> float:
        outside = special.ndtr((nodes - z * edge) / step) + special.ndtr((-nodes - z * edge) / step)
        return float(density @ outside)

    if rest <= _NOTHING:
        return math.inf
    return float(optimize.brentq(lambda z: crossing(z) - rest, 0.0, 40.0, xtol=1e-12)) if crossing(0.0) > rest else 0.0


@lru_cache(maxsize=1)
def _legendre() -> tuple[Array, Array]:
    x, weights = np.polynomial.legendre.leggauss(_NODES)
    return x, weights


@dataclass(frozen=True)
class Look:
    """One look of a design, and those before it.

    Args:
        seeds: at each look so far, this one last.
        total: seeds at the last look of the plan.
        planned: number of looks of the plan.
        spending: the form of the spending function.
        budgets: share of the error rate that other studies of the same runs had left, at each look so far.
    """

    seeds: tuple[int, ...]
    total: int
    planned: int = 1
    spending: Spending = "obrien-fleming"
    budgets: tuple[float, ...] = (1.0,)

    @property
    def number(self) -> int:
        """Which look of the plan it is, from 1."""
        return len(self.seeds)

    @property
    def alone(self) -> bool:
        """Whether it is the only look that there is, so that nothing has to be adjusted."""
        return self.seeds == (self.total,) and self.budgets == (1.0,)

    @property
    def alpha(self) -> float:
        """The level that p is held to at this look; 0 where the error rate is spent."""
        return self.at(ALPHA)

    @property
    def exhausted(self) -> bool:
        """Whether nothing is left of the error rate, so that this look cannot resolve anything."""
        return ALPHA * self.budgets[-1] - self._gone(self.number - 1) <= _SPENT * ALPHA

    @property
    def level(self) -> float:
        """Of the intervals of this look, which hold the truth at all looks at once with 95%; 95% where nothing is left."""
        return LEVEL if self.alone or self.exhausted else 1 - max(self.alpha, _NARROWEST)

    @property
    def cumulative(self) -> float:
        """The error rate that this look and those before it have spent."""
        return self._gone(self.number)

    def adjusted(self, p: float | None) -> float | None:
        """The p over all looks: the smallest error rate of the whole design at which this look would have rejected.

        It is what Holm's adjustment is applied to. Below 5% is the same as p below `alpha`.
        """
        if p is None or self.alone:
            return p
        if self.exhausted:
            return 1.0
        return math.exp(_overall(self)(math.log(max(p, 1e-300))))

    def _gone(self, looks: int) -> float:
        spendings = (spent(seeds / self.total, ALPHA, self.spending) for seeds in self.seeds[:looks])
        return max((min(gone, ALPHA * budget) for gone, budget in zip(spendings, self.budgets, strict=False)), default=0.0)

    def at(self, alpha: float) -> float:
        """The level of this look if the design had another error rate, as each of several questions at once has."""
        return alpha if self.alone else levels(self._shares, alpha, self.spending, self.budgets)[-1]

    @property
    def _shares(self) -> tuple[float, ...]:
        return tuple(seeds / self.total for seeds in self.seeds)


@lru_cache(maxsize=256)
def _overall(look: Look) -> Callable[[float], float]:
    """The logarithm of p at a look to that of p over all looks, through a table that has `ALPHA` itself; 0 beyond its end."""
    from scipy import interpolate

    rates = np.concatenate([np.geomspace(1e-10, ALPHA, 60), np.geomspace(ALPHA, 1, 20)[1:]])
    held = np.array([look.at(float(rate)) for rate in rates])
    # What other studies have spent is the same share at any rate, so that a smaller rate can have the larger level. Then the
    # smallest level between it and 5% counts.
    place = int(np.searchsorted(rates, ALPHA))
    held[: place + 1] = np.minimum.accumulate(held[place::-1])[::-1]
    held[place:] = np.maximum.accumulate(held[place:])
    grows = np.append(held[:-1] < held[1:], True) & (held > 0)
    at_look, over_all = np.log(held[grows]), np.log(rates[grows])
    between = interpolate.PchipInterpolator(at_look, over_all)

    def overall(log_p: float) -> float:
        return 0.0 if log_p > at_look[-1] else float(between(max(log_p, at_look[0])))

    return overall


ONE_LOOK = Look((MINIMUM_SEEDS,), MINIMUM_SEEDS)
"""The look of a study that has no other: whatever its number of seeds is, p is held to 5%."""


def looks_of_plan(plan: Sequence[int], spending: Spending = "obrien-fleming") -> tuple[Look, ...]:
    """Every look of a plan, with the whole error rate to spend.

    Args:
        plan: seeds at each look, as `planned_looks` gives them.
        spending: the form of the spending function.

    Raises:
        UsageError: no such form.
    """
    if spending not in SPENDINGS:
        raise unknown("spending", spending, SPENDINGS, "bench study --help")
    seeds = tuple(plan)
    return tuple(Look(seeds[:i], seeds[-1], len(seeds), spending, (1.0,) * i) for i in range(1, len(seeds) + 1))


def planned_looks(looks: Sequence[int], seeds: int) -> tuple[int, ...]:
    """The looks of a plan, its last one at all seeds.

    Args:
        looks: numbers of seeds as given; the last one may be left out.
        seeds: of the study.

    Raises:
        UsageError: they do not grow, one has more seeds than the study, or fewer than carry a verdict.
    """
    plan = (*looks, seeds) if looks and looks[-1] < seeds else tuple(looks)
    given = ",".join(map(str, looks))
    if any(later <= earlier for earlier, later in pairwise(plan)):
        raise UsageError(f"--looks is {given}; the numbers of seeds must grow.", "For example: --seeds 24 --looks 6,12,18")
    if plan and plan[-1] != seeds:
        raise UsageError(
            f"--looks is {given}, and the study has {some(seeds, 'seed')}; no look can have more.", f"Add --seeds {plan[-1]}."
        )
    if plan and plan[0] < MINIMUM_SEEDS:
        raise UsageError(
            f"--looks is {given}; a look with fewer than {MINIMUM_SEEDS} seeds resolves nothing.",
            f"Begin with {MINIMUM_SEEDS}.",
        )
    return plan
