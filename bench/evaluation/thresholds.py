"""Thresholds on the probability of predictions, chosen on dev for each label, and separately for discontiguous mentions.

F1 = 2·TP / (predicted + gold) over all groups is highest where every group has the threshold that maximises
TP − F1/2 · predicted, with the F1 that results. Given F1, groups are independent, and a few rounds find it. With calibrated
probabilities every threshold would be F1/2.

Discontiguous mentions are few. The F1 of all mentions would reject them for the sake of a few false ones; and where hardly any
are right, their own F1 would accept nine false ones for each right one. They therefore get the threshold of their own F1, or
one nearer to that of all where it would lower the F1 of all by more than `COST`. Relations use the F1 of relations. Classes:
`bench.evaluation.class_thresholds`.

Dev splits are small: a threshold moves away from one half only as far as the gain exceeds one standard error.

Source: Lipton, Elkan & Narayanaswamy 2014, "Thresholding Classifiers to Maximize F1 Score", arXiv 1402.1892; the rounds are
Dinkelbach's, 1967, for fractional programs; one standard error as in Breiman et al. 1984, Classification and Regression Trees.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.api.data import Annotation, Document, Judgement, Mention, Relation

HALF = 0.5
GRID: NDArray[np.float64] = np.round(np.arange(0.05, 0.96, 0.01), 2)
_AT_HALF = int(np.argmin(np.abs(GRID - HALF)))
FEWEST = 20
"""Fewest gold annotations on dev for a group to have its own threshold; smaller groups share one."""
ROUNDS = 20
COST = 0.005
"""Most by which the threshold of discontiguous mentions may lower the F1 of all mentions on dev."""

Kind = Literal["mention", "relation", "label"]


@dataclass(frozen=True, order=True)
class Group:
    """A group of predictions with its own threshold, if there are enough of them.

    Args:
        label: of the mentions or relations; the class, where documents may have any number of them.
        several: whether they are mentions of several fragments.
        kind: mentions, relations, or classes of which each is decided by itself.
    """

    label: str
    several: bool = False
    kind: Kind = "mention"

    @classmethod
    def of(cls, item: Annotation) -> Group:
        """The group of a gold annotation or a prediction."""
        if isinstance(item, Judgement):
            return cls(item.name, kind="label")
        return cls(item.label, item.discontiguous) if isinstance(item, Mention) else cls(item.label, kind="relation")

    @classmethod
    def named(cls, name: str) -> Group:
        """The group of a name, as ``str(group)`` gives it."""
        kinds: tuple[Kind, ...] = ("relation", "label")
        for kind in kinds:
            if name.startswith(f"{kind} "):
                return cls(name.removeprefix(f"{kind} "), kind=kind)
        label = name.removeprefix("mention ")
        if label.endswith(" contiguous"):
            return cls(label.removesuffix(" contiguous"))
        return cls(label.removesuffix(" discontiguous"), label.endswith(" discontiguous"))

    def __str__(self) -> str:
        if self.kind != "mention":
            return f"{self.kind} {self.label}"
        # A label that begins or ends with one of these words gets one more of them as a separator.
        ambiguous = self.label.endswith((" contiguous", " discontiguous"))
        name = self.label + (" discontiguous" if self.several else " contiguous" if ambiguous else "")
        return f"mention {name}" if name.startswith(("mention ", "relation ", "label ", "class ")) else name


@dataclass(frozen=True)
class Thresholds:
    """The least probabilities at which predictions are accepted.

    Args:
        groups: group of the dev split to its threshold; 0.5 for any other group.
        classes: class to its threshold t, 0.5 for any other class. The odds of a class are multiplied by (1 − t)/t before the
            likeliest class is chosen, so that one of two classes is chosen from t on. Where empty, the head's choice is kept.
    """

    groups: Mapping[Group, float] = field(default_factory=dict)
    classes: Mapping[str, float] = field(default_factory=dict)

    def accept(self, documents: Sequence[Document]) -> tuple[Document, ...]:
        """The documents with accepted predictions alone.

        Mentions and relations without a probability are accepted; relations of rejected mentions are not.
        """
        left = [self.mentions_of(d) for d in documents]
        return tuple(
            replace(d, relations=tuple(r for r in d.relations if self._accepts(r)), judgements=self._chosen(d)) for d in left
        )

    def mentions_of(self, document: Document) -> Document:
        """The document without rejected mentions and their relations."""
        accepted = tuple(m for m in document.mentions if self._accepts(m))
        out = {m.key for m in document.mentions}.difference(m.key for m in accepted)
        relations = tuple(r for r in document.relations if out.isdisjoint((r.source, r.target)))
        return replace(document, mentions=accepted, relations=relations)

    def _accepts(self, prediction: Mention | Relation) -> bool:
        return prediction.confidence is None or prediction.confidence >= self.groups.get(Group.of(prediction), HALF)

    def _chosen(self, document: Document) -> tuple[Judgement, ...]:
        judgements = document.judgements
        if any(group.kind == "label" for group in self.groups):
            return tuple(replace(j, chosen=j.score >= self.groups.get(Group.of(j), HALF)) for j in judgements)
        if not self.classes or not judgements or document.passages:
            return judgements
        weighed = [j.score * odds(self.classes.get(j.name, HALF)) for j in judgements]
        best = weighed.index(max(weighed))
        return tuple(replace(j, chosen=place == best) for place, j in enumerate(judgements))

    def as_json(self) -> dict[str, float]:
        """``LABEL``, ``LABEL discontiguous``, ``relation LABEL``, ``label NAME`` and ``class NAME`` to their thresholds."""
        groups = {str(group): value for group, value in sorted(self.groups.items())}
        return groups | {f"class {name}": value for name, value in sorted(self.classes.items())}

    @classmethod
    def from_json(cls, record: Mapping[str, float]) -> Thresholds:
        """The thresholds in a record that `as_json` gave."""
        classes = {name.removeprefix("class "): value for name, value in record.items() if name.startswith("class ")}
        groups = {Group.named(name): value for name, value in record.items() if not name.startswith("class ")}
        return cls(groups, classes)


def odds(threshold: float) -> float:
    """The factor (1 − t)/t for the odds of a class with threshold t; 1 at one half."""
    return (1 - threshold) / threshold


def choose(gold: Sequence[Document], predicted: Sequence[Document], labels: bool = False) -> Thresholds:
    """The thresholds of the highest F1 of mentions (fragments and label equal), and of relations (ends and label equal).

    Args:
        gold: documents of dev.
        predicted: the same documents in the same order, with all predictions of the head and their probabilities.
        labels: whether judgements are classes of which a document may have any number; theirs is then the micro F1 of these.
    """
    if labels:
        return Thresholds(_of_kind("label", gold, predicted))
    chosen: dict[Group, float] = {}
    for kind in ("mention", "relation"):
        documents = [Thresholds(chosen).mentions_of(d) if kind == "relation" else d for d in predicted]
        chosen |= _of_kind(kind, gold, documents)
    return Thresholds(chosen)


def _of_kind(kind: Kind, gold: Sequence[Document], predicted: Sequence[Document]) -> dict[Group, float]:
    """The thresholds of mentions, or of relations; empty where the head predicts none."""
    sure: dict[Group, list[float]] = defaultdict(list)
    right: dict[Group, list[bool]] = defaultdict(list)
    gold_counts: dict[Group, int] = defaultdict(int)
    for document, answer in zip(gold, predicted, strict=True):
        keys = _items(kind, document)
        for item in keys.values():
            gold_counts[Group.of(item)] += 1
        for key, item in _items(kind, answer, handed=True).items():
            confidence = item.score if isinstance(item, Judgement) else item.confidence
            if confidence is not None:
                sure[Group.of(item)].append(confidence)
                right[Group.of(item)].append(key in keys)
    if not sure:
        return {}
    pools = [*_pools({*gold_counts, *sure}, gold_counts)]
    counts = {p: _counts([x for g in p.groups for x in sure[g]], [x for g in p.groups for x in right[g]]) for p in pools}
    gold_of = {p: sum(gold_counts.get(g, 0) for g in p.groups) for p in pools}
    apart = [p for p in pools if p.apart]
    places = dict(zip(pools, _best([counts[p] for p in pools], sum(gold_of.values())), strict=True))

    def f1(at: Mapping[_Pool, int]) -> float:
        return _f1([counts[p] for p in at], list(at.values()), sum(gold_of.values()))

    least = f1(places) - COST
    for p, alone in zip(apart, _best([counts[p] for p in apart], sum(gold_of[p] for p in apart)), strict=True):
        way = range(alone, places[p], 1 if places[p] > alone else -1)
        places[p] = next((at for at in way if f1(places | {p: at}) >= least), places[p])
    return {group: float(GRID[at]) for p, at in places.items() for group in p.groups}


def _items(kind: Kind, document: Document, handed: bool = False) -> Mapping[Hashable, Annotation]:
    """Annotations of a kind by the key under which they are compared; of classes the chosen ones, or all that were `handed`."""
    if kind == "label":
        return {j.name: j for j in document.judgements if handed or j.chosen}
    return {m.key: m for m in document.mentions} if kind == "mention" else {r: r for r in document.relations}


@dataclass(frozen=True)
class _Pool:
    """Groups that share one threshold.

    Args:
        groups: sorted; of one kind.
        apart: whether they are discontiguous mentions.
    """

    groups: tuple[Group, ...]
    apart: bool


def _pools(known: Iterable[Group], gold_counts: Mapping[Group, int]) -> Iterator[_Pool]:
    """Large groups alone; small ones together, separately for discontiguous ones if there are enough of either."""
    groups = sorted(known)
    rest: list[Group] = []
    for several in (False, True):
        small = [g for g in groups if g.several == several and gold_counts.get(g, 0) < FEWEST]
        yield from (_Pool((g,), several) for g in groups if g.several == several and g not in small)
        if sum(gold_counts.get(g, 0) for g in small) >= FEWEST:
            yield _Pool(tuple(small), several)
        else:
            rest += small
    if rest:
        yield _Pool(tuple(rest), apart=False)


_Counts = tuple[NDArray[np.int64], NDArray[np.int64]]


def _counts(sure: Sequence[float], right: Sequence[bool]) -> _Counts:
    """True positives and predictions at every threshold of the grid."""
    order = np.sort(np.asarray(sure, dtype=np.float64))
    hits = np.sort(np.asarray([p for p, r in zip(sure, right, strict=True) if r], dtype=np.float64))
    return len(hits) - np.searchsorted(hits, GRID), len(order) - np.searchsorted(order, GRID)


def _best(counts: Sequence[_Counts], gold: int) -> list[int]:
    """For each pool the index of its threshold, where the F1 of all pools together is highest."""
    best, at_best, chosen = -1.0, [_AT_HALF] * len(counts), [_AT_HALF] * len(counts)
    for _ in range(ROUNDS):
        now = _f1(counts, chosen, gold)
        if now <= best:
            break
        best, at_best = now, chosen
        chosen = [_near_half(tp, n, now / 2) for tp, n in counts]
    return at_best


def _f1(counts: Sequence[_Counts], chosen: Sequence[int], gold: int) -> float:
    """F1 of all pools together, given the index of each one's threshold."""
    hits = sum(int(tp[at]) for at, (tp, _) in zip(chosen, counts, strict=True))
    predicted = sum(int(n[at]) for at, (_, n) in zip(chosen, counts, strict=True))
    return 2 * hits / (predicted + gold) if predicted + gold else 0.0


def _near_half(tp: NDArray[np.int64], n: NDArray[np.int64], price: float) -> int:
    """Index of the threshold nearest to one half whose value is within one standard error of the best.

    Args:
        tp: true positives at each threshold.
        n: predictions at each threshold.
        price: cost of a prediction, in true positives.
    """
    worth = tp - price * n
    best = int(np.argmax(worth))
    step = 1 if best >= _AT_HALF else -1
    for at in range(_AT_HALF, best, step):
        if worth[best] - worth[at] <= math.sqrt(abs(int(n[at] - n[best])) * price * (1 - price)):
            return at
    return best
