"""Candidates, encoding and decoding of relations between given mentions, and of mentions with their relations."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.api.data import Document, Mention, Passage, Relation
from bench.conformance.workbench import Pieces
from bench.data.cuts import cut, joined
from bench.errors import DataError
from bench.heads import make_head
from bench.heads.joint import MentionRelationHead
from bench.heads.relation import Pairs, RelationExtractionHead

TEXT = "Abc inhibits def1 and ghi2 but not jkl3. Mno activates def1 in the liver of very old mice, unlike pqr4."


def at(word: str, label: str, start: int = 0) -> Mention:
    place = TEXT.index(word, start)
    return Mention(((place, place + len(word)),), label)


ABC, MNO = at("Abc", "C"), at("Mno", "C")
DEF, GHI, JKL, DEF2, PQR = at("def1", "G"), at("ghi2", "G"), at("jkl3", "G"), at("def1", "G", 40), at("pqr4", "G")
MENTIONS = (ABC, DEF, GHI, JKL, MNO, DEF2, PQR)
SENTENCES = (Passage("s1", (0, 40)), Passage("s2", (41, len(TEXT))))


def related(*pairs: tuple[Mention, Mention, str]) -> tuple[Relation, ...]:
    return tuple(Relation(a.key, b.key, label) for a, b, label in pairs)


GOLD = related((ABC, DEF, "down"), (ABC, GHI, "down"), (ABC, DEF, "binds"), (MNO, DEF2, "up"))


def document(relations: tuple[Relation, ...] = GOLD, passages: tuple[Passage, ...] = SENTENCES) -> Document:
    return Document("d", TEXT, MENTIONS, relations, passages=passages)


def fitted(*documents: Document, share: float = 1.0) -> RelationExtractionHead:
    head = RelationExtractionHead(share)
    head.fit(documents)
    return head


def through(head: RelationExtractionHead, given: Document) -> tuple[Document, Counter[str], int]:
    windows, golds, lost = cut(given, Pieces(), 512, "sentences")
    found, candidates = [], 0
    for window, gold in zip(windows, golds, strict=True):
        encoding = head.encode(window, gold)
        lost += encoding.lost
        candidates += len(encoding.columns["pairs"]) // 2
        assert encoding.supervised == len(window.words)
        found += head.decode(window, head.oracle(encoding))
    return joined(given, found), lost, candidates


def test_candidates_are_pairs_of_one_sentence_whose_labels_occurred_related() -> None:
    head = fitted(document())
    back, lost, candidates = through(head, document())
    assert set(back.relations) == set(GOLD)
    assert lost == Counter()
    assert candidates == 3 + 2  # Abc with three genes, Mno with two; never gene to gene, nor gene to chemical
    facts = head.fitted()
    assert facts.labels == ("binds", "down", "up")
    assert facts.candidates == 5
    assert facts.related == (1, 2, 1)


def test_without_passages_the_distance_of_training_pairs_is_the_limit() -> None:
    head = fitted(document(passages=()))
    assert head.fitted().reach == 3  # from Abc to ghi2: inhibits def1 and
    far = document(related((ABC, JKL, "down"), (ABC, DEF, "down")), passages=())
    back, lost, _ = through(head, far)
    assert lost == Counter({"distance": 1})
    assert {r.target for r in back.relations} == {DEF.key}


def test_the_share_of_pairs_that_may_be_candidates_sets_the_reach() -> None:
    near = [document(related((ABC, DEF, "down")), passages=()) for _ in range(9)]
    far = document(related((ABC, PQR, "down")), passages=())
    assert fitted(*near, far, share=0.9).fitted().reach == 1
    assert (fitted(*near, far, share=1.0).fitted().reach or 0) > 15


@pytest.mark.parametrize(
    ("relations", "cause"),
    [
        (related((ABC, DEF2, "down")), "passage"),
        (related((DEF, ABC, "down")), "pair"),
        (related((DEF, GHI, "down")), "pair"),
        (related((ABC, DEF, "unheard")), "label"),
    ],
)
def test_what_is_no_candidate_is_counted_under_its_cause(relations: tuple[Relation, ...], cause: str) -> None:
    back, lost, _ = through(fitted(document()), document(relations))
    assert back.relations == ()
    assert lost == Counter({cause: 1})


def test_given_mentions_lose_nothing_inside_words_and_none_to_their_fragments() -> None:
    inside = Mention(((1, 3),), "C")
    pieces = Mention((DEF.fragments[0], GHI.fragments[0]), "G")
    relations = related((inside, pieces, "down"), (ABC, pieces, "up"))
    given = Document("d", TEXT, (*MENTIONS, inside, pieces), relations, passages=SENTENCES)
    head = fitted(given)
    assert head.fitted().fragments == 2
    back, lost, _ = through(head, given)
    assert set(back.relations) == set(relations)
    assert not lost
    narrow = fitted(document())
    assert through(narrow, given)[1] == Counter({"cap": 2})


def test_relations_without_direction_are_no_candidates_backwards() -> None:
    forward, backward = related((DEF, GHI, "binds")), related((GHI, DEF, "binds"))
    genes = 3 * 2 + 2 * 1  # ordered pairs of genes in either sentence
    assert through(fitted(document(forward)), document(forward))[2] == genes
    head = RelationExtractionHead(share=1.0, forward=True)
    head.fit([document(forward)])
    back, lost, candidates = through(head, document(forward))
    assert (set(back.relations), lost, candidates) == (set(forward), Counter(), genes // 2)
    assert through(head, document(backward))[1] == Counter({"direction": 1})
    older = head.state()
    del older["forward"]
    restored = RelationExtractionHead()
    restored.restore(older)
    assert not restored.fitted().forward


def test_a_mention_across_sentences_is_near_nothing() -> None:
    across = Mention(((36, 44),), "G")
    given = Document("d", TEXT, (ABC, MNO, across, DEF), related((ABC, across, "down"), (ABC, DEF, "down")), passages=SENTENCES)
    assert through(fitted(document()), given)[1] == Counter({"passage": 1})


def test_the_state_is_plain_and_comes_back() -> None:
    head = fitted(document())
    text = json.dumps(head.state())
    assert "inhibits" not in text
    assert "Abc" not in text
    again = RelationExtractionHead()
    again.restore(json.loads(text))
    assert again.fitted() == head.fitted()
    assert through(again, document())[0] == through(head, document())[0]


def test_training_without_relations_is_refused() -> None:
    with pytest.raises(DataError, match="no relation"):
        fitted(document(()))


@given(
    st.lists(st.tuples(st.integers(-1, 2), st.integers(0, 30), st.integers(0, 4), st.integers(0, 2)), max_size=12),
    st.sets(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1),
    st.one_of(st.none(), st.integers(0, 12)),
)
@settings(max_examples=200, deadline=None)
def test_candidates_are_those_of_a_plain_loop(
    rows: list[tuple[int, int, int, int]], types: set[tuple[int, int]], reach: int | None
) -> None:
    facts = Pairs(("r",), ("a", "b", "c"), tuple(sorted(types)), reach, 1, 0, (0,))
    kinds, parts = [r[0] for r in rows], [r[3] for r in rows]
    places = [(first, first + more) for _, first, more, _ in rows]
    wanted = []
    for i, (a, b) in enumerate(places):
        for j, (c, d) in enumerate(places):
            between = c - b - 1 if c > b else a - d - 1 if a > d else -1
            near = parts[i] == parts[j] if reach is None else between <= reach
            if i != j and (kinds[i], kinds[j]) in types and near:
                wanted.append((i, j))
    source, target = facts.near(kinds, places, parts)
    assert list(zip(source.tolist(), target.tolist(), strict=True)) == wanted


def joint() -> MentionRelationHead:
    head = make_head("joint")
    assert isinstance(head, MentionRelationHead)
    head.fit([document(passages=())])
    return head


def test_the_joint_head_brings_mentions_and_relations_back() -> None:
    head, given = joint(), document(passages=())
    (window,), (gold,), _ = cut(given, Pieces(), 512, "sentences")
    encoding = head.encode(window, gold)
    back = joined(given, head.decode(window, head.oracle(encoding)))
    assert {m.key for m in back.mentions} == {m.key for m in MENTIONS}
    assert set(back.relations) == set(GOLD)
    assert not encoding.lost
    again = MentionRelationHead()
    again.restore(json.loads(json.dumps(head.state())))
    assert again.encode(window, gold) == encoding


def test_the_joint_head_loses_relations_of_mentions_that_it_cannot_find() -> None:
    inside = Mention(((1, 3),), "C")
    given = Document("d", TEXT, (*MENTIONS, inside), (*GOLD, *related((inside, DEF, "down"))))
    head = joint()
    (window,), (gold,), _ = cut(given, Pieces(), 512, "sentences")
    encoding = head.encode(window, gold)
    assert encoding.lost == Counter({"inside-word": 1, "mention": 1})
    assert set(joined(given, head.decode(window, head.oracle(encoding))).relations) == set(GOLD)
