"""Sampling: which examples an update holds, a pure function of seed and position that does not depend on memory.

An update holds `batch_tokens` marked tokens to within one example. Examples of similar length form *bundles* (a quarter of an
update each), so that there is little padding. Bundles are drawn from a pool of several updates and shuffled, so that an update
still mixes lengths. Memory decides only how an update is cut into micro-batches.

A *unit* is what is drawn at once: one example or, where the examples of one document belong together (the passages of a query,
which a ranking compares), all of them. A document with more tokens than an update is drawn in parts of about that many.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.errors import DataError

POOL_UPDATES = 8
BUNDLES = 4
TEMPERATURE = 2.0
Sampling = Literal["proportional", "uniform", "temperature"]
"""How tasks share the tokens of an update: in proportion to their size, equally, or by size to the power 1/τ."""
# A micro-batch costs about as much as this many padded tokens before it does any work (Python, kernel launches).
_MICRO_BATCH_COST = 48


def evenly(count: int, most: int) -> NDArray[np.int64]:
    """Up to `most` of the numbers below `count`, evenly spaced, ascending."""
    return np.unique(np.linspace(0, count - 1, max(0, min(count, most))).round().astype(np.int64))


@dataclass(frozen=True)
class Update:
    """The examples of one optimizer step, counted from 0: task to indices in drawing order; `tokens` are the marked ones."""

    step: int
    examples: Mapping[str, tuple[int, ...]]
    tokens: int


@dataclass
class Stream:
    """One task's endless, reshuffled order of units, by their marked tokens."""

    lengths: NDArray[np.int64]
    seed: tuple[int, ...]
    bundle_tokens: int
    epoch: int = 0
    position: int = 0
    drawn: int = 0
    _order: NDArray[np.int64] | None = field(default=None, repr=False)
    _starts: frozenset[int] = field(default=frozenset(), repr=False)

    @property
    def between(self) -> bool:
        """Whether the next unit begins a bundle."""
        return self._order is None or self.position >= len(self._order) or self.position in self._starts

    def shuffle(self) -> None:
        """Makes the epoch's order, which the seed and the epoch decide."""
        self.ordered(bundles(self.lengths, (*self.seed, self.epoch), self.bundle_tokens))

    def ordered(self, bundled: Sequence[NDArray[np.int64]]) -> None:
        """Takes bundles as the order of the epoch."""
        self._order = np.concatenate(bundled)
        self._starts = frozenset(np.cumsum([0, *map(len, bundled[:-1])]).tolist())

    def state(self) -> dict[str, int | None]:
        """The position, JSON-able."""
        return {"epoch": self.epoch, "position": self.position, "drawn": self.drawn}

    def restore(self, state: Mapping[str, int]) -> None:
        """Continues from a `state`; the order is made again."""
        self.epoch, self.position, self.drawn = state["epoch"], state["position"], state["drawn"]
        self.shuffle()

    def peek(self) -> int:
        """The next unit, which stays the next one."""
        if self._order is None:
            self.shuffle()
        elif self.position >= len(self._order):
            self.epoch, self.position = self.epoch + 1, 0
            self.shuffle()
        assert self._order is not None
        return int(self._order[self.position])

    def take(self) -> int:
        """The next unit, counted as drawn."""
        index = self.peek()
        self.position += 1
        self.drawn += int(self.lengths[index])
        return index


