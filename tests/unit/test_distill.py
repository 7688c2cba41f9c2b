"""Distillation against its formula, and heads that say what they choose among."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from bench_plugins.schedules.distill import Distill  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from bench.api.head import HeadModule  # noqa: E402
from bench.errors import UsageError  # noqa: E402
from bench.heads.bio import BioModule  # noqa: E402
from bench.heads.classify import ClassifyModule  # noqa: E402

HIDDEN = 16


class Teacher:
    """A frozen model of another width."""

    def __init__(self, head: Any) -> None:
        self._head = head

    def hidden(self, task: str, batch: Any) -> Any:
        return torch.ones(3, 5, 8) * torch.arange(5.0)[None, :, None]

    def head(self, task: str) -> Any:
        return self._head


def classes() -> tuple[Any, dict[str, Any]]:
    batch = {"attention_mask": torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 1, 0, 0, 0]])}
    return batch["attention_mask"], batch | {"class": torch.tensor([2, -100, 0])}


def words() -> dict[str, Any]:
    places = torch.tensor([[0, 1, 2], [1, 2, 0], [0, 0, 0]])
    tags = torch.tensor([[0, 1, 2], [0, 0, -100], [1, -100, -100]])
    return {"first": places, "last": places, "word_mask": (tags >= 0).long(), "tags": tags}


def states(seed: int = 0) -> Any:
    return torch.randn(3, 5, HIDDEN, generator=torch.Generator().manual_seed(seed))


def heads() -> list[tuple[Any, dict[str, Any], int]]:
    torch.manual_seed(0)
    tagging = BioModule(HIDDEN, [0.6, 0.2, 0.2])
    return [(ClassifyModule(HIDDEN, [0.5, 0.3, 0.2]), classes()[1], 2), (tagging, words(), 6)]


@pytest.mark.parametrize("at", [0, 1])
def test_the_loss_of_a_head_is_the_cross_entropy_of_its_choices(at: int) -> None:
    head, batch, positions = heads()[at]
    choices = head.choices(states(), batch)
    gold = batch["class" if at == 0 else "tags"].flatten()
    assert choices.shape == (positions, 3)
    wanted = F.cross_entropy(choices, gold[gold >= 0], reduction="sum")
    assert float(head.loss(states(), batch).detach()) == pytest.approx(float(wanted.detach()), rel=1e-6)


def test_what_is_trained_is_the_formula() -> None:
    head, batch, _ = heads()[0]
    torch.manual_seed(5)
    teacher = Teacher(ClassifyModule(8, [0.1, 0.1, 0.8]))
    weight, temperature = 0.3, 2.5
    objective = Distill().objective({"weight": weight, "temperature": temperature}, {"a": teacher})
    hidden = states()
    own = head.loss(hidden, batch)
    found = objective.loss("a", batch, hidden, head, own)
    with torch.no_grad():
        theirs = teacher.head("a").choices(teacher.hidden("a", batch), batch)
    p, q = ((one / temperature).softmax(-1) for one in (theirs, head.choices(hidden, batch)))
    wanted = (1 - weight) * own + weight * temperature**2 * (p * (p / q).log()).sum()
    assert float(found.detach()) == pytest.approx(float(wanted.detach()), rel=1e-5)
    assert objective.loss("other", batch, hidden, head, own) is own
    found.backward()
    assert all(parameter.grad is None for parameter in teacher.head("a").parameters())
    assert any(parameter.grad is not None for parameter in head.parameters())


def test_what_already_agrees_is_left_alone() -> None:
    head, batch, _ = heads()[1]

    class Same(Teacher):
        def hidden(self, task: str, batch: Any) -> Any:
            return states()

    objective = Distill().objective({"weight": 1.0, "temperature": 2.0}, {"a": Same(head)})
    found = objective.loss("a", batch, states(), head, head.loss(states(), batch))
    found.backward()
    assert float(found.detach()) == pytest.approx(0, abs=1e-6)
    assert all(p.grad is None or float(p.grad.abs().max()) < 1e-6 for p in head.parameters())


def test_options_and_heads_that_make_no_sense_are_refused() -> None:
    class Silent(HeadModule, torch.nn.Module):
        """Makes no choices."""

    with pytest.raises(UsageError, match="The head of a makes no choices among classes"):
        Distill().check({"weight": 0.5, "temperature": 2.0}, {"a": Silent()})
    for weight, temperature in ((1.5, 2.0), (0.5, 0.0)):
        with pytest.raises(UsageError, match="wanted at most 1, and above 0"):
            Distill().check({"weight": weight, "temperature": temperature}, {})
