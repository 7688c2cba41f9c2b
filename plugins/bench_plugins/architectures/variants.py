"""One shared adapter, as in A1, of another kind than plain LoRA.

Example: at ``--rank 16`` A1-dora trains as many parameters as A1. Its magnitudes, one for each output of every adapted layer,
come out of the same budget, so that its ranks are lower by about a half.

Sources: DoRA, arXiv:2402.09353; rsLoRA, arXiv:2312.03732.
"""

from __future__ import annotations

from bench.api.architecture import LoraVariant
from bench_plugins.architectures.lora import SharedOnly


class Dora(SharedOnly):
    """One shared adapter that also trains the magnitude of each row of the adapted weights: m · (W + BA) / ‖W + BA‖."""

    name = "A1-dora"
    summary = "one shared adapter with trained magnitudes (DoRA)"
    citation = "Liu et al. 2024, DoRA: Weight-Decomposed Low-Rank Adaptation, arXiv:2402.09353"
    variant = LoraVariant(dora=True)


class RankStabilised(SharedOnly):
    """One shared adapter whose product is scaled by alpha / √rank, 2·√rank here, in the place of 2."""

    name = "A1-rslora"
    summary = "one shared adapter, scaled by the root of its rank (rsLoRA)"
    citation = "Kalajdzievski 2023, A Rank Stabilization Scaling Factor for Fine-Tuning with LoRA, arXiv:2312.03732"
    variant = LoraVariant(rslora=True)
