"""The tagging heads: one tag a word, in the scheme BIO or BIOES. They are the baseline that shows why spans are needed.

A row of tags holds contiguous mentions that do not overlap, and nothing else. Discontiguous mentions are not squeezed into
it (their first fragment alone is no mention): they are counted lost under ``discontiguous``. Of mentions that overlap or
contain one another the longest is kept, the leftmost among equals; the others are lost under ``overlap``. Their
discontiguous recall is therefore 0 by construction.

Sources: tags as in Ramshaw & Marcus 1995, "Text Chunking using Transformation-Based Learning", arXiv cmp-lg/9505040; ends and
single words told apart, Ratinov & Roth 2009, "Design Challenges and Misconceptions in Named Entity Recognition", ACL W09-1119.

Words are tagged one by one in training; when predicting, rows of tags are weighed as wholes: those that the scheme forbids
count nothing, and a mention is as likely as all allowed rows that hold it, by the forward-backward algorithm. On dev of
NCBI-disease and of CRAFT's cell types the mentions likelier than one half scored about a point of F1 more than the best row.

Sources: forward-backward, Rabiner 1989, "A Tutorial on Hidden Markov Models", Proceedings of the IEEE 77(2); probabilities of
whole fields rather than of tags, Culotta & McCallum 2004, "Confidence Estimation for Information Extraction", NAACL N04-4028.

Shapes: batch B, words W, tags T, labels L.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from bench.api.data import Document, Mention, in_order
from bench.api.head import Encoding, Head, HeadModule, Window
from bench.api.part import Requirement
from bench.errors import DataError
from bench.heads.lazy import F, Module, nn, torch
from bench.heads.mentions import Span, characters_of, words_of
from bench.heads.tensors import NEVER

if TYPE_CHECKING:
    from torch import Tensor

SIZE = 128
IGNORE = -100

Scheme = Literal["BI", "BIES"]
"""The roles of a label's tags: begin and inside; or begin, inside, end and single."""
CONTINUING: Mapping[Scheme, tuple[int, ...]] = {"BI": (1,), "BIES": (1, 2)}
"""The roles of a word that goes on with the mention of the word before it."""


def roles(scheme: Scheme, length: int) -> list[int]:
    """The roles (indices into the scheme) of the words of one mention.

    Args:
        scheme: of the tags.
        length: of the mention, in words, at least 1.
    """
    if scheme == "BI":
        return [0] + [1] * (length - 1)
    return [3] if length == 1 else [0] + [1] * (length - 2) + [2]


def followers(scheme: Scheme, labels: int) -> Iterator[tuple[int, int]]:
    """Every pair of tags of which the second may follow the first.

    What may follow O may come first, and what O may follow may come last.

    Args:
        scheme: of the tags.
        labels: how many there are; tag 0 is O, and tag 1 + n·i + r has role r of label i, with n roles in the scheme.
    """
    count = len(scheme)
    open_roles = (0, 1)
    continuing = CONTINUING[scheme]
    must_go_on = scheme == "BIES"
    for before in range(1 + count * labels):
        label, role = divmod(before - 1, count) if before else (-1, -1)
        going_on = role in open_roles and before > 0
        if going_on:
            yield from ((before, 1 + count * label + after) for after in continuing)
        if not (going_on and must_go_on):
            yield before, 0
            yield from ((before, 1 + count * i + r) for i in range(labels) for r in range(count) if r not in continuing)


Tagged = Sequence[tuple[int, int, int, float]]
"""First word, last word (inclusive), index of the label and probability of each mention, in any order; they may overlap."""


