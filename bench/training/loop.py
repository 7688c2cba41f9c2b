"""One update after another: gradient accumulation normalised over the whole update, rate as a function of tokens."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar
from zlib import crc32

import numpy as np
import torch
from torch import Tensor

from bench.api.schedule import Penalty
from bench.data.batches import Sampler, Update, blocks, evenly, micro_batches
from bench.data.cache import collate
from bench.data.phases import Phases
from bench.errors import DivergedError, out_of_memory
from bench.invariants.tokens import Ledger, Tally, operations
from bench.modeling.scaling import LossScale
from bench.results.invariants import Account
from bench.training import gradients, optimizers, weighting
from bench.training.devices import kind
from bench.training.model import TaskData, TaskModel
from bench.training.processes import Processes
from bench.training.sharding import Shards
from bench.wording import some

T = TypeVar("T")

WARM_UP = 0.06
"""Share of the planned tokens over which the rate rises."""
CLIP = 1.0
"""Largest gradient norm."""
TRIM_EVERY = 10
"""Updates after which freed memory goes back to the system, on CPU."""
FISHER_WINDOWS = 200
"""Training windows of a task that a penalty looks at, at most."""
_PENALTY = "penalty/"
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
"""Precision to the dtype of the frozen base model and of matrix products."""


@dataclass(frozen=True)
class Device:
    """Where to compute, ``cpu`` or ``cuda``, with or without an index, and in what precision, one of `DTYPES`."""

    name: str
    precision: str

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of the frozen base model."""
        return DTYPES[self.precision]

    def autocast(self) -> AbstractContextManager[Any]:
        """Adapters and heads stay in fp32; matrix products run in the precision."""
        return nullcontext() if self.precision == "fp32" else torch.autocast(kind(self.name), dtype=self.dtype)

    def move(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The batch on the device, to a GPU through pinned memory: the host goes on while it is copied."""
        if kind(self.name) == "cuda":
            batch = {name: tensor.pin_memory() for name, tensor in batch.items()}
        return {name: tensor.to(self.name, non_blocking=True) for name, tensor in batch.items()}


@dataclass(frozen=True)
class Shape:
    """What the operation count needs of the model: layers, hidden size, and weights that are multiplied with and not trained.

    `active` maps a task to the trained parameters that its batches multiply with. `forward` names the tasks of which heads
    alone are trained, so that no gradient goes back through the base model.
    """

    frozen: int
    active: Mapping[str, int]
    layers: int
    hidden: int
    forward: frozenset[str] = frozenset()


@dataclass(frozen=True)
class StepReport:
    """What one update did.

    Args:
        step: updates done, this one included.
        loss: task to its mean loss over the update's supervised positions.
        gradient_norm: before clipping.
        lr: learning rate used.
        tokens: marked tokens of the update.
        micro_batches: how many it was cut into.
        weights: task to the weight of its loss, where weights are trained.
        cosines: pair of tasks to the cosine of their gradients over what they share.
        penalty: the schedule's penalty before the update; None where it has none.
        observed: what the architecture says of the last batch.
        loss_scale: of fp16, the ``value`` it was computed with, and ``repeated``, how many updates so far overflowed.
    """

    step: int
    loss: dict[str, float]
    gradient_norm: float
    lr: float
    tokens: int
    micro_batches: int
    weights: dict[str, float]
    cosines: dict[gradients.Pair, float]
    penalty: float | None = None
    observed: dict[str, float] = field(default_factory=dict)
    loss_scale: dict[str, float] = field(default_factory=dict)


_Accumulated = tuple[dict[str, float], dict[str, Account], int]
"""Mean losses and ledger entries by task, and micro-batches."""
_Computed = tuple[dict[str, float], dict[str, Account], int, dict[gradients.Pair, float]]
"""The same, and the cosines of pairs of tasks."""


@dataclass
class Trainer:
    """Runs updates. Holds everything that a checkpoint must hold.

    Args:
        model: what is trained.
        data: task to its data.
        sampler: which examples come next.
        ledger: entered after every update.
        tally: what the base model sees.
        device: where and in what precision.
        lr: peak learning rate.
        micro_batch: padded tokens of a micro-batch at most.
        pad: id of the padding token.
        shape: for the operation count.
        loss_weighting: of tasks; with one task there is nothing to weigh.
        merging: of the tasks' gradients over what they share.
        seed: of the order of projections.
        processes: that share every update.
        shards: of the base model; None where every process holds it whole.
        loss_weights: task to what its loss is multiplied by; 1 where it is not there.
        penalty: of the schedule, added to the loss; None for most.
        optimizer_name: of the optimizer.
    """

    model: TaskModel
    data: Mapping[str, TaskData]
    sampler: Sampler | Phases
    ledger: Ledger
    tally: Tally
    device: Device
    lr: float
    micro_batch: int
    pad: int
    shape: Shape
    loss_weighting: weighting.Kind = "equal"
    merging: gradients.Kind = "plain"
    seed: int = 0
    processes: Processes = field(default_factory=Processes)
    shards: Shards | None = None
    loss_weights: Mapping[str, float] = field(default_factory=dict)
    penalty: Penalty | None = None
    step: int = 0
    optimizer_name: optimizers.Name = "adamw"
    optimizer: torch.optim.Optimizer = field(init=False)

    def __post_init__(self) -> None:
        tasks = self.model.tasks
        trainable = self.model.all_trainable()
        self.parameters = tuple(trainable.values())
        self.optimizer = optimizers.make_optimizer(self.parameters, self.lr, self.optimizer_name)
        self.scale = LossScale(kind(self.device.name), self.device.precision)
        self.uncertainty: weighting.Uncertainty | None = None
        if self.loss_weighting == "uncertainty" and len(tasks) > 1:
            self.uncertainty = weighting.Uncertainty(tasks)
            weights = self.uncertainty.parameters()
            # Decay would pull towards equal weights.
            self.optimizer.add_param_group({"params": list(weights.values()), "weight_decay": 0.0})
            trainable |= weights
        self.named = trainable
        self.shared = gradients.SharedGradients({t: self.model.trainable(t) for t in tasks}, self.merging, self.seed)

    def rate(self, tokens: int) -> float:
        """Learning rate once `tokens` have been seen: a linear rise, then a cosine to zero.

        Source: Loshchilov & Hutter 2017, arXiv 1608.03983.
        """
        start, length = self.sampler.span
        done = min(1.0, max(0, tokens - start) / length)
        if done < WARM_UP:
            return self.lr * (done + 0.01) / (WARM_UP + 0.01)
        return self.lr * 0.5 * (1 + math.cos(math.pi * (done - WARM_UP) / (1 - WARM_UP)))

    def run_update(self) -> StepReport:
        """Draws and runs the next update.

        Raises:
            DivergedError: a loss or a gradient that is not finite.
            InvariantError: the base model saw other tokens than the ledger.
            MemoryError: not even one example fits.
        """
        before = self.sampler.tokens
        drawn = self.sampler.draw()
        rate = self.rate(before)
        losses, entries, count, cosines = self._gradients(drawn)
        penalty = None if self.penalty is None else self.penalty.add_gradients(self.named)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        norm = float(torch.nn.utils.clip_grad_norm_([p for p in self.parameters if p.grad is not None], CLIP))
        if not math.isfinite(norm):
            tasks = ", ".join(t for t, v in losses.items() if not math.isfinite(v))
            what = f"the loss of {tasks}" if tasks else "the gradient"
            raise DivergedError(
                f"At update {self.step + 1} {what} is not a finite number; the learning rate is {self.lr:g}.",
                "Lower --lr" + (", or try --precision fp32." if self.device.precision != "fp32" else "."),
                {"update": self.step + 1, "loss": losses, "gradient_norm": norm, "lr": rate},
            )
        weights = {}
        if self.uncertainty is not None:
            weights = {task: self.uncertainty.weight(task) for task in losses}
            self.uncertainty.set_gradients(losses)
        loss_scale = {"value": self.scale.value, "repeated": self.scale.repeated} if self.scale.state() else {}
        self.scale.step(self.optimizer)
        # None, not zero: Adam's momentum would move the adapters of tasks outside the update.
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        self.tally.check(self.step)
        self.ledger.enter(entries)
        self.shared.note(cosines)
        if self.device.name == "cpu" and self.step % TRIM_EVERY == 0:
            return_freed_memory()
        return StepReport(
            self.step, losses, norm, rate, drawn.tokens, count, weights, cosines, penalty, self.model.adapted.observed(),
            loss_scale,
        )  # fmt: skip

    def _gradients(self, drawn: Update) -> _Computed:
        """`_attempt` until the update fits into memory and, in fp16, its gradients into their range; its tokens count once."""
        while True:
            before, devices = torch.get_rng_state(), _cuda_states()
            if (done := self._attempt(drawn)) is None:
                longest = max(int(self.data[t].splits["train"].lengths[list(e)].max()) for t, e in drawn.examples.items())
                if self.micro_batch <= longest:
                    raise MemoryError(f"one example of {some(longest, 'token')} does not fit into memory")
                self.micro_batch = max(longest, self.micro_batch // 2)
            elif not all(map(math.isfinite, done[0].values())) or self.scale.settled(self.optimizer):
                return done
            else:
                _put_back(before, devices)
            self.tally.reset()

    def _attempt(self, drawn: Update) -> _Computed | None:
        """`_accumulate` and the cosines of pairs of tasks, or None where memory ran out, in whichever process.

        The random state is then as it was, so that the update can be cut smaller.
        """
        before, devices = torch.get_rng_state(), _cuda_states()
        agreed = False
        try:
            accumulated = self._accumulate(drawn)
            agreed = self.processes.count > 1
            if self._add_up(accumulated[0]):
                return *accumulated, self.shared.merge(drawn.step)
        except (MemoryError, RuntimeError) as error:
            if agreed or not out_of_memory(error):
                raise
            if self.shards is not None:  # the others are within a pass, which cannot be begun again
                raise MemoryError("a micro-batch does not fit, and a sharded base model does not try smaller ones") from None
            self.processes.exchange(None)
        _put_back(before, devices)
        if devices:
            torch.cuda.empty_cache()
        return None

    def _add_up(self, losses: dict[str, float]) -> bool:
        """Adds what the other processes have computed of the update; False where one of them ran out of memory."""
        if self.processes.count == 1:
            return True
        parts = [part for part in self.processes.exchange((losses, self.tally.counts)) if part is not None]
        if len(parts) < self.processes.count:
            return False
        for task in losses:
            losses[task] = sum(part[task] for part, _ in parts)
        self.tally.add_up(counts for _, counts in parts)
        self.processes.add_gradients(self.parameters, self.shared.groups, losses)
        return True

    def _accumulate(self, drawn: Update) -> _Accumulated:
        """Gradients of this process's part of one update: the mean over its tasks of each task's weighted mean loss.

        The ledger's entries are those of the whole update.
        """
        if not self.processes.main:
            # The first process's stream is the run's and stands in checkpoints; nothing of bench draws from the others'.
            torch.manual_seed(crc32(f"{self.seed} {drawn.step} {self.processes.index}".encode()))
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        self.shared.begin()
        losses: dict[str, float] = {}
        entries: dict[str, Account] = {}
        count, load = 0, [0] * self.processes.count
        for task, examples in drawn.examples.items():
            split = self.data[task].splits["train"]
            supervised = max(1, int(split.supervised[list(examples)].sum()))
            entry = entries[task] = Account(supervised=supervised, examples=len(examples), updates=1)
            adapted = self.model.adapted
            passes = adapted.passes(task)
            weight = self.loss_weights.get(task, 1.0) if self.uncertainty is None else self.uncertainty.weight(task)
            total = 0.0
            units = self.sampler.units.get(task)
            again = self.ledger.accounts[task].examples >= len(split)  # noise is only for windows that were seen before
            for part in micro_batches(examples, split.lengths, self.micro_batch, units):
                marked, longest = int(split.lengths[list(part)].sum()), int(split.lengths[list(part)].max())
                if rows := self.processes.share(blocks(part, units), longest, load):
                    batch = collate(split.take(rows), self.data[task].head, self.pad, longest)
                    if again:
                        batch["noise"] = self._noise(drawn.step, task, rows)
                    batch = self.device.move(batch)
                    self.tally.expect(adapted.entering(task, int(split.lengths[list(rows)].sum()), len(rows)))
                    with self.device.autocast():
                        loss = self.model.loss(task, batch) / supervised
                    self.scale.backward(loss * weight / len(drawn.examples))
                    total += float(loss.detach())
                elif self.shards is not None:
                    self._take_part(task, part[0])
                positions = longest * len(part)
                entry.tokens += marked
                entry.padded += positions - marked
                shape, whole = self.shape, longest + adapted.virtual_tokens
                entry.flops += operations(
                    whole * len(part), whole, shape.frozen, shape.active[task], passes, shape.layers, shape.hidden,
                    backward=task not in shape.forward,
                )  # fmt: skip
                count += 1
            self.shared.take(task)
            losses[task] = total
        return losses, entries, count

    def _take_part(self, task: str, example: int) -> None:
        """A pass with one example and gradients of zero, for the other processes need this one's part of the base model."""
        split = self.data[task].splits["train"]
        batch = self.device.move(collate(split.take([example]), self.data[task].head, self.pad))
        self.tally.expect(self.model.adapted.entering(task, int(split.lengths[example]), 1))
        with self.device.autocast():
            hidden = self.model.hidden(task, batch)
        if hidden.requires_grad:
            torch.autograd.backward(hidden, torch.zeros_like(hidden))

    def from_main(self, work: Callable[[], T]) -> T:
        """The result of the first process's work with the model, in every process."""
        return self.processes.from_main(work) if self.shards is None else self.shards.from_main(self.model, work)

    def _noise(self, step: int, task: str, examples: Sequence[int]) -> Tensor:
        """A seed for each window of an update, (windows,)."""
        return torch.tensor([crc32(f"{self.seed} {step} {task} {example}".encode()) for example in examples])

    def end_phase(self, tasks: Sequence[str], last: bool) -> int:
        """Lets the penalty look at the weights at the end of a phase; returns how many training tokens were read for it.

        Tells how many training tokens it had read for it.
        """
        read = 0

        def squared(task: str) -> Mapping[str, Tensor]:
            nonlocal read
            squares, tokens = self.squared_gradients(task)
            read += tokens
            return squares

        if self.penalty is not None and not last:
            self.penalty.phase_ended(tasks, self.named, squared)
        self.tally.reset()  # what was read is no training token
        return read

    def squared_gradients(self, task: str, windows: int = FISHER_WINDOWS) -> tuple[dict[str, Tensor], int]:
        """The mean over single training windows of the squared gradient of a task's loss of a window, and the tokens read.

        The loss of a window is the mean over its supervised positions, as in an update. Gold labels stand for draws from the
        model ("empirical Fisher"). At most `windows` are read, evenly spread over those with a supervised position.
        """
        split = self.data[task].splits["train"]
        able = np.flatnonzero(split.supervised > 0)
        chosen = able[evenly(len(able), windows)].tolist()
        weights = self.model.trainable(task)
        squares = {name: torch.zeros_like(weight) for name, weight in weights.items()}
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            self.model.train()
            for index in chosen:
                batch = self.device.move(collate(split.take([index]), self.data[task].head, self.pad))
                with self.device.autocast():
                    loss = self.model.loss(task, batch) / int(split.supervised[index])
                self.scale.backward(loss)
                for name, weight in weights.items():
                    if weight.grad is not None:
                        squares[name].addcmul_(weight.grad, weight.grad, value=1 / len(chosen) / self.scale.value**2)
                self.optimizer.zero_grad(set_to_none=True)
        return squares, int(split.lengths[chosen].sum())

    def optimizer_state(self) -> dict[str, Tensor]:
        """Adam's moments and step counts by the names of the parameters, and what a penalty keeps."""
        state = self.optimizer.state
        penalty = {} if self.penalty is None else {f"{_PENALTY}{name}": value for name, value in self.penalty.state().items()}
        return penalty | {
            f"{name}/{key}": value
            for name, parameter in self.named.items()
            for key, value in optimizers.kept(state.get(parameter, {})).items()
        }

    def restore_optimizer(self, tensors: Mapping[str, Tensor]) -> None:
        """Puts back an `optimizer_state`."""
        self.optimizer.state.clear()
        if self.penalty is not None:
            penalty = {name[len(_PENALTY) :]: value for name, value in tensors.items() if name.startswith(_PENALTY)}
            self.penalty.load_state({name: value.to(self.device.name) for name, value in penalty.items()})
        states: dict[str, dict[str, Tensor]] = {}
        for full, value in tensors.items():
            if not full.startswith(_PENALTY):
                name, key = full.rsplit("/", 1)
                states.setdefault(name, {})[key] = value
        for name, state in states.items():
            optimizers.put_back(self.optimizer, self.named[name], state)

    def state(self) -> dict[str, Any]:
        """The JSON-able part of the state."""
        return {
            "step": self.step,
            "sampler": self.sampler.state(),
            "ledger": self.ledger.state(),
            "shared": self.shared.state(),
            "weighting": self.uncertainty.state() if self.uncertainty is not None else {},
            "loss_scale": self.scale.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Puts back a `state`."""
        self.step = state["step"]
        self.sampler.restore(state["sampler"])
        self.ledger.restore(state["ledger"])
        self.shared.restore(state["shared"])
        if self.uncertainty is not None:
            self.uncertainty.restore(state["weighting"])
        self.scale.restore(state.get("loss_scale", {}))  # of an older checkpoint there is none

    def free(self) -> None:
        """Lets go of the model and of all that trains it, once nothing more is trained; what was counted stays."""
        self.tally.close()
        del self.model, self.optimizer, self.parameters, self.named, self.shared
        self.penalty = None


def return_freed_memory() -> None:
    """Gives freed memory back to the system where the C library can.

    glibc keeps what micro-batches of ever other shapes have freed, in pieces.
    """
    import ctypes

    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def reclaim(device: str) -> None:
    """Gives the memory of models that nobody refers to any more back, before the next one is loaded.

    Modules refer to one another in circles, which wait for Python's collector.

    Args:
        device: ``cpu`` or ``cuda``, with or without an index.
    """
    gc.collect()
    return_freed_memory()
    if device != "cpu":
        torch.cuda.empty_cache()


def _put_back(state: Tensor, devices: list[Tensor]) -> None:
    """Restores the random states of the CPU and of CUDA devices."""
    torch.set_rng_state(state)
    if devices:
        torch.cuda.set_rng_state_all(devices)


def _cuda_states() -> list[Tensor]:
    return torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
