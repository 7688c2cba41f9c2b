"""What really stands in MLflow's database and wandb's files after runs that were killed, resumed and synced twice."""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

pytest.importorskip("mlflow")
pytest.importorskip("wandb")

from bench_plugins.trackers import MlflowTracker, WandbTracker
from bench_plugins.trackers.wandb_files import history

from bench.api.data import Document
from bench.api.part import Part
from bench.api.tracker import RunEvent, RunInfo, Tracker
from bench.errors import BenchError
from bench.tracking import Journal, Mirrors, sync

CONFIG = {
    "lr": 0.002,
    "task": ["2015-T14"],
    "data": {"2015-T14": "/home/CANARY-FOLDER/notes"},
    "out": "/home/CANARY-FOLDER/runs",
    "tracker": ["wandb", "mlflow"],
}
ID = "2015-t14_a1_none_0123456789ab"


@pytest.fixture(autouse=True)
def logged_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in os.environ if n.startswith(("WANDB_", "MLFLOW_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database without runs; making one takes seconds."""
    root = tmp_path_factory.mktemp("mlflow")
    from mlflow import MlflowClient

    MlflowClient(tracking_uri=f"sqlite:///{root / 'mlflow.db'}").search_experiments()
    return root / "mlflow.db"


@pytest.fixture
def root(tmp_path: Path, empty_database: Path) -> Path:
    (tmp_path / "runs").mkdir()
    shutil.copy(empty_database, tmp_path / "runs" / "mlflow.db")
    return tmp_path / "runs"


class Parts:
    def get(self, kind: str, name: str) -> Part:
        return {"wandb": WandbTracker, "mlflow": MlflowTracker}[name]()


def info(root: Path) -> RunInfo:
    folder = root / ID
    folder.mkdir(exist_ok=True, parents=True)
    return RunInfo(ID, "my run", folder, root, CONFIG)


def write(journal: Journal, steps: range) -> None:
    for step in steps:
        journal.write("step", step, loss=1 / step, tokens={"2015-T14": 100 * step}, note="CANARY-STRING")
        if step % 5 == 0:
            journal.write("eval", step, f1=step / 100)


BOTH = (WandbTracker, MlflowTracker)


def session(
    root: Path, first: int, last: int, resume: tuple[int, int] | None = None, kinds: Sequence[type[Tracker]] = BOTH
) -> int:
    """One life of a run, mirrored as it happens; returns the journal's position after `last`."""
    warned: list[str] = []
    about = info(root)
    mirrors = Mirrors([kind() for kind in kinds], about, warned.append, interval=0.1)
    with Journal(about.folder / "journal.jsonl", [mirrors.feed]) as journal:
        if resume:
            journal.resume(*resume)
        write(journal, range(first, last + 1))
        position = journal.position
        mirrors.close(False, 60)
    assert warned == []
    return position


def mlflow_rows(root: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(root / "mlflow.db")) as database:
        return database.execute(query).fetchall()


def mlflow_steps(root: Path, key: str) -> Counter[int]:
    return Counter(step for (step,) in mlflow_rows(root, f"select step from metrics where key = '{key}'"))  # type: ignore[misc]


def wandb_steps(root: Path, key: str) -> Counter[int]:
    return Counter(row["step"] for row in history(root / "wandb", ID) if key in row)


def test_what_the_numbers_rest_on_stands_beside_them(root: Path) -> None:
    about = info(root)
    with Journal(about.folder / "journal.jsonl") as journal:
        journal.write("start", id=ID, config={"data": {"2015-T14": "5a" * 32}, "waive": ["smoke"]})
        journal.write("plan", synthetic=["2015-T14"])
        write(journal, range(1, 3))
        journal.write("scores", stage="dictionary", split="test", scores={"2015-T14": {"task1.strict.f1": 0.5}})
        (about.folder / "result.json").write_text('{"config": {"out": "/home/CANARY-FOLDER", "lr": 0.002}}', encoding="utf-8")
        journal.write("result", headline={"value": 0.75})
        journal.write("end", status="finished")
    mirrors = Mirrors([kind() for kind in BOTH], about, pytest.fail, interval=0.1)
    mirrors.close(True, 60)
    said = {"data.2015-T14": "5a" * 32, "waived": "smoke", "synthetic": "2015-T14", "state": "finished"}
    tags = dict(mlflow_rows(root, "select key, value from tags"))  # type: ignore[arg-type]
    assert {key: tags.get(f"bench.{key}") for key in said} == said
    assert mlflow_rows(root, "select value from metrics where key like 'test/dictionary/%f1'") == [(0.5,)]
    (artifact,) = root.glob("mlartifacts/*/artifacts/result.json")
    (beside,) = root.glob("wandb/offline-run-*/files/result.json")
    for kept in (artifact, beside):
        assert json.loads(kept.read_text(encoding="utf-8")) == {"config": {"lr": 0.002}}
    (file,) = root.glob("wandb/offline-run-*/*.wandb")
    content = file.read_bytes()
    assert all(word.encode() in content for word in ("synthetic", "5a" * 32, "test/dictionary/2015-T14/task1/strict/f1"))
    assert b"CANARY" not in content


def test_killed_resumed_and_synced_twice_without_doubles(root: Path) -> None:
    first = session(root, 1, 10)
    session(root, 11, 17)
    session(root, 11, 20, resume=(first, 10))
    with Journal(root / ID / "journal.jsonl") as journal:  # the mirrors were off
        write(journal, range(21, 31))
        journal.write("result", None, headline={"value": 0.75})
    once = Counter(range(1, 31))
    assert sync(root / ID, Parts(), pytest.fail) == {"wandb": 13, "mlflow": 13}
    sessions = len(list((root / "wandb").glob("offline-run-*")))
    assert sync(root / ID, Parts(), pytest.fail) == {"wandb": 0, "mlflow": 0}
    assert len(list((root / "wandb").glob("offline-run-*"))) == sessions == 4
    for steps in (mlflow_steps, wandb_steps):
        assert steps(root, "train/loss") == once
        assert steps(root, "train/tokens/2015-T14") == once
        assert steps(root, "eval/f1") == Counter([5, 10, 15, 20, 25, 30])
    rows = {row["step"]: row for row in history(root / "wandb", ID) if "train/loss" in row}
    assert all(row["train/loss"] == pytest.approx(1 / step) for step, row in rows.items())
    assert mlflow_rows(root, "select value from metrics where key = 'train/loss' and step = 4") == [(0.25,)]
    assert mlflow_rows(root, "select value from metrics where key = 'result/headline/value'") == [(0.75,)]
    assert [row["result/headline/value"] for row in history(root / "wandb", ID) if "result/headline/value" in row] == [0.75]
    assert mlflow_rows(root, "select name, status from runs") == [("my run", "KILLED")]
    assert mlflow_rows(root, "select value from tags where key = 'bench.run_id'") == [(ID,)]
    assert dict(mlflow_rows(root, "select key, value from params")) == {  # type: ignore[arg-type]
        "lr": "0.002",
        "task": "2015-T14",
        "tracker": "wandb, mlflow",
    }

    private = [b"CANARY-STRING", b"CANARY-FOLDER", platform.node().encode(), str(Path.home()).encode() + b"/"]
    for path in root.rglob("*"):
        if path.is_file() and ID not in path.relative_to(root).parts[:1]:
            content = path.read_bytes()
            assert not [word for word in private if len(word) > 3 and word in content], path


def test_a_sync_without_news_hands_nothing_over(root: Path) -> None:
    about = info(root)
    with Journal(about.folder / "journal.jsonl") as journal:
        journal.write("start", id=ID)
        write(journal, range(1, 4))
        position, step = journal.position, 3
        write(journal, range(4, 6))
        journal.resume(position, step)
        write(journal, range(4, 6))
        journal.write("result", None, headline={"value": 0.75})
        journal.write("end", status="finished")  # holds no number: wandb's files never tell of it
    mirrors = Mirrors([kind() for kind in BOTH], about, pytest.fail, interval=0.1)
    mirrors.close(True, 60)
    time.sleep(1)
    assert sync(root / ID, Parts(), pytest.fail) == {"wandb": 0, "mlflow": 0}
    (root / ID / "mirrors" / "wandb.json").unlink()
    assert sync(root / ID, Parts(), pytest.fail, ["wandb"]) == {"wandb": 1}
    assert sync(root / ID, Parts(), pytest.fail, ["wandb"]) == {"wandb": 0}
    for path in (root / "wandb").glob("offline-run-*/run-*.wandb"):
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])  # the service was killed with numbers in hand
    assert sync(root / ID, Parts(), pytest.fail, ["wandb"])["wandb"] > 1


