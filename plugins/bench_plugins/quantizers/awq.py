"""AWQ: inputs that carry large activations are scaled up before rounding, and the scale is folded into the layer before.

Source: Lin et al. 2023, AWQ, arXiv:2306.00978, by gptqmodel (https://github.com/ModelCloud/GPTQModel). It needs a norm in
front of each group of linear layers to fold the scale into, which BERT-like encoders, with their norms behind, do not have.

>>> Awq().bits
4
"""

from __future__ import annotations

from typing import ClassVar

from bench.api.model import ModelSpec
from bench.api.quantizer import When
from bench.modeling.spec import ENCODERS
from bench_plugins.quantizers.calibrated import Calibrated


class Awq(Calibrated):
    """Four bits, groups of 64, with zero points."""

    name = "awq"
    summary = "AWQ, 4 bits, calibrated on training examples; decoders only"
    citation = "Lin et al. 2023, AWQ: Activation-aware Weight Quantization, arXiv:2306.00978"
    licence = "Apache-2.0"
    sym = False
    decoders: ClassVar[tuple[str, ...]] = (
        "llama", "mistral", "qwen2", "qwen3", "gemma", "phi", "opt", "granite", "olmo2", "cohere",
    )  # fmt: skip

    def supports(self, spec: ModelSpec, when: When, device: str) -> str | None:
        """Refuses encoders, and names the pairs that work."""
        if spec.model_type in ENCODERS:
            return (
                f"awq needs a norm in front of the layers it scales, which the encoder {spec.name} does not have. "
                "Take --quant gptq, int8 or nf4 with it, or awq with a decoder such as smollm2-135m "
                f"({', '.join(self.decoders)})."
            )
        return super().supports(spec, when, device)

    def precision(self, device: str) -> str:
        """Always ``bf16``: gptqmodel's AWQ wants it."""
        return "bf16"
