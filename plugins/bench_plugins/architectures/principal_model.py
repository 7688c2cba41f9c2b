"""The module of `bench_plugins.architectures.principal`: an adapter beside its frozen start, which is subtracted."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, cast

import torch
from peft.utils.integrations import dequantize_module_weight
from safetensors.torch import save_file
from torch import Tensor, nn

from bench.adapters import naming
from bench.adapters.model import WEIGHTS, AdaptedModel
from bench.api.architecture import match

START = "start"
"""The adapter that holds what training starts from: A₀ and -B₀."""
ITERATIONS, MORE = 16, 16
"""Subspace iterations of the decomposition, as PEFT's ``pissa_niter_16``, over so many directions more than are kept: an exact
one takes ten times as long, and without the others the smallest of those kept come out wrong (arXiv:0909.4061, section 1.6)."""


class PrincipalModel(AdaptedModel):
    """The base model with one adapter that starts as its principal part.

    In a layer of weight W ≈ U S Vᵀ, cut to rank r, and with a scale of 2 (alpha / rank), A₀ = √(S/2)·Vᵀ and B₀ = U·√(S/2). The
    layer computes W + 2·(BA - B₀A₀); A and B start at A₀ and B₀.
    """

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        (self._adapter,) = self.plan.adapters
        meta = any(parameter.is_meta for parameter in self.trained().values())
        place = torch.device("meta" if meta else "cpu")
        with torch.random.fork_rng(devices=[]), place:
            self.peft.add_adapter(START, deepcopy(self.peft.peft_config[self._adapter]))
        self.peft.base_model.set_adapter([self._adapter, START])
        self._routes = dict.fromkeys(self.tasks, ((self._adapter, START),))
        self._start: dict[str, nn.Parameter] = {}
        for name, layer in self._layers.items():
            for letter, half in (("A", layer.lora_A), ("B", layer.lora_B)):
                frozen = nn.init.zeros_(cast(nn.Linear, half[START]).requires_grad_(False).weight)
                self._start[naming.stable(START, name, letter)] = cast(nn.Parameter, frozen)
        if not meta:
            self._decompose()

    @torch.no_grad()
    def _decompose(self) -> None:
        """Decomposes every weight, which the run's seed does not change."""
        with torch.random.fork_rng(devices=[]):
            for name, layer in self._layers.items():
                torch.default_generator.manual_seed(naming.stream(0, name))
                weight = dequantize_module_weight(layer.get_base_layer()).detach().float().cpu()
                scale, rank = layer.scaling[self._adapter], layer.r[self._adapter]
                left, values, right = torch.svd_lowrank(weight, min(rank + MORE, *weight.shape), niter=ITERATIONS)
                roots = (values[:rank] / scale).sqrt()
                a, b = roots[:, None] * right[:, :rank].T, left[:, :rank] * roots
                for adapter, down, up in ((self._adapter, a, b), (START, a, -b)):
                    # A rank above that of the weight leaves rows without a value; they start as in plain LoRA.
                    cast(nn.Linear, layer.lora_A[adapter]).weight[: len(a)].copy_(down)
                    cast(nn.Linear, layer.lora_B[adapter]).weight[:, : len(a)].copy_(up)

    def state(self) -> dict[str, Tensor]:
        """The adapter and its start, which no other machine's decomposition need give again to the last bit."""
        return super().state() | {name: tensor.detach() for name, tensor in self._start.items()}

    @torch.no_grad()
    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Copies what `state` gave back into the model; all of it or nothing.

        Raises:
            RunStateError: a tensor is missing, unknown or of another shape.
        """
        tensors = dict(self.trained()) | self._start
        match({n: tuple(p.shape) for n, p in tensors.items()}, {n: tuple(t.shape) for n, t in state.items()})
        for name, parameter in tensors.items():
            parameter.copy_(state[name])

    def save(self, folder: Path) -> None:
        """Writes BA - B₀A₀ as one LoRA adapter of twice the rank, for the base model as it is.

        `peft.PeftModel.from_pretrained(backbone, folder / adapter)` loads it.
        """
        place = folder / self._adapter
        place.mkdir(parents=True, exist_ok=True)
        config: Any = deepcopy(self.peft.peft_config[self._adapter])
        config.inference_mode = True
        config.r, config.lora_alpha = 2 * config.r, 2 * config.lora_alpha
        config.rank_pattern = {name: 2 * rank for name, rank in config.rank_pattern.items()}
        config.alpha_pattern = {name: 2 * alpha for name, alpha in config.alpha_pattern.items()}
        config.save_pretrained(str(place))
        tensors = {}
        for name, trained in self.trained().items():
            start = self._start[_start_of(name)]
            joined = torch.cat([trained.detach(), start.detach()], dim=0 if name.endswith(".A") else 1)
            tensors[naming.to_peft(name)] = joined.cpu().contiguous()
        save_file(tensors, place / WEIGHTS, metadata={"format": "pt"})

    def read(self, folder: Path, components: Collection[str]) -> dict[str, Tensor]:
        """What `save` wrote of the adapter, and its start."""
        state = {}
        for name, tensor in super().read(folder, components).items():
            state[name], state[_start_of(name)] = tensor.tensor_split(2, dim=0 if name.endswith(".A") else 1)
        return state


def _start_of(name: str) -> str:
    """Name of the frozen start of a trained matrix."""
    _, _, rest = name.split(".", 2)
    return f"adapter.{START}.{rest}"