def test_mlflow_takes_the_same_events_twice_without_doubles(root: Path) -> None:
    events = [RunEvent(i, 1e9 + i, "step", i, {f"m{k}": float(i) for k in range(20)}) for i in range(150)]
    tracker = MlflowTracker()
    assert tracker.open(info(root)) == 0
    tracker.write(events)
    tracker.write(events)
    tracker.close(True)
    assert mlflow_rows(root, "select count(*) from metrics") == [(3000,)]
    again = MlflowTracker()
    assert again.open(info(root)) == 150
    assert mlflow_rows(root, "select count(*) from runs") == [(1,)]


def test_mlflow_makes_its_database_where_the_user_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mine.db'}")
    MlflowTracker().open(info(tmp_path / "runs"))
    assert (tmp_path / "mine.db").exists()
    assert not (tmp_path / "runs" / "mlflow.db").exists()


def test_wandb_synced_and_cleaned_away_is_not_sent_again(root: Path) -> None:
    session(root, 1, 3, kinds=[WandbTracker])
    shutil.rmtree(root / "wandb")
    assert sync(root / ID, Parts(), pytest.fail, ["wandb"]) == {"wandb": 0}
    assert not (root / "wandb").exists()


@pytest.mark.parametrize("late", [0.5, None])
def test_a_close_waits_until_all_is_in_wandb_s_file(root: Path, monkeypatch: pytest.MonkeyPatch, late: float | None) -> None:
    """wandb's service writes on after `finish`: here the file gets its content late, or never."""
    import wandb
    from bench_plugins.trackers import wandb as module

    finish = wandb.Run.finish

    def finish_early(self: wandb.Run, exit_code: int | None = None) -> None:
        finish(self, exit_code=exit_code)
        while wandb_steps(root, "train/loss") != Counter(range(1, 6)):
            time.sleep(0.05)
        file = next((root / "wandb").glob("offline-run-*/*.wandb"))
        content = file.read_bytes()
        file.write_bytes(content[:7])
        if late is not None:
            threading.Timer(late, file.write_bytes, [content]).start()

    monkeypatch.setattr(wandb.Run, "finish", finish_early)
    monkeypatch.setattr(module, "_FLUSH_SECONDS", 5.0 if late else 0.2)
    tracker = WandbTracker()
    tracker.open(info(root))
    tracker.write([RunEvent(i, 1e9 + i, "step", i, {"loss": 1 / i}) for i in range(1, 6)])
    if late is None:
        with pytest.raises(BenchError, match="lacks numbers"):
            tracker.close(True)
    else:
        tracker.close(True)
        assert wandb_steps(root, "train/loss") == Counter(range(1, 6))


