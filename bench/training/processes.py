"""Several processes at one run: each computes its part of every update, and the first one alone owns the run's folder.

``accelerate launch`` starts the processes; each draws the same updates (the order is a function of seed and step), runs its
rows of every micro-batch, and takes the same optimizer step from the gradients of all. They talk over gloo, on a GPU as well:
an adapter's gradients are small, and a process that dies is noticed at once.

Whatever they say to one another goes through `Processes.exchange`, and a gradient only follows an exchange in which nobody
failed. So a failure of one reaches the others at their next exchange, wherever that is, and no process waits for a dead one.
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
from typing import TYPE_CHECKING, Any, TypeVar

from bench.errors import BenchError, UsageError

if TYPE_CHECKING:
    from torch import nn

    from bench.training.gradients import Group

T = TypeVar("T")

WAIT = timedelta(days=7)
"""How long a process waits for the others: as long as an evaluation on dev, or quantizing, can take."""
_BUG = 70


class RelayedError(BenchError):
    """What ended another process of the run, and so this one."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message, failure.hint)
        self.exit_code = failure.exit_code


class LostError(BenchError):
    """Another process of the run is gone without a word."""


@dataclass(frozen=True)
class Failure:
    """What a process says in place of anything else before it ends: message, hint and exit code of a `BenchError`.

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
        frames = extract_tb(error.__traceback__)[-4:]
        places = ", ".join(f"{'/'.join(Path(f.filename).parts[-3:])}:{f.lineno} in {f.name}" for f in frames)
        message = f"This is a bug in bench or in a plugin: {type(error).__name__} in process {index}, raised in {places}."
        return cls(message, "Please report this with the output of 'bench doctor'.", _BUG)


@dataclass
class Processes:
    """The processes of a run, as one of them, counted from 0, sees them.

    A run of one process has nobody to talk to, and nothing waits.
    """

    index: int = 0
    count: int = 1
    _joined: bool = field(default=False, repr=False)

    @property
    def main(self) -> bool:
        """Whether this one owns folder, journal, trackers, console, checkpoints and result."""
        return self.index == 0

    def exchange(self, value: T) -> list[T]:
        """Everybody's value, which pickle can take, in order, to everybody; waits for the last.

        Raises:
            RelayedError: another process failed since the last exchange.
            LostError: another process died.
        """
        if not self._joined:
            return [value]
        import torch.distributed as dist

        found: list[Any] = [None] * self.count
        with self._listening():
            dist.all_gather_object(found, value)
        for one in found:
            if isinstance(one, Failure):
                raise RelayedError(one)
        return found

    def from_main(self, work: Callable[[], T]) -> T:
        """What the first process's work gives, to everybody; the others wait."""
        return self.exchange(work() if self.main else None)[0]  # type: ignore[return-value]

    def main_first(self, work: Callable[[], T]) -> T:
        """Everybody's own work, the first process's before the others': it leaves files that they find."""
        if not self.main:
            self.exchange(None)
        done = work()
        if self.main:
            self.exchange(None)
        return done

    def first(self, value: T | None) -> T | None:
        """The first value that is not None, so that all act alike on what only one has noticed."""
        return next((one for one in self.exchange(value) if one is not None), None)

    def share(self, blocks: Sequence[Sequence[int]], longest: int, load: list[int]) -> list[int]:
        """This process's rows of a micro-batch: each block of rows, kept together, goes to the process that has had least.

        A row has `longest` padded tokens; what is dealt here is added to `load`, those of every process in this update.
        """
        own: list[int] = []
        for block in blocks:
            least = load.index(min(load))
            load[least] += longest * len(block)
            if least == self.index:
                own += block
        return own

    def add_gradients(self, parameters: Collection[nn.Parameter], groups: Sequence[Group], tasks: Collection[str]) -> None:
        """Adds up what every process has found of an update's gradients; afterwards all hold the same, bit for bit.

        What no process reached keeps no gradient, so that Adam leaves it alone. Only after an `exchange`. Parameters come in a
        fixed order; the gradients of those that tasks share, the groups, were put aside task by task.
        """
        import torch
        import torch.distributed as dist

        shared = {p for group in groups for p in group.parameters}
        own = [p for p in parameters if p not in shared]
        aside = [(group, task, sum(p.numel() for p in group.parameters)) for group in groups for task in group.tasks]
        aside = [one for one in aside if one[1] in tasks]
        reached = [p.grad is not None for p in own] + [at in g.reached for g in groups for at in range(len(g.parameters))]
        device = next(iter(parameters)).device
        pieces = [torch.zeros(p.numel(), device=device) if p.grad is None else p.grad.reshape(-1) for p in own]
        pieces += [group.aside.get(task, torch.zeros(size, device=device)) for group, task, size in aside]
        flat = torch.cat([*pieces, torch.tensor(reached, dtype=torch.float32, device=device)]).cpu()
        with self._listening():
            dist.all_reduce(flat)
        *sums, flags = torch.split(flat.to(device), [len(piece) for piece in pieces] + [len(reached)])
        anyone = [flag > 0 for flag in flags.tolist()]
        for parameter, found, there in zip(own, sums, anyone, strict=False):
            parameter.grad = found.view_as(parameter) if there else None
        for group, task, _ in aside:
            group.aside.pop(task, None)  # so that all hold them in one order
        for (group, task, _), found in zip(aside, sums[len(own) :], strict=True):
            group.aside[task] = found
        start = len(own)
        for group in groups:
            group.reached = {at for at in range(len(group.parameters)) if anyone[start + at]}
            start += len(group.parameters)

    def leave(self) -> None:
        """Parts once everybody is here; what follows is the first process's alone."""
        self.exchange(None)
        self._joined = False

    @contextmanager
    def _listening(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError:  # gloo's word for a connection that has no other side any more
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
        if not self.main and threading.current_thread() is threading.main_thread():
            # The first process is asked to stop as well, and says when; training listens again.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)


def launched(environ: Mapping[str, str] = os.environ) -> Processes:
    """What ``accelerate launch`` says of this process; a process alone where it was started otherwise. Imports nothing."""
    count = int(environ.get("WORLD_SIZE", "1"))
    return Processes(int(environ["RANK"]), count) if "LOCAL_RANK" in environ and count > 1 else Processes()


def started_alone(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether several processes were asked of ``accelerate launch --cpu``, which without MPI starts one and does not say so."""
    return "MASTER_PORT" in environ and "WORLD_SIZE" not in environ and environ.get("ACCELERATE_USE_CPU") == "True"


@contextmanager
def joined(device: str) -> Iterator[Processes]:
    """Joins the other processes while the block lasts; whatever ends one of them ends them all."""
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
            processes.exchange(None)  # nobody goes before all have put their things away: the launcher would kill the rest
        raise
    finally:
        processes._joined = False  # the connections stay: a script may begin another run
