"""What property tests share."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import strategies as st

Damaged = Callable[..., st.SearchStrategy[bytes]]


@st.composite
def _damaged(draw: st.DrawFn, whole: bytes, pieces: Sequence[bytes], most: int = 5) -> bytes:
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, most))] = draw(st.one_of(st.binary(max_size=4), st.sampled_from(pieces)))
    return bytes(data)


@pytest.fixture(scope="session")
def damaged() -> Damaged:
    """A file with a few cuts, each of at most so many bytes, filled with any bytes or with pieces of its format."""
    return _damaged
