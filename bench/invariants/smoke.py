"""Invariant 3, smoke: before an hour is spent, every trainable tensor must be shown to learn.

Fifty updates on a hundred training examples of each task, on a throwaway copy of the trainable state, with an optimizer of its
own, no dropout and the run's learning rate. The loss over the hundred must fall by half. The hundred are examples that carry a
label, as far as there are any: in an article of which one window in seven holds a mention, the others only dilute the loss. The
run's weights, random states and modes are afterwards exactly what they were.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.adapters.attach import dropout_rates, without_dropout
from bench.data.batches import evenly
from bench.errors import InvariantError
from bench.invariants import diagnosis
from bench.invariants.checkpoint import random_state, set_random_state
from bench.invariants.diagnosis import Learner
from bench.invariants.tokens import Tally
from bench.modeling.scaling import LossScale
from bench.results.invariants import SmokeReport
from bench.wording import some

UPDATES = 50
EXAMPLES = 100
UPDATE_EXAMPLES = 8
"""Examples of each task in an update: fifty updates are four passes over the hundred. With four an update the loss of a sound
run on CRAFT (span head, 3e-3) went from .62 to .52, with eight to .12. Of a task whose examples are drawn together an update
holds those of one unit, as its loss compares them."""
UPDATE_LABELS = 8
"""Supervised positions that an update has at least, by more examples: a document's class is one."""
CHUNK = 16
"""Examples whose loss is measured at once, and the most of an update."""
SHORT = 4
"""The hundred come from the shortest of the labelled examples, one in so many. With updates of like length the gate then takes
15 s of CPU time where all lengths took 26 (span head, synthetic notes), and the loss falls by as much."""
WARM_UP = 10
"""Updates over which the rate rises to the run's own; it then falls to zero in a straight line. At a steady rate the gate
refuses runs that learn."""


LossOf = Callable[[str, Sequence[int]], tuple[Tensor, int]]
"""Task and indices of training examples to (sum of losses, supervised positions)."""


@dataclass(frozen=True)
class Examples:
    """What the gate needs to know of a task's training examples.

    Args:
        labelled: whether each carries a label that is to be learned, shape (examples,).
        lengths: tokens of each, shape (examples,); like lengths are measured together.
        units: as `bench.data.batches.Sampler.units`; None where examples are drawn one by one.
        kinds: indices of examples to the labels that their gold holds, so that a hundred without any are noticed.
    """

    labelled: NDArray[np.bool_]
    lengths: NDArray[np.int64]
    units: NDArray[np.int64] | None = None
    kinds: Callable[[Sequence[int]], frozenset[str]] | None = None

    @property
    def unlabelled(self) -> float:
        """Share of the training examples without a label."""
        return 1.0 - float(self.labelled.mean()) if len(self.labelled) else 0.0


