"""Task files and JSON Lines of any content: a task, a corpus, or an error that says what is wrong; never anything else."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from bench_tasks.custom.settings import FORMATS, KEYS, KINDS, read
from bench_tasks.custom.task import task_from_file
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.api.data import Document
from bench.errors import DataError, UsageError
from bench.kit import records
from bench.kit.jsonl import read as read_records

WHOLE = """
name = "mine"
kind = "mentions"
format = "jsonl"
folder = "corpus"
labels = ["A", "B"]
metric = "by_type.A.f1"
head = "bio"
[splits]
train = "a.jsonl"
"""
LINES = {
    "mentions": {"id": "d", "text": "one two three", "mentions": [{"fragments": [[0, 3], [8, 13]], "label": "A"}]},
    "relations": {
        "id": "d",
        "text": "one two",
        "mentions": [{"fragments": [[0, 3]], "label": "A"}, {"fragments": [[4, 7]], "label": "B"}],
        "relations": [{"source": 0, "target": 1, "label": "r"}],
    },
    "classification": {"id": "d", "text": "one", "label": 1},
    "ranking": {"id": "q", "query": "one", "passages": [{"id": "p", "text": "two", "relevant": True}]},
}
PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
ANY = st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3))


def outcome(content: bytes) -> Any:
    """What the file is, or None where it is refused in one line that names it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mine.toml"
        path.write_bytes(content)
        try:
            task: Any = task_from_file(path)
        except UsageError as error:
            task, told = None, str(error)
        if task is None:
            assert str(path) in told
            assert "\n" not in told
            return None
        assert read(path) == task.spec
        assert task.folder is not None
        assert task.heads
        return task


@given(st.binary(max_size=60))
@settings(max_examples=100)
def test_any_bytes(content: bytes) -> None:
    assert outcome(content) is None  # three keys have to be there, which no 60 bytes hold by chance


@given(st.integers(0, len(WHOLE)), st.integers(0, 6), st.binary(max_size=6))
@settings(max_examples=200)
def test_a_file_that_was_tampered_with(at: int, cut: int, put: bytes) -> None:
    assert outcome(WHOLE.encode()) is not None
    task = outcome(WHOLE.encode()[:at] + put + WHOLE.encode()[at + cut :])
    if task is not None:
        assert task.spec.kind in KINDS
        assert task.spec.format in FORMATS


WORDS = st.sampled_from([*KEYS, *KINDS, *FORMATS, "train", "dev", "test", "strict.f1", "map", "span", "bio", "a b", ""])
VALUES = (WORDS | st.text(max_size=5) | st.integers() | st.booleans() | st.floats(allow_nan=False)).map(json.dumps)
TABLE = st.dictionaries(
    WORDS.filter(lambda w: w.isalpha()), VALUES | st.lists(VALUES, max_size=2).map(lambda v: f"[{','.join(v)}]")
)


@given(st.dictionaries(st.sampled_from(KEYS), VALUES | st.lists(VALUES, max_size=3).map(lambda v: f"[{','.join(v)}]")), TABLE)
@settings(max_examples=300)
def test_known_keys_with_any_values(keys: dict[str, str], splits: dict[str, str]) -> None:
    text = "".join(f"{key} = {value}\n" for key, value in keys.items() if key != "splits")
    text += "[splits]\n" + "".join(f"{key} = {value}\n" for key, value in splits.items())
    task = outcome(text.encode("utf-8", "surrogatepass"))
    if task is not None:
        assert {"kind", "format", "folder"} <= keys.keys()
        assert task.spec.format in KINDS[task.spec.kind][0]


def documents(kind: str, line: str) -> tuple[Document, ...] | None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train.jsonl"
        try:
            return records.documents(read_records(path, line.encode("utf-8", "surrogatepass")), kind)
        except DataError as error:
            told = str(error)
        assert str(path) in told
        return None


@pytest.mark.parametrize("kind", KINDS)
def test_lines_with_anything_in_the_place_of_anything(kind: str) -> None:
    whole = LINES[kind]
    assert documents(kind, json.dumps(whole)) is not None
    paths = list(places(whole))

    @given(st.sampled_from(paths), ANY)
    @settings(max_examples=150)
    def run(path: tuple[Any, ...], value: Any) -> None:
        changed = json.loads(json.dumps(whole))
        node = changed
        for step in path[:-1]:
            node = node[step]
        node[path[-1]] = value
        found = documents(kind, json.dumps(changed))
        for document in found or ():
            for mention in document.mentions:
                assert all(0 <= a < b <= len(document.text) for a, b in mention.fragments)
            keys = {mention.key for mention in document.mentions}
            assert all({relation.source, relation.target} <= keys for relation in document.relations)
            assert all(document.text[a:b].strip() for a, b in (passage.span for passage in document.passages))

    run()


def places(node: Any, above: tuple[Any, ...] = ()) -> Any:
    steps = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for step, below in steps:
        yield (*above, step)
        yield from places(below, (*above, step))


@pytest.mark.parametrize("kind", KINDS)
@given(content=st.binary(max_size=40))
@settings(max_examples=50)
def test_lines_of_any_bytes(kind: str, content: bytes) -> None:
    assert not documents(kind, content.decode("latin-1"))
