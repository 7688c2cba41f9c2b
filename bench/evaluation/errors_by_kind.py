"""Errors by kind: classifies every gold and every predicted mention; gives counts and offsets, never text.

Each gold and each predicted mention is in exactly one finding, of the first kind that fits:

- ``correct``: the same fragments, label and concept.
- ``concept``: the same fragments and label; another concept.
- ``type``: the same fragments; another label.
- ``split``: one gold mention, and two or more predicted ones of its label of which more than half lies in it.
- ``merged``: one predicted mention, and two or more gold ones of its label of which more than half lies in it.
- ``link``: one of each, of the same label; fragments that touch are equal, but one mention has a fragment that the other
  lacks: the fragments are right, their combination is not.
- ``boundary``: one of each, of the same label; they overlap.
- ``boundary_type``: one of each, of different labels; they overlap.
- ``missed`` (gold), ``spurious`` (predicted): nothing is left to pair it with.

In ``split`` and ``merged``, of mentions that contain one another only the outermost count. Where several pairs are possible,
the one with the largest overlap is taken: shared characters divided by all characters of both.

Source: kinds after Chinchor & Sundheim 1993, "MUC-5 Evaluation Metrics", https://aclanthology.org/M93-1007/, with further ones
for mentions of several fragments.
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
    """One error of a document, or one correct mention.

    Args:
        kind: one of `KINDS`.
        gold: indices into the document's gold mentions.
        predicted: indices into its predicted mentions.
    """

    kind: str
    gold: tuple[int, ...] = ()
    predicted: tuple[int, ...] = ()


def findings(gold: Sequence[Mention], predicted: Sequence[Mention]) -> list[Finding]:
    """The findings of one document; every mention is in exactly one.

    Args:
        gold: its gold mentions.
        predicted: its predicted mentions.
    """
    unmatched = _Unmatched(gold, predicted)
    listed = [
        *unmatched.same("correct", lambda m: (m.key, m.concept)),
        *unmatched.same("concept", lambda m: m.key),
        *unmatched.same("type", lambda m: m.fragments),
        *unmatched.gathered(),
        *unmatched.paired(),
    ]
    listed += [Finding("missed", gold=(i,)) for i in sorted(unmatched.gold)]
    listed += [Finding("spurious", predicted=(i,)) for i in sorted(unmatched.predicted)]
    return listed


class _Unmatched:
    """Mentions that are in no finding yet."""

    def __init__(self, gold: Sequence[Mention], predicted: Sequence[Mention]) -> None:
        self.gold, self.predicted = dict(enumerate(gold)), dict(enumerate(predicted))

    def taken(self, kind: str, gold: Sequence[int], predicted: Sequence[int]) -> Finding:
        for i in gold:
            del self.gold[i]
        for i in predicted:
            del self.predicted[i]
        return Finding(kind, tuple(gold), tuple(predicted))

    def same(self, kind: str, what: Callable[[Mention], Hashable]) -> list[Finding]:
        """Pairs for which `what` is equal."""
        waiting: defaultdict[Hashable, list[int]] = defaultdict(list)
        for i, mention in self.predicted.items():
            waiting[what(mention)].append(i)
        pairs = []
        for i, mention in list(self.gold.items()):
            if candidates := waiting.get(what(mention)):
                pairs.append(self.taken(kind, (i,), (candidates.pop(0),)))
        return pairs

    def gathered(self) -> list[Finding]:
        """Splits and merges, the largest first: a mention that fits two goes to the larger one."""
        groups = []
        for kind, containers, pieces in (("split", self.gold, self.predicted), ("merged", self.predicted, self.gold)):
            for i, container in containers.items():
                inside = [n for n, piece in pieces.items() if piece.label == container.label and _mostly_in(piece, container)]
                groups.append((kind, i, inside))
        findings = []
        for kind, i, inside in sorted(groups, key=lambda group: -len(group[2])):
            containers, pieces = (self.gold, self.predicted) if kind == "split" else (self.predicted, self.gold)
            outer = _outermost({n: pieces[n] for n in inside if n in pieces}) if i in containers else []
            if len(outer) > 1:
                findings.append(self.taken(kind, *(((i,), outer) if kind == "split" else (outer, (i,)))))
        return findings

    def paired(self) -> list[Finding]:
        """Pairs that overlap, those of the same label first."""
        close = []
        for i, gold in self.gold.items():
            for n, predicted in self.predicted.items():
                if common := _common(gold, predicted):
                    share = common / (_size(gold) + _size(predicted) - common)
                    close.append((gold.label != predicted.label, -share, i, n))
        pairs = []
        for apart, _, i, n in sorted(close):
            if i in self.gold and n in self.predicted:
                linked = _only_links(self.gold[i], self.predicted[n])
                pairs.append(self.taken("boundary_type" if apart else "link" if linked else "boundary", (i,), (n,)))
        return pairs


def _size(mention: Mention) -> int:
    return sum(end - start for start, end in mention.fragments)


def _common(left: Mention, right: Mention) -> int:
    """Number of shared characters."""
    if left.fragments[-1][1] <= right.fragments[0][0] or right.fragments[-1][1] <= left.fragments[0][0]:
        return 0
    return sum(max(0, min(b, d) - max(a, c)) for a, b in left.fragments for c, d in right.fragments)


def _mostly_in(piece: Mention, container: Mention) -> bool:
    return 2 * _common(piece, container) > _size(piece)


def _outermost(mentions: Mapping[int, Mention]) -> list[int]:
    """Indices of the mentions that no other one contains; of equal ones the first."""

    def contained(n: int, m: int) -> bool:
        inner, outer = mentions[n], mentions[m]
        return _common(inner, outer) == _size(inner) and (_size(inner) < _size(outer) or m < n)

    return [n for n in mentions if not any(contained(n, m) for m in mentions if m != n)]


def _only_links(left: Mention, right: Mention) -> bool:
    """Whether every fragment of one mention equals a fragment of the other or overlaps none of it."""
    return all(b <= c or d <= a for a, b in left.fragments for c, d in right.fragments if (a, b) != (c, d))


@dataclass(frozen=True)
class Compared:
    """One document's gold and predicted mentions, and its findings.

    Args:
        gold: the document, with text and gold mentions.
        predicted: offsets into its text.
        findings: as `findings` gives them.
    """

    gold: Document
    predicted: tuple[Mention, ...]
    findings: tuple[Finding, ...]


def compare(gold: Sequence[Document], predicted: Sequence[Document]) -> list[Compared]:
    """The findings of every document.

    Args:
        gold: with text.
        predicted: matched by id; a missing document has no predictions.
    """
    answers = {document.id: document.mentions for document in predicted}
    return [Compared(d, mentions, tuple(findings(d.mentions, mentions))) for d in gold for mentions in [answers.get(d.id, ())]]


def tabulate(compared: Sequence[Compared], sorter: Sorter) -> dict[str, Any]:
    """Counts by kind, overall and for each sort of mentions.

    Args:
        compared: from `compare`.
        sorter: fitted on the training documents.

    Returns:
        ``gold`` and ``predicted``, counts by kind; and ``by``: ``length`` (in words), ``training`` (how often its words are a
        mention in training), ``fragments``, ``abbreviation``, and ``negated`` where slots say so, each from group to the same
        two counts. A predicted mention is sorted by itself, not by the gold mention that it is paired with.
    """
    total = _Sides()
    by: dict[str, dict[str, _Sides]] = {sort: {group: _Sides() for group in groups} for sort, groups in sorter.groups.items()}
    for document in compared:
        for finding in document.findings:
            for side, mentions, indices in (
                ("gold", document.gold.mentions, finding.gold),
                ("predicted", document.predicted, finding.predicted),
            ):
                for i in indices:
                    total[side][finding.kind] += 1
                    for sort, group in sorter(document.gold, mentions[i]).items():
                        by[sort][group][side][finding.kind] += 1
    return total.as_json() | {"by": {sort: {name: sides.as_json() for name, sides in g.items()} for sort, g in by.items()}}


class _Sides(dict[str, Counter[str]]):
    """Counts by kind, of gold mentions and of predicted ones."""

    def __init__(self) -> None:
        super().__init__(gold=Counter(), predicted=Counter())

    def as_json(self) -> dict[str, Any]:
        """Counts of the kinds that occur, in the order of `KINDS`."""
        return {side: {kind: counts[kind] for kind in KINDS if counts[kind]} for side, counts in self.items()}


def records(compared: Sequence[Compared]) -> list[dict[str, Any]]:
    """Every finding that is not correct, as JSON: ``id``, ``kind``, and lists ``gold`` and ``predicted`` of mentions with
    ``fragments``, ``label`` and, if there is one, ``concept``.
    """
    return [
        {
            "id": document.gold.id, "kind": finding.kind,
            "gold": [_record(document.gold.mentions[i]) for i in finding.gold],
            "predicted": [_record(document.predicted[i]) for i in finding.predicted],
        }
        for document in compared
        for finding in document.findings
        if finding.kind != "correct"
    ]  # fmt: skip


def _record(mention: Mention) -> dict[str, Any]:
    concept = {} if mention.concept is None else {"concept": mention.concept}
    return {"fragments": [list(part) for part in mention.fragments], "label": mention.label} | concept
