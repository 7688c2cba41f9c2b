"""The smoke gate on a model of a few numbers: what passes, what does not, and that it leaves no trace."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from bench.errors import InvariantError  # noqa: E402
from bench.invariants import diagnosis, smoke  # noqa: E402
from bench.invariants.smoke import CHUNK, EXAMPLES, SHORT, Examples, Gate, examples_at, sample, update_examples  # noqa: E402
from bench.invariants.tokens import Tally  # noqa: E402
from bench.results.invariants import SmokeReport  # noqa: E402

SIZE = 30


class Toy(nn.Module):
    """A frozen layer with a low-rank adapter that starts at zero, dropout and a head; the frozen layer alone could do it."""

    def __init__(self, deaf: bool = False) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(1)
            self.base = nn.Linear(8, 8).requires_grad_(False)
            self.lora_A = nn.Parameter(torch.randn(4, 8) / 3)
            self.lora_B = nn.Parameter(torch.zeros(8, 4))
            self.dropout = nn.Dropout(0.5)
            self.heads = nn.Linear(8, 1)
            self.inputs = torch.randn(SIZE, 8)
            self.targets = self.base(self.inputs) @ torch.randn(8, 1)
        self.deaf = deaf

    @property
    def tasks(self) -> tuple[str, ...]:
        return ("toy",)

    def trainable(self, task: str) -> dict[str, nn.Parameter]:
        heads = {f"heads.toy.{name}": p for name, p in self.heads.named_parameters()}
        return {"adapters.adapter.shared.base.A": self.lora_A, "adapters.adapter.shared.base.B": self.lora_B, **heads}

    def state(self) -> dict[str, Tensor]:
        return {name: p.detach().clone() for name, p in self.trainable("toy").items()}

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for name, p in self.trainable("toy").items():
                p.copy_(tensors[name])

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.base(x) + self.dropout(x) @ self.lora_A.T @ self.lora_B.T
        return self.heads(hidden.detach() if self.deaf else hidden)  # type: ignore[no-any-return]

    def loss_of(self, task: str, indices: Sequence[int]) -> tuple[Tensor, int]:
        chosen = list(indices)
        return (self(self.inputs[chosen]) - self.targets[chosen]).square().sum(), len(chosen)


def gate(model: Toy, lr: float = 0.05, waived: bool = False, units: Any = None, **options: Any) -> SmokeReport:
    kinds = options.pop("kinds", None)
    examples = Examples(np.arange(SIZE) % 4 > 0, np.ones(SIZE, dtype=np.int64), units, kinds)
    optimizer = lambda parameters, rate: torch.optim.Adam(parameters, lr=rate)  # noqa: E731
    return Gate(model, model, model.loss_of, {"toy": examples}, optimizer, Tally(model.base), **options).run(lr, waived)


def test_what_learns_passes() -> None:
    report = gate(Toy())
    before, after = report.loss["toy"]
    assert report.passed
    assert after < before / 2
    assert report.dead == {"toy": []}
    assert len(report.curve["toy"]) == 50
    assert set(report.gradients["toy"]) == {"LoRA A", "LoRA B", "head"}
    assert min(report.gradients["toy"].values()) > 0
    assert report.examples == {"toy": SIZE}


def test_a_head_alone_halves_the_loss_and_does_not_pass() -> None:
    model = Toy(deaf=True)
    with pytest.raises(InvariantError, match=r"toy: 2 of 4 trainable tensors \(LoRA A, LoRA B\)") as caught:
        gate(model)
    assert "it must fall by half" not in caught.value.message
    assert "base 72" in str(caught.value.hint)
    report = gate(model, waived=True)
    before, after = report.loss["toy"]
    assert after < before / 2
    assert (report.passed, report.waived) == (False, True)
    assert report.dead["toy"] == ["adapters.adapter.shared.base.A", "adapters.adapter.shared.base.B"]
    assert report.gradients["toy"]["LoRA A"] == 0 < report.gradients["toy"]["head"]


def test_a_rate_of_zero_stays_zero() -> None:
    with pytest.raises(InvariantError, match=r"4 of 4 trainable tensors.*must fall by half") as caught:
        gate(Toy(), lr=0.0)
    assert caught.value.exit_code == 3
    assert caught.value.hint == "The learning rate is 0: set --lr."


def test_a_loss_that_does_not_halve_is_told_with_its_curve() -> None:
    with pytest.raises(InvariantError, match=r"loss over 30 examples went from .* updates: .*without a label: 27%") as caught:
        gate(Toy(), lr=1e-4)
    assert "trainable tensors" not in caught.value.message
    assert str(caught.value.hint).startswith("Raise --lr: at 0.01 ")


def test_a_rate_that_is_too_high_is_told_a_lower_one_that_passes() -> None:
    with pytest.raises(InvariantError, match=r"went from .* to .* in 50 updates") as caught:
        gate(Toy(), lr=5.0)
    assert str(caught.value.hint).startswith("Lower --lr: at 0.5 ")
    report = gate(Toy(), lr=5.0, waived=True)
    assert (report.passed, report.trials) == (False, {})  # nobody asked for advice


@pytest.mark.parametrize("lr", [1e-4, 1.234567e-4, 5.0])
def test_the_rate_that_is_advised_passes_when_it_is_typed(lr: float) -> None:
    with pytest.raises(InvariantError) as caught:
        gate(Toy(), lr=lr)
    assert f"(learning rate {lr:g};" in caught.value.message  # the rate that was given, not a multiple of it
    advised = re.match(r"(?:Raise|Lower) --lr: at (\S+) ", str(caught.value.hint))
    assert advised is not None
    assert gate(Toy(), lr=float(advised[1])).passed


def test_a_rate_at_which_a_part_does_not_learn_is_not_advised() -> None:
    report = SmokeReport(lr=1e-4, loss={"toy": (1.0, 0.99)}, dead={"toy": []})

    def attempt(rate: float) -> SmokeReport:
        # The first higher rate halves the loss by the head alone, which the gate would refuse as well.
        return SmokeReport(lr=rate, loss={"toy": (1.0, 0.2)}, dead={"toy": ["adapter"] if rate < 5e-3 else []})

    assert diagnosis.advice(report, attempt).startswith("Raise --lr: at 0.01 ")
    assert report.trials == {"0.001": 0.2, "0.01": 0.2}


def test_a_loss_that_no_rate_lowers_is_not_blamed_on_the_rate() -> None:
    model = Toy()
    model.loss_of = lambda task, indices: (model(model.inputs[list(indices)]).sum() * 1e-9 + len(indices), len(indices))  # type: ignore[method-assign]
    with pytest.raises(InvariantError) as caught:
        gate(model)
    assert "Other rates do not help" in str(caught.value.hint)
    assert "labels" in str(caught.value.hint)


def test_a_loss_that_is_no_number_is_told_as_that() -> None:
    model = Toy()
    model.targets[3] = float("nan")
    with pytest.raises(InvariantError, match=r"the loss is not a finite number before the first update") as caught:
        gate(model)
    assert "Raise" not in str(caught.value.hint)


def test_a_loss_that_becomes_no_number_asks_for_a_lower_rate() -> None:
    model = Toy()
    loss_of = model.loss_of

    def fragile(task: str, indices: Sequence[int]) -> tuple[Tensor, int]:
        loss, count = loss_of(task, indices)
        return (loss if float(model.lora_B.detach().abs().max()) < 1 else loss * float("inf")), count

    model.loss_of = fragile  # type: ignore[method-assign]
    with pytest.raises(InvariantError, match=r"the loss is not a finite number at update \d+ \(learning rate 3\)") as caught:
        gate(model, lr=3.0)
    assert str(caught.value.hint).startswith("Lower --lr: at 0.")


def test_examples_without_any_label_are_refused() -> None:
    with pytest.raises(InvariantError, match="none of the 30 examples carries a label"):
        gate(Toy(), kinds=lambda indices: frozenset())
    assert gate(Toy(), kinds=lambda indices: frozenset({"x"})).passed


def test_parts_that_are_frozen_whole_are_named() -> None:
    model = Toy()
    for p in model.heads.parameters():
        p.requires_grad_(False)
    with pytest.raises(InvariantError, match=r"Nothing of head .* is trainable") as caught:
        gate(model)
    assert "(frozen: base 72, adapters 0, heads 9)" in str(caught.value.hint)


def test_a_base_in_another_dtype_is_named() -> None:
    model = Toy()
    model.register_parameter("stray", nn.Parameter(torch.zeros(3, dtype=torch.float16), requires_grad=False))
    with pytest.raises(InvariantError, match=r"weights in float16; the plan says bfloat16"):
        gate(model, dtype=torch.bfloat16)
    assert gate(model, dtype=torch.float16).passed


def test_hidden_tokens_are_noticed() -> None:
    model = Toy()
    tally = Tally(model.base)
    examples = Examples(np.ones(SIZE, dtype=np.bool_), np.ones(SIZE, dtype=np.int64))

    def loss_of(task: str, indices: Sequence[int]) -> tuple[Tensor, int]:
        tally.expect(9 * len(list(indices)))  # eight numbers of each enter the base
        return model.loss_of(task, indices)

    adam = lambda parameters, rate: torch.optim.Adam(parameters, lr=rate)  # noqa: E731
    with pytest.raises(InvariantError, match=r"The base model saw [\d,]+ tokens where the examples hold [\d,]+"):
        Gate(model, model, loss_of, {"toy": examples}, adam, tally).run(0.05)
    assert tally.counts == (0, 0)


@pytest.mark.parametrize("lr", [0.05, 0.0])
def test_no_trace_is_left_even_where_it_fails(lr: float) -> None:
    model = Toy()
    model.eval()
    model.base.train()
    torch.manual_seed(3)
    before = {name: p.clone() for name, p in model.named_parameters()}
    state, modes = torch.get_rng_state(), [module.training for module in model.modules()]
    try:
        gate(model, lr)
    except InvariantError:
        assert lr == 0
    assert all(torch.equal(before[name], p) for name, p in model.named_parameters())
    assert torch.equal(torch.get_rng_state(), state)
    assert [module.training for module in model.modules()] == modes
    assert model.dropout.p == 0.5
    assert all(p.grad is None for p in model.parameters())


def test_it_is_the_same_every_time() -> None:
    torch.manual_seed(1)
    first = gate(Toy())
    torch.manual_seed(2)
    assert gate(Toy()) == first


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 200)), min_size=1, max_size=600))
def test_a_hundred_examples_labelled_ones_first(rows: list[tuple[bool, int]]) -> None:
    labelled, lengths = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    parts = sample(Examples(labelled, lengths))
    chosen = [i for part in parts for i in part]
    assert len(chosen) == min(len(rows), EXAMPLES) == len(set(chosen))
    assert labelled[chosen].sum() == min(labelled.sum(), EXAMPLES)
    assert (np.diff(lengths[chosen]) >= 0).all()
    assert all(len(part) == CHUNK for part in parts[:-1])
    mine, others = set(chosen) & set(np.flatnonzero(labelled)), set(np.flatnonzero(labelled)) - set(chosen)
    kept = max(EXAMPLES, int(labelled.sum()) // SHORT)
    assert all((lengths[labelled] < lengths[i]).sum() < kept for i in mine)  # of the shortest quarter
    if 0 < labelled.sum() <= EXAMPLES:
        assert not others


def test_the_hundred_are_spread_over_the_shorter_ones() -> None:
    lengths = np.tile([9, 3, 7, 5], 200)
    chosen = [i for part in sample(Examples(np.ones(800, dtype=np.bool_), lengths)) for i in part]
    assert set(lengths[chosen].tolist()) == {3}
    assert {1, 797} <= set(chosen)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=80))
def test_examples_that_are_drawn_together_are_looked_at_together(sizes: list[int]) -> None:
    units = np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)), sizes))
    parts = sample(Examples(np.ones(len(units), dtype=np.bool_), np.ones(len(units), dtype=np.int64), units))
    assert all(part == np.flatnonzero(units == units[part[0]]).tolist() for part in parts)
    assert len({int(units[part[0]]) for part in parts}) == len(parts)
    assert units[parts[0][0]] == 0
    total, wanted = sum(map(len, parts)), max(1, round(EXAMPLES * len(sizes) / len(units)))
    assert total == len(units) or len(parts) == wanted


def test_an_update_holds_one_unit_and_so_does_every_measurement() -> None:
    model = Toy()
    seen: list[tuple[int, ...]] = []
    loss_of = model.loss_of
    model.loss_of = lambda task, indices: (seen.append(tuple(indices)), loss_of(task, indices))[1]  # type: ignore[method-assign]
    units = np.arange(SIZE) % 6
    report = gate(model, units=units)
    assert report.passed
    assert report.examples == {"toy": SIZE}
    assert set(seen) == {tuple(range(unit, SIZE, 6)) for unit in range(6)}
    assert len(report.curve["toy"]) == smoke.UPDATES


@given(st.integers(1, 100), st.integers(smoke.UPDATE_EXAMPLES, CHUNK))
def test_fifty_updates_see_every_example(size: int, count: int) -> None:
    picked = [examples_at(range(size), update, count) for update in range(smoke.UPDATES)]
    assert {i for examples in picked for i in examples} == set(range(size))
    assert all(len(examples) == min(count, size) for examples in picked)
    assert all(examples[-1] - examples[0] == len(examples) - 1 for examples in picked)  # neighbours, so of like length
    often = Counter(map(tuple, picked)).values()
    assert max(often) - min(often) <= 1


@pytest.mark.parametrize(
    ("examples", "supervised", "count"), [(100, 9000, 8), (100, 200, 8), (100, 80, 10), (100, 100, 8), (30, 30, 8), (50, 5, 16)]
)
def test_examples_of_few_labels_make_larger_updates(examples: int, supervised: int, count: int) -> None:
    assert update_examples(examples, supervised) == count
