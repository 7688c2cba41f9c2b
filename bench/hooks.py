"""The hooks a plugin may implement, all of them on this page.

A plugin is a module with `@hookimpl` functions and one line in the entry-point group ``bench``. Hook functions only hand
objects over; behaviour lives in the classes of `bench.api`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pluggy

from bench.api.architecture import BaseArchitecture
from bench.api.head import Head
from bench.api.model import Model
from bench.api.quantizer import Quantizer
from bench.api.schedule import Schedule
from bench.api.study import StudyKind
from bench.api.task import Task
from bench.api.tracker import RunEvent, Tracker

hookspec = pluggy.HookspecMarker("bench")
hookimpl = pluggy.HookimplMarker("bench")


@hookspec
def bench_tasks() -> Sequence[Task]:  # type: ignore[empty-body]
    """Tasks: corpora with their heads and scorers."""


@hookspec
def bench_task_from_file(path: Path) -> Task | None:
    """A task from a ``.toml`` file that the user names in a task's place; None where the file is not this plugin's.

    Third parties are asked before bench itself. The task's ``file`` is `path`, and its ``version`` changes with the content.
    """


@hookspec
def bench_heads() -> Sequence[Head]:  # type: ignore[empty-body]
    """Heads, not fitted: each fits every task that asks for what it predicts."""


@hookspec
def bench_architectures() -> Sequence[BaseArchitecture]:  # type: ignore[empty-body]
    """Architectures: what is trained over the base model, and how tasks share it."""


@hookspec
def bench_quantizers() -> Sequence[Quantizer]:  # type: ignore[empty-body]
    """Quantizers: how the base model's weights are stored."""


@hookspec
def bench_models() -> Sequence[Model]:  # type: ignore[empty-body]
    """Base models known by a short name."""


@hookspec
def bench_schedules() -> Sequence[Schedule]:  # type: ignore[empty-body]
    """Schedules: in which order the tasks of a run take their tokens."""


@hookspec
def bench_studies() -> Sequence[StudyKind]:  # type: ignore[empty-body]
    """Kinds of study: what is compared, what that shows, and how it is told."""


@hookspec
def bench_trackers() -> Sequence[Tracker]:  # type: ignore[empty-body]
    """Trackers: mirrors of the run's journal."""


@hookspec
def bench_event(event: RunEvent) -> None:
    """Observes a run's events as they are written to the journal. A hook that raises is warned about once and left out."""
