"""Ray with two workers, one of them killed in mid-run, and submitit's local executor, one job of it preempted."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench.config import RunConfig
from bench.launchers import Job, JobOutcome, Launcher, launcher
from bench.registry import load
from bench.results.store import read_result
from bench.studies.argv import argv_of

torch = pytest.importorskip("torch")

PATIENCE = 560.0


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpora") / "bc5cdr"
    load().get("tasks", "bc5cdr").synthesize(folder, 3, {"train": 8, "dev": 2, "test": 3})
    return folder


@pytest.fixture
def job(corpus: Path, tmp_path: Path) -> Callable[..., Job]:
    """Makes jobs of short runs with a checkpoint at every second update."""

    def make(key: str, seed: int, tokens: int = 1500) -> Job:
        config = RunConfig(
            task=("bc5cdr",), data={"bc5cdr": str(corpus)}, model="tiny-bert", head="bio", tokens=tokens, waive=("smoke",),
            tracker=("none",), max_length=64, batch_tokens=128, micro_batch=256, checkpoint_every=2, eval_every=999,
            seed=seed, out=str(tmp_path / "runs"),
        )  # fmt: skip
        return Job(key, (*argv_of(config), "--json"), tmp_path / f"{key}.log", memory=2**20)

    return make


def until(what: Callable[[], Any]) -> Any:
    end = time.monotonic() + PATIENCE
    while not (found := what()):
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.1)
    return found


def run_of(job: Job) -> psutil.Process | None:
    """The process of a job's run, wherever it was started."""
    seed = job.words[job.words.index("--seed") + 1] if "--seed" in job.words else "0"
    for process in psutil.process_iter(["cmdline"]):
        line = process.info["cmdline"] or []
        if "run" in line and str(job.log.parent / "runs") in line and (seed == "0" or seed in line):
            return process
    return None


def all_of(started: Launcher, count: int) -> dict[str, JobOutcome]:
    found: dict[str, JobOutcome] = {}
    end = time.monotonic() + PATIENCE
    while len(found) < count:
        assert time.monotonic() < end, "it took too long"
        found |= {outcome.key: outcome for outcome in started.poll(0.5)}
    return found


def checkpoints(folder: Path, seed: int) -> list[Path]:
    """Of the run that has a seed, once it was planned."""
    import json

    found = []
    for plan in folder.glob("runs/*/plan.json"):
        if json.loads(plan.read_text())["config"]["seed"] == seed:
            found += [*plan.parent.glob("checkpoints/*/manifest.json")]
    return found


@pytest.mark.nightly  # Ray takes longer to start than all else here; below, it is stopped
def test_a_ray_worker_that_is_killed_costs_no_run(job: Callable[..., Job], tmp_path: Path) -> None:
    pytest.importorskip("ray")
    started = launcher("ray", 2, tmp_path, ("num_cpus=1",))
    try:
        long, short = job("long", 1, tokens=6000), job("short", 2)
        started.submit(long)
        started.submit(short)
        until(lambda: started.poll(0.1) or checkpoints(tmp_path, 1))
        process = run_of(long)
        assert process is not None
        worker = process.parent()
        assert worker is not None
        assert worker.pid != os.getpid()
        worker.kill()
        found = all_of(started, 2)
    finally:
        started.close()
    assert {key: outcome.code for key, outcome in found.items()} == {"long": 0, "short": 0}, found
    result = read_result(tmp_path / "runs" / str(found["long"].run))
    assert result.invariants.checkpoint.resumed_from[0] > 0  # not from its beginning
    assert read_result(tmp_path / "runs" / str(found["short"].run)).invariants.checkpoint.resumed_from == ()


def test_a_job_that_is_preempted_is_queued_again(job: Callable[..., Job], tmp_path: Path) -> None:
    pytest.importorskip("submitit")
    started = launcher("slurm", 1, tmp_path, ("cluster=local", "timeout_min=60"))
    try:
        one = job("one", 1, tokens=6000)
        started.submit(one)
        until(lambda: started.poll(0.1) or checkpoints(tmp_path, 1))
        process = run_of(one)
        assert process is not None
        work = process.parent()
        assert work is not None
        work.send_signal(signal.SIGUSR2)  # what Slurm is asked to send before it preempts
        found = all_of(started, 1)
    finally:
        started.close()
    assert found["one"].code == 0, found
    result = read_result(tmp_path / "runs" / str(found["one"].run))
    assert result.invariants.checkpoint.resumed_from[0] > 0
    assert "Requeued job" in "".join(path.read_text() for path in (tmp_path / "slurm").glob("*_log.*"))


def test_a_stopped_scheduler_leaves_checkpoints(job: Callable[..., Job], tmp_path: Path) -> None:
    pytest.importorskip("ray")
    started = launcher("ray", 1, tmp_path, ("num_cpus=1",))
    try:
        one = job("one", 1, tokens=2_000_000)  # more than it will come to, however late Ray hears of it
        started.submit(one)
        started.submit(job("two", 2))
        until(lambda: started.poll(0.1) or checkpoints(tmp_path, 1))
        assert started.active() == {"one"}
        ended = started.stop(patience=400)  # beside other work Ray loses requests; it is asked again
    finally:
        started.close()
    assert [(outcome.key, outcome.code) for outcome in ended] == [("one", 130)]
    assert "Stopped on SIGTERM" in one.log.read_text()
    until(lambda: run_of(one) is None)
    assert not (tmp_path / "two.log").exists()
