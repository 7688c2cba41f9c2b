"""The head of pairs: candidates of a document, what is lost, how scores of mentions become one, and where training starts."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from bench.api.data import Document, Mention, Relation
from bench.api.head import Encoding, Window
from bench.conformance.workbench import Pieces
from bench.data.cuts import cut, joined
from bench.errors import DataError
from bench.heads import make_head
from bench.heads.pairs import ConceptPairHead
from bench.steps.trained import given

TEXT = "abc and def1 with ghi2 after abc in the late phase of def1 or jkl3."


def at(word: str, label: str, concept: str | None, start: int = 0) -> Mention:
    place = TEXT.index(word, start)
    return Mention(((place, place + len(word)),), label, concept)


def related(*pairs: tuple[str, str], label: str = "CID") -> tuple[Relation, ...]:
    return tuple(Relation(((), a), ((), b), label) for a, b in pairs)


MENTIONS = (
    at("abc", "C", "c1"), at("def1", "D", "d1"), at("ghi2", "D", "d2|d3"), at("abc", "C", "c1", 5), at("def1", "D", "d1", 20),
    at("jkl3", "D", None),
)  # fmt: skip
DOCUMENT = Document("1", TEXT, MENTIONS, related(("c1", "d1"), ("c1", "d3")))


def fitted(*documents: Document) -> ConceptPairHead:
    head = ConceptPairHead()
    head.fit(documents or (DOCUMENT,))
    return head


def encoded(head: ConceptPairHead, document: Document, length: int = 256) -> tuple[Window, Encoding]:
    ((window,), (gold,), _) = cut(document, Pieces(), length, head.cuts)
    return window, head.encode(window, gold)


def rows(head: ConceptPairHead, *documents: Document) -> list[dict[str, Any]]:
    made = []
    for document in documents:
        window, encoding = encoded(head, document)
        made.append(
            {"input_ids": list(window.input_ids), "first": list(window.first), "last": list(window.last)}
            | {f"t.{name}": values for name, values in encoding.columns.items()}
        )
    return made


def test_a_candidate_is_a_pair_of_concepts_with_all_pairs_of_their_mentions() -> None:
    head = fitted()
    window, encoding = encoded(head, DOCUMENT)
    assert encoding.columns["sizes"] == [4, 2, 2]  # c1 with d1, d2, d3
    assert encoding.columns["targets"] == [1, 0, 1]
    assert encoding.lost == Counter()
    assert encoding.supervised == len(window.words)
    back = joined(DOCUMENT, head.decode(window, head.oracle(encoding)))
    assert set(back.relations) == set(DOCUMENT.relations)
    assert given(head) == "mentions"


def test_what_cannot_be_reached_is_lost_under_its_cause() -> None:
    head = fitted()
    gold = related(("c1", "d1"), ("c1", "d9"), ("d1", "c1")) + related(("c1", "d2"), label="GDA")
    _, encoding = encoded(head, replace(DOCUMENT, relations=gold))
    assert encoding.lost == Counter(mention=1, pair=1, label=1)
    short, encoding = encoded(head, DOCUMENT, 6)
    assert short.words[-1][1] < MENTIONS[2].fragments[0][1]
    assert encoding.columns["sizes"] == [1]
    assert encoding.lost == Counter(window=1)  # the composite mention lies behind the end


def test_the_state_survives_json_and_names_of_any_kind_survive_the_columns() -> None:
    strange = replace(
        DOCUMENT, mentions=(replace(MENTIONS[0], concept="a\tb\nß𝛼"), MENTIONS[1]), relations=related(("a\tb\nß𝛼", "d1"))
    )
    head = fitted(strange)
    again = make_head("pairs")
    again.restore(json.loads(json.dumps(head.state())))
    assert again.state() == head.state()
    window, encoding = encoded(head, strange)
    assert again.decode(window, again.oracle(encoding)) == strange.relations  # type: ignore[attr-defined]


def test_training_without_a_pair_that_has_mentions_is_refused() -> None:
    with pytest.raises(DataError, match="hold no relation whose concepts have mentions"):
        ConceptPairHead().fit([replace(DOCUMENT, relations=related(("c8", "d9")))])


@pytest.mark.torch
def test_the_score_of_concepts_pools_those_of_their_mentions() -> None:
    torch = pytest.importorskip("torch")
    from bench.data.cache import collate
    from bench.heads.relation import RelationModule

    head = fitted()
    other = replace(DOCUMENT, id="2", mentions=MENTIONS[:2], relations=related(("c1", "d1")))
    bare = replace(DOCUMENT, id="3", mentions=(), relations=())
    batch = collate(rows(head, other, bare, DOCUMENT), head, 0)
    torch.manual_seed(0)
    module = head.module(16)
    hidden = torch.randn(*batch["input_ids"].shape, 16)
    logits = module.logits(hidden, batch).detach()
    each = RelationModule.logits(module, hidden, batch).detach()
    assert (logits.shape, each.shape) == ((4, 1), (1 + 6, 1))
    places = [tuple(pair) for pair in batch["pairs"].tolist()]
    first, *_ = logits[:, 0].tolist()
    assert first == pytest.approx(float(each[places.index((0, 0, 1))]))
    # In the third window c1 is the mentions 0 and 3, d1 the mentions 1 and 4, d2 and d3 the mention 2.
    for at_row, targets in ((1, (1, 4)), (2, (2,)), (3, (2,))):
        scores = [float(each[places.index((2, source, target))]) for source in (0, 3) for target in targets]
        assert float(logits[at_row]) == pytest.approx(math.log(sum(map(math.exp, scores))), abs=1e-5)
    assert torch.isfinite(module.loss(hidden, batch))
    predictions = module.predict(hidden, batch)
    assert [len(found) for found in predictions] == [1, 0, 3]
    said = {(r.source[1], r.target[1]): r.confidence for r in head.decode(encoded(head, DOCUMENT)[0], predictions[2])}
    assert said == {
        ends: pytest.approx(1 / (1 + math.exp(-float(score))), abs=1e-4)
        for ends, score in zip((("c1", "d1"), ("c1", "d2"), ("c1", "d3")), logits[1:, 0], strict=True)
    }


@pytest.mark.torch
def test_training_starts_at_how_common_a_relation_is_and_a_batch_may_hold_no_candidate() -> None:
    torch = pytest.importorskip("torch")
    from bench.data.cache import collate
    from bench.heads.tensors import log_odds

    one = replace(DOCUMENT, relations=related(("c1", "d1")))
    head = fitted(DOCUMENT, one, replace(one, relations=()))
    facts = head.fitted()
    assert (facts.candidates, facts.related) == (9, (3,))
    module = head.module(16)
    torch.nn.init.zeros_(module.label.weight)
    batch = collate(rows(head, DOCUMENT), head, 0)
    logits = module.logits(torch.randn(*batch["input_ids"].shape, 16), batch)
    assert float(logits.detach().mean()) == pytest.approx(log_odds(3, 9), abs=1e-5)
    empty = collate(rows(head, replace(DOCUMENT, mentions=MENTIONS[:1], relations=())), head, 0)
    hidden = torch.randn(*empty["input_ids"].shape, 16, requires_grad=True)
    loss = module.loss(hidden, empty)
    loss.backward()
    assert float(loss.detach()) == 0
    assert module.predict(hidden, empty) == [[]]
