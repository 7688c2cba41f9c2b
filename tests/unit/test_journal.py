from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from bench.api.data import Document
from bench.api.tracker import RunEvent
from bench.errors import RunStateError, StorageError
from bench.results.store import last_line
from bench.tracking import Journal, read_journal
from bench.tracking.journal import LONGEST, Chain, Replay, checked, read_chain


def raw(path: Path) -> list[dict[str, object]]:
    return [json.loads(line, parse_constant=pytest.fail) for line in path.read_text().splitlines()]


def test_events_are_lines_and_positions_go_on_when_reopened(tmp_path: Path) -> None:
    path = tmp_path / "run" / "journal.jsonl"
    with Journal(path) as journal:
        journal.write("start", tasks=["a"])
        event = journal.write("step", 1, loss=0.5)
        assert event == RunEvent(1, event.time, "step", 1, {"loss": 0.5})
    with Journal(path) as journal:
        assert journal.position == 2
        assert journal.write("end").seq == 2
    assert [(r["seq"], r["kind"], r["step"]) for r in raw(path)] == [(0, "start", None), (1, "step", 1), (2, "end", None)]
    assert next(iter(read_journal(path, 1))).values == {"loss": 0.5}


def test_an_event_is_in_the_file_before_write_returns(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    seen: list[int] = []
    journal = Journal(path, [lambda event: seen.append(len(path.read_bytes().splitlines()))])
    journal.write("step", 1)
    journal.write("step", 2)
    assert seen == [1, 2]


def test_a_killed_process_loses_no_event(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    code = f"""
import os, signal
from pathlib import Path
from bench.tracking import Journal
journal = Journal(Path({str(path)!r}))
for step in range(50):
    journal.write("step", step, loss=1.0)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    assert done.returncode == -signal.SIGKILL
    assert [e.step for e in read_journal(path)] == list(range(50))


@pytest.mark.parametrize("tail", [b"{", b'{"seq":2,"time":1,"kind":"step","step":2,"values":{}}', b"\x00" * 70_000])
def test_a_torn_last_line_is_cut_off(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path) as journal:
        journal.write("step", 0)
        journal.write("step", 1)
    whole = path.read_bytes()
    path.write_bytes(whole + tail)
    assert [e.step for e in read_journal(path)] == [0, 1]
    with Journal(path) as journal:
        assert path.read_bytes() == whole
        assert journal.write("step", 2).seq == 2
    assert [r["step"] for r in raw(path)] == [0, 1, 2]


def test_a_file_torn_before_its_first_line_ends_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'{"seq":0,')
    assert Journal(path).write("start").seq == 0


@pytest.mark.parametrize("line", ["nonsense", '{"seq":0}', '{"seq":7,"time":1,"kind":"step","step":2,"values":{}}', "[1]"])
def test_a_line_in_the_middle_that_is_no_event_is_an_error(tmp_path: Path, line: str) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(RunStateError, match=r"line 1 is not event 0"):
        Journal(path)


def test_numbers_that_json_does_not_have_become_strings(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    event = Journal(path).write(
        "step",
        1,
        a=float("nan"),
        b=float("inf"),
        c=-np.float64("inf"),
        d=np.float32(0.5),
        e=np.int64(3),
        f={"g": np.array(2.0)},
    )
    assert raw(path)[0]["values"] == {"a": "NaN", "b": "Infinity", "c": "-Infinity", "d": 0.5, "e": 3, "f": {"g": 2.0}}
    assert event.metrics() == {"d": 0.5, "e": 3.0, "f/g": 2.0}


def test_a_document_cannot_get_in_and_does_not_show_in_the_error(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    document = Document("d1", "CANARY-7F3A pneumonia")
    for value in (document, {"x": [document]}, b"CANARY-7F3A", np.array([1.0])):
        with pytest.raises(TypeError) as caught:
            journal.write("eval", 1, value=value)
        assert "CANARY" not in str(caught.value)
    with pytest.raises(TypeError, match="keys are strings"):
        journal.write("eval", 1, value={document: 1})
    assert journal.position == 0
    assert journal.path.read_bytes() == b""


def test_a_long_string_is_cut(tmp_path: Path) -> None:
    values = Journal(tmp_path / "journal.jsonl").write("warning", message="x" * 5000, path=Path("a/b")).values
    assert values == {"message": "x" * (LONGEST - 1) + "…", "path": "a/b"}


def test_events_an_observer_writes_come_after_the_one_it_saw_for_everybody(tmp_path: Path) -> None:
    seen: list[int] = []
    journal = Journal(tmp_path / "journal.jsonl")

    def warns(event: RunEvent) -> None:
        if event.kind == "step":
            journal.write("warning")

    journal.observe(warns)
    journal.observe(lambda event: seen.append(event.seq))
    journal.write("step", 1)
    journal.write("step", 2)
    assert seen == [0, 1, 2, 3]


def test_a_full_disk_is_told_and_leaves_the_journal_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    journal.write("step", 1)
    before = path.read_bytes()

    class Full:
        def __init__(self, file: object) -> None:
            self.file = file

        def write(self, line: bytes) -> int:
            return self.file.write(line[:7])  # type: ignore[attr-defined, no-any-return]

        def __getattr__(self, name: str) -> object:
            return getattr(self.file, name)

    real = journal._file
    monkeypatch.setattr(journal, "_file", Full(real))
    with pytest.raises(StorageError, match="No space left"):
        journal.write("step", 2)
    assert path.read_bytes() == before
    monkeypatch.setattr(journal, "_file", real)
    assert journal.write("step", 2).seq == 1


def run_of(journal: Journal, steps: range, checkpoints: dict[int, int] | None = None) -> dict[int, int]:
    """Writes steps; a checkpoint every ten, whose position is stored before its event is written, as the runner does it."""
    stored = {} if checkpoints is None else checkpoints
    for step in steps:
        journal.write("step", step, loss=1 / step)
        if step % 5 == 0:
            for task in ("a", "b"):
                journal.write("eval", step, **{task: step})
        if step % 10 == 0:
            stored[step] = journal.position
            journal.write("checkpoint", step)
    return stored


def shape(events: list[RunEvent]) -> list[tuple[str, int | None, object]]:
    return [(e.kind, e.step, e.values) for e in events if e.kind != "resume"]


def test_the_timeline_of_a_resumed_run_is_that_of_one_never_killed(tmp_path: Path) -> None:
    with Journal(tmp_path / "whole.jsonl") as journal:
        run_of(journal, range(1, 31))
        expected = shape(journal.events())
    path = tmp_path / "killed.jsonl"
    journal = Journal(path)
    stored = run_of(journal, range(1, 26))
    journal.write("eval", 26, a=1)
    event = Journal(path).resume(stored[20], 20)
    assert event.values == {"position": stored[20], "dropped": 8}
    journal = Journal(path)
    run_of(journal, range(21, 24), stored)
    again = Journal(path)
    assert again.resume(stored[10], 10).values["dropped"] == 19  # an older checkpoint, the newest being damaged
    run_of(again, range(11, 31), stored)
    assert shape(again.events()) == expected
    assert [e.seq for e in read_journal(path)] == list(range(again.position))


def test_starting_over_drops_everything(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    run_of(journal, range(1, 4))
    assert journal.resume(0, 0).values["dropped"] == 3
    journal.write("start")
    assert [e.kind for e in journal.events()] == ["resume", "start"]


def test_a_checkpoint_that_remembers_more_than_the_journal_holds_still_resumes(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    journal.write("step", 1)
    assert journal.resume(99, 1).values == {"position": 1, "dropped": 0}


def test_a_mirror_is_told_to_leave_out_what_was_repeated(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    stored = run_of(journal, range(1, 26))
    for _ in range(2):
        journal.resume(stored[20], 20)
        run_of(journal, range(21, 24))
    journal.resume(stored[20], 20)
    run_of(journal, range(21, 31))
    replay = Replay()
    mirrored = [e for e in read_journal(journal.path) if replay.fresh(e)]
    with Journal(tmp_path / "whole.jsonl") as whole:
        run_of(whole, range(1, 31))
        assert shape(mirrored) == shape(whole.events())


def test_a_changed_byte_is_never_read_as_what_happened(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path) as journal:
        journal.write("step", 1, loss={"x": 0.25}, lr=1e-3)
        journal.write("step", 2, loss={"x": 0.125}, lr=1e-3)
    content, events = path.read_bytes(), list(read_journal(path))
    first = content.index(b"\n") + 1
    for at in range(first):
        for mask in (1, 2, 0x20):
            damaged = bytearray(content)
            damaged[at] ^= mask
            path.write_bytes(bytes(damaged))
            with suppress(RunStateError):
                assert list(read_journal(path)) == events, at


def test_a_journal_of_lines_without_a_checksum_is_read(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text('{"seq":0,"time":1.5,"kind":"step","step":1,"values":{"loss":{"x":0.5}}}\n', encoding="utf-8")
    (event,) = read_journal(path)
    assert event.values == {"loss": {"x": 0.5}}
    with Journal(path) as journal:
        journal.write("end", status="finished")
    assert [event.kind for event in read_journal(path)] == ["step", "end"]


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def forged(line: bytes, **changes: object) -> bytes:
    """A line with other content, and a CRC that fits it."""
    record = {**json.loads(line), **changes}
    record.pop("crc32")
    return checked(json.dumps(record, separators=(",", ":")).encode())


@pytest.fixture
def chained(tmp_path: Path) -> Path:
    """Five steps, with a resume after three of them and what a kill left of a line."""
    path = tmp_path / "journal.jsonl"
    with Journal(path, identity="a run") as journal:
        for step in (1, 2, 3):
            journal.write("step", step, tokens=step * 10)
    path.write_bytes(path.read_bytes() + b'{"seq":3,"ti')
    with Journal(path, identity="a run") as journal:
        journal.resume(2, 2)
        journal.write("step", 3, tokens=30)
    return path


def test_every_line_holds_the_hash_of_the_one_before_also_after_a_kill(chained: Path) -> None:
    held = lines(chained)
    before = [b"a run", *held[:-1]]
    assert [record["previous"] for record in raw(chained)] == [sha256(line).hexdigest() for line in before]
    assert read_chain(chained, "a run") == Chain(5, 0, sha256(held[-1]).hexdigest(), None, torn=False)
    assert read_chain(chained, "another run").broken == 0
    with Journal(chained, identity="a run") as journal:
        assert journal.sha256 == sha256(held[-1]).hexdigest()
    assert last_line(chained) == held[-1]
    chained.write_bytes(chained.read_bytes() + b"{")
    assert read_chain(chained, "a run").torn
    assert last_line(chained) == held[-1]


def test_lines_taken_out_put_in_moved_or_changed_break_the_chain(chained: Path) -> None:
    held = lines(chained)

    def broken(*changed: bytes) -> int | None:
        chained.write_bytes(b"".join(forged(line, seq=seq) for seq, line in enumerate(changed)))
        return read_chain(chained, "a run").broken

    assert broken(*held) is None
    assert broken(held[0], *held[2:]) == 1
    assert broken(held[1], held[0], *held[2:]) == 0
    assert broken(*held[:2], held[1], *held[2:]) == 2
    assert broken(held[0], forged(held[1], values={"tokens": 1}), *held[2:]) == 2
    assert broken(*held[:3], forged(held[3], previous=None), held[4]) == 3


def test_a_journal_of_an_older_bench_is_read_and_chained_from_where_it_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    older = [{"seq": seq, "time": 1.0, "kind": "step", "step": seq, "values": {}} for seq in range(3)]
    path.write_bytes(b"".join(checked(json.dumps(record).encode()) for record in older))
    assert read_chain(path, "a run").unchained == 3
    with Journal(path, identity="a run") as journal:
        journal.write("step", 3)
    chain = read_chain(path, "a run")
    assert (chain.events, chain.unchained, chain.broken) == (4, 3, None)
    whole = lines(path)
    path.write_bytes(b"".join([whole[0], forged(whole[1], values={"tokens": 1}), *whole[2:]]))
    assert read_chain(path, "a run").broken is None  # within the older lines nothing tells
    path.write_bytes(b"".join([*whole[:2], forged(whole[2], values={"tokens": 1}), *whole[3:]]))
    assert read_chain(path, "a run").broken == 3


@pytest.mark.parametrize("size", [10, 5_000, 70_000])
def test_the_last_line_is_read_from_the_end_whatever_its_length(tmp_path: Path, size: int) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b"")
    assert last_line(path) == b""
    path.write_bytes(b"x" * size + b"\n")
    assert last_line(path) == b"x" * size + b"\n"
    path.write_bytes(b"a\n" * 4000 + b"x" * size + b"\n" + b"torn")
    assert last_line(path) == b"x" * size + b"\n"
