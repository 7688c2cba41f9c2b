"""What unit tests share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Train = Callable[..., tuple[float, float]]


@pytest.fixture
def train() -> Train:
    """Trains a head's module on one batch, and gives its loss before and after."""
    torch = pytest.importorskip("torch")

    def run(module: Any, states: Any, data: Any, updates: int, rate: float = 3e-3) -> tuple[float, float]:
        optimizer = torch.optim.AdamW(module.parameters(), lr=rate)
        first = float(module.loss(states, data).detach())
        for _ in range(updates):
            optimizer.zero_grad()
            module.loss(states, data).backward()
            optimizer.step()
        return first, float(module.loss(states, data).detach())

    return run
