"""The span head with slots: attributes of each mention, such as negation, subject, severity or body location.

Which slots there are, and what they may hold, is what the training mentions carry; with none of them this is the span head,
parameter for parameter. A slot that a mention leaves out is at its default, which stands first in the slot's inventory. A
slot that some training mention gives several values, such as several body locations, may be decoded into several.

Slots are learned from gold mentions alone and predicted for accepted ones. They belong to the fragments, not to the label.

Source: slots as Elhadad et al. 2015 define them, "SemEval-2015 Task 14: Analysis of Clinical Text", https://aclanthology.org/S15-2051/;
classes over a mention and the words that it attends to, by buckets of distance as in Raffel et al. 2020, arXiv 1910.10683.

Shapes: batch B, words W, candidates M, features D, attention heads H, V columns of all slots (see `Inventory`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from bench.api.data import Document, Mention, in_order
from bench.api.head import Encoding, HeadModule, Proposals, Window
from bench.heads.lazy import F, Module, nn, torch
from bench.heads.mentions import Parts, Rates, characters_of
from bench.heads.span import SIZE, Found, Judged, SpanClassificationHead, SpanModule, rows_of
from bench.heads.tensors import NEVER, gather_rows

if TYPE_CHECKING:
    from torch import Tensor

HEADS = 8
NEAR = 6  # buckets of distance on either side of a mention: 1, 2, 3-4, 5-8, 9-16 words, and further
WEIGHT = (
    0.1  # of the slots' loss: they have layers of their own, and Adam moves those alike; with more, fewer mentions are found
)
GAIN, CONTEXT = 4.0, 2.0  # of features and of what is attended to: small at first, they would need hundreds of updates to count
SHARE = 0.5  # of the likeliest value's probability, from which another value of the same slot is predicted too
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
        columns = []
        for slot, start in zip(self, self.starts, strict=True):
            held = set(slots.get(slot.name, ()))
            columns += [start + 1 + i for i, value in enumerate(slot.values) if value in held] if held else [start]
        return columns


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
    slots = []
    for name, common in sorted(values_of.items()):
        frequent = sorted(common, key=lambda value: (-common[value], value))[:MOST_VALUES]
        counts = (total - filled[name], *(common[value] for value in frequent))
        slots.append(Slot(name, tuple(frequent), counts, name in several))
    return Inventory(slots)


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
            Slot(name, tuple(slot["values"]), tuple(slot["counts"]), slot["several"]) for name, slot in state["slots"].items()
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

        tensors = super().collate(rows, words)
        if not self.slots:
            return tensors
        target = np.zeros((*tensors["candidates"].shape[:2], sum(self.slots.sizes)), np.float32)
        for i, row in enumerate(rows):
            candidate, column = np.asarray(row["slots"], np.int64).reshape(-1, 2).T
            target[i, candidate, column] = 1
        shared = np.add.reduceat(target, self.slots.starts, -1).repeat(self.slots.sizes, -1)
        return {**tensors, "slots": torch.from_numpy(target / shared.clip(min=1))}

    def module(self, hidden_size: int) -> HeadModule:
        """The trainable module; without slots that of the span head."""
        if not self.slots:
            return super().module(hidden_size)
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
        columns, mentions = self.slots.columns, {}
        for (parts, kind, sure), values in zip(*prediction, strict=True):
            slots: dict[str, tuple[str, ...]] = {}
            for name, value in (columns[i] for i in values):
                if value:
                    slots[name] = (*slots.get(name, ()), value)
            mentions[parts, kind] = Mention(characters_of(window, parts), self.labels[kind], slots=slots, confidence=sure)
        return in_order(tuple(mentions.values()))

    def proposals(self, window: Window, prediction: Any) -> Proposals:
        """Fragments, links and candidates of a window, which slots do not change."""
        return super().proposals(window, prediction[0] if self.slots else prediction)

    def oracle(self, encoding: Encoding) -> Any:
        """What a perfect module gives: gold mentions as the span head reaches them, with the gold values of each."""
        accepted = super().oracle(encoding)
        if not self.slots:
            return accepted
        spans = rows_of(encoding.columns["fragments"], 2)
        values: dict[Parts, tuple[int, ...]] = {}
        cliques = rows_of(encoding.columns["candidates"], self.fragments)
        for index, column in rows_of(encoding.columns["slots"], 2):
            parts = tuple(spans[i] for i in cliques[index] if i >= 0)
            values[parts] = (*values.get(parts, ()), column)
        return accepted, [values.get(parts, ()) for parts, *_ in accepted]


class SlotModule(Module):
    """Classes of every slot, from a mention's features and from what it attends to among the words of its window.

    A cue stands to the left ("denies fever"), to the right ("fever has resolved") or within ("renal" for the kidney), so each
    head of the attention weighs words by what they are and by how far they stand from the mention, and on which side.

    Args:
        hidden_size: of the backbone.
        slots: the inventory; biases start at the log odds of the training mentions.
    """

    def __init__(self, hidden_size: int, slots: Inventory) -> None:
        super().__init__()
        self.sizes, self.several = slots.sizes, [slot.several for slot in slots]
        self.project = nn.Linear(hidden_size, SIZE)
        self.norm = nn.LayerNorm(SIZE)
        self.query = nn.Linear(SIZE, SIZE)
        self.key = nn.Linear(SIZE, SIZE, bias=False)
        self.value = nn.Linear(SIZE, SIZE)
        self.places = nn.Embedding(2 * NEAR + 1, HEADS)
        self.classes = nn.Linear(SIZE, sum(self.sizes))
        nn.init.normal_(self.classes.weight, std=0.02)
        with torch.no_grad():
            self.places.weight.copy_(_looks())
            counts = [torch.tensor(slot.counts, dtype=torch.float) + 0.5 for slot in slots]
            self.classes.bias.copy_(torch.cat([(c / c.sum()).log() for c in counts]))

    def forward(self, hidden: Tensor, batch: Mapping[str, Tensor], judged: Judged) -> Tensor:
        """Log-probabilities (B, M, V), which sum to one within each slot.

        Args:
            hidden: (batch, seq, hidden).
            batch: see `HeadModule`.
            judged: candidates of the span head.
        """
        tokens = self.norm(self.project(hidden.float()))
        seen = (gather_rows(tokens, batch["first"]) + gather_rows(tokens, batch["last"])) / 2
        rows, words, _ = seen.shape
        depth = SIZE // HEADS
        query = self.query(F.gelu(judged.mixed)).view(rows, -1, HEADS, depth).transpose(1, 2)
        key, value = (layer(seen).view(rows, words, HEADS, depth).transpose(1, 2) for layer in (self.key, self.value))
        outside = ~batch["word_mask"].bool()[:, None, None]
        bias = self.places(_side(judged, words)).permute(0, 3, 1, 2).masked_fill(outside, NEVER)
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        logits = self.classes(GAIN * F.gelu(judged.mixed + CONTEXT * attended.transpose(1, 2).flatten(2)))
        return torch.cat([part.log_softmax(-1) for part in torch.split(logits, self.sizes, -1)], -1)

    def chosen(self, logs: Tensor) -> Tensor:
        """Which values are predicted, (B, M, V): the likeliest of each slot, with others where a slot may have several."""
        selected = []
        for part, several in zip(torch.split(logs, self.sizes, -1), self.several, strict=True):
            best, at = part.max(-1, keepdim=True)
            default = torch.arange(part.shape[-1], device=part.device) == 0
            also = (part >= best + torch.tensor(SHARE).log()) & (at > 0) & ~default
            selected.append((also if several else torch.zeros_like(also)).scatter(-1, at, True))
        return torch.cat(selected, -1)


class SlotSpanModule(SpanModule):
    """Mentions, and slots of the mentions.

    Args:
        hidden_size: of the backbone.
        rates: see `SpanModule`.
        slots: at least one.
        width: most words in a span.
        most: most fragments in a mention.
        cap: most candidates a window is given when predicting.
        floor: least probability of a candidate that is predicted.
    """

    def __init__(
        self, hidden_size: int, rates: Rates, slots: Inventory, width: int, most: int, cap: int, floor: float = 0.5
    ) -> None:
        super().__init__(hidden_size, rates, width, most, cap, floor)
        self.slots = SlotModule(hidden_size, slots)

    def loss(self, hidden: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """The losses of mentions, and the cross-entropies of the slots of gold mentions, summed.

        Args:
            hidden: (batch, seq, hidden).
            batch: see `HeadModule` and `SlotSpanHead.collate`.
        """
        with torch.autocast(hidden.device.type, enabled=False):
            total, judged = self._trained(hidden, batch)
            target = batch["slots"]
            logs: Tensor = self.slots(hidden, batch, judged.first(target.shape[1]))
            return total - WEIGHT * (logs * target).sum()

    def predict(self, hidden: Tensor, batch: Mapping[str, Tensor]) -> list[Any]:
        """Accepted candidates of each window and the columns of their slots' values; see `Filled`."""
        with torch.no_grad(), torch.autocast(hidden.device.type, enabled=False):
            accepted, proposed, judged = self._accepted(hidden, batch)
            filled: list[dict[int, list[int]]] = [{} for _ in accepted]
            for i, at, column in self.slots.chosen(self.slots(hidden, batch, judged)).nonzero().tolist():
                filled[i].setdefault(at, []).append(column)
        return [
            (Found((mention for mention, _ in mentions), proposal), [tuple(filled[i][at]) for _, at in mentions])
            for i, (mentions, proposal) in enumerate(zip(accepted, proposed, strict=True))
        ]


def _side(judged: Judged, words: int) -> Tensor:
    """Bucket of each word's distance from each mention, (B, M, W): left of it, from its first word to its last, right of it."""
    word = torch.arange(words, device=judged.begin.device)
    left, right = judged.begin[..., None] - word, word - judged.stop[..., None]
    near = torch.maximum(left, right).clamp(min=1).float().log2().ceil().long().clamp(max=NEAR - 1)
    return torch.where(left > 0, NEAR - 1 - near, torch.where(right > 0, NEAR + 1 + near, NEAR))


def _looks() -> Tensor:
    """What the heads look at to begin with, (2 * NEAR + 1, H): by turns left of the mention, right of it, and at itself.

    Heads that began by looking everywhere alike took several times the updates to find a cue.
    """
    side = torch.arange(-NEAR, NEAR + 1.0)
    right = torch.where(side > 0, 0.7 * (1 - side), -4.0)
    return torch.stack([(right.flip(0), right, -side.abs())[head % 3] for head in range(HEADS)], 1)
