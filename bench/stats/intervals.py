"""A difference between two arms, with an interval over both seeds and documents.

Every seed of every arm is scored on the same documents, so that seeds and documents are crossed. With d_s the difference of the
scores at seed s, and ψ_si what document i contributes to it (jackknife pseudo-values), the variance of the mean difference is

    V = V_seeds + V_documents − V_both

where V_seeds = var(d_s)/S, V_documents = var(mean over s of ψ_si)/D, and V_both, which the other two both hold, is the
interaction's. The interval is t with Satterthwaite's degrees of freedom, which stay near S − 1 where seeds decide and near
D − 1 where documents do. V is never taken smaller than either variance alone. Resampling seeds would need many of them: six
resampled seeds give intervals that are too short.

Sources: Cameron, Gelbach and Miller (2011), Robust inference with multiway clustering, JBES 29(2); Satterthwaite (1946), An
approximate distribution of estimates of variance components, Biometrics 2(6); Efron (1982), The jackknife, chapter 3; for seeds
and test examples as two crossed samples in this field, Sellam et al. (2022), The MultiBERTs, arXiv 2106.16163. What it holds on
simulated runs: `benchmarks/simulated_studies.py`.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import ContractError
from bench.evaluation.clusters import PARTS, caution, design_effect
from bench.results.statistics import Statistics
from bench.wording import some

Array = NDArray[np.float64]
Measure = Callable[[Mapping[str, Any]], Any]
"""Sums of additive statistics, numbers or arrays, to the one score that is compared."""

LEVEL = 0.95
POWER = 0.8
MINIMUM_SEEDS = 6
"""Fewer cannot carry a verdict: the smallest two-sided p that a sign or permutation test over five seeds can give is .0625."""


@dataclass(frozen=True)
class Estimate:
    """The difference of two arms' scores, the second arm less the first, and its uncertainty.

    Args:
        difference: mean over seeds.
        seeds: seeds that both arms have.
        documents: that both were scored on.
        low: of the interval over seeds and documents; None with fewer than two of either, or where nothing varies.
        high: of the interval.
        tight_low: of the interval at twice the error rate (90% for 95%), which two one-sided tests of equivalence go by.
        tight_high: of that interval.
        p: two-sided, of no difference, by the same t.
        p_holm: adjusted for the family of questions that was asked at once; None until it is known.
        se: standard error over seeds and documents.
        se_seeds: standard error over seeds alone, the documents held fast.
        se_documents: standard error over documents alone, the trained models held fast.
        df: Satterthwaite's degrees of freedom.
        detectable: smallest true difference that this many seeds and documents would have detected with the stated power.
        margin_detectable: smallest margin within which truly equal arms would have been shown equal with that power.
        unit: what is counted as documents, where the corpus says it; see `bench.api.data.Corpus.unit`.
        design_effect: of units that are parts of longer texts, as `bench.evaluation.clusters` estimates it; None of others.
    """

    difference: float
    seeds: int
    documents: int
    low: float | None = None
    high: float | None = None
    tight_low: float | None = None
    tight_high: float | None = None
    p: float | None = None
    p_holm: float | None = None
    se: float | None = None
    se_seeds: float | None = None
    se_documents: float | None = None
    df: float | None = None
    detectable: float | None = None
    margin_detectable: float | None = None
    unit: str = ""
    design_effect: float | None = None

    @property
    def caution(self) -> str:
        """What to say of an interval over parts of longer texts; empty of others."""
        return caution(self.unit, self.documents, self.design_effect)

    @property
    def units(self) -> str:
        """How many documents, by what they are, as in ``940 sentences``."""
        return f"{self.documents:,} {self.unit}" if self.unit and self.documents != 1 else some(self.documents, "document")

    def to_json(self) -> dict[str, Any]:
        """Every field, JSON-able."""
        return asdict(self)

    def within(self, margin: float) -> bool:
        """Whether the arms are equivalent: the tight interval lies inside of the margin on both sides."""
        return (
            self.tight_low is not None and self.tight_high is not None and -margin < self.tight_low <= self.tight_high < margin
        )


def estimate(
    first: Array,
    second: Array,
    names: Sequence[str],
    measure: Measure,
    *,
    level: float = LEVEL,
    power: float = POWER,
    family: int = 1,
    unit: str = "",
) -> Estimate:
    """The difference of two arms over the same seeds and documents.

    Args:
        first: statistics of shape (seeds, documents, names).
        second: the same, of the other arm.
        names: of the statistics.
        measure: the score.
        level: of the interval.
        power: of `Estimate.detectable`.
        family: questions asked at once; what could have been detected is stated at ``(1 - level) / family``.
        unit: of the documents, whose order is that of the corpus.
    """
    seeds, documents = first.shape[:2]
    differences = scores(second, names, measure) - scores(first, names, measure)
    difference = float(differences.mean())
    pseudo = contributions(second, names, measure) - contributions(first, names, measure) if documents > 1 else None
    by_seed = float(differences.var(ddof=1)) / seeds if seeds > 1 else None
    by_document = float(pseudo.mean(axis=0).var(ddof=1)) / documents if pseudo is not None else None
    known: dict[str, Any] = {
        "unit": unit,
        "design_effect": design_effect(pseudo.mean(axis=0)) if pseudo is not None and unit in PARTS else None,
        "se_seeds": None if by_seed is None else math.sqrt(by_seed),
        "se_documents": None if by_document is None else math.sqrt(by_document),
    }
    if pseudo is None or by_seed is None or by_document is None:
        return Estimate(difference, seeds=seeds, documents=documents, **known)
    rest = pseudo - pseudo.mean(axis=0) - pseudo.mean(axis=1, keepdims=True) + pseudo.mean()
    both = float((rest**2).sum()) / ((seeds - 1) * (documents - 1)) / (seeds * documents)
    variance = max(by_seed + by_document - both, by_seed, by_document)
    # Rounding leaves a small variance where every seed and document has the same score.
    if not math.isfinite(variance) or variance <= 1e-24:
        return Estimate(difference, seeds=seeds, documents=documents, **known)
    df = _freedom(variance, by_seed, by_document, both, seeds, documents)
    return interval(difference, math.sqrt(variance), df, seeds, documents, known, (level, power, family))


def wanted(
    estimate: Estimate, margin: float, *, level: float = LEVEL, power: float = POWER, most: int = 1000
) -> list[tuple[int, int]]:
    """Seeds and documents that would show truly equal arms equal within a margin: more of one alone, or where neither alone
    would do, as many times of both.

    As many also find a true difference of about the margin's size. The variances are those of the estimate, which are
    uncertain themselves: six seeds know theirs to within a factor of two or so.

    Args:
        estimate: of a study that was run; it has a standard error.
        margin: of equivalence.
        level: of the interval.
        power: how often equality is to be shown.
        most: seeds, and times as many documents, that are considered; none where even these would not do.
    """
    if estimate.se is None or estimate.se_seeds is None or estimate.se_documents is None:
        return []
    by_seed, by_document = estimate.se_seeds**2, estimate.se_documents**2
    both = max(by_seed + by_document - estimate.se**2, 0.0)

    def shows(seeds: int, documents: int) -> bool:
        more, longer = estimate.seeds / seeds, estimate.documents / documents
        joint = both * more * longer
        of_seeds, of_documents = (by_seed - both) * more + joint, (by_document - both) * longer + joint
        variance = of_seeds + of_documents - joint
        df = _freedom(variance, of_seeds, of_documents, joint, seeds, documents)
        return _equality(math.sqrt(variance), df, 1 - level, power) <= margin

    least, documents = max(estimate.seeds, MINIMUM_SEEDS), estimate.documents
    seeds = bisect_left(range(most), True, lo=MINIMUM_SEEDS, key=lambda count: shows(count, documents))
    longer = documents + bisect_left(range(documents, most * documents), True, key=lambda count: shows(least, count))
    alone = [(seeds, documents)] * (seeds < most) + [(least, longer)] * (longer < most * documents)
    times = bisect_left(range(most), True, lo=1, key=lambda count: shows(count * least, count * documents))
    return alone or [(times * least, times * documents)] * (times < most)


def _freedom(variance: float, by_seed: float, by_document: float, both: float, seeds: int, documents: int) -> float:
    """Satterthwaite's degrees of freedom."""
    spread = by_seed**2 / (seeds - 1) + by_document**2 / (documents - 1) + both**2 / ((seeds - 1) * (documents - 1))
    return max(variance**2 / spread, min(seeds, documents) - 1.0)


