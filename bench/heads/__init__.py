"""The heads that come with bench, from hidden states to losses and predictions, and their registration.

They stand in the core because tasks and plugins build on them. Nothing here imports torch before a module is built.
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.api.head import Head
from bench.errors import unknown
from bench.hooks import hookimpl


@hookimpl
def bench_heads() -> Sequence[Head]:
    """One fresh head of each kind: those of mentions first, then relations, pairs, classes, rankings and ratings."""
    from bench.heads.bio import BioesHead, TokenClassificationHead
    from bench.heads.classify import ClassificationHead
    from bench.heads.joint import MentionRelationHead
    from bench.heads.multilabel import MultiLabelHead
    from bench.heads.pairs import ConceptPairHead
    from bench.heads.ranking import SequenceRankingHead
    from bench.heads.regress import RegressionHead
    from bench.heads.relation import RelationExtractionHead
    from bench.heads.span import SpanClassificationHead

    return (
        SpanClassificationHead(), TokenClassificationHead(), BioesHead(), RelationExtractionHead(), MentionRelationHead(),
        ConceptPairHead(), ClassificationHead(), MultiLabelHead(), SequenceRankingHead(), RegressionHead(),
    )  # fmt: skip


def make_head(name: str) -> Head:
    """A fresh head of bench, for a task's own `head`.

    Args:
        name: as ``bench list heads`` shows it.

    Raises:
        UsageError: no head of bench has this name.
    """
    heads = {head.name: head for head in bench_heads()}
    if name not in heads:
        raise unknown("head", name, heads, "bench list heads")
    return heads[name]
