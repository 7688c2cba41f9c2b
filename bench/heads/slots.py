"""The span head with slots: attributes of each mention, such as negation, subject, severity or body location.

Which slots there are, and what they may hold, is what the training mentions carry; with none of them this is the span head,
parameter for parameter. A slot that a mention leaves out is at its default, which stands first in the slot's inventory. A
slot that some training mention gives several values, such as several body locations, may be decoded into several.

Slots are learned from gold mentions alone and predicted for accepted ones. They belong to the fragments, not to the label.

Source: slots as Elhadad et al. 2015 define them, "SemEval-2015 Task 14: Analysis of Clinical Text", https://aclanthology.org/S15-2051/;
classes over a mention and the words that it attends to, by buckets of distance as in Raffel et al. 2020, arXiv 1910.10683.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from bench.api.data import Document, Mention, in_order
from bench.api.head import Encoding, HeadModule, Proposals, Window
from bench.heads.mentions import Parts, characters_of
from bench.heads.span import Found, SpanClassificationHead, rows_of

if TYPE_CHECKING:
    from torch import Tensor

MOST_VALUES = 128
"""Most values of a slot that are learned, the commonest ones; a body location seen once in a corpus is not to be learned."""

Filled = tuple[Found, list[tuple[int, ...]]]
"""Mentions, as the span head predicts them, and the slot values of each: indices of `Inventory.columns`."""


@dataclass(frozen=True)
class Slot:
    """What the training mentions say of a slot.

    Args:
        name: as in `Mention.slots`.
        values: those that are learned, the commonest first.
        counts: how many mentions leave the slot out, then how many have each value.
        several: whether some mention has several values.
    """

    name: str
    values: tuple[str, ...]
    counts: tuple[int, ...]
    several: bool


class Inventory(tuple[Slot, ...]):
    """The slots, by name. Their classes stand side by side as *columns*: of each slot the default, then its values."""

    @property
    def sizes(self) -> list[int]:
        """Classes of each slot, its default included."""
        return [len(slot.counts) for slot in self]

    @property
    def starts(self) -> list[int]:
        """The column of each slot's default."""
        return [0, *accumulate(self.sizes)][:-1]

    @property
    def columns(self) -> list[tuple[str, str]]:
        """Name and value of every column; the value of a default is empty."""
        return [(slot.name, value) for slot in self for value in ("", *slot.values)]

    def of(self, slots: Mapping[str, tuple[str, ...]]) -> list[int]:
        """The columns of a mention's values, ascending; nothing for a slot whose values were never seen."""
        found = []
        for slot, start in zip(self, self.starts, strict=True):
            held = set(slots.get(slot.name, ()))
            found += [start + 1 + i for i, value in enumerate(slot.values) if value in held] if held else [start]
        return found


def inventory(documents: Sequence[Document]) -> Inventory:
    """The slots of the mentions of documents."""
    total, filled = 0, Counter[str]()
    values_of: dict[str, Counter[str]] = {}
    several: set[str] = set()
    for mention in (mention for document in documents for mention in document.mentions):  # none is kept
        total += 1
        for name, values in mention.slots.items():
            distinct = set(values)
            if distinct:
                filled[name] += 1
                values_of.setdefault(name, Counter()).update(distinct)
            if len(distinct) > 1:
                several.add(name)
    made = []
    for name, common in sorted(values_of.items()):
        kept = sorted(common, key=lambda value: (-common[value], value))[:MOST_VALUES]
        counts = (total - filled[name], *(common[value] for value in kept))
        made.append(Slot(name, tuple(kept), counts, name in several))
    return Inventory(made)


