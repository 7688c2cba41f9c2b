"""What every step after planning needs: the plan, what the run's folder remembers, and who is told."""

from __future__ import annotations

from dataclasses import dataclass

from bench.reporting import Reporter
from bench.steps.planned import Clock, Planned
from bench.steps.resume import State
from bench.tracking.journal import Journal
from bench.training.processes import Processes


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
