"""One run as a child process: starts it, starts it again if it was interrupted, and reads its answer when it has ended."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from bench.errors import RunInUseError

INTERRUPTED, REFUSED = 130, 6
_SECONDS_IN_USE = 120.0


@dataclass(frozen=True)
class Job:
    """A run that a launcher brings to its end.

    Args:
        key: the caller's name for it.
        words: arguments of ``bench run``.
        log: file to which its stderr is appended.
        memory: bytes that it is expected to take.
        environ: changes to the environment; an empty value removes a variable.
        retries: how often it is started again after it was killed or interrupted.
    """

    key: str
    words: tuple[str, ...]
    log: Path
    memory: int = 0
    environ: Mapping[str, str] = field(default_factory=dict)
    retries: int = 3


@dataclass(frozen=True)
class JobOutcome:
    """How a job ended.

    Args:
        key: the job's.
        code: exit code of `bench run`; negative for a signal.
        answer: the JSON that it printed; empty unless `code` is 0.
        message: the error in one or two lines; empty where it succeeded.
        attempts: number of processes that were started for it.
        kind: of the error, e.g. ``InvariantError``; empty where it succeeded or did not say.
        begun: id of the run, as far as a process that did not finish told it.
    """

    key: str
    code: int
    answer: Mapping[str, Any] = field(default_factory=dict)
    message: str = ""
    attempts: int = 1
    kind: str = ""
    begun: str | None = None

    @property
    def run(self) -> str | None:
        """Id of the finished run; None where it did not finish."""
        path = self.answer.get("result")
        return Path(path).parent.name if path else None


class Child:
    """The process of a job, and the next one if it is killed.

    If the run exists already, `bench run` refuses it and names the run to resume; it is then started with ``--resume``. A run
    that is killed, for example by the kernel for memory, is resumed from its last checkpoint at most `Job.retries` times.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.attempts = 0
        self._retries = 0
        self._stopping = False
        self._again = 0.0
        self._in_use_since: float | None = None
        self._resume: str | None = None
        self._begun: str | None = None
        self._offset = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._start()

    def poll(self) -> JobOutcome | None:
        """How the job ended; None while it runs. Starts the next process when it is due."""
        if self._process is None:
            if self._stopping:
                return self._ended(INTERRUPTED, "Stopped before it could go on.")
            if time.monotonic() >= self._again:
                self._start()
            return None
        code = self._process.poll()
        if code is None:
            return None
        self._process = None
        return self._after(code)

    def stop(self) -> None:
        """Asks the run to save a checkpoint and end; it is not started again."""
        self._stopping = True
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kills the run."""
        self._stopping = True
        self._signal(signal.SIGKILL)

    def memory(self) -> int:
        """Resident bytes of the process and its children."""
        import psutil

        total = 0
        if self._process is not None:
            with suppress(psutil.Error):
                process = psutil.Process(self._process.pid)
                for part in (process, *process.children(recursive=True)):
                    with suppress(psutil.Error):
                        total += int(part.memory_info().rss)
        return total

    def _start(self) -> None:
        self.job.log.parent.mkdir(parents=True, exist_ok=True)
        environ = {name: value for name, value in {**os.environ, **self.job.environ}.items() if value != ""}
        words = ("--resume", self._resume, *_resume_words(self.job.words)) if self._resume else self.job.words
        self._stdout: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # closed in `_after`
        with self.job.log.open("ab") as log:
            self._offset = log.tell()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "bench.launchers.guarded", str(os.getpid()), "run", *words],
                stdin=subprocess.DEVNULL,
                stdout=self._stdout,
                stderr=log,
                env=environ,
            )
        self.attempts += 1

    def _after(self, code: int) -> JobOutcome | None:
        with self._stdout:
            self._stdout.seek(0)
            answer = _answer(self._stdout.read().decode(errors="replace")) or {}
        if code == 0:
            if not answer:
                return self._ended(1, "It ended with exit code 0 but did not say where its result is.")
            return self._ended(0, "", answer)
        error = answer.get("error", {})
        begun = error.get("resume")
        self._begun = begun or self._begun
        if code == REFUSED and not self._stopping:
            if begun and self._resume is None:
                self._resume = begun
                self._later(0.0)
                return None
            if error.get("kind") == RunInUseError.__name__ and self._patient():
                self._later(1.0)
                return None
        if (code < 0 or code == INTERRUPTED) and not self._stopping and self._retries < self.job.retries:
            self._retries += 1
            self._resume = begun or self._resume
            self._later(min(0.5 * 2**self._retries, 30.0))
            return None
        error_text = "\n".join(str(error[name]) for name in ("message", "hint") if error.get(name))
        said = error_text or _error(self._said()) or f"It was ended by {_signal_name(code)}."
        return self._ended(code, said, kind=str(error.get("kind", "")))

    def _later(self, seconds: float) -> None:
        self._again = time.monotonic() + seconds

    def _patient(self) -> bool:
        """Whether to wait longer for another process of this run, which is still saving its last checkpoint."""
        self._in_use_since = self._in_use_since or time.monotonic()
        return time.monotonic() - self._in_use_since < _SECONDS_IN_USE

    def _ended(self, code: int, message: str, answer: Mapping[str, Any] | None = None, kind: str = "") -> JobOutcome:
        return JobOutcome(self.job.key, code, answer or {}, message, self.attempts, kind, self._begun)

    def _said(self) -> str:
        with self.job.log.open("rb") as log:
            log.seek(self._offset)
            return log.read().decode(errors="replace")

    def _signal(self, number: int) -> None:
        if self._process is not None:
            if number == signal.SIGKILL:  # its children too: they are in its process group
                with suppress(ProcessLookupError):
                    os.killpg(self._process.pid, number)
            self._process.send_signal(number)


def run_here(job: Job, seconds: float = 0.2, begun: Callable[[Child], None] | None = None) -> JobOutcome:
    """Runs a job to its end in a child of this process, and stops the child if this process is interrupted.

    The child is looked at every `seconds`; `begun` is called with it once it has started.
    """
    child = Child(job)
    try:
        if begun is not None:
            begun(child)
        while (outcome := child.poll()) is None:
            time.sleep(seconds)
        return outcome
    except BaseException:
        end(child)
        raise


def end(child: Child, patience: float = 120.0) -> JobOutcome:
    """Asks a child to stop, waits at most `patience` seconds for its checkpoint, then kills it."""
    child.stop()
    until = time.monotonic() + patience
    while (outcome := child.poll()) is None:
        if time.monotonic() > until:
            child.kill()
        time.sleep(0.05)
    return outcome


def last_line(log: Path) -> str:
    """The last line of a log, which shows the progress of its run; empty where there is none."""
    with suppress(OSError), log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 2048))
        lines = file.read().decode(errors="replace").splitlines()
        return next((line.strip() for line in reversed(lines) if line.strip()), "")
    return ""


def _resume_words(words: tuple[str, ...]) -> tuple[str, ...]:
    """The arguments of a run that may stand beside `--resume`: its folder, trackers, names and limits."""
    accepted: list[str] = []
    taken = {"--out", "--name", "--study", "--tracker", "--memory-limit"}
    for place, word in enumerate(words):
        if word in taken:
            accepted += words[place : place + 2]
    return (*accepted, "--json")


def _answer(text: str) -> Mapping[str, Any] | None:
    """The JSON object at the end of an output; a plugin may have printed something before it."""
    for match in re.finditer(r"^\{", text, re.MULTILINE):
        with suppress(ValueError):
            value = json.loads(text[match.start() :])
            return value if isinstance(value, dict) else None
    return None


def _error(said: str) -> str:
    """The text after the last ``error:``."""
    _, separator, rest = said.rpartition("\nerror: ") if "\nerror: " in said else said.rpartition("error: ")
    return rest.strip() if separator else ""


def _signal_name(code: int) -> str:
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"exit code {code}"
