"""Trained vectors that stand before the text: prompts at the input, or keys and values in every layer.

Example: before "no chest pain" `prompt` puts 20 trained vectors among the embeddings, so that a window of 128 tokens takes 148
of the base model's positions; the states of the 20 are cut off again. `prefix` leaves the input as it is, and lets every token
of every layer attend to some 144 trained pairs of a key and a value as well.

Sources: prompt tuning, Lester et al. 2021, arXiv:2104.08691; prefix tuning, Li & Liang 2021, arXiv:2101.00190.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from bench.api.architecture import BUDGET_GROUP, ArchitectureModule, BaseArchitecture, ParameterBudget
from bench.api.model import ModelSpec
from bench.api.part import Requirement
from bench.api.quantizer import When

if TYPE_CHECKING:
    from torch import nn

PAST_KEYS = ("bert", "camembert", "electra", "llama", "mistral", "qwen2", "qwen3", "roberta", "xlm-roberta")
"""Model types whose attention takes keys and values from outside."""


class Prompt(BaseArchitecture):
    """Twenty trained vectors before the embeddings of every window, shared by all tasks.

    A budget of adapters cannot be matched: at ``--rank 16`` it would take 1,728 vectors of MiniLM, which has 512 positions.
    """

    name = "prompt"
    version = "1"
    summary = "20 trained vectors before the input (prompt tuning); not parameter-matched"
    citation = "Lester et al. 2021, The Power of Scale for Parameter-Efficient Prompt Tuning, arXiv:2104.08691"
    licence = "Apache-2.0"
    requires = (Requirement("torch", "bench-suite[train]"), Requirement("peft", "bench-suite[train]"))
    virtual_tokens: ClassVar[int] = 20

    def attach(self, backbone: nn.Module, tasks: Sequence[str], budget: ParameterBudget) -> ArchitectureModule:
        """The backbone with its prompt."""
        from bench_plugins.architectures.prompt_model import PromptModel

        return PromptModel(backbone, self.virtual_tokens, budget.base_name)


class Prefix(BaseArchitecture):
    """Trained keys and values in every layer, shared by all tasks, as many as the budget of the adapters allows.

    They have no position, so that text keeps its own and a window its length.
    """

    name = "prefix"
    version = "1"
    summary = "trained keys and values before those of the text, in every layer (prefix tuning)"
    citation = "Li & Liang 2021, Prefix-Tuning: Optimizing Continuous Prompts for Generation, arXiv:2101.00190"
    licence = "Apache-2.0"
    requires = (Requirement("torch", "bench-suite[train]"), Requirement("transformers", "bench-suite[train]"))
    group = BUDGET_GROUP

    def supports(self, spec: ModelSpec, quantized: When | None) -> str | None:
        """Its attention has to take keys and values from outside."""
        if spec.model_type in PAST_KEYS:
            return None
        return f"the attention of {spec.model_type} takes no keys and values from outside; known are {', '.join(PAST_KEYS)}"

    def attach(self, backbone: nn.Module, tasks: Sequence[str], budget: ParameterBudget) -> ArchitectureModule:
        """The backbone with keys and values in each layer."""
        from bench_plugins.architectures.prefix_model import PrefixModel

        return PrefixModel(backbone, budget.parameters)
