"""Invariant 5, checkpoints: written aside, synced, renamed, and marked whole by a manifest of SHA-256 sums.

Safetensors and JSON only; the frozen base model is never in one.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.durable import sync
from bench.errors import RunStateError, StorageError
from bench.modeling.files import read_sha256

if TYPE_CHECKING:
    from torch import Tensor

MANIFEST = "manifest.json"
PARTS = ("model.safetensors", "optimizer.safetensors", "random.safetensors", "state.json")
"""Adapters, fusion and heads; the optimizer's moments; random states; sampler, schedule, ledger and the rest."""


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds.

    Args:
        step: updates done.
        model: trainable tensors by name.
        optimizer: optimizer tensors by name.
        random: random states of torch (and of every CUDA device) as byte tensors.
        state: JSON-able rest: sampler, ledger, best score, Python's and NumPy's random states.
    """

    step: int
    model: Mapping[str, Tensor]
    optimizer: Mapping[str, Tensor]
    random: Mapping[str, Tensor]
    state: Mapping[str, Any]


def folder_of(root: Path, step: int) -> Path:
    """Where the checkpoint of a step stands."""
    return root / f"step-{step:08d}"


def save(root: Path, checkpoint: Checkpoint, keep: int = 2, best: int | None = None) -> Path:
    """Writes a checkpoint whole or not at all, then drops older ones but the newest `keep` and that of the step `best`.

    Raises:
        StorageError: the disk is full or cannot be written; earlier checkpoints are untouched.
    """
    from safetensors.torch import save_file

    target = folder_of(root, checkpoint.step)
    aside = root / f".writing-{checkpoint.step:08d}"
    with whole_or_nothing(aside, f"checkpoint at update {checkpoint.step}"):
        aside.mkdir(parents=True)
        for name, tensors in (("model", checkpoint.model), ("optimizer", checkpoint.optimizer), ("random", checkpoint.random)):
            contiguous = {key: tensor.detach().contiguous().cpu() for key, tensor in tensors.items()}
            save_file(contiguous, aside / f"{name}.safetensors")
        (aside / "state.json").write_text(json.dumps(checkpoint.state), encoding="utf-8")
        sums = {name: {"sha256": read_sha256(aside / name), "bytes": (aside / name).stat().st_size} for name in PARTS}
        manifest = {"version": 1, "step": checkpoint.step, "parts": sums}
        (aside / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
        for name in (*PARTS, MANIFEST):
            sync(aside / name)
        sync(aside)
        _discard(target)  # the same step again, after a resume from an older one
        aside.rename(target)
        sync(root)
    prune(root, keep, best)
    return target


@contextmanager
def whole_or_nothing(aside: Path, what: str) -> Iterator[None]:
    """Removes a half-written folder when writing fails, and raises an error of one line."""
    shutil.rmtree(aside, ignore_errors=True)
    try:
        yield
    except BaseException as error:
        shutil.rmtree(aside, ignore_errors=True)
        # safetensors reports a full disk as its own error, with the system's message in it.
        if isinstance(error, OSError) or type(error).__name__ == "SafetensorError":
            reason = getattr(error, "strerror", None) or str(error)
            raise StorageError(
                f"The {what} could not be written: {reason}. What was saved before is whole.",
                "Make room, then go on with 'bench run --resume RUN'.",
            ) from None
        raise


def prune(root: Path, keep: int, best: int | None) -> None:
    """Leaves the newest `keep` checkpoints and the best one."""
    saved = steps(root)
    for step in saved[:-keep]:
        if step != best:
            with suppress(OSError):
                _discard(folder_of(root, step))


def _discard(folder: Path) -> None:
    """Removes a checkpoint; killed half-way, what is left does not look like one that lacks parts."""
    if folder.exists():
        aside = folder.with_name(f".writing-old-{folder.name}")
        shutil.rmtree(aside, ignore_errors=True)
        folder.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)


def steps(root: Path) -> list[int]:
    """Steps that have a checkpoint, whole or not, in ascending order."""
    return sorted(int(p.name[5:]) for p in root.glob("step-*") if p.name[5:].isdigit())


def load(root: Path, step: int) -> Checkpoint:
    """Reads one checkpoint after checking every sum.

    Raises:
        RunStateError: a part is missing. That is no damage which an older checkpoint would repair in silence.
        DamagedError: the manifest or a part is not what was written.
    """
    from safetensors.torch import load_file

    folder = folder_of(root, step)
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        parts = {name: (part["bytes"], part["sha256"]) for name, part in manifest["parts"].items()}
        if manifest["step"] != step:
            raise ValueError("another checkpoint's manifest")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise DamagedError(f"{folder.name} has no readable manifest") from None
    missing = [name for name in PARTS if name not in parts or not (folder / name).exists()]
    if missing:
        raise RunStateError(
            f"Checkpoint {folder.name} lacks {', '.join(missing)}; without it training would silently start anew in part.",
            f"Put it back, or remove {folder} to resume from the checkpoint before.",
        )
    for name in PARTS:
        if ((folder / name).stat().st_size, read_sha256(folder / name)) != parts[name]:
            raise DamagedError(f"{folder.name}/{name} is damaged")
    return Checkpoint(
        step=step,
        model=load_file(folder / "model.safetensors"),
        optimizer=load_file(folder / "optimizer.safetensors"),
        random=load_file(folder / "random.safetensors"),
        state=json.loads((folder / "state.json").read_text(encoding="utf-8")),
    )


class DamagedError(RunStateError):
    """A checkpoint that is not what was written; the one before it serves."""


def newest(root: Path, warn: Callable[[str], None]) -> Checkpoint | None:
    """The newest whole checkpoint; None where there is none at all.

    Args:
        root: folder of the run's checkpoints.
        warn: called for every damaged one that is passed over.

    Raises:
        RunStateError: a part is missing, or all checkpoints are damaged.
    """
    saved = steps(root)
    for step in reversed(saved):
        try:
            return load(root, step)
        except DamagedError as damaged:
            warn(f"{damaged.message}; the checkpoint before it is taken.")
    if saved:
        raise RunStateError(
            f"No checkpoint below {root} is whole.",
            "Start the run again with '--replicate N' or another --out.",
        )
    return None


def clear_unfinished(root: Path) -> None:
    """Removes what a killed process left half-written."""
    for leftover in root.glob(".writing-*"):
        shutil.rmtree(leftover, ignore_errors=True)


def random_state() -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Random states: torch's as byte tensors, Python's and NumPy's as JSON."""
    import random

    import numpy as np
    import torch

    tensors = {"torch": torch.get_rng_state()}
    if torch.cuda.is_available():
        tensors |= {f"cuda{i}": state for i, state in enumerate(torch.cuda.get_rng_state_all())}
    version, internal, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state()
    return tensors, {
        "python": [version, list(internal), gauss],
        "numpy": [name, np.asarray(keys).tolist(), position, has_gauss, cached],
    }


def set_random_state(tensors: Mapping[str, Tensor], others: Mapping[str, Any]) -> None:
    """Puts back what `random_state` took."""
    import random

    import numpy as np
    import torch

    torch.set_rng_state(tensors["torch"])
    cuda: Sequence[Tensor] = [tensors[f"cuda{i}"] for i in range(sum(k.startswith("cuda") for k in tensors))]
    if cuda:
        torch.cuda.set_rng_state_all(cuda)
    version, internal, gauss = others["python"]
    random.setstate((version, tuple(internal), gauss))
    name, keys, position, has_gauss, cached = others["numpy"]
    np.random.set_state((name, np.array(keys, dtype=np.uint32), position, has_gauss, cached))
