"""How a job's process is begun again, left alone, stopped and isolated; a script that dies on time stands for `bench run`."""

from __future__ import annotations

import json
import os
import signal
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.errors import MissingError, UsageError
from bench.launchers import Job, launcher
from bench.launchers.child import Child, JobOutcome, end, last_line, run_here
from bench.launchers.local import LocalLauncher, free_memory, threads
from bench.launchers.queued import parse_number, parse_options

HEAD = f"""#!{sys.executable} -S
import json, os, signal, sys, time
words = sys.argv[5:]  # after -m bench.launchers.guarded PARENT run
assert sys.argv[1:3] == ["-m", "bench.launchers.guarded"] and sys.argv[4] == "run", sys.argv
here = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(here, "calls"), "a") as file:
    file.write(json.dumps(words) + "\\n")
times = len(open(os.path.join(here, "calls")).readlines())
def say(text, code):
    print(text, file=sys.stderr)
    sys.exit(code)
def fail(code, **error):
    print(json.dumps({{"error": error}}))
    say("error: " + error.get("message", ""), code)
def finish(run):
    print(json.dumps({{"result": "/runs/" + run + "/result.json", "headline": {{}}}}, indent=2))
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Makes a program that children run in place of Python."""

    def make(body: str) -> Path:
        path = tmp_path / "program"
        path.write_text(HEAD + body)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setattr(sys, "executable", str(path))
        return tmp_path

    return make


def calls(folder: Path) -> list[list[str]]:
    return [json.loads(line) for line in (folder / "calls").read_text().splitlines()]


def job(folder: Path, *words: str, retries: int = 3, key: str = "a") -> Job:
    return Job(key, words, folder / "logs" / f"{key}.log", retries=retries)


def test_what_it_answers_is_read_behind_what_plugins_print(stand_in: Callable[[str], Path]) -> None:
    folder = stand_in("print('{not json'); print('a plugin'); finish('r1')")
    outcome = run_here(job(folder, "--task", "x"), 0.01)
    assert (outcome.code, outcome.run, outcome.attempts) == (0, "r1", 1)
    assert calls(folder) == [["--task", "x"]]


def test_a_dry_run_answers_with_its_plan(stand_in: Callable[[str], Path]) -> None:
    folder = stand_in("print(json.dumps({'plan': {'budget': 1}}))")
    outcome = run_here(job(folder, "--dry-run"), 0.01)
    assert (outcome.code, outcome.run, outcome.answer) == (0, None, {"plan": {"budget": 1}})


def test_a_job_that_was_stopped_names_the_run_that_it_began(stand_in: Callable[[str], Path]) -> None:
    folder = stand_in("fail(130, kind='Interrupted', message='Stopped on SIGTERM.', resume='r7')")
    outcome = run_here(job(folder, retries=0), 0.01)
    assert (outcome.code, outcome.run, outcome.begun) == (130, None, "r7")


def test_a_run_that_was_begun_is_gone_on_with(stand_in: Callable[[str], Path]) -> None:
    folder = stand_in(
        "if '--resume' in words: finish(words[1])\n"
        "else: fail(6, kind='RunStateError', message='Run r7 was begun and is not finished.', resume='r7')"
    )
    words = ("--task", "x", "--rank", "8", "--out", "/o", "--tracker", "a", "--tracker", "b", "--name", "s/k", "--json")
    outcome = run_here(job(folder, *words), 0.01)
    assert (outcome.run, outcome.attempts) == ("r7", 2)
    # Only what --resume takes goes with it.
    wanted = ["--resume", "r7", "--out", "/o", "--tracker", "a", "--tracker", "b", "--name", "s/k", "--json"]
    assert calls(folder)[1] == wanted


def test_a_killed_run_is_begun_again_and_not_forever(stand_in: Callable[[str], Path]) -> None:
    folder = stand_in("os.kill(os.getpid(), signal.SIGKILL) if times < 2 else finish('r1')")
    assert run_here(job(folder), 0.01).run == "r1"
    folder = stand_in("os.kill(os.getpid(), signal.SIGKILL)")
    (folder / "calls").unlink()
    outcome = run_here(job(folder, retries=1), 0.01)
    assert (outcome.code, outcome.attempts, outcome.run) == (-9, 2, None)
    assert "SIGKILL" in outcome.message


