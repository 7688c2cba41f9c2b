"""The tagging heads: schemes, transitions, and mentions as probable as the allowed rows that hold them."""

from __future__ import annotations

from itertools import pairwise, product
from math import prod
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.api.data import Document, Mention
from bench.api.head import Encoding, Window
from bench.heads.bio import BioesHead, TokenClassificationHead, followers, roles

LABELS = ("A", "B")
HEADS = (TokenClassificationHead, BioesHead)


def window(count: int) -> Window:
    spans = tuple((5 * i, 5 * i + 4) for i in range(count))
    places = tuple(range(1, count + 1))
    return Window("d", tuple(range(count + 2)), spans, places, places, 0, 5 * count)


def mention(first: int, last: int, label: str) -> Mention:
    return Mention(((5 * first, 5 * last + 4),), label)


def fitted(kind: type[TokenClassificationHead]) -> TokenClassificationHead:
    head = kind()
    text = " ".join(["word"] * 100)
    head.fit([Document("t", text, (mention(0, 0, "A"), mention(2, 4, "A"), mention(6, 7, "B"), mention(9, 12, "B")))])
    return head


def spelled(head: TokenClassificationHead, tags: list[int]) -> list[str]:
    names = ["O", *(f"{role}-{label}" for label in LABELS for role in head.scheme)]
    return [names[tag] for tag in tags]


def test_a_head_carries_the_name_of_its_scheme() -> None:
    assert (TokenClassificationHead.name, BioesHead.name) == ("bio", "bioes")


def test_roles_of_short_and_long_mentions() -> None:
    assert [roles("BI", n) for n in (1, 2, 3)] == [[0], [0, 1], [0, 1, 1]]
    assert [roles("BIES", n) for n in (1, 2, 4)] == [[3], [0, 2], [0, 1, 1, 2]]


def test_tags_that_are_written() -> None:
    gold = Document("d", "", (mention(0, 0, "A"), mention(1, 3, "B"), mention(4, 5, "A")))
    rows = [spelled(head, head.encode(window(7), gold).columns["tags"]) for head in map(fitted, HEADS)]
    assert rows[0] == ["B-A", "B-B", "I-B", "I-B", "B-A", "I-A", "O"]
    assert rows[1] == ["S-A", "B-B", "I-B", "E-B", "B-A", "E-A", "O"]


def test_rates_are_the_shares_of_tags() -> None:
    assert fitted(TokenClassificationHead).rates == pytest.approx((0.90, 0.02, 0.02, 0.02, 0.04))
    assert fitted(BioesHead).rates == pytest.approx((0.90, 0.01, 0.01, 0.01, 0.01, 0.02, 0.02, 0.02, 0.0))


def test_what_may_follow_what() -> None:
    """Against a reading of the schemes as words."""
    for scheme, labels in (("BI", 2), ("BIES", 2), ("BI", 1), ("BIES", 1)):
        names = ["O", *(f"{role}{i}" for i in range(labels) for role in scheme)]
        allowed = {(names[a], names[b]) for a, b in followers(scheme, labels)}  # type: ignore[arg-type]
        for a, b in product(names, names):
            joins = a[0] in "BI" and b[0] in "IE" and a[1:] == b[1:]
            apart = b[0] in "OBS" and (scheme == "BI" or a[0] in "OES")
            assert ((a, b) in allowed) == (joins or apart), (scheme, a, b)


@st.composite
def flat_mentions(draw: st.DrawFn) -> list[Mention]:
    found, at = [], 0
    while at < 14:
        length = draw(st.integers(1, 4))
        if draw(st.booleans()) and at + length <= 14:
            found.append(mention(at, at + length - 1, draw(st.sampled_from(LABELS))))
        at += length
    return found


@pytest.mark.parametrize("kind", HEADS)
@given(gold=flat_mentions())
def test_contiguous_mentions_come_back_and_their_rows_are_allowed(
    kind: type[TokenClassificationHead], gold: list[Mention]
) -> None:
    head = fitted(kind)
    encoding = head.encode(window(14), Document("d", "", tuple(gold)))
    assert list(head.decode(window(14), head.oracle(encoding))) == gold
    assert not encoding.lost
    allowed = set(followers(head.scheme, len(LABELS)))
    assert all(pair in allowed for pair in pairwise([0, *encoding.columns["tags"], 0]))


@pytest.mark.parametrize("kind", HEADS)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 4), st.integers(0, 1), st.sampled_from((0.05, 0.3, 0.49, 0.8)))))
def test_mentions_that_overlap_stand_in_the_order_of_their_probability(
    kind: type[TokenClassificationHead], spans: list[tuple[int, int, int, float]]
) -> None:
    predicted = [(first, first + more, label, sure) for first, more, label, sure in spans]
    found = fitted(kind).decode(window(14), predicted)
    taken = [set(range(*one.fragments[0])) for one in found]
    assert sum(map(len, taken)) == len(set().union(*taken))
    for first, last, _, sure in predicted:  # each stands, or one that is as likely stands in its way
        rivals = [
            one.confidence or 0 for one, place in zip(found, taken, strict=True) if place & {*range(5 * first, 5 * last + 4)}
        ]
        assert max(rivals, default=0) >= sure


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("floor", [0.02, 0.5])
def test_a_mention_is_as_probable_as_all_allowed_rows_that_hold_it(kind: type[TokenClassificationHead], floor: float) -> None:
    """Against every row that the scheme allows, written out."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(4)
    head = kind()
    head.floor, head.labels = floor, LABELS if kind is TokenClassificationHead else LABELS[:1]
    head.rates = (0.4, *[0.6 / len(kind.scheme)] * len(kind.scheme) * len(head.labels))
    module: Any = head.module(16)
    torch.nn.init.normal_(module.tag.weight, std=1.5)
    tags = len(head.rates)
    allowed = set(followers(head.scheme, len(head.labels)))
    seen = 0
    for seed in range(3):
        hidden = torch.randn(2, 7, 16, generator=torch.Generator().manual_seed(seed))
        places = torch.arange(1, 6).repeat(2, 1)
        mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
        data = {"first": places, "last": places, "word_mask": mask}
        scores = module.logits(hidden, data).detach().softmax(-1).double()
        rows = module.predict(hidden, data)
        for i, length in enumerate((5, 3)):
            weights: dict[tuple[int, int, int], float] = {}
            total = 0.0
            for row in product(range(tags), repeat=length):
                if all(p in allowed for p in pairwise((0, *row, 0))):
                    weight = prod(float(scores[i, n, tag]) for n, tag in enumerate(row))
                    total += weight
                    for first, last, label, _ in head.oracle(Encoding({"tags": list(row)}, length)):
                        weights[first, last, label] = weights.get((first, last, label), 0) + weight
            wanted = {place: weight / total for place, weight in weights.items() if weight / total >= floor}
            got = {(first, last, label): sure for first, last, label, sure in rows[i]}
            assert got == pytest.approx(wanted)
            seen += len(got)
    assert seen >= 3
