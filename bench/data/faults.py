"""Faulty lines that a corpus's loader left out, as plan, result and console tell of them. See `bench.api.task.Task.faults`."""

from __future__ import annotations

from collections.abc import Mapping


def listed(left_out: Mapping[str, int]) -> str:
    """Counts by kind, as in ``text-mismatch 23, outside-text 1``."""
    return ", ".join(f"{kind} {count:,}" for kind, count in sorted(left_out.items()) if count)


def notice(task: str, left_out: Mapping[str, int]) -> str | None:
    """What the console says of lines that were left out; None where none were."""
    told = listed(left_out)
    return f"Faulty lines of {task} were left out, as tolerated, and recorded: {told}." if told else None
