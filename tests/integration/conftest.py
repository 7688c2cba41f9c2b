"""Small corpora, tiny models and short runs, in this process or in a child that is forked off it and killed."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.api.task import Task
from bench.config import RunConfig
from bench.hooks import hookimpl
from bench.registry import Registry, load
from bench.reporting import SilentReporter
from bench.results.layout import LOCK

TASK = "2015-T14"


class Told(SilentReporter):
    """Keeps every warning and note."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def warn(self, message: str) -> None:
        self.lines.append(message)

    def note(self, message: str) -> None:
        self.lines.append(message)

    def said(self, part: str) -> bool:
        return any(part in line for line in self.lines)


class Plugin:
    """A plugin made of whatever a test hands it."""

    def __init__(self, **parts: Sequence[Any]) -> None:
        self.parts = parts

    @hookimpl
    def bench_tasks(self) -> Sequence[Any]:
        return self.parts.get("tasks", ())

    @hookimpl
    def bench_heads(self) -> Sequence[Any]:
        return self.parts.get("heads", ())

    @hookimpl
    def bench_architectures(self) -> Sequence[Any]:
        return self.parts.get("architectures", ())

    @hookimpl
    def bench_quantizers(self) -> Sequence[Any]:
        return self.parts.get("quantizers", ())

    @hookimpl
    def bench_trackers(self) -> Sequence[Any]:
        return self.parts.get("trackers", ())


class Observer:
    """A plugin that only looks on."""

    def __init__(self, see: Callable[[Any], None]) -> None:
        self.see = see

    @hookimpl
    def bench_event(self, event: Any) -> None:
        self.see(event)


def with_parts(**parts: Sequence[Any]) -> Registry:
    """The installed registry and more parts."""
    registry = load()
    registry.add(Plugin(**parts), "test:parts", "test")
    assert not [b for b in registry.broken if b.distribution == "test"], registry.broken
    return registry


def task_like(name: str = TASK, **changes: Any) -> Task:
    """The reference task under another name, with some of its methods changed."""
    original = load().get("tasks", TASK)
    found = type("Changed", (type(original),), {"name": name, **changes})()
    assert isinstance(found, Task)
    return found


@pytest.fixture(scope="session")
def kit() -> Any:
    """What stands in this file, which importlib mode gives no name that a test could import."""
    return SimpleNamespace(**{name: value for name, value in globals().items() if not name.startswith("_")})


@pytest.fixture(scope="session")
def small_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four training notes and two each of dev and test, in the official layout."""
    folder = tmp_path_factory.mktemp("corpus") / TASK
    load().get("tasks", TASK).synthesize(folder, 3, {"train": 4, "dev": 2, "test": 2})
    return folder


@pytest.fixture(scope="session")
def other_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same sizes from another seed."""
    folder = tmp_path_factory.mktemp("other") / TASK
    load().get("tasks", TASK).synthesize(folder, 4, {"train": 4, "dev": 2, "test": 2})
    return folder


@pytest.fixture(scope="session", autouse=True)
def arms_counted_once() -> Iterator[None]:
    """The arms of bench are built on the meta device once for the same model, budget, tasks and heads, not once a run.

    That is a third of a tiny run. What a test brings is always counted; `tests/unit/test_parity.py` counts without this.
    """
    if find_spec("torch") is None:
        yield
        return
    from bench.invariants import parity

    build, known = parity._on_meta, dict[Any, Any]()

    def counted(arm: Any, tasks: Any, budget: Any, backbone: Any, heads: Any) -> Any:
        if not type(arm).__module__.startswith("bench_plugins.") or not isinstance(backbone, partial):
            return build(arm, tasks, budget, backbone, heads)
        made = {task: parity.meta_module(make) for task, make in heads.items()}
        sizes = [(task, sum(p.numel() for p in head.parameters() if p.requires_grad)) for task, head in made.items()]
        key = (type(arm), arm.name, *tasks, repr(budget), backbone.func, *backbone.args, *sizes)
        if key not in known:
            known[key] = build(arm, tasks, budget, backbone, heads)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parity, "_on_meta", counted)
        yield


