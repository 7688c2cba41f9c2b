"""GPTQ: weights are rounded one input at a time, and each one's error is compensated by the inputs not yet rounded.

Source: Frantar et al. 2022, GPTQ, arXiv:2210.17323, by gptqmodel (https://github.com/ModelCloud/GPTQModel). Encoders of BERT's
kind are registered with gptqmodel here; it knows decoders only.

>>> Gptq().bits
4
"""

from __future__ import annotations

from typing import ClassVar

from bench_plugins.quantizers.calibrated import Calibrated


class Gptq(Calibrated):
    """Four bits, groups of 64, symmetric, inputs in their own order."""

    name = "gptq"
    summary = "GPTQ, 4 bits, calibrated on training examples"
    citation = "Frantar et al. 2022, GPTQ: Accurate Post-Training Quantization, arXiv:2210.17323"
    version = "2"
    licence = "Apache-2.0"
    calibration = 96
    sym = True
    encoders: ClassVar[tuple[str, ...]] = ("bert", "roberta", "camembert", "xlm-roberta", "electra", "distilbert")
    decoders: ClassVar[tuple[str, ...]] = (
        "llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "phi", "gpt_neox", "opt", "stablelm", "granite",
        "olmo2", "cohere",
    )  # fmt: skip
