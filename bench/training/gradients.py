"""Gradients of several tasks in the parameters they share: added up, or projected where they conflict (PCGrad).

Within an update each task's gradient of the shared parameters is put aside once its micro-batches are through. From their
inner products alone, a matrix of tasks × tasks, follow both the cosines of all pairs and the projections, so that what is
done to the gradients themselves is one weighted sum.

Source: Yu et al. 2020, Gradient Surgery for Multi-Task Learning, arXiv 2001.06782.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.results.evidence import GradientPair, Gradients

Kind = Literal["plain", "pcgrad"]
Pair = tuple[str, str]

_SALT = 2001_06782
"""Keeps the random order apart from the sampler's streams of the same seed."""
_CHUNK = 1 << 18


@dataclass
class Group:
    """Parameters that the same tasks use, two or more in the order of the run.

    `aside` holds each task's gradient of this update, flat; `reached` the places of parameters that any task gave a gradient.
    """

    tasks: tuple[str, ...]
    parameters: list[nn.Parameter]
    aside: dict[str, Tensor] = field(default_factory=dict)
    reached: set[int] = field(default_factory=set)

    def take(self, task: str) -> None:
        """Moves the parameters' gradients to the entry of a task."""
        grads = [p.grad for p in self.parameters]
        if any(gradient is not None for gradient in grads):
            flat = [torch.zeros_like(p) if g is None else g for p, g in zip(self.parameters, grads, strict=True)]
            self.aside[task] = torch.cat([gradient.reshape(-1) for gradient in flat])
            self.reached.update(at for at, gradient in enumerate(grads) if gradient is not None)
        for parameter in self.parameters:
            parameter.grad = None

    def give(self, merged: Tensor) -> None:
        """Writes a flat gradient to the parameters; one that no task reached gets none, so that Adam does not move it."""
        start = 0
        for at, parameter in enumerate(self.parameters):
            if at in self.reached:
                parameter.grad = merged[start : start + parameter.numel()].view_as(parameter).to(parameter.dtype)
            start += parameter.numel()
        self.clear()

    def clear(self) -> None:
        """Drops the gradients of the update."""
        self.aside.clear()
        self.reached.clear()


@dataclass
class PairConflicts:
    """How often two tasks were in one update, and how often their gradients conflicted.

    Args:
        updates: that held both, and in which both had a gradient.
        conflicts: of those, with a cosine below zero.
        cosines: sum of the cosines.
    """

    updates: int = 0
    conflicts: int = 0
    cosines: float = 0.0