@dataclass
class Gate:
    """The gate on one model.

    Args:
        model: the module whose modes are switched.
        learner: the same model, as the gate sees it.
        loss_of: loss of training examples.
        examples: task to its training examples.
        make_optimizer: the run's own recipe.
        tally: reset afterwards; what the gate feeds is no training token.
        dtype: that the frozen base computes in; None where that is not looked at.
        advance: called after every update.
        scale: of the loss; the run's begins anew.
    """

    model: nn.Module
    learner: Learner
    loss_of: LossOf
    examples: Mapping[str, Examples]
    make_optimizer: Callable[[list[nn.Parameter], float], torch.optim.Optimizer]
    tally: Tally
    dtype: torch.dtype | None = None
    advance: Callable[[int], None] = lambda n: None
    scale: LossScale = field(default_factory=LossScale)

    def run(self, lr: float, waived: bool = False) -> SmokeReport:
        """Runs the gate for the run's learning rate; if `waived`, a failure is only recorded.

        Raises:
            InvariantError: with the diagnosis.
        """
        chosen = {task: sample(self.examples[task]) for task in self.learner.tasks}
        problems = self.standing(chosen)
        if problems and not waived:
            raise InvariantError("smoke", " ".join(problems), diagnosis.look_at_the_plugin(self.model, self.learner))
        report = self.attempt(lr, chosen, self.advance)
        report.waived = waived
        problems += diagnosis.unseen_tokens(*self.tally.counts)
        problems += [p for task in chosen for p in diagnosis.diagnose(task, report, len(self.learner.trainable(task)))]
        self.tally.reset()
        report.passed = not problems
        if problems and not waived:
            raise InvariantError("smoke", " ".join(problems), diagnosis.advice(report, lambda rate: self.attempt(rate, chosen)))
        return report

    def attempt(
        self, lr: float, chosen: Mapping[str, Sequence[Sequence[int]]], advance: Callable[[int], None] = lambda n: None
    ) -> SmokeReport:
        """Fifty updates at a rate, after which the model is as it was."""
        report = SmokeReport(lr=lr, frozen=diagnosis.frozen_by_component(self.model, self.learner))
        report.examples = {task: sum(map(len, parts)) for task, parts in chosen.items()}
        report.unlabelled = {task: self.examples[task].unlabelled for task in chosen}
        with states_restored(self.model, self.learner):
            no_dropout(self.model)
            before, each = {}, {}
            for task, parts in chosen.items():
                before[task], supervised = self.mean_loss(task, parts)
                each[task] = update_examples(report.examples[task], supervised)
            parameters = list({id(p): p for task in chosen for p in self.learner.trainable(task).values()}.values())
            optimizer = self.make_optimizer(parameters, lr)
            for update in range(UPDATES):
                batch = {
                    task: parts[update % len(parts)]
                    if self.examples[task].units is not None
                    else examples_at([i for part in parts for i in part], update, each[task])
                    for task, parts in chosen.items()
                }
                for group in optimizer.param_groups:
                    group["lr"] = lr * min(1.0, (update + 1) / WARM_UP, (UPDATES - update) / (UPDATES - WARM_UP))
                if update == 2:  # LoRA's A and a fusion have a zero gradient at the very first update; that is healthy
                    self.model.eval()
                    for task, indices in batch.items():
                        self.mean_loss(task, [indices])
                    no_dropout(self.model)
                    self.guard(batch, optimizer, report)
                else:
                    self.step(batch, parameters, optimizer, report)
                advance(1)
                if not all(math.isfinite(curve[-1]) for curve in report.curve.values()):
                    break  # what comes after cannot be finite either
            finite = all(math.isfinite(curve[-1]) for curve in report.curve.values())
            after = {task: self.mean_loss(task, parts)[0] if finite else math.nan for task, parts in chosen.items()}
        report.loss = {task: (before[task], after[task]) for task in chosen}
        return report

    def step(
        self,
        batch: Mapping[str, Sequence[int]],
        parameters: Sequence[nn.Parameter],
        optimizer: torch.optim.Optimizer,
        report: SmokeReport,
    ) -> None:
        """One update over the mean of the tasks' mean losses."""

        def gradients() -> dict[str, float]:
            losses = {}
            for task, indices in batch.items():
                loss, supervised = self.loss_of(task, indices)
                loss = loss / max(1, supervised)
                if loss.requires_grad:
                    self.scale.backward(loss / len(batch))
                losses[task] = float(loss.detach())
            return losses

        for task, loss in self.settled(gradients, optimizer).items():
            report.curve.setdefault(task, []).append(loss)
        torch.nn.utils.clip_grad_norm_([p for p in parameters if p.grad is not None], 1.0)
        self.scale.step(optimizer)

    def settled(self, gradients: Callable[[], dict[str, float]], optimizer: torch.optim.Optimizer) -> dict[str, float]:
        """Losses that `gradients` gives, once it gave gradients that do not overflow in fp16; they are in place."""
        while True:
            optimizer.zero_grad(set_to_none=True)
            losses = gradients()
            if not all(map(math.isfinite, losses.values())) or self.scale.settled(optimizer):
                return losses

    def guard(self, batch: Mapping[str, Sequence[int]], optimizer: torch.optim.Optimizer, report: SmokeReport) -> None:
        """One more update, task by task: every trainable tensor must get a gradient and an update that are not zero."""
        for task, indices in batch.items():

            def gradients(task: str = task, indices: Sequence[int] = indices) -> dict[str, float]:
                loss, supervised = self.loss_of(task, indices)
                loss = loss / max(1, supervised)
                if loss.requires_grad:
                    self.scale.backward(loss)
                return {task: float(loss.detach())}

            (loss,) = self.settled(gradients, optimizer).values()
            trainable = self.learner.trainable(task)
            old = {name: p.detach().clone() for name, p in trainable.items()}
            norms: dict[str, float] = {}
            still = []
            for name, p in trainable.items():
                size = 0.0 if p.grad is None else float(p.grad.norm())
                norms[diagnosis.component(name)] = norms.get(diagnosis.component(name), 0.0) + size**2
                if size == 0.0:
                    still.append(name)
            self.scale.step(optimizer)
            moved = {name for name, p in trainable.items() if not torch.equal(p.detach(), old[name])}
            report.gradients[task] = {name: value**0.5 for name, value in norms.items()}
            report.dead[task] = [n for n in trainable if n in still or n not in moved]
            report.curve.setdefault(task, []).append(loss)

    def mean_loss(self, task: str, parts: Sequence[Sequence[int]]) -> tuple[float, int]:
        """Mean loss over examples, measured part by part, without a gradient; and their supervised positions."""
        total, supervised = 0.0, 0
        with torch.no_grad():
            for part in parts:
                loss, count = self.loss_of(task, part)
                total, supervised = total + float(loss), supervised + count
        return total / max(1, supervised), supervised

    def standing(self, chosen: Mapping[str, Sequence[Sequence[int]]]) -> list[str]:
        """What is wrong before anything is learned: no labels, frozen parts, a base in another dtype."""
        problems = []
        for task, parts in chosen.items():
            kinds = self.examples[task].kinds
            if kinds is not None and not kinds([i for part in parts for i in part]):
                problems.append(
                    f"{task}: none of the {some(sum(map(len, parts)), 'example')} carries a label; there is nothing to learn."
                )
        if still := diagnosis.frozen_whole(self.model, self.learner):
            problems.append(f"Nothing of {', '.join(still)} is trainable.")
        others = {p.dtype for p in self.model.parameters() if not p.requires_grad and p.is_floating_point()}
        if self.dtype is not None and (strange := others - {self.dtype, torch.float32}):
            names = ", ".join(sorted(str(d).removeprefix("torch.") for d in strange))
            problems.append(f"The base model holds weights in {names}; the plan says {str(self.dtype).removeprefix('torch.')}.")
        return problems