@pytest.fixture
def quick_smoke(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gate of five updates, for tests that are about something else; what it finds is waived by `tiny`."""
    from bench.invariants import smoke

    monkeypatch.setattr(smoke, "UPDATES", 5)
    monkeypatch.setattr(smoke, "EXAMPLES", 8)


@pytest.fixture
def tiny(small_corpus: Path, tmp_path: Path, quick_smoke: None) -> Callable[..., RunConfig]:
    """Makes configurations of short runs on `tiny-bert`."""

    def make(**changes: Any) -> RunConfig:
        values: dict[str, Any] = {
            "task": (TASK,),
            "model": "tiny-bert",
            "head": "bio",
            "steps": 6,
            "eval_every": 3,
            "checkpoint_every": 2,
            "max_length": 64,
            "batch_tokens": 256,
            "micro_batch": 256,
            "tracker": ("none",),
            "waive": ("smoke",),
            "data": {TASK: str(small_corpus)},
            "out": str(tmp_path / "runs"),
        }
        return RunConfig(**(values | changes))

    return make


@pytest.fixture
def pair(tiny: Callable[..., RunConfig], small_corpus: Path, other_corpus: Path) -> Callable[..., RunConfig]:
    """Makes configurations of short runs of two tasks; the other one is `task_like("second")`."""
    data = {TASK: str(small_corpus), "second": str(other_corpus)}
    return lambda **changes: tiny(**({"task": tuple(data), "data": data} | changes))


@dataclass
class Child:
    """What became of a forked process: the signal that ended it, or what it raised, or what it returned."""

    signal: int | None
    code: int | None
    told: list[str] = field(default_factory=list)
    error: str | None = None
    message: str = ""
    hint: str = ""
    value: Any = None


def forked(work: Callable[[Told], Any], timeout: float = 240) -> Child:
    """Runs work in a forked child, which may kill itself; everything heavy is imported there already.

    Args:
        work: given a reporter; what it returns must be picklable.
        timeout: seconds until the child is killed.
    """
    return started(work, timeout)()


def started(work: Callable[[Told], Any], timeout: float = 240) -> Callable[[], Child]:
    """The same, without waiting; what it gives waits for the child and says what became of it."""
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        told = Told()
        answer: dict[str, Any] = {}
        try:
            signal.alarm(int(timeout))
            answer["value"] = work(told)
        except BaseException as error:
            answer |= {
                "error": type(error).__name__,
                "message": getattr(error, "message", str(error)),
                "hint": getattr(error, "hint", "") or "",
                "code": getattr(error, "exit_code", None),
            }
            if answer["code"] is None:
                answer["message"] += traceback.format_exc()
        with suppress(BaseException), os.fdopen(writing, "wb") as pipe:
            pickle.dump(answer | {"told": told.lines}, pipe)
        os._exit(0)
    os.close(writing)

    def wait() -> Child:
        with os.fdopen(reading, "rb") as pipe:
            content = pipe.read()
        _, status = os.waitpid(pid, 0)
        if os.WIFSIGNALED(status):
            return Child(os.WTERMSIG(status), None)
        answer = pickle.loads(content)
        return Child(None, answer.pop("code", 0), **answer)

    return wait


class Forked(subprocess.Popen[Any]):
    """A `subprocess.Popen` for which ``python -m bench …`` is a fork of this process, where everything is imported already.

    The words, the folder, the environment and the streams are those of a process of its own; other programs are executed.
    """

    def _execute_child(self, words: Any, *rest: Any) -> None:
        cwd, environ, pipes = rest[4], rest[5], rest[9:15]
        # Threads of vl-convert, which draws a report's figures, do not survive a fork: drawing would wait for them for ever.
        drawn = list(words[3:4]) == ["report"] and "vl_convert" in sys.modules
        if list(words[1:2]) != ["-m"] or words[2] not in ("bench", "bench.launchers.guarded") or drawn:
            super()._execute_child(words, *rest)  # type: ignore[misc]
            return
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            code = 70
            with suppress(BaseException):
                _let_go(pipes[1], pipes[2], pipes[4])
                code = _as_bench(words[2:], cwd, environ, (pipes[0], pipes[3], pipes[5]))
            os._exit(code)
        self._child_created = True
        self._close_pipe_fds(*pipes)  # type: ignore[attr-defined]


def _let_go(*pipes: int) -> None:
    """Of the other end of its pipes, and of locks: what a process of its own would not have inherited."""
    for pipe in pipes:
        if pipe >= 0:
            os.close(pipe)
    nothing = os.open(os.devnull, os.O_RDWR)
    for entry in [*Path("/proc/self/fd").iterdir()]:
        with suppress(OSError):
            if entry.readlink().name == LOCK:
                os.dup2(nothing, int(entry.name))


def _as_bench(words: Sequence[str], cwd: Any, environ: Any, streams: Sequence[int]) -> int:
    for number, stream in enumerate(streams):
        if stream >= 0:
            os.dup2(stream, number)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", encoding="utf-8", closefd=False) for number in (1, 2))
    if cwd is not None:
        os.chdir(cwd)
    if environ is not None:
        os.environ.clear()
        os.environ.update(environ)
    sys.path[:0] = [one for one in os.environ.get("PYTHONPATH", "").split(os.pathsep) if one and one not in sys.path]
    module, *typed = words
    if module == "bench.launchers.guarded":
        from bench.launchers import guarded

        becomes: list[list[str]] = []
        os.execv = lambda program, line: becomes.append(line)  # type: ignore[assignment, misc]
        guarded.main(typed)
        typed = becomes[0][3:]
    from bench.cli import main

    try:
        return main(typed)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


@pytest.fixture(scope="session")
def imported(small_corpus: Path) -> None:
    """What a run imports on its way is in this process."""
    from bench.runner import run

    run(RunConfig(task=(TASK,), data={TASK: str(small_corpus)}, model="tiny-bert", max_length=64), load(), dry_run=True)


@pytest.fixture
def forks(imported: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The runs of a study, and whatever else is typed, are forks of this process: seconds of imports less for each."""
    monkeypatch.setattr(subprocess, "Popen", Forked)


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
