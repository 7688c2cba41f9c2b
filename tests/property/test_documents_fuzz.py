"""Bytes of any kind give the loaders of rankings, classes, labels and ratings a corpus or a `DataError`, and nothing else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from tempfile import mkdtemp

import pytest
from bench_tasks.biosses.task import Biosses
from bench_tasks.gad.task import GAD
from bench_tasks.hoc.task import HoC
from bench_tasks.pubmedqa.task import PubMedQA
from bench_tasks.semeval2017_t3.task import SubtaskA, SubtaskC
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.api.data import Corpus
from bench.api.task import Task
from bench.errors import DataError
from bench.kit.faults import KINDS, SHOWN

SIZES = {"train": 6, "dev": 3, "test": 3}
TASKS: tuple[Task, ...] = (GAD(), PubMedQA(), HoC(), Biosses(), SubtaskA(), SubtaskC())
quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module", params=TASKS, ids=lambda task: task.name)
def planted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Task, Path, Path, bytes]:
    folder = tmp_path_factory.mktemp("fuzz") / "c"
    request.param.synthesize(folder, 0, SIZES)
    (path,) = [p for p in folder.rglob("*train*") if p.is_file()]
    return request.param, folder, path, path.read_bytes()


def load(task: Task, folder: Path) -> None:
    refusal = ""
    try:
        assert isinstance(task.load(folder), Corpus)
    except DataError as error:
        refusal = str(error)
    first, *faults = refusal.split("\n")
    assert len(faults) <= SHOWN
    assert all(fault.strip().partition(":")[0] in KINDS for fault in faults)
    assert not faults or first.endswith("are")


@quick
@given(st.binary(max_size=200))
def test_any_bytes(planted: tuple[Task, Path, Path, bytes], content: bytes) -> None:
    task, folder, path, _ = planted
    path.write_bytes(content)
    load(task, folder)


@quick
@given(st.data())
def test_mutations_of_a_good_file(planted: tuple[Task, Path, Path, bytes], data: st.DataObject) -> None:
    task, folder, path, whole = planted
    at = data.draw(st.integers(0, len(whole)))
    length = data.draw(st.integers(0, 30))
    path.write_bytes(whole[:at] + data.draw(st.binary(max_size=12)) + whole[at + length :])
    load(task, folder)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@quick
@given(st.data())
def test_fields_of_any_kind(planted: tuple[Task, Path, Path, bytes], data: st.DataObject) -> None:
    task, folder, path, whole = planted
    if path.suffix != ".jsonl":
        pytest.skip("JSON Lines alone")
    lines = whole.decode().splitlines()
    record = json.loads(lines[0])
    name = data.draw(st.sampled_from(sorted(record)))
    record[name] = data.draw(json_values)
    path.write_text("\n".join([json.dumps(record), *lines[1:]]) + "\n")
    load(task, folder)


@quick
@given(gold=st.binary(max_size=80), pred=st.binary(max_size=80))
def test_files_to_score(gold: bytes, pred: bytes) -> None:
    folder = Path(mkdtemp())
    try:
        for task in TASKS:
            (folder / "gold").write_bytes(gold)
            (folder / "pred").write_bytes(pred)
            refusal = str(folder)
            try:
                assert isinstance(task.score_files(folder / "gold", folder / "pred"), dict)
            except DataError as error:
                refusal = str(error)
            assert str(folder) in refusal
    finally:
        shutil.rmtree(folder)
