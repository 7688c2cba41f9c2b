"""The head of the task: events, times and containers from one pass, an event's relation to the document folded into its label.

The span part learns ``EVENT/OVERLAP`` and its like beside ``TIMEX3``; decoding takes the two apart again. Where one place was
given several relations to the document, the commonest in training stands. The relation part sees EVENT and TIMEX3 only.
"""

from __future__ import annotations

from bench.api.data import Fragment, Mention
from bench.heads.joint import MentionRelationHead

SLOT = "DocTimeRel"


class TemporalHead(MentionRelationHead):
    """Mentions with `SLOT`, and CONTAINS between them."""

    name = "temporal"

    def written(self, mention: Mention) -> str:
        """The label with the relation to the document's time behind it, where there is one."""
        return "/".join((mention.label, *mention.slots.get(SLOT, ())[:1]))

    def read(self, fragments: tuple[Fragment, ...], written: str) -> Mention:
        """The mention with its slot. A value may hold a slash of its own: ``BEFORE/OVERLAP``."""
        label, _, value = written.partition("/")
        return Mention(fragments, label, slots={SLOT: (value,)} if value else {})
