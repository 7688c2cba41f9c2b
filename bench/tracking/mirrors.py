"""Mirrors: copy a run's journal to trackers, and can neither stop the run nor slow it down.

Each tracker has a thread that reads the journal file and passes events on in batches. Nothing is queued in memory: the file is
the queue, and a position says what a mirror has received. If a call into a tracker raises or takes too long, there is one
warning and the mirror is switched off; `sync` brings it up to date later.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from bench.api.tracker import RunEvent, RunInfo, Tracker
from bench.errors import BenchError, RunStateError
from bench.results.layout import INFO, JOURNAL, MIRRORS, RESULT
from bench.results.lock import RunLock
from bench.results.store import last_line, read_json, write_json
from bench.tracking.journal import Replay, parse

if TYPE_CHECKING:
    from bench.registry import Registry

Warn = Callable[[str], None]
_SWITCH_SECONDS = 0.0005
BATCH = 500
"""Most events of one call into a tracker."""


class Mirrors:
    """Feeds trackers for as long as a run lives.

    Args:
        trackers: the trackers; one that is not installed is left out, with a warning that names the command to install it.
        info: the run; also written to its folder, so that `sync` works after the run.
        warn: called with one line, only on the thread that calls `feed` or `close`.
        timeout: seconds that one call into a tracker may take.
        interval: seconds between two reads of the journal.
    """

    def __init__(
        self, trackers: Sequence[Tracker], info: RunInfo, warn: Warn, timeout: float = 60.0, interval: float = 2.0
    ) -> None:
        self._warn = warn
        self._news: deque[str] = deque()
        self._closed = False
        write_info(info)
        self._mirrors = [
            _Mirror(tracker, info, self._news.append, timeout, interval) for tracker in _ready(trackers, self._news)
        ]
        # A thread waits this long to get the interpreter from one that computes: 5 ms by default. The training thread would
        # wait that long at every file write while a tracker is being imported.
        self._switch = sys.getswitchinterval()
        if self._mirrors:
            sys.setswitchinterval(min(self._switch, _SWITCH_SECONDS))
        for mirror in self._mirrors:
            mirror.thread.start()
        self._tell()

    def feed(self, event: RunEvent) -> None:
        """Observer of a `Journal`; takes microseconds, since the mirrors read the file themselves."""
        now = time.monotonic()
        for mirror in self._mirrors:
            mirror.check(now)
        if self._news:
            self._tell()

    def close(self, finished: bool, wait: float = 20.0) -> None:
        """Lets the mirrors catch up and closes them; a second call does nothing.

        `finished` is False where the run was interrupted or failed. Mirrors that take longer than `wait` seconds are given up.
        """
        if self._closed:
            return
        self._closed = True
        end = time.monotonic() + wait
        for mirror in self._mirrors:
            mirror.finish(finished)
        for mirror in self._mirrors:
            while mirror.thread.is_alive() and not mirror.off() and (left := end - time.monotonic()) > 0:
                mirror.thread.join(min(left, 0.05))
                mirror.check(time.monotonic())
            if mirror.thread.is_alive():
                mirror.give_up(busy(wait))
        sys.setswitchinterval(self._switch)
        self._tell()

    def _tell(self) -> None:
        while self._news:
            self._warn(self._news.popleft())


def sync(
    folder: Path, registry: Registry, warn: Warn, trackers: Sequence[str] | None = None, timeout: float = 600.0
) -> dict[str, int]:
    """Brings a run's mirrors up to date from its journal; events that they have are not sent again.

    `trackers` are names, None those of the run's configuration; each may take `timeout` seconds.

    Returns:
        Tracker name to the number of events that it received; a tracker that failed or is not installed is not in it.

    Raises:
        RunStateError: the folder is no run's, or the run is still active.
    """
    info = read_info(folder)
    names = list(info.config.get("tracker", ())) if trackers is None else list(trackers)
    parts = [registry.get("trackers", name) for name in names if name != "none"]
    news: deque[str] = deque()
    handed: dict[str, int] = {}
    with RunLock(folder):
        for tracker in _ready(parts, news):
            mirror = _Mirror(tracker, info, news.append, timeout, 0.5)
            mirror.finish((folder / RESULT).exists())
            mirror.thread.start()
            mirror.thread.join(timeout)
            if mirror.thread.is_alive():
                mirror.give_up(busy(timeout))
            if not mirror.off():
                handed[tracker.name] = mirror.handed
    while news:
        warn(news.popleft())
    return handed


def trouble(tracker: str, reason: str, outcome: str) -> str:
    """The line that warns of a tracker: a reason by `failed` or `busy`, and what comes of it."""
    return f"Tracker {tracker!r} {reason} and {outcome}"


def failed(error: Exception) -> str:
    """That a call into a tracker raised; of a foreign exception the type alone, since its message may hold corpus text."""
    return f"failed ({error if isinstance(error, BenchError) else type(error).__name__})"


def busy(seconds: float) -> str:
    """That a tracker did not end within so many seconds."""
    return f"is still busy after {seconds:g} s"


def position(folder: Path, tracker: str) -> int:
    """Journal events that a mirror has received, as recorded in the run's folder; for trackers that cannot tell."""
    try:
        return max(0, int(read_json(folder / MIRRORS / f"{tracker}.json")["next"]))
    except (RunStateError, KeyError, TypeError, ValueError):
        return 0


