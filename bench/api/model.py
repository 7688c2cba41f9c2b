"""Base models: a local folder in Hugging Face's layout, and what can be known of it without loading it."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from bench.api.part import Part


@dataclass(frozen=True)
class LinearShape:
    """A linear layer that gets a LoRA adapter, with its in_features and out_features.

    Its name is dotted, within the backbone (what `AutoModel` gives), e.g. ``encoder.layer.0.attention.self.query``.
    """

    name: str
    inputs: int
    outputs: int


@dataclass(frozen=True)
class ModelSpec:
    """What plan-time decisions need of a base model; read without torch.

    Args:
        name: as the user typed it.
        model_type: of its ``config.json``, e.g. ``bert`` or ``llama``.
        causal: whether a token sees only what stands before it.
        hidden_size: width of the hidden states.
        layers: number of transformer layers.
        max_length: longest input in tokens.
        parameters: number of parameters of the backbone.
        linears: every attention and MLP linear layer, in order.
        quantization: ``gptq`` or ``awq`` where the stored weights are already quantized, else None.
    """

    name: str
    model_type: str
    causal: bool
    hidden_size: int
    layers: int
    max_length: int
    parameters: int
    linears: tuple[LinearShape, ...]
    quantization: str | None = None


class Model(Part):
    """A base model that a plugin brings. Local folders and hub ids need no plugin."""

    plumbing_only: ClassVar[bool] = False
    """Random weights, good for testing the plumbing and nothing else."""

    @abstractmethod
    def spec(self) -> ModelSpec:
        """What is known without loading; torch is not imported. Raises MissingError where its package is not installed."""

    @abstractmethod
    def folder(self, cache: Path) -> Path:
        """A folder with ``config.json``, ``model.safetensors`` and a tokenizer; made below `cache` where need be."""
