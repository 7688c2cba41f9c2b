"""The diagnosis of a failed smoke gate: what is wrong, and what to do next."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Protocol

from torch import Tensor, nn

from bench.results.invariants import SmokeReport
from bench.wording import some

HALF = 0.5
"""What a task's loss must fall to, of what it was."""
TRIALS = (10.0, 100.0)
"""Factors by which a refused rate is lowered, and raised, to find one that would pass."""
WAIVE = "--waive smoke goes on and records it."


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


def unseen_tokens(seen: int, expected: int) -> list[str]:
    """Whether the base model saw the tokens that the examples hold."""
    if not expected or seen == expected:
        return []
    return [f"The base model saw {some(seen, 'token')} where the examples hold {expected:,}: something hides or adds tokens."]


def diagnose(task: str, report: SmokeReport, tensors: int) -> list[str]:
    """What is wrong with how a task, which uses so many trainable tensors, learns in fifty updates, in sentences."""
    problems = []
    before, after = report.loss[task]
    dead = report.dead.get(task, [])
    if dead:
        parts = sorted({component(name) for name in dead})
        named = ", ".join(dead[:3]) + (f" and {len(dead) - 3} more" if len(dead) > 3 else "")
        problems.append(
            f"{task}: {len(dead)} of {some(tensors, 'trainable tensor')} ({', '.join(parts)}) have a gradient or an update of "
            f"zero after two updates and one evaluation: {named}."
        )
    curve = report.curve.get(task, [])
    if not math.isfinite(before) or not math.isfinite(after):
        at = next((n for n, v in enumerate(curve, 1) if not math.isfinite(v)), len(curve))
        when = f"at update {at}" if math.isfinite(before) else "before the first update"
        problems.append(f"{task}: the loss is not a finite number {when} (learning rate {report.lr:g}).")
    elif not after <= HALF * before:
        shown = " ".join(f"{v:.3f}" for v in curve[:: max(1, len(curve) // 5)])
        problems.append(
            f"{task}: the loss over {some(report.examples[task], 'example')} went from {before:.4f} to {after:.4f} in "
            f"{some(len(curve), 'update')}; it must fall by half (learning rate {report.lr:g}; updates: {shown}; training "
            f"examples without a label: {report.unlabelled[task]:.0%})."
        )
    return problems


def look_at_the_plugin(model: nn.Module, learner: Learner) -> str:
    """The next move where something is wrong before anything is learned."""
    return f"Look at the plugin that made it (frozen: {counted(frozen_by_component(model, learner))}); {WAIVE}"


def advice(report: SmokeReport, attempt: Callable[[float], SmokeReport]) -> str:
    """The next move. Where the loss did not fall, fifty updates at other rates are tried, so that the advice is known to help.

    The trials are added to the report of the run that did not pass.
    """
    if report.lr == 0:
        return "The learning rate is 0: set --lr."
    if any(report.dead.values()):
        return f"Look at what is frozen ({counted(report.frozen)}) and at the adapters' gradients; {WAIVE}"
    if not all(math.isfinite(before) for before, _ in report.loss.values()):
        return "Look at the base model's weights and at --precision: the loss is no number before anything is trained."
    if all(after <= HALF * before for before, after in report.loss.values()):
        return f"Look at the plugin or the data; {WAIVE}"
    ratio = worst(report)
    lower, higher = [report.lr / f for f in TRIALS], [report.lr * f for f in TRIALS]
    # Higher rates first where the loss hardly moved; lower ones where it is no number, or moved without falling.
    for lr in [*higher, *lower] if math.isfinite(ratio) and 0.9 < ratio <= 1.001 else [*lower, *higher[:1]]:
        rate = f"{lr:g}"
        tried = attempt(float(rate))  # the very number that is printed, so that whoever types it gets what was tried
        report.trials[rate] = ratio = worst(tried)
        if ratio <= HALF and not any(tried.dead.values()):
            way = "Lower" if lr < report.lr else "Raise"
            return f"{way} --lr: at {rate} the same examples' loss fell to {ratio:.0%} of what it was."
    rates = ", ".join(f"{r} to {v:.0%}" if math.isfinite(v) else f"{r} to no number" for r, v in report.trials.items())
    return f"Other rates do not help (the loss goes at {rates}): look at the labels; {WAIVE}"


def worst(report: SmokeReport) -> float:
    """The largest ratio of a task's loss after to its loss before; not a number where one is none."""
    ratios = [after / before if before > 0 else math.nan for before, after in report.loss.values()]
    return max(ratios, key=lambda r: math.inf if math.isnan(r) else r)


def component(name: str) -> str:
    """The part a tensor belongs to, such as ``head``, ``fusion``, ``LoRA A``, ``LoRA B`` or ``DoRA M``."""
    if name.startswith("heads."):
        return "head"
    first, _, rest = name.removeprefix("adapters.").partition(".")
    if first != "adapter":
        return first
    letter = rest.rpartition(".")[2]
    return f"{'DoRA' if letter == 'M' else 'LoRA'} {letter}"


def frozen_by_component(model: nn.Module, learner: Learner) -> dict[str, int]:
    """Parameters that do not train: of the base model, of what the architecture means to train, and of heads."""
    meant = {id(p) for task in learner.tasks for name, p in learner.trainable(task).items() if not name.startswith("heads.")}
    counts = {"base": 0, "adapters": 0, "heads": 0}
    for name, p in model.named_parameters():
        if not p.requires_grad:
            part = "heads" if name.startswith("heads.") else "adapters" if id(p) in meant else "base"
            counts[part] += p.numel()
    return counts


def counted(frozen: Mapping[str, int]) -> str:
    """What is frozen in words, e.g. ``base 72, adapters 0, heads 9``."""
    return ", ".join(f"{name} {count:,}" for name, count in frozen.items())


def frozen_whole(model: nn.Module, learner: Learner) -> list[str]:
    """Heads and components, such as an adapter, of which no parameter trains at all, sorted."""
    trains: dict[str, bool] = {}
    parts = [(f"head {name.split('.')[1]}", p) for name, p in model.named_parameters() if name.startswith("heads.")]
    for task in learner.tasks:
        for name, p in learner.trainable(task).items():
            first, _, rest = name.removeprefix("adapters.").partition(".")
            if not name.startswith("heads."):
                parts.append((f"adapter {rest.partition('.')[0]}" if first == "adapter" else f"the {first}", p))
    for part, p in parts:
        trains[part] = trains.get(part, False) or p.requires_grad
    return sorted(part for part, any_trains in trains.items() if not any_trains)
