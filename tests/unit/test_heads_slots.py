"""The span head with slots: inventory, gold that comes back, and a module that learns from cues around a mention."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from bench_tasks.common.pipe import BODY_LOCATION, SLOTS  # noqa: E402
from bench_tasks.semeval2015_t14.task import SemEval2015T14  # noqa: E402

from bench.api.data import Document, Mention  # noqa: E402
from bench.api.head import Head, Window  # noqa: E402
from bench.conformance.workbench import Pieces  # noqa: E402
from bench.data.cuts import cut, joined  # noqa: E402
from bench.heads.slots import MOST_VALUES, SlotSpanHead, SlotSpanModule, _side, inventory  # noqa: E402
from bench.heads.span import (  # noqa: E402
    Judged,
    SpanClassificationHead,
    SpanModule,
)

HIDDEN = 32
YES, SEVERE = {"NI": ("yes",)}, {"NI": ("yes",), "SV": ("severe",)}
GOLD = (
    (Mention(((0, 3), (16, 23)), slots=YES), Mention(((8, 23),)), Mention(((20, 23),), slots=SEVERE)),
    (Mention(((0, 3), (8, 11)), slots={"BL": ("C1", "C2")}), Mention(((16, 19),), slots={"BL": ("C2",)})),
    (Mention(((4, 7),), slots={"SV": ("slight",)}),),
    (),
)
LENGTHS = (12, 7, 9, 1)


def window(count: int) -> Window:
    spans = tuple((4 * i, 4 * i + 3) for i in range(count))
    places = tuple(range(1, count + 1))
    return Window("d", tuple(range(count + 2)), spans, places, places, 0, spans[-1][1])


def fitted(*mentions: Mention) -> SlotSpanHead:
    head = SlotSpanHead()
    head.fit([Document("t", " ".join(["word"] * 200), mentions or tuple(m for gold in GOLD for m in gold))])
    return head


def batch(head: Head, gold: Any = GOLD, lengths: Any = LENGTHS, pad: int = 0) -> dict[str, Any]:
    windows, words = [window(n) for n in lengths], max(lengths) + pad
    made = {name: torch.zeros(len(windows), words, dtype=torch.long) for name in ("first", "last", "word_mask")}
    for i, w in enumerate(windows):
        made["first"][i, : len(w.first)] = torch.tensor(w.first)
        made["last"][i, : len(w.last)] = torch.tensor(w.last)
        made["word_mask"][i, : len(w.words)] = 1
    made["attention_mask"] = torch.tensor([[int(n < len(w.input_ids)) for n in range(words + 2)] for w in windows])
    rows = [head.encode(w, Document("d", "", tuple(mentions))).columns for w, mentions in zip(windows, gold, strict=True)]
    return {**made, **head.collate(rows, words)}


def hidden(rows: int = len(LENGTHS), seq: int = max(LENGTHS) + 2, seed: int = 0) -> Any:
    return torch.randn(rows, seq, HIDDEN, generator=torch.Generator().manual_seed(seed))


def told(mentions: Any) -> dict[Any, dict[str, tuple[str, ...]]]:
    return {m.fragments: {name: tuple(sorted(values)) for name, values in m.slots.items() if values} for m in mentions}


def test_the_inventory_is_what_training_mentions_carry() -> None:
    negation, place = inventory([Document("d", "", (*GOLD[0], *GOLD[1]))])[1], inventory([Document("d", "", GOLD[1])])[0]
    assert (negation.name, negation.values, negation.counts, negation.several) == ("NI", ("yes",), (3, 2), False)
    assert (place.name, place.values, place.counts, place.several) == ("BL", ("C2", "C1"), (0, 2, 1), True)
    found = inventory([Document("d", "", tuple(m for gold in GOLD for m in gold))])
    assert (found.sizes, found.starts) == ([3, 2, 3], [0, 3, 5])
    assert found.columns == [("BL", ""), ("BL", "C2"), ("BL", "C1"), ("NI", ""), ("NI", "yes"), *found.columns[5:]]
    assert found.of({"BL": ("C1", "C2")}) == [1, 2, 3, 5]
    assert found.of({"BL": ("C9",), "NI": ("yes",)}) == [4, 5]  # a value never seen teaches nothing, not the default either


def test_only_the_commonest_values_are_learned() -> None:
    rare = tuple(Mention(((i, i + 1),), slots={"BL": (f"C{i}",)}) for i in range(MOST_VALUES + 20))
    head = fitted(*rare, Mention(((900, 901),), slots={"BL": ("C5",)}))
    assert len(head.slots[0].values) == MOST_VALUES
    assert head.slots[0].values[0] == "C5"
    parameters = sum(p.numel() for n, p in head.module(384).named_parameters() if n.startswith("slots."))
    assert parameters < 120_000


def test_gold_slots_come_back() -> None:
    head = fitted()
    for count, gold in zip(LENGTHS, GOLD, strict=True):
        decoded = head.decode(window(count), head.oracle(head.encode(window(count), Document("d", "", gold))))
        assert told(decoded) == told(gold)


def test_values_of_a_slot_share_its_target() -> None:
    head = fitted()
    target = batch(head)["slots"]
    several = head.encode(window(7), Document("d", "", GOLD[1])).columns["slots"]
    candidate = several[-2]  # of two fragments, after the single ones
    assert target[1, candidate].tolist()[:3] == [0, 0.5, 0.5]
    assert target.sum(-1).unique().tolist() == [0, 3]  # a mention has each of three slots, what is no mention has none
    assert target[3].sum() == 0


def test_without_slots_it_is_the_span_head() -> None:
    bare = tuple(Mention(m.fragments) for gold in GOLD for m in gold)
    head, plain = fitted(*bare), SpanClassificationHead()
    plain.fit([Document("t", " ".join(["word"] * 200), bare)])
    module = head.module(HIDDEN)
    assert isinstance(module, SpanModule)
    assert not isinstance(module, SlotSpanModule)
    assert {n: p.shape for n, p in module.named_parameters()} == {
        n: p.shape for n, p in plain.module(HIDDEN).named_parameters()
    }
    gold = Document("d", "", bare[:2])
    assert head.encode(window(12), gold) == plain.encode(window(12), gold)
    assert head.oracle(head.encode(window(12), gold)) == plain.oracle(plain.encode(window(12), gold))
    assert "slots" not in batch(head)


def test_what_was_learned_survives_json() -> None:
    head, restored = fitted(), SlotSpanHead()
    restored.restore(json.loads(json.dumps(head.state())))
    assert restored.slots == head.slots
    assert restored.rates == head.rates
    gold = Document("d", "", GOLD[1])
    assert told(restored.decode(window(7), restored.oracle(restored.encode(window(7), gold)))) == told(GOLD[1])


def test_learns_to_give_back_mentions_with_their_slots(train: Any) -> None:
    torch.manual_seed(0)
    head, states = fitted(), hidden()
    module, data = head.module(HIDDEN), batch(head)
    first, last = train(module, states, data, updates=150)
    assert last < 0.2 * first
    for count, gold, prediction in zip(LENGTHS, GOLD, module.predict(states, data), strict=True):
        decoded = head.decode(window(count), prediction)
        assert set(decoded) == set(gold)
        assert told(decoded) == told(gold)


def test_every_parameter_gets_a_gradient_and_padding_changes_nothing() -> None:
    torch.manual_seed(0)
    head, states = fitted(), hidden()
    module = head.module(HIDDEN)
    whole = module.loss(states, batch(head))
    whole.backward()
    assert not [name for name, p in module.named_parameters() if not p.grad.any()]
    padded = torch.cat([states, torch.full((len(LENGTHS), 5, HIDDEN), 9.0)], 1)
    torch.testing.assert_close(module.loss(padded, batch(head, pad=5)), whole)
    alone = [module.loss(states[i : i + 1, : n + 2], batch(head, GOLD[i : i + 1], (n,))) for i, n in enumerate(LENGTHS)]
    torch.testing.assert_close(sum(alone), whole, rtol=1e-4, atol=1e-3)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn(parameter.shape) * 0.2)
    predicted = module.predict(states, batch(head))
    assert any(values for _, values in predicted)
    assert module.predict(padded, batch(head, pad=5)) == predicted


def test_classes_start_at_the_priors() -> None:
    head = fitted(*(Mention(((i, i + 1),), slots=YES if i < 10 else {}) for i in range(100)))
    module = head.module(HIDDEN)
    assert isinstance(module, SlotSpanModule)
    assert module.slots.classes.bias.softmax(0).tolist() == pytest.approx([0.9, 0.1], abs=0.01)


def test_a_value_beside_the_likeliest_needs_its_share_and_a_slot_of_several() -> None:
    logs = torch.tensor([[0.2, 0.45, 0.3, 0.05], [0.5, 0.3, 0.15, 0.05]]).log()[None]
    module = fitted(*(Mention(((i, i + 1),), slots={"BL": ("C1", "C2", "C3")[: i + 1]}) for i in range(3))).module(HIDDEN)
    assert isinstance(module, SlotSpanModule)
    assert module.slots.chosen(logs).int().tolist() == [[[0, 1, 1, 0], [1, 0, 0, 0]]]
    module.slots.several = [False]
    assert module.slots.chosen(logs).int().tolist() == [[[0, 1, 0, 0], [1, 0, 0, 0]]]


def test_distances_have_sides() -> None:
    nothing = torch.zeros(0)
    judged = Judged(nothing, nothing, torch.tensor([[4]]), torch.tensor([[5]]))
    assert _side(judged, 12).tolist() == [[[3, 3, 4, 5, 6, 6, 7, 8, 9, 9, 10, 10]]]


def test_a_cue_counts_on_its_own_side_only(train: Any) -> None:
    """The same word stands before a mention (negated) or behind it (not negated)."""
    torch.manual_seed(0)
    word, cue, name = torch.randn(3, HIDDEN)
    cases = [(at + side * apart, at) for at in range(3, 8) for apart in (1, 2) for side in (-1, 1)]
    states = word + 0.02 * hidden(len(cases), 14)
    for row, (cued, at) in enumerate(cases):
        states[row, cued + 1], states[row, at + 1] = cue, name
    gold = [(Mention(((4 * at, 4 * at + 3),), slots=YES if cued < at else {}),) for cued, at in cases]
    held = [row for row, (_, at) in enumerate(cases) if at == 5]
    rest = [row for row in range(len(cases)) if row not in held]
    head = fitted(*(m for mentions in gold for m in mentions))
    module, data = head.module(HIDDEN), batch(head, [gold[row] for row in rest], [12] * len(rest))
    train(module, states[rest], data, updates=80)
    found = module.predict(states[held], batch(head, [gold[row] for row in held], [12] * len(held)))
    assert {cases[row][0] < cases[row][1] for row in held} == {True, False}
    assert [told(head.decode(window(12), p)) for p in found] == [told(gold[row]) for row in held]


def test_gold_of_a_whole_corpus_fills_every_slot(tmp_path: Path) -> None:
    task = SemEval2015T14()
    task.synthesize(tmp_path / "c", 3, {"train": 30, "dev": 1, "test": 1})
    corpus = task.load(tmp_path / "c")
    head = task.head("span")
    head.fit(corpus["train"])
    assert isinstance(head, SlotSpanHead)
    assert {slot.name for slot in head.slots} == {slot.name for slot in (*SLOTS, BODY_LOCATION)}
    predicted = []
    for document in corpus["train"]:
        windows, golds, _ = cut(document, Pieces(), 128, head.cuts)
        found = [m for w, g in zip(windows, golds, strict=True) for m in head.decode(w, head.oracle(head.encode(w, g)))]
        predicted.append(joined(document, found))
    scores = task.score(corpus["train"], predicted)
    assert scores["task1"]["span_only"]["precision"] == 1
    assert scores["task1"]["span_only"]["recall"] > 0.98
    gold = {d.id: told(d.mentions) for d in corpus["train"]}
    for document in predicted:
        assert document.mentions
        assert all(gold[document.id][place] == slots for place, slots in told(document.mentions).items())
