"""NF4: four bits on the quantiles of a normal distribution, the base of QLoRA.

Source: Dettmers et al. 2023, QLoRA, arXiv:2305.14314, by bitsandbytes.

>>> Nf4().bits
4
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from bench.api.model import ModelSpec
from bench.api.quantizer import When
from bench.kit.weights import narrow
from bench_plugins.quantizers.bnb import BitsAndBytes

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


class Nf4(BitsAndBytes):
    """Four bits on the quantiles of a normal distribution, in blocks of 64 along the inputs."""

    name = "nf4"
    summary = "NF4, 4 bits, quantized before training (QLoRA)"
    citation = "Dettmers et al. 2023, QLoRA: Efficient Finetuning of Quantized LLMs, arXiv:2305.14314"
    licence = "MIT"
    bits = 4
    packed_bits = 4.5
    flag = "load_in_4bit"
    settings: ClassVar[Mapping[str, Any]] = {"bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": False}

    def supports(self, spec: ModelSpec, when: When, device: str) -> str | None:
        """Wants widths that are multiples of 64: others crash on the CPU."""
        return super().supports(spec, when, device) or narrow(spec, 64, "nf4")

    def pack(self, weight: Tensor, device: str) -> dict[str, Tensor]:
        """Packed nibbles, one absolute maximum a block, and the quantiles."""
        from bitsandbytes.functional import quantize_4bit

        packed, state = quantize_4bit(weight.float().to(device), blocksize=64, quant_type="nf4")
        return {"weight": packed, **{f"weight.{n}": t for n, t in state.as_dict(packed=True).items()}}

    def unpack(self, layer: nn.Linear, parts: Mapping[str, Tensor], dtype: torch.dtype, device: str) -> nn.Linear:
        """A `Linear4bit` that computes in `dtype` and keeps its weights as they are."""
        from bitsandbytes.nn import Linear4bit, Params4bit

        quantized = Linear4bit(
            layer.in_features, layer.out_features, bias=False, compute_dtype=dtype, quant_type="nf4", device="meta"
        )
        state = {n.removeprefix("weight."): t for n, t in parts.items() if n != "weight"}
        quantized.weight = Params4bit.from_prequantized(parts["weight"], state, device=device, module=quantized)
        quantized.bias = layer.bias
        # On CPUs with AVX512-BF16 it would repack its weights in place at the first evaluation, and end LoRA's gradients.
        quantized.support_avx512bf16_for_cpu = False
        return quantized  # type: ignore[no-any-return]
