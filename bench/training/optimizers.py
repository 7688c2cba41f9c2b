"""Optimizers: AdamW, and the same with moments of eight bits by bitsandbytes; what a checkpoint keeps of their state.

Source: Loshchilov & Hutter 2019, arXiv 1711.05101; Dettmers et al. 2021, "8-bit Optimizers via Block-wise Quantization",
arXiv 2110.02861.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from bench.api.part import Requirement
from bench.errors import MissingError, UsageError
from bench.training.devices import kind

Name = Literal["adamw", "adamw-8bit", "paged-adamw-8bit"]
WEIGHT_DECAY = 0.01
BETAS = (0.9, 0.98)
SMALLEST = 4096
"""Numbers below which bitsandbytes keeps a tensor's moments in fp32."""
_CONSTANT = ("qmap1", "qmap2")
"""Tables of bitsandbytes that every tensor shares and that no checkpoint need hold."""


def make_optimizer(parameters: Iterable[Any], lr: float, name: Name = "adamw") -> torch.optim.Optimizer:
    """AdamW as every arm gets it.

    Args:
        parameters: that are trained.
        lr: learning rate.
        name: ``adamw``; with moments of eight bits, ``adamw-8bit``; those also moved to the host's memory where the device has
            none left, ``paged-adamw-8bit``.
    """
    if name == "adamw":
        return torch.optim.AdamW(parameters, lr=lr, betas=BETAS, weight_decay=WEIGHT_DECAY, foreach=True)
    from bitsandbytes.optim import AdamW8bit, PagedAdamW8bit

    made = AdamW8bit if name == "adamw-8bit" else PagedAdamW8bit
    optimizer: torch.optim.Optimizer = made(parameters, lr=lr, betas=BETAS, weight_decay=WEIGHT_DECAY, min_8bit_size=SMALLEST)
    return optimizer


def refuse_unfit(name: Name, device: str) -> None:
    """Refuses an optimizer that cannot work here, by a step of it, before anything is trained.

    Args:
        name: of the optimizer.
        device: ``cpu`` or ``cuda``, with or without an index.

    Raises:
        MissingError: bitsandbytes is not installed.
        UsageError: it cannot do it on this device.
    """
    if name == "adamw":
        return
    needs = Requirement("bitsandbytes", "bench-suite[quant]")
    if not needs.present():
        raise MissingError(f"--optimizer {name} needs bitsandbytes, which is not installed.", needs.command)
    if name == "paged-adamw-8bit" and kind(device) == "cpu":
        raise UsageError(f"--optimizer {name} pages a GPU's memory; this run is on the cpu.", "Take --optimizer adamw-8bit.")
    weight = nn.Parameter(torch.ones(SMALLEST, device=device))
    try:
        weight.grad = torch.ones_like(weight)
        make_optimizer([weight], 0.1, name).step()
        moved = bool((weight < 1).all())
    except (RuntimeError, NotImplementedError, AttributeError, OSError):  # bitsandbytes has no such kernel here
        moved = False
    if not moved:
        raise UsageError(
            f"--optimizer {name}: this bitsandbytes cannot take a step of it on {device}.",
            "Take --optimizer adamw, or run 'bench doctor' for the tested version.",
        )


def kept(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """What a checkpoint holds of the state of one parameter, by name."""
    return {key: torch.as_tensor(value) for key, value in state.items() if key not in _CONSTANT}


def put_back(optimizer: torch.optim.Optimizer, parameter: nn.Parameter, state: Mapping[str, Tensor]) -> None:
    """Gives a parameter the state that `kept` took.

    Args:
        optimizer: of the parameter.
        parameter: whose state it is.
        state: on whichever device.
    """
    if isinstance(optimizer, torch.optim.AdamW):
        # Adam's step count lives on the CPU, its moments where the parameter is.
        for key, value in state.items():
            optimizer.state[parameter][key] = value.clone() if key == "step" else value.to(parameter.device).clone()
        return
    bits: Any = optimizer
    group, index = next(
        (g, i) for g, entry in enumerate(bits.param_groups) for i, one in enumerate(entry["params"]) if one is parameter
    )
    bits.init_state(bits.param_groups[group], parameter, group, index)  # paged memory is bitsandbytes' to reserve
    own = bits.state[parameter]
    for key, value in state.items():
        if isinstance(own[key], Tensor):
            own[key].copy_(value)
        else:
            own[key] = int(value)
