"""Ranks candidates by a conditional logit over their features.

P(candidate) ∝ exp(w·x) over the candidates of one mention, x in units of their standard deviation, w with a Gaussian prior.

Source: McFadden 1974, "Conditional logit analysis of qualitative choice behavior".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
PRIOR = 0.2
"""Factor of the log-likelihood against a standard normal prior: a larger one trusts the training data more."""


@dataclass(frozen=True)
class Choice:
    """A mention of the training split: its candidates' features (candidates, features), the right one, and its weight."""

    rows: NDArray[np.float32]
    right: int
    weight: float


@dataclass(frozen=True)
class Ranker:
    """Scores candidates by features, standardised by the mean and the standard deviation of each; all are (features,)."""

    mean: Matrix
    scale: Matrix
    weights: Matrix

    def __call__(self, rows: NDArray[np.float32]) -> Matrix:
        """Scores, higher is better, shape (candidates,)."""
        scores: Matrix = ((rows - self.mean) / self.scale) @ self.weights
        return scores


def fit(choices: Sequence[Choice], prior: float = PRIOR) -> Ranker:
    """Fits the weights to at least one choice; the likelihood is concave, so that the optimum is unique. See `PRIOR`."""
    from scipy.optimize import minimize
    from threadpoolctl import threadpool_limits

    rows = np.concatenate([choice.rows for choice in choices]).astype(np.float64)
    mean, scale = rows.mean(0), rows.std(0)
    scale[scale < 1e-6] = 1.0
    rows = (rows - mean) / scale
    sizes = np.array([len(choice.rows) for choice in choices])
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    right = starts + np.array([choice.right for choice in choices])
    weight = np.array([choice.weight for choice in choices])
    group = np.repeat(np.arange(len(choices)), sizes)

    def loss(weights: Matrix) -> tuple[float, Any]:
        scores = rows @ weights
        scores -= np.maximum.reduceat(scores, starts)[group]
        odds = np.exp(scores)
        totals = np.add.reduceat(odds, starts)
        likelihood = weight @ (scores[right] - np.log(totals))
        slope = (weight[group] * odds / totals[group]) @ rows - weight @ rows[right]
        return 0.5 * weights @ weights - prior * likelihood, weights + prior * slope

    # Products this small gain nothing from threads, which double the CPU time here, and would round by their number.
    with threadpool_limits(1):
        optimum = minimize(loss, np.zeros(rows.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 1000})
    return Ranker(mean, scale, np.asarray(optimum.x))


def threshold(best: Sequence[float], right: Sequence[bool], unlinked: Sequence[bool]) -> float:
    """The score below which a mention has no concept: the lowest that gets the most mentions right.

    For each mention `best` is the score of its first candidate, `right` whether that is right, and `unlinked` whether it has no
    concept in gold.
    """
    if not any(unlinked):
        return float("-inf")
    order = np.argsort(best, kind="stable")
    gains = np.array([int(unlinked[i]) - int(right[i]) for i in order])
    sums = np.concatenate([[0], np.cumsum(gains)])
    cut = int(sums.argmax())
    scores = np.array(best)[order]
    if cut == 0:
        return float("-inf")
    return float(scores[cut - 1] + scores[cut]) / 2 if cut < len(scores) else float("inf")
