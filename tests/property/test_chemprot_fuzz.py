"""Whatever bytes stand in a file, ChemProt gives a corpus or a `DataError`."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from bench_tasks.chemprot.corpus import FILES
from bench_tasks.chemprot.task import ChemProt
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.api.data import Corpus
from bench.errors import DataError

TASK = ChemProt()
TEXT = "abc blocks def1."
LINE: dict[str, Any] = {
    "document_id": "1",
    "passages": [{"text": [TEXT], "offsets": [[0, 16]]}],
    "entities": [
        {"id": "a", "type": "CHEMICAL", "text": ["abc"], "offsets": [[0, 3]]},
        {"id": "b", "type": "GENE-Y", "text": ["def1"], "offsets": [[11, 15]]},
    ],
    "relations": [{"id": "r", "type": "Agonist", "arg1_id": "a", "arg2_id": "b"}],
}
BYTES = json.dumps(LINE).encode()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "type", "text", "offsets"]), inner),
    max_leaves=6,
)


def outcome(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for split, number in (("train", b'"2"'), ("test", b'"3"')):
            (folder / FILES[split]).write_bytes(BYTES.replace(b'"1"', number, 1))
        (folder / FILES["dev"]).write_bytes(content)
        try:
            assert isinstance(TASK.load(folder), Corpus)
        except DataError as error:
            assert str(error)  # noqa: PT017
        try:
            TASK.score_files(folder / FILES["dev"], folder / FILES["train"])
        except DataError as error:
            assert str(error)  # noqa: PT017


def test_the_line_itself_is_fine() -> None:
    with tempfile.TemporaryDirectory() as name:
        for split, number in (("train", b'"2"'), ("dev", b'"1"'), ("test", b'"3"')):
            (Path(name) / FILES[split]).write_bytes(BYTES.replace(b'"1"', number, 1))
        assert TASK.load(Path(name))["dev"][0].relations[0].label == "CPR:5"


@given(st.binary(max_size=60))
@settings(max_examples=60, deadline=None)
def test_any_bytes(content: bytes) -> None:
    outcome(content)


@given(st.integers(0, len(BYTES) - 1), st.integers(0, 12), st.binary(max_size=4))
@settings(max_examples=200, deadline=None)
def test_any_damage(at: int, gone: int, new: bytes) -> None:
    outcome(BYTES[:at] + new + BYTES[at + gone :])


@given(st.data())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_value_in_any_place(data: st.DataObject) -> None:
    line = json.loads(BYTES)
    place: Any = line
    while True:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        inner = place[key]
        if not isinstance(inner, dict | list) or not inner or data.draw(st.booleans()):
            place[key] = data.draw(JSON)
            break
        place = inner
    outcome(json.dumps(line).encode())
