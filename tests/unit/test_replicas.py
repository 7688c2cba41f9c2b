"""Batches side by side: the order and the results of one after the other, and no copy that another pass could reach."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from threading import current_thread

import pytest

torch = pytest.importorskip("torch")

from bench.evaluation.replicas import EXTRA, copied, side_by_side  # noqa: E402


@pytest.fixture(autouse=True)
def two_cores() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def layer() -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.ReLU()).eval()


def test_results_come_in_order_from_two_threads_of_one_core_each() -> None:
    def work(model: torch.nn.Module, item: int) -> tuple[int, str, int, int]:
        time.sleep(0.02 if item % 2 == 0 else 0.001)  # the later of a pair is ready first
        return item, current_thread().name, torch.get_num_threads(), id(model)

    done = list(side_by_side(layer(), "cpu", work, range(20)))
    assert [item for item, _ in done] == [result[0] for _, result in done] == list(range(20))
    assert len({result[1] for _, result in done}) == len({result[3] for _, result in done}) == 2
    assert {result[2] for _, result in done} == {1}
    assert torch.get_num_threads() == 2


def test_only_a_few_items_are_taken_ahead() -> None:
    taken = []
    done = side_by_side(layer(), "cpu", lambda _, item: item, (taken.append(i) or i for i in range(50)))
    next(done)
    assert len(taken) <= 4
    done.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize(("device", "cores"), [("cuda", 2), ("cpu", 1)])
def test_one_after_the_other_elsewhere(device: str, cores: int) -> None:
    torch.set_num_threads(cores)
    model = layer()
    assert all(used is model for _, used in side_by_side(model, device, lambda used, _: used, range(6)))


def test_an_error_comes_out_and_threads_are_as_before() -> None:
    def work(model: torch.nn.Module, item: int) -> int:
        if item == 3:
            raise ValueError("three")
        return item

    with pytest.raises(ValueError, match="three"):
        list(side_by_side(layer(), "cpu", work, range(100)))
    assert torch.get_num_threads() == 2


def test_a_copy_shares_weights_and_buffers_and_no_module() -> None:
    model = torch.nn.Sequential(torch.nn.BatchNorm1d(3), torch.nn.Linear(3, 3)).eval()
    replica = copied(model)
    assert replica is not None
    assert not {id(m) for m in model.modules()} & {id(m) for m in replica.modules()}
    pairs = zip((*model.parameters(), *model.buffers()), (*replica.parameters(), *replica.buffers()), strict=True)
    assert all(a is b for a, b in pairs)


def closes_over_a_module(model: torch.nn.Module) -> None:
    model.register_forward_pre_hook(lambda _, args: model[0].weight.sum() and None)


def closes_over_what_it_keeps(model: torch.nn.Module) -> None:
    kept: list[int] = []
    model.register_forward_pre_hook(lambda _, args: kept.append(1))


def holds_many_tensors(model: torch.nn.Module) -> None:
    model.unregistered = [torch.empty(EXTRA // 4 + 1)]  # type: ignore[assignment]


def refuses_to_be_copied(model: torch.nn.Module) -> None:
    model.stream = (n for n in range(3))  # type: ignore[assignment]


@pytest.mark.parametrize(
    "what",
    [closes_over_a_module, closes_over_what_it_keeps, holds_many_tensors, refuses_to_be_copied],
    ids=lambda f: f.__name__,
)
def test_what_could_meet_another_pass_is_not_copied(what: Callable[[torch.nn.Module], None]) -> None:
    model = layer()
    assert copied(model) is not None
    what(model)
    assert copied(model) is None
    done = list(side_by_side(model, "cpu", lambda used, item: (used is model, item), range(5)))
    assert done == [(i, (True, i)) for i in range(5)]
