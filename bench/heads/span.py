"""The span head: mentions of one or more fragments, overlapping and nested as they come.

(1) Every span of up to `width` words is classified as a fragment of a mention of each label, or of none. (2) Links are scored
between fragments; they only propose candidates: all cliques of the link graph, single fragments included. (3) Each
candidate is accepted or rejected, per label, as a whole. See `bench.heads.mentions` for why cliques alone do not do.

With a causal base model a span's first token has not seen the rest of it, nor what follows: the end of the span carries
what there is, and a right context (a head noun that follows a shared modifier) is out of sight.

Shapes: batch B, words W, `width` most words of a span, fragments F (gold first, then proposed), candidates M, fragments of a
candidate K, labels L, `SIZE` features D. The module runs in fp32, whatever the backbone's precision.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.api.data import Document, Mention, in_order
from bench.api.head import Encoding, Head, HeadModule, Proposals, Window
from bench.api.part import Requirement
from bench.errors import DataError
from bench.heads.lazy import F, Module, nn, torch
from bench.heads.mentions import Parts, Rates, Span, characters_of, cliques, measure, mention_graph, words_of
from bench.heads.tensors import NEVER, dropout, entropy, gather_rows, highest, item_at, log_odds, padded, probabilities

if TYPE_CHECKING:
    from torch import Tensor

SIZE = 128
LINK = 128  # features of a pair of fragments
DILATIONS = (1, 2, 3)  # of the convolutions that tell a token of those around it, 3 to either side
DROPOUT = 0.3  # of the features of tokens and of candidates, in updates that bring noise, see `HeadModule`
RARE = 4.0  # weight of links and candidates: a window has a hundred times more spans, whose loss would drown theirs
NEGATIVES = 16  # wrong spans a window, and as many wrong pairs, that links and candidates are trained against
# A fragment of a discontiguous mention is rarely likely by itself: proposing is bounded by counts, and the candidates decide.
PROPOSE = 0.005  # probability below which no span or link is proposed
MOST = 64  # most fragments a window proposes
MOST_LINKS = 128  # most links
_TYPICAL = 96  # words of a typical window, for the priors of what is counted per window
_BUCKETS, _FARTHEST = 14, 127  # of the words between two fragments

Accepted = tuple[Parts, int, float]
"""A predicted mention: its fragments in words, the index of its label, and how probable the module finds it."""


@dataclass(frozen=True)
class Proposed:
    """What the candidates of a window were made of.

    Args:
        fragments: in words.
        links: pairs of indices of fragments.
        candidates: those that were judged, as indices of fragments.
    """

    fragments: Sequence[Span] = ()
    links: Sequence[tuple[int, int]] = ()
    candidates: Sequence[tuple[int, ...]] = ()


class Found(list[Accepted]):
    """The accepted candidates of a window.

    Args:
        accepted: these candidates.
        proposed: what they were chosen from.
    """

    def __init__(self, accepted: Iterable[Accepted], proposed: Proposed) -> None:
        super().__init__(accepted)
        self.proposed = proposed


class SpanClassificationHead(Head):
    """Encodes mentions as fragments, links and candidates, and decodes accepted candidates.

    Args:
        width: most words in a fragment.
        fragments: most fragments in a mention.
        cap: most candidates in a window.
        floor: least probability of a candidate that the module hands over; see `Head.floor`.
    """

    name = "span"
    version = "1"
    summary = "mentions of one or more fragments, overlapping and nested as they come"
    citation = "described in bench/heads/span.py"
    licence = "Apache-2.0"
    requires = (Requirement("torch", "bench-suite[train]"),)

    def __init__(self, width: int = 8, fragments: int = 3, cap: int = 256, floor: float = 0.05) -> None:
        self.floor: float = floor
        self.width = width
        self.fragments = fragments
        self.cap = cap
        self.rates: Rates | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """The label inventory, sorted; call after `fit`."""
        return self._fitted().labels

    def fit(self, documents: Sequence[Document]) -> None:
        """Learns the labels and how common fragments, links and mentions are."""
        rates = measure(documents)
        if not rates.labels:
            raise DataError(
                "The training documents hold no mention; a span head needs at least one.", "Check the task's data folder."
            )
        self.rates = rates

    def state(self) -> dict[str, Any]:
        """The counts behind the labels and the priors."""
        return {k: dict(v) if isinstance(v, Counter) else v for k, v in vars(self._fitted()).items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Puts back a `state`."""
        counts: dict[str, Any] = {k: Counter(v) if isinstance(v, Mapping) else v for k, v in state.items()}
        self.rates = Rates(**counts)

    def encode(self, window: Window, gold: Document) -> Encoding:
        """Gold of a window.

        Columns, flat, L labels, K most fragments: ``fragments`` (n, 2) first and last word; ``fragment_labels`` (n, L) 0/1;
        ``links`` (m, 2) indices of fragments; ``candidates`` (c, K) indices of fragments, -1 where there are fewer;
        ``candidate_labels`` (c, L) 0/1.
        """
        labels = self.labels
        lost: Counter[str] = Counter()
        graph = mention_graph(words_of(window, gold.mentions, lost), labels, self.width, self.fragments, self.cap, lost)
        kinds = range(len(labels))
        blank = (-1,) * self.fragments
        return Encoding(
            columns={
                "fragments": [word for span in graph.fragments for word in span],
                "fragment_labels": [int(kind in carried) for carried in graph.fragment_labels for kind in kinds],
                "links": [end for link in graph.links for end in link],
                "candidates": [i for clique in graph.candidates for i in (*clique, *blank)[: self.fragments]],
                "candidate_labels": [int(kind in verdict) for verdict in graph.verdicts for kind in kinds],
            },
            supervised=len(window.words),
            lost=lost,
        )

    def collate(self, rows: Sequence[Mapping[str, Sequence[int]]], words: int) -> dict[str, Tensor]:
        """Pads the columns; G most fragments and C most candidates of a window, each at least 1.

        Returns:
            ``fragments`` (batch, G, 2) and ``candidates`` (batch, C, K), padded with -1; ``fragment_labels`` (batch, G, L),
            ``candidate_labels`` (batch, C, L) and ``links`` (batch, G, G), symmetric, of 0 and 1.
        """
        import numpy as np

        kinds, most = len(self.labels), self.fragments
        tall = max(1, *(len(row["fragments"]) // 2 for row in rows))
        wide = max(1, *(len(row["candidates"]) // most for row in rows))
        arrays: dict[str, Any] = {
            "fragments": np.full((len(rows), tall, 2), -1, np.int64),
            "fragment_labels": np.zeros((len(rows), tall, kinds), np.float32),
            "links": np.zeros((len(rows), tall, tall), np.float32),
            "candidates": np.full((len(rows), wide, most), -1, np.int64),
            "candidate_labels": np.zeros((len(rows), wide, kinds), np.float32),
        }
        for i, row in enumerate(rows):
            for name in arrays.keys() - {"links"}:
                values = np.asarray(row[name], np.int64).reshape(-1, arrays[name].shape[2])
                arrays[name][i, : len(values)] = values
            a, b = np.asarray(row["links"], np.int64).reshape(-1, 2).T
            arrays["links"][i, a, b] = arrays["links"][i, b, a] = 1
        return {name: torch.from_numpy(array) for name, array in arrays.items()}

    def module(self, hidden_size: int) -> HeadModule:
        """The trainable module; the same number of parameters for every arm."""
        return SpanModule(hidden_size, self._fitted(), self.width, self.fragments, self.cap, self.floor)

    def decode(self, window: Window, prediction: Sequence[Accepted]) -> tuple[Mention, ...]:
        """Mentions from accepted candidates.

        Args:
            window: the tokenized window.
            prediction: see `Accepted`.
        """
        probs = {(parts, kind): sure for parts, kind, sure in prediction}
        return in_order(
            [Mention(characters_of(window, parts), self.labels[kind], confidence=sure) for (parts, kind), sure in probs.items()]
        )

    def proposals(self, window: Window, prediction: Found) -> Proposals:
        """Fragments, links and candidates of a window.

        Args:
            window: the tokenized window.
            prediction: with what was proposed.
        """
        proposed = prediction.proposed
        places = characters_of(window, tuple(proposed.fragments))
        return Proposals(
            frozenset(places),
            frozenset((min(places[a], places[b]), max(places[a], places[b])) for a, b in proposed.links),
            frozenset(tuple(sorted(places[i] for i in clique)) for clique in proposed.candidates),
        )

    def oracle(self, encoding: Encoding) -> Found:
        """What a perfect module gives: gold fragments and links propose, and the gold verdicts accept."""
        columns, kinds, most = encoding.columns, len(self.labels), self.fragments
        spans = rows_of(columns["fragments"], 2)
        accepted = {
            tuple(i for i in clique if i >= 0): [kind for kind, yes in enumerate(verdict) if yes]
            for clique, verdict in zip(
                rows_of(columns["candidates"], most), rows_of(columns["candidate_labels"], kinds), strict=True
            )
        }
        links = rows_of(columns["links"], 2)
        proposed = cliques(len(spans), links, most, self.cap)
        mentions = ((tuple(spans[i] for i in clique), kind, 1.0) for clique in proposed for kind in accepted.get(clique, ()))
        return Found(mentions, Proposed(spans, links, proposed))

    def _fitted(self) -> Rates:
        if self.rates is None:
            raise RuntimeError("SpanClassificationHead: call fit() with the training documents first.")
        return self.rates


def rows_of(flat: Sequence[int], width: int) -> list[Any]:
    """A flat column as tuples of `width` numbers."""
    return [tuple(flat[i : i + width]) for i in range(0, len(flat), width)]


class SpanModule(HeadModule, Module):
    """Fragments, links and candidates over one small projection of the hidden states and convolutions of it.

    Links and candidates are trained on gold fragments **and** on the wrong spans and pairs that score highest at that
    moment, which is what they meet when predicting.

    Args:
        hidden_size: of the backbone.
        rates: measured on the training documents; the biases start from them.
        width: most words in a span.
        most: most fragments in a mention, K.
        cap: most candidates a window is given when predicting.
        floor: least probability of a candidate that is predicted.
    """

    def __init__(self, hidden_size: int, rates: Rates, width: int, most: int, cap: int, floor: float = 0.5) -> None:
        super().__init__()
        self.width, self.most, self.cap, self.floor = width, most, cap, floor
        labels = len(rates.labels)
        self.project = nn.Linear(hidden_size, SIZE)
        self.norm = nn.LayerNorm(SIZE)
        self.context = nn.ModuleList(nn.Conv1d(SIZE, SIZE, 3, padding=n, dilation=n) for n in DILATIONS)
        self.start = nn.Linear(SIZE, SIZE)
        self.end = nn.Linear(SIZE, SIZE, bias=False)
        self.inside = nn.Linear(SIZE, SIZE, bias=False)
        self.lengths = nn.Embedding(width, SIZE)
        self.fragment = nn.Linear(SIZE, labels)
        self.left = nn.Linear(SIZE, LINK)
        self.right = nn.Linear(SIZE, LINK, bias=False)
        self.between = nn.Linear(SIZE, LINK, bias=False)
        self.distances = nn.Embedding(_BUCKETS, LINK)
        self.link = nn.Linear(LINK, 1)
        self.head = nn.Linear(SIZE, SIZE)
        self.tail = nn.Linear(SIZE, SIZE, bias=False)
        self.whole = nn.Linear(SIZE, SIZE, bias=False)
        self.gap = nn.Linear(SIZE, SIZE, bias=False)
        self.counts = nn.Embedding(most, SIZE)
        self.accept = nn.Linear(SIZE, labels)
        self.count_bias = nn.Parameter(torch.zeros(most, labels))
        self.trust = nn.Parameter(torch.ones(labels))
        self._start_at(rates)

    def _start_at(self, rates: Rates) -> None:
        """Biases at the log odds of what the training documents hold, so that the first loss is the class priors' entropy."""
        for layer in (self.fragment, self.link, self.accept):
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)
        for table in (self.lengths, self.distances, self.counts):
            nn.init.normal_(table.weight, std=0.1)
        windows = max(rates.words / _TYPICAL, 1.0)
        shown = rates.pieces + NEGATIVES * windows
        pairs = windows * (shown / windows) ** 2 / 2
        with torch.no_grad():
            for i, label in enumerate(rates.labels):
                self.fragment.bias[i] = log_odds(rates.fragments[label], rates.words * self.width)
                self.count_bias[0, i] = log_odds(rates.alone[label], shown)
                self.count_bias[1:, i] = log_odds(rates.joined[label], rates.links + NEGATIVES * windows)
            self.link.bias[0] = log_odds(rates.links, pairs)
            self.count_bias[1:] -= self.link.bias  # the mean link, which a candidate of several parts is given, starts there

    def in_context(self, hidden: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Tokens as features, (B, seq, D), with what dilated convolutions see around each, and dropout.

        Args:
            hidden: (batch, seq, hidden).
            batch: see `HeadModule`.

        Source: Strubell et al. 2017, arXiv 1702.02098; dilations as in Li et al. 2022, arXiv 2112.10070.
        """
        tokens: Tensor = self.norm(self.project(hidden.float()))
        seen = (tokens * batch["attention_mask"][..., None]).transpose(1, 2)
        around = torch.stack([F.gelu(layer(seen)) for layer in self.context]).sum(0)
        return dropout(tokens + around.transpose(1, 2), DROPOUT, batch, place=1)

    def logits(self, hidden: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Scores of the labels of every span as a fragment, (batch, words · width, labels)."""
        with torch.autocast(hidden.device.type, enabled=False):
            return _Words(self, hidden, batch).span_logits

    def loss(self, hidden: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Cross-entropies of spans, links and candidates, summed.

        Args:
            hidden: (batch, seq, hidden).
            batch: see `HeadModule` and `SpanClassificationHead.collate`.
        """
        with torch.autocast(hidden.device.type, enabled=False):
            return self._trained(hidden, batch)[0]

    def predict(self, hidden: Tensor, batch: Mapping[str, Tensor]) -> list[Any]:
        """Accepted candidates of each window, as `Found`."""
        with torch.no_grad(), torch.autocast(hidden.device.type, enabled=False):
            accepted, proposed, _ = self._accepted(hidden, batch)
        return [Found((span for span, _ in window), proposal) for window, proposal in zip(accepted, proposed, strict=True)]

    def _trained(self, hidden: Tensor, batch: Mapping[str, Tensor]) -> tuple[Tensor, Judged]:
        """The loss, and the candidates that it was taken over: those of gold first, as `batch` has them."""
        seen = _Words(self, hidden, batch)
        logits = seen.span_logits
        place, real = self._places(batch["fragments"])
        target = torch.zeros_like(logits)
        carried = batch["fragment_labels"].to(logits) * real[..., None]
        target = target.scatter_add(1, place[..., None].expand_as(carried), carried)
        total = entropy(logits, target, seen.valid[..., None])

        wrong = logits.detach().amax(-1).masked_fill(~seen.valid, NEVER)
        wrong = wrong.scatter_reduce(1, place, torch.where(real, NEVER, math.inf), "amin")
        best, extra = wrong.topk(min(NEGATIVES, wrong.shape[1]), 1)
        parts = _Parts(self, seen, torch.cat([place, extra], 1), torch.cat([real, best > NEVER], 1))
        gold = F.pad(batch["links"].to(logits), (0, extra.shape[1], 0, extra.shape[1]))
        total = total + RARE * entropy(parts.links, gold, parts.linkable)

        chosen, verdict = self._candidates(parts, gold > 0, batch, extra.shape[1])
        judged = self._judge(seen, parts, chosen)
        return total + RARE * entropy(judged.logits, verdict, (chosen[..., 0] >= 0)[..., None]), judged

    def _accepted(
        self, hidden: Tensor, batch: Mapping[str, Tensor]
    ) -> tuple[list[list[tuple[Accepted, int]]], list[Proposed], Judged]:
        """Candidates of each window from `floor` on, each with its place among those judged, and what was proposed."""
        seen = _Words(self, hidden, batch)
        score = seen.span_logits.amax(-1).masked_fill(~seen.valid, NEVER)
        best, place = score.topk(min(MOST, score.shape[1]), 1)
        keep = best > math.log(PROPOSE / (1 - PROPOSE))
        counts = keep.sum(1).tolist()
        depth = max(*counts, 1)
        parts = _Parts(self, seen, place[:, :depth], keep[:, :depth])
        linked = parts.linkable & (parts.links > math.log(PROPOSE / (1 - PROPOSE)))
        if depth**2 > MOST_LINKS:
            least = parts.links.masked_fill(~linked, NEVER).flatten(1).topk(MOST_LINKS, 1).values[:, -1]
            linked = linked & (parts.links >= least[:, None, None])
        links: list[list[tuple[int, int]]] = [[] for _ in range(len(keep))]
        for i, a, b in linked.nonzero().tolist():
            links[i].append((a, b))
        ends = torch.stack([parts.first, parts.last], -1).tolist()
        spans: list[list[tuple[int, int]]] = [[(first, last) for first, last in row] for row in ends]
        proposed = [_in_order(spans[i], cliques(count, links[i], self.most, self.cap)) for i, count in enumerate(counts)]
        tall = max(1, *(len(p) for p in proposed))
        blank = [-1] * self.most
        chosen = torch.tensor(
            [[[*c, *blank][: self.most] for c in p] + [blank] * (tall - len(p)) for p in proposed], device=hidden.device
        )
        judged = self._judge(seen, parts, chosen)
        accepted: list[list[tuple[Accepted, int]]] = [[] for _ in proposed]
        positive = judged.logits > math.log(self.floor / (1 - self.floor))
        sure = probabilities(judged.logits[positive]).tolist()
        for (i, at, kind), chance in zip(positive.nonzero().tolist(), sure, strict=True):
            if at < len(proposed[i]):
                accepted[i].append(((tuple(spans[i][n] for n in proposed[i][at]), kind, chance), at))
        fragments = [row[:count] for row, count in zip(spans, counts, strict=True)]
        return accepted, list(map(Proposed, fragments, links, proposed)), judged

    def _places(self, fragments: Tensor) -> tuple[Tensor, Tensor]:
        """Flat index into the spans of fragments (B, G, 2), and which of them are real; padding points at span 0."""
        real = fragments[..., 0] >= 0
        first, last = fragments.unbind(-1)
        return torch.where(real, first * self.width + last - first, 0), real

    def _candidates(self, parts: _Parts, gold: Tensor, batch: Mapping[str, Tensor], extra: int) -> tuple[Tensor, Tensor]:
        """Gold's own cliques with their verdicts, and the wrong candidates that score highest, (B, M, K) and (B, M, L)."""
        known = batch["candidates"]
        rows, count, most = known.shape[0], parts.place.shape[1], self.most
        single = torch.arange(count - extra, count, device=known.device).expand(rows, extra)
        negatives = [padded(torch.where(parts.real[:, count - extra :], single, -1)[..., None], most)]
        score = parts.links.detach()
        pair = score.masked_fill(~parts.linkable | gold, NEVER).flatten(1)
        negatives.append(padded(highest(pair, NEGATIVES, count, 2), most))
        if most > 2:
            open_ = score.masked_fill(~parts.linkable, NEVER)
            triple = open_[:, :, :, None] + open_[:, None] + open_[:, :, None, :]
            whole = gold[:, :, :, None] & gold[:, None] & gold[:, :, None, :]
            negatives.append(padded(highest(triple.masked_fill(whole, NEVER).flatten(1), NEGATIVES // 2, count, 3), most))
        wrong = torch.cat(negatives, 1)
        verdict = F.pad(batch["candidate_labels"].to(score), (0, 0, 0, wrong.shape[1]))
        return torch.cat([known, wrong], 1), verdict

    def _judge(self, seen: _Words, parts: _Parts, chosen: Tensor) -> Judged:
        """Candidates (B, M, K) as features of their ends, all parts, what stands between and how many; logits by links too."""
        real = chosen >= 0
        there = chosen.clamp(min=0)
        count = real.sum(-1).clamp(min=1)
        states = gather_rows(parts.states, there.flatten(1)).view(*there.shape, SIZE) * real[..., None]
        first, last = gather_rows(parts.first, there.flatten(1)), gather_rows(parts.last, there.flatten(1))
        first, last = first.view_as(there), last.view_as(there)
        tail = item_at(states, count - 1)
        begin, stop = first[..., 0], item_at(last[..., None], count - 1)[..., 0]
        covered = ((last - first + 1) * real).sum(-1)
        held = seen.between(first.flatten(1), last.flatten(1)).view(*there.shape, SIZE) * real[..., None]
        missing = (stop - begin + 1 - covered).clamp(min=0)
        gap = (seen.between(begin, stop) - held.sum(2)) / missing.clamp(min=1)[..., None] * (missing > 0)[..., None]
        mixed = self.head(states[:, :, 0]) + self.tail(tail) + self.whole(states.sum(2) / count[..., None]) + self.gap(gap)
        mixed = mixed + self.counts(count - 1)
        features = dropout(F.gelu(mixed), DROPOUT, seen.batch, place=2, each=False)  # candidates have no places of their own
        logits = self.accept(features) + self.count_bias[count - 1] + self.trust * parts.mean_link(chosen)[..., None]
        return Judged(logits, mixed, begin, stop)


@dataclass(frozen=True)
class Judged:
    """Candidates as the module sees them.

    Args:
        logits: (B, M, L).
        mixed: features before their activation, (B, M, D).
        begin: first word, (B, M).
        stop: last word, inclusive, (B, M).
    """

    logits: Tensor
    mixed: Tensor
    begin: Tensor
    stop: Tensor

    def first(self, count: int) -> Judged:
        """The first `count` candidates of each window."""
        logits, mixed, begin, stop = (part[:, :count] for part in (self.logits, self.mixed, self.begin, self.stop))
        return Judged(logits, mixed, begin, stop)


class _Words:
    """Words of a batch as features, and every span over them."""

    def __init__(self, head: SpanModule, hidden: Tensor, batch: Mapping[str, Tensor]) -> None:
        self.batch = batch
        tokens = head.in_context(hidden, batch)
        first, last = gather_rows(tokens, batch["first"]), gather_rows(tokens, batch["last"])
        words = batch["word_mask"].bool()
        count = words.shape[1]
        width = head.width
        self.sums = F.pad(((first + last) / 2 * words[..., None]).cumsum(1), (0, 0, 1, 0))
        end, inside = F.pad(head.end(last), (0, 0, 0, width - 1)), head.inside(self.sums)
        inside = F.pad(inside, (0, 0, 0, width - 1))
        ends = torch.stack([end[:, n : n + count] for n in range(width)], 2)
        means = torch.stack([(inside[:, n + 1 : n + 1 + count] - inside[:, :count]) / (n + 1) for n in range(width)], 2)
        mixed = head.start(first)[:, :, None] + ends + means + head.lengths.weight
        self.spans = F.gelu(mixed).flatten(1, 2)
        self.valid = torch.stack([F.pad(words[:, n:], (0, min(n, count))) for n in range(width)], 2).flatten(1)
        self.span_logits: Tensor = head.fragment(self.spans)

    def between(self, first: Tensor, last: Tensor) -> Tensor:
        """Summed features of words first to last, inclusive; (B, N) each gives (B, N, D)."""
        return gather_rows(self.sums, last + 1) - gather_rows(self.sums, first)


class _Parts:
    """Spans that may be fragments, with the links between them."""

    def __init__(self, head: SpanModule, seen: _Words, place: Tensor, real: Tensor) -> None:
        self.place, self.real = place, real
        self.states = gather_rows(seen.spans, place)
        self.first = place // head.width
        self.last = (self.first + place % head.width).clamp(max=seen.sums.shape[1] - 2)
        apart = self.first[:, None, :] - self.last[:, :, None] - 1
        self.linkable = (apart >= 0) & real[:, :, None] & real[:, None, :]
        sums = head.between(seen.sums)
        gap = (gather_rows(sums, self.first)[:, None] - gather_rows(sums, self.last + 1)[:, :, None]) / apart.clamp(min=1)[
            ..., None
        ]
        gap = gap * (apart > 0)[..., None]
        bucket = head.distances(apart.clamp(0, _FARTHEST).add(1).float().log2().mul(2).long().clamp(max=_BUCKETS - 1))
        left, right = head.left(self.states)[:, :, None], head.right(self.states)[:, None]
        self.links: Tensor = head.link(F.gelu(left + right + left * right + gap + bucket)).squeeze(-1)

    def mean_link(self, chosen: Tensor) -> Tensor:
        """Mean link logit over the pairs of each candidate (B, M, K), 0 for a single fragment; (B, M)."""
        real, there = chosen >= 0, chosen.clamp(min=0)
        first, second = torch.triu_indices(chosen.shape[-1], chosen.shape[-1], 1, device=chosen.device)
        both = real[..., first] & real[..., second]
        flat = there[..., first] * self.links.shape[-1] + there[..., second]
        pairs = self.links.flatten(1).gather(1, flat.flatten(1)).view_as(flat)
        return (pairs * both).sum(-1) / both.sum(-1).clamp(min=1)


def _in_order(spans: list[tuple[int, int]], proposed: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Cliques with their fragments from left to right, as training shows them."""
    return [tuple(sorted(clique, key=lambda n: spans[n])) for clique in proposed]
