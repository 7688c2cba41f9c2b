"""What became of every mention, gold and predicted: counts and offsets, never text.

Each mention of gold and each predicted one is in exactly one finding, by the first of these that fits:

- ``correct``: the same fragments, label and concept.
- ``concept``: the same fragments and label; another concept.
- ``type``: the same fragments; another label.
- ``split``: one of gold, and two or more predicted ones of its label that each lie for the most part in it.
- ``merged``: one predicted, and two or more of gold of its label that each lie for the most part in it.
- ``link``: one of each, of one label; the fragments that they share are the same to the character, but one of them has
  a fragment that the other lacks: the pieces were found, what belongs together was not.
- ``boundary``: one of each, of one label; they overlap.
- ``boundary_type``: one of each, of two labels; they overlap.
- ``missed`` of gold, ``spurious`` of predictions: nothing is left to pair it with.

In ``split`` and ``merged``, of mentions that contain one another only the outermost count. Where several mentions could be
paired, those that overlap most are, by characters in common over characters in all.

Source: kinds after Chinchor & Sundheim 1993, "MUC-5 Evaluation Metrics", https://aclanthology.org/M93-1007/, with those that
mentions of several fragments need.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.api.data import Document, Mention
from bench.evaluation.mention_sorts import Sorter

KINDS = ("correct", "concept", "type", "split", "merged", "link", "boundary", "boundary_type", "missed", "spurious")


@dataclass(frozen=True)
class Finding:
    """What became of some mentions of one document.

    Args:
        kind: one of `KINDS`.
        gold: indices into the document's gold mentions.
        predicted: indices into its predicted mentions.
    """

    kind: str
    gold: tuple[int, ...] = ()
    predicted: tuple[int, ...] = ()


def findings(gold: Sequence[Mention], predicted: Sequence[Mention]) -> list[Finding]:
    """What became of the mentions of one document, each of them in one finding.

    Args:
        gold: of the document.
        predicted: of the same one.
    """
    left = _Left(gold, predicted)
    made = [
        *left.same("correct", lambda m: (m.key, m.concept)),
        *left.same("concept", lambda m: m.key),
        *left.same("type", lambda m: m.fragments),
        *left.gathered(),
        *left.paired(),
    ]
    made += [Finding("missed", gold=(i,)) for i in sorted(left.gold)]
    made += [Finding("spurious", predicted=(i,)) for i in sorted(left.predicted)]
    return made


class _Left:
    """The mentions that are in no finding yet."""

    def __init__(self, gold: Sequence[Mention], predicted: Sequence[Mention]) -> None:
        self.gold, self.predicted = dict(enumerate(gold)), dict(enumerate(predicted))

    def taken(self, kind: str, gold: Sequence[int], predicted: Sequence[int]) -> Finding:
        for i in gold:
            del self.gold[i]
        for i in predicted:
            del self.predicted[i]
        return Finding(kind, tuple(gold), tuple(predicted))

    def same(self, kind: str, what: Callable[[Mention], Hashable]) -> list[Finding]:
        """Pairs that agree in something."""
        waiting: defaultdict[Hashable, list[int]] = defaultdict(list)
        for i, mention in self.predicted.items():
            waiting[what(mention)].append(i)
        made = []
        for i, mention in list(self.gold.items()):
            if found := waiting.get(what(mention)):
                made.append(self.taken(kind, (i,), (found.pop(0),)))
        return made

    def gathered(self) -> list[Finding]:
        """Splits and merges, the largest first, so that a mention which could be of two goes to the greater."""
        groups = []
        for kind, wholes, pieces in (("split", self.gold, self.predicted), ("merged", self.predicted, self.gold)):
            for i, whole in wholes.items():
                inside = [n for n, piece in pieces.items() if piece.label == whole.label and _mostly_in(piece, whole)]
                groups.append((kind, i, inside))
        made = []
        for kind, i, inside in sorted(groups, key=lambda group: -len(group[2])):
            wholes, pieces = (self.gold, self.predicted) if kind == "split" else (self.predicted, self.gold)
            outer = _outermost({n: pieces[n] for n in inside if n in pieces}) if i in wholes else []
            if len(outer) > 1:
                made.append(self.taken(kind, *(((i,), outer) if kind == "split" else (outer, (i,)))))
        return made

    def paired(self) -> list[Finding]:
        """Pairs that overlap, those of one label before the others."""
        close = []
        for i, one in self.gold.items():
            for n, other in self.predicted.items():
                if common := _common(one, other):
                    share = common / (_size(one) + _size(other) - common)
                    close.append((one.label != other.label, -share, i, n))
        made = []
        for apart, _, i, n in sorted(close):
            if i in self.gold and n in self.predicted:
                linked = _only_links(self.gold[i], self.predicted[n])
                made.append(self.taken("boundary_type" if apart else "link" if linked else "boundary", (i,), (n,)))
        return made


def _size(mention: Mention) -> int:
    return sum(end - start for start, end in mention.fragments)


def _common(one: Mention, other: Mention) -> int:
    """Characters in common."""
    if one.fragments[-1][1] <= other.fragments[0][0] or other.fragments[-1][1] <= one.fragments[0][0]:
        return 0
    return sum(max(0, min(b, d) - max(a, c)) for a, b in one.fragments for c, d in other.fragments)


def _mostly_in(piece: Mention, whole: Mention) -> bool:
    return 2 * _common(piece, whole) > _size(piece)


def _outermost(mentions: Mapping[int, Mention]) -> list[int]:
    """Those that no other one holds; of equal ones the first."""

    def held(n: int, m: int) -> bool:
        one, other = mentions[n], mentions[m]
        return _common(one, other) == _size(one) and (_size(one) < _size(other) or m < n)

    return [n for n in mentions if not any(held(n, m) for m in mentions if m != n)]


def _only_links(one: Mention, other: Mention) -> bool:
    """Whether every fragment of one is a fragment of the other or touches none of it."""
    return all(b <= c or d <= a for a, b in one.fragments for c, d in other.fragments if (a, b) != (c, d))


@dataclass(frozen=True)
class Compared:
    """One document's gold and predicted mentions, and what became of them.

    Args:
        gold: the document, with text and gold mentions.
        predicted: offsets into its text.
        findings: as `findings` gives them.
    """

    gold: Document
    predicted: tuple[Mention, ...]
    findings: tuple[Finding, ...]


def compare(gold: Sequence[Document], predicted: Sequence[Document]) -> list[Compared]:
    """What became of the mentions of every document.

    Args:
        gold: with text.
        predicted: matched by id; a document that is missing predicts nothing.
    """
    answers = {document.id: document.mentions for document in predicted}
    return [Compared(d, given, tuple(findings(d.mentions, given))) for d in gold for given in [answers.get(d.id, ())]]


def tabulate(compared: Sequence[Compared], sorter: Sorter) -> dict[str, Any]:
    """Counts by kind, and the same for mentions of each sort.

    Args:
        compared: from `compare`.
        sorter: fitted on the training documents.

    Returns:
        ``gold`` and ``predicted``, counts by kind; and ``by``: ``length`` (in words), ``training`` (how often the same words
        are a mention there), ``fragments``, ``abbreviation``, and ``negated`` where slots tell, each from group to the same two
        counts. Of gold mentions the sort is gold's, of predicted ones their own.
    """
    total = _Sides()
    by: dict[str, dict[str, _Sides]] = {sort: {group: _Sides() for group in groups} for sort, groups in sorter.groups.items()}
    for one in compared:
        for finding in one.findings:
            for side, mentions, indices in (
                ("gold", one.gold.mentions, finding.gold),
                ("predicted", one.predicted, finding.predicted),
            ):
                for i in indices:
                    total[side][finding.kind] += 1
                    for sort, group in sorter(one.gold, mentions[i]).items():
                        by[sort][group][side][finding.kind] += 1
    return total.told() | {"by": {sort: {name: sides.told() for name, sides in g.items()} for sort, g in by.items()}}


class _Sides(dict[str, Counter[str]]):
    """Counts by kind, of gold mentions and of predicted ones."""

    def __init__(self) -> None:
        super().__init__(gold=Counter(), predicted=Counter())

    def told(self) -> dict[str, Any]:
        """Kinds in their order, those that do not occur left out."""
        return {side: {kind: counts[kind] for kind in KINDS if counts[kind]} for side, counts in self.items()}


def records(compared: Sequence[Compared]) -> list[dict[str, Any]]:
    """Every finding but the correct ones, as document ids and offsets: ``id``, ``kind``, ``gold`` and ``predicted``, each a
    list of mentions with ``fragments``, ``label`` and ``concept`` where there is one.
    """
    return [
        {
            "id": one.gold.id, "kind": finding.kind,
            "gold": [_record(one.gold.mentions[i]) for i in finding.gold],
            "predicted": [_record(one.predicted[i]) for i in finding.predicted],
        }
        for one in compared
        for finding in one.findings
        if finding.kind != "correct"
    ]  # fmt: skip


def _record(mention: Mention) -> dict[str, Any]:
    concept = {} if mention.concept is None else {"concept": mention.concept}
    return {"fragments": [list(part) for part in mention.fragments], "label": mention.label} | concept
