"""Several processes of one run: each computes its part of every update, and the first one alone owns the run's folder.

``accelerate launch`` starts the processes; each draws the same updates (the order is a function of seed and step), runs its
rows of every micro-batch, and takes the same optimizer step from the gradients of all. Messages go through the backend gloo, by
which a process that dies is noticed at once; gradients are added up through NCCL where every process has a GPU of its own.

All messages go through `Processes.exchange`, and gradients are only added up after an exchange in which no process failed. So
a failure reaches the other processes at their next exchange, wherever that is, and no process waits for a dead one.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from traceback import extract_tb
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar, cast

from bench.errors import BenchError, OutOfMemory, UsageError, out_of_memory

if TYPE_CHECKING:
    from torch import nn

    from bench.training.gradients import Group

T = TypeVar("T")

WAIT = timedelta(days=7)
"""How long a process waits for the others: as long as an evaluation on dev, or quantizing, can take."""
SUM = timedelta(minutes=10)
"""How long NCCL waits for the others' gradients, who are at the same place when it begins."""
_BUG = 70


class RelayedError(BenchError):
    """The error that ended another process of the run, and so this one.

    Args:
        failure: of the other.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message, failure.hint)
        self.exit_code = failure.exit_code


class LostError(BenchError):
    """Another process of the run died without an error message."""


@dataclass(frozen=True)
class Failure:
    """The error that a process sends in place of a value before it ends.

    Of any other error the message is its kind and place, for its own words could quote a corpus.
    """

    message: str
    hint: str | None
    exit_code: int

    @classmethod
    def of(cls, error: BaseException, index: int) -> Failure:
        """Of an error in the process of this index."""
        if isinstance(error, BenchError):
            return cls(error.message, error.hint, error.exit_code)
        if out_of_memory(error):
            return cls.of(OutOfMemory(f"in process {index}"), index)
        frames = extract_tb(error.__traceback__)[-4:]
        places = ", ".join(f"{'/'.join(Path(f.filename).parts[-3:])}:{f.lineno} in {f.name}" for f in frames)
        message = f"This is a bug in bench or in a plugin: {type(error).__name__} in process {index}, raised in {places}."
        return cls(message, "Please report this with the output of 'bench doctor'.", _BUG)


@dataclass
class Processes:
    """The processes of a run, as one of them sees them: its index, from 0, and their number.

    In a run of one process nothing is exchanged, and nothing waits.
    """

    index: int = 0
    count: int = 1
    _joined: bool = field(default=False, repr=False)
    _sums: Any = field(default=None, repr=False)
    """The group of processes in which gradients are added up on the GPUs; None: through the CPU, by the group of messages."""

    @property
    def main(self) -> bool:
        """Whether this one owns folder, journal, trackers, console, checkpoints and result."""
        return self.index == 0

    def exchange(self, value: T) -> list[T]:
        """Gathers the values of all processes, in their order, in every process; waits for the last.

        Args:
            value: picklable.

        Raises:
            RelayedError: another process failed since the last exchange.
            LostError: another process died.
        """
        if not self._joined:
            return [value]
        import torch.distributed as dist

        values: list[Any] = [None] * self.count
        with undisturbed(), self._listening():
            dist.all_gather_object(values, value)
        for answer in values:
            if isinstance(answer, Failure):
                raise RelayedError(answer)
        return values

    def from_main(self, work: Callable[[], T]) -> T:
        """The result of the first process's work, in every process; the others wait."""
        return self.exchange(work() if self.main else None)[0]  # type: ignore[return-value]

    def main_first(self, work: Callable[[], T]) -> T:
        """Each process's own work, the first process's before the others': it leaves files that they read."""
        if not self.main:
            self.exchange(None)
        done = work()
        if self.main:
            self.exchange(None)
        return done

    def first(self, value: T | None) -> T | None:
        """The first value that is not None, so that all processes act on what only one has noticed."""
        return next((answer for answer in self.exchange(value) if answer is not None), None)

    def share(self, blocks: Sequence[Sequence[int]], longest: int, load: list[int]) -> list[int]:
        """This process's rows of a micro-batch: each block of rows, kept together, goes to the process that has had least.

        A row has `longest` padded tokens; what is dealt here is added to `load`, those of every process in this update.
        """
        rows: list[int] = []
        for block in blocks:
            least = load.index(min(load))
            load[least] += longest * len(block)
            if least == self.index:
                rows += block
        return rows

    def add_gradients(self, parameters: Collection[nn.Parameter], groups: Sequence[Group], tasks: Collection[str]) -> None:
        """Adds up every process's share of an update's gradients; afterwards all hold the same, bit for bit.

        What no process reached keeps no gradient, so that Adam leaves it alone. Only after an `exchange`. Parameters come in a
        fixed order; the gradients of those that tasks share, the groups, were put aside task by task.
        """
        import torch
        import torch.distributed as dist

        shared = {p for group in groups for p in group.parameters}
        unshared = [p for p in parameters if p not in shared]
        aside = [(group, task, sum(p.numel() for p in group.parameters)) for group in groups for task in group.tasks]
        aside = [entry for entry in aside if entry[1] in tasks]
        reached = [p.grad is not None for p in unshared] + [at in g.reached for g in groups for at in range(len(g.parameters))]
        device = next(iter(parameters)).device
        pieces = [torch.zeros(p.numel(), device=device) if p.grad is None else p.grad.reshape(-1) for p in unshared]
        pieces += [group.aside.get(task, torch.zeros(size, device=device)) for group, task, size in aside]
        flat = torch.cat([*pieces, torch.tensor(reached, dtype=torch.float32, device=device)])
        flat = flat if self._sums is not None else flat.cpu()
        with self._listening():
            dist.all_reduce(flat, group=self._sums)
        *sums, flags = torch.split(flat.to(device), [len(piece) for piece in pieces] + [len(reached)])
        reached_by_any = [flag > 0 for flag in flags.tolist()]
        for parameter, gradient, reached_it in zip(unshared, sums, reached_by_any, strict=False):
            parameter.grad = gradient.view_as(parameter) if reached_it else None
        for group, task, _ in aside:
            group.aside.pop(task, None)  # so that all hold them in one order
        for (group, task, _), gradient in zip(aside, sums[len(unshared) :], strict=True):
            group.aside[task] = gradient
        start = len(unshared)
        for group in groups:
            group.reached = {at for at in range(len(group.parameters)) if reached_by_any[start + at]}
            start += len(group.parameters)

    def tensors(self, device: str) -> Any:
        """The group of processes in which tensors on a device, ``cpu`` or ``cuda``, are gathered.

        Raises:
            UsageError: processes share a GPU, or NCCL is not there.
        """
        import torch.distributed as dist

        if device == "cpu":
            return dist.group.WORLD
        if self._sums is None:
            raise UsageError("--shard needs a GPU for every process, and NCCL.", "Start fewer processes, or leave --shard out.")
        return self._sums

    def leave(self) -> None:
        """Leaves the group once all processes are here; the first process continues alone."""
        self.exchange(None)
        self._joined = False

    @contextmanager
    def _listening(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError:  # gloo's error for a connection whose other side is gone, or NCCL's that nobody came
            self._joined = False
            raise LostError(
                "Another process of this run is gone without a word: it was killed, or ran out of memory.",
                "Go on with 'bench run --resume RUN', launched the same way.",
            ) from None

    def _join(self, device: str) -> None:
        import torch
        from accelerate import PartialState

        if ":" in device:
            raise UsageError(
                f"--device {device} beside several processes: each of them takes a device of its own.",
                "Take --device cuda, and CUDA_VISIBLE_DEVICES to choose among the devices.",
            )
        cpu = device == "cpu" or not torch.cuda.is_available()
        PartialState(cpu=cpu, backend="gloo", timeout=WAIT)  # makes the process's own GPU the current one, too
        self._joined = True
        self._sums = None if cpu else self._on_gpus()
        if not self.main and threading.current_thread() is threading.main_thread():
            # The first process is asked to stop as well, and says when; training listens again.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def _on_gpus(self) -> Any:
        """A group that adds up through NCCL; None where it is not there, or where processes share a GPU, which it refuses."""
        import socket

        import torch
        import torch.distributed as dist

        devices = self.exchange((socket.gethostname(), torch.cuda.current_device()))
        if len({*devices}) < self.count or not dist.is_nccl_available():
            return None
        return dist.new_group(backend="nccl", timeout=SUM)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Handles SIGINT and SIGTERM after the block, which the other processes of the run go through to its end as well."""
    if threading.current_thread() is not threading.main_thread():  # signals are handled in the main thread alone
        yield
        return
    received: list[tuple[int, FrameType | None]] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    before = {number: handler for number, handler in before.items() if callable(handler)}
    for number in before:
        signal.signal(number, lambda number, frame: received.append((number, frame)))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    for raised, frame in received:
        cast("Callable[[int, FrameType | None], object]", before[signal.Signals(raised)])(raised, frame)


def launched(environ: Mapping[str, str] = os.environ) -> Processes:
    """This process as ``accelerate launch`` describes it; a single process where it was started otherwise. Imports nothing."""
    count = int(environ.get("WORLD_SIZE", "1"))
    return Processes(int(environ["RANK"]), count) if "LOCAL_RANK" in environ and count > 1 else Processes()


def started_alone(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether several processes were asked of ``accelerate launch --cpu``, which without MPI starts one and does not say so."""
    return "MASTER_PORT" in environ and "WORLD_SIZE" not in environ and environ.get("ACCELERATE_USE_CPU") == "True"


@contextmanager
def joined(device: str) -> Iterator[Processes]:
    """Joins the other processes for the length of the block; an error in one of them ends them all.

    Args:
        device: of the run; ``auto`` takes what there is.
    """
    processes = launched()
    if processes.count == 1:
        yield processes
        return
    processes._join(device)
    try:
        yield processes
    except Exception as error:
        with suppress(BenchError):
            if not isinstance(error, RelayedError):
                processes.exchange(Failure.of(error, processes.index))
        with suppress(BenchError):
            processes.exchange(None)  # no process exits before all have cleaned up: the launcher would kill the rest
        raise
    finally:
        processes._joined = False  # the connections stay: a script may begin another run
