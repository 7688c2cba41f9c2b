"""A frozen linear layer and the low-rank products of its active adapters as one operation.

PEFT adds the products to the layer's output one after the other, each with casts of its own, and lets autograd keep what every
step of it needs. Here the active adapters stand side by side as one product of the sum of their ranks, added in place; the base
weight gets no gradient, and only the input and the inner product are kept. A weight of NF4 is unpacked in the forward and again
in the backward pass, as bitsandbytes does, so that the whole model is never dense at once.

Source: Hu et al. 2021, "LoRA", arXiv 2106.09685.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import torch
from peft.tuners.lora import Linear, LoraLayer
from torch import Tensor, nn


class _LoraLinear(torch.autograd.Function):
    """x Wᵀ + bias + s (x Aᵀ) Bᵀ, for rows x (N, in), W = `dense()` (out, in), A (R, in) and B (out, R) of one dtype."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, dense: Callable[[], Tensor], bias: Tensor | None, a: Tensor, b: Tensor, scale: float
    ) -> Tensor:
        inner = x @ a.t()
        out = x @ dense().t() if bias is None else torch.addmm(bias, x, dense().t())
        ctx.save_for_backward(x, a, b, inner)
        ctx.dense, ctx.scale = dense, scale
        return out.addmm_(inner, b.t(), alpha=scale)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, a, b, inner = ctx.saved_tensors
        (grad,) = grads
        grad = grad.contiguous()
        of_inner = (grad @ b).mul_(ctx.scale)
        of_x = (grad @ ctx.dense()).addmm_(of_inner, a) if ctx.needs_input_grad[0] else None
        of_a = of_inner.t() @ x if ctx.needs_input_grad[3] else None
        of_b = (grad.t() @ inner).mul_(ctx.scale) if ctx.needs_input_grad[4] else None
        return of_x, None, None, of_a, of_b, None


def fuse(layer: LoraLayer) -> bool:
    """Lets a LoRA layer of PEFT compute as one operation where its base is a plain linear layer or NF4; whether it does now.

    Other quantized layers (LLM.int8() rounds its inputs too), other kinds of adapters and dropout of the input keep PEFT's own
    forward pass.
    """
    known = type(layer) is Linear or type(layer).__name__ == "Linear4bit"  # by name: bitsandbytes may not be there
    plain = known and _weight(layer.get_base_layer()) is not None
    quiet = all(isinstance(dropout, nn.Identity) for dropout in layer.lora_dropout.values())
    if not (plain and quiet) or any(layer.use_dora.values()):
        return False
    layer.forward = partial(_forward, layer)
    return True


def _weight(base: nn.Module) -> tuple[torch.dtype, Callable[[torch.dtype], Tensor]] | None:
    """The dtype that a frozen layer computes in, and its dense weight (out, in) on demand; None for what is not known."""
    if type(base) is nn.Linear:
        return base.weight.dtype, base.weight.to
    if type(base).__name__ == "Linear4bit":
        from bitsandbytes.functional import dequantize_4bit

        packed: Any = base.weight
        compute = cast(Any, base).compute_dtype
        return compute, lambda dtype: dequantize_4bit(packed.data, packed.quant_state).to(dtype)
    return None


def _forward(layer: LoraLayer, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    base = layer.get_base_layer()
    active = [name for name in layer._active_adapter if name in layer.lora_A]
    scales = {layer.scaling[name] for name in active}
    known = _weight(base)
    if known is None or args or kwargs or len(scales) != 1 or layer.merged or layer.disable_adapters:
        return cast(Tensor, type(layer).forward(layer, x, *args, **kwargs))
    base_dtype, weight = known
    kind = x.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else base_dtype
    down = [cast(nn.Linear, layer.lora_A[name]).weight for name in active]
    up = [cast(nn.Linear, layer.lora_B[name]).weight for name in active]
    a, b = (down[0], up[0]) if len(active) == 1 else (torch.cat(down), torch.cat(up, 1))
    bias = cast("Tensor | None", base.bias)
    bias = None if bias is None else bias.to(dtype)
    with torch.autocast(kind, enabled=False):
        apply: Callable[..., Tensor] = _LoraLinear.apply
        rows = x.reshape(-1, x.shape[-1]).to(dtype)
        out = apply(rows, partial(weight, dtype), bias, a.to(dtype), b.to(dtype), scales.pop())
    return out.view(*x.shape[:-1], -1)
