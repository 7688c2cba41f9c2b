"""A study on the screen: its plan, the progress of its runs, and its results."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from typing import Any

from rich import box
from rich.console import Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from bench.api.study import StudyKind, StudyRun
from bench.errors import BenchError
from bench.launchers import JobOutcome
from bench.launchers.child import last_line
from bench.pages.content import shown
from bench.results.display import duration, size
from bench.results.schema import Result
from bench.results.scores import below_dictionary, score_of
from bench.results.store import is_run, read_result
from bench.screen.console import CleanConsole, RichReporter
from bench.screen.terminal import line
from bench.screen.text import number
from bench.studies.contract import training_set
from bench.studies.finished import own_faults
from bench.studies.looks import about_looks
from bench.studies.review import Review
from bench.studies.scheduler import LOGS
from bench.studies.study import STUDY, Study
from bench.wording import some

ROWS = 12
"""Most rows of the live table: running, failed and next runs."""


class StudyWatcher:
    """Shows the progress of a study: a live table on a terminal, a line for every change in a pipe. See `RichReporter`."""

    def __init__(self, stderr: bool, console: CleanConsole | None = None) -> None:
        self._reporter = RichReporter(stderr, console)
        self._console = self._reporter.console
        self._live: Live | None = None
        self._since: dict[str, float] = {}
        self._began = time.monotonic()
        self._seconds: list[tuple[float, float]] = []

    def warn(self, message: str) -> None:
        """Prints a warning; the live table stays."""
        self._reporter.warn(message)

    def looked(self, message: str) -> None:
        """Prints what a look showed."""
        self._reporter.note(message)

    def surveying(self, run: StudyRun, place: int, total: int) -> None:
        """Prints the run that is planned next, its place and the number of runs."""
        if place == 1:
            self._reporter.step("planning: a dry run of every kind of run, which proves parity")
        self._reporter.note(f"{place}/{total} {run.key}")

    @contextmanager
    def watching(self, study: Study) -> Iterator[None]:
        """Shows the live table of runs, refreshed four times a second, until the block ends; plain lines in a pipe."""
        due = study.due()
        left = sum(run.run is None for run in due)
        self._reporter.step(f"running {left} of {some(len(due), 'run')} of study {study.name}")
        if not self._console.is_terminal:
            yield
            return
        with Live(console=self._console, refresh_per_second=4, transient=True) as self._live:
            yield
        self._live = None

    def look(self, study: Study, active: set[str]) -> None:
        """Refreshes the table; in a pipe, prints a line for each run that began."""
        now = time.monotonic()
        for run in study.runs:
            if run.key in active and run.key not in self._since:
                self._since[run.key] = now
                if self._live is None:
                    self._reporter.note(f"{run.key}: begun")
        if self._live is not None:
            self._live.update(self._table(study, active))

    def ended(self, run: StudyRun, outcome: JobOutcome) -> None:
        """Prints how long a run took and its id, or why it failed."""
        seconds = time.monotonic() - self._since.pop(run.key, time.monotonic())
        again = f", {some(outcome.attempts, 'process')}" if outcome.attempts > 1 else ""
        if run.run is None:
            self.warn(f"{run.key} {'was refused' if run.refused else 'failed'}{again}: {run.error}")
            return
        if run.estimate is not None:
            self._seconds.append((seconds, run.estimate.seconds))
        self._reporter.note(f"{run.key}: finished in {duration(seconds)}{again}, run {run.run}")

    def plan(self, study: Study, jobs: int) -> None:
        """Prints the plan: a row a run with its dry run's estimates of tokens, time and memory."""
        rows = []
        for run in study.runs:
            guess = run.estimate
            cost = (guess.tokens, duration(guess.seconds), size(guess.memory)) if guess else ("", "", "")
            rows.append(
                (run.key, run.role, run.task or "+".join(run.config.task), run.arm, str(run.seed), *cost, state(study, run))
            )
        header = ("run", "role", "task", "arm", "seed", "tokens", "time", "memory", "state")
        self._reporter.table(f"{study.kind} study {study.name}", header, rows)
        left = [run for run in study.runs if run.run is None]
        known = [run.estimate for run in left if run.estimate]
        seconds, tokens = sum(e.seconds for e in known), sum(e.tokens for e in known)
        several = f", {duration(seconds / min(jobs, max(1, len(left))))} with --jobs {jobs} at best" if jobs > 1 else ""
        if "looks" in study.settings:
            looks = ", ".join(f"{seeds} ({duration(_seconds(study.upto(seeds)))})" for seeds in study.planned_looks)
            self._reporter.note(f"judged at {looks} seeds, 5% over all looks; it ends at the first that leaves nothing open")
        quantizing = "; without quantizing" if any(run.config.quant != "none" for run in left) else ""
        self._reporter.note(
            f"{some(len(study.runs), 'run')}, {len(study.runs) - len(left)} finished; left are {some(tokens, 'token')}, "
            f"{duration(seconds)} one after another{several} (from a layer timed here{quantizing})"
        )
        if not (study.folder / STUDY).exists() and any(map(is_run, study.out.glob("*"))):
            self._reporter.note(f"finished runs of this plan in {study.out} are found when the study begins, not repeated")

    def report(self, study: Study, metrics: Mapping[str, str], kind: StudyKind) -> None:
        """Prints the runs with each task's primary metric, and the verdict in the words of the study's kind."""
        rows = []
        results: list[Result] = []
        due = study.due()
        for run in due:
            shown: Sequence[str] = ("", "", "")
            if run.run is not None:
                try:
                    result = read_result(study.out / run.run)
                    results.append(result)
                    tokens = sum(account.tokens for account in result.invariants.tokens.tasks.values())
                    scores = ", ".join(f"{task} {number(value)}" for task, value in _headlines(result, metrics))
                    shown = (f"{tokens:,}", scores, run.run)
                except BenchError as error:
                    shown = ("", error.message, run.run)
            rows.append((run.key, state(study, run), *shown))
        self._reporter.table(f"{study.kind} study {study.name}", ("run", "state", "tokens", "scores", "id"), rows)
        if any(result.synthetic for result in results):
            self.warn("SYNTHETIC data: not a result about the real corpora.")
        if below := below_dictionary(results):
            self.warn(below)
        if study.verdict is not None:
            self._verdict(study.verdict, kind)
            for sentence in about_looks(study, kind):
                self._reporter.note(sentence)
            drawn = all(config.train_resample is not None or config.shots for config in (run.config for run in study.runs))
            self._reporter.note(training_set(drawn))
        if study.finished():
            self._reporter.note(f"as a page: bench report {study.name} --runs {quote(str(study.out))}")

    def reviewed(self, study: Study, review: Review) -> None:
        """Prints what of a study is not as it was written, or that nothing tells."""
        if review.changed:
            more = f"bench verify {study.name} --out {quote(str(study.out))}"
            self.warn(f"CHANGED since it was written: {'; '.join(review.changed)}. What of it still holds: {more}")
        elif review.unjudged:
            self._reporter.note(f"The verdict is the one that was written; it cannot be judged again: {review.unjudged}")
        elif review.seal == "none":
            self._reporter.note(str(review))

    def overview(self, studies: Sequence[Study], out: Path) -> None:
        """Prints the studies of a folder, a row each: kind, finished runs, whether it has a verdict."""
        rows = [
            (
                study.name,
                study.kind,
                f"{len(study.finished())}/{len(study.due())}",
                "changed" if study.seal == "broken" else "yes" if study.judged else "no",
            )
            for study in studies
        ]
        if rows:
            self._reporter.table(f"studies of {out}", ("study", "kind", "finished", "verdict"), rows)
        else:
            self._reporter.note(f"There is no study in {out}; 'bench study --help' says how to begin one.")

    def _verdict(self, verdict: Mapping[str, Any], kind: StudyKind) -> None:
        with own_faults(kind, "telling the verdict"):
            statements, tables = kind.statements(verdict), kind.tables(verdict)
        for said in statements:
            text = f"[bold]{escape(said.subject)}[/]: {escape(said.verdict)}.  {escape(said.reason)}"
            self._reporter.line(text)
        for table in (table.compact() for table in tables):
            rows = [[shown(cell, column.kind) for cell, column in zip(row, table.columns, strict=True)] for row in table.rows]
            self._reporter.table(table.title, [column.label for column in table.columns], rows)

    def _table(self, study: Study, active: set[str]) -> Group:
        now = time.monotonic()
        order = {"running": 0, "failed": 1, "next": 2, "waiting": 3}
        rows = [(order[status], run, status) for run in study.due() if (status := state(study, run, active)) in order]
        rows.sort(key=lambda row: row[0])
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, expand=True)
        table.add_column("run", header_style="dim", no_wrap=True)
        table.add_column("state", header_style="dim")
        table.add_column("for", header_style="dim", justify="right")
        table.add_column("says", header_style="dim", no_wrap=True, overflow="ellipsis", ratio=1)
        for _, run, status in rows[:ROWS]:
            began = self._since.get(run.key)
            said = run.error or (last_line(study.folder / LOGS / f"{run.key}.log") if status == "running" else "")
            style = {"failed": "red", "running": "cyan"}.get(status, "dim")
            since = duration(now - began) if began else ""
            table.add_row(
                Text(run.key), Text(status, style=style), since, Text(line(said.splitlines()[0]) if said else "", style="dim")
            )
        done, failed = len(study.finished()), sum(run.error is not None and not run.refused for run in study.runs)
        due = study.due()
        more = f", {len(rows) - ROWS} more" if len(rows) > ROWS else ""
        wrong = f", [red]{failed} failed[/]" if failed else ""
        total = f"{done} of {len(due)} finished, {len(active)} running{wrong}{more}; {duration(now - self._began)}"
        return Group(table, Text.from_markup(f"{total}{self._left(study, active)}", style="bold"))

    def _left(self, study: Study, active: set[str]) -> str:
        """Time left, from estimates scaled by how long finished runs really took."""
        known = sum(estimated for _, estimated in self._seconds)
        if not known:
            return ""
        speed = sum(seconds for seconds, _ in self._seconds) / known
        left = sum(run.estimate.seconds for run in study.due() if run.run is None and run.estimate) * speed
        gone = sum(time.monotonic() - self._since[key] for key in active if key in self._since)
        return f", about {duration(max(0.0, left - gone) / max(1, len(active)))} left"


def state(study: Study, run: StudyRun, active: set[str] | None = None) -> str:
    """State of a run: finished, refused, failed, running, next or waiting."""
    if run.run is not None:
        return "finished"
    if run.refused:
        return "refused"
    if run.error is not None:
        return "failed"
    if active is not None and run.key in active:
        return "running"
    if study.ready(run):
        return "next"
    return "waiting"


def _seconds(study: Study) -> float:
    """Seconds of all runs one after another, as far as they are estimated."""
    return sum(run.estimate.seconds for run in study.runs if run.estimate)


def _headlines(result: Result, metrics: Mapping[str, str]) -> Iterator[tuple[str, float]]:
    """Yields each task and its primary metric on test, at the last stage."""
    for task, scores in result.scores.items():
        value = score_of(scores.last, metrics.get(task, result.headline.metric))
        if value is not None:
            yield task, value
