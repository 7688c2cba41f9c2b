"""What a process is told by its launcher, and which rows of an update are its own."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import DataError
from bench.training.processes import SUM, Failure, Processes, launched, started_alone

LAUNCHED = {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}


def test_only_a_launcher_of_several_makes_several() -> None:
    assert launched(LAUNCHED) == Processes(1, 2)
    assert not launched(LAUNCHED).main
    for alone in ({}, LAUNCHED | {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}, {"RANK": "3", "WORLD_SIZE": "8"}):
        assert launched(alone) == Processes()
        assert launched(alone).main


def test_a_launcher_that_started_one_for_several_is_noticed() -> None:
    asked = {"ACCELERATE_USE_CPU": "True", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
    assert started_alone(asked)
    assert not started_alone({"ACCELERATE_USE_CPU": "True"})
    assert not started_alone(LAUNCHED)
    assert not started_alone({})


def test_one_process_waits_for_nobody() -> None:
    alone = Processes()
    assert alone.exchange("told") == ["told"]
    assert alone.from_main(lambda: 3) == alone.main_first(lambda: 3) == 3
    assert alone.first(None) is None
    assert alone.share([[5, 6], [7]], 10, [40]) == [5, 6, 7]
    alone.leave()


@given(
    st.lists(st.tuples(st.lists(st.integers(1, 4), min_size=1, max_size=6), st.integers(1, 50)), min_size=1), st.integers(1, 5)
)
def test_every_block_of_an_update_is_one_process_s_and_none_has_more_than_a_block_more(
    parts: list[tuple[list[int], int]], count: int
) -> None:
    everyone = [Processes(index, count) for index in range(count)]
    loads = [[0] * count for _ in everyone]
    held = [0] * count
    for sizes, longest in parts:
        rows = iter(range(sum(sizes)))
        blocks = [[next(rows) for _ in range(size)] for size in sizes]
        shares = [one.share(blocks, longest, load) for one, load in zip(everyone, loads, strict=True)]
        assert sorted(row for share in shares for row in share) == list(range(sum(sizes)))
        assert all(any(set(block) <= set(share) for share in shares) for block in blocks)
        held = [had + longest * len(share) for had, share in zip(held, shares, strict=True)]
    assert loads == [held] * count
    assert max(held) - min(held) <= max(longest * max(sizes) for sizes, longest in parts)


def test_a_failure_keeps_what_a_bench_error_says_and_nothing_that_another_quotes() -> None:
    assert Failure.of(DataError("Row 7 is odd.", "Mend it."), 1) == Failure("Row 7 is odd.", "Mend it.", 4)
    try:
        raise KeyError("text of a corpus")
    except KeyError as error:
        found = Failure.of(error, 1)
    assert found.exit_code == 70
    assert "KeyError in process 1, raised in " in found.message
    assert "unit/test_processes_share.py" in found.message
    assert "text of a corpus" not in found.message
    full = Failure.of(RuntimeError("DefaultCPUAllocator: can't allocate memory"), 2)
    assert (full.message, full.exit_code) == ("Out of memory in process 2.", 8)


@pytest.mark.parametrize(("devices", "there", "own"), [((0, 1), True, True), ((0, 0), True, False), ((0, 1), False, False)])
def test_gradients_go_through_nccl_where_every_process_has_a_gpu(
    monkeypatch: pytest.MonkeyPatch, devices: tuple[int, int], there: bool, own: bool
) -> None:
    torch = pytest.importorskip("torch")
    groups: list[Any] = []

    def group(backend: str, timeout: Any) -> str:
        groups.append((backend, timeout))
        return "the GPUs"

    monkeypatch.setattr(torch.cuda, "current_device", lambda: devices[0])
    monkeypatch.setattr(torch.distributed, "is_nccl_available", lambda: there)
    monkeypatch.setattr(torch.distributed, "new_group", group)
    pair = Processes(0, 2)
    monkeypatch.setattr(pair, "exchange", lambda value: [(value[0], device) for device in devices])
    assert pair._on_gpus() == ("the GPUs" if own else None)
    assert groups == ([("nccl", SUM)] if own else [])


@pytest.mark.parametrize("group", [None, "the GPUs"])
def test_gradients_are_added_up_where_the_group_is(monkeypatch: pytest.MonkeyPatch, group: Any) -> None:
    torch = pytest.importorskip("torch")
    asked: list[Any] = []

    def twice(flat: Any, group: Any) -> None:
        asked.append(group)
        flat.mul_(2)

    moved: list[int] = []
    real = torch.Tensor.cpu
    monkeypatch.setattr(torch.distributed, "all_reduce", twice)
    monkeypatch.setattr(torch.Tensor, "cpu", lambda tensor: (moved.append(1), real(tensor))[1])
    weights = [torch.nn.Parameter(torch.ones(3)), torch.nn.Parameter(torch.ones(2))]
    weights[0].grad = torch.ones(3)
    Processes(0, 2, _sums=group).add_gradients(weights, [], [])
    assert asked == [group]
    assert bool(moved) == (group is None)
    assert weights[0].grad.tolist() == [2, 2, 2]
    assert weights[1].grad is None
