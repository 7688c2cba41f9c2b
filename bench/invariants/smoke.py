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
UPDATE_EXAMPLES = 8
"""Examples of each task in an update: fifty updates are four passes over the hundred. With four an update the loss of a sound
run on CRAFT (span head, 3e-3) went from .62 to .52, with eight to .12. Of a task whose examples are drawn together an update
holds those of one unit, as its loss compares them."""
UPDATE_LABELS = 8
"""Supervised positions that an update has at least, by more examples: a document's class is one."""
CHUNK = 16
"""Examples whose loss is measured at once, and the most of an update."""
WARM_UP = 10
"""Updates over which the rate rises to the run's own; it then falls to zero in a straight line. At a steady rate the gate
refuses runs that learn."""
HALF = 0.5
TRIALS = (10.0, 100.0)
"""Factors by which a refused rate is lowered, and raised, to find one that would pass."""


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
        unlabelled: task to the share of its training examples without a label.
        lr: learning rate used.
        trials: of a run that did not pass, other rates with the worst ratio of a task's loss after to its loss before.
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
    trials: dict[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


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
        advance: told after every update.
    """

    model: nn.Module
    learner: Learner
    loss_of: LossOf
    examples: Mapping[str, Examples]
    make_optimizer: Callable[[list[nn.Parameter], float], torch.optim.Optimizer]
    tally: Tally
    dtype: torch.dtype | None = None
    advance: Callable[[int], None] = lambda n: None

    def run(self, lr: float, waived: bool = False) -> SmokeReport:
        """Runs the gate.

        Args:
            lr: the run's learning rate.
            waived: a failure is then only recorded.

        Raises:
            InvariantError: with the diagnosis.
        """
        chosen = {task: sample(self.examples[task]) for task in self.learner.tasks}
        problems = self.standing(chosen)
        if problems and not waived:
            frozen = ", ".join(f"{name} {count:,}" for name, count in frozen_by_component(self.model).items())
            hint = f"Look at the plugin that made it (frozen: {frozen}); --waive smoke goes on and records it."
            raise InvariantError("smoke", " ".join(problems), hint)
        report = self.attempt(lr, chosen)
        report.waived = waived
        problems += [*self.unseen_tokens(), *(p for t in chosen for p in self.diagnose(t, report))]
        self.tally.reset()
        report.passed = not problems
        if problems and not waived:
            raise InvariantError("smoke", " ".join(problems), self.advice(report, chosen))
        return report

    def attempt(self, lr: float, chosen: Mapping[str, Sequence[Sequence[int]]]) -> SmokeReport:
        """Fifty updates at a rate, after which the model is as it was."""
        report = SmokeReport(lr=lr, frozen=frozen_by_component(self.model))
        report.examples = {task: sum(map(len, parts)) for task, parts in chosen.items()}
        report.unlabelled = {task: self.examples[task].unlabelled for task in chosen}
        with untouched(self.model, self.learner):
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
                    else pick([i for part in parts for i in part], update, each[task])
                    for task, parts in chosen.items()
                }
                for group in optimizer.param_groups:
                    group["lr"] = lr * min(1.0, (update + 1) / WARM_UP, (UPDATES - update) / (UPDATES - WARM_UP))
                if update == 2:  # LoRA's A and a fusion have a zero gradient at the very first update; that is healthy
                    self.model.eval()
                    for task, indices in batch.items():
                        self.mean_loss(task, [indices])
                    no_dropout(self.model)
                    guard(self.learner, self.loss_of, batch, optimizer, report)
                else:
                    self.step(batch, parameters, optimizer, report)
                self.advance(1)
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
        optimizer.zero_grad(set_to_none=True)
        for task, indices in batch.items():
            loss, supervised = self.loss_of(task, indices)
            loss = loss / max(1, supervised)
            if loss.requires_grad:
                torch.autograd.backward(loss / len(batch))
            report.curve.setdefault(task, []).append(float(loss.detach()))
        torch.nn.utils.clip_grad_norm_([p for p in parameters if p.grad is not None], 1.0)
        optimizer.step()

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
                    f"{task}: none of the {sum(map(len, parts))} examples carries a label; there is nothing to learn."
                )
        if still := frozen_whole(self.model):
            problems.append(f"Nothing of {', '.join(still)} is trainable.")
        others = {p.dtype for p in self.model.parameters() if not p.requires_grad and p.is_floating_point()}
        if self.dtype is not None and (strange := others - {self.dtype, torch.float32}):
            names = ", ".join(sorted(str(d).removeprefix("torch.") for d in strange))
            problems.append(f"The base model holds weights in {names}; the plan says {str(self.dtype).removeprefix('torch.')}.")
        return problems

    def unseen_tokens(self) -> list[str]:
        """Whether the base model saw the tokens that the examples hold."""
        seen, expected = self.tally.counts
        if not expected or seen == expected:
            return []
        return [f"The base model saw {seen:,} tokens where the examples hold {expected:,}: something hides or adds tokens."]

    def diagnose(self, task: str, report: SmokeReport) -> list[str]:
        """What is wrong with how a task learns, in sentences."""
        problems = []
        before, after = report.loss[task]
        dead, tensors = report.dead.get(task, []), len(self.learner.trainable(task))
        if dead:
            parts = sorted({component(name) for name in dead})
            named = ", ".join(dead[:3]) + (f" and {len(dead) - 3} more" if len(dead) > 3 else "")
            problems.append(
                f"{task}: {len(dead)} of {tensors} trainable tensors ({', '.join(parts)}) have a gradient or an update of zero "
                f"after two updates and one evaluation: {named}."
            )
        curve = report.curve.get(task, [])
        if not math.isfinite(before) or not math.isfinite(after):
            at = next((n for n, v in enumerate(curve, 1) if not math.isfinite(v)), len(curve))
            when = f"at update {at}" if math.isfinite(before) else "before the first update"
            problems.append(f"{task}: the loss is not a finite number {when} (learning rate {report.lr:g}).")
        elif not after <= HALF * before:
            shown = " ".join(f"{v:.3f}" for v in curve[:: UPDATES // 5])
            problems.append(
                f"{task}: the loss over {report.examples[task]} examples went from {before:.4f} to {after:.4f} in {UPDATES} "
                f"updates; it must fall by half (learning rate {report.lr:g}; updates: {shown}; training examples without a "
                f"label: {report.unlabelled[task]:.0%})."
            )
        return problems

    def advice(self, report: SmokeReport, chosen: Mapping[str, Sequence[Sequence[int]]]) -> str:
        """The next move. Where the loss did not fall, other rates are tried, so that the advice is known to help."""
        if report.lr == 0:
            return "The learning rate is 0: set --lr."
        if any(report.dead.values()):
            frozen = ", ".join(f"{name} {count:,}" for name, count in report.frozen.items())
            return f"Look at what is frozen ({frozen}) and at the adapters' gradients; --waive smoke goes on and records it."
        if not all(math.isfinite(before) for before, _ in report.loss.values()):
            return "Look at the base model's weights and at --precision: the loss is no number before anything is trained."
        if all(after <= HALF * before for before, after in report.loss.values()):
            return "Look at the plugin or the data; --waive smoke goes on and records it."
        ratio = worst(report)
        lower, higher = [report.lr / f for f in TRIALS], [report.lr * f for f in TRIALS]
        # A loss that has hardly moved asks for more; one that is no number, or has moved without falling, for less.
        for lr in [*higher, *lower] if math.isfinite(ratio) and 0.9 < ratio <= 1.001 else [*lower, *higher[:1]]:
            report.trials[f"{lr:.2g}"] = tried = worst(self.attempt(lr, chosen))
            if tried <= HALF:
                way = "Lower" if lr < report.lr else "Raise"
                return f"{way} --lr: at {lr:.2g} the same examples' loss fell to {tried:.0%} of what it was."
        rates = ", ".join(f"{r} to {v:.0%}" if math.isfinite(v) else f"{r} to no number" for r, v in report.trials.items())
        return f"Other rates do not help (the loss goes at {rates}): look at the labels; --waive smoke goes on and records it."


def worst(report: SmokeReport) -> float:
    """The largest ratio of a task's loss after to its loss before; not a number where one is none."""
    ratios = [after / before if before > 0 else math.nan for before, after in report.loss.values()]
    return max(ratios, key=lambda r: math.inf if math.isnan(r) else r)


def sample(examples: Examples) -> list[list[int]]:
    """About a hundred examples, labelled ones first, spread evenly over the training split.

    They come in parts that are measured together: examples of like length, or a whole unit where examples are drawn together.
    """
    size = len(examples.labelled)
    if examples.units is not None:
        count = int(examples.units.max()) + 1
        chosen = spread(np.arange(count), max(1, round(EXAMPLES * count / size)))
        return [np.flatnonzero(examples.units == unit).tolist() for unit in chosen]
    labelled, others = np.flatnonzero(examples.labelled), np.flatnonzero(~examples.labelled)
    indices = np.concatenate([spread(labelled, EXAMPLES), spread(others, EXAMPLES - min(EXAMPLES, len(labelled)))])
    indices = indices[np.argsort(examples.lengths[indices], kind="stable")]
    return [indices[low : low + CHUNK].tolist() for low in range(0, len(indices), CHUNK)]


def spread(indices: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Up to `most` of some indices, spread evenly."""
    if not len(indices) or most <= 0:
        return indices[:0]
    return indices[np.unique(np.linspace(0, len(indices) - 1, min(len(indices), most)).round().astype(np.int64))]


def update_examples(examples: int, supervised: int) -> int:
    """How many examples an update holds, by how many supervised positions so many examples have."""
    return min(CHUNK, max(UPDATE_EXAMPLES, -(-UPDATE_LABELS * examples // max(1, supervised))))


def pick(indices: Sequence[int], update: int, count: int) -> list[int]:
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


def frozen_whole(model: nn.Module) -> list[str]:
    """Heads, adapters and fusion of which no parameter trains at all, sorted."""
    trains: dict[str, bool] = {}
    for name, p in model.named_parameters():
        path = name.split(".")
        if name.startswith("heads."):
            part = f"head {path[1]}"
        elif lora := [path[i + 1] for i, word in enumerate(path[:-1]) if word.startswith("lora_")]:
            part = f"adapter {lora[0]}"
        elif "fusion" in path:
            part = "the fusion"
        else:
            continue
        trains[part] = trains.get(part, False) or p.requires_grad
    return sorted(part for part, any_trains in trains.items() if not any_trains)


def no_dropout(model: nn.Module) -> None:
    """Training mode with every dropout at zero."""
    model.train()
    without_dropout(model)


@contextmanager
def untouched(model: nn.Module, learner: Learner) -> Iterator[None]:
    """Puts weights, gradients, random states, modes and dropout back as they were."""
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
