"""One task after another, with a penalty that preserves earlier tasks.

Source: Kirkpatrick et al. 2017, Overcoming catastrophic forgetting in neural networks, arXiv 1612.00796 (elastic weight
consolidation).

>>> Sequential().phases({"a": 0.25, "b": 0.75})[1]
Phase(tokens=0.75, shares={'b': 1.0})
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from bench.api.schedule import Penalty, Phase, Schedule

if TYPE_CHECKING:
    from torch import Tensor, nn


class Sequential(Schedule):
    """One task after another, in the order in which they are named; each has the tokens that it would have in a joint run.

    The learning rate rises and falls for each task. With ``lambda`` above 0 the weights that matter to earlier tasks are held
    near their values by elastic weight consolidation.
    """

    name = "sequential"
    version = "1"
    summary = "one task after another; lambda > 0: elastic weight consolidation"
    citation = "Kirkpatrick et al. 2017, arXiv 1612.00796"
    licence = "Apache-2.0"
    options: ClassVar[Mapping[str, float]] = {"lambda": 0.0}
    restarts = True

    def phases(self, shares: Mapping[str, float]) -> Sequence[Phase]:
        """A phase a task."""
        return [Phase(share, {task: 1.0}) for task, share in shares.items()]

    def penalty(self, options: Mapping[str, float]) -> Penalty | None:
        """Elastic weight consolidation, or None where ``lambda`` is 0."""
        return ElasticWeights(options["lambda"]) if options["lambda"] > 0 else None


class ElasticWeights(Penalty):
    """λ/2 · Σ F (θ - θ*)² over every earlier task: θ* are the weights at its end, F the diagonal of its Fisher information.

    F is the mean squared gradient of the loss of single training windows. The sum over tasks is kept as two tensors a weight,
    ΣF and ΣF·θ*, whatever the number of tasks.

    Args:
        strength: λ.
    """

    def __init__(self, strength: float) -> None:
        self.strength = strength
        self._fisher: dict[str, Tensor] = {}
        self._anchor: dict[str, Tensor] = {}
        self._constant = 0.0

    def phase_ended(
        self,
        tasks: Sequence[str],
        weights: Mapping[str, nn.Parameter],
        squared_gradients: Callable[[str], Mapping[str, Tensor]],
    ) -> None:
        """Adds the Fisher information of the phase's tasks to the sums."""
        import torch

        for task in tasks:
            fishers = squared_gradients(task)
            with torch.no_grad():
                for name, fisher in fishers.items():
                    value = weights[name].detach()
                    self._fisher[name] = self._fisher[name] + fisher if name in self._fisher else fisher.clone()
                    weighted = fisher * value
                    self._anchor[name] = self._anchor[name] + weighted if name in self._anchor else weighted
                    self._constant += float((weighted * value).sum(dtype=torch.float64))

    def add_gradients(self, weights: Mapping[str, nn.Parameter]) -> float:
        """Adds λ(ΣF·θ - ΣF·θ*)."""
        import torch

        value = self._constant
        with torch.no_grad():
            for name, fisher in self._fisher.items():
                weight, anchor = weights[name], self._anchor[name]
                pull = fisher * weight - anchor
                value += float(((pull - anchor) * weight).sum(dtype=torch.float64))
                if weight.grad is not None:
                    weight.grad.add_(pull.to(weight.grad.dtype), alpha=self.strength)
        return 0.5 * self.strength * max(0.0, value)

    def state(self) -> Mapping[str, Tensor]:
        """ΣF, ΣF·θ* and ΣF·θ*², by name."""
        import torch

        tensors = {f"fisher.{name}": tensor for name, tensor in self._fisher.items()}
        tensors |= {f"anchor.{name}": tensor for name, tensor in self._anchor.items()}
        return tensors | {"constant": torch.tensor(self._constant, dtype=torch.float64)}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Puts back a `state`."""
        self._fisher = {name[7:]: tensor.clone() for name, tensor in state.items() if name.startswith("fisher.")}
        self._anchor = {name[7:]: tensor.clone() for name, tensor in state.items() if name.startswith("anchor.")}
        self._constant = float(state["constant"])