LIFE = """
import os, sys, time
from pathlib import Path
from bench.api.tracker import RunInfo
from bench.tracking import Journal, Mirrors
from bench_plugins.trackers import MlflowTracker, WandbTracker

root, last, how = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
info = RunInfo(sys.argv[4], "my run", root / sys.argv[4], root, {})
trackers = [WandbTracker(), MlflowTracker()] if how == "killed" else [WandbTracker()]
mirrors = Mirrors(trackers, info, lambda text: print("WARNED", text, flush=True), interval=0.05)
journal = Journal(info.folder / "journal.jsonl", [mirrors.feed])
for step in range(1, last + 1):
    journal.write("step", step, loss=1 / step)
while not all((info.folder / "mirrors" / f"{t.name}.json").exists() for t in trackers):
    time.sleep(0.05)
if how == "killed":
    for step in range(last + 1, 2 * last + 1):
        journal.write("step", step, loss=1 / step)
        time.sleep(0.002)
    os.kill(os.getpid(), 9)
import psutil, signal
core = [c for c in psutil.Process().children() if c.name().startswith("wandb-core")]
assert core, "no wandb-core below this process"
core[0].send_signal(getattr(signal, how.partition("+")[0]))
if how.endswith("+SIGINT"):  # the user's ^C while the process ends
    listed = psutil.Process.children
    psutil.Process.children = lambda process: [os.kill(os.getpid(), signal.SIGINT), *listed(process)][1:]
journal.write("step", last + 1, loss=1 / step)
mirrors.close(True, 1.0)
print("CLOSED", flush=True)
"""


def life(root: Path, last: int, how: str, timeout: float) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        [sys.executable, "-c", LIFE, str(root), str(last), how, ID], env=env, timeout=timeout, capture_output=True, text=True
    )


def test_after_a_sigkill_sync_fills_both_stores_up(root: Path) -> None:
    assert life(root, 50, "killed", 120).returncode == -signal.SIGKILL
    time.sleep(1)
    assert set(sync(root / ID, Parts(), pytest.fail, ["wandb", "mlflow"])) == {"wandb", "mlflow"}
    assert mlflow_steps(root, "train/loss") == Counter(range(1, 101))
    assert wandb_steps(root, "train/loss") == Counter(range(1, 101))


@pytest.mark.parametrize(
    ("end", "said"),
    [("SIGSTOP", "still busy after 1 s"), ("SIGKILL", "failed ("), ("SIGSTOP+SIGINT", "busy"), ("SIGKILL+SIGINT", "failed (")],
)
def test_a_wandb_service_that_is_gone_keeps_no_process_alive_and_says_nothing_itself(end: str, said: str, root: Path) -> None:
    done = life(root, 20, end, 60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("WARNED") == 1
    assert said in done.stdout
    assert done.stdout.endswith("CLOSED\n")
    assert set(sync(root / ID, Parts(), pytest.fail, ["wandb"])) == {"wandb"}
    assert wandb_steps(root, "train/loss") == Counter(range(1, 22))


def test_a_document_never_gets_as_far_as_a_tracker(root: Path) -> None:
    with Journal(root / "journal.jsonl") as journal, pytest.raises(TypeError):
        journal.write("eval", 1, worst=Document("d", "CANARY-STRING"))
