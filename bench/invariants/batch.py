"""Invariant 4, batch: the largest micro-batch that keeps the peak within 85% of the limit, found by probing.

It decides only how an update is cut; the loss is normalised over the whole update, so the science stays what the config says.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

from bench.errors import InvariantError
from bench.results.display import size
from bench.results.invariants import BatchReport
from bench.wording import some

TARGET = 0.85
"""Share of the limit that the peak may reach."""
AIM = 0.80
"""Share that the search aims at: what is measured later varies by a few hundredths."""
PROBES = 8
"""At most."""


def search(probe: Callable[[int], int | None], longest: int, update: int, limit: int) -> BatchReport:
    """The largest micro-batch within 85% of the limit.

    Memory grows linearly in the number of examples, so each probe goes where the line through the last two points meets the
    aim; the sizes ascend while they fit, since a process's peak never falls.

    Args:
        probe: padded tokens to the peak in bytes that forward, backward and optimizer step reach, or None out of memory.
        longest: tokens of the longest example the data has.
        update: padded tokens that a whole update needs; never more than this is tried.
        limit: bytes.

    Raises:
        InvariantError: not even one example fits; names the smallest limit that would do.
    """
    most = max(1, -(-update // longest))
    tried: dict[int, int | None] = {}

    def peak(examples: int) -> int | None:
        if examples not in tried:
            tried[examples] = probe(examples * longest)
        return tried[examples]

    def fits(examples: int) -> bool:
        reached = peak(examples)
        return reached is not None and reached <= TARGET * limit

    if not fits(1):
        need = tried[1]
        smallest = f"at least {size(_rounded_up(need / TARGET))}" if need is not None else f"more than {size(limit)}"
        raise InvariantError(
            "batch",
            f"one example of {some(longest, 'token')} needs {smallest} of memory; the limit is {size(limit)}.",
            "Give --memory-limit more, or lower --max-length.",
        )
    low, high = 1, most + 1  # low fits, high does not (or is more than an update needs)
    while low < most and high - low > 1 and len(tried) < PROBES:
        guess = min(_next(tried, low, limit), most)
        if guess >= high:
            guess = (low + high) // 2
        if guess <= low:
            break
        if fits(guess):
            low = guess
            if tried[guess] is not None and tried[guess] >= AIM * limit:  # type: ignore[operator]
                break
        else:
            high = guess
    return BatchReport(
        micro_batch=low * longest,
        limit=limit,
        peak=tried[low],
        binds="update" if low == most else "memory",
        longest=longest,
        probes=[(examples * longest, reached) for examples, reached in tried.items()],
    )


def _next(tried: dict[int, int | None], low: int, limit: int) -> int:
    """How many examples to try next: where the line through the two largest fitting points meets the aim.

    After the first, as many as would fit if all that the process holds grew with them, which it does not.
    """
    points = sorted((n, p) for n, p in tried.items() if p is not None and n <= low)
    if len(points) < 2:
        return max(low + 1, int(AIM * limit * low / max(1, points[0][1])))
    (n0, p0), (n1, p1) = points[-2:]
    slope = max((p1 - p0) / (n1 - n0), 1.0)
    return max(low + 1, int(n1 + (AIM * limit - p1) / slope))


def cpu_limit(asked: int | None, resident: int, others: int = 0) -> int:
    """The least of the cgroup's limit, the memory available, and `--memory-limit`, in bytes.

    Args:
        asked: `--memory-limit`.
        resident: bytes this process holds already; they count as available to it.
        others: bytes that other processes of the run hold; what is available leaves them out already.
    """
    import psutil

    limits = [int(psutil.virtual_memory().available) + resident]
    for path in (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes")):
        try:
            limits.append(int(path.read_text().strip()) - others)
        except (OSError, ValueError):  # not there, or "max"
            continue
    if asked is not None:
        limits.append(asked - others)
    return min(limits)


def _rounded_up(count: float) -> float:
    """Bytes rounded up to a tenth of the unit that they are shown in: a limit that is a little less would not do."""
    step = (2**30 if count >= 2**30 else 2**20) / 10
    return math.ceil(count / step) * step
