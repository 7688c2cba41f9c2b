"""Mirrors with trackers that behave badly: the journal is the same, there is one warning, and closing returns in time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from bench.api.part import Part, Requirement
from bench.api.tracker import RunEvent, RunInfo, Tracker
from bench.errors import RunStateError, UsageError
from bench.results.lock import RunLock
from bench.tracking import Journal, Mirrors, position, sync
from bench.tracking.mirrors import behind


class Memory(Tracker):
    """Keeps what it is handed; what it holds outlives it in `store`, as a database would."""

    name = "memory"
    version = "1"
    summary = "in memory"

    def __init__(self, store: list[RunEvent] | None = None) -> None:
        self.store = [] if store is None else store
        self.batches: list[int] = []
        self.closed: list[bool] = []
        self.threads: set[str] = set()

    def open(self, run: RunInfo) -> int:
        self.threads.add(threading.current_thread().name)
        return self.store[-1].seq + 1 if self.store else 0

    def write(self, events: Sequence[RunEvent]) -> None:
        self.threads.add(threading.current_thread().name)
        self.store.extend(events)
        self.batches.append(len(events))

    def close(self, finished: bool) -> None:
        self.threads.add(threading.current_thread().name)
        self.closed.append(finished)


class Bad(Memory):
    """Raises or hangs for a minute in one of its calls."""

    name = "bad"

    def __init__(self, call: str, how: str) -> None:
        super().__init__()
        self.call, self.how = call, how

    def _misbehave(self, call: str) -> None:
        if call == self.call:
            if self.how == "raises":
                raise RuntimeError("CANARY-7F3A: a foreign message")
            time.sleep(60)

    def open(self, run: RunInfo) -> int:
        self._misbehave("open")
        return super().open(run)

    def write(self, events: Sequence[RunEvent]) -> None:
        self._misbehave("write")
        super().write(events)

    def close(self, finished: bool) -> None:
        self._misbehave("close")
        super().close(finished)


class Absent(Memory):
    name = "absent"
    requires = (Requirement("no_such_module_at_all", "bench-suite[track]"),)

    def open(self, run: RunInfo) -> int:
        raise AssertionError("it is not installed")


class Parts:
    def __init__(self, *parts: Part) -> None:
        self.parts = {part.name: part for part in parts}

    def get(self, kind: str, name: str) -> Part:
        assert kind == "trackers"
        if name not in self.parts:
            raise UsageError(f"Unknown tracker {name!r}.")
        return self.parts[name]


def info(root: Path, **config: object) -> RunInfo:
    folder = root / "toy_a1"
    folder.mkdir(exist_ok=True)
    return RunInfo("toy_a1", "a name", folder, root, {"lr": 0.1, **config})


def run(root: Path, trackers: Sequence[Tracker], warn: list[str], steps: int = 30, **options: float) -> Path:
    about = info(root)
    mirrors = Mirrors(trackers, about, warn.append, timeout=options.get("timeout", 60.0), interval=0.01)
    with Journal(about.folder / "journal.jsonl", [mirrors.feed]) as journal:
        journal.write("start")
        for step in range(1, steps + 1):
            journal.write("step", step, loss=1 / step)
            time.sleep(options.get("pause", 0.0))
        journal.write("end", steps)
        mirrors.close(True, options.get("wait", 10.0))
        mirrors.close(True)
    return about.folder


def shape(folder: Path) -> list[tuple[object, ...]]:
    lines = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]
    return [(r["seq"], r["kind"], r["step"], json.dumps(r["values"])) for r in lines]


def test_a_mirror_gets_every_event_once_in_order_from_one_other_thread(tmp_path: Path) -> None:
    memory, warned = Memory(), list[str]()
    folder = run(tmp_path, [memory], warned, steps=300, pause=0.0005)
    assert [e.seq for e in memory.store] == list(range(302))
    assert memory.store[5].values == {"loss": 0.2}
    assert memory.closed == [True]
    assert memory.threads == {"mirror-memory"}
    assert 1 < len(memory.batches) < 200
    assert position(folder, "memory") == 302
    assert warned == []


@pytest.mark.parametrize("how", ["raises", "hangs"])
@pytest.mark.parametrize("call", ["open", "write", "close"])
def test_a_bad_tracker_costs_one_warning_and_nothing_else(tmp_path: Path, call: str, how: str) -> None:
    (tmp_path / "good").mkdir()
    (tmp_path / "bad").mkdir()
    expected = shape(run(tmp_path / "good", [], []))
    bad, memory, warned = Bad(call, how), Memory(), list[str]()
    began = time.monotonic()
    folder = run(tmp_path / "bad", [bad, memory], warned, timeout=0.2, wait=3.0, pause=0.005)
    assert time.monotonic() - began < 4
    assert shape(folder) == expected
    assert len(memory.store) == 32
    assert memory.closed == [True]
    assert len(warned) == 1
    assert "Tracker 'bad'" in warned[0]
    assert ("failed (RuntimeError)" if how == "raises" else f"did not come back from {call} within 0.2 s") in warned[0]
    assert warned[0].endswith("bench sync toy_a1")
    assert "CANARY" not in warned[0]


def test_all_the_slow_ones_together_get_the_time_of_one(tmp_path: Path) -> None:
    class Slow(Bad):
        def __init__(self, name: str) -> None:
            super().__init__("close", "hangs")
            self.name = name  # type: ignore[misc]

    warned: list[str] = []
    began = time.monotonic()
    run(tmp_path, [Slow("one"), Slow("two"), Slow("three")], warned, wait=0.6)
    assert 0.5 < time.monotonic() - began < 1.5
    assert [w.split("'")[1] for w in warned] == ["one", "two", "three"]
    assert all("still busy after 0.6 s" in w for w in warned)


def test_one_that_is_not_installed_is_told_with_the_command(tmp_path: Path) -> None:
    warned: list[str] = []
    run(tmp_path, [Absent()], warned)
    assert len(warned) == 1
    assert "pip install 'bench-suite[track]'" in warned[0]


def test_warnings_come_on_the_thread_that_feeds(tmp_path: Path) -> None:
    threads: set[str] = set()
    about = info(tmp_path)
    mirrors = Mirrors([Bad("open", "raises")], about, lambda _: threads.add(threading.current_thread().name), interval=0.01)
    mirrors.close(False)
    assert threads == {threading.current_thread().name}


def test_a_warning_may_be_written_to_the_journal_it_is_about(tmp_path: Path) -> None:
    about = info(tmp_path)
    journal = Journal(about.folder / "journal.jsonl")
    memory = Memory()
    mirrors = Mirrors(
        [Bad("open", "raises"), memory], about, lambda text: journal.write("warning", message=text) and None, interval=0.01
    )
    journal.observe(mirrors.feed)
    for step in range(5):
        journal.write("step", step)
        time.sleep(0.02)
    mirrors.close(True)
    kinds = [e.kind for e in journal.events()]
    assert sorted(kinds) == ["step"] * 5 + ["warning"]
    assert [e.kind for e in memory.store] == kinds


HANGS = """
import sys, time
from pathlib import Path
from bench.api.tracker import RunInfo, Tracker
from bench.tracking import Journal, Mirrors

