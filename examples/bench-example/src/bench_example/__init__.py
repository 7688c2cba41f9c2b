"""A third-party plugin: the task `medication`, the architecture `gated` and the quantizer `rtn8`."""

from __future__ import annotations

from collections.abc import Sequence

from bench.api.architecture import Architecture
from bench.api.quantizer import Quantizer
from bench.api.task import Task
from bench.hooks import hookimpl
from bench_example.gated import Gated
from bench_example.rtn8 import RoundToNearest8
from bench_example.task import Medication


@hookimpl
def bench_tasks() -> Sequence[Task]:
    """The task."""
    return (Medication(),)


@hookimpl
def bench_architectures() -> Sequence[Architecture]:
    """The architecture; it joins the parity group."""
    return (Gated(),)


@hookimpl
def bench_quantizers() -> Sequence[Quantizer]:
    """The quantizer."""
    return (RoundToNearest8(),)
