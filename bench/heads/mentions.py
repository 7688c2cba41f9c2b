"""Sets of mentions as graphs over fragments, and back, without torch.

A mention is a hyperedge over fragments, so that a graph alone cannot hold a set of them: the gold mentions {a,b}, {b,c}, {a,c}
link a, b and c into one triangle, whose maximal clique {a,b,c} is none of them, and a mention inside another is no maximal
clique either. Links therefore only propose: every clique is a candidate, single fragments included, and gold is the subset
of candidates that are mentions. Written down that way any set of mentions on word boundaries comes back exactly, or is
counted by what stood in its way.

Sources: maximal cliques, Wang et al. 2021, "Discontinuous Named Entity Recognition as Maximal Clique Discovery",
arXiv 2106.00218; fragments as classified spans, Li et al. 2021, "A Span-Based Model for Joint Overlapped and Discontinuous
Named Entity Recognition", arXiv 2106.14373.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from bench.api.data import Document, Fragment, Mention
from bench.api.head import Window

Span = tuple[int, int]
"""(first word, last word) of a fragment, both inclusive, counted within a window."""

Parts = tuple[Span, ...]
"""The fragments of a mention, in ascending order."""


@dataclass(frozen=True)
class MentionGraph:
    """The gold mentions of a window as fragments, links between them, and candidates with verdicts.

    Args:
        fragments: ascending.
        fragment_labels: for each fragment, the labels (indices) of the mentions it is part of.
        links: pairs (i, j), i < j, of fragments that some mention holds together.
        candidates: the cliques of the links, as ascending fragment indices, smallest first.
        verdicts: for each candidate, the labels (indices) of the mentions it is; empty where it is none.
    """

    fragments: tuple[Span, ...]
    fragment_labels: tuple[frozenset[int], ...]
    links: tuple[tuple[int, int], ...]
    candidates: tuple[tuple[int, ...], ...]
    verdicts: tuple[frozenset[int], ...]


def cliques(count: int, links: Iterable[tuple[int, int]], size: int, cap: int) -> list[tuple[int, ...]]:
    """All cliques of a graph, not only the maximal ones, single nodes included.

    Args:
        count: number of nodes, 0 to count - 1.
        links: undirected edges.
        size: most nodes in a clique.
        cap: most cliques that are returned.

    Returns:
        Ascending node indices; smaller cliques first, then in order of their indices.
    """
    after: list[set[int]] = [set() for _ in range(count)]
    for a, b in links:
        after[min(a, b)].add(max(a, b))
    all_cliques: list[tuple[int, ...]] = [(i,) for i in range(min(count, cap))]
    level = all_cliques
    for _ in range(size - 1):
        grown: list[tuple[int, ...]] = []
        for clique in level:
            if len(all_cliques) + len(grown) >= cap:
                break
            common = set.intersection(*(after[i] for i in clique))
            grown.extend((*clique, i) for i in sorted(common))
        level = grown[: cap - len(all_cliques)]
        all_cliques = all_cliques + level
    return all_cliques


def words_of(window: Window, mentions: Sequence[Mention], lost: Counter[str]) -> list[tuple[Parts, str]]:
    """The mentions of a window in words, without repetitions; those that start or end inside a word are counted lost.

    Args:
        window: whose words are meant.
        mentions: in characters of the document.
        lost: ``inside-word`` is added to here.
    """
    starts = {start: i for i, (start, _) in enumerate(window.words)}
    ends = {end: i for i, (_, end) in enumerate(window.words)}
    in_words = []
    for fragments, label in dict.fromkeys(mention.key for mention in mentions):
        parts = [(starts.get(start, -1), ends.get(end, -1)) for start, end in fragments]
        if all(0 <= first <= last for first, last in parts):
            in_words.append((tuple(parts), label))
        else:
            lost["inside-word"] += 1
    return in_words


def characters_of(window: Window, parts: Parts) -> tuple[Fragment, ...]:
    """The fragments in characters of the document."""
    return tuple((window.words[first][0], window.words[last][1]) for first, last in parts)


def mention_graph(
    mentions: Collection[tuple[Parts, str]], labels: Sequence[str], width: int, size: int, cap: int, lost: Counter[str]
) -> MentionGraph:
    """Writes a set of mentions down as a graph with verdicts.

    Args:
        mentions: fragments in words, and label.
        labels: the inventory.
        width: most words in a fragment; mentions with a longer one are lost to ``width``.
        size: most fragments in a mention; mentions with more are lost to ``cap``.
        cap: most candidates in a window; mentions among the rest are lost to ``cap``.
        lost: added to here; mentions with a label outside the inventory are lost to ``label``.
    """
    index = {label: i for i, label in enumerate(labels)}
    verdicts: dict[Parts, set[int]] = {}
    for parts, label in mentions:
        if label not in index:
            lost["label"] += 1
        elif any(last - first >= width for first, last in parts):
            lost["width"] += 1
        elif len(parts) > size:
            lost["cap"] += 1
        else:
            verdicts.setdefault(parts, set()).add(index[label])
    fragments = sorted({span for parts in verdicts for span in parts})
    place = {span: i for i, span in enumerate(fragments)}
    carried: list[set[int]] = [set() for _ in fragments]
    links: set[tuple[int, int]] = set()
    nodes: dict[tuple[int, ...], frozenset[int]] = {}
    for parts, carries in verdicts.items():
        clique = tuple(sorted(place[span] for span in parts))
        nodes[clique] = frozenset(carries)
        links.update((a, b) for n, a in enumerate(clique) for b in clique[n + 1 :])
        for i in clique:
            carried[i] |= carries
    candidates = cliques(len(fragments), links, size, cap)
    reached = set(candidates)
    unreached = sum(len(carries) for clique, carries in nodes.items() if clique not in reached)
    if unreached:
        lost["cap"] += unreached
    return MentionGraph(
        tuple(fragments),
        tuple(map(frozenset, carried)),
        tuple(sorted(links)),
        tuple(candidates),
        tuple(nodes.get(clique, frozenset()) for clique in candidates),
    )


@dataclass(frozen=True)
class Rates:
    """How common things are in training text: what a head's biases start from.

    Args:
        words: words in all.
        fragments: label to the number of distinct fragments that mentions of it have.
        pieces: distinct fragments.
        links: distinct links.
        alone: label to the number of mentions of one fragment.
        joined: label to the number of mentions of several fragments.
        continued: label to the number of words that its mentions of one fragment have beyond their first.
    """

    words: int
    fragments: Counter[str]
    pieces: int
    links: int
    alone: Counter[str]
    joined: Counter[str]
    continued: Counter[str]

    @property
    def labels(self) -> tuple[str, ...]:
        """The label inventory, sorted."""
        return tuple(sorted(self.fragments))


def measure(documents: Sequence[Document]) -> Rates:
    """Counts words, fragments, links and mentions of documents."""
    from bench.data.windows import words  # its patterns take 9 ms to compile, which listing heads does not need

    total = pieces = links = 0
    fragments, alone, joined, continued = (Counter[str]() for _ in range(4))
    for document in documents:
        starts = [start for start, _ in words(document.text)]
        total += len(starts)
        keys = {mention.key for mention in document.mentions}
        fragments.update(label for _, label in {(part, label) for parts, label in keys for part in parts})
        pieces += len({part for parts, _ in keys for part in parts})
        links += len({(a, b) for parts, _ in keys for n, a in enumerate(parts) for b in parts[n + 1 :]})
        for parts, label in keys:
            (alone if len(parts) == 1 else joined)[label] += 1
            if len(parts) == 1:
                continued[label] += max(bisect_left(starts, parts[0][1]) - bisect_left(starts, parts[0][0]) - 1, 0)
    return Rates(total, fragments, pieces, links, alone, joined, continued)
