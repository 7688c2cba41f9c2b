"""LLM.int8(): eight bits a weight, inputs quantized as they come, outlying columns left in 16 bits.

Source: Dettmers et al. 2022, LLM.int8(), arXiv:2208.07339, by bitsandbytes.

>>> Int8().bits
8
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from bench_plugins.quantizers.bnb import BitsAndBytes

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


class Int8(BitsAndBytes):
    """Eight bits a weight with one scale an output; inputs are quantized as well, but for columns with outliers."""

    name = "int8"
    summary = "LLM.int8(), 8 bits, quantized before training"
    citation = "Dettmers et al. 2022, LLM.int8(): 8-bit Matrix Multiplication for Transformers at Scale, arXiv:2208.07339"
    licence = "MIT"
    bits = 8
    packed_bits = 8
    group_size = -1
    flag = "load_in_8bit"
    settings: ClassVar[Mapping[str, Any]] = {"llm_int8_threshold": 6.0}

    def pack(self, weight: Tensor, device: str) -> dict[str, Tensor]:
        """Integers, and the absolute maximum of each output."""
        import torch
        from bitsandbytes.functional import int8_vectorwise_quant

        integers, scales, _ = int8_vectorwise_quant(weight.to(device, torch.float16))
        return {"weight": integers, "SCB": scales, "weight_format": torch.tensor(0, dtype=torch.uint8)}

    def unpack(self, layer: nn.Linear, parts: Mapping[str, Tensor], dtype: torch.dtype, device: str) -> nn.Linear:
        """A `Linear8bitLt` with the stored integers, which multiplies outlying columns in 16 bits (LLM.int8())."""
        from bitsandbytes.nn import Int8Params, Linear8bitLt

        threshold = float(self.settings["llm_int8_threshold"])
        quantized = Linear8bitLt(
            layer.in_features, layer.out_features, bias=False, has_fp16_weights=False, threshold=threshold, device="meta"
        )
        integers, scales = parts["weight"].to(device), parts["SCB"].to(device)
        quantized.weight = Int8Params(integers, requires_grad=False, has_fp16_weights=False, CB=integers, SCB=scales)
        quantized.bias = layer.bias
        return quantized  # type: ignore[no-any-return]
