"""What a head's prediction says of its own chances, and that scorers never notice."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from bench.api.data import Document, Judgement, Mention, Relation
from bench.api.head import Window
from bench.data.cuts import joined
from bench.results.store import read_predictions, write_predictions

KEY = (((0, 4),), "A")
OTHER = (((5, 9),), "B")


def window(count: int) -> Window:
    """Words of four letters."""
    places = tuple(range(1, count + 1))
    spans = tuple((5 * n, 5 * n + 4) for n in range(count))
    return Window("d", (0, *places, 0), spans, places, places, 0, 5 * count - 1)


def test_confidence_is_no_part_of_what_a_prediction_is() -> None:
    sure, unsure = Mention(((0, 4),), confidence=0.9), Mention(((0, 4),), confidence=0.2)
    assert sure == unsure == Mention(((0, 4),))
    assert len({sure, unsure, Mention(((0, 4),))}) == 1
    assert len({Relation(KEY, OTHER, "r", 0.9), Relation(KEY, OTHER, "r")}) == 1


def test_predictions_are_saved_with_their_confidences(tmp_path: Path) -> None:
    document = Document(
        "d",
        "secret text",
        (Mention(((0, 4),), "A", confidence=0.75), Mention(((5, 9),), "B")),
        (Relation(KEY, OTHER, "r", 0.5), Relation(OTHER, KEY, "r")),
        (Judgement("yes", 0.25, False),),
    )
    path = tmp_path / "p.jsonl"
    write_predictions(path, [document])
    (back,) = read_predictions(path)
    assert back == document.without_text()
    assert [m.confidence for m in back.mentions] == [0.75, None]
    assert [r.confidence for r in back.relations] == [0.5, None]
    assert path.read_text().count("confidence") == 2


def test_files_from_before_confidences_are_read(tmp_path: Path) -> None:
    path = tmp_path / "old.jsonl"
    path.write_text('{"id": "d", "mentions": [{"fragments": [[0, 4]], "label": "A"}]}\n')
    assert read_predictions(path)[0].mentions[0].confidence is None


def test_joining_windows_keeps_confidences() -> None:
    found = joined(Document("d", "word word"), [Mention(((0, 4),), "A", confidence=0.5), Relation(KEY, OTHER, "r", 0.25)])
    assert found.mentions[0].confidence == 0.5
    assert found.relations[0].confidence == 0.25


def test_accepted_candidates_carry_the_probability_of_their_logit() -> None:
    torch = pytest.importorskip("torch")
    from bench.heads.span import SpanClassificationHead

    torch.manual_seed(1)
    head = SpanClassificationHead()
    head.fit([Document("d", "word " * 6, (Mention(((0, 4),), "A"), Mention(((5, 9), (15, 19)), "B")))])
    module: Any = head.module(16)
    for parameter in module.parameters():
        parameter.data += torch.randn(parameter.shape) * 0.3
    places = torch.arange(1, 7)[None]
    data = {"first": places, "last": places, "word_mask": torch.ones(1, 6), "attention_mask": torch.ones(1, 8)}
    hidden = torch.randn(1, 8, 16)
    with torch.no_grad():
        found, _, judged = module._accepted(hidden, data)
    (row,) = module.predict(hidden, data)
    assert row
    assert {sure for *_, sure in row} != {1.0}
    for (parts, kind, sure), at in found[0]:
        assert sure == pytest.approx(1 / (1 + math.exp(-float(judged.logits[0, at, kind]))), abs=1e-4)
        assert sure >= (head.floor or 0) - 1e-4
        assert (parts, kind, sure) in row
    decoded = head.decode(window(6), row)
    assert sorted(m.confidence or 0 for m in decoded) == sorted(sure for *_, sure in row)


def test_a_joint_relation_is_no_more_probable_than_its_mentions() -> None:
    from bench.heads.joint import MentionRelationHead

    head = MentionRelationHead()
    text = "word word word word"
    mentions = (Mention(((0, 4),), "A"), Mention(((5, 9),), "B"))
    gold = Document("d", text, mentions, (Relation(KEY, OTHER, "r"),))
    head.fit([gold])
    kinds = {label: i for i, label in enumerate(head.span.labels)}
    found = [((((0, 0)),), kinds["A"], 0.8), ((((1, 1)),), kinds["B"], 0.5)]
    decoded = head.decode(window(4), (found, [(0, 1, 0, 0.5)]))
    assert [m.confidence for m in decoded if isinstance(m, Mention)] == [0.8, 0.5]
    assert [r.confidence for r in decoded if isinstance(r, Relation)] == [0.2]
    perfect = head.decode(window(4), head.oracle(head.encode(window(4), gold)))
    assert [a.confidence for a in perfect if isinstance(a, Mention | Relation)] == [1.0, 1.0, 1.0]


def test_a_relation_carries_the_probability_of_its_pair() -> None:
    torch = pytest.importorskip("torch")
    from bench.heads.relation import RelationExtractionHead

    torch.manual_seed(0)
    head = RelationExtractionHead()
    gold = Document("d", "word word word", (Mention(((0, 4),), "A"), Mention(((5, 9),), "B")), (Relation(KEY, OTHER, "r"),))
    head.fit([gold])
    encoding = head.encode(window(3), gold)
    module = head.module(16)
    torch.nn.init.constant_(module.label.bias, 1.5)
    places = torch.arange(1, 4)[None]
    data = {"first": places, "last": places, "word_mask": torch.ones(1, 3), **head.collate([encoding.columns], 3)}
    hidden = torch.randn(1, 5, 16)
    logits = module.logits(hidden, data).detach()
    assert logits.shape == (1, 1)
    (relation,) = head.decode(window(3), module.predict(hidden, data)[0])
    assert relation.confidence == pytest.approx(1 / (1 + math.exp(-float(logits))), abs=1e-4)
    assert 0.5 < relation.confidence < 1
