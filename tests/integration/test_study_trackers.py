"""MLflow folds the runs of a study below one that stands for it, however many begin at once; wandb groups them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

pytest.importorskip("mlflow")

from bench_plugins.trackers import MlflowTracker
from bench_plugins.trackers.mlflow import PARENT_TAG, RUN_TAG, STANDS_FOR_TAG
from mlflow import MlflowClient

from bench.api.tracker import RunInfo


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    client(tmp_path).search_experiments()  # makes the tables, which two threads at once could not
    return tmp_path


def client(root: Path) -> MlflowClient:
    return MlflowClient(tracking_uri=f"sqlite:///{root / 'mlflow.db'}")


def info(root: Path, ident: str, study: str | None) -> RunInfo:
    return RunInfo(ident, f"{study}/{ident}", root / ident, root, {"arch": "A1"} | ({"study": study} if study else {}))


def runs(root: Path) -> dict[str, Any]:
    known = client(root)
    experiment = known.get_experiment_by_name("bench")
    assert experiment is not None
    return {run.info.run_name: run for run in known.search_runs([experiment.experiment_id])}


def test_runs_of_a_study_have_one_parent_and_others_none(root: Path) -> None:
    for ident, study in (("a", "one"), ("b", "one"), ("c", "two"), ("d", None)):
        MlflowTracker().open(info(root, ident, study))
    found = runs(root)
    assert {*found} == {"one", "two", "one/a", "one/b", "two/c", "None/d"}
    assert found["one"].data.tags[STANDS_FOR_TAG] == "one"
    assert RUN_TAG not in found["one"].data.tags
    assert found["one"].info.status == "FINISHED"
    parents = {name: run.data.tags.get(PARENT_TAG) for name, run in found.items()}
    one, two = found["one"].info.run_id, found["two"].info.run_id
    assert parents == {"one": None, "two": None, "one/a": one, "one/b": one, "two/c": two, "None/d": None}


def test_a_run_that_is_opened_again_stays_where_it_is(root: Path) -> None:
    MlflowTracker().open(info(root, "a", "one"))
    MlflowTracker().open(info(root, "a", "two"))  # a run that two studies share belongs to the first
    assert {*runs(root)} == {"one", "one/a"}


def test_runs_that_begin_at_once_agree_on_one_parent(root: Path) -> None:
    MlflowTracker().open(info(root, "z", None))
    both = Barrier(2)

    def begin(ident: str) -> None:
        tracker = MlflowTracker()
        both.wait()
        tracker.open(info(root, ident, "one"))
        both.wait()
        tracker.close(finished=True)

    with ThreadPoolExecutor(2) as pool:
        [*pool.map(begin, ("a", "b"))]
    found = runs(root)
    assert found["one/a"].data.tags[PARENT_TAG] == found["one/b"].data.tags[PARENT_TAG] == found["one"].info.run_id
    assert len(found) == 4
