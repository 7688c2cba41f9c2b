"""The device of a run. ``cuda:1`` is one device: measurements, probes and synchronization name it explicitly."""

from __future__ import annotations

import os
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.errors import UsageError, unknown


def kind(device: str) -> str:
    """The kind of a device, e.g. ``cuda`` of ``cuda:1``."""
    return device.partition(":")[0]


def check_name(device: str) -> None:
    """Refuses a name that is no device, whether this machine has it or not; torch is not imported.

    Raises:
        UsageError: it is neither ``auto``, ``cpu``, ``cuda`` nor ``cuda:N``.
    """
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", device):
        raise unknown("device", device, ("auto", "cpu", "cuda"), "bench doctor")


def cpu_alone(device: str) -> bool:
    """Whether a run surely computes on the CPU, told without torch; False where it takes torch to know.

    Args:
        device: as it was asked for.
    """
    drivers = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")  # of NVIDIA, of either in a Windows subsystem, of AMD
    none = sys.platform == "darwin" or (sys.platform == "linux" and not any(Path(path).exists() for path in drivers))
    return device == "cpu" or (device == "auto" and none)


def resolve_device(device: str) -> str:
    """``cuda`` where there is one, else ``cpu``.

    Raises:
        UsageError: it is no device, or CUDA was asked for and is not there, or has no device of that number.
    """
    import torch

    check_name(device)
    cuda = torch.cuda.is_available()
    if device == "auto":
        return "cuda" if cuda else "cpu"
    if not device.startswith("cuda"):
        return device
    if not cuda:
        raise UsageError(f"--device {device}, but torch finds no CUDA device.", "Run 'bench doctor'.")
    _, _, index = device.partition(":")
    count = torch.cuda.device_count()
    if index and int(index) >= count:
        raise UsageError(f"--device {device}, but torch finds {count} CUDA devices, from cuda:0.", "Run 'bench doctor'.")
    return device


@contextmanager
def deterministic(device: str) -> Iterator[None]:
    """Takes CUDA's deterministic kernels while the block lasts, wherever there are some; a CPU needs none.

    What cuBLAS and flash attention read from the environment is set once a process, before CUDA is used; a value of the user's
    own is kept.
    """
    if kind(device) != "cuda":
        yield
        return
    import torch

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    os.environ.setdefault("FLASH_ATTENTION_DETERMINISTIC", "1")  # transformers hands it to flash-attn
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    settings: Any = torch.utils.deterministic
    fill = settings.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True, warn_only=True)
    settings.fill_uninitialized_memory = False  # finds bugs of others, and costs a pass over all memory
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*does not have a deterministic implementation")
            yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        settings.fill_uninitialized_memory = fill


@contextmanager
def current(device: str) -> Iterator[None]:
    """Makes a numbered device the current one, for kernels of libraries that know no other, while the block lasts."""
    if ":" not in device:
        yield
        return
    import torch

    with torch.cuda.device(device):
        yield
