"""Knowledge distillation: a run learns from gold labels and from the predictions of a finished run.

Example: for "no chest pain" gold says O B I. The teacher says of "chest" B .7, I .2, O .1; at a temperature of 2 that is
.5, .3, .2, and the run that learns is drawn towards it at each word, as well as towards gold.

The loss of a position is (1 - w)·L + w·T²·KL(softmax(t/T) ‖ softmax(s/T)), where L is that of the head, t and s are the scores
of teacher and student, w is ``weight`` and T is ``temperature``. It needs a head that chooses among classes
(`HeadModule.choices`): ``bio``, ``bioes`` or ``classify``. A task without a teacher learns from gold alone.

Source: Hinton, Vinyals & Dean 2015, Distilling the Knowledge in a Neural Network, arXiv 1503.02531, section 2; one teacher for
each task, Clark et al. 2019, BAM, arXiv 1907.04829.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from bench.api.head import HeadModule
from bench.api.schedule import FrozenModel, Objective, Phase, Schedule
from bench.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor


class Distill(Schedule):
    """All tasks at once, each trained towards a finished run's predictions for the same windows."""

    name = "distill"
    version = "1"
    summary = "all tasks at once, drawn towards the outputs of finished runs (--teacher)"
    citation = "Hinton et al. 2015, Distilling the Knowledge in a Neural Network, arXiv 1503.02531"
    licence = "Apache-2.0"
    options: ClassVar[Mapping[str, float]] = {"weight": 0.5, "temperature": 2.0}
    taught = True

    def check(self, options: Mapping[str, float], taught: Mapping[str, HeadModule]) -> None:
        """Refuses options out of range, and heads that make no choices among classes."""
        if not (options["weight"] <= 1 and options["temperature"] > 0):
            raise UsageError(
                f"--schedule-option weight is {options['weight']:g} and temperature {options['temperature']:g}; "
                "wanted at most 1, and above 0."
            )
        for task, head in taught.items():
            if type(head).choices is HeadModule.choices:
                raise UsageError(
                    f"The head of {task} makes no choices among classes, which a teacher could say more of than gold.",
                    "Take --head bio, bioes or classify for the teacher and the run, or leave the teacher of this task out.",
                )

    def phases(self, shares: Mapping[str, float]) -> Sequence[Phase]:
        """One phase of all tasks."""
        return [Phase(1.0, dict(shares))]

    def objective(self, options: Mapping[str, float], teachers: Mapping[str, FrozenModel]) -> Objective:
        """The teachers' outputs beside gold."""
        return SoftTargets(options["weight"], options["temperature"], teachers)


class SoftTargets(Objective):
    """(1 - w)·L + w·T²·KL(teacher ‖ student), summed over positions.

    Args:
        weight: w.
        temperature: T; T² keeps the gradient's size whatever T.
        teachers: task to model.
    """

    def __init__(self, weight: float, temperature: float, teachers: Mapping[str, FrozenModel]) -> None:
        self.weight, self.temperature, self.teachers = weight, temperature, teachers

    def loss(self, task: str, batch: Mapping[str, Tensor], hidden: Tensor, head: HeadModule, loss: Tensor) -> Tensor:
        """Gold's part and the teacher's."""
        import torch
        from torch.nn import functional as F

        if task not in self.teachers:
            return loss
        teacher = self.teachers[task]
        with torch.no_grad():
            theirs = teacher.head(task).choices(teacher.hidden(task, batch), batch)
        ours = head.choices(hidden, batch)
        assert ours is not None
        assert theirs is not None
        student, taught = ((scores.float() / self.temperature).log_softmax(-1) for scores in (ours, theirs))
        divergence = F.kl_div(student, taught, reduction="sum", log_target=True)
        return (1 - self.weight) * loss + self.weight * self.temperature**2 * divergence
