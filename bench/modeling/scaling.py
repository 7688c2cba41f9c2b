"""The loss scale of fp16: gradients too small for it are multiplied before the backward pass, and divided after.

An update whose gradients overflow is not skipped, as is usual: it is computed again at half the scale, with the same random
numbers, so that equal tokens stay equal updates.

Source: Micikevicius et al. 2018, Mixed Precision Training, arXiv:1710.03740, by `torch.amp.GradScaler`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

FIRST = 2.0**16
"""Scale of a run's first update."""
LEAST = 1.0
"""Scale at which gradients that still overflow are those of training that diverges."""


class LossScale:
    """A dynamic loss scale; in any other precision than fp16 it changes nothing.

    Args:
        device: kind of the device, ``cpu`` or ``cuda``.
        precision: of the run, e.g. ``fp16``.
    """

    def __init__(self, device: str = "cpu", precision: str = "fp32") -> None:
        self._scaler = torch.amp.GradScaler(device, init_scale=FIRST, enabled=precision == "fp16")
        self.repeated = 0

    @property
    def value(self) -> float:
        """What losses are multiplied by."""
        return float(self._scaler.get_scale())

    def backward(self, loss: Tensor) -> None:
        """The backward pass of a scaled loss."""
        torch.autograd.backward(self._scaler.scale(loss))

    def settled(self, optimizer: torch.optim.Optimizer) -> bool:
        """Divides the gradients by the scale; False where one overflowed, so that the update is to be computed again.

        The scale is then halved and the gradients are gone. At scale 1 they stay as they are, not finite.
        """
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if not self._scaler.is_enabled() or not gradients:
            return True
        self._scaler.unscale_(optimizer)
        if self.value <= LEAST or all(bool(gradient.isfinite().all()) for gradient in gradients):
            return True
        self._scaler.update()
        optimizer.zero_grad(set_to_none=True)
        self.repeated += 1
        return False

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        """The optimizer's step; after 2,000 without an overflow the scale is doubled."""
        if not self._scaler.is_enabled() or all(p.grad is None for group in optimizer.param_groups for p in group["params"]):
            optimizer.step()
            return
        self._scaler.step(optimizer)
        self._scaler.update()

    def state(self) -> dict[str, Any]:
        """JSON-able; empty where nothing is scaled."""
        return {**self._scaler.state_dict(), "repeated": self.repeated} if self._scaler.is_enabled() else {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Puts back a `state`."""
        if state:
            self._scaler.load_state_dict({name: value for name, value in state.items() if name != "repeated"})
            self.repeated = int(state["repeated"])