class SlotSpanHead(SpanClassificationHead):
    """Finds mentions as `SpanClassificationHead` does, and fills the slots that the training mentions have."""

    slots: Inventory = Inventory()

    def fit(self, documents: Sequence[Document]) -> None:
        """Learns labels, rates and the inventory of slots."""
        super().fit(documents)
        self.slots = inventory(documents)

    def state(self) -> dict[str, Any]:
        """Counts and inventories; slot values are codes, no text."""
        return {
            **super().state(),
            "slots": {slot.name: {k: v for k, v in vars(slot).items() if k != "name"} for slot in self.slots},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Puts back a `state`."""
        super().restore({k: v for k, v in state.items() if k != "slots"})
        self.slots = Inventory(
            Slot(name, tuple(one["values"]), tuple(one["counts"]), one["several"]) for name, one in state["slots"].items()
        )

    def encode(self, window: Window, gold: Document) -> Encoding:
        """Gold of a window: the columns of the span head and ``slots`` (n, 2), index of a candidate and column of one of its
        values, for every candidate that is a mention.
        """
        encoding = super().encode(window, gold)
        if not self.slots:
            return encoding
        columns, kinds = encoding.columns, len(self.labels)
        held = {mention.fragments: mention.slots for mention in gold.mentions}
        spans = rows_of(columns["fragments"], 2)
        cliques = rows_of(columns["candidates"], self.fragments)
        verdicts = rows_of(columns["candidate_labels"], kinds)
        flat: list[int] = []
        for index, (clique, verdict) in enumerate(zip(cliques, verdicts, strict=True)):
            if any(verdict):
                place = characters_of(window, tuple(spans[i] for i in clique if i >= 0))
                flat += [number for column in self.slots.of(held[place]) for number in (index, column)]
        return replace(encoding, columns={**columns, "slots": flat})

    def collate(self, rows: Sequence[Mapping[str, Sequence[int]]], words: int) -> dict[str, Tensor]:
        """What the span head makes, and ``slots`` (batch, C, V): for each candidate that is a mention, each slot's share of 1
        over its values; 0 for other candidates and for values that were never seen.
        """
        import numpy as np
        import torch

        made = super().collate(rows, words)
        if not self.slots:
            return made
        target = np.zeros((*made["candidates"].shape[:2], sum(self.slots.sizes)), np.float32)
        for i, row in enumerate(rows):
            candidate, column = np.asarray(row["slots"], np.int64).reshape(-1, 2).T
            target[i, candidate, column] = 1
        shared = np.add.reduceat(target, self.slots.starts, -1).repeat(self.slots.sizes, -1)
        return {**made, "slots": torch.from_numpy(target / shared.clip(min=1))}

    def module(self, hidden_size: int) -> HeadModule:
        """The trainable module; without slots that of the span head."""
        if not self.slots:
            return super().module(hidden_size)
        from bench.heads.slots_module import SlotSpanModule

        shape = self.width, self.fragments, self.cap, self.floor
        return SlotSpanModule(hidden_size, self._fitted(), self.slots, *shape)

    def decode(self, window: Window, prediction: Any) -> tuple[Mention, ...]:
        """Mentions with their slots; those at their default are left out.

        Args:
            window: the tokenized window.
            prediction: see `Filled`; without slots what the span head predicts.
        """
        if not self.slots:
            return super().decode(window, prediction)
        columns, found = self.slots.columns, {}
        for (parts, kind, sure), values in zip(*prediction, strict=True):
            slots: dict[str, tuple[str, ...]] = {}
            for name, value in (columns[i] for i in values):
                if value:
                    slots[name] = (*slots.get(name, ()), value)
            found[parts, kind] = Mention(characters_of(window, parts), self.labels[kind], slots=slots, confidence=sure)
        return in_order(tuple(found.values()))

    def proposals(self, window: Window, prediction: Any) -> Proposals:
        """Fragments, links and candidates of a window, which slots do not change."""
        return super().proposals(window, prediction[0] if self.slots else prediction)

    def oracle(self, encoding: Encoding) -> Any:
        """What a perfect module gives: gold mentions as the span head reaches them, with the gold values of each."""
        found = super().oracle(encoding)
        if not self.slots:
            return found
        spans = rows_of(encoding.columns["fragments"], 2)
        values: dict[Parts, tuple[int, ...]] = {}
        cliques = rows_of(encoding.columns["candidates"], self.fragments)
        for index, column in rows_of(encoding.columns["slots"], 2):
            parts = tuple(spans[i] for i in cliques[index] if i >= 0)
            values[parts] = (*values.get(parts, ()), column)
        return found, [values.get(parts, ()) for parts, *_ in found]
