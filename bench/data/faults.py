"""Text about faulty lines that a loader left out, for plan, result and console. See `bench.api.task.Task.faults`."""

from __future__ import annotations

from collections.abc import Mapping


def listed(left_out: Mapping[str, int]) -> str:
    """Counts by kind, as in ``text-mismatch 23, outside-text 1``."""
    return ", ".join(f"{kind} {count:,}" for kind, count in sorted(left_out.items()) if count)


def notice(task: str, left_out: Mapping[str, int]) -> str | None:
    """The console's message about lines that were left out; None where none were."""
    counts = listed(left_out)
    return f"Faulty lines of {task} were left out, as tolerated, and recorded: {counts}." if counts else None
