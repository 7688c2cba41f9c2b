"""MLflow folds the runs of a study below one that stands for it, however many begin at once; wandb groups them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Event
from types import SimpleNamespace
from typing import Any, Literal

import pytest

pytest.importorskip("mlflow")
pytest.importorskip("wandb")

from bench_plugins.trackers import MlflowTracker, WandbTracker
from bench_plugins.trackers.mlflow import PARENT_TAG, RUN_TAG, STANDS_FOR_TAG
from bench_plugins.trackers.wandb_files import records
from mlflow import MlflowClient
from wandb.proto import wandb_internal_pb2

from bench.api.study import StudyRun
from bench.api.tracker import RunInfo, StudyInfo, Tracker
from bench.config import RunConfig
from bench.studies import mark as mark_module
from bench.studies.mark import StudyMark
from bench.studies.study import Study


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


@pytest.mark.parametrize(
    ("state", "status"), [("running", "RUNNING"), ("finished", "FINISHED"), ("failed", "FAILED"), ("stopped", "KILLED")]
)
def test_the_run_that_stands_for_a_study_has_its_state_and_its_verdict(
    root: Path, state: Literal["running", "finished", "failed", "stopped"], status: str
) -> None:
    facts = {"runs": "8 of 8 finished", "verdict.chem prot": "genuine transfer"}
    MlflowTracker().mark_study(StudyInfo("one", root, "running"))
    MlflowTracker().open(info(root, "a", "one"))
    MlflowTracker().mark_study(StudyInfo("one", root, state, facts))
    found = runs(root)
    assert {*found} == {"one", "one/a"}
    assert found["one"].info.status == status
    said = {"bench.state": state, "bench.runs": "8 of 8 finished", "bench.verdict.chem prot": "genuine transfer"}
    assert said.items() <= found["one"].data.tags.items()


def artifacts(root: Path, name: str) -> list[str]:
    known = client(root)
    return [file.path for file in known.list_artifacts(runs(root)[name].info.run_id)]


def test_the_report_of_a_study_is_kept_where_the_study_is_known(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    page = root / "index.html"
    page.write_text("<p>a verdict")
    for tracker in (MlflowTracker(), WandbTracker()):
        tracker.mark_study(StudyInfo("a 'study' [1]", root, "finished", {"verdict.x": "no effect"}))
        tracker.add_report("a 'study' [1]", root, page)
        tracker.add_report("another", root, page)
    assert artifacts(root, "a 'study' [1]") == ["index.html"]
    assert {*runs(root)} == {"a 'study' [1]"}
    (kept,) = (root / "wandb").glob("*run-*-study-*/files/*")  # and nothing of the machine or of what is installed
    assert (kept.name, kept.read_text()) == ("report.html", "<p>a verdict")
    said = {}
    for path in (root / "wandb").glob("*run-*-study-*/*.wandb"):
        for content in records(path.read_bytes()):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(content)
            if record.WhichOneof("record_type") == "run":
                assert (record.run.run_group, record.run.job_type) == ("a 'study' [1]", "study")
            for item in [*record.run.config.update, *record.config.update]:
                said[item.key] = item.value_json
    assert {"state": '"finished"', "verdict.x": '"no effect"'}.items() <= said.items()


def test_a_study_that_came_from_elsewhere_makes_no_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    page = tmp_path / "index.html"
    page.write_text("<p>")
    for tracker in (MlflowTracker(), WandbTracker()):
        tracker.add_report("one", tmp_path, page)
    assert [*tmp_path.iterdir()] == [page]


class Silent:
    """An audience that keeps what it is warned of, and in which nothing happens."""

    def __init__(self) -> None:
        self.warned: list[str] = []

    def warn(self, message: str) -> None:
        self.warned.append(message)


def test_a_tracker_that_fails_is_named_and_the_others_are_told(root: Path) -> None:
    class Failing(Tracker):
        name = "failing"
        version = "1"
        summary = "fails"
        citation = licence = "none"
        open = write = close = None  # type: ignore[assignment]

        def mark_study(self, study: StudyInfo) -> None:
            raise ValueError("zqx")

    class Parts:
        def get(self, kind: str, name: str) -> Tracker:
            return Failing() if name == "failing" else MlflowTracker()

    config = RunConfig(task=("toy",), tracker=("failing", "mlflow"))
    study = Study(root, "token-control", "one", {}, [StudyRun("a", "role", "toy", 0, "A1", config)])
    audience = Silent()
    mark = StudyMark(study, Parts(), audience.warn)  # type: ignore[arg-type]
    mark.begin()
    mark.end("stopped", {})
    assert runs(root)["one"].info.status == "KILLED"
    assert runs(root)["one"].data.tags["bench.runs"] == "0 of 1 finished"
    assert audience.warned == [
        f"Tracker 'failing' failed (ValueError) and was not told that study one is {state}." for state in ("running", "stopped")
    ]


def test_a_tracker_that_does_not_come_back_is_not_waited_for(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    over = Event()

    class Parts:
        def get(self, kind: str, name: str) -> object:
            return SimpleNamespace(missing=tuple, mark_study=lambda info: over.wait(60))

    monkeypatch.setattr(mark_module, "WAIT", 0.1)
    study = Study(root, "token-control", "one", {}, [StudyRun("a", "role", "toy", 0, "A1", RunConfig(tracker=("slow",)))])
    audience = Silent()
    mark = StudyMark(study, Parts(), audience.warn)  # type: ignore[arg-type]
    mark.end("finished", {})
    over.set()
    assert audience.warned == ["Tracker 'slow' is still busy after 0.1 s and was not told that study one is finished."]


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
