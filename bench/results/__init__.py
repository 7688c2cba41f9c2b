"""The typed result, its schema and its store."""

from bench.results.lock import RunLock
from bench.results.schema import Headline, Invariants, Quantization, Result, TaskScores, pick
from bench.results.store import find_run, read_predictions, read_result, write_predictions, write_result

__all__ = [
    "Headline",
    "Invariants",
    "Quantization",
    "Result",
    "RunLock",
    "TaskScores",
    "find_run",
    "pick",
    "read_predictions",
    "read_result",
    "write_predictions",
    "write_result",
]
