"""Tells trackers how a study stands; like a run's mirrors it can neither stop the study nor hold it up for long."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal

from bench.api.tracker import StudyInfo
from bench.tracking.mirrors import busy, failed, trouble

if TYPE_CHECKING:
    from pathlib import Path

    from bench.api.tracker import Tracker
    from bench.registry import Registry
    from bench.studies.study import Study

WAIT = 30.0
"""Seconds that the trackers may take when a study ends."""


class StudyMark:
    """Marks one study with the trackers of its runs.

    Args:
        study: whose state is told.
        registry: knows the trackers.
        warn: called with one line where a tracker failed.
    """

    def __init__(self, study: Study, registry: Registry, warn: Callable[[str], None]) -> None:
        self._study, self._registry, self._warn = study, registry, warn
        self._thread: threading.Thread | None = None
        self._told = self._otherwise = ""  # the tracker that is being told, and what it lacks where it fails

    def begin(self) -> None:
        """Marks it as running, without waiting for that: importing a tracker takes seconds."""
        self._mark("running", {})

    def end(self, state: Literal["finished", "failed", "stopped"], verdict: Mapping[str, str]) -> None:
        """Marks how it ended, and waits for that."""
        self._mark(state, verdict)
        self._wait()

    def report(self, page: Path) -> None:
        """Gives them its report, and waits for that."""
        study = self._study
        self._tell(lambda tracker: tracker.add_report(study.name, study.out, page), f"lacks the report of {study.name}.")
        self._wait()

    def _mark(self, state: Literal["running", "finished", "failed", "stopped"], verdict: Mapping[str, str]) -> None:
        study = self._study
        facts = {"runs": f"{len(study.finished())} of {len(study.due())} finished", **verdict}
        info = StudyInfo(study.name, study.out, state, facts)
        self._tell(lambda tracker: tracker.mark_study(info), f"was not told that study {study.name} is {state}.")

    def _tell(self, call: Callable[[Tracker], None], otherwise: str) -> None:
        """Calls every tracker of the runs, in a thread of its own and after what was told before."""
        before, self._otherwise = self._thread, otherwise

        def tell() -> None:
            if before is not None:
                before.join()
            for name in dict.fromkeys(name for run in self._study.runs for name in run.config.tracker if name != "none"):
                self._told = name
                try:
                    tracker = self._registry.get("trackers", name)
                    if not tracker.missing():
                        call(tracker)
                except Exception as error:
                    self._warn(trouble(name, failed(error), otherwise))

        self._thread = threading.Thread(target=tell, name="mark-study", daemon=True)
        self._thread.start()

    def _wait(self) -> None:
        if self._thread is not None:
            self._thread.join(WAIT)
            if self._thread.is_alive():
                self._warn(trouble(self._told, busy(WAIT), self._otherwise))
