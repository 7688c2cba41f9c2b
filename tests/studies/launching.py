"""What tests of studies share: a launcher that has nothing to stop, and a watcher that looks away."""

from __future__ import annotations

from bench.api.study import StudyRun
from bench.launchers import JobOutcome
from bench.studies.study import Study


class Idle:
    """A launcher without processes, to be given `submit` and `poll`."""

    def active(self) -> set[str]:
        return set()

    def stop(self) -> list[JobOutcome]:
        return []

    def close(self) -> None:
        pass


class Quiet:
    """A watcher that looks away."""

    def look(self, study: Study, active: set[str]) -> None:
        pass

    def ended(self, run: StudyRun, outcome: JobOutcome) -> None:
        pass
