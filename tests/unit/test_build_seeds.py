"""The seed of a run reaches every random start."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from bench.training.build import seeded  # noqa: E402


def drawn(seed: int, purpose: str) -> list[int]:
    with seeded(seed, purpose):
        return torch.randint(2**31, (4,)).tolist()  # type: ignore[no-any-return]


def test_seed_and_purpose_each_give_a_stream_of_their_own() -> None:
    # (seed << 32) + purpose once gave every seed the same start: torch reads the low 32 bits only
    streams = {tuple(drawn(seed, purpose)) for seed in (0, 1, 2, 2**32 - 1) for purpose in ("adapters", "head a")}
    assert len(streams) == 8
    assert drawn(1, "adapters") == drawn(1, "adapters")


def test_the_global_stream_goes_on_as_if_nothing_had_been_drawn() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    drawn(1, "adapters")
    assert torch.equal(torch.rand(3), expected)
