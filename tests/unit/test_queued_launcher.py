"""The queue of jobs that launchers share."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.launchers.child import Job, JobOutcome
from bench.launchers.queued import QueuedLauncher


class Deaf(QueuedLauncher[str]):
    """Loses what its jobs are told first; each ends at the second time."""

    def __init__(self, jobs: int) -> None:
        super().__init__(jobs)
        self.told: dict[str, int] = {}

    def _begin(self, job: Job) -> str:
        self.told[job.key] = 0
        return job.key

    def _outcome(self, key: str, handle: str) -> JobOutcome | None:
        return JobOutcome(key, 130) if self.told[handle] == 2 else None

    def _cancel(self, handle: str) -> None:
        self.told[handle] += 1


def test_a_job_that_never_heard_that_it_should_stop_is_told_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(QueuedLauncher, "ask_again", 0.05)
    launcher = Deaf(2)
    for key in ("one", "two", "three"):
        launcher.submit(Job(key, ("run",), tmp_path / f"{key}.log"))
    assert launcher.poll(0) == []
    assert [outcome.key for outcome in launcher.stop(patience=10)] == ["one", "two"]
    assert launcher.active() == set()
    assert launcher.told == {"one": 2, "two": 2}