def _fair(se: float, df: float) -> float:
    """A standard error from few seeds is too small on average, though its square is not; here it is not."""
    from scipy import special

    return se / (math.sqrt(2 / df) * math.exp(float(special.gammaln((df + 1) / 2) - special.gammaln(df / 2))))


def _equality(se: float, df: float, alpha: float, power: float) -> float:
    """The margin within which two one-sided tests show equal arms equal: the true difference lies in the middle of it."""
    from scipy import special

    return float(special.stdtrit(df, 1 - alpha) + special.stdtrit(df, (1 + power) / 2)) * _fair(se, df)


def interval(
    difference: float,
    se: float,
    df: float,
    seeds: int,
    documents: int,
    known: Mapping[str, Any],
    settings: tuple[float, float, int],
) -> Estimate:
    """A difference with all that follows from its standard error.

    Args:
        difference: mean over seeds.
        se: over seeds and documents.
        df: degrees of freedom of `se`.
        seeds: how many.
        documents: how many.
        known: further fields of `Estimate`.
        settings: level of the interval, power, and questions asked at once, as in `estimate`.
    """
    from scipy import special

    level, power, family = settings
    alpha = 1 - level

    def quantile(p: float) -> float:
        return float(special.stdtrit(df, p))

    wide, tight = quantile(1 - alpha / 2) * se, quantile(1 - alpha) * se
    return Estimate(
        difference,
        low=difference - wide,
        high=difference + wide,
        tight_low=difference - tight,
        tight_high=difference + tight,
        p=float(2 * special.stdtr(df, -abs(difference) / se)),
        seeds=seeds,
        documents=documents,
        se=se,
        df=df,
        # The non-central t that exceeds the critical value, on the effect's own side, with the given power.
        detectable=float(special.nctdtrinc(df, 1 - power, quantile(1 - alpha / 2 / family))) * _fair(se, df),
        margin_detectable=_equality(se, df, alpha, power),
        **known,
    )


