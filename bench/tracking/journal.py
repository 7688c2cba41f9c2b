"""The journal of a run: one JSON line an event, appended and flushed as things happen. It is the record; trackers mirror it.

The file only grows. A run that resumes from a checkpoint repeats the steps after it, so that the file holds those steps twice.
Its ``resume`` event names the first position that is replaced, and `timeline` leaves the replaced events out. Positions
(`RunEvent.seq`) are never reused, so that one number says what a mirror has received. Every line ends with a CRC-32 of its
content, so that a changed line is noticed, and holds the SHA-256 of the line before it, so that a line that was put in, taken
out or moved is noticed too, though every CRC be right (`read_chain`).
"""

from __future__ import annotations

import json
import math
import os
import threading
import time
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path, PurePath
from types import TracebackType
from typing import Any
from zlib import crc32

from bench.api.tracker import RunEvent
from bench.errors import RunStateError, StorageError
from bench.results.store import PREVIOUS

DURABLE = frozenset({"checkpoint", "result", "end"})
"""Kinds of events that are synced to disk before `Journal.write` returns."""
LONGEST = 400
"""Most characters of a string; the rest is cut off. Enough for a path or a message, too few for a document."""


class Journal:
    """Appends events to a run's journal and hands each to the observers, in order.

    An incomplete last line, left by a kill, is removed on opening.

    Args:
        path: the file; continued if it exists, else made with its folder.
        observers: called with every event after it is in the file, on the thread that wrote it.
        identity: id of the run; the first line holds its hash.

    Raises:
        RunStateError: a line of an existing file is no event of a journal.
        StorageError: the file cannot be opened.
    """

    def __init__(self, path: Path, observers: Sequence[Callable[[RunEvent], None]] = (), identity: str = "") -> None:
        self.path = path
        self._observers = list(observers)
        self._lock = threading.RLock()
        self._pending: deque[RunEvent] = deque()
        self._delivering = False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a+b", buffering=0)
            self._size = _whole_lines(path)
            self._file.truncate(self._size)
        except OSError as error:
            raise StorageError(f"The journal {path} cannot be opened: {error.strerror or error}.") from None
        self._seq, self._last = 0, identity.encode()
        for line, _ in _lines(path):
            self._seq, self._last = self._seq + 1, line

    @property
    def sha256(self) -> str:
        """Of the last line: with the chain it stands for all lines."""
        return sha256(self._last).hexdigest()

    @property
    def position(self) -> int:
        """The next event's `seq`; a checkpoint stores it for `resume`."""
        return self._seq

    def observe(self, observer: Callable[[RunEvent], None]) -> None:
        """Adds an observer for the events that follow."""
        self._observers.append(observer)

    def write(self, kind: str, step: int | None = None, /, **values: Any) -> RunEvent:
        """Appends one event.

        `kind` and `step` are as in `RunEvent`. Values are numbers, strings, None, and lists and mappings of them; never corpus
        text. NaN and infinities become ``NaN``, ``Infinity`` and ``-Infinity``; strings are cut at `LONGEST` characters.

        Raises:
            TypeError: a value of another type; its content is not shown.
            StorageError: the file cannot be written, e.g. the disk is full; the journal is unchanged.
        """
        clean = {key: _plain(value, key) for key, value in values.items()}
        with self._lock:
            event = RunEvent(self._seq, time.time(), kind, step, clean)
            self._append(event)
            self._pending.append(event)
            if not self._delivering:
                self._deliver()
        return event

    def resume(self, position: int, step: int) -> RunEvent:
        """Records that the run continues from a checkpoint; events from `position` on are replaced by what follows.

        `position` is the journal's when that checkpoint was written, 0 where the run starts over; `step` counts its updates.
        """
        # After a power cut the journal can be shorter than it was at the checkpoint: events are lost, the run is not.
        position = min(position, self._seq)
        events = self.events()
        dropped = sum(1 for event in events if event.seq >= position and not _is_checkpoint(event, step))
        return self.write("resume", step, position=position, dropped=dropped)

    def events(self) -> list[RunEvent]:
        """The events without those that a resume replaced, in order: as of a run that was never killed, plus ``resume``."""
        return timeline(read_journal(self.path))

    def close(self) -> None:
        """Syncs the file to disk and closes it; a second call does nothing."""
        with self._lock:
            if not self._file.closed:
                os.fsync(self._file.fileno())
                self._file.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _append(self, event: RunEvent) -> None:
        record = {"seq": event.seq, "time": event.time, "kind": event.kind, "step": event.step, "values": event.values}
        record[PREVIOUS] = self.sha256
        line = checked(json.dumps(record, allow_nan=False, separators=(",", ":")).encode())
        try:
            written = self._file.write(line)
            if written != len(line):
                raise OSError(28, "No space left on device")
            if event.kind in DURABLE:
                os.fsync(self._file.fileno())
        except OSError as error:
            self._file.truncate(self._size)
            raise StorageError(
                f"The journal {self.path} cannot be written: {error.strerror or error}.",
                f"Make room and type 'bench run --resume {self.path.parent.name}'.",
            ) from None
        self._size += len(line)
        self._seq += 1
        self._last = line

    def _deliver(self) -> None:
        # An observer may write an event itself (a warning). It is queued, so that all observers see the same order.
        self._delivering = True
        try:
            while self._pending:
                event = self._pending.popleft()
                for observer in self._observers:
                    observer(event)
        finally:
            self._delivering = False


