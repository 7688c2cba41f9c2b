"""The module of `bench_plugins.architectures.prompts.Prefix`: keys and values in every layer."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.api.architecture import ArchitectureModule
from bench.errors import UsageError

_AT_ONCE = 64
"""Tokens that go through the base model together to start a prefix."""


class PrefixModel(ArchitectureModule, nn.Module):
    """A frozen backbone and keys and values that every token attends to in every layer.

    They start as those of tokens drawn at random, which section 7.4 of the paper found better than noise, and are trained as
    they are, without the network that the paper makes them by while training.

    Args:
        backbone: whose attention takes keys and values from outside.
        parameters: how many may be trained.

    Raises:
        UsageError: its attention takes none.
    """

    def __init__(self, backbone: nn.Module, parameters: int) -> None:
        super().__init__()
        self.backbone = backbone
        self._layers = [module for module in backbone.modules() if _width(module)]
        if not self._layers:
            raise UsageError("The base model's attention takes no keys and values from outside.", "Take another architecture.")
        self.count = max(1, parameters // (2 * sum(map(_width, self._layers))))
        place = next(backbone.parameters()).device
        self.keys, self.values = (
            nn.ParameterList(nn.Parameter(torch.zeros(self.count, _width(module), device=place)) for module in self._layers)
            for _ in range(2)
        )
        if place.type != "meta":
            self._initialise()
        for index, module in enumerate(self._layers):
            signature = inspect.signature(module.forward)
            module.register_forward_pre_hook(partial(self._extend, index, signature), with_kwargs=True)

    @torch.no_grad()
    def _initialise(self) -> None:
        """Takes the keys and values of random tokens from the base model itself."""
        backbone: Any = self.backbone
        ids = torch.randint(len(backbone.get_input_embeddings().weight), (self.count,)).to(self.keys[0].device)
        for low in range(0, self.count, _AT_ONCE):
            seen = [_RecordingCache() for _ in self._layers]
            hooks = [
                module.register_forward_pre_hook(partial(_record, layer, inspect.signature(module.forward)), with_kwargs=True)
                for module, layer in zip(self._layers, seen, strict=True)
            ]
            backbone(input_ids=ids[None, low : low + _AT_ONCE], attention_mask=torch.ones_like(ids[None, low : low + _AT_ONCE]))
            for at, layer in enumerate(seen):
                hooks[at].remove()
                for parameter, state in ((self.keys[at], layer.key), (self.values[at], layer.value)):
                    parameter[low : low + _AT_ONCE] = state[0].transpose(0, 1).flatten(1).to(parameter.dtype)

    def _extend(self, index: int, signature: inspect.Signature, module: nn.Module, args: Any, named: Any) -> Any:
        """Hands an attention layer its keys and values, and a mask that leaves them visible to every token."""
        call = signature.bind(*args, **named)
        hidden, mask = call.args[0], call.arguments.get("attention_mask")
        if mask is None and getattr(module, "is_causal", False):  # torch's own causal mask fits the keys of the text alone
            length = hidden.shape[1]
            mask = torch.ones(length, length, dtype=torch.bool, device=hidden.device).tril()[None, None]
        if mask is not None:
            mask = F.pad(mask, (self.count, 0), value=True if mask.dtype == torch.bool else 0.0)
        call.arguments["attention_mask"] = mask
        call.arguments["past_key_values"] = _PrefixCache(self.keys[index], self.values[index])
        return call.args, call.kwargs

    def trained(self) -> Mapping[str, nn.Parameter]:
        """Keys and values of each layer, (count, heads · width)."""
        return {
            f"prefix.{at}.{kind}": parameter
            for at in range(len(self._layers))
            for kind, parameter in (("key", self.keys[at]), ("value", self.values[at]))
        }

    def facts(self) -> dict[str, Any]:
        """What is trained, and how many pairs of a key and a value each layer has."""
        return {**super().facts(), "pairs_a_layer": self.count}


class _PrefixCache:
    """A cache for attention that puts keys and values before those of the text."""

    def __init__(self, key: Tensor, value: Tensor) -> None:
        self.pair = (key, value)

    def update(self, key: Tensor, value: Tensor, *others: Any, **named: Any) -> tuple[Tensor, ...]:
        """Keys and values of the prefix and the text, (batch, heads, count + seq, width)."""
        pairs = zip(self.pair, (key, value), strict=True)
        return tuple(torch.cat([self._shaped(prefix, text), text], 2) for prefix, text in pairs)

    @staticmethod
    def _shaped(prefix: Tensor, like: Tensor) -> Tensor:
        batch, heads, _, width = like.shape
        return prefix.to(like.dtype).view(-1, heads, width).transpose(0, 1).expand(batch, -1, -1, -1)


class _RecordingCache:
    """A cache for attention that records the keys and values that it gets."""

    key: Tensor
    value: Tensor

    def update(self, key: Tensor, value: Tensor, *others: Any, **named: Any) -> tuple[Tensor, Tensor]:
        """The same keys and values."""
        self.key, self.value = key, value
        return key, value


def _record(seen: _RecordingCache, signature: inspect.Signature, module: nn.Module, args: Any, named: Any) -> Any:
    call = signature.bind(*args, **named)
    call.arguments["past_key_values"] = seen
    return call.args, call.kwargs


def _width(module: nn.Module) -> int:
    """Width of a self-attention layer's keys; 0 for any other module."""
    projection: Any = next((getattr(module, name) for name in ("key", "k_proj") if hasattr(module, name)), None)
    takes = "past_key_values" in inspect.signature(module.forward).parameters and hasattr(module, "layer_idx")
    return int(projection.out_features) if takes and projection is not None else 0
