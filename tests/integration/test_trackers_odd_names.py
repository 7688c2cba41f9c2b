"""Whatever a folder and a study are called, their runs are found again, and nothing is written anywhere else."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import time
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

pytest.importorskip("mlflow")
pytest.importorskip("wandb")

from bench_plugins.trackers import MlflowTracker, WandbTracker
from bench_plugins.trackers.mlflow import database_uri
from bench_plugins.trackers.wandb_files import history
from sqlalchemy import create_engine, text

from bench.api.tracker import RunEvent, RunInfo
from bench.errors import BenchError

NAMES = (
    "O'Neil",
    'say "hi"',
    "a'b\"c`d\\",
    "x' OR '1'='1",
    "50%27",
    "50'",
    "o7?a=b&c",
    "o4%20y",
    "#1;[*]",
    "ü 日本",
    "~",
    "-q",
    ":m",
)


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(tracking_uri=database_uri(path)).search_experiments()
    return path


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that this process works in, where stray files would turn up."""
    for name in [n for n in os.environ if n.startswith(("WANDB_", "MLFLOW_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def info(root: Path, ident: str, study: str) -> RunInfo:
    folder = root / ident
    folder.mkdir(parents=True, exist_ok=True)
    return RunInfo(ident, f"{study}/{ident}", folder, root, {"study": study})


def rows(root: Path, query: str) -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(root / "mlflow.db")) as database:
        return database.execute(query).fetchall()


@pytest.mark.parametrize("out", NAMES)
def test_mlflow_stays_in_the_folder_and_finds_its_runs_again(place: Path, empty_database: Path, out: str) -> None:
    root = Path(out)
    studies = ("O'Neil", out)
    for ident, study in zip("ab", studies, strict=True):
        about = info(root, ident, study)
        if not (root / "mlflow.db").exists():
            shutil.copy(empty_database, root / "mlflow.db")
        tracker = MlflowTracker()
        assert tracker.open(about) == 0
        tracker.write([RunEvent(0, 1e9, "step", 1, {"loss": 0.5})])
        tracker.close(True)
        again = MlflowTracker()
        assert again.open(about) == 1
        again.close(True)
    assert [entry.name for entry in place.iterdir()] == [out]
    assert {entry.name for entry in root.iterdir()} == {"a", "b", "mlflow.db"}
    assert sorted(rows(root, "select name from runs")) == sorted(
        {(study,) for study in studies} | {(f"{study}/{ident}",) for ident, study in zip("ab", studies, strict=True)}
    )
    assert {value for (value,) in rows(root, "select value from tags where key = 'bench.study'")} == {*studies}


@pytest.mark.parametrize("pair", [("50%27", "50'"), ("a+b", "a b"), ("x", "X"), ("n" * 3000, "m" * 3000)])
def test_studies_of_alike_names_are_not_taken_for_one_another(place: Path, empty_database: Path, pair: tuple[str, str]) -> None:
    for ident, study in zip("ab", pair, strict=True):
        about = info(Path("runs"), ident, study)
        if ident == "a":
            shutil.copy(empty_database, Path("runs/mlflow.db"))
        MlflowTracker().open(about)
    assert len(rows(Path("runs"), "select distinct value from tags where key = 'mlflow.parentRunId'")) == 2


def test_names_that_are_not_utf8_reach_a_tracker_or_are_refused_in_words(place: Path, empty_database: Path) -> None:
    root = Path(os.fsdecode(b"r\xff"))
    about = info(root, "a", os.fsdecode(b"s\xff"))
    shutil.copy(empty_database, root / "mlflow.db")
    tracker = MlflowTracker()
    assert tracker.open(about) == 0
    tracker.write([RunEvent(0, 1e9, "step", 1, {"loss": 0.5})])
    tracker.close(True)
    assert rows(root, "select value from tags where key = 'bench.study'") == [("s?",)]
    assert [entry.name for entry in place.iterdir()] == [root.name]
    with pytest.raises(BenchError, match="not UTF-8"):
        WandbTracker().open(about)


@pytest.mark.parametrize(("out", "ident"), [("O'Neil%20 ?#", "b"), ("~", "c"), ("[x]*", "d")])
def test_wandb_stays_in_the_folder(place: Path, out: str, ident: str) -> None:
    root = Path(out)
    about = info(root, ident, out)
    tracker = WandbTracker()
    assert tracker.open(about) == 0
    tracker.write([RunEvent(0, 1e9, "step", 1, {"loss": 0.5})])
    tracker.close(True)
    until = time.monotonic() + 20  # wandb's service may write its last records a moment after it said that it has
    while not (found := history(root / "wandb", ident)) and time.monotonic() < until:
        time.sleep(0.05)
    assert [row["train/loss"] for row in found] == [0.5]
    assert WandbTracker().open(about) == 1
    assert [entry.name for entry in place.iterdir()] == [out]


@settings(max_examples=150)
@example("file:x?mode=memory")
@example("%00")
@example(":memory:")
@given(st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=40))
def test_the_uri_of_a_database_names_that_file_and_no_other(name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / f"r{name}"
        root.mkdir()
        engine = create_engine(database_uri(root / "mlflow.db"))
        with engine.begin() as connection:
            connection.execute(text("create table t (x int)"))
        engine.dispose()
        assert [entry.name for entry in root.iterdir()] == ["mlflow.db"]
        assert [entry.name for entry in Path(folder).iterdir()] == [root.name]
        with closing(sqlite3.connect(root / "mlflow.db")) as database:
            assert database.execute("select name from sqlite_master").fetchall() == [("t",)]