def behind(folder: Path, trackers: Iterable[str]) -> bool:
    """Whether a tracker of a run has not received all of its journal, as far as the folder tells."""
    try:
        end = json.loads(last_line(folder / JOURNAL))["seq"]
    except (OSError, ValueError, LookupError, TypeError):  # a damaged journal is told elsewhere
        return False
    return any(position(folder, name) <= end for name in trackers if name != "none")


def write_info(info: RunInfo) -> None:
    """Writes what trackers know about a run to its folder, for `read_info`."""
    write_json(info.folder / INFO, {"id": info.id, "name": info.name, "config": dict(info.config)})


def read_info(folder: Path) -> RunInfo:
    """Reads what `write_info` wrote; the folder may have been moved since.

    Raises:
        RunStateError: the folder is no run's.
    """
    record = read_json(folder / INFO)
    try:
        return RunInfo(record["id"], record["name"], folder, folder.parent, record["config"])
    except (KeyError, TypeError):
        raise RunStateError(f"{folder / INFO} does not describe a run.") from None


def _ready(trackers: Sequence[Tracker], news: deque[str]) -> Iterator[Tracker]:
    for tracker in trackers:
        missing = tracker.missing()
        if missing:
            news.append(
                f"Tracker {tracker.name!r} is not installed; the run goes on without it.  Install it with: {missing[0].command}"
            )
        else:
            yield tracker


class _Mirror:
    """One tracker and its thread. The run calls `check`, `finish` and `give_up`; the rest runs on the thread."""

    def __init__(self, tracker: Tracker, info: RunInfo, warn: Warn, timeout: float, interval: float) -> None:
        self.tracker = tracker
        self.info = info
        self.handed = 0
        self.thread = threading.Thread(target=self._run, name=f"mirror-{tracker.name}", daemon=True)
        self._warn, self._timeout, self._interval = warn, timeout, interval
        self._call: tuple[str, float] | None = None
        self._ending = threading.Event()
        self._finished = False
        self._lock = threading.Lock()
        self._off = False

    def off(self) -> bool:
        return self._off

    def check(self, now: float) -> None:
        call = self._call
        if call is not None and not self.off() and now - call[1] > self._timeout:
            self.give_up(f"did not come back from {call[0]} within {self._timeout:g} s")

    def finish(self, finished: bool) -> None:
        self._finished = finished
        self._ending.set()

    def give_up(self, reason: str) -> None:
        with self._lock:
            if self._off:
                return
            self._off = True
        self._warn(trouble(self.tracker.name, reason, f"is switched off; later: bench sync {self.info.id}"))

    def _run(self) -> None:
        try:
            self._follow()
        except Exception as error:
            self.give_up(failed(error))

    def _follow(self) -> None:
        with self._timed("open"):
            sent = self.tracker.open(self.info)
        replay = Replay()
        batch: list[RunEvent] = []
        for event in self._tail():
            if self.off():
                return
            if event is not None:
                if replay.fresh(event) and event.seq >= sent:
                    batch.append(event)
                if len(batch) < BATCH:
                    continue
            if batch:
                with self._timed("write"):
                    self.tracker.write(batch)
                if self.off():
                    return
                self.handed += len(batch)
                sent = batch[-1].seq + 1
                batch = []
                with suppress(BenchError):  # the run itself reports a full disk
                    write_json(self.info.folder / MIRRORS / f"{self.tracker.name}.json", {"next": sent}, durable=False)
        if not self.off():
            with self._timed("close"):
                self.tracker.close(self._finished)

    def _tail(self) -> Iterator[RunEvent | None]:
        """Yields events as they are written, None when there are no more for now; ends when the run has and all are read."""
        path = self.info.folder / JOURNAL
        seq, offset = 0, 0
        while True:
            ending = self._ending.is_set()
            if path.exists():
                with path.open("rb") as file:
                    file.seek(offset)
                    for line in file:
                        if not line.endswith(b"\n"):
                            break
                        yield parse(line, seq, path)
                        seq, offset = seq + 1, offset + len(line)
            yield None
            if ending:
                return
            self._ending.wait(self._interval)

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        self._call = (name, time.monotonic())
        try:
            yield
        finally:
            self._call = None