def scores(table: Array, names: Sequence[str], measure: Measure) -> Array:
    """The score of each seed, of shape (seeds,), from statistics of shape (seeds, documents, names)."""
    return apply(measure, table.sum(axis=1), names)


def contributions(table: Array, names: Sequence[str], measure: Measure) -> Array:
    """Jackknife pseudo-values of shape (seeds, documents): D times the score less D − 1 times that without the document."""
    documents = table.shape[1]
    total = table.sum(axis=1)
    without = apply(measure, total[:, None, :] - table, names)
    whole: Array = documents * apply(measure, total, names)[:, None] - (documents - 1) * without
    return whole


def apply(measure: Measure, sums: Array, names: Sequence[str]) -> Array:
    """A score of sums of shape (…, names), of shape (…,); the measure sees flat arrays."""
    flat = sums.reshape(-1, sums.shape[-1])
    with np.errstate(all="ignore"):
        values = np.asarray(measure({name: flat[:, i] for i, name in enumerate(names)}), dtype=np.float64)
    return np.broadcast_to(values, len(flat)).reshape(sums.shape[:-1])


def align(
    first: Mapping[int, Statistics], second: Mapping[int, Statistics]
) -> tuple[Array, Array, tuple[str, ...], tuple[int, ...]]:
    """Two arms over the seeds that both have and the documents that all share, as `estimate` takes them.

    Returns:
        Each arm's statistics of shape (seeds, documents, names), the names, and the seeds.

    Raises:
        ContractError: they share no seed, or were not scored on the same documents.
    """
    seeds = tuple(seed for seed in first if seed in second)
    if not seeds:
        raise ContractError(
            f"The arms share no seed: one has {_listed(first)}, the other {_listed(second)}.",
            "Runs are paired by seed: run both arms with the same seeds.",
        )
    statistics = [arm[seed] for arm in (first, second) for seed in seeds]
    names = tuple(dict.fromkeys(name for run in statistics for name in run.names))
    documents = statistics[0].documents
    tables = [_table(run, documents, names) for run in statistics]
    return np.stack(tables[: len(seeds)]), np.stack(tables[len(seeds) :]), names, seeds


def unit_of(arm: Mapping[int, Statistics]) -> str:
    """What the documents of an arm are, in the plural; empty where its statistics do not say it."""
    return next((statistics.unit for statistics in arm.values()), "")


def _table(statistics: Statistics, documents: tuple[str, ...], names: tuple[str, ...]) -> Array:
    if statistics.documents == documents and statistics.names == names:
        return statistics.rows
    if set(statistics.documents) != set(documents):
        raise ContractError(
            f"The runs were not scored on the same documents of {statistics.task}, {statistics.split}: {len(documents)} and "
            f"{some(len(statistics.documents), 'document')}, {len(set(statistics.documents) & set(documents))} of them "
            "of the same id.",
            "Only scores of the same documents can be compared: give every run the same --data.",
        )
    rows = dict(zip(statistics.documents, range(len(documents)), strict=True))
    table = np.zeros((len(documents), len(names)))
    table[:, [names.index(name) for name in statistics.names]] = statistics.rows[[rows[document] for document in documents]]
    return table


def _listed(seeds: Iterable[int]) -> str:
    return ", ".join(map(str, seeds)) or "none"
