"""The installed architectures: LoRA adapters of many kinds, and the base model's own weights as references."""

from __future__ import annotations

from collections.abc import Sequence

from bench.api.architecture import BaseArchitecture
from bench.hooks import hookimpl
from bench_plugins.architectures.gated import Gated
from bench_plugins.architectures.hierarchical import Detached, Flat, Hierarchical
from bench_plugins.architectures.lora import Fused, PrivateOnly, SharedAndPrivate, SharedOnly
from bench_plugins.architectures.principal import Pissa
from bench_plugins.architectures.prompts import Prefix, Prompt
from bench_plugins.architectures.variants import Dora, RankStabilised
from bench_plugins.architectures.weights import BitFit, Full

__all__ = ["Fused", "PrivateOnly", "SharedAndPrivate", "SharedOnly"]


@hookimpl
def bench_architectures() -> Sequence[BaseArchitecture]:
    """A1 to A4 and their variants, levels of tasks, prompts and prefixes, and the references."""
    four = (SharedOnly(), PrivateOnly(), SharedAndPrivate(), Fused())
    return (
        *four,
        Gated(),
        Dora(),
        RankStabilised(),
        Pissa(),
        Hierarchical(),
        Detached(),
        Flat(),
        Prefix(),
        Prompt(),
        Full(),
        BitFit(),
    )
