"""The funnel of gold mentions, over any gold and any proposals."""

from __future__ import annotations

from itertools import combinations
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bench.api.data import Document, Fragment, Mention
from bench.api.head import Window
from bench.evaluation.funnel import SORTS, STAGES, Funnel
from bench.evaluation.mention_sorts import Sorter
from bench.heads.mentions import cliques
from bench.heads.span import Found, Proposed, SpanClassificationHead

LENGTH = 8
TEXT = " ".join(["one", "two"] * (LENGTH // 2))
LABELS = ("X", "Y")


def window() -> Window:
    """Words of three characters with one blank between: word i stands at 4·i."""
    places = tuple(range(1, LENGTH + 1))
    return Window("d", tuple(range(LENGTH + 2)), tuple((4 * i, 4 * i + 3) for i in range(LENGTH)), places, places, 0, len(TEXT))


@st.composite
def parts(draw: st.DrawFn) -> tuple[tuple[int, int], ...]:
    """One to four spans of words that do not touch, as gold is tidy."""
    cuts = sorted(draw(st.sets(st.integers(0, LENGTH), min_size=2, max_size=8)))
    return tuple((a, b - 1) for a, b in zip(cuts[::2], cuts[1::2], strict=False))


def characters(spans: tuple[tuple[int, int], ...]) -> tuple[Fragment, ...]:
    return tuple((4 * first, 4 * last + 3) for first, last in spans)


def head(width: int = LENGTH, fragments: int = 4, cap: int = 100_000) -> SpanClassificationHead:
    made = SpanClassificationHead(width, fragments, cap)
    made.fit([Document("t", TEXT, tuple(Mention(((0, 3),), label) for label in LABELS))])
    return made


GOLD = st.lists(st.tuples(parts(), st.sampled_from(LABELS)), max_size=6)


@st.composite
def proposed(draw: st.DrawFn) -> Proposed:
    """Any spans, any links between those that lie apart, and the cliques of both up to a cap."""
    spans = draw(st.lists(st.tuples(st.integers(0, LENGTH - 1), st.integers(0, 3)), unique=True, max_size=8))
    fragments = [(first, min(first + more, LENGTH - 1)) for first, more in spans]
    fragments = list(dict.fromkeys(fragments))
    pairs = [(a, b) for a in range(len(fragments)) for b in range(len(fragments)) if fragments[a][1] < fragments[b][0]]
    links = draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []
    return Proposed(fragments, links, cliques(len(fragments), links, 4, draw(st.integers(1, 60))))


@settings(max_examples=300, deadline=None)
@given(GOLD, proposed(), st.data())
def test_no_stage_is_reached_but_through_those_before(gold: list[Any], given_: Proposed, data: st.DataObject) -> None:
    finder = head()
    document = Document("d", TEXT, tuple(Mention(characters(spans), label) for spans, label in gold))
    judged = [(tuple(sorted(given_.fragments[i] for i in one)), kind, 0.9) for one in given_.candidates for kind in (0, 1)]
    found = Found(data.draw(st.lists(st.sampled_from(judged), unique=True)) if judged else [], given_)
    accepted = finder.decode(window(), found)
    for mention in document.mentions:  # each by itself, so that counts say what became of it
        funnel = Funnel([Document("d", TEXT, (mention,))])
        funnel.see(window(), finder.proposals(window(), found))
        counts = funnel.tabulate([Document("d", "", accepted)], Sorter({}))
        have = {stage: counts[stage]["reached"] for stage in STAGES}
        pieces = len(mention.fragments)
        assert [counts[stage]["gold"] for stage in STAGES] == [pieces, pieces * (pieces - 1) // 2, 1, 1]
        assert have["accepted"] == (mention.key in {m.key for m in accepted})
        assert have["accepted"] <= have["candidates"]
        if have["candidates"]:
            assert (have["fragments"], have["links"]) == (pieces, pieces * (pieces - 1) // 2)
        places = {characters((span,))[0] for span in given_.fragments}
        if not have["candidates"]:
            assert have["fragments"] == len(places.intersection(mention.fragments))
            linked = {(places_of(given_, a), places_of(given_, b)) for a, b in given_.links}
            assert have["links"] == len(linked.intersection(combinations(mention.fragments, 2)))


def places_of(made: Proposed, index: int) -> Fragment:
    return characters((made.fragments[index],))[0]


@settings(max_examples=200, deadline=None)
@given(GOLD, st.integers(1, 6), st.integers(1, 3), st.integers(1, 40))
def test_a_perfect_head_reaches_all_that_it_can_hold(gold: list[Any], width: int, most: int, cap: int) -> None:
    finder = head(width, most, cap)
    document = Document("d", TEXT, tuple(Mention(characters(spans), label) for spans, label in gold))
    encoding = finder.encode(window(), document)
    oracle = finder.oracle(encoding)
    funnel = Funnel([document])
    funnel.see(window(), finder.proposals(window(), oracle))
    counts = funnel.tabulate([Document("d", "", finder.decode(window(), oracle))], Sorter({}))
    keys = {m.key for m in document.mentions}
    assert counts["accepted"] == {"gold": len(keys), "reached": len(keys) - encoding.lost.total()}
    if not encoding.lost:
        assert all(counts[stage]["reached"] == counts[stage]["gold"] for stage in STAGES)
    for sort in SORTS:
        for stage in STAGES:
            groups = counts["by"][sort].values()
            assert {key: sum(group[stage][key] for group in groups) for key in ("gold", "reached")} == counts[stage]
