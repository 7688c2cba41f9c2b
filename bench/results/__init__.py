"""The typed result, its schema and its store."""

from bench.results.invariants import Invariants
from bench.results.lock import RunLock
from bench.results.schema import Headline, Quantization, Result, TaskScores
from bench.results.scores import interval_of, score_of
from bench.results.store import find_run, read_predictions, read_result, write_predictions, write_result

__all__ = [
    "Headline",
    "Invariants",
    "Quantization",
    "Result",
    "RunLock",
    "TaskScores",
    "find_run",
    "interval_of",
    "read_predictions",
    "read_result",
    "score_of",
    "write_predictions",
    "write_result",
]