def read_journal(path: Path, start: int = 0) -> Iterator[RunEvent]:
    """Yields the event of every complete line from position `start` on, replaced ones included; the journal may still grow.

    Raises:
        RunStateError: a line is no event, or out of order.
    """
    for _, event in _lines(path, start):
        yield event


def _lines(path: Path, start: int = 0) -> Iterator[tuple[bytes, RunEvent]]:
    """Every complete line with its event."""
    with path.open("rb") as file:
        for seq, line in enumerate(file):
            if not line.endswith(b"\n"):
                return
            if seq >= start:
                yield line, parse(line, seq, path)


@dataclass(frozen=True)
class Chain:
    """How the lines of a journal hang together.

    Args:
        events: complete lines.
        unchained: lines at the beginning that an older bench wrote, which hold no hash of the line before.
        sha256: of the last line.
        broken: position of the first line that does not hold the hash of the line before it; None where all do.
        torn: whether an incomplete line follows.
    """

    events: int
    unchained: int
    sha256: str
    broken: int | None
    torn: bool


def read_chain(path: Path, identity: str) -> Chain:
    """Holds every line of a journal against the line before it.

    Args:
        path: the file.
        identity: id of the run, whose hash the first line holds.

    Raises:
        RunStateError: a line is no event, or out of order.
    """
    previous, events, unchained, broken, size = identity.encode(), 0, 0, None, 0
    for line, event in _lines(path):
        stated = json.loads(line).get(PREVIOUS)
        if stated is None and unchained == event.seq:
            unchained += 1
        elif stated != sha256(previous).hexdigest() and broken is None:
            broken = event.seq
        previous, events, size = line, events + 1, size + len(line)
    return Chain(events, unchained, sha256(previous).hexdigest(), broken, size != path.stat().st_size)


def parse(line: bytes, seq: int, path: Path) -> RunEvent:
    """Parses one line of a journal.

    Raises:
        RunStateError: it is not the event of this position.
    """
    try:
        record = json.loads(line)
        if "crc32" in record and line != checked(line.rpartition(b',"crc32":')[0] + b"}"):
            raise ValueError("the line was changed")
        event = RunEvent(record["seq"], record["time"], record["kind"], record["step"], record["values"])
    except (ValueError, KeyError, TypeError, RecursionError):
        event = None
    if event is None or event.seq != seq or not isinstance(event.values, dict):
        raise RunStateError(f"{path}, line {seq + 1} is not event {seq} of a journal; the file was changed by something else.")
    return event


def checked(record: bytes) -> bytes:
    """The line of an event, given as a JSON object: adds a last key with the CRC-32 of everything before it."""
    body = record[:-1]
    return body + f',"crc32":"{crc32(body):08x}"}}\n'.encode()


def timeline(events: Iterable[RunEvent]) -> list[RunEvent]:
    """The events without those that a later ``resume`` replaces."""
    remaining: list[RunEvent] = []
    for event in events:
        if event.kind == "resume":
            first = event.values["position"]
            remaining = [e for e in remaining if e.seq < first or _is_checkpoint(e, event.step)]
        remaining.append(event)
    return remaining


class Replay:
    """Tells a mirror, which cannot delete events, which ones repeat an event that it has from before a resume.

    On CPU a repeated step is equal bit for bit, so that nothing is lost by leaving it out. On a GPU it may differ in its last
    digits, and the mirror keeps the first one. `fresh` must be called with every event of the journal, in order.
    """

    def __init__(self) -> None:
        self._kept: list[tuple[int, str, int | None]] = []
        self._repeated: Counter[tuple[str, int]] = Counter()

    def fresh(self, event: RunEvent) -> bool:
        """Whether the event does not repeat an earlier one."""
        if event.kind == "resume":
            first = event.values["position"]
            cut = bisect_left(self._kept, first, key=lambda known: known[0])
            tail, self._kept = self._kept[cut:], self._kept[:cut]
            for seq, kind, step in tail:
                if kind == "checkpoint" and step == event.step:
                    self._kept.append((seq, kind, step))
                elif step is not None:
                    self._repeated[kind, step] += 1
            return True
        self._kept.append((event.seq, event.kind, event.step))
        if event.step is None or not self._repeated[event.kind, event.step]:
            return True
        self._repeated[event.kind, event.step] -= 1
        return False


def _is_checkpoint(event: RunEvent, step: int | None) -> bool:
    # This event comes after the position that the checkpoint stores, but a resumed run does not repeat it.
    return event.kind == "checkpoint" and event.step == step


def _whole_lines(path: Path) -> int:
    """Bytes up to the end of the last complete line."""
    size, block = path.stat().st_size, 1 << 16
    with path.open("rb") as file:
        end = size
        while end:
            start = max(0, end - block)
            file.seek(start)
            last_end = file.read(end - start).rfind(b"\n")
            if last_end >= 0:
                return start + last_end + 1
            end = start
    return 0


def _plain(value: Any, key: str) -> Any:
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, (str, PurePath)):
        text = str(value)
        return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
    if isinstance(value, float):
        if math.isfinite(value):
            return float(value)
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Mapping):
        for inner in value:
            if not isinstance(inner, str):
                raise TypeError(f"A key below {key!r} of a journal event is a {type(inner).__name__}; keys are strings.")
        return {inner: _plain(v, f"{key}.{inner}") for inner, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner, key) for inner in value]
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        return _plain(value.item(), key)
    raise TypeError(
        f"{key!r} of a journal event is a {type(value).__name__}; events hold numbers, strings, lists and mappings."
    )