class TokenClassificationHead(Head):
    """Encodes contiguous mentions as tags, one a word: 0 is O, 1 + 2·i is B and 2 + 2·i is I of label i.

    Its module takes hidden states (batch, seq, hidden), scores tags (batch, words, 1 + 2·labels) from the first and last token
    of each word, and predicts the probability of each mention over all rows that the scheme allows.
    """

    name = "bio"
    version = "1"
    summary = "contiguous mentions as one BIO tag a word"
    citation = "tags as in Ramshaw & Marcus 1995, arXiv:cmp-lg/9505040"
    licence = "Apache-2.0"
    requires = (Requirement("torch", "bench-suite[train]"),)
    floor = 0.05
    # On NCBI-disease the smoke test's loss fell to a quarter at 1e-3, and not by half at 3e-3.
    learning_rate: ClassVar[float] = 1e-3
    scheme: ClassVar[Scheme] = "BI"

    def __init__(self) -> None:
        self.labels: tuple[str, ...] = ()
        self.rates: tuple[float, ...] = ()

    def fit(self, documents: Sequence[Document]) -> None:
        """Learns the labels and how common each tag is."""
        from bench.data.windows import count_words  # its patterns take 9 ms to compile, which listing heads does not need

        total = 0
        lengths: Counter[tuple[str, int]] = Counter()
        labels: set[str] = set()
        for document in documents:
            total += count_words(document.text)
            for fragments, label in {mention.key for mention in document.mentions}:
                labels.add(label)
                if len(fragments) == 1:
                    lengths[label, max(count_words(document.text, *fragments[0]), 1)] += 1
        if not labels:
            raise DataError(
                f"The training documents hold no mention; a {self.name} head needs at least one.",
                "Check the task's data folder.",
            )
        counted: Counter[tuple[str, int]] = Counter()
        for (label, length), times in lengths.items():
            for role in roles(self.scheme, length):
                counted[label, role] += times
        self.labels = tuple(sorted(labels))
        rates = [counted[label, role] / max(total, 1) for label in self.labels for role in range(len(self.scheme))]
        self.rates = (max(1.0 - sum(rates), 0.05), *rates)

    def state(self) -> dict[str, Any]:
        """The labels and how common each tag is."""
        return {"labels": list(self.labels), "rates": list(self.rates)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Puts back a `state`."""
        self.labels, self.rates = tuple(state["labels"]), tuple(state["rates"])

    def outputs(self) -> dict[str, Any]:
        """The labels."""
        return {"labels": list(self.labels)}

    def encode(self, window: Window, gold: Document) -> Encoding:
        """Gold of a window: the column ``tags``, one a word."""
        lost: Counter[str] = Counter()
        index = {label: i for i, label in enumerate(self.labels)}
        flat: list[tuple[Span, int]] = []
        for parts, label in words_of(window, gold.mentions, lost):
            if label not in index:
                lost["label"] += 1
            elif len(parts) > 1:
                lost["discontiguous"] += 1
            else:
                flat.append((parts[0], index[label]))
        tags = [0] * len(window.words)
        for (first, last), kind in sorted(flat, key=lambda item: (item[0][0] - item[0][1], item)):
            if any(tags[first : last + 1]):
                lost["overlap"] += 1
            else:
                base = 1 + len(self.scheme) * kind
                tags[first : last + 1] = [base + role for role in roles(self.scheme, last + 1 - first)]
        return Encoding(columns={"tags": tags}, supervised=len(tags), lost=lost)

    def collate(self, rows: Sequence[Mapping[str, Sequence[int]]], words: int) -> dict[str, Tensor]:
        """``tags`` (batch, words), padded with `IGNORE`."""
        tags = torch.full((len(rows), words), IGNORE, dtype=torch.long)
        for i, row in enumerate(rows):
            tags[i, : len(row["tags"])] = torch.tensor(row["tags"], dtype=torch.long)
        return {"tags": tags}

    def module(self, hidden_size: int) -> HeadModule:
        """The trainable module."""
        return BioModule(hidden_size, self.rates, self.scheme, self.floor)

    def decode(self, window: Window, prediction: Tagged) -> tuple[Mention, ...]:
        """Mentions that do not overlap, the likeliest first to stand. From one half on no two of them can overlap: they exclude
        one another in every row of tags.

        Args:
            window: the tokenized window.
            prediction: see `Tagged`.
        """
        mentions: list[Mention] = []
        taken: set[int] = set()
        for first, last, kind, sure in sorted(prediction, key=lambda tagged: (-tagged[3], tagged)):
            words = range(first, last + 1)
            if taken.isdisjoint(words):
                taken.update(words)
                mentions.append(Mention(characters_of(window, ((first, last),)), self.labels[kind], confidence=round(sure, 4)))
        return in_order(mentions)

    def oracle(self, encoding: Encoding) -> list[tuple[int, int, int, float]]:
        """The mentions of the gold tags, beyond doubt."""
        mentions: list[tuple[int, int, int, float]] = []
        for at, tag in enumerate(encoding.columns["tags"]):
            kind, role = divmod(tag - 1, len(self.scheme))
            if tag and role in CONTINUING[self.scheme]:
                mentions[-1] = (mentions[-1][0], at, kind, 1.0)
            elif tag:
                mentions.append((at, at, kind, 1.0))
        return mentions


class BioesHead(TokenClassificationHead):
    """The same with four tags a label: 1 + 4·i is B, 2 + 4·i is I, 3 + 4·i is E and 4 + 4·i is S of label i."""

    name = "bioes"
    summary = "contiguous mentions as one BIOES tag a word"
    citation = "tags as in Ratinov & Roth 2009, ACL W09-1119"
    scheme = "BIES"


class BioModule(HeadModule, Module):
    """Tags every word from its first and last token; predicts mentions over the rows of tags that the scheme allows.

    Args:
        hidden_size: of the backbone.
        rates: share of each tag in the training documents; the biases start from it.
        scheme: of the tags.
        floor: least probability of a mention that is predicted.
    """

    allowed: Tensor

    def __init__(self, hidden_size: int, rates: Sequence[float], scheme: Scheme = "BI", floor: float = 0.5) -> None:
        super().__init__()
        tags = len(rates)
        self.scheme, self.floor = scheme, floor
        self.project = nn.Linear(hidden_size, SIZE)
        self.norm = nn.LayerNorm(SIZE)
        self.mix = nn.Linear(2 * SIZE, SIZE)
        self.tag = nn.Linear(SIZE, tags)
        nn.init.normal_(self.tag.weight, std=0.02)
        with torch.no_grad():
            self.tag.bias.copy_(torch.tensor([math.log(max(rate, 1e-5)) for rate in rates]))
        self.register_buffer("allowed", _transitions(tags, scheme), persistent=False)

    def loss(self, hidden: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Cross-entropy of the tags (batch, words), summed."""
        logits = self.logits(hidden, batch)
        return F.cross_entropy(logits.flatten(0, 1), batch["tags"].flatten(), ignore_index=IGNORE, reduction="sum")

    def choices(self, hidden: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """(words, tags), the words of all windows together."""
        return self.logits(hidden, batch)[batch["tags"] != IGNORE]

    def predict(self, hidden: Tensor, batch: Mapping[str, Tensor]) -> list[list[tuple[int, int, int, float]]]:
        """Every mention of each window from `floor` on; see `Tagged`."""
        words = batch["word_mask"].bool()
        with torch.no_grad():
            scores = self.logits(hidden, batch).double().log_softmax(-1)
        scores[~words] = NEVER
        scores[..., 0].masked_fill_(~words, 0.0)  # behind the last word of a window there is nothing but O
        before, after = self._before(scores), self._after(scores)
        rows = (before[:, -1] + after[:, -1]).logsumexp(-1)[:, None, None]
        parts = len(self.scheme)
        begin, inside = slice(1, None, parts), slice(2, None, parts)
        single, end = (begin, inside) if self.scheme == "BI" else (slice(4, None, parts), slice(3, None, parts))
        closed = self._closed(scores, after)
        mentions: list[list[tuple[int, int, int, float]]] = [[] for _ in scores]
        ahead, length = before[..., begin], 1  # (B, starts, L): all rows up to the mention's last word
        chance = before[..., single] + closed[..., single] - rows
        while True:
            chance = chance.exp()
            for i, first, kind in (chance >= self.floor).nonzero().tolist():
                mentions[i].append((first, first + length - 1, kind, min(float(chance[i, first, kind]), 1.0)))
            going_on = ahead + after[:, length - 1 :, begin if length == 1 else inside] - rows
            if length == scores.shape[1] or going_on.exp().max() < self.floor:
                return mentions
            ahead, next_word = ahead[:, :-1], scores[:, length:]
            chance = ahead + next_word[..., end] + closed[:, length:, end] - rows
            ahead, length = ahead + next_word[..., inside], length + 1

    def _before(self, scores: Tensor) -> Tensor:
        """Log-probability of all rows up to a word, for each tag of that word (B, W, T), the word's own included."""
        forward = [scores[:, 0] + self.allowed[0]]
        for at in range(1, scores.shape[1]):
            forward.append((forward[-1][:, :, None] + self.allowed).logsumexp(1) + scores[:, at])
        return torch.stack(forward, 1)

    def _after(self, scores: Tensor) -> Tensor:
        """Log-probability of all rows behind a word, for each tag of that word (B, W, T), the word's own left out."""
        backward = [self.allowed[:, 0].expand_as(scores[:, 0])]
        for at in range(scores.shape[1] - 1, 0, -1):
            backward.append((self.allowed + (scores[:, at] + backward[-1])[:, None]).logsumexp(2))
        return torch.stack(backward[::-1], 1)

    def _closed(self, scores: Tensor, after: Tensor) -> Tensor:
        """As `_after`, of the rows in which the word's mention does not go on (B, W, T)."""
        stop = self.allowed.clone()
        for role in CONTINUING[self.scheme]:
            stop[:, 1 + role :: len(self.scheme)] = NEVER
        ahead = (scores + after)[:, 1:]
        closed = [(stop + ahead[:, at, None]).logsumexp(2) for at in range(ahead.shape[1])]
        return torch.stack([*closed, stop[:, 0].expand_as(scores[:, 0])], 1)

    def logits(self, hidden: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Scores of the tags, (batch, words, tags)."""
        with torch.autocast(hidden.device.type, enabled=False):
            tokens = self.norm(self.project(hidden.float()))
            ends = [tokens.gather(1, batch[name][..., None].expand(-1, -1, SIZE)) for name in ("first", "last")]
            logits: Tensor = self.tag(F.gelu(self.mix(torch.cat(ends, -1))))
            return logits


def _transitions(tags: int, scheme: Scheme = "BI") -> Tensor:
    """(tags, tags) of 0 where a tag may follow another and `NEVER` where not."""
    allowed = torch.full((tags, tags), NEVER, dtype=torch.float64)
    for before, after in followers(scheme, (tags - 1) // len(scheme)):
        allowed[before, after] = 0.0
    return allowed
