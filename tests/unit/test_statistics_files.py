"""The statistics beside the predictions: written whole, read back, and refused where they are not what they claim."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bench.errors import RunStateError
from bench.results.layout import statistics_name
from bench.results.statistics import Statistics, read_statistics, write_statistics

ROWS = [{"tp": 3.0, "fp": 1.0}, {"tp": 0.5, "fn": 2.0}]


def saved(folder: Path) -> Path:
    return write_statistics(folder, Statistics.of("toy", "test", "trained", ["a", "b"], ROWS))


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    path = saved(tmp_path)
    assert path == tmp_path / "statistics" / statistics_name("toy", "test", "trained")
    found = read_statistics(tmp_path, "toy", "test", "trained")
    assert (found.documents, found.names) == (("a", "b"), ("tp", "fp", "fn"))
    assert np.array_equal(found.rows, [[3.0, 1.0, 0.0], [0.5, 0.0, 2.0]])
    assert found.sums() == {"tp": 3.5, "fp": 1.0, "fn": 2.0}
    assert json.loads(path.read_text())["rows"] == [[3, 1, 0], [0.5, 0, 2]]


def test_no_documents_are_statistics_too(tmp_path: Path) -> None:
    write_statistics(tmp_path, Statistics.of("toy", "test", "trained", [], []))
    assert read_statistics(tmp_path, "toy", "test", "trained").rows.shape == (0, 0)


def test_what_is_no_number_costs_the_run_nothing_and_is_refused_later(tmp_path: Path) -> None:
    write_statistics(tmp_path, Statistics.of("toy", "test", "trained", ["a"], [{"tp": float("nan")}]))
    with pytest.raises(RunStateError, match="not a finite number"):
        read_statistics(tmp_path, "toy", "test", "trained")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": 99}, "schema version 99; this bench reads 1"),
        ({"task": "other"}, "says it is of other, test, trained"),
        ({"documents": ["a"]}, "2 rows for 1 document"),
        ({"documents": ["a", "a"]}, "twice"),
        ({"names": ["tp", "tp", "fn"]}, "twice"),
        ({"rows": [[1, 2, 3], [4, 5]]}, "one number a document and name"),
        ({"rows": [[1, 2, "CANARY"], [4, 5, 6]]}, "one number a document and name"),
        ({"rows": None}, "one number a document and name"),
    ],
)
def test_a_file_that_is_not_what_it_claims_is_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    path = saved(tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(RunStateError, match=message) as caught:
        read_statistics(tmp_path, "toy", "test", "trained")
    assert "CANARY" not in str(caught.value)


def test_truncated_missing_and_foreign_files_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(RunStateError, match="has no statistics of toy, test, trained"):
        read_statistics(tmp_path, "toy", "test", "trained")
    path = saved(tmp_path)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(RunStateError, match="truncated"):
        read_statistics(tmp_path, "toy", "test", "trained")
    path.write_text("{}")
    with pytest.raises(RunStateError, match="no schema_version"):
        read_statistics(tmp_path, "toy", "test", "trained")
