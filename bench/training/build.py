"""From a frozen base model to the thing that is trained; the same code for the run and for its memory probes."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from bench.adapters.attach import attach
from bench.api.architecture import BaseArchitecture, ParameterBudget
from bench.api.head import Head
from bench.training.model import TaskModel


def build_model(
    backbone: nn.Module,
    architecture: BaseArchitecture,
    budget: ParameterBudget,
    heads: Mapping[str, Head],
    hidden_size: int,
    seed: int,
    device: str,
) -> TaskModel:
    """Attaches an architecture and heads.

    Every arm draws its heads from the same seed, task by task, so that arms differ in nothing but their adapters.

    Args:
        backbone: frozen.
        architecture: the arm.
        budget: of trained parameters.
        heads: task to its fitted head.
        hidden_size: of the backbone.
        seed: of the run.
        device: ``cpu`` or ``cuda``.
    """
    with seeded(seed, "adapters"):
        adapted = attach(architecture, backbone, tuple(heads), budget)
    modules: dict[str, Any] = {}
    for task, head in heads.items():
        with seeded(seed, f"head {task}"):
            modules[task] = head.module(hidden_size)
    return TaskModel(adapted, modules).to(device)


def base_dtype(architecture: BaseArchitecture, dtype: torch.dtype) -> torch.dtype:
    """What a plain base model is loaded in: that of the products, unless its own weights are trained.

    Adam's small steps would be lost in bf16.
    """
    return torch.float32 if architecture.trains_base else dtype


@contextmanager
def seeded(seed: int, purpose: str) -> Iterator[None]:
    """A random stream of its own for one purpose; the global one is left as it was."""
    before = torch.get_rng_state()
    # torch's generator on CPU reads the low 32 bits of a seed and nothing else, so both must go into those.
    torch.manual_seed(zlib.crc32(f"{seed} {purpose}".encode()))
    try:
        yield
    finally:
        torch.set_rng_state(before)
