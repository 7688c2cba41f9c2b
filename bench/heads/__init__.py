"""Heads: from hidden states to losses and predictions. Nothing here imports torch before a module is built."""

from __future__ import annotations

from bench.api.head import Head
from bench.errors import unknown

HEADS = ("span", "bio", "bioes", "relation", "joint", "classify", "ranking")


def make_head(name: str) -> Head:
    """A fresh head.

    Args:
        name: ``span`` for mentions of any shape, ``bio`` and ``bioes`` for tags, ``relation`` for relations between
            mentions that are given, ``joint`` for mentions and the relations between them, ``classify`` for one class a
            document, ``ranking`` for the passages of a query.

    Raises:
        UsageError: no head has this name.
    """
    if name == "span":
        from bench.heads.span import SpanClassificationHead

        return SpanClassificationHead()
    if name == "bio":
        from bench.heads.bio import TokenClassificationHead

        return TokenClassificationHead()
    if name == "bioes":
        from bench.heads.bio import BioesHead

        return BioesHead()
    if name == "relation":
        from bench.heads.relation import RelationExtractionHead

        return RelationExtractionHead()
    if name == "joint":
        from bench.heads.joint import MentionRelationHead

        return MentionRelationHead()
    if name == "classify":
        from bench.heads.classify import ClassificationHead

        return ClassificationHead()
    if name == "ranking":
        from bench.heads.ranking import SequenceRankingHead

        return SequenceRankingHead()
    raise unknown("head", name, HEADS, "bench run --help")
