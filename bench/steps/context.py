"""What steps hand on to one another: the plan of a run, the clock that times it, and the context of a run under way."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.config import RunConfig
from bench.errors import BenchError, OutOfMemory, out_of_memory
from bench.reporting import Reporter
from bench.steps.resolve import Parts
from bench.steps.resume import State
from bench.tracking.journal import Journal
from bench.training.processes import Processes

if TYPE_CHECKING:
    from bench.invariants.parity import ParityReport
    from bench.linking.cache import Terminology
    from bench.steps.teachers import Teacher
    from bench.training.loop import Device
    from bench.training.model import TaskData
    from bench.training.plan import Budget


@dataclass
class Clock:
    """Seconds by step."""

    seconds: dict[str, float] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Adds the time of a block to a name, and says what ran out of memory.

        Raises:
            OutOfMemory: naming the step.
        """
        started = time.perf_counter()
        try:
            yield
        except Exception as error:
            if isinstance(error, BenchError) or not out_of_memory(error):
                raise
            raise OutOfMemory(f"during {name}") from None
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started


@dataclass(frozen=True)
class Planned:
    """What is known before any weight is loaded (steps 1 to 5).

    Args:
        config: of the run.
        facts: what the flags leave open, resolved; part of the run's identity.
        ident: the run's id.
        folder: of the run.
        parts: the plugins' parts.
        data: task to corpus, head and windows.
        device: where and in what precision.
        budget: tokens and updates.
        parity: every arm of the group, counted.
        plan: all of it, JSON-able.
        terminologies: task to the names of its concepts, for those that have a file of them.
        teachers: finished runs that the schedule learns from.
        code: SHA-256 of the sources that run.
    """

    config: RunConfig
    facts: Mapping[str, Any]
    ident: str
    folder: Path
    parts: Parts
    data: Mapping[str, TaskData]
    device: Device
    budget: Budget
    parity: ParityReport
    plan: Mapping[str, Any]
    terminologies: Mapping[str, Terminology] = field(default_factory=dict)
    teachers: tuple[Teacher, ...] = ()
    code: str = ""


@dataclass(frozen=True)
class RunContext:
    """A run that was planned and is carried out (steps 6 to 11).

    Args:
        planned: configuration, parts, data, budget and parity.
        state: what the run's folder remembers of gates and deaths.
        journal: told everything that happens.
        console: shows progress.
        clock: takes the time of each step.
        processes: that share every update.
    """

    planned: Planned
    state: State
    journal: Journal
    console: Reporter
    clock: Clock
    processes: Processes
