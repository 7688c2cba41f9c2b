"""Energy by the counters that the hardware keeps; nothing is estimated, and where there is no counter there is no figure.

On CUDA the device's own counter, read through NVML (package ``nvidia-ml-py``), which counts whatever else runs on that device.
On a CPU Linux's powercap counters of whole packages (RAPL), which most systems let only root read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from bench.results.evidence import EnergyUse

POWERCAP = Path("/sys/class/powercap")


@dataclass
class Energy:
    """The energy that a block of code used.

    Args:
        source: ``nvml`` or ``rapl``; None where no counter can be read.
        joules: None without a source, and until the block is done.
    """

    source: str | None = None
    joules: float | None = None


@contextmanager
def metered(device: str) -> Iterator[Energy]:
    """Measures a block.

    Args:
        device: ``cpu`` or ``cuda``, with or without an index.
    """
    meter = _nvml(device) if device.startswith("cuda") else _rapl()
    energy = Energy()
    before = None if meter is None else meter()
    yield energy
    after = None if meter is None else meter()
    if before is not None and after is not None and after >= before:  # a counter that wrapped around gives no figure
        energy.source, energy.joules = "nvml" if device.startswith("cuda") else "rapl", after - before


def _nvml(device: str) -> Callable[[], float | None] | None:
    try:
        import torch

        pynvml: Any = import_module("pynvml")
        pynvml.nvmlInit()
        identity = str(torch.cuda.get_device_properties(device).uuid)
        handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{identity.removeprefix('GPU-')}")
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except Exception:  # no package, no driver, a device without the counter: NVML has an error class for each
        return None

    def joules() -> float | None:
        try:
            torch.cuda.synchronize(device)
            return float(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1e3
        except Exception:
            return None

    return joules


def _rapl() -> Callable[[], float | None] | None:
    # Packages alone (intel-rapl:0): their parts (intel-rapl:0:0) are counted in them.
    counters = [path / "energy_uj" for path in sorted(POWERCAP.glob("*-rapl:*")) if path.name.count(":") == 1]

    def joules() -> float | None:
        try:
            return sum(int(path.read_text()) for path in counters) / 1e6
        except (OSError, ValueError):
            return None

    return joules if counters and joules() is not None else None


def energy_use(energy: Energy, tokens: int) -> EnergyUse | None:
    """The energy of a block, in all and per token; None where nothing was measured.

    Args:
        energy: of a block.
        tokens: marked tokens that the block read.
    """
    if energy.joules is None:
        return None
    return EnergyUse(energy.source, energy.joules, tokens, 1000 * energy.joules / tokens if tokens else None)
