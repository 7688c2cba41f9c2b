"""The heads that say something of whole documents: classes, and the ranking of passages."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from bench.api.data import Document, Judgement, Passage  # noqa: E402
from bench.api.head import Window  # noqa: E402
from bench.conformance.workbench import Pieces  # noqa: E402
from bench.data.cache import collate  # noqa: E402
from bench.data.cuts import cut, joined  # noqa: E402
from bench.errors import DataError  # noqa: E402
from bench.heads import make_head  # noqa: E402
from bench.heads.ranking import MARGIN, RankingModule  # noqa: E402
from bench.heads.tensors import mean  # noqa: E402

HIDDEN = 16


def classified(name: str, chosen: str, classes: tuple[str, ...] = ("no", "yes")) -> Document:
    return Document(name, f"Text of {name}.", judgements=tuple(Judgement(c, float(c == chosen), c == chosen) for c in classes))


def query(name: str, *relevant: bool) -> Document:
    text, passages, judgements = f"Question {name}?", [], []
    for i, yes in enumerate(relevant):
        said = f" Answer {i} to {name}."
        passages.append(Passage(f"{name}_C{i}", (len(text) + 1, len(text) + len(said))))
        judgements.append(Judgement(f"{name}_C{i}", float(yes), yes))
        text += said
    return Document(name, text, judgements=tuple(judgements), passages=tuple(passages))


def rows(head: Any, documents: list[Document], length: int = 64) -> list[dict[str, Any]]:
    made = []
    for document in documents:
        for window, gold in zip(*cut(document, Pieces(), length, head.cuts)[:2], strict=True):
            encoding = head.encode(window, gold)
            columns = {f"t.{k}": v for k, v in encoding.columns.items()}
            made.append(
                {"input_ids": list(window.input_ids), "first": list(window.first), "last": list(window.last), **columns}
            )
    return made


def states(batch: dict[str, Any]) -> Any:
    torch.manual_seed(3)
    return torch.nn.Embedding(Pieces.vocabulary, HIDDEN)(batch["input_ids"]).detach()


def test_a_class_goes_there_and_back() -> None:
    head = make_head("classify")
    head.fit([classified("a", "yes"), classified("b", "no"), classified("c", "yes"), classified("d", "yes")])
    assert head.state() == {"classes": ["no", "yes"], "rates": [0.25, 0.75]}
    (window,), (gold,), _ = cut(classified("e", "yes"), Pieces(), 64, head.cuts)
    encoding = head.encode(window, gold)
    assert (encoding.columns, encoding.supervised, encoding.lost) == ({"class": [1]}, 1, {})
    assert head.decode(window, head.oracle(encoding)) == (Judgement("no", 0.0, False), Judgement("yes", 1.0, True))
    assert [j.chosen for j in head.decode(window, [0.5, 0.5])] == [True, False]


def test_a_class_that_training_never_saw_is_lost_and_not_made_up() -> None:
    head = make_head("classify")
    head.fit([classified("a", "yes"), classified("b", "no")])
    (window,), (gold,), _ = cut(classified("e", "maybe", ("maybe", "no", "yes")), Pieces(), 64, head.cuts)
    encoding = head.encode(window, gold)
    assert (encoding.supervised, dict(encoding.lost)) == (0, {"label": 1})
    assert head.decode(window, head.oracle(encoding)) == ()


@pytest.mark.parametrize(
    "documents",
    [
        [classified("a", "yes"), classified("b", "yes")],
        [classified("a", "yes"), Document("b", "x")],
        [classified("a", "yes"), classified("b", "none of them")],
        [
            classified("a", "no"),
            replace(classified("b", "yes"), judgements=(Judgement("no", 1, True), Judgement("yes", 1, True))),
        ],
        [],
    ],
)
def test_training_data_without_two_classes_or_with_two_at_once_is_refused(documents: list[Document]) -> None:
    with pytest.raises(DataError):
        make_head("classify").fit(documents)


def test_the_first_loss_is_the_entropy_of_the_classes() -> None:
    documents = [classified(str(i), "yes" if i % 4 else "no") for i in range(16)]
    head = make_head("classify")
    head.fit(documents)
    batch = collate(rows(head, documents), head, 0)
    torch.manual_seed(0)
    module = head.module(HIDDEN)
    with torch.no_grad():
        loss = float(module.loss(states(batch), batch)) / 16
    assert loss == pytest.approx(-0.75 * math.log(0.75) - 0.25 * math.log(0.25), abs=0.05)
    predictions = module.predict(states(batch), batch)
    assert len(predictions) == 16
    assert all(sum(row) == pytest.approx(1) for row in predictions)


def test_padding_and_what_stands_there_do_not_move_a_class() -> None:
    documents = [
        classified("a", "yes"),
        replace(classified("b", "no"), text="A text that is a good deal longer than the other."),
    ]
    head = make_head("classify")
    head.fit(documents)
    torch.manual_seed(0)
    module = head.module(HIDDEN)
    both = collate(rows(head, documents), head, 0)
    alone = collate(rows(head, documents)[:1], head, 0)
    hidden = states(both)
    hidden[both["attention_mask"] == 0] = 1e4
    assert module.predict(hidden, both)[0] == pytest.approx(module.predict(states(alone), alone)[0], abs=1e-6)
    assert torch.equal(mean(hidden, torch.zeros(2, hidden.shape[1])), torch.zeros(2, HIDDEN))


def test_passages_go_there_and_back_by_their_own_ids() -> None:
    head = make_head("ranking")
    head.fit([query("q", True, False, False, True)])
    assert head.state() == {"rate": 0.5}
    document = query("r", False, True, False)
    windows, golds, _ = cut(document, Pieces(), 64, head.cuts)
    found = []
    for window, gold in zip(windows, golds, strict=True):
        encoding = head.encode(window, gold)
        assert encoding.supervised == 1
        assert window.input_ids[encoding.columns["passage"][0] :] == (
            *Pieces()(f"Answer {window.part} to r.")["input_ids"][1:],
        )
        found += head.decode(window, head.oracle(encoding))
    assert [j.name for j in found] == ["#0", "#1", "#2"]
    back = joined(document, found)
    assert [(j.name, j.chosen) for j in back.judgements] == [("r_C0", False), ("r_C1", True), ("r_C2", False)]


def test_a_passage_that_nobody_judged_is_neither_supervised_nor_decoded() -> None:
    head = make_head("ranking")
    document = replace(query("r", False, True), judgements=())
    windows, golds, _ = cut(document, Pieces(), 64, head.cuts)
    encoding = head.encode(windows[0], golds[0])
    assert encoding.supervised == 0
    assert head.decode(windows[0], head.oracle(encoding)) == ()
    batch = collate(rows(head, [document]), head, 0)
    with torch.no_grad():
        assert float(head.module(HIDDEN).loss(states(batch), batch)) == 0.0


def test_columns_fit_the_cache_whatever_the_name_of_a_document() -> None:
    head = make_head("ranking")
    for number in range(200):
        window = Window(f"query {number} é", (2, 3), (), (), (), 0, 0)
        (value,) = head.encode(window, Document("", "")).columns["query"]
        assert 0 <= value < 2**31


def test_ranking_needs_relevant_and_irrelevant_passages() -> None:
    for documents in ([query("q", True, True)], [query("q", False)], []):
        with pytest.raises(DataError):
            make_head("ranking").fit(documents)


def by_hand(scores: list[float], relevant: list[int], queries: list[int]) -> float:
    """The documented pairwise part, window by window."""
    total = 0.0
    for i, own in enumerate(relevant):
        partners = [j for j, other in enumerate(relevant) if queries[j] == queries[i] and {own, other} == {0, 1}]
        short = [max(0.0, MARGIN - (1 if own else -1) * (scores[i] - scores[j])) for j in partners]
        total += sum(short) / len(short) if short else 0.0
    return total


def test_the_margin_is_taken_over_passages_of_one_query_alone() -> None:
    scores, relevant, queries = [0.3, -0.2, 0.9, 2.0, 0.1, 0.0], [1, 0, 0, 1, 0, -100], [7, 7, 7, 8, 9, 7]
    pairwise = RankingModule._pairwise(torch.tensor(scores), torch.tensor(relevant), torch.tensor(queries))
    # 0.3 against -0.2 and 0.9 misses the margin by .5 and 1.6; each of those two has it as the only partner.
    assert float(pairwise) == pytest.approx((0.5 + 1.6) / 2 + 0.5 + 1.6)
    assert float(pairwise) == pytest.approx(by_hand(scores, relevant, queries))


def test_without_partners_the_loss_is_the_same_however_it_is_cut() -> None:
    head = make_head("ranking")
    apart = [query(str(i), i % 3 == 0) for i in range(9)]
    head.fit(apart)
    torch.manual_seed(0)
    module = head.module(HIDDEN)
    made = rows(head, apart)
    whole = collate(made, head, 0)
    parts = [collate([row], head, 0) for row in made]
    with torch.no_grad():
        together = float(module.loss(states(whole), whole))
        assert together == pytest.approx(sum(float(module.loss(states(p), p)) for p in parts), rel=1e-5)
    assert together / 9 == pytest.approx(-math.log(1 / 3) / 3 - 2 * math.log(2 / 3) / 3, abs=0.05)


@pytest.mark.parametrize("name", ["classify", "ranking"])
def test_what_was_learned_comes_back_from_json(name: str) -> None:
    head = make_head(name)
    head.fit([classified("a", "yes"), classified("b", "no")] if name == "classify" else [query("q", True, False, False)])
    again = make_head(name)
    again.restore(json.loads(json.dumps(head.state())))
    assert again.state() == head.state()


def test_a_ranking_head_learns_to_put_relevant_passages_first(train: Any) -> None:
    head = make_head("ranking")
    documents = [query(f"q{i}", True, False, i % 2 == 0) for i in range(6)]
    head.fit(documents)
    batch = collate(rows(head, documents), head, 0)
    torch.manual_seed(0)
    module = head.module(HIDDEN)
    hidden = states(batch)
    train(module, hidden, batch, updates=80, rate=1e-2)
    scores, relevant, queries = torch.tensor(module.predict(hidden, batch)), batch["relevant"], batch["query"]
    assert torch.equal(scores > 0, relevant > 0)
    for number in queries.unique():
        own = queries == number
        assert float(scores[own & (relevant == 1)].min() - scores[own & (relevant == 0)].max()) > 0.9 * MARGIN