class Hangs(Tracker):
    name, version, summary = "hangs", "1", ""
    def open(self, run): time.sleep(60); return 0
    def write(self, events): pass
    def close(self, finished): pass

root = Path(sys.argv[1])
info = RunInfo("toy", "toy", root / "toy", root, {})
mirrors = Mirrors([Hangs()], info, print, timeout=60)
with Journal(info.folder / "journal.jsonl", [mirrors.feed]) as journal:
    journal.write("start")
mirrors.close(True, 0.2)
"""


def test_a_hanging_thread_does_not_keep_the_process_alive(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", HANGS, str(tmp_path)], env=env, timeout=15, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("still busy") == 1


def test_sync_brings_a_mirror_up_to_date_once(tmp_path: Path) -> None:
    store: list[RunEvent] = []
    folder = run(tmp_path, [], [])
    parts = Parts(Memory(store), Absent())
    warned: list[str] = []
    assert sync(folder, parts, warned.append, ["memory", "absent"]) == {"memory": 32}
    assert sync(folder, parts, warned.append, ["memory"]) == {"memory": 0}
    assert [e.seq for e in store] == list(range(32))
    assert len(warned) == 1
    assert not behind(folder, ["memory", "none"])
    assert behind(folder, ["memory", "absent"])
    with Journal(folder / "journal.jsonl") as journal:
        journal.write("step", 31)
    assert behind(folder, ["memory"])
    assert sync(folder, parts, warned.append, ["memory"]) == {"memory": 1}
    assert len(store) == 33


def test_sync_goes_on_where_a_mirror_was_switched_off(tmp_path: Path) -> None:
    class Drops(Memory):
        def write(self, events: Sequence[RunEvent]) -> None:
            if len(self.store) > 20:
                raise OSError("down")
            super().write(events[:7])
            if len(events) > 7:
                raise OSError("down in the middle")

    drops, warned = Drops(), list[str]()
    folder = run(tmp_path, [drops], warned)
    assert 0 < len(drops.store) < 32
    memory = Memory(drops.store)
    sync(folder, Parts(memory), warned.append, ["memory"])
    assert [e.seq for e in memory.store] == list(range(32))


def test_sync_takes_the_trackers_of_the_run_and_knows_whether_it_finished(tmp_path: Path) -> None:
    about = info(tmp_path, tracker=["memory"])
    Mirrors([], about, pytest.fail).close(True)
    Journal(about.folder / "journal.jsonl").write("start")
    memory = Memory()
    assert sync(about.folder, Parts(memory), pytest.fail) == {"memory": 1}
    (about.folder / "result.json").write_text("{}")
    sync(about.folder, Parts(memory), pytest.fail)
    assert memory.closed == [False, True]
    with pytest.raises(UsageError):
        sync(about.folder, Parts(), pytest.fail)


def test_sync_refuses_a_living_run_and_a_folder_that_is_none(tmp_path: Path) -> None:
    folder = run(tmp_path, [], [])
    with RunLock(folder), pytest.raises(RunStateError, match="in use"):
        sync(folder, Parts(Memory()), pytest.fail, ["memory"])
    with pytest.raises(RunStateError):
        sync(tmp_path / "none", Parts(), pytest.fail)
    assert not (tmp_path / "none").exists()


def test_a_sync_that_hangs_ends(tmp_path: Path) -> None:
    folder = run(tmp_path, [], [])
    warned: list[str] = []
    assert sync(folder, Parts(Bad("write", "hangs")), warned.append, ["bad"], timeout=0.3) == {}
    assert len(warned) == 1


def test_a_resumed_run_reaches_a_mirror_without_doubles(tmp_path: Path) -> None:
    memory = Memory()
    about = info(tmp_path)
    stored = 0
    for first, last in ((1, 25), (21, 24), (21, 30)):
        mirrors = Mirrors([memory], about, pytest.fail, interval=0.01)
        with Journal(about.folder / "journal.jsonl", [mirrors.feed]) as journal:
            if first > 1:
                journal.resume(stored, 20)
            for step in range(first, last + 1):
                journal.write("step", step, loss=1 / step)
                if step == 20:
                    stored = journal.position
                    journal.write("checkpoint", step)
            mirrors.close(False)
    steps = [e.step for e in memory.store if e.kind == "step"]
    assert steps == list(range(1, 31))
    assert len({e.seq for e in memory.store}) == len(memory.store)


def test_a_damaged_position_file_counts_as_none(tmp_path: Path) -> None:
    (tmp_path / "mirrors").mkdir()
    for text in ("", "[]", '{"next": "x"}', '{"next": -4}', "{"):
        (tmp_path / "mirrors" / "wandb.json").write_text(text)
        assert position(tmp_path, "wandb") == 0
    (tmp_path / "mirrors" / "wandb.json").write_text('{"next": 7}')
    assert position(tmp_path, "wandb") == 7
