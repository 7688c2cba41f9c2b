"""Invariant 3, smoke: before an hour is spent, every trainable tensor must be shown to learn.

Fifty small updates on a hundred training examples of each task, on a throwaway copy of the trainable state, with an optimizer
of its own, no dropout and a fixed multiple of the run's learning rate (0 stays 0). The run's weights, random states and modes
are afterwards exactly what they were.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.adapters.model import without_dropout
from bench.errors import InvariantError
from bench.invariants.checkpoint import random_state, set_random_state
from bench.invariants.tokens import Tally

UPDATES = 50
EXAMPLES = 100
UPDATE_EXAMPLES = 4
"""Examples of each task in an update: fifty updates are two passes over the hundred. Of a task whose examples are drawn
together an update holds those of one unit, as its loss compares them."""
UPDATE_LABELS = 8
"""Supervised positions that an update has at least, by more examples: a document's class is one, and four of those are too few
to tell what is learned from noise (synthetic pubmedqa: with four, .99 became .72 to .99 at three rates; with eight, .04)."""
CHUNK = 16
"""Examples whose loss is measured at once."""
RATE = 1.5
"""Multiple of the run's learning rate."""
WARM_UP = 15
"""Updates over which the rate rises, and over which it falls at the end; steady, a rate that a run bears would not be borne."""
HALF = 0.5