def units_of(documents: NDArray[np.int64], lengths: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """The unit of each example, counted from 0: its document, or a part of it of at most `most` tokens, to within one example.

    A longer document is dealt out in turn over the fewest parts that suffice: each part holds examples from all over it. The
    document of each example and its marked tokens have the shape (examples,).
    """
    units = np.empty(len(lengths), dtype=np.int64)
    count = 0
    order = np.argsort(documents, kind="stable")
    for members in np.split(order, np.flatnonzero(np.diff(documents[order])) + 1):
        parts = min(len(members), -(-int(lengths[members].sum()) // most))
        units[members] = count + np.arange(len(members)) % max(1, parts)
        count += parts
    return units


def bundles(lengths: NDArray[np.int64], seed: Sequence[int], bundle_tokens: int) -> list[NDArray[np.int64]]:
    """One epoch as bundles of examples of similar length; together they are a permutation, which the seed decides.

    `lengths` are the marked tokens of each example, shape (examples,), at least one; `bundle_tokens` those of a bundle.
    """
    rng = np.random.default_rng(list(seed))
    order = rng.permutation(len(lengths))
    pool_tokens = bundle_tokens * BUNDLES * POOL_UPDATES
    result: list[NDArray[np.int64]] = []
    for low, high in _cut(lengths[order], pool_tokens):
        pool = order[low:high]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        cut = [pool[a:b] for a, b in _cut(lengths[pool], bundle_tokens)]
        result.extend(cut[i] for i in rng.permutation(len(cut)))
    return result


def _cut(lengths: NDArray[np.int64], tokens: int) -> list[tuple[int, int]]:
    """Ranges of consecutive examples, each of about `tokens`."""
    if len(lengths) == 0:
        return []
    group = (np.cumsum(lengths) - lengths) // tokens
    starts = np.flatnonzero(np.r_[True, group[1:] != group[:-1]])
    return list(zip(starts.tolist(), [*starts[1:].tolist(), len(lengths)], strict=True))


class Sampler:
    """Draws updates over tasks.

    Args:
        lengths: task to marked tokens of each of its training examples.
        seed: of every shuffle.
        batch_tokens: marked tokens of an update.
        budget: marked tokens in all; the last update ends on it, to within one unit.
        sampling: how tasks share the tokens.
        temperature: τ of ``temperature``.
        documents: task to the document of each example, for tasks whose documents are drawn as a whole.

    Raises:
        DataError: a task without training examples.
    """

    def __init__(
        self,
        lengths: Mapping[str, NDArray[np.int64]],
        seed: int,
        batch_tokens: int,
        budget: int,
        sampling: Sampling = "temperature",
        temperature: float = TEMPERATURE,
        documents: Mapping[str, NDArray[np.int64]] | None = None,
    ) -> None:
        self.batch_tokens = batch_tokens
        self.budget = budget
        self.step = 0
        self.tokens = 0
        self._turn = ""
        self.shares = shares({task: int(v.sum()) for task, v in lengths.items()}, sampling, temperature)
        self.units = {task: units_of(owners, lengths[task], batch_tokens) for task, owners in (documents or {}).items()}
        """Task to the unit of each example, for the tasks in `documents`."""
        self._members = {task: _members(units) for task, units in self.units.items()}
        self.widest = max(
            (len(unit) * int(lengths[task][unit].max()) for task, units in self._members.items() for unit in units), default=0
        )
        """Padded tokens of the largest unit; 0 where all units are single examples."""
        self._streams = {
            task: self._stream(task, self._unit_tokens(task, values), (seed, i), max(1, batch_tokens // BUNDLES))
            for i, (task, values) in enumerate(lengths.items())
        }

    def _stream(self, task: str, lengths: NDArray[np.int64], seed: tuple[int, ...], bundle_tokens: int) -> Stream:
        return Stream(lengths, seed, bundle_tokens)

    def _unit_tokens(self, task: str, lengths: NDArray[np.int64]) -> NDArray[np.int64]:
        if task not in self._members:
            return lengths
        return np.array([int(lengths[members].sum()) for members in self._members[task]], dtype=np.int64)

    def shortest(self, task: str) -> int:
        """Marked tokens of the smallest unit of a task."""
        return int(self._streams[task].lengths.min())

    @property
    def span(self) -> tuple[int, int]:
        """Learning-rate schedule in tokens seen: where it starts, and its length."""
        return 0, self.budget

    @property
    def done(self) -> bool:
        """Whether the budget is spent to within one unit."""
        return not self._fits(self.budget)

    def _next_task(self) -> str:
        """The task to draw from: it changes after a bundle, to the one furthest behind its share; ties go to the first.

        Changing after every unit would be nearer to the shares, but cut updates of many tasks into twice as many micro-batches.
        """
        if self._turn and not self._streams[self._turn].between:
            return self._turn
        return max(self._streams, key=lambda t: self.shares[t] * (self.tokens + 1) - self._streams[t].drawn)

    def _fits(self, target: int) -> bool:
        stream = self._streams[self._next_task()]
        return 2 * (target - self.tokens) >= int(stream.lengths[stream.peek()]) and target > self.tokens

    def draw(self) -> Update:
        """The next update; it ends with the unit that brings its tokens nearest to the target."""
        target = min((self.step + 1) * self.batch_tokens, self.budget)
        chosen: dict[str, list[int]] = {}
        before = self.tokens
        while self._fits(target) or not chosen:
            task = self._next_task()
            stream = self._streams[task]
            self._turn = task
            index = stream.take()
            self.tokens += int(stream.lengths[index])
            chosen.setdefault(task, []).extend(self._members[task][index].tolist() if task in self._members else [index])
        update = Update(self.step, {t: tuple(chosen[t]) for t in self._streams if t in chosen}, self.tokens - before)
        self.step += 1
        return update

    def __iter__(self) -> Iterator[Update]:
        while not self.done:
            yield self.draw()

    def epochs(self) -> dict[str, float]:
        """Passes over each task's data so far."""
        return {t: s.drawn / int(s.lengths.sum()) for t, s in self._streams.items()}

    def state(self) -> dict[str, object]:
        """The position, JSON-able."""
        streams = {task: stream.state() for task, stream in self._streams.items()}
        return {"step": self.step, "tokens": self.tokens, "streams": streams, "turn": self._turn}

    def restore(self, state: Mapping[str, object]) -> None:
        """Continues from a `state`; orders are recomputed from the seed."""
        self.step, self.tokens = int(state["step"]), int(state["tokens"])  # type: ignore[call-overload]
        self._turn = str(state["turn"])
        for task, saved in state["streams"].items():  # type: ignore[attr-defined]
            self._streams[task].restore(saved)


def shares(tokens: Mapping[str, int], sampling: Sampling = "temperature", temperature: float = TEMPERATURE) -> dict[str, float]:
    """Each task's share of the tokens, whatever the lengths of its examples.

    Given each task's marked tokens of one pass, they are ``proportional`` to these, ``uniform``, or by ``temperature`` τ, to
    their power 1/τ, between the two.

    Raises:
        DataError: a task without training examples.

    Source: Aharoni et al. 2019, arXiv 1903.00089 (temperature sampling).
    """
    for task, count in tokens.items():
        if count == 0:
            raise DataError(f"{task} has no training example.", "Check its train split.")
    power = {"proportional": 1.0, "uniform": 0.0, "temperature": 1 / temperature}[sampling]
    largest = max(tokens.values())  # so that no power overflows
    weights = {t: (n / largest) ** power for t, n in tokens.items()}
    return {t: w / sum(weights.values()) for t, w in weights.items()}


def blocks(examples: Sequence[int], units: NDArray[np.int64] | None) -> list[list[int]]:
    """Examples grouped by unit, in order; each alone where `units` is None."""
    members: dict[int, list[int]] = {}
    for at, i in enumerate(examples):
        members.setdefault(at if units is None else int(units[i]), []).append(i)
    return list(members.values())


def micro_batches(
    examples: Sequence[int], lengths: NDArray[np.int64], limit: int, units: NDArray[np.int64] | None = None
) -> list[tuple[int, ...]]:
    """Cuts one task's examples of an update into micro-batches of at most `limit` padded tokens.

    Sorted by length, then cut where less padding is worth another micro-batch (the optimum, by dynamic programming). Examples
    of one unit stay together, unless the unit alone exceeds the limit.

    Args:
        examples: indices into `lengths`.
        lengths: marked tokens of each example.
        limit: padded tokens (examples × longest) a micro-batch may hold; one example always fits.
        units: the unit of each example, as in `Sampler.units`; None: each example is a unit.
    """
    order = sorted(blocks(examples, units), key=lambda block: (max(int(lengths[i]) for i in block), block))
    sizes = np.array([max(int(lengths[i]) for i in block) for block in order])
    counts = np.cumsum([0, *map(len, order)])
    n = len(order)
    best = np.full(n + 1, np.inf)
    best[0] = 0.0
    cut = np.zeros(n + 1, dtype=int)
    for end in range(1, n + 1):
        starts = np.arange(end)
        padded = (counts[end] - counts[starts]) * sizes[end - 1]
        cost = np.where((padded <= limit) | (starts == end - 1), best[:end] + padded + _MICRO_BATCH_COST, np.inf)
        cut[end] = int(np.argmin(cost))
        best[end] = cost[cut[end]]
    parts: list[tuple[int, ...]] = []
    end = n
    while end > 0:
        part = tuple(i for block in order[cut[end] : end] for i in block)
        if len(part) > 1 and len(part) * sizes[end - 1] > limit:  # one unit that is too large
            parts += micro_batches(part, lengths, limit)[::-1]
        else:
            parts.append(part)
        end = int(cut[end])
    return parts[::-1]


def _members(units: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """The examples of each unit, in order."""
    return np.split(np.argsort(units, kind="stable"), np.cumsum(np.bincount(units))[:-1])
