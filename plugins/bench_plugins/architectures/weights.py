"""Training weights of the base model itself: all of them, or its biases alone. References, compared with nothing by default.

Example: `full` on a BERT of 110 million parameters trains all 110 million, where an arm of ``--rank 16`` trains 2.7 million.
What it scores says what the adapters' small budget costs; a difference can be put down to the number of parameters as well as
to where they sit, so the runs are stamped *not parameter-matched*.

Sources: full fine-tuning, Devlin et al. 2019, arXiv:1810.04805; BitFit, Ben Zaken et al. 2022, arXiv:2106.10199.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.api.architecture import ArchitectureModule, BaseArchitecture, ParameterBudget
from bench.api.model import ModelSpec
from bench.api.part import Requirement
from bench.api.quantizer import When

if TYPE_CHECKING:
    from torch import nn


class Full(BaseArchitecture):
    """Every parameter of the base model, shared by all tasks."""

    name = "full"
    version = "1"
    summary = "full fine-tuning of all weights of the base model; not parameter-matched"
    citation = "Devlin et al. 2019, BERT, arXiv:1810.04805"
    licence = "Apache-2.0"
    trains_base = True
    requires = (Requirement("torch", "bench-suite[train]"), Requirement("transformers", "bench-suite[train]"))

    def supports(self, spec: ModelSpec, quantized: When | None) -> str | None:
        """Integers have no gradient: neither a base that is stored quantized nor one that is quantized before training."""
        if spec.quantization is not None:
            return f"the weights of {spec.name} are stored as {spec.quantization} integers, which have no gradient"
        if quantized == "load":
            return "with --quant-when load the base model's weights are integers, which have no gradient"
        return None

    def attach(self, backbone: nn.Module, tasks: Sequence[str], budget: ParameterBudget) -> ArchitectureModule:
        """The backbone, trainable."""
        from bench_plugins.architectures.trained_weights import AllWeights

        return AllWeights(backbone)


class BitFit(Full):
    """The biases of the base model, of linear layers and norms; everything else is frozen."""

    name = "bitfit"
    summary = "the base model's biases alone (BitFit); not parameter-matched"
    citation = "Ben Zaken et al. 2022, BitFit, arXiv:2106.10199"

    def attach(self, backbone: nn.Module, tasks: Sequence[str], budget: ParameterBudget) -> ArchitectureModule:
        """The backbone with trainable biases."""
        from bench_plugins.architectures.trained_weights import Biases

        return Biases(backbone)
