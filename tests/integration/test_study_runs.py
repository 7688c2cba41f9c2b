"""Studies with real runs: killed and gone on with, nothing repeated, what is left behind, and what MLflow is told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from bench.launchers import Job
from bench.launchers.child import Child, end
from bench.registry import load
from bench.results.store import read_result
from bench.studies.study import find_study
from bench.studies.words import words_of

torch = pytest.importorskip("torch")
pytest.importorskip("statsmodels")

TASKS = ("ncbi-disease", "bc5cdr")
PATIENCE = 500.0


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("corpora")
    for task in TASKS:
        load().get("tasks", task).synthesize(folder / task, 3, {"train": 8, "dev": 2, "test": 3})
    return {task: folder / task for task in TASKS}


def words(corpora: dict[str, Path], *tasks: str, tokens: int = 1200, every: int = 200) -> list[str]:
    given = [word for task in tasks for word in ("--task", task, "--data", f"{task}={corpora[task]}")]
    return [
        *given, "--model", "tiny-bert", "--head", "bio", "--tokens", str(tokens), "--waive", "smoke", "--tracker", "none",
        "--max-length", "64", "--batch-tokens", "256", "--micro-batch", "256", "--eval-every", "999",
        "--checkpoint-every", str(every),
    ]  # fmt: skip


def begin(cwd: Path, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "bench", "study", *more], cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finished(folder: Path) -> dict[str, float]:
    return {path.parent.name: path.stat().st_mtime for path in folder.glob("runs/*/result.json")}


def wait_for(what: Any, seconds: float = PATIENCE) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "it took too long"
        time.sleep(0.1)


def test_a_killed_study_goes_on_and_repeats_nothing(corpora: dict[str, Path], tmp_path: Path) -> None:
    command = ["token-control", *words(corpora, *TASKS), "--seeds", "1", "--name", "killed"]
    process = begin(tmp_path, *command)
    # The multi-task run is done and another has begun when everything is killed.
    wait_for(lambda: (finished(tmp_path) and len([*tmp_path.glob("runs/*/journal.jsonl")]) > 1) or process.poll() is not None)
    assert process.poll() is None, process.communicate()[0]
    process.send_signal(signal.SIGKILL)
    process.communicate()
    kept = finished(tmp_path)
    study = find_study("killed", tmp_path / "runs")
    assert study["multi-s0"].run in kept
    assert study.verdict is None

    done = begin(tmp_path, *command, "--json")
    out, _ = done.communicate(timeout=PATIENCE)
    assert done.returncode == 0, out
    study = find_study("killed", tmp_path / "runs")
    after = finished(tmp_path)
    assert len(after) == len(study.runs) == 5
    assert {run.run for run in study.runs} == set(after)
    assert {run: after[run] for run in kept} == kept  # not written again
    results = {run.key: read_result(tmp_path / "runs" / str(run.run)) for run in study.runs}
    tokens = {key: result.invariants.tokens["total"] for key, result in results.items()}
    for task in TASKS:
        share = results["multi-s0"].invariants.tokens["tasks"][task]["tokens"]
        longest = 64  # a budget is met to within one example
        assert abs(tokens[f"{task}-total-s0"] - tokens["multi-s0"]) <= longest
        assert abs(tokens[f"{task}-share-s0"] - share) <= longest
    assert {result.config["study"] for result in results.values()} == {"killed"}
    assert results["multi-s0"].config["name"] == "killed/multi-s0"
    assert study.verdict is not None
    assert {(one["task"], one["kind"]) for one in study.verdict["tasks"]} == {(task, "unresolved") for task in TASKS}
    # One seed carries no verdict, and the page says so.
    assert "1, and a verdict wants 6" in study.verdict["tasks"][0]["reason"]

    again = begin(tmp_path, *command)
    out, _ = again.communicate(timeout=PATIENCE)
    assert again.returncode == 0, out
    assert "begun" not in out
    assert finished(tmp_path) == after
    # No seed, no set, no name decides what a run is: another study finds it.
    logs = [path.name for path in (study.folder / "logs").iterdir()]
    assert len([name for name in logs if name.endswith(".plan.log")]) == 3  # one dry run a set of tasks


def test_asked_to_stop_it_saves_checkpoints_and_says_how_to_go_on(corpora: dict[str, Path], tmp_path: Path) -> None:
    grid = tmp_path / "grid.toml"
    grid.write_text("[grid]\nrank = [8]\n")
    command = ["sweep", str(grid), *words(corpora, "bc5cdr", tokens=200_000, every=2), "--seeds", "1", "--name", "stopped"]
    process = begin(tmp_path, *command)
    log = tmp_path / "runs" / "studies" / "stopped" / "logs" / "rank=8,s0.log"
    wait_for(lambda: [*tmp_path.glob("runs/*/checkpoints/*/manifest.json")] or process.poll() is not None)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, out
    assert "Study stopped stopped with 0 of 1 runs finished; those that ran saved a checkpoint." in out
    assert "Go on by typing the same command again." in out
    (run,) = [path.parent for path in tmp_path.glob("runs/*/journal.jsonl")]
    assert [*(run / "checkpoints").glob("*/manifest.json")]
    assert "Stopped on SIGTERM" in log.read_text()
    assert find_study("stopped", tmp_path / "runs").runs[0].error is None


def test_a_dry_run_tells_runs_tokens_and_hours_and_leaves_nothing(corpora: dict[str, Path], tmp_path: Path) -> None:
    done = begin(tmp_path, "transfer", *words(corpora, *TASKS), "--seeds", "2", "--dry-run", "--json")
    out, _ = done.communicate(timeout=PATIENCE)
    assert done.returncode == 0, out
    study = json.loads(out[out.index("{") :])
    tokens = {run["key"]: run["estimate"]["tokens"] for run in study["runs"]}
    assert tokens["bc5cdr-s1"] == 1200
    assert tokens["ncbi-disease+bc5cdr-s0"] == tokens["bc5cdr-total-s0"] == 2400
    assert all(run["estimate"]["seconds"] >= 0 and run["estimate"]["memory"] > 2**20 for run in study["runs"])
    assert not [*tmp_path.iterdir()]


def test_a_run_that_was_begun_elsewhere_is_finished_here(corpora: dict[str, Path], tmp_path: Path) -> None:
    """Killed for good at an update, a run is begun again from its checkpoint by the words that it names."""
    from bench.config import RunConfig

    config = RunConfig(
        task=("bc5cdr",), data={"bc5cdr": str(corpora["bc5cdr"])}, model="tiny-bert", head="bio", tokens=6000, waive=("smoke",),
        tracker=("none",), max_length=64, batch_tokens=128, micro_batch=256, checkpoint_every=2, eval_every=999,
        out=str(tmp_path / "runs"),
    )  # fmt: skip
    child = Child(Job("a", (*words_of(config), "--json"), tmp_path / "a.log"))
    try:
        wait_for(lambda: [*tmp_path.glob("runs/*/checkpoints/*")] or child.poll())
        assert child._process is not None
        os.kill(child._process.pid, signal.SIGKILL)
        until = time.monotonic() + PATIENCE
        while (outcome := child.poll()) is None:
            assert time.monotonic() < until
            time.sleep(0.1)
    finally:
        end(child)
    assert outcome.code == 0, outcome
    assert outcome.attempts == 3  # killed; told that it was begun; resumed
    result = read_result(tmp_path / "runs" / str(outcome.run))
    assert result.invariants.checkpoint["resumed_from"][0] > 0
