"""The memory that training takes, told before any weight is loaded: base model, what is trained, its optimizer, activations.

The numbers that a backward pass needs were counted for BERT, ModernBERT, Llama and Qwen3. `benchmarks/bench_memory_plan.py`
holds the plan against measured peaks; docs/performance.md has the deviations.
"""

from __future__ import annotations

from dataclasses import dataclass

from bench.api.model import ModelSpec
from bench.training.devices import kind

PROCESS = {"cpu": 700 * 2**20, "cuda": 400 * 2**20}
"""Bytes of the interpreter with torch and transformers; on a GPU, of CUDA's context."""
KEPT, KEPT_CAUSAL = 1.0, 1.3
"""Numbers kept of a token, per input and output of a linear layer: .9 to 1.0 in encoders, 1.1 to 1.4 in decoders."""
STATES, STATES_CAUSAL = 1.0, 1.7
"""Hidden states kept of a token and a layer that is computed again; decoders keep some in fp32 as well."""
BACKWARD = 2
"""What the backward pass of a layer computes, over what its forward pass keeps."""
MOMENTS = {"adamw": 12.0, "adamw-8bit": 2.04, "paged-adamw-8bit": 2.04}
"""Bytes of a trained number's moments, and of what a step of all tensors at once puts aside for it."""


@dataclass(frozen=True)
class Memory:
    """Bytes at the peak of an update, by what they are for."""

    process: int
    base: int
    trained: int
    optimizer: int
    activations: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.process + self.base + self.trained + self.optimizer + self.activations


@dataclass(frozen=True)
class Load:
    """What decides the memory of an update.

    Args:
        spec: of the base model.
        trained: numbers that are trained, heads included.
        trains_base: whether those are weights of the base model.
        passes: of the base model for a batch.
        precision: ``fp32``, ``bf16`` or ``fp16``.
        device: ``cpu`` or ``cuda``, with or without an index.
        packed_bits: of a weight of a linear layer of the base in memory; None where it is dense.
        optimizer: its name.
        attention_heads: of a layer.
        longest: tokens of the longest example.
        attention: its implementation, as configured.
    """

    spec: ModelSpec
    trained: int
    trains_base: bool
    passes: int
    precision: str
    device: str
    packed_bits: float | None
    optimizer: str
    attention_heads: int
    longest: int
    attention: str = "auto"

    @property
    def size(self) -> int:
        """Bytes of a number in the run's precision."""
        return 4 if self.precision == "fp32" else 2

    def dense(self) -> int:
        """Bytes of the unquantized base model."""
        return self.spec.parameters * self.size

    def base(self) -> int:
        """Bytes of the base model as it is trained on; with packed weights, and the largest layer unpacked."""
        if self.trains_base:
            return self.spec.parameters * 4
        if self.packed_bits is None:
            return self.dense()
        weights = [linear.inputs * linear.outputs for linear in self.spec.linears]
        rest = (self.spec.parameters - sum(weights)) * self.size
        return int(sum(weights) * self.packed_bits / 8) + rest + max(weights) * self.size

    def activations(self, padded: int, again: bool) -> int:
        """Bytes that a forward pass keeps for the backward pass, and what the latter computes of a layer; heads are left out.

        Args:
            padded: tokens of a micro-batch.
            again: whether layers are computed again (gradient checkpointing): then their inputs are kept, and one layer whole.
        """
        spec = self.spec
        numbers = (KEPT_CAUSAL if spec.causal else KEPT) * sum(linear.inputs + linear.outputs for linear in spec.linears)
        eager = self.attention == "eager" or (self.attention == "auto" and kind(self.device) == "cpu")
        if eager:  # its probabilities are kept; decoders compute them in fp32
            scores = 3 if spec.causal and self.precision != "fp32" else 1
            numbers += scores * spec.layers * self.attention_heads * self.longest
        of_layer = numbers / max(1, spec.layers)
        if again:
            states = (STATES_CAUSAL if spec.causal else STATES) * spec.layers * spec.hidden_size
            numbers = self.passes * states + of_layer
        else:
            numbers *= self.passes
        return int(padded * self.size * (numbers + BACKWARD * of_layer))

    def memory(self, padded: int, again: bool) -> Memory:
        """The peak of an update in micro-batches of so many padded tokens; `again` as in `activations`."""
        own = 0 if self.trains_base else 4 * self.trained
        return Memory(
            process=PROCESS[kind(self.device)],
            base=self.base(),
            trained=own + 4 * self.trained,  # in fp32, with their gradients
            optimizer=int(MOMENTS[self.optimizer] * self.trained),
            activations=self.activations(padded, again),
        )
