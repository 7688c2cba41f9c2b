"""The frozen base model in equal parts over the processes of a run, put together a layer at a time during a pass.

Each process holds its part of every weight (FSDP2, `torch.distributed.fsdp.fully_shard`). What is trained stays whole in every
process. Before a layer is put together the processes meet in `Processes.exchange`, so that one that failed or died is noticed
there and nobody waits for it.

A pass needs all processes. Where the first one works alone, in the gates and in evaluation, it announces every pass and the
others go through it as well; what they compute is not used.

Source: Zhao et al. 2023, "PyTorch FSDP", arXiv 2304.11277.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

import torch
from torch import Tensor, nn

from bench.api.architecture import ArchitectureModule
from bench.errors import OutOfMemory
from bench.training.processes import Processes, undisturbed

if TYPE_CHECKING:
    from bench.training.loop import Device
    from bench.training.model import TaskModel

T = TypeVar("T")
_GATHER = "gather"


@dataclass(frozen=True)
class _Forward:
    """A pass that the first process begins: its arguments on the CPU, and the modes it runs in."""

    task: str
    input_ids: Tensor
    attention_mask: Tensor
    gradients: bool
    training: bool


@dataclass(frozen=True)
class _Backward:
    """The first process goes back through the last pass."""


class _Announced(torch.autograd.Function):
    """Hidden states as they are; on the way back the other processes are told first."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, tell: Callable[[], object]) -> Tensor:
        ctx.tell = tell
        return hidden.view_as(hidden)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        ctx.tell()
        return grads[0], None


class Shards:
    """The parts of the base model, as one process sees them. It is also the communication that FSDP2 gathers them by.

    Args:
        processes: that hold a part each.
        device: of the run.

    Raises:
        UsageError: processes share a GPU, or NCCL is not there.
    """

    def __init__(self, processes: Processes, device: Device) -> None:
        from torch.distributed.device_mesh import DeviceMesh

        self._processes, self._device = processes, device
        self._leading = False
        kind = device.name.partition(":")[0]
        self._mesh = DeviceMesh.from_group(processes.tensors(kind), kind)

    def split(self, adapted: ArchitectureModule) -> None:
        """Keeps this process's part of every weight of the base model, on the run's device; the model was on the CPU.

        Args:
            adapted: the base model with adapters, which stay as they are.
        """
        from torch.distributed.fsdp import fully_shard

        backbone = adapted.backbone
        stored = {tensor.data_ptr() for tensor in adapted.state().values()}  # what a checkpoint holds stays whole
        kept = {parameter for parameter in backbone.parameters() if parameter.data_ptr() in stored}
        for module in (*layers(backbone), backbone):
            place = type(module).__module__
            sharded = fully_shard(module, mesh=self._mesh, reshard_after_forward=True, ignored_params=kept)
            sharded.set_custom_all_gather(cast(Any, self))
            type(module).__module__ = place  # transformers looks there for what kinds of attention a model has
        outer = cast(nn.Module, adapted)
        outer.register_forward_pre_hook(self._announce)
        outer.register_forward_hook(self._announce_back)

    def from_main(self, model: TaskModel, work: Callable[[], T]) -> T:
        """The result of the first process's work with the model, in every process; the others follow it through every pass."""
        if not self._processes.main:
            return cast(T, self._follow(model))
        self._leading = True
        try:
            done = work()
        finally:
            self._leading = False
        return self._processes.exchange(done)[0]

    def allocate(self, size: Any, *, dtype: torch.dtype, device: torch.device) -> Tensor:
        """Memory that a layer is put together in."""
        return torch.empty(*size, dtype=dtype, device=device)

    def __call__(self, output_tensor: Tensor, input_tensor: Tensor, group: Any, async_op: bool = False) -> Any:
        """Puts a layer together from the parts of all processes, once every one of them is here.

        Raises:
            RelayedError: another process failed.
            LostError: another process died.
            OutOfMemory: the first process gave up a pass, to try a smaller one.
        """
        import torch.distributed as dist

        with undisturbed():
            if any(answer != _GATHER for answer in self._processes.exchange(_GATHER)):
                raise OutOfMemory("while the base model is sharded", "Give --micro-batch a smaller number.")
            return dist.all_gather_into_tensor(output_tensor, input_tensor, group=group, async_op=async_op)

    def _announce(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        if self._leading:
            task, ids, mask = args
            self._processes.exchange(_Forward(task, ids.cpu(), mask.cpu(), torch.is_grad_enabled(), module.training))

    def _announce_back(self, module: nn.Module, args: tuple[Any, ...], hidden: Tensor) -> Tensor:
        if not (self._leading and hidden.requires_grad):
            return hidden
        return cast(Tensor, cast(Any, _Announced).apply(hidden, lambda: self._processes.exchange(_Backward())))

    def _follow(self, model: TaskModel) -> object:
        """Goes through every pass that the first process announces; what it exchanges at the end."""
        hidden: Tensor | None = None
        while True:
            order: object = self._processes.exchange(None)[0]
            if isinstance(order, _Forward):
                batch = self._device.move({"input_ids": order.input_ids, "attention_mask": order.attention_mask})
                model.train(order.training)
                with torch.set_grad_enabled(order.gradients), self._device.autocast():
                    hidden = model.hidden(order.task, batch)
            elif isinstance(order, _Backward) and hidden is not None:
                torch.autograd.backward(hidden, torch.zeros_like(hidden))
                hidden = None
                model.zero_grad(set_to_none=True)
            else:
                return order


def layers(backbone: nn.Module) -> list[nn.Module]:
    """The layers of a base model: what its outermost lists of modules hold."""
    found: list[nn.Module] = []
    for child in backbone.children():
        found += list(child) if isinstance(child, nn.ModuleList) else layers(child)
    return found
