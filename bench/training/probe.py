"""How much memory a micro-batch takes: measured in a fresh process on CPU, by the allocator's peak on CUDA.

``python -m bench.training.probe`` reads the path of a specification from standard input and builds the run's model; then it
answers each line (padded tokens) with one line of JSON: the bytes that forward, backward and optimizer step added to what the
process held, at their peak.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from bench.errors import BenchError
from bench.peak import peak_since_reset, reset_peak

if TYPE_CHECKING:
    from bench.training.loop import Trainer

Rows = Mapping[str, tuple[Mapping[str, Any], Sequence[Mapping[str, Any]], Sequence[int] | None]]
"""Task to its longest example, its examples in an update, and the unit of each where a unit has several examples."""

ALLOWANCE = 1.12
"""Memory of updates of varying shapes over that of one probed update; 1.11 and 1.14 were measured."""
_spare: list[subprocess.Popen[str]] = []


def prepare() -> None:
    """Starts a child that imports what a probe needs while this process does the same and reads the corpora; see `discard`."""
    if not _spare:
        _spare.append(_spawn())


def discard() -> None:
    """Ends the child that `prepare` started, where no probe took it."""
    while _spare:
        _end(_spare.pop())


class Probe:
    """Asks a child process; larger sizes go to the same one, a smaller one to a fresh one, since a peak never falls.

    The child reads `spec` (see `serve`) from `path`. What this process holds, `resident` bytes, is added to what it measures.
    """

    def __init__(self, spec: Mapping[str, Any], path: Path, resident: int) -> None:
        path.write_text(json.dumps(spec), encoding="utf-8")
        self._path = path
        self._resident = resident
        self._child: subprocess.Popen[str] | None = None
        self._largest = 0

    def __call__(self, padded: int) -> int | None:
        """Peak bytes this process would reach with micro-batches of so many padded tokens; None where the child died of it."""
        if self._child is None or padded < self._largest:
            self.close()
            self._child = _spare.pop() if _spare else _spawn()
            _send(self._child, str(self._path.resolve()))
        self._largest = padded
        _send(self._child, str(padded))
        _, stdout = _pipes(self._child)
        answer = stdout.readline()
        if not answer:
            code = self._child.wait()
            self.close()
            if code in (-9, 137):  # the kernel kills a process that takes too much memory
                return None
            raise BenchError(f"The memory probe ended with exit code {code}.", "Give --micro-batch by hand.")
        added = json.loads(answer)["added"]
        return None if added is None else self._resident + int(added)

    def close(self) -> None:
        """Ends the child without waiting: it holds no state."""
        if self._child is not None:
            _end(self._child)
            self._child = None


def _spawn() -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "bench.training.probe"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def _send(child: subprocess.Popen[str], line: str) -> None:
    stdin, _ = _pipes(child)
    with suppress(BrokenPipeError):  # a missing answer means that the child died
        stdin.write(f"{line}\n")
        stdin.flush()


def _end(child: subprocess.Popen[str]) -> None:
    child.kill()
    child.wait()
    for pipe in _pipes(child):
        with suppress(BrokenPipeError):
            pipe.close()


def _pipes(child: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
    if child.stdin is None or child.stdout is None:
        raise BenchError("The memory probe has no pipes.")
    return child.stdin, child.stdout


def serve(spec: Mapping[str, Any], lines: Sequence[str] | IO[str], out: IO[str]) -> None:
    """The child's side.

    Args:
        spec: what `bench.training.build.rebuilt` takes, ``rows`` (`Rows`), ``precision``, ``pad``, ``threads``, ``schedule``,
            ``schedule_options``, ``teachers``, ``gradient_checkpointing`` and ``optimizer``.
        lines: padded tokens, one a line.
        out: answers, one a line.
    """
    import psutil
    import torch

    from bench.errors import out_of_memory
    from bench.registry import load
    from bench.training.build import rebuilt, restored_heads, teachers
    from bench.training.loop import Device, return_freed_memory
    from bench.training.optimizers import make_optimizer

    torch.set_num_threads(spec["threads"])
    registry = load()
    device = Device("cpu", spec["precision"])
    model = rebuilt(spec, registry, device)
    schedule = registry.get("schedules", spec["schedule"])
    model.learns(schedule.objective(spec["schedule_options"], teachers(spec["teachers"], registry, device)))
    model.checkpoint(spec["gradient_checkpointing"])
    heads = restored_heads(spec, registry)
    parameters = list(model.all_trainable().values())
    optimizer = make_optimizer(parameters, 0.0, spec["optimizer"])
    resident = psutil.Process().memory_info().rss
    for line in lines:
        try:
            return_freed_memory()
            reset_peak()
            heaviest_step(model, heads, spec["rows"], int(line), device, spec["pad"], optimizer)
            added: int | None = int(ALLOWANCE * (peak_since_reset() - resident))
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            added = None
        out.write(json.dumps({"added": added}) + "\n")
        out.flush()


def heaviest_step(model: Any, heads: Mapping[str, Any], rows: Rows, padded: int, device: Any, pad: int, optimizer: Any) -> None:
    """An update of the run, cut at so many padded tokens, then each task's longest example as often as fits; a step at rate 0.

    Both, because what micro-batches of ever other shapes free is not all there for the next: the largest alone would promise
    less memory than training takes, and no update need hold the largest.
    """
    import numpy as np

    from bench.data.batches import micro_batches
    from bench.data.cache import collate

    model.train()
    for task, (longest, examples, units) in rows.items():
        lengths = np.array([len(row["input_ids"]) for row in examples], dtype=np.int64)
        parts = micro_batches(range(len(examples)), lengths, padded, None if units is None else np.array(units))
        full = [longest] * max(1, padded // len(longest["input_ids"]))
        for batch in (*([examples[i] for i in part] for part in parts), full):
            with device.autocast():
                loss = model.loss(task, device.move(collate(batch, heads[task], pad)))
            (loss * 0).backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def cuda_probe(trainer: Trainer, heads: Mapping[str, Any], rows: Rows) -> Callable[[int], int | None]:
    """A probe for `bench.invariants.batch.search` that reads the CUDA allocator's peak in this process."""
    import torch

    from bench.errors import out_of_memory
    from bench.training.optimizers import make_optimizer

    model, device = trainer.model, trainer.device

    def probe(padded: int) -> int | None:
        state = model.state()
        optimizer = make_optimizer(list(model.all_trainable().values()), 0.0, trainer.optimizer_name)
        torch.cuda.reset_peak_memory_stats(device.name)
        try:
            heaviest_step(model, heads, rows, padded, device, trainer.pad, optimizer)
            return int(torch.cuda.max_memory_reserved(device.name))
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            return None
        finally:
            model.load_state(state)
            model.zero_grad(set_to_none=True)
            del optimizer
            torch.cuda.empty_cache()

    return probe


def main() -> None:
    """Answers on the process's standard output; what libraries print is dropped."""
    from bench.modeling.noise import import_heavy

    answers = os.fdopen(os.dup(1), "w")
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    import_heavy()
    if path := sys.stdin.readline().strip():
        serve(json.loads(Path(path).read_text(encoding="utf-8")), sys.stdin, answers)


if __name__ == "__main__":
    main()
