"""The training stage of a run: updates, evaluations on dev, checkpoints, and stops that can be resumed."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from bench.data.phases import Phases
from bench.errors import Interrupted, OutOfMemory
from bench.invariants import checkpoint as checkpoints
from bench.reporting import Progress as Bar
from bench.reporting import Reporter, SilentProgress
from bench.tracking.journal import Journal
from bench.tracking.memory import MemoryWatch
from bench.training.loop import StepReport, Trainer
from bench.wording import some

PATIENCE = 3
"""Evaluations without a better score after which an unbudgeted run stops."""


@dataclass
class Progress:
    """The scores and costs of training so far; part of every checkpoint.

    Args:
        best: best mean selection metric on dev, the step it was seen at and the tokens until then.
        evaluations: one mapping an evaluation: step, tokens, and each task's selection metric.
        stale: evaluations since the best.
        seconds: spent training, evaluations and checkpoints left out.
        checkpoint_seconds: spent writing checkpoints.
        written: checkpoints written.
        stopped: why training ended before its tokens were spent.
        phases: of a schedule of several: before the first and after each, its tasks, the tokens until then, each task's
            selection metric on dev, and the training tokens that a penalty read.
    """

    best: dict[str, float] | None = None
    evaluations: list[dict[str, Any]] = field(default_factory=list)
    stale: int = 0
    seconds: float = 0.0
    checkpoint_seconds: float = 0.0
    written: int = 0
    stopped: str | None = None
    phases: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Intervals:
    """How many updates lie between checkpoints and between evaluations.

    With `early_stopping`, of runs without a budget, a stale score ends training. At `deadline`, a value of `time.monotonic`,
    the run saves and stops.
    """

    checkpoint_every: int
    eval_every: int
    early_stopping: bool
    deadline: float | None


def train(
    trainer: Trainer,
    progress: Progress,
    intervals: Intervals,
    root: Path,
    journal: Journal,
    evaluate: Callable[[Bar], Mapping[str, float]],
    memory: MemoryWatch,
    console: Reporter,
) -> None:
    """Runs updates until the budget is spent, the score no longer rises, or a stop is requested.

    Args:
        trainer: runs one update at a time.
        progress: continued in place.
        intervals: when things happen.
        root: folder of checkpoints.
        journal: gets an event for everything that happens.
        evaluate: each task's selection metric on dev, and their mean as ``mean``; given the bar of training.
        memory: watched every few updates.
        console: shows progress.

    Raises:
        Interrupted: after a checkpoint, on SIGINT, SIGTERM or at the deadline.
        StorageError: a checkpoint could not be written.
    """
    saved, longest, processes = trainer.step, 0.0, trainer.processes

    def save() -> None:
        nonlocal saved
        saved = trainer.step
        if not processes.main:
            return
        started = time.perf_counter()
        progress.written += 1  # the one that is being written included
        write_checkpoint(trainer, progress, root, journal.position)
        spent = time.perf_counter() - started
        progress.checkpoint_seconds += spent
        journal.write("checkpoint", trainer.step, seconds=spent)

    phases = trainer.sampler if isinstance(trainer.sampler, Phases) else None
    if phases is not None and not progress.phases:
        note_phase(progress, trainer, evaluate(SilentProgress()), (), 0, journal)
    sampler = trainer.sampler
    with stop_requests() as signals, console.progress("training", sampler.budget, "tokens", sampler.tokens) as bar:
        while not trainer.sampler.done and not progress.stopped:
            round_started, started = time.monotonic(), time.perf_counter()
            before = trainer.micro_batch
            try:
                report = trainer.run_update()
            except MemoryError as error:
                raise OutOfMemory(f"at update {trainer.step + 1}: {error}") from None
            progress.seconds += time.perf_counter() - started
            if trainer.micro_batch != before:
                message = (
                    f"Out of memory at update {report.step}: micro-batches now hold "
                    f"{some(trainer.micro_batch, 'padded token')}."
                )
                console.warn(message)
                journal.write("warning", report.step, message=message, micro_batch=trainer.micro_batch)
            bar.advance(report.tokens, loss=f"{sum(report.loss.values()) / len(report.loss):.3f}")
            journal.write(
                "step",
                report.step,
                loss=report.loss,
                gradient_norm=report.gradient_norm,
                lr=report.lr,
                micro_batches=report.micro_batches,
                ledger=trainer.ledger.state(),
                tokens_per_second=trainer.ledger.tokens / max(progress.seconds, 1e-9),
                **between_tasks(report),
            )
            memory.observe(report.step)
            ended = phases is not None and phases.ended > len(progress.phases) - 1  # the first row is from before all phases
            if ended or report.step % intervals.eval_every == 0 or trainer.sampler.done:
                scores = evaluate(bar)
                better = note_scores(progress, scores, trainer, journal)
                if phases is not None and ended:
                    tasks = tuple(phases.phases[len(progress.phases) - 1].shares)
                    note_phase(progress, trainer, scores, tasks, trainer.end_phase(tasks, last=phases.done), journal)
                if better:
                    save()
                elif intervals.early_stopping and progress.stale >= PATIENCE:
                    progress.stopped = f"no better score on dev in {PATIENCE} evaluations"
            why = f"on {signals[0]}" if signals else None
            # Stops before the deadline: another round as long as the longest so far must still fit.
            longest = max(longest, time.monotonic() - round_started)
            if why is None and intervals.deadline is not None and time.monotonic() + longest >= intervals.deadline:
                why = "at --max-hours"
            if (why := processes.first(why)) is not None:
                stop(trainer, saved, save, why)
            if saved != trainer.step and report.step % intervals.checkpoint_every == 0:
                save()
        if saved != trainer.step or progress.stopped:
            save()


def between_tasks(report: StepReport) -> dict[str, dict[str, float]]:
    """Optional figures of an update: tasks' weights, cosines of their gradients, a penalty, an arm's own, the loss scale."""
    cosines = {f"{a} {b}": cosine for (a, b), cosine in report.cosines.items()}
    penalty = {} if report.penalty is None else {"value": report.penalty}
    kinds = {"weight": report.weights, "cosine": cosines, "penalty": penalty, "observed": report.observed}
    kinds["loss_scale"] = report.loss_scale
    return {name: values for name, values in kinds.items() if values}


def stop(trainer: Trainer, saved: int, save: Callable[[], None], why: str) -> None:
    """Saves a checkpoint where there is none of this step, and ends the run so that it can be resumed."""
    if saved != trainer.step:
        save()
    raise Interrupted(
        f"Stopped {why} after update {trainer.step}; its checkpoint is saved.", "Go on with: bench run --resume {run}"
    )


def note_scores(progress: Progress, scores: Mapping[str, float], trainer: Trainer, journal: Journal) -> bool:
    """Records an evaluation; returns whether it is the best so far (the first of equals)."""
    tokens = trainer.ledger.tokens
    progress.evaluations.append({"step": trainer.step, "tokens": tokens, "scores": dict(scores)})
    journal.write("eval", trainer.step, split="dev", tokens=tokens, scores=dict(scores))
    better = progress.best is None or scores["mean"] > progress.best["score"]
    if better:
        progress.best = {"score": scores["mean"], "step": trainer.step, "tokens": tokens}
    progress.stale = 0 if better else progress.stale + 1
    return better


def note_phase(
    progress: Progress, trainer: Trainer, scores: Mapping[str, float], tasks: Sequence[str], read: int, journal: Journal
) -> None:
    """Records every task's score before the first phase, or at the end of one."""
    row = {"tasks": list(tasks), "step": trainer.step, "tokens": trainer.ledger.tokens, "scores": dict(scores), "read": read}
    progress.phases.append(row)
    journal.write("phase", trainer.step, **{name: value for name, value in row.items() if name != "step"})


