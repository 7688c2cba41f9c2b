"""Base models known by a short name."""

from collections.abc import Sequence

from bench.api.model import Model
from bench.hooks import hookimpl
from bench_plugins.models.minilm import MiniLM
from bench_plugins.models.smollm2 import SmolLM2
from bench_plugins.models.tiny import TinyBert, TinyLlama


@hookimpl
def bench_models() -> Sequence[Model]:
    """The models that work without a network."""
    return MiniLM(), SmolLM2(), TinyBert(), TinyLlama()