def test_an_interrupted_run_goes_on_with_the_words_it_named(stand_in: Callable[[str], Path]) -> None:
    folder = stand_in("finish('r3') if words[:1] == ['--resume'] else fail(130, message='Stopped', resume='r3')")
    assert run_here(job(folder, "--json"), 0.01).run == "r3"
    assert calls(folder)[1] == ["--resume", "r3", "--json"]


@pytest.mark.parametrize("code", [1, 2, 3, 4, 5, 7, 70])
def test_a_mistake_is_not_repeated(code: int, stand_in: Callable[[str], Path]) -> None:
    folder = stand_in(f"fail({code}, message='What is wrong.', hint='What to do.', resume=None)")
    outcome = run_here(job(folder), 0.01)
    assert (outcome.code, outcome.message, outcome.attempts) == (code, "What is wrong.\nWhat to do.", 1)


def test_a_process_that_tells_no_json_is_told_by_its_last_error(stand_in: Callable[[str], Path]) -> None:
    folder = stand_in("say('warning: x\\nerror: What is wrong.\\nWhat to do.', 70)")
    assert run_here(job(folder), 0.01).message == "What is wrong.\nWhat to do."


def test_a_run_in_use_is_waited_for(stand_in: Callable[[str], Path]) -> None:
    folder = stand_in("fail(6, kind='RunInUseError', message='Run r1 is in use by process 7.') if times < 2 else finish('r1')")
    outcome = run_here(job(folder), 0.01)
    assert (outcome.run, outcome.attempts) == ("r1", 2)


def test_what_an_earlier_process_said_is_no_answer_of_this_one(stand_in: Callable[[str], Path]) -> None:
    folder = stand_in("sys.exit(3)")
    one = job(folder)
    one.log.parent.mkdir()
    one.log.write_text("error: long ago\nbench run --resume old\n")
    assert run_here(one, 0.01).message == "It was ended by exit code 3."


def test_stopping_asks_once_and_begins_nothing_again(stand_in: Callable[[str], Path]) -> None:
    folder = stand_in(
        "signal.signal(signal.SIGTERM, lambda *a: fail(130, message='Stopped on SIGTERM', resume='r1'))\n"
        "print('error: nothing yet', file=sys.stderr, flush=True)\ntime.sleep(60)"
    )
    child = Child(job(folder))
    until = time.monotonic() + 30
    while not last_line(child.job.log) and time.monotonic() < until:
        time.sleep(0.01)
    outcome = end(child)
    assert (outcome.code, outcome.attempts) == (130, 1)
    assert child.poll() is not None  # nothing lives


def test_a_run_that_does_not_stop_is_killed(stand_in: Callable[[str], Path]) -> None:
    folder = stand_in("signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', file=sys.stderr, flush=True); time.sleep(60)")
    child = Child(job(folder))
    until = time.monotonic() + 30
    while not last_line(child.job.log) and time.monotonic() < until:
        time.sleep(0.01)
    assert end(child, patience=0.2).code == -signal.SIGKILL


