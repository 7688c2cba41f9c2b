"""The trainable halves: losses are sums over candidates, biases start at the priors, and what can be learned is learned."""

from __future__ import annotations

import math
from copy import deepcopy
from functools import cache
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from bench.api.data import Document, Mention, Relation  # noqa: E402
from bench.api.head import Head, Window  # noqa: E402
from bench.conformance.workbench import Pieces  # noqa: E402
from bench.data.cache import collate  # noqa: E402
from bench.data.cuts import cut, joined  # noqa: E402
from bench.heads import make_head  # noqa: E402
from bench.heads.relation import RARE  # noqa: E402

HIDDEN = 24
CHEMICALS, GENES = ("alpha", "beta", "gamma", "delta"), ("ras1", "fos2", "jun3", "myc4")


def documents(count: int) -> list[Document]:
    """Sentences where ``blocks`` relates what stands beside it, and ``meets`` does not."""
    made = []
    for number in range(count):
        text, mentions, relations = "", [], []
        for clause in range(2):
            verb = ("blocks", "meets")[(number + clause) % 2]
            pair = []
            for word, label in ((CHEMICALS[(number + clause) % 4], "C"), (verb, ""), (GENES[(number // 2 + clause) % 4], "G")):
                if label:
                    pair.append(Mention(((len(text), len(text) + len(word)),), label))
                text += word + " "
            text += ", while " if clause == 0 else "today."
            mentions += pair
            if verb == "blocks":
                relations.append(Relation(pair[0].key, pair[1].key, "down"))
        made.append(Document(f"d{number}", text, tuple(mentions), tuple(relations)))
    return made


def encoded(head: Head, given: list[Document]) -> tuple[list[Window], list[dict[str, Any]]]:
    windows, rows = [], []
    for document in given:
        made, golds, _ = cut(document, Pieces(), 128, head.cuts)
        for window, gold in zip(made, golds, strict=True):
            columns = head.encode(window, gold).columns
            windows.append(window)
            rows.append(
                {"input_ids": list(window.input_ids), "first": list(window.first), "last": list(window.last)}
                | {f"t.{name}": list(values) for name, values in columns.items()}
            )
    return windows, rows


def fitted(name: str, given: list[Document], *more: Document) -> tuple[Head, list[dict[str, Any]]]:
    """A head that was fitted to documents, and the rows of those and of more; what is drawn next is always the same."""
    head = make_head(name)
    head.fit(given)
    torch.manual_seed(0)
    return head, encoded(head, [*given, *more])[1]


@cache
def trained(name: str) -> tuple[Head, Any, Any, list[Document]]:
    given = documents(16)
    head, rows = fitted(name, given)
    embed, module = torch.nn.Embedding(Pieces.vocabulary, HIDDEN), head.module(HIDDEN)
    # A mixing layer stands in for a backbone: each word sees its neighbours.
    mix = torch.nn.Conv1d(HIDDEN, HIDDEN, 5, padding=2)
    optimizer = torch.optim.Adam([*embed.parameters(), *mix.parameters(), *module.parameters()], 3e-3)
    batch = collate(rows, head, 0)

    def hidden(ids: Any) -> Any:
        return mix(embed(ids).transpose(1, 2)).transpose(1, 2)

    for _ in range(120 if name == "relation" else 60):
        optimizer.zero_grad()
        module.loss(hidden(batch["input_ids"]), batch).backward()
        optimizer.step()
    return head, module, hidden, given


@pytest.mark.parametrize("name", ["relation", "joint"])
def test_what_a_verb_says_is_learned_and_predicted(name: str) -> None:
    head, module, hidden, given = trained(name)
    windows, rows = encoded(head, given)
    batch = collate(rows, head, 0)
    predictions = module.predict(hidden(batch["input_ids"]), batch)
    for document, window, prediction in zip(given, windows, predictions, strict=True):
        back = joined(document, head.decode(window, prediction))
        assert set(back.relations) == set(document.relations)
        assert {m.key for m in back.mentions} == ({m.key for m in document.mentions} if name == "joint" else set())


def test_the_joint_head_relates_the_mentions_it_found_and_no_others() -> None:
    head, module, hidden, given = trained("joint")
    windows, rows = encoded(head, given[:4])
    bare = [{**row, "t.mentions": [], "t.places": [], "t.pairs": [], "t.targets": [], "t.origin": []} for row in rows]
    states = hidden(collate(rows, head, 0)["input_ids"])
    with_gold, without = (module.predict(states, collate(some, head, 0)) for some in (rows, bare))
    assert with_gold == without  # gold mentions are for training only
    silent = deepcopy(module)
    silent.span.fragment.bias.data.fill_(-50.0)
    assert silent.predict(states, collate(rows, head, 0)) == [([], [])] * len(windows)


@pytest.mark.parametrize("name", ["relation", "joint"])
def test_the_loss_is_a_sum_whatever_the_padding(name: str) -> None:
    head, rows = fitted(name, documents(6), Document("s", "nothing here.", (), ()))
    embed, module = torch.nn.Embedding(Pieces.vocabulary, HIDDEN), head.module(HIDDEN)
    losses = [module.loss(embed(b["input_ids"]), b).item() for b in (collate(part, head, 0) for part in ([r] for r in rows))]
    whole = collate(rows, head, 0)
    assert math.isclose(sum(losses), module.loss(embed(whole["input_ids"]), whole).item(), rel_tol=1e-4)
    if name == "relation":
        assert losses[-1] == 0.0


def test_a_fresh_head_starts_at_the_class_priors() -> None:
    head, rows = fitted("relation", documents(24))
    module, batch = head.module(HIDDEN), collate(rows, head, 0)
    torch.nn.init.zeros_(module.label.weight)
    facts = head.fitted()
    assert (facts.candidates, facts.related) == (len(batch["pairs"]), (int(batch["targets"].sum()),))
    rate = facts.related[0] / facts.candidates
    entropy = -(rate * math.log(rate) + (1 - rate) * math.log(1 - rate))
    loss = module.loss(torch.randn(*batch["input_ids"].shape, HIDDEN), batch).item() / RARE / facts.candidates
    assert loss == pytest.approx(entropy, rel=0.02)


def test_direction_and_distance_change_the_score() -> None:
    head, rows = fitted("relation", documents(4))
    module, batch = head.module(HIDDEN), collate(rows[:1], head, 0)
    hidden = torch.randn(*batch["input_ids"].shape, HIDDEN)
    forth = module.logits(hidden, {**batch, "pairs": torch.tensor([[0, 0, 1]])})
    back = module.logits(hidden, {**batch, "pairs": torch.tensor([[0, 1, 0]])})
    assert not torch.allclose(forth, back)


def test_gradients_are_the_same_bits_with_several_threads() -> None:
    head, rows = fitted("relation", documents(24))
    batch = collate(rows * 20, head, 0)
    module = head.module(HIDDEN)
    hidden = torch.randn(*batch["input_ids"].shape, HIDDEN, requires_grad=True)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        grads = [torch.autograd.grad(module.loss(hidden, batch), hidden)[0] for _ in range(6)]
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(grads[0], other) for other in grads[1:])
