"""The memory watch: records current and peak memory at regular steps, and warns if memory keeps growing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bench.peak import peak_of_process
from bench.tracking.journal import Journal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_BLOCKS = 4
_LEAST_BYTES = 16 << 20
_LEAST_SHARE = 0.02
_LEAST_SCATTERS = 10


class MemoryWatch:
    """Writes a ``memory`` event to the journal every `every` steps, and warns once, in one line, if memory grows steadily.

    On CUDA it is the allocator's memory, elsewhere the process's resident size; `read` gives other current and peak bytes.
    The first `warm_up` samples are ignored, while caches fill; growth is tested over `window` samples.
    """

    def __init__(
        self,
        device: str,
        journal: Journal,
        warn: Callable[[str], None],
        every: int = 50,
        warm_up: int = 4,
        window: int = 16,
        read: Callable[[], tuple[int, int]] | None = None,
    ) -> None:
        self._journal, self._warn, self._every, self._warm_up, self._window = journal, warn, every, warm_up, window
        self._read = read or reader(device)
        self._samples: list[tuple[int, int]] = []
        self._seen = 0
        self._grows_since: int | None = None

    def observe(self, step: int) -> dict[str, Any] | None:
        """Takes a sample if one is due after so many updates.

        Returns:
            ``current`` and ``peak`` in bytes, and ``grows_since`` (a step) once memory grows; None where no sample was due.
        """
        if step % self._every:
            return None
        current, peak = self._read()
        self._seen += 1
        if self._seen > self._warm_up:
            self._samples.append((step, current))
        values: dict[str, Any] = {"current": current, "peak": peak}
        growing = False
        if self._grows_since is None:
            self._grows_since = grows_since(self._samples, self._window)
            growing = self._grows_since is not None
        if self._grows_since is not None:
            values["grows_since"] = self._grows_since
        self._journal.write("memory", step, **values)
        if growing:
            began = next(size for at, size in self._samples if at >= (self._grows_since or 0))
            self._warn(
                f"Memory has grown steadily since step {self._grows_since}: "
                f"{began / 2**20:,.0f} MiB then, {current / 2**20:,.0f} MiB at step {step}. "
                f"Something keeps tensors or text alive."
            )
        return values


def grows_since(samples: list[tuple[int, int]], window: int = 16) -> int | None:
    """The step where steady growth began, or None where there is none, from (step, bytes) in order, after warm-up.

    Growth is steady if two conditions hold. A Theil-Sen line through the last `window` samples (8 or more) rises by at least
    2%, by 16 MiB and by ten times the scatter about it, which excludes noise. And of four blocks, each one's median rises over
    that of the block before by at least half the mean rise, which excludes a plateau, a single jump and a rise that levels
    off. Windows of twice and four times the length are tested too: they show a slow leak in much noise.
    """
    for length in (window, 2 * window, 4 * window):
        if len(samples) >= length and _steady(samples[-length:]):
            return _bend(samples[-16 * window :], window)
    return None


def _steady(samples: list[tuple[int, int]]) -> bool:
    import numpy as np  # not at the top: the entry points of plugins import this package

    steps, sizes = np.array(samples, dtype=float).T
    slope, level = _theil_sen(steps, sizes)
    rise = slope * (steps[-1] - steps[0])
    scatter = 1.4826 * float(np.median(np.abs(sizes - slope * steps - level)))
    if rise < max(_LEAST_BYTES, _LEAST_SHARE * float(np.median(sizes)), _LEAST_SCATTERS * scatter):
        return False
    gaps = np.diff([np.median(block) for block in np.array_split(sizes, _BLOCKS)])
    return bool(gaps.min() >= 0.5 * gaps.mean())


def _theil_sen(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
    import numpy as np

    i, j = np.triu_indices(len(x), 1)
    slope = float(np.median((y[j] - y[i]) / (x[j] - x[i])))
    return slope, float(np.median(y - slope * x))


def _bend(samples: list[tuple[int, int]], window: int) -> int:
    """The step of the bend in a fit to the samples that is constant before it and linear after it."""
    import numpy as np

    steps, sizes = np.array(samples, dtype=float).T
    best, at = np.inf, steps[0]
    for bend in range(len(steps) - window // 2):
        ramp = np.column_stack([np.ones_like(steps), np.maximum(0.0, steps - steps[bend])])
        error = float(np.abs(sizes - ramp @ np.linalg.lstsq(ramp, sizes, rcond=None)[0]).sum())
        if error < best:
            best, at = error, steps[bend]
    return int(at)


def reader(device: str) -> Callable[[], tuple[int, int]]:
    """A function that gives current and peak bytes, of the CUDA allocator or of this process's resident memory."""
    if device.startswith("cuda"):
        import torch

        return lambda: (torch.cuda.memory_allocated(device), torch.cuda.max_memory_allocated(device))
    import psutil

    process = psutil.Process()
    peak = 0

    def resident() -> tuple[int, int]:
        nonlocal peak
        current = int(process.memory_info().rss)
        # The kernel's two counters are read at different moments and differ in precision.
        peak = max(peak, current, peak_of_process())
        return current, peak

    return resident
