"""The tasks that come with bench: one package a task, with loader, synthetic corpus, scorer and README."""

from __future__ import annotations

from collections.abc import Sequence

from bench.api.task import Task
from bench.hooks import hookimpl
from bench_tasks.semeval2015_t14.task import SemEval2015T14


@hookimpl
def bench_tasks() -> Sequence[Task]:
    """The tasks of this package."""
    return (SemEval2015T14(),)
