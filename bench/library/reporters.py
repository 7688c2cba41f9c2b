"""Progress of a call: shown on the screen where it is wanted, else dropped."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from bench.reporting import Reporter, SilentReporter

if TYPE_CHECKING:
    from bench.api.study import StudyRun
    from bench.studies.conduct import Audience
    from bench.studies.study import Study


def reporter(progress: bool) -> Reporter:
    """Takes the progress and the warnings of a run."""
    if not progress:
        return SilentReporter()
    from bench.screen.console import RichReporter

    return RichReporter()


def watcher(progress: bool) -> Audience:
    """Takes the progress and the warnings of a study."""
    if not progress:
        return _SilentWatcher()
    from bench.screen.studytable import StudyWatcher

    return StudyWatcher(stderr=False)


class _SilentWatcher:
    """Follows a study and shows nothing."""

    def warn(self, message: str) -> None:
        pass

    def looked(self, message: str) -> None:
        pass

    def surveying(self, run: StudyRun, place: int, total: int) -> None:
        pass

    def watching(self, study: Study) -> AbstractContextManager[None]:
        return nullcontext()

    def look(self, study: Study, active: set[str]) -> None:
        pass

    def ended(self, run: StudyRun, outcome: Any) -> None:
        pass
