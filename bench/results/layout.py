"""Names of the files in a run's folder."""

from __future__ import annotations

JOURNAL = "journal.jsonl"
RESULT = "result.json"
MANIFEST = "manifest.json"
INFO = "run.json"
LOCK = "lock"
PLAN = "plan.json"
CHECKPOINTS = "checkpoints"
ADAPTERS = "adapters"
QUANTIZED = "quantized"
PREDICTIONS = "predictions"
STATISTICS = "statistics"
ERRORS = "errors"
CORPUS = "corpus"
MIRRORS = "mirrors"


def predictions_name(task: str, split: str, stage: str) -> str:
    """File of one set of predictions, below `PREDICTIONS`: ``<task>.<split>.<stage>.jsonl``."""
    return f"{task}.{split}.{stage}.jsonl"


def statistics_name(task: str, split: str, stage: str) -> str:
    """File of the statistics of one set of predictions, below `STATISTICS`: ``<task>.<split>.<stage>.json``."""
    return f"{task}.{split}.{stage}.json"
