from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from bench.api.data import Document, Mention
from bench.api.head import Window
from bench.heads.mentions import cliques
from bench.heads.span import SpanClassificationHead

LENGTH = 24
LABELS = ("Disorder", "Finding", "Unseen")


def seen(mentions: Sequence[Mention]) -> Document:
    """The gold of a window."""
    return Document("d", "", tuple(mentions))


def window() -> Window:
    """Words of three characters with one blank between: word i stands at 4·i."""
    spans = tuple((4 * i, 4 * i + 3) for i in range(LENGTH))
    places = tuple(range(1, LENGTH + 1))
    return Window("d", tuple(range(LENGTH + 2)), spans, places, places, 0, 4 * LENGTH - 1)


@st.composite
def mention(draw: st.DrawFn, labels: tuple[str, ...] = LABELS[:2], inside: bool = False) -> Mention:
    """One to four fragments of any width on word boundaries; with `inside`, some a character off."""
    cuts = sorted(draw(st.sets(st.integers(0, LENGTH), min_size=2, max_size=8)))
    pairs = list(zip(cuts[::2], cuts[1::2], strict=False))
    fragments = [(4 * a, 4 * b - 1) for a, b in pairs]
    if inside and draw(st.booleans()):
        start, end = fragments[0]
        fragments[0] = (start + 1, end)
    return Mention(tuple(fragments), draw(st.sampled_from(labels)))


def fitted(**options: int) -> SpanClassificationHead:
    head = SpanClassificationHead(**options)
    head.fit([Document("t", "one two three", (Mention(((0, 3),), label="Disorder"), Mention(((0, 3),), label="Finding")))])
    return head


def causes(mentions: list[Mention], width: int, most: int) -> Counter[str]:
    """What is lost, worked out from the characters alone."""
    lost: Counter[str] = Counter()
    for fragments, label in {m.key for m in mentions}:
        if any(start % 4 for start, _ in fragments):
            lost["inside-word"] += 1
        elif label == "Unseen":
            lost["label"] += 1
        elif any((end - start + 1) // 4 > width for start, end in fragments):
            lost["width"] += 1
        elif len(fragments) > most:
            lost["cap"] += 1
    return lost


@settings(max_examples=200, deadline=None)
@given(st.lists(mention(), max_size=10))
def test_any_set_on_word_boundaries_comes_back_exactly(mentions: list[Mention]) -> None:
    head = fitted(width=LENGTH, fragments=4, cap=100_000)
    encoding = head.encode(window(), seen(mentions))
    decoded = head.decode(window(), head.oracle(encoding))
    assert encoding.lost == Counter()
    assert {m.key for m in decoded} == {m.key for m in mentions}
    assert len(decoded) == len({m.key for m in decoded})


@settings(max_examples=200, deadline=None)
@given(st.lists(mention(LABELS, inside=True), max_size=10), st.integers(1, 6), st.integers(1, 3))
def test_what_does_not_come_back_is_counted_under_its_cause(mentions: list[Mention], width: int, most: int) -> None:
    head = fitted(width=width, fragments=most, cap=100_000)
    encoding = head.encode(window(), seen(mentions))
    decoded = {m.key for m in head.decode(window(), head.oracle(encoding))}
    gold = {m.key for m in mentions}
    assert encoding.lost == causes(mentions, width, most)
    assert decoded <= gold
    assert len(gold) - len(decoded) == encoding.lost.total()


@settings(max_examples=300, deadline=None)
@given(st.lists(mention(), max_size=10), st.integers(1, 12))
def test_the_cap_on_candidates_loses_what_it_says(mentions: list[Mention], cap: int) -> None:
    head = fitted(width=LENGTH, fragments=4, cap=cap)
    encoding = head.encode(window(), seen(mentions))
    decoded = {m.key for m in head.decode(window(), head.oracle(encoding))}
    gold = {m.key for m in mentions}
    assert decoded <= gold
    assert set(encoding.lost) <= {"cap"}
    assert len(gold) - len(decoded) == encoding.lost["cap"]
    assert len(encoding.columns["candidates"]) // 4 <= cap


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 7), st.sets(st.tuples(st.integers(0, 6), st.integers(0, 6))), st.integers(1, 4))
def test_cliques_are_exactly_the_subsets_that_are_fully_linked(count: int, pairs: set[tuple[int, int]], size: int) -> None:
    links = {(a, b) for a, b in pairs if a < b < count}
    expected = [
        tuple(i for i in range(count) if bits >> i & 1)
        for bits in range(1, 2**count)
        if all((a, b) in links for a in range(count) for b in range(a + 1, count) if bits >> a & 1 and bits >> b & 1)
    ]
    expected = sorted((c for c in expected if len(c) <= size), key=lambda c: (len(c), c))
    assert cliques(count, links, size, 10_000) == expected
    assert cliques(count, links, size, 5) == expected[:5]
