"""The tally stands at the base model's door and sees every token, whoever feeds it."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from bench.errors import InvariantError  # noqa: E402
from bench.invariants.tokens import Tally  # noqa: E402


class Base(torch.nn.Module):
    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None) -> torch.Tensor:
        return input_ids.float()


def test_what_was_announced_is_what_entered() -> None:
    base = Base()
    tally = Tally(base)
    mask = torch.tensor([[1, 1, 0], [1, 1, 1]])
    tally.expect(10)
    for _ in range(2):
        base(input_ids=torch.zeros(2, 3), attention_mask=mask)
    tally.check(1)
    assert tally.disagreements == 0


@pytest.mark.parametrize("announced", [3, 5, 0])
def test_one_token_more_or_less_ends_the_run(announced: int) -> None:
    base = Base()
    tally = Tally(base)
    tally.expect(announced)
    base(input_ids=torch.zeros(1, 4), attention_mask=torch.ones(1, 4, dtype=torch.long))
    with pytest.raises(InvariantError, match=rf"at update 7 the base model saw 4 tokens.* hold {announced}") as caught:
        tally.check(7)
    assert (caught.value.invariant, caught.value.exit_code) == ("tokens", 3)


def test_a_call_without_a_mask_counts_every_position() -> None:
    base = Base()
    tally = Tally(base)
    base(torch.zeros(2, 5))
    base(input_ids=torch.zeros(1, 5))
    tally.expect(15)
    tally.check(1)


def test_a_positional_mask_is_read_as_well() -> None:
    base = Base()
    tally = Tally(base)
    base(torch.zeros(1, 5), torch.tensor([[1, 1, 0, 0, 0]]))
    tally.expect(2)
    tally.check(1)


def test_waived_disagreements_are_counted_and_forgotten_step_by_step() -> None:
    base = Base()
    tally = Tally(base, waived=True)
    for step in range(3):
        tally.expect(9)
        base(input_ids=torch.zeros(1, 4), attention_mask=torch.ones(1, 4))
        tally.check(step)
    tally.expect(4)
    base(input_ids=torch.zeros(1, 4), attention_mask=torch.ones(1, 4))
    tally.check(3)
    assert tally.disagreements == 3


def test_a_closed_tally_sees_nothing() -> None:
    base = Base()
    tally = Tally(base)
    tally.close()
    base(torch.zeros(1, 5))
    tally.check(1)
