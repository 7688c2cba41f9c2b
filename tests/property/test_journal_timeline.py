"""Whatever kills a run, and however often: the timeline and a mirror hold what a run never killed would have written."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bench.tracking import Journal, read_journal, timeline
from bench.tracking.journal import Replay

STEPS, EVERY = 24, 4

lives = st.lists(
    st.tuples(
        st.integers(1, STEPS),  # steps it gets done before the kill
        st.integers(0, 2),  # events of the next step that were written when it was killed
        st.integers(1, 3),  # which of the checkpoints it resumes from, newest first
        st.binary(max_size=40).filter(lambda tail: b"\n" not in tail),  # what the kill left of the last line
    ),
    max_size=5,
)


def events_of(step: int) -> list[tuple[str, dict[str, Any]]]:
    found: list[tuple[str, dict[str, Any]]] = [("step", {"loss": 1 / step})]
    if step % 3 == 0:
        found += [("eval", {"task": "a", "f1": step / 50}), ("eval", {"task": "b", "f1": step / 60})]
    return found


@settings(max_examples=80, deadline=None)
@given(lives)
def test_no_kill_shows_in_the_timeline_or_in_a_mirror(killed: list[tuple[int, int, int, bytes]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.jsonl"
        checkpoints: dict[int, int] = {0: 0}
        done = 0
        for life, (steps, more, back, tail) in enumerate([*killed, (STEPS, 0, 1, b"")]):
            with Journal(path) as journal:
                if life:
                    done = sorted(checkpoints)[-min(back, len(checkpoints))]
                    journal.resume(checkpoints[done], done)
                    checkpoints = {step: at for step, at in checkpoints.items() if step <= done}
                for step in range(done + 1, min(done + steps, STEPS) + 1):
                    for kind, values in events_of(step):
                        journal.write(kind, step, **values)
                    if step % EVERY == 0:
                        checkpoints[step] = journal.position
                        journal.write("checkpoint", step)
                    done = step
                if done < STEPS:
                    for kind, values in events_of(done + 1)[:more]:
                        journal.write(kind, done + 1, **values)
            with path.open("ab") as file:
                file.write(tail)

        expected = []
        for step in range(1, STEPS + 1):
            expected += [(kind, step, values) for kind, values in events_of(step)]
            expected += [("checkpoint", step, {})] if step % EVERY == 0 else []
        raw = list(read_journal(path))
        assert [e.seq for e in raw] == list(range(len(raw)))
        assert [(e.kind, e.step, e.values) for e in timeline(raw) if e.kind != "resume"] == expected
        replay = Replay()
        assert [(e.kind, e.step, e.values) for e in raw if replay.fresh(e) and e.kind != "resume"] == expected


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=60)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.text(max_size=8), values, max_size=4))
def test_what_is_written_is_strict_json_and_reads_back_as_the_event(given_values: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder, Journal(Path(folder) / "journal.jsonl") as journal:
        event = journal.write("step", 1, **given_values)
        assert next(read_journal(journal.path)) == event

        def refuse(word: str) -> None:
            raise AssertionError(word)

        lines = journal.path.read_bytes().splitlines()
        assert json.loads(lines[0], parse_constant=refuse)["values"] == event.values
        assert event.metrics().keys() >= {k for k, v in given_values.items() if isinstance(v, int) and not isinstance(v, bool)}
