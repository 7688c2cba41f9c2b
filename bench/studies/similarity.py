"""How alike two tasks are, by their training splits: the labels they use and the words of their texts.

Sources: Ruder and Plank (2017), Learning to select data for transfer learning with Bayesian optimization, arXiv 1707.05246,
for the Jensen–Shannon divergence of term distributions; Mantel (1967), The detection of disease clustering, for permuting whole
tasks.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import permutations

from bench.api.data import Document

_WORD = re.compile(r"\w+")
_RELABELLINGS = 5040
"""All of them up to seven tasks, this many random ones beyond."""

Pair = tuple[str, str]


def labels(documents: Iterable[Document]) -> frozenset[str]:
    """The labels that a split uses: of mentions, relations and classes. Passages that are ranked have none."""
    used: set[str] = set()
    for document in documents:
        used |= {mention.label for mention in document.mentions}
        used |= {relation.label for relation in document.relations}
        if not document.passages:
            used |= {judgement.name for judgement in document.judgements}
    return frozenset(label.casefold() for label in used)


def words(documents: Iterable[Document]) -> Counter[str]:
    """How often each word occurs, whatever its case."""
    return Counter(word for document in documents for word in _WORD.findall(document.text.casefold()))


def jaccard(first: frozenset[str], second: frozenset[str]) -> float:
    """Shared labels over all labels, in [0, 1]; 0 where neither has one."""
    return len(first & second) / len(first | second) if first | second else 0.0


def overlap(first: Mapping[str, int], second: Mapping[str, int]) -> float:
    """1 less the Jensen–Shannon divergence (base 2) of two term distributions: 1 the same, 0 no word shared."""
    totals = sum(first.values()), sum(second.values())
    if not all(totals):
        return 0.0
    divergence = 0.0
    for word in first.keys() | second.keys():
        shares = first.get(word, 0) / totals[0], second.get(word, 0) / totals[1]
        mean = sum(shares) / 2
        divergence += sum(share * math.log2(share / mean) / 2 for share in shares if share)
    return min(1.0, max(0.0, 1 - divergence))


def correlation(
    gains: Mapping[Pair, float], similarity: Mapping[Pair, float], tasks: Sequence[str]
) -> dict[str, float | int | None]:
    """Spearman's rank correlation of gains with a symmetric similarity, over ordered pairs (task, partner).

    Pairs that share a task are not independent: p, two-sided, comes from giving the tasks of the similarity each other's names.

    Args:
        gains: (task, partner) to what the partner added to the task.
        similarity: of the same pairs.
        tasks: every task.

    Returns:
        ``rho``, ``p`` and ``n``; rho and p None with fewer than three tasks or where one of the two does not vary.
    """
    import numpy as np
    from scipy.stats import spearmanr

    pairs = [*gains]
    values = [gains[pair] for pair in pairs]
    known = [similarity[pair] for pair in pairs]
    if len(tasks) < 3 or len(set(values)) < 2 or len(set(known)) < 2:
        return {"rho": None, "p": None, "n": len(pairs)}
    observed = float(spearmanr(values, known).statistic)
    if math.factorial(len(tasks)) <= _RELABELLINGS:
        orders = [*permutations(tasks)]
    else:
        rng = np.random.default_rng(0)
        # The observed order is one of them, so that p is never 0.
        drawn = (tuple(tasks[i] for i in rng.permutation(len(tasks))) for _ in range(_RELABELLINGS - 1))
        orders = [tuple(tasks), *drawn]
    extreme = 0
    for order in orders:
        named = dict(zip(tasks, order, strict=True))
        relabelled = float(spearmanr(values, [similarity[named[a], named[b]] for a, b in pairs]).statistic)
        extreme += abs(relabelled) >= abs(observed) - 1e-12
    return {"rho": observed, "p": extreme / len(orders), "n": len(pairs)}