class SharedGradients:
    """Keeps the tasks' gradients of shared parameters apart, and merges them at the end of an update.

    Parameters of one task alone are never touched. Where not all tasks share the same parameters, those shared by the same
    tasks are projected together, so that no task's projection reaches what it does not use.

    Args:
        trainable: task to the trainable tensors that it uses, by name.
        kind: ``plain`` adds the gradients up, ``pcgrad`` projects first.
        seed: of the random order of projections, together with the step.
    """

    def __init__(self, trainable: Mapping[str, Mapping[str, nn.Parameter]], kind: Kind, seed: int) -> None:
        self.kind = kind
        self.seed = seed
        self.groups = groups_of(trainable)
        shared = {pair for group in self.groups for pair in combinations(group.tasks, 2)}
        self.pairs = {pair: PairConflicts() for pair in combinations(trainable, 2) if pair in shared}

    @property
    def shared(self) -> int:
        """Parameters that two tasks or more train."""
        return sum(p.numel() for group in self.groups for p in group.parameters)

    def begin(self) -> None:
        """Drops the gradients of an update that was not finished."""
        for group in self.groups:
            group.clear()

    def take(self, task: str) -> None:
        """Moves a task's gradients aside, once all of its micro-batches are done."""
        for group in self.groups:
            if task in group.tasks:
                group.take(task)

    def merge(self, step: int) -> dict[Pair, float]:
        """Writes the gradients of an update into the shared parameters; `step` is its index.

        Returns:
            The cosine of every pair of tasks of the update, over all that the two share, before any projection.
        """
        order = np.random.default_rng([self.seed, step, _SALT])
        dots: dict[Pair, float] = {}
        norms: dict[Pair, tuple[float, float]] = {}
        for group in self.groups:
            tasks = list(group.aside)
            vectors = list(group.aside.values())
            if not tasks:
                continue
            gram = inner_products(vectors)
            parts = project(gram, order) if self.kind == "pcgrad" else np.eye(len(tasks))
            group.give(weighted_sum(vectors, parts.sum(axis=0)))
            for (i, a), (j, b) in combinations(enumerate(tasks), 2):
                left, right = norms.get((a, b), (0.0, 0.0))
                norms[a, b] = left + gram[i, i], right + gram[j, j]
                dots[a, b] = dots.get((a, b), 0.0) + gram[i, j]
        sizes = {pair: float(np.sqrt(left) * np.sqrt(right)) for pair, (left, right) in norms.items()}
        return {pair: float(dots[pair]) / size for pair, size in sizes.items() if size > 0}

    def note(self, cosines: Mapping[Pair, float]) -> None:
        """Counts the conflicts of the last `merge`, once the update is done."""
        for pair, cosine in cosines.items():
            counts = self.pairs[pair]
            counts.updates += 1
            counts.conflicts += cosine < 0
            counts.cosines += cosine

    def state(self) -> list[list[Any]]:
        """The counts, JSON-able."""
        return [[*pair, counts.updates, counts.conflicts, counts.cosines] for pair, counts in self.pairs.items()]

    def restore(self, state: Sequence[Sequence[Any]]) -> None:
        """Puts back a `state`."""
        self.pairs = {(a, b): PairConflicts(*counts) for a, b, *counts in state}

    def report(self) -> Gradients:
        """The entry of the result."""
        pairs = (
            GradientPair(
                pair,
                counts.updates,
                counts.conflicts,
                counts.conflicts / counts.updates if counts.updates else None,
                counts.cosines / counts.updates if counts.updates else None,
            )
            for pair, counts in self.pairs.items()
        )
        note = None if self.groups else "The tasks share no trainable parameter, so their gradients never meet."
        return Gradients(self.kind, self.shared, tuple(pairs), note)


def groups_of(trainable: Mapping[str, Mapping[str, nn.Parameter]]) -> list[Group]:
    """The parameters of two tasks or more, by who uses them."""
    users: dict[nn.Parameter, list[str]] = {}
    for task, parameters in trainable.items():
        for parameter in parameters.values():
            users.setdefault(parameter, []).append(task)
    groups: dict[tuple[str, ...], Group] = {}
    for parameter, tasks in users.items():
        if len(tasks) > 1:
            groups.setdefault(tuple(tasks), Group(tuple(tasks), [])).parameters.append(parameter)
    return list(groups.values())


def inner_products(vectors: Sequence[Tensor]) -> NDArray[np.float64]:
    """All inner products of flat gradients, (tasks, tasks), in double precision, a stretch at a time."""
    total = torch.zeros(len(vectors), len(vectors), dtype=torch.float64, device=vectors[0].device)
    for start in range(0, len(vectors[0]), _CHUNK):
        part = torch.stack([v[start : start + _CHUNK] for v in vectors]).double()
        total += part @ part.T
    products: NDArray[np.float64] = total.cpu().numpy()
    return products


def project(gram: NDArray[np.float64], order: np.random.Generator) -> NDArray[np.float64]:
    """Each task's gradient after surgery, in terms of the original ones (algorithm 1 of the paper).

    Task i's gradient goes through the others in random order, drawn anew for each task. Where its inner product with the
    original gradient of j is negative, it loses its component along that. `gram` holds these products, (tasks, tasks).

    Returns:
        (tasks, tasks): row i holds the coefficients of task i's projected gradient.
    """
    parts = np.eye(len(gram))
    for i, row in enumerate(parts):
        for j in order.permutation([k for k in range(len(gram)) if k != i]):
            along = row @ gram[j]
            if along < 0:
                row[j] -= along / gram[j, j]
    return parts


def weighted_sum(vectors: Sequence[Tensor], weights: NDArray[np.float64]) -> Tensor:
    """The sum in the order given; with weights of 1 it is, bit for bit, what adding the vectors up would be.

    The first vector may be overwritten.
    """
    total = vectors[0] if weights[0] == 1 else vectors[0] * float(weights[0])
    for vector, weight in zip(vectors[1:], weights[1:], strict=True):
        total.add_(vector, alpha=float(weight))
    return total
