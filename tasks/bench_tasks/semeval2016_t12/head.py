"""The head of the task: events, times and containers from one pass; an event's DocTimeRel is part of its label.

The span part learns labels such as ``EVENT/OVERLAP`` and ``TIMEX3``; decoding separates label and slot. If the same span has
several values, the one that is most frequent in training is kept. The relation part sees EVENT and TIMEX3 only.
"""

from __future__ import annotations

from bench.api.data import Fragment, Mention
from bench.heads.joint import MentionRelationHead

SLOT = "DocTimeRel"


class TemporalHead(MentionRelationHead):
    """Mentions with `SLOT`, and CONTAINS between them."""

    name = "temporal"

    def written(self, mention: Mention) -> str:
        """The label, followed by the value of `SLOT` if there is one."""
        return "/".join((mention.label, *mention.slots.get(SLOT, ())[:1]))

    def read(self, fragments: tuple[Fragment, ...], written: str) -> Mention:
        """The mention with its slot; a value may contain a slash: ``BEFORE/OVERLAP``."""
        label, _, value = written.partition("/")
        return Mention(fragments, label, slots={SLOT: (value,)} if value else {})
