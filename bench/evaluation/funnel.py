"""The funnel: how many gold mentions pass each stage of a head that proposes candidates; gives counts, never text.

The stages are `STAGES`: the *fragments* of a mention are proposed; its *links*, which are all pairs of its fragments, are
proposed; the mention, with exactly its fragments, is among the *candidates*; and it is *accepted*: predicted with its label
after thresholds. The stage that loses most gold is the part of the head to improve.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from bench.api.data import Document, Fragment, tidy
from bench.api.head import Proposals, Window
from bench.evaluation.mention_sorts import Sorter

STAGES = ("fragments", "links", "candidates", "accepted")
SORTS = ("fragments", "length", "training")
"""Sorts of mentions for which there are counts."""

Link = tuple[Fragment, Fragment]


@dataclass
class _Reached:
    """What was proposed for gold mentions with the same fragments."""

    fragments: set[Fragment] = field(default_factory=set)
    links: set[Link] = field(default_factory=set)
    candidate: bool = False


class Funnel:
    """Follows the gold mentions of a split while it is predicted, window by window; proposals that are not gold are dropped.

    A mention that reaches a stage counts as having passed the earlier ones. It may not have: fragments of a candidate with
    only white space between them become one fragment of the prediction.

    Args:
        gold: the split, with text.
    """

    def __init__(self, gold: Sequence[Document]) -> None:
        self._gold = {document.id: document for document in gold}
        self._reached = {d.id: {m.fragments: _Reached() for m in d.mentions} for d in gold}
        self.seen = False
        """Whether `see` was called; it is not for a head without proposals."""

    def see(self, window: Window, proposals: Proposals) -> None:
        """Adds the proposals for a window."""
        self.seen = True
        gold = self._reached[window.document]
        text = self._gold[window.document].text
        candidates = {tidy(candidate, text) for candidate in proposals.candidates} if gold else set()
        for fragments, reached in gold.items():
            reached.candidate |= fragments in candidates
            reached.fragments |= proposals.fragments.intersection(fragments)
            reached.links |= proposals.links.intersection(combinations(fragments, 2))

    def tabulate(self, predicted: Sequence[Document], sorter: Sorter) -> dict[str, Any]:
        """Counts of gold by stage, overall and for each sort of mentions.

        Args:
            predicted: the accepted predictions; matched by id.
            sorter: fitted on the training documents.

        Returns:
            Each of `STAGES` to ``gold`` (a number) and ``reached``. The first stage counts fragments, the second links, the
            others mentions. Mentions that differ in their concept alone count once, since they can be predicted once. ``by``:
            each of `SORTS` from group to the same.
        """
        accepted = {document.id: {mention.key for mention in document.mentions} for document in predicted}
        total = _counts()
        by = {sort: {group: _counts() for group in sorter.groups[sort]} for sort in SORTS}
        for document in self._gold.values():
            for mention in {mention.key: mention for mention in document.mentions}.values():
                stages = self._stage_counts(document.id, mention.fragments, mention.key in accepted.get(document.id, ()))
                groups = sorter(document, mention)
                for counts in (total, *(by[sort][groups[sort]] for sort in SORTS)):
                    for stage, (gold, reached) in zip(STAGES, stages, strict=True):
                        counts[stage]["gold"] += gold
                        counts[stage]["reached"] += reached
        return {**total, "by": by}

    def _stage_counts(self, document: str, fragments: tuple[Fragment, ...], accepted: bool) -> tuple[tuple[int, int], ...]:
        """For a mention, at each stage, the number in gold and the number reached."""
        reached = self._reached[document][fragments]
        built = accepted or reached.candidate
        pieces, pairs = len(fragments), len(fragments) * (len(fragments) - 1) // 2
        return (
            (pieces, pieces if built else len(reached.fragments)),
            (pairs, pairs if built else len(reached.links)),
            (1, int(built)),
            (1, int(accepted)),
        )


def _counts() -> dict[str, dict[str, int]]:
    return {stage: {"gold": 0, "reached": 0} for stage in STAGES}
