from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from bench.api.data import Document, Mention  # noqa: E402
from bench.api.head import Head, Window  # noqa: E402
from bench.heads import make_head  # noqa: E402
from bench.heads.bio import BioModule  # noqa: E402
from bench.heads.span import SpanModule  # noqa: E402
from bench.heads.tensors import dropout  # noqa: E402

HIDDEN = 32
WIDE = 12
GOLD = (
    (Mention(((0, 3), (16, 23))), Mention(((8, 23),)), Mention(((20, 23),))),
    (Mention(((0, 3), (8, 11))), Mention(((8, 11), (16, 19))), Mention(((0, 3), (16, 19)))),
    (Mention(((0, 3), (8, 11), (16, 19))), Mention(((4, 7),), "Finding"), Mention(((4, 7),))),
    (),
)
LENGTHS = (12, 7, 9, 1)


def window(count: int) -> Window:
    spans = tuple((4 * i, 4 * i + 3) for i in range(count))
    places = tuple(range(1, count + 1))
    return Window("d", tuple(range(count + 2)), spans, places, places, 0, spans[-1][1])


def batch(
    head: Head, gold: Sequence[tuple[Mention, ...]] = GOLD, lengths: Sequence[int] = LENGTHS, pad: int = 0
) -> dict[str, Any]:
    windows = [window(n) for n in lengths]
    words, seq = max(lengths) + pad, max(lengths) + 2 + pad
    made = {name: torch.zeros(len(windows), words, dtype=torch.long) for name in ("first", "last", "word_mask")}
    for i, w in enumerate(windows):
        made["first"][i, : len(w.first)] = torch.tensor(w.first)
        made["last"][i, : len(w.last)] = torch.tensor(w.last)
        made["word_mask"][i, : len(w.words)] = 1
    made["input_ids"] = torch.zeros(len(windows), seq, dtype=torch.long)
    made["attention_mask"] = torch.tensor([[int(n < len(w.input_ids)) for n in range(seq)] for w in windows])
    columns = [head.encode(w, Document("d", "", tuple(mentions))).columns for w, mentions in zip(windows, gold, strict=True)]
    return {**made, **head.collate(columns, words)}


def fitted(name: str) -> Head:
    head = make_head(name)
    text = " ".join(["word"] * 200)
    head.fit([Document("t", text, (*GOLD[0], *GOLD[2]))])
    return head


