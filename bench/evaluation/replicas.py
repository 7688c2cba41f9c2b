"""Batches of an evaluation side by side on a CPU: each core has a batch and a copy of the model to itself.

The operations of a small model are too short to be cut over cores: on 25,613 tokens of synthetic notes (minilm-l6, two cores of
a Xeon) one thread took 3.1 s, two threads inside every operation 2.5 s, two batches side by side 1.8 s, and all predicted the
same, bit for bit. A copy shares every weight; only its modules are its own, since a pass switches adapters in them.
"""

from __future__ import annotations

import copy
import gc
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from threading import Barrier
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

Model = TypeVar("Model", bound=nn.Module)
Item = TypeVar("Item")
Done = TypeVar("Done")

MOST = 4
"""Batches at once at most: more cores than that share the operations of each."""
EXTRA = 64 * 2**20
"""Bytes of tensors that are no weights which a copy may hold of its own."""
_PLAIN = (str, bytes, int, float, complex, bool, type(None), type, ModuleType, BuiltinFunctionType, torch.dtype, torch.device)


def side_by_side(
    model: Model, device: str, work: Callable[[Model, Item], Done], items: Iterable[Item]
) -> Iterator[tuple[Item, Done]]:
    """Each item with what `work` makes of it by the model or a copy, in the order of the items.

    One after the other where there is one core, on any device but a CPU, and where a copy could not stand by itself.

    Args:
        model: in evaluation mode.
        device: where it is.
        work: called with a model and an item, for several items at a time; must not change what models share.
        items: taken one at a time, a few ahead.
    """
    cores = torch.get_num_threads()
    models = [model]
    while device == "cpu" and len(models) < min(cores, MOST) and (replica := copied(model)) is not None:
        models.append(replica)
    if len(models) == 1:
        yield from ((item, work(model, item)) for item in items)
        return
    free = deque(models)
    started = Barrier(len(models))

    def start() -> None:
        torch.get_num_threads()  # a thread takes the global number when it first asks, and would do so later
        torch.set_num_threads(cores // len(models))
        started.wait()

    def run(item: Item) -> Done:
        own = free.popleft()
        try:
            return work(own, item)
        finally:
            free.append(own)

    pool = ThreadPoolExecutor(len(models))
    try:
        for begun in [pool.submit(start) for _ in models]:
            begun.result()
        torch.set_num_threads(cores)  # what a thread sets is the global number, too
        ahead: deque[tuple[Item, Future[Done]]] = deque()
        for item in items:
            ahead.append((item, pool.submit(run, item)))
            if len(ahead) > len(models):
                first, future = ahead.popleft()
                yield first, future.result()
        for first, future in ahead:
            yield first, future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def copied(model: Model) -> Model | None:
    """A copy with the very same parameters and buffers; None where passes of the two could meet elsewhere."""
    shared: dict[int, Tensor] = {id(tensor): tensor for tensor in chain(model.parameters(), model.buffers())}
    try:
        replica = copy.deepcopy(model, dict(shared))
    except Exception:  # whatever a plugin's module says of being copied
        return None
    return replica if _stands_alone(replica, {id(module) for module in model.modules()}, shared) else None


def _stands_alone(replica: nn.Module, originals: set[int], shared: Mapping[int, Tensor]) -> bool:
    """Whether nothing of a copy leads back to the original, or to what passes of both could change.

    Copying leaves a function as it is, and so a hook may still hold the original, or what it keeps from pass to pass.
    """
    seen: set[int] = set()
    held = 0
    waiting: list[Any] = [replica]
    while waiting:
        item = waiting.pop()
        if isinstance(item, _PLAIN) or id(item) in shared or id(item) in seen:
            continue
        if id(item) in originals:
            return False
        seen.add(id(item))
        if isinstance(item, Tensor):
            held += item.nbytes
        elif isinstance(item, FunctionType):
            if not all(isinstance(cell.cell_contents, _PLAIN) for cell in item.__closure__ or ()):
                return False
        else:
            waiting += gc.get_referents(item)
    return held <= EXTRA
