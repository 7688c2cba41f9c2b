"""Documents as whole windows and as query and passage; and windows joined into documents again."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("numpy")

from bench.api.data import Document, Judgement, Mention, Passage, Relation
from bench.conformance.workbench import Pieces
from bench.data.cuts import cut, joined, separator, shared
from bench.data.windows import assign, windows
from bench.errors import UsageError

TEXT = "does it rain? yes it does rain a lot. no."
PASSAGES = (Passage("C2", (14, 37)), Passage("C1", (38, 41)))
RANKED = Document("Q1", TEXT, judgements=(Judgement("C2", 1.0, True), Judgement("C1", 0.0, False)), passages=PASSAGES)


def covered(document: Document, words: tuple[tuple[int, int], ...]) -> list[str]:
    return [document.text[a:b] for a, b in words]


def test_a_whole_document_is_one_window_cut_at_the_end() -> None:
    document = Document("d", "one two three four", judgements=(Judgement("yes", 1.0, True),))
    (window,), (gold,), lost = cut(document, Pieces(), 50, "whole")
    assert covered(document, window.words) == ["one", "two", "three", "four"]
    assert len(window.input_ids) == 2 + 5  # "three" takes two pieces
    assert (gold.text, gold.judgements, lost) == ("", document.judgements, {})
    (short,), _, lost = cut(document, Pieces(), 5, "whole")
    assert covered(document, short.words) == ["one", "two", "three"]
    assert short.input_ids == (*window.input_ids[:4], window.input_ids[-1])
    assert short.last[-1] == 3
    assert lost == {"truncated": 1}


def test_each_passage_stands_behind_the_query() -> None:
    made, gold, lost = cut(RANKED, Pieces(), 40, "passages")
    assert [w.part for w in made] == [0, 1]
    assert [(w.start, w.end) for w in made] == [p.span for p in PASSAGES]
    assert covered(RANKED, made[0].words) == ["does", "it", "rain", "?", "yes", "it", "does", "rain", "a", "lot", "."]
    assert covered(RANKED, made[1].words) == ["does", "it", "rain", "?", "no", "."]
    assert [g.judgements for g in gold] == [(RANKED.judgements[0],), (RANKED.judgements[1],)]
    assert not lost
    # the separator stands between them and belongs to no word
    between = len(separator(Pieces()))
    assert made[1].first[4] == made[1].last[3] + 1 + between


def test_a_query_and_a_passage_that_are_too_long_share_the_room() -> None:
    assert shared([3, 4], 10) == [3, 4]
    assert shared([30, 4], 10) == [6, 4]
    assert shared([30, 40], 10) == [5, 5]
    assert shared([3, 40], 10) == [3, 7]
    assert shared([12], 10) == [10]


@given(st.lists(st.integers(0, 50), min_size=1, max_size=2), st.integers(2, 60))
def test_what_is_shared_fits_and_wastes_nothing(sizes: list[int], room: int) -> None:
    kept = shared(sizes, room)
    assert all(0 <= k <= n for k, n in zip(kept, sizes, strict=True))
    assert sum(kept) == min(sum(sizes), room)


@given(st.text(alphabet="ab .,\n", max_size=60), st.integers(4, 30), st.sampled_from(["whole", "passages"]))
def test_windows_fit_and_their_words_point_at_their_tokens(text: str, length: int, how: Any) -> None:
    middle = len(text) // 2
    document = Document("d", text, passages=(Passage("p", (middle, len(text))),))
    made, gold, _ = cut(document, Pieces(), length, how)
    assert len(made) == len(gold) == 1
    for window in made:
        assert len(window.input_ids) <= length
        assert all(0 < a <= b < len(window.input_ids) - 1 for a, b in zip(window.first, window.last, strict=True))
        assert list(window.first) == sorted(window.first)


def test_no_room_is_an_error() -> None:
    with pytest.raises(UsageError, match="leaves no room"):
        cut(RANKED, Pieces(), 3, "passages")


def test_relations_stay_with_the_window_that_holds_both_ends() -> None:
    a, b, c = Mention(((0, 2),), "X"), Mention(((3, 5),), "Y"), Mention(((7, 9),), "Y")
    document = Document("d", "Ab cd. Ef gh.", (a, b, c), (Relation(a.key, b.key, "r"), Relation(a.key, c.key, "r")))
    found, lost = assign(document, windows(document, Pieces(), 5))
    assert [share.mentions for share in found] == [(a, b), (c,)]
    assert [share.relations for share in found] == [(Relation(a.key, b.key, "r"),), ()]
    assert lost == {"window": 1}


def test_windows_are_joined_by_kind_and_passages_get_their_names_back() -> None:
    a, b = Mention(((0, 2),), "X"), Mention(((3, 4),), "Y")
    relation = Relation(a.key, b.key, "r")
    found = [b, a, b, relation, relation, Judgement("#1", 0.2, False), Judgement("#0", 0.9, True)]
    document = joined(RANKED, found)
    assert document.text == ""
    assert document.mentions == (a, b)
    assert document.relations == (relation,)
    assert document.judgements == (Judgement("C2", 0.9, True), Judgement("C1", 0.2, False))
