"""What a process is told by its launcher, and which rows of an update are its own."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bench.errors import DataError
from bench.training.processes import Failure, Processes, launched, started_alone

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