def sample(examples: Examples) -> list[list[int]]:
    """About a hundred examples, labelled ones first and of those the shorter, spread evenly over the training split.

    They come in parts that are measured together: examples of like length, or a whole unit where examples are drawn together.
    """
    size = len(examples.labelled)
    if examples.units is not None:
        count = int(examples.units.max()) + 1
        chosen = evenly(count, max(1, round(EXAMPLES * count / size)))
        return [np.flatnonzero(examples.units == unit).tolist() for unit in chosen]
    labelled, others = np.flatnonzero(examples.labelled), np.flatnonzero(~examples.labelled)
    by_length = labelled[np.argsort(examples.lengths[labelled], kind="stable")]
    labelled = np.sort(by_length[: max(EXAMPLES, len(by_length) // SHORT)])
    left = EXAMPLES - min(EXAMPLES, len(labelled))
    indices = np.concatenate([labelled[evenly(len(labelled), EXAMPLES)], others[evenly(len(others), left)]])
    indices = indices[np.argsort(examples.lengths[indices], kind="stable")]
    return [indices[low : low + CHUNK].tolist() for low in range(0, len(indices), CHUNK)]


def update_examples(examples: int, supervised: int) -> int:
    """How many examples an update holds, by how many supervised positions so many examples have."""
    return min(CHUNK, max(UPDATE_EXAMPLES, -(-UPDATE_LABELS * examples // max(1, supervised))))


def examples_at(indices: Sequence[int], update: int, count: int) -> list[int]:
    """The `count` examples of an update, from 0: neighbours among the chosen ones, which are sorted by length.

    So they are of like length; every group of them comes equally often.
    """
    starts = range(0, max(1, len(indices)), count)
    parts = [indices[max(0, min(low, len(indices) - count)) :][:count] for low in starts]
    step = next(n for n in range(len(parts) // 2 + 1, len(parts) + 2) if math.gcd(n, len(parts)) == 1)
    return sorted(int(i) for i in parts[update * step % len(parts)])


def no_dropout(model: nn.Module) -> None:
    """Training mode with every dropout at zero."""
    model.train()
    without_dropout(model)


@contextmanager
def states_restored(model: nn.Module, learner: Learner) -> Iterator[None]:
    """Puts weights, gradients, random states, modes and dropout back as they were."""
    weights = learner.state()
    tensors, others = random_state()
    modes = [(m, m.training) for m in model.modules()]
    rates = dropout_rates(model)
    try:
        yield
    finally:
        learner.load_state(weights)
        model.zero_grad(set_to_none=True)
        set_random_state(tensors, others)
        for module, training in modes:
            module.training = training
        for owner, name, value in rates:
            setattr(owner, name, value)
