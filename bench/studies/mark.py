"""Tells trackers how a study stands; like a run's mirrors it can neither stop the study nor hold it up for long."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal

from bench.api.tracker import StudyInfo
from bench.tracking.mirrors import busy, failed, trouble

if TYPE_CHECKING:
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
        self._told = ""  # the tracker that is being told

    def begin(self) -> None:
        """Marks it as running, in a thread of its own: importing a tracker takes seconds."""
        self._thread = threading.Thread(target=self._mark, args=("running", {}), name="mark-study", daemon=True)
        self._thread.start()

    def end(self, state: Literal["finished", "failed", "stopped"], verdict: Mapping[str, str]) -> None:
        """Marks how it ended, and waits for that."""
        thread = threading.Thread(target=self._mark, args=(state, verdict, self._thread), name="mark-study", daemon=True)
        thread.start()
        thread.join(WAIT)
        if thread.is_alive():
            self._warn(trouble(self._told, busy(WAIT), self._untold(state)))

    def _mark(
        self,
        state: Literal["running", "finished", "failed", "stopped"],
        verdict: Mapping[str, str],
        after: threading.Thread | None = None,
    ) -> None:
        if after is not None:
            after.join()
        study = self._study
        facts = {"runs": f"{len(study.finished())} of {len(study.due())} finished", **verdict}
        for name in dict.fromkeys(name for run in study.runs for name in run.config.tracker if name != "none"):
            self._told = name
            try:
                tracker = self._registry.get("trackers", name)
                if not tracker.missing():
                    tracker.mark_study(StudyInfo(study.name, study.out, state, facts))
            except Exception as error:
                self._warn(trouble(name, failed(error), self._untold(state)))

    def _untold(self, state: str) -> str:
        return f"was not told that study {self._study.name} is {state}."