class Learner(Protocol):
    """What the gate needs of the model; `bench.training.model.TaskModel` is one."""

    @property
    def tasks(self) -> tuple[str, ...]:
        """The run's tasks, in order."""
        ...

    def trainable(self, task: str) -> dict[str, nn.Parameter]:
        """Every trainable tensor a task uses."""

    def state(self) -> dict[str, Tensor]:
        """Trainable tensors and head buffers."""

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Puts them back."""


LossOf = Callable[[str, Sequence[int]], tuple[Tensor, int]]
"""Task and indices of training examples to (sum of losses, supervised positions)."""


@dataclass
class SmokeReport:
    """What the gate saw.

    Args:
        passed: whether every task learned and every tensor moved.
        waived: whether the user named it with ``--waive smoke``.
        loss: task to the mean loss over its examples before and after.
        curve: task to the loss of each update.
        dead: task to the trainable tensors without a gradient or an update.
        gradients: task to gradient norm by component after two updates and one evaluation.
        frozen: parameters that do not train, by what holds them.
        examples: task to the number of examples used.
        unlabelled: task to the share of examples without a label.
        lr: learning rate used.
    """

    passed: bool = False
    waived: bool = False
    loss: dict[str, tuple[float, float]] = field(default_factory=dict)
    curve: dict[str, list[float]] = field(default_factory=dict)
    dead: dict[str, list[str]] = field(default_factory=dict)
    gradients: dict[str, dict[str, float]] = field(default_factory=dict)
    frozen: dict[str, int] = field(default_factory=dict)
    examples: dict[str, int] = field(default_factory=dict)
    unlabelled: dict[str, float] = field(default_factory=dict)
    lr: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


def smoke_test(
    model: nn.Module,
    learner: Learner,
    loss_of: LossOf,
    train_sizes: Mapping[str, int],
    units: Mapping[str, NDArray[np.int64]],
    lr: float,
    make_optimizer: Callable[[list[nn.Parameter], float], torch.optim.Optimizer],
    tally: Tally,
    unlabelled: Mapping[str, float],
    waived: bool = False,
    advance: Callable[[int], None] = lambda n: None,
) -> SmokeReport:
    """Runs the gate.

    Args:
        model: the module whose modes are switched.
        learner: the same model, as the gate sees it.
        loss_of: loss of training examples.
        train_sizes: task to the number of its training examples.
        units: as `bench.data.batches.Sampler.units`; without the tasks that draw example by example.
        lr: the run's learning rate.
        make_optimizer: the run's own recipe.
        tally: reset afterwards; what the gate feeds is no training token.
        unlabelled: task to the share of its training examples without a label, for the diagnosis.
        waived: a failure is then only recorded.
        advance: told after every update.

    Raises:
        InvariantError: with the diagnosis.
    """
    report = SmokeReport(waived=waived, lr=lr * RATE, unlabelled=dict(unlabelled))
    chosen = {task: sample(train_sizes[task], units.get(task)) for task in learner.tasks}
    report.examples = {task: sum(map(len, parts)) for task, parts in chosen.items()}
    report.frozen = frozen_by_component(model)
    with untouched(model, learner, tally):
        no_dropout(model)
        before, each = {}, {}
        for task, parts in chosen.items():
            before[task], supervised = mean_loss(loss_of, task, parts)
            each[task] = update_examples(report.examples[task], supervised)
        parameters = list({id(p): p for task in learner.tasks for p in learner.trainable(task).values()}.values())
        optimizer = make_optimizer(parameters, report.lr)
        for update in range(UPDATES):
            batch = {
                task: parts[update % len(parts)] if task in units else pick(np.concatenate(parts), update, each[task])
                for task, parts in chosen.items()
            }
            for group in optimizer.param_groups:
                group["lr"] = report.lr * min(1.0, (update + 1) / WARM_UP, (UPDATES - update) / WARM_UP)
            if update == 2:  # LoRA's A and a fusion have a zero gradient at the very first update; that is healthy
                model.eval()
                for task, indices in batch.items():
                    mean_loss(loss_of, task, [indices])
                no_dropout(model)
                guard(learner, loss_of, batch, optimizer, report)
            else:
                optimizer.zero_grad(set_to_none=True)
                for task, indices in batch.items():
                    loss, supervised = loss_of(task, indices)
                    loss = loss / max(1, supervised)
                    if loss.requires_grad:
                        torch.autograd.backward(loss / len(batch))
                    report.curve.setdefault(task, []).append(float(loss.detach()))
                norms = [p for p in parameters if p.grad is not None]
                torch.nn.utils.clip_grad_norm_(norms, 1.0)
                optimizer.step()
            advance(1)
        after = {task: mean_loss(loss_of, task, parts)[0] for task, parts in chosen.items()}
    report.loss = {task: (before[task], after[task]) for task in chosen}
    problems = [p for task in chosen for p in diagnose(task, report, len(learner.trainable(task)))]
    report.passed = not problems
    if problems and not waived:
        raise InvariantError("smoke", " ".join(problems), hint_for(report))
    return report


def sample(size: int, units: NDArray[np.int64] | None = None) -> list[list[int]]:
    """About a hundred examples spread evenly over a training split, in the parts that a loss is measured over.

    Args:
        size: examples of the split.
        units: of its examples, where they are drawn together; a part is then a whole unit.
    """
    if units is None:
        indices = spread(size, EXAMPLES).tolist()
        return [indices[low : low + CHUNK] for low in range(0, len(indices), CHUNK)]
    count = int(units.max()) + 1
    chosen = spread(count, max(1, round(EXAMPLES * count / size)))
    return [np.flatnonzero(units == unit).tolist() for unit in chosen]


def spread(size: int, most: int) -> NDArray[np.int64]:
    """Up to `most` numbers below `size`, spread evenly."""
    return np.unique(np.linspace(0, size - 1, min(size, most)).round().astype(np.int64))


def update_examples(examples: int, supervised: int) -> int:
    """How many examples an update holds, by how many supervised positions so many examples have."""
    return min(CHUNK, max(UPDATE_EXAMPLES, -(-UPDATE_LABELS * examples // max(1, supervised))))


def pick(indices: NDArray[np.int64], update: int, count: int) -> list[int]:
    """The examples of an update: the chosen ones in turn, by a fixed stride so that neighbours do not stand together."""
    stride = max(1, len(indices) // count)
    return sorted({int(indices[(update + k * stride) % len(indices)]) for k in range(count)})


def guard(
    learner: Learner,
    loss_of: LossOf,
    batch: Mapping[str, Sequence[int]],
    optimizer: torch.optim.Optimizer,
    report: SmokeReport,
) -> None:
    """One more update, task by task: every trainable tensor must get a gradient and an update that are not zero."""
    for task, indices in batch.items():
        optimizer.zero_grad(set_to_none=True)
        loss, supervised = loss_of(task, indices)
        loss = loss / max(1, supervised)
        if loss.requires_grad:
            torch.autograd.backward(loss)
        trainable = learner.trainable(task)
        old = {name: p.detach().clone() for name, p in trainable.items()}
        norms: dict[str, float] = {}
        still = []
        for name, p in trainable.items():
            size = 0.0 if p.grad is None else float(p.grad.norm())
            norms[component(name)] = norms.get(component(name), 0.0) + size**2
            if size == 0.0:
                still.append(name)
        optimizer.step()
        moved = {name for name, p in trainable.items() if not torch.equal(p.detach(), old[name])}
        report.gradients[task] = {name: value**0.5 for name, value in norms.items()}
        report.dead[task] = [n for n in trainable if n in still or n not in moved]
        report.curve.setdefault(task, []).append(float(loss.detach()))


def mean_loss(loss_of: LossOf, task: str, parts: Sequence[Sequence[int]]) -> tuple[float, int]:
    """Mean loss over examples, measured part by part, without a gradient; and their supervised positions."""
    total, supervised = 0.0, 0
    with torch.no_grad():
        for part in parts:
            loss, count = loss_of(task, part)
            total, supervised = total + float(loss), supervised + count
    return total / max(1, supervised), supervised


def diagnose(task: str, report: SmokeReport, tensors: int) -> list[str]:
    """What is wrong with a task, in sentences."""
    problems = []
    before, after = report.loss[task]
    dead = report.dead.get(task, [])
    if dead:
        parts = sorted({component(name) for name in dead})
        named = ", ".join(dead[:3]) + (f" and {len(dead) - 3} more" if len(dead) > 3 else "")
        problems.append(
            f"{task}: {len(dead)} of {tensors} trainable tensors ({', '.join(parts)}) have a gradient or an update of zero "
            f"after two updates and one evaluation: {named}."
        )
    if not after <= HALF * before:
        curve = " ".join(f"{v:.3f}" for v in report.curve.get(task, [])[:: UPDATES // 5])
        problems.append(
            f"{task}: the loss over {report.examples[task]} examples went from {before:.4f} to {after:.4f} in {UPDATES} "
            f"updates; it must fall by half (learning rate {report.lr:g}; updates: {curve}; examples without a label: "
            f"{report.unlabelled.get(task, 0.0):.0%})."
        )
    return problems


def hint_for(report: SmokeReport) -> str:
    """The next move."""
    if report.lr == 0:
        return "The learning rate is 0: set --lr."
    if any(report.dead.values()):
        frozen = ", ".join(f"{name} {count:,}" for name, count in report.frozen.items())
        return f"Look at what is frozen ({frozen}) and at the adapters' gradients; --waive smoke goes on and records it."
    return "Raise --lr, or look at the labels; --waive smoke goes on and records it."


def component(name: str) -> str:
    """The part a tensor belongs to: ``head``, ``fusion``, ``LoRA A`` or ``LoRA B``."""
    if name.startswith("heads."):
        return "head"
    if name.startswith("adapters.fusion."):
        return "fusion"
    return f"LoRA {name.rsplit('.', 1)[-1]}"


def frozen_by_component(model: nn.Module) -> dict[str, int]:
    """Parameters that do not train, adapters and heads apart from the base model."""
    counts = {"base": 0, "adapters": 0, "heads": 0}
    for name, p in model.named_parameters():
        if not p.requires_grad:
            part = "heads" if name.startswith("heads.") else "adapters" if "lora_" in name or "fusion" in name else "base"
            counts[part] += p.numel()
    return counts


def no_dropout(model: nn.Module) -> None:
    """Training mode with every dropout at zero."""
    model.train()
    without_dropout(model)


@contextmanager
def untouched(model: nn.Module, learner: Learner, tally: Tally) -> Iterator[None]:
    """Puts weights, gradients, random states, modes, dropout and the token tally back as they were."""
    weights = learner.state()
    tensors, others = random_state()
    modes = [(m, m.training) for m in model.modules()]
    numbers = [(m, name, getattr(m, name)) for m in model.modules() for name in ("p", "attention_dropout") if hasattr(m, name)]
    try:
        yield
    finally:
        learner.load_state(weights)
        model.zero_grad(set_to_none=True)
        set_random_state(tensors, others)
        for module, training in modes:
            module.training = training
        for module, name, value in numbers:
            setattr(module, name, value)
        tally.reset()
