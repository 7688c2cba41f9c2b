"""Weights & Biases: https://docs.wandb.ai. Offline, in ``<out>/wandb``, unless an API key is set up; upload an offline run
with ``wandb sync --append runs/wandb/offline-run-*``.

A study is a group of runs, and one of its own, of job type "study", for its state, verdict and report.

Example history row: ``{"step": 120, "train/loss": 0.41, "_step": 123}``, where ``_step`` is the position in the journal.
"""

from __future__ import annotations

import atexit
import os
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from glob import escape
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from bench.api.part import Requirement
from bench.api.tracker import RunEvent, RunInfo, StudyInfo, Tracker
from bench.errors import BenchError
from bench.results.layout import RESULT
from bench.results.store import write_json
from bench_plugins.trackers.content import facts, metrics, parameters, readable, result
from bench_plugins.trackers.wandb_files import next_event

if TYPE_CHECKING:
    from wandb import Run

PROJECT = "bench"
REPORT = "report.html"
_INIT_SECONDS = 30.0
_FLUSH_SECONDS = 10.0


class WandbTracker(Tracker):
    """Mirrors runs into Weights & Biases."""

    name = "wandb"
    version = "1"
    summary = "Weights & Biases, offline unless you are logged in"
    citation = "https://wandb.ai"
    licence = "MIT"
    requires = (Requirement("wandb", "bench-suite[track]"),)

    def __init__(self) -> None:
        self._info: RunInfo | None = None
        self._run: Run | None = None
        self._next = 0
        self._facts: dict[str, str] = {}

    def parameters(self) -> Mapping[str, str]:
        """Online or offline, and the project, as the environment says now."""
        return {"mode": mode(), "project": os.environ.get("WANDB_PROJECT") or PROJECT}

    def open(self, run: RunInfo) -> int:
        """Reads what the local files hold. wandb starts with the first number: a sync without news makes no file."""
        if readable(name := str(run.root.absolute()), len(name)) != name:
            raise BenchError("wandb writes to no folder whose name is not UTF-8")
        self._info = run
        return _next_event(run, self.name)

    def write(self, events: Sequence[RunEvent]) -> None:
        """Logs the numbers, each event under its position in the journal, which wandb takes once and in rising order only.

        What they rest on follows as configuration and tags, and the result as the file ``result.json``.
        """
        assert self._info is not None, "open comes first"
        for event in events:
            self._facts |= facts(event)
            numbers = metrics(event)
            if numbers:
                at = {} if event.step is None else {"step": event.step}
                self._started().log({**at, **numbers, "_timestamp": event.time}, step=event.seq)
                self._next = event.seq + 1
            if self._run is not None and event.kind == "result" and (self._info.folder / RESULT).exists():
                write_json(Path(self._run.dir, RESULT), result(self._info.folder))
                _keep(self._run, RESULT)
        if self._run is not None and self._facts:
            self._run.config.update(self._facts, allow_val_change=True)
            stamps = {name for name in ("synthetic", "waived") if self._facts.get(name, "no") not in ("no", "nothing")}
            self._run.tags = tuple({*(self._run.tags or ()), *stamps})
            self._facts = {}

    def close(self, finished: bool) -> None:
        """Finishes the run and waits until all is in the file.

        Raises:
            BenchError: the file lacks numbers that wandb has taken.
        """
        if self._run is not None:
            _finish(self._run, finished)
            self._wait_for_file()

    def _wait_for_file(self) -> None:
        # `finish` returns while wandb's service still writes: who reads the file next would find it empty.
        assert self._info is not None, "open comes first"
        end, folder = time.monotonic() + _FLUSH_SECONDS, self._info.root / "wandb"
        while next_event(folder, self._info.id, default=self._next) < self._next:
            if time.monotonic() > end:
                raise BenchError(f"wandb's file lacks numbers {_FLUSH_SECONDS:g} s after its end")
            time.sleep(0.05)

    def mark_study(self, study: StudyInfo) -> None:
        """Says in a run of the study's group how it ended, and its verdict; while it runs, its runs say so themselves."""
        if study.state != "running":
            run = _of_study(study.name, study.root)
            run.config.update({"state": study.state, **study.facts}, allow_val_change=True)
            _finish(run, study.state == "finished")

    def add_report(self, study: str, root: Path, page: Path) -> None:
        """Keeps the report as a file of the run that says how the study ended."""
        if not any((root / "wandb").glob(f"*run-*-{_ident(study)}")):
            return
        run = _of_study(study, root)
        Path(run.dir, REPORT).write_bytes(page.read_bytes())
        _keep(run, REPORT)
        _finish(run, True)

    def _started(self) -> Run:
        if self._run is None:
            assert self._info is not None, "open comes first"
            info = self._info
            self._run = _begun(info.root, info.id, info.name, info.config.get("study") or "", parameters(info.config))
            self._run.define_metric("*", step_metric="step")
        return self._run


