"""How fast this machine trains and evaluates: one frozen transformer layer, timed for about half a second.

A bare matrix product says too much where products are ten times faster than all that stands around them (AMX, tensor cores).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import cache

WIDEST = 1024
"""Hidden size of the layer at most: a rate hardly grows beyond, and its time does."""
LENGTH = 128
RANK = 16
_LAPS = 3


@cache
def layer_rates(width: int, precision: str, device: str) -> tuple[float, float]:
    """Floating-point operations a second: forward with the gradient of the input and of an adapter, and forward alone.

    A process times each width, precision and device once.

    Args:
        width: hidden size of the base model.
        precision: ``fp32``, ``bf16`` or ``fp16``.
        device: ``cpu`` or ``cuda``, with or without an index.
    """
    import torch
    from torch.nn import functional as F

    from bench.training.devices import kind
    from bench.training.loop import DTYPES

    width = min(width, WIDEST)
    heads = max(1, width // 64)
    rows = max(1, 2048 * 384 // (LENGTH * width))
    dtype = DTYPES[precision]
    make = torch.Generator().manual_seed(0)
    shapes = [(width, width)] * 4 + [(4 * width, width), (width, 4 * width)]
    weights = [(torch.randn(shape, generator=make) / math.sqrt(shape[1])).to(device, dtype) for shape in shapes]
    downs = [
        (torch.randn(RANK, shape[1], generator=make) / math.sqrt(shape[1])).to(device).requires_grad_() for shape in shapes
    ]
    ups = [torch.zeros(shape[0], RANK, device=device, requires_grad=True) for shape in shapes]
    x = torch.randn(rows, LENGTH, width, generator=make).to(device).requires_grad_()

    def linear(inputs: torch.Tensor, place: int) -> torch.Tensor:
        return F.linear(inputs, weights[place]) + F.linear(F.linear(inputs, downs[place]), ups[place])

    def layer() -> torch.Tensor:
        q, k, v = (linear(x, place).view(rows, LENGTH, heads, -1).transpose(1, 2) for place in range(3))
        seen = (q @ k.transpose(2, 3) / math.sqrt(q.shape[-1])).softmax(-1).to(v.dtype) @ v
        mixed = F.layer_norm(x + linear(seen.transpose(1, 2).flatten(2), 3), (width,))
        return F.layer_norm(mixed + linear(F.gelu(linear(mixed, 4)), 5), (width,))

    def seconds(work: Callable[[], torch.Tensor]) -> float:
        best = math.inf
        for _ in range(1 + _LAPS):  # the first is slower
            started = time.perf_counter()
            with torch.autocast(kind(device), dtype=dtype) if precision != "fp32" else nullcontext():
                done = work()
            if done.requires_grad:
                torch.autograd.backward(done.float().sum())
            float(done.detach().flatten()[0])  # waits for the device
            best = min(best, time.perf_counter() - started)
        return best

    def evaluated() -> torch.Tensor:
        with torch.no_grad():
            return layer()

    positions, frozen, attended = rows * LENGTH, sum(a * b for a, b in shapes), 4 * LENGTH * width
    adapters = sum(RANK * (a + b) for a, b in shapes)
    training = positions * (4 * frozen + 3 * attended + 6 * adapters)
    evaluation = positions * (2 * frozen + attended + 2 * adapters)
    return training / seconds(layer), evaluation / seconds(evaluated)
