"""The smoke gate on a model of a few numbers: what passes, what does not, and that it leaves no trace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from bench.errors import InvariantError  # noqa: E402
from bench.invariants import smoke  # noqa: E402
from bench.invariants.smoke import CHUNK, EXAMPLES, pick, sample, smoke_test, update_examples  # noqa: E402
from bench.invariants.tokens import Tally  # noqa: E402

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


def gate(model: Toy, lr: float = 0.05, waived: bool = False, units: Any = None) -> smoke.SmokeReport:
    return smoke_test(
        model,
        model,
        model.loss_of,
        {"toy": SIZE},
        {} if units is None else {"toy": units},
        lr,
        lambda parameters, rate: torch.optim.Adam(parameters, lr=rate),
        Tally(model.base),
        {"toy": 0.25},
        waived=waived,
    )


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
    with pytest.raises(InvariantError, match=r"loss over 30 examples went from .* updates: .*without a label: 25%") as caught:
        gate(Toy(), lr=1e-5)
    assert "trainable tensors" not in caught.value.message


def test_a_loss_that_is_no_number_does_not_pass() -> None:
    model = Toy()
    model.targets[3] = float("nan")
    with pytest.raises(InvariantError):
        gate(model)


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
    assert gate(Toy()).as_json() == first.as_json()


@given(st.integers(1, 3000))
def test_examples_are_spread_over_the_split(size: int) -> None:
    parts = sample(size)
    chosen = [i for part in parts for i in part]
    assert len(chosen) == min(size, EXAMPLES) == len(set(chosen))
    assert chosen[0] == 0
    assert chosen[-1] == size - 1
    assert all(len(part) == CHUNK for part in parts[:-1])


@given(st.lists(st.integers(1, 30), min_size=1, max_size=80))
def test_examples_that_are_drawn_together_are_looked_at_together(sizes: list[int]) -> None:
    units = np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)), sizes))
    parts = sample(len(units), units)
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
    picked = [pick(np.arange(size), update, count) for update in range(smoke.UPDATES)]
    assert {i for examples in picked for i in examples} == set(range(size))
    assert all(len(examples) == min(count, size) for examples in picked)


@pytest.mark.parametrize(
    ("examples", "supervised", "count"), [(100, 9000, 4), (100, 200, 4), (100, 150, 6), (100, 100, 8), (30, 30, 8), (50, 5, 16)]
)
def test_examples_of_few_labels_make_larger_updates(examples: int, supervised: int, count: int) -> None:
    assert update_examples(examples, supervised) == count
