"""The search for the micro-batch on simulated memory: few probes, the peak where it should be, and a clear refusal."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import InvariantError
from bench.invariants.batch import PROBES, TARGET, search

MIB = 2**20


def memory(base: int, each: int, noise: int = 0, seed: int = 0, ceiling: int | None = None) -> Callable[[int], int | None]:
    """Peak of a process that takes `base` and so much for each example of 100 tokens, and dies above `ceiling`."""
    rng = random.Random(seed)

    def probe(padded: int) -> int | None:
        peak = base + each * (padded // 100) + rng.randint(0, noise)
        return None if ceiling is not None and peak > ceiling else peak

    return probe


@given(
    base=st.integers(100, 2000),
    each=st.integers(1, 40),
    room=st.integers(40, 400),
    noise=st.integers(0, 4),
    seed=st.integers(0, 99),
    dies=st.booleans(),
)
def test_where_memory_binds_the_peak_comes_close_to_the_limit(
    base: int, each: int, room: int, noise: int, seed: int, dies: bool
) -> None:
    limit = int((base + each * room) * MIB / TARGET)
    ceiling = limit if dies else None
    report = search(memory(base * MIB, each * MIB, noise * MIB, seed, ceiling), 100, 100 * 10 * room, limit)
    assert len(report.probes) <= PROBES
    assert report.binds == "memory"
    assert report.peak is not None
    granularity = (each + noise) * MIB / limit
    assert 0.75 - granularity <= report.peak / limit <= TARGET
    assert report.micro_batch % 100 == 0
    assert dict(report.probes)[report.micro_batch] == report.peak


@given(base=st.integers(0, 500), each=st.integers(1, 10), update=st.integers(100, 5000))
def test_an_update_is_never_exceeded_and_named_as_what_binds(base: int, each: int, update: int) -> None:
    limit = int((base + each * 100) * MIB / 0.5)
    report = search(memory(base * MIB, each * MIB), 100, update, limit)
    assert report.binds == "update"
    assert report.micro_batch == -(-update // 100) * 100
    assert max(padded for padded, _ in report.probes) <= report.micro_batch


def test_a_whole_update_is_the_second_probe_where_memory_is_plentiful() -> None:
    report = search(memory(800 * MIB, 40 * MIB), 100, 2000, 40_000 * MIB)
    assert [padded for padded, _ in report.probes] == [100, 2000]
    assert report.binds == "update"


@given(st.integers(10, 5000), st.integers(2, 50))
def test_sizes_ascend_while_they_fit(base: int, room: int) -> None:
    seen: list[int] = []
    limit = int((base + 10 * room) * MIB / TARGET)

    def probe(padded: int) -> int:
        seen.append(padded)
        return memory(base * MIB, 10 * MIB)(padded)

    search(probe, 100, 100_000, limit)
    fitting = [padded for padded in seen if memory(base * MIB, 10 * MIB)(padded) <= TARGET * limit]  # type: ignore[operator]
    assert fitting == sorted(set(fitting))
    assert len(seen) <= PROBES


def test_a_limit_too_tiny_names_the_smallest_need() -> None:
    with pytest.raises(InvariantError) as caught:
        search(memory(990 * MIB, 10 * MIB), 100, 2048, 500 * MIB)
    assert caught.value.exit_code == 3
    # 1000 MiB / 0.85
    assert "one example of 100 tokens needs at least 1.2 GiB of memory; the limit is 500.0 MiB" in caught.value.message
    assert "--memory-limit" in str(caught.value.hint)


def test_the_need_that_is_named_is_enough() -> None:
    need = int(1000 * MIB / TARGET) + 1
    assert search(memory(990 * MIB, 10 * MIB), 100, 2048, need).micro_batch == 100


def test_one_example_that_dies_of_it_has_no_known_need() -> None:
    with pytest.raises(InvariantError, match=r"needs more than 500\.0 MiB"):
        search(lambda padded: None, 100, 2048, 500 * MIB)


def test_a_report_is_json() -> None:
    report = search(memory(0, MIB), 100, 400, 1000 * MIB)
    assert asdict(report) == {
        "micro_batch": 400,
        "limit": 1000 * MIB,
        "peak": 4 * MIB,
        "binds": "update",
        "longest": 100,
        "probes": report.probes,
        "waived": False,
        "gradient_checkpointing": False,
    }
