"""The installed schedules: all tasks at once, one after another, and from easy to hard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.api.schedule import Phase, Schedule
from bench.hooks import hookimpl
from bench_plugins.schedules.curriculum import Curricular
from bench_plugins.schedules.distill import Distill
from bench_plugins.schedules.sequential import Sequential


class Joint(Schedule):
    """Every update shares its tokens over all tasks."""

    name = "joint"
    version = "1"
    summary = "all tasks at once, in every update"
    citation = "Caruana 1997, Multitask Learning, doi:10.1023/A:1007379606734"
    licence = "Apache-2.0"

    def phases(self, shares: Mapping[str, float]) -> Sequence[Phase]:
        """One phase of all tasks."""
        return [Phase(1.0, dict(shares))]


@hookimpl
def bench_schedules() -> Sequence[Schedule]:
    """All tasks at once, one after another, from short to long windows, and taught by finished runs."""
    return (Joint(), Sequential(), Curricular(), Distill())