def hidden(seed: int = 0, rows: int = len(LENGTHS), seq: int = max(LENGTHS) + 2) -> Any:
    return torch.randn(rows, seq, HIDDEN, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", ["span", "bio"])
def test_learns_to_give_back_what_was_encoded(name: str, train: Any) -> None:
    torch.manual_seed(0)
    head, states = fitted(name), hidden()
    module, data = head.module(HIDDEN), batch(head)
    first, last = train(module, states, data, updates=150)
    assert last < 0.05 * first
    decoded = [set(head.decode(window(n), p)) for n, p in zip(LENGTHS, module.predict(states, data), strict=True)]
    golds = [Document("d", "", tuple(gold)) for gold in GOLD]
    expected = [
        set(head.decode(window(n), head.oracle(head.encode(window(n), gold)))) for n, gold in zip(LENGTHS, golds, strict=True)
    ]
    assert decoded == expected
    if name == "span":
        assert decoded == [set(gold) for gold in GOLD]


@pytest.mark.parametrize("name", ["span", "bio"])
def test_every_parameter_gets_the_same_gradient_twice(name: str) -> None:
    torch.manual_seed(0)
    head = fitted(name)
    module, data = head.module(HIDDEN), batch(head)
    runs = []
    for _ in range(2):
        states = hidden().requires_grad_()
        module.zero_grad()
        module.loss(states, data).backward()
        runs.append([states.grad, *(p.grad for p in module.parameters())])
    assert all(torch.equal(a, b) for a, b in zip(*runs, strict=True))
    dead = [name for name, p in module.named_parameters() if not p.grad.any()]
    assert not dead


@pytest.mark.parametrize("name", ["span", "bio"])
def test_loss_is_a_sum_that_padding_does_not_change(name: str) -> None:
    torch.manual_seed(0)
    head, states = fitted(name), hidden()
    module = head.module(HIDDEN)
    whole = module.loss(states, batch(head))
    padded = torch.cat([states, torch.full((len(LENGTHS), 5, HIDDEN), 9.0)], 1)
    torch.testing.assert_close(module.loss(padded, batch(head, pad=5)), whole)
    alone = [module.loss(states[i : i + 1, : n + 2], batch(head, GOLD[i : i + 1], (n,))) for i, n in enumerate(LENGTHS)]
    torch.testing.assert_close(sum(alone), whole, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("pad", [0, 3])
def test_what_an_update_draws_does_not_depend_on_the_micro_batches(pad: int) -> None:
    torch.manual_seed(0)
    head, states = fitted("span"), hidden(seq=max(LENGTHS) + 2 + pad)
    module, data = head.module(HIDDEN), batch(head, pad=pad)

    def loss(noise: Sequence[int] | None, rows: Sequence[int] = range(4)) -> float:
        held = {"noise": torch.tensor([noise[i] for i in rows])} if noise else {}
        return float(module.loss(states[list(rows)], {**{k: v[list(rows)] for k, v in data.items()}, **held}).detach())

    whole = loss((5, 6, 7, 8))
    assert loss((5, 6, 7, 8), (0, 2)) + loss((5, 6, 7, 8), (1, 3)) == pytest.approx(whole, rel=1e-5)
    assert loss((5, 6, 7, 8), (3, 1, 0, 2)) == pytest.approx(whole, rel=1e-5)
    assert len({round(value, 3) for value in (whole, loss((5, 6, 7, 9)), loss((1, 2, 3, 4)), loss(None))}) == 4
    assert loss(None) == loss(None)


@pytest.mark.parametrize("each", [True, False])
def test_dropout_zeroes_a_share_and_keeps_the_mean(each: bool) -> None:
    data = {"attention_mask": torch.ones(40, 50, dtype=torch.long), "noise": torch.arange(40)}
    made = dropout(torch.ones(40, 50, 64), 0.3, data, each=each)
    assert float((made == 0).float().mean()) == pytest.approx(0.3, abs=0.02)
    assert float(made.mean()) == pytest.approx(1, abs=0.03)
    assert bool((made == made[:, :1]).all()) is not each
    assert float((made[0] == made[1]).float().mean()) < 0.7
    assert not torch.equal(dropout(torch.ones(40, 50, 64), 0.3, data, place=1, each=each), made)
    assert torch.equal(dropout(made, 0.3, {"attention_mask": data["attention_mask"]}), made)


@pytest.mark.parametrize("name", ["span", "bio"])
def test_padding_does_not_change_predictions(name: str) -> None:
    torch.manual_seed(1)
    head, states = fitted(name), hidden()
    module = head.module(HIDDEN)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn(parameter.shape) * 0.2)
    whole = module.predict(states, batch(head))
    assert any(whole)
    padded = torch.cat([states, torch.full((len(LENGTHS), 5, HIDDEN), 9.0)], 1)
    assert module.predict(padded, batch(head, pad=5)) == whole


@pytest.mark.parametrize("name", ["span", "bio"])
def test_starts_at_the_class_priors(name: str) -> None:
    torch.manual_seed(0)
    head = make_head(name)
    text = " ".join(["word"] * 1000)
    head.fit([Document("t", text, tuple(Mention(((25 * i, 25 * i + 4),)) for i in range(100)))])
    module = head.module(HIDDEN)
    assert isinstance(module, (SpanModule, BioModule))
    layer = module.fragment if isinstance(module, SpanModule) else module.tag
    if isinstance(module, SpanModule):
        assert torch.sigmoid(layer.bias[0]).item() == pytest.approx(100 / 8000, rel=0.02)
    else:
        assert torch.softmax(layer.bias, 0).tolist() == pytest.approx([0.9, 0.1, 1e-5], rel=0.02)


def test_half_precision_states_are_computed_in_full() -> None:
    torch.manual_seed(0)
    for name in ("span", "bio"):
        head = fitted(name)
        module, data, states = head.module(HIDDEN), batch(head), hidden().bfloat16()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = module.loss(states, data)
        assert loss.dtype == torch.float32
        torch.testing.assert_close(loss, module.loss(states.float(), data))


def test_span_head_is_of_modest_size() -> None:
    assert sum(p.numel() for p in fitted("span").module(384).parameters()) <= 400_000


def test_a_module_is_of_one_class_that_is_torchs_too() -> None:
    head = fitted("bio")
    first, second = head.module(HIDDEN), head.module(HIDDEN)
    assert isinstance(first, BioModule)
    assert isinstance(first, torch.nn.Module)
    assert type(first) is type(second)
    assert type(first).__name__ == "BioModule"
    twin = copy.deepcopy(first)
    torch.nn.init.zeros_(first.tag.weight)
    assert bool(twin.tag.weight.any())
