"""What is trained: an architecture over the base model, and one head a task."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from bench.adapters.attach import Attention, checkpointable
from bench.api.architecture import ArchitectureModule, read_tensors
from bench.api.data import Corpus
from bench.api.head import Head, HeadModule
from bench.api.schedule import Objective
from bench.api.task import Task
from bench.data.cache import EncodedSplit
from bench.errors import DivergedError, RunStateError

DIVERGED = "Lower --lr; with --quant, try another quantizer."


@dataclass(frozen=True)
class TaskData:
    """One task of a run with its corpus, head and encoded splits.

    Args:
        task: the plugin part.
        corpus: documents with text, in memory for scoring and linking.
        head: fitted on the training split.
        splits: split name to its windows on disk.
        max_length: most tokens of a window.
    """

    task: Task
    corpus: Corpus
    head: Head
    splits: Mapping[str, EncodedSplit]
    max_length: int = 0

    @property
    def compared(self) -> bool:
        """Whether training windows of one document are drawn together, since the loss compares them: a query's passages."""
        return self.head.cuts == "passages"


class TaskModel(nn.Module):
    """The base model with an architecture attached, and a head for each task.

    Args:
        adapted: what the architecture attached.
        heads: task to its head module, in the order of the run's tasks.
        attention: its implementation in the base model, as `Attention` takes it.
    """

    def __init__(self, adapted: ArchitectureModule, heads: Mapping[str, HeadModule], attention: str = "auto") -> None:
        super().__init__()
        self.adapted = adapted
        self._objectives: tuple[Objective, ...] = ()  # in a tuple, so that no module in it becomes a part of this one
        self._keys = {task: f"{i}" for i, task in enumerate(heads)}  # a module's name may hold no dot; a task's may
        self.attention = Attention(adapted.backbone, attention)
        self.heads = nn.ModuleDict({self._keys[task]: head for task, head in heads.items()})

    @property
    def tasks(self) -> tuple[str, ...]:
        """The run's tasks, in order."""
        return tuple(self._keys)

    def head(self, task: str) -> HeadModule:
        """The head module of a task."""
        return self.heads[self._keys[task]]  # type: ignore[return-value]

    def hidden(self, task: str, batch: Mapping[str, Tensor]) -> Tensor:
        """Hidden states of a batch of one task, (batch, seq, hidden)."""
        self.attention.choose(torch.is_grad_enabled())
        hidden: Tensor = self.adapted(task, batch["input_ids"], batch["attention_mask"])
        return hidden

    def checkpoint(self, on: bool) -> None:
        """Whether the layers of the base model are computed again in the backward pass instead of keeping what they computed.

        Gradients are the same; a batch keeps one tensor of hidden states a layer, and takes a forward pass more.

        Source: Chen et al. 2016, arXiv 1604.06174.
        """
        for layer in checkpointable(self.adapted.backbone):
            layer._gradient_checkpointing_func = partial(_computed_again, self._contexts) if on else None
            layer.gradient_checkpointing = on

    def _contexts(self) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        """Of a layer's first computation and of its second, in which all is as it was in the first."""
        return nullcontext(), self._again(self.adapted.recomputing())

    @contextmanager
    def _again(self, adapters: AbstractContextManager[None]) -> Iterator[None]:
        self.attention.choose(True)
        with adapters:
            yield

    def learns(self, objective: Objective | None) -> None:
        """Replaces the heads' losses from now on; None restores them."""
        self._objectives = () if objective is None else (objective,)

    def loss(self, task: str, batch: Mapping[str, Tensor], gold: bool = False) -> Tensor:
        """Sum of the losses over the batch's supervised positions.

        Args:
            task: whose batch it is.
            batch: on the model's device.
            gold: whether the head's own loss is wanted, whatever the schedule's objective.
        """
        head, hidden = self.head(task), self.hidden(task, batch)
        loss = head.loss(hidden, batch)
        for objective in () if gold else self._objectives:
            loss = objective.loss(task, batch, hidden, head, loss)
        return loss

    @torch.no_grad()
    def predict(self, task: str, batch: Mapping[str, Tensor]) -> list[Any]:
        """One prediction a window.

        Raises:
            DivergedError: a hidden state that is not finite, of which any prediction would be made up.
        """
        hidden = self.hidden(task, batch)
        if not torch.isfinite(hidden[batch["attention_mask"].bool()]).all():
            raise DivergedError(f"The model's output on text of {task} is not finite.", DIVERGED)
        return self.head(task).predict(hidden, batch)

    def trainable(self, task: str) -> dict[str, nn.Parameter]:
        """Every trainable tensor that a task uses, by name: of the architecture and of its head."""
        of_head = {f"heads.{task}.{n}": p for n, p in self.head(task).named_parameters() if p.requires_grad}
        return {f"adapters.{n}": p for n, p in self.adapted.learning(task).items()} | of_head

    def all_trainable(self) -> dict[str, nn.Parameter]:
        """Every trainable tensor of the run, by name, in a fixed order."""
        return {name: p for task in self.tasks for name, p in self.trainable(task).items()}

    def state(self) -> dict[str, Tensor]:
        """Trainable tensors and the heads' buffers, by name; what is frozen of the base model is not in it."""
        tensors = {f"adapters.{name}": tensor for name, tensor in self.adapted.state().items()}
        for task in self.tasks:
            tensors |= {f"heads.{task}.{name}": tensor for name, tensor in self.head(task).state_dict().items()}
        return {name: tensor.detach().clone() for name, tensor in tensors.items()}

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Puts back a `state`.

        Raises:
            RunStateError: names or shapes are not this model's.
        """
        self.adapted.load_state({n[9:]: t for n, t in tensors.items() if n.startswith("adapters.")})
        for task in self.tasks:
            prefix = f"heads.{task}."
            self.load_head(task, {n[len(prefix) :]: t for n, t in tensors.items() if n.startswith(prefix)})

    def load(self, folder: Path) -> None:
        """Reads what a run saved of its model.

        Raises:
            RunStateError: a file is missing or damaged, or its tensors are not those of this model.
        """
        self.adapted.load(folder)
        for index, task in enumerate(self.tasks):
            self.load_head(task, read_tensors(folder / f"head-{index}.safetensors", f"Weights of the head of {task},"))

    def load_head(self, task: str, tensors: Mapping[str, Tensor]) -> None:
        """Puts back the tensors of one task's head.

        Raises:
            RunStateError: names or shapes are not this head's.
        """
        try:
            self.head(task).load_state_dict(tensors)
        except RuntimeError:
            raise RunStateError(
                f"The saved head of {task} does not fit the head that this version builds.",
                "Use the version that wrote it; result and journal name it.",
            ) from None


def _computed_again(contexts: Callable[[], Any], layer: Callable[..., Any], *inputs: Any) -> Any:
    """The output of a layer, of which the inputs alone are kept; `contexts` gives those of its first and second computation."""
    return checkpoint(layer, *inputs, use_reentrant=False, context_fn=contexts)
