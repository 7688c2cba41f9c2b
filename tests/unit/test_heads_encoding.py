from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

import pytest

from bench.api.data import Document, Mention
from bench.api.head import Window
from bench.errors import DataError, UsageError
from bench.heads import make_head
from bench.heads.bio import TokenClassificationHead
from bench.heads.mentions import measure
from bench.heads.span import SpanClassificationHead

TEXT = "left and right atrial enlargement"
LEFT, RIGHT, ATRIAL, ENLARGEMENT = (0, 4), (9, 14), (15, 21), (22, 33)


def seen(mentions: Sequence[Mention]) -> Document:
    """The gold of a window."""
    return Document("d", "", tuple(mentions))


def window(count: int = 5) -> Window:
    words = ((0, 4), (5, 8), RIGHT, ATRIAL, ENLARGEMENT)[:count]
    places = tuple(range(1, count + 1))
    return Window("d", tuple(range(count + 2)), words, places, places, 0, words[-1][1])


def span_head(*mentions: Mention) -> SpanClassificationHead:
    head = SpanClassificationHead()
    head.fit([Document("d", TEXT, mentions)])
    return head


def test_three_pairs_do_not_become_a_triple() -> None:
    pairs = [Mention((LEFT, RIGHT)), Mention((RIGHT, ENLARGEMENT)), Mention((LEFT, ENLARGEMENT))]
    head = span_head(*pairs)
    encoding = head.encode(window(), seen(pairs))
    candidates = [tuple(encoding.columns["candidates"][i : i + 3]) for i in range(0, 21, 3)]
    verdicts = dict(zip(candidates, encoding.columns["candidate_labels"], strict=True))
    assert verdicts[0, 1, 2] == 0
    assert verdicts[0, 1, -1] == verdicts[0, 2, -1] == verdicts[1, 2, -1] == 1
    assert verdicts[0, -1, -1] == verdicts[1, -1, -1] == verdicts[2, -1, -1] == 0
    assert set(head.decode(window(), head.oracle(encoding))) == set(pairs)


def test_shared_head_and_nested_mention_come_back() -> None:
    shared = [Mention((LEFT, (15, 33))), Mention(((9, 33),)), Mention((ENLARGEMENT,)), Mention((LEFT, (9, 33)))]
    head = span_head(*shared)
    encoding = head.encode(window(), seen(shared))
    assert not encoding.lost
    assert set(head.decode(window(), head.oracle(encoding))) == set(shared)


def test_one_span_may_be_mentions_of_two_labels() -> None:
    both = [Mention((ATRIAL,), "Anatomy"), Mention((ATRIAL,), "Disorder"), Mention((LEFT, ATRIAL), "Disorder")]
    head = span_head(*both)
    assert head.labels == ("Anatomy", "Disorder")
    encoding = head.encode(window(), seen(both))
    assert encoding.columns["fragment_labels"] == [0, 1, 1, 1]
    assert head.decode(window(), head.oracle(encoding)) == (both[2], both[0], both[1])


def test_every_loss_has_its_cause() -> None:
    head = SpanClassificationHead(width=2, fragments=2)
    head.fit([Document("d", TEXT, (Mention((LEFT,)),))])
    mentions = [
        Mention(((1, 4),)),
        Mention(((0, 14),)),
        Mention((LEFT, RIGHT, ENLARGEMENT)),
        Mention((LEFT,), "Procedure"),
        Mention((LEFT,)),
    ]
    encoding = head.encode(window(), seen(mentions))
    assert encoding.lost == Counter({"inside-word": 1, "width": 1, "cap": 1, "label": 1})
    assert head.decode(window(), head.oracle(encoding)) == (Mention((LEFT,)),)
    assert encoding.supervised == 5


def test_rates_count_what_the_text_holds() -> None:
    found = measure(
        [Document("d", TEXT, (Mention((LEFT, ENLARGEMENT)), Mention(((9, 33),)), Mention(((9, 33),), concept="C1")))]
    )
    assert (found.words, found.pieces, found.links) == (5, 3, 1)
    assert found.alone == {"Disorder": 1}
    assert found.joined == {"Disorder": 1}
    assert found.continued == {"Disorder": 2}


def test_bio_keeps_the_longest_and_counts_the_rest() -> None:
    mentions = [
        Mention((ENLARGEMENT,)),
        Mention(((9, 33),)),
        Mention((LEFT,)),
        Mention((LEFT, ENLARGEMENT)),
        Mention(((6, 8),)),
    ]
    head = TokenClassificationHead()
    head.fit([Document("d", TEXT, tuple(mentions))])
    encoding = head.encode(window(), seen(mentions))
    assert encoding.columns["tags"] == [1, 0, 1, 2, 2]
    assert encoding.lost == Counter({"overlap": 1, "discontiguous": 1, "inside-word": 1})
    assert set(head.decode(window(), head.oracle(encoding))) == {Mention((LEFT,)), Mention(((9, 33),))}


def test_bio_decodes_neighbours_and_a_mention_at_the_end() -> None:
    head = TokenClassificationHead()
    head.fit([Document("d", TEXT, (Mention((LEFT,), "A"), Mention((RIGHT,), "B")))])
    assert head.decode(window(), [(0, 0, 0, 1.0), (1, 2, 0, 1.0), (3, 4, 1, 1.0)]) == (
        Mention(((0, 4),), "A", confidence=1.0),
        Mention(((5, 14),), "A", confidence=1.0),
        Mention(((15, 33),), "B", confidence=1.0),
    )


@pytest.mark.parametrize("name", ["span", "bio"])
def test_training_documents_without_a_mention_are_refused(name: str) -> None:
    with pytest.raises(DataError, match="no mention"):
        make_head(name).fit([Document("d", TEXT)])


def test_unknown_head_suggests() -> None:
    with pytest.raises(UsageError, match=r"Unknown head 'spam'\. Did you mean 'span'"):
        make_head("spam")


@pytest.mark.parametrize("name", ["span", "bio"])
def test_what_was_learned_survives_json(name: str) -> None:
    head, restored = make_head(name), make_head(name)
    head.fit([Document("d", TEXT, (Mention((LEFT, ENLARGEMENT), "A"), Mention((RIGHT,), "B"), Mention(((15, 33),), "B")))])
    restored.restore(json.loads(json.dumps(head.state())))
    assert restored.state() == head.state()
    gold = [Mention((RIGHT,), "B"), Mention((LEFT,), "A")]
    encoding = restored.encode(window(), seen(gold))
    assert encoding == head.encode(window(), seen(gold))
    assert set(restored.decode(window(), restored.oracle(encoding))) == set(gold)
    if isinstance(head, SpanClassificationHead) and isinstance(restored, SpanClassificationHead):
        assert restored.rates == head.rates