def write_checkpoint(trainer: Trainer, progress: Progress, root: Path, position: int) -> None:
    """Saves everything that a resumed run needs."""
    tensors, others = checkpoints.random_state()
    checkpoint = checkpoints.Checkpoint(
        step=trainer.step,
        model=trainer.model.state(),
        optimizer=trainer.optimizer_state(),
        random=tensors,
        state={
            "trainer": trainer.state(),
            "progress": vars(progress),
            "random": others,
            "journal": position,
            "micro_batch": trainer.micro_batch,
        },
    )
    checkpoints.save(root, checkpoint, best=int(progress.best["step"]) if progress.best else None)


def restore(trainer: Trainer, checkpoint: checkpoints.Checkpoint) -> Progress:
    """Puts a checkpoint back, bit for bit."""
    trainer.model.load_state(checkpoint.model)
    trainer.restore_optimizer(checkpoint.optimizer)
    trainer.restore(checkpoint.state["trainer"])
    checkpoints.set_random_state(checkpoint.random, checkpoint.state["random"])
    return Progress(**checkpoint.state["progress"])


@contextmanager
def interruptible() -> Iterator[None]:
    """Outside training, where there is nothing to save, SIGINT and SIGTERM end the run at once, and it can be resumed.

    Raises:
        Interrupted: one of them came.
    """
    import threading

    def end(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt(signal.Signals(number).name)

    main = threading.current_thread() is threading.main_thread()  # only the main thread may set signal handlers
    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)} if main else {}
    try:
        yield
    except KeyboardInterrupt as interrupt:
        raise Interrupted(
            f"Stopped on {interrupt or 'SIGINT'}; what was saved before is whole.", "Go on with: bench run --resume {run}"
        ) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def stop_requests() -> Iterator[list[str]]:
    """Collects SIGINT and SIGTERM while an update runs; a second SIGINT ends the process at once."""
    received: list[str] = []

    def note(number: int, frame: FrameType | None) -> None:
        received.append(signal.Signals(number).name)
        if len(received) > 1 and number == signal.SIGINT:
            raise KeyboardInterrupt

    import threading

    if threading.current_thread() is not threading.main_thread():  # only the main thread may set signal handlers
        yield received
        return
    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