def _of_study(study: str, root: Path) -> Run:
    """The run that stands for a study, in the group of its runs."""
    return _begun(root, _ident(study), study, study, {}, "study")


def _ident(study: str) -> str:
    """Wandb's id of that run: a name may hold what it does not take."""
    return f"study-{sha256(study.encode(errors='replace')).hexdigest()[:12]}"


def _begun(root: Path, ident: str, name: str, study: str, config: Mapping[str, str], kind: str | None = None) -> Run:
    """A run of wandb, new or known."""
    import wandb

    how = mode()
    _another_second(root / "wandb", ident)
    wandb.setup(wandb.Settings(mode=how, silent=True))  # what it says outside a run, such as of one that it cannot end
    run = wandb.init(
        project=os.environ.get("WANDB_PROJECT") or PROJECT,
        id=ident,
        name=readable(name),
        group=readable(study) or None,
        job_type=kind,
        dir=str(root.absolute()),  # wandb would take a name that begins with ~ for a user's
        config=dict(config),
        resume="allow" if how == "online" else None,
        settings=private_settings(how),
    )
    # wandb's own exit handler waits for an upload without a limit; ours runs before it.
    atexit.register(_stop_service)
    return run


def _keep(run: Run, name: str) -> None:
    """Lets wandb take a file that is in the run's own folder of files."""
    run.save(escape(str(Path(run.dir, name))), base_path=run.dir, policy="end")


def _finish(run: Run, well: bool) -> None:
    run.finish(exit_code=0 if well else 1)
    atexit.unregister(_stop_service)


def mode() -> str:
    """``WANDB_MODE`` where set; else online with an API key, offline without one: wandb would ask for it and wait."""
    setting = os.environ.get("WANDB_MODE", "").lower()
    if setting in ("offline", "disabled", "dryrun"):
        return "offline" if setting == "dryrun" else setting
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return "online"
    import netrc

    host = urlsplit(os.environ.get("WANDB_BASE_URL") or "https://api.wandb.ai").hostname or ""
    with suppress(OSError, netrc.NetrcParseError):
        file = os.environ.get("NETRC") or str(Path.home() / ".netrc")
        if host in netrc.netrc(file).hosts:
            return "online"
    return "offline"


def private_settings(how: str) -> Any:
    """Settings under which wandb records the numbers it is given: nothing of the machine, the user, the code or the console."""
    import wandb

    return wandb.Settings(
        mode=how,
        silent=True,
        console="off",
        save_code=False,
        disable_code=True,
        disable_git=True,
        disable_job_creation=True,
        host="-",
        program="bench",
        init_timeout=_INIT_SECONDS,
        x_disable_stats=True,
        x_disable_meta=True,
        x_disable_machine_info=True,
        x_save_requirements=False,
    )


def _next_event(run: RunInfo, tracker: str) -> int:
    """The next event to write to the files: the next one of the run, or an earlier one whose numbers never reached them."""
    from bench.results.layout import JOURNAL
    from bench.tracking import position, read_journal
    from bench.tracking.journal import Replay

    handed = position(run.folder, tracker)
    first = next_event(run.root / "wandb", run.id, default=handed)
    if first >= handed:
        return first
    replay = Replay()
    events = read_journal(run.folder / JOURNAL)
    lost = any(replay.fresh(event) and first <= event.seq < handed and metrics(event) for event in events)
    return first if lost else handed


def _another_second(folder: Path, run_id: str) -> None:
    # wandb names a session's folder by the second, and would write over that of a session just closed.
    while any(folder.glob(f"*run-{time.strftime('%Y%m%d_%H%M%S')}-{escape(run_id)}")):
        time.sleep(0.1)


def _stop_service() -> None:
    """Stops wandb's helper process, this process's own child, where a run could not be finished; its file stays."""
    # A second ^C, here of all places, would print a traceback and leave the rest to wandb's handler, which prints another.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import psutil
    import wandb

    for child in psutil.Process().children():
        with suppress(psutil.Error):
            if child.name().startswith("wandb-core"):
                child.kill()
    with suppress(Exception, SystemExit):  # its own exit handler, which this takes away, would print that the helper is gone
        wandb.teardown()
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # what else the end waits for is still ended so, without a word