def test_environment_is_laid_over_and_names_can_be_removed(
    stand_in: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_DATA", "/corpora")
    folder = stand_in("say(os.environ.get('BENCH_DATA', 'gone') + os.environ['MORE'], 0)")
    one = Job("a", (), folder / "a.log", environ={"BENCH_DATA": "", "MORE": "1"})
    assert run_here(one, 0.01).code == 1  # it told no result
    assert last_line(one.log) == "gone1"


def test_one_crash_takes_no_other_down(stand_in: Callable[[str], Path]) -> None:
    folder = stand_in("os.kill(os.getpid(), signal.SIGSEGV) if words == ['bad'] else (time.sleep(0.3), finish(words[0]))")
    local = LocalLauncher(3)
    for word in ("one", "bad", "two", "three"):
        local.submit(job(folder, word, key=word, retries=0))
    found: dict[str, JobOutcome] = {}
    most = 0
    until = time.monotonic() + 60
    while len(found) < 4 and time.monotonic() < until:
        found |= {outcome.key: outcome for outcome in local.poll(0.2)}
        most = max(most, len(local.active()))
    assert {key: (one.code, one.run) for key, one in found.items()} == {
        "one": (0, "one"), "two": (0, "two"), "three": (0, "three"), "bad": (-signal.SIGSEGV, None),
    }  # fmt: skip
    assert most == 3


def test_memory_decides_how_many_run_at_once(stand_in: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = stand_in("time.sleep(60)")
    monkeypatch.setattr("bench.launchers.local.free_memory", lambda: 10 * 2**30)
    local = LocalLauncher(4)
    for key in ("a", "b", "c"):
        local.submit(Job(key, (), folder / f"{key}.log", memory=4 * 2**30))
    local.poll(0)
    assert local.active() == {"a", "b"}  # 12 GiB are more than .85 of 10
    assert {outcome.key: outcome.code for outcome in local.stop()} == {"a": -15, "b": -15}
    huge = LocalLauncher(2)
    huge.submit(Job("a", (), folder / "a.log", memory=2**50))
    huge.poll(0)
    assert huge.active() == {"a"}  # alone it may try
    huge.close()


def test_cores_are_shared_unless_the_user_shared_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr("psutil.cpu_count", lambda logical=True: 8)
    assert threads(1, {}) == {}
    assert threads(3, {}) == {"OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "PASSIVE"}
    assert threads(3, {"OMP_NUM_THREADS": "5", "OMP_WAIT_POLICY": "ACTIVE"}) == {}
    assert threads(99, {})["OMP_NUM_THREADS"] == "1"
    assert free_memory() > 0


def test_the_guard_takes_a_run_along_when_its_parent_is_killed(tmp_path: Path) -> None:
    """A real process tree: the middle one is killed, and the grandchild is asked to stop."""
    import subprocess

    package = tmp_path / "bench"
    (package / "launchers").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "launchers" / "__init__.py").write_text("")
    import bench.launchers.guarded as guarded

    (package / "launchers" / "guarded.py").write_text(Path(guarded.__file__).read_text())
    (package / "__main__.py").write_text(
        "import os, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *a: (open('stopped', 'w').close(), sys.exit(0)))\n"
        "assert sys.argv[1:] == ['run', 'x'] and os.getpgrp() == os.getpid(), sys.argv\n"
        "open('up', 'w').close(); time.sleep(60)\n"
    )
    middle = (
        "import os, subprocess, sys\n"
        "subprocess.run([sys.executable, '-m', 'bench.launchers.guarded', str(os.getpid()), 'run', 'x'])\n"
    )
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    process = subprocess.Popen([sys.executable, "-c", middle], cwd=tmp_path, env=environ)
    until = time.monotonic() + 60
    while not (tmp_path / "up").exists() and time.monotonic() < until:
        time.sleep(0.02)
    process.kill()
    process.wait()
    while not (tmp_path / "stopped").exists() and time.monotonic() < until:
        time.sleep(0.02)
    assert (tmp_path / "stopped").exists() == sys.platform.startswith("linux")


def test_launchers_are_found_and_their_options_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(launcher("local", 2, tmp_path), LocalLauncher)
    with pytest.raises(UsageError, match="Did you mean 'slurm'"):
        launcher("slrum", 1, tmp_path)
    with pytest.raises(UsageError, match="no option 'x'"):
        launcher("local", 1, tmp_path, ("x=1",))
    with pytest.raises(UsageError, match="not KEY=VALUE"):
        parse_options(("partition",), None, "slurm")
    with pytest.raises(UsageError, match="Did you mean 'num_cpus'"):
        launcher("ray", 1, tmp_path, ("num_cpu=1",))
    with pytest.raises(UsageError, match="not a number"):
        parse_number({"num_cpus": "two"}, "num_cpus", 1)
    for name, package in (("ray", "ray"), ("slurm", "submitit")):
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(MissingError) as error:
            launcher(name, 1, tmp_path)
        assert error.value.hint == f"pip install 'bench-suite[{name}]'"


def test_slurm_is_not_handed_a_folder_that_it_would_read_as_a_pattern(tmp_path: Path) -> None:
    pytest.importorskip("submitit")
    with pytest.raises(UsageError, match="has a % in its name"):
        launcher("slurm", 1, tmp_path / "a%j", ("cluster=local",))
    launcher("slurm", 1, tmp_path / "a?b", ("cluster=local",)).close()
