"""bench: fair fine-tuning comparisons for clinical and biomedical NLP.

The commands as Python functions are those of `bench.library`: `run`, `plan`, `study`, `runs`, `load`, `compare`,
`plan_power`, `score`, `report`, `prepare`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.config import RunConfig
    from bench.library import (
        RunResult,
        Runs,
        StudyResult,
        compare,
        load,
        plan,
        plan_power,
        prepare,
        report,
        run,
        runs,
        score,
        study,
    )
    from bench.steps.trained import TrainedModel

__version__ = "0.1.0"
__all__ = [
    "RunConfig",
    "RunResult",
    "Runs",
    "StudyResult",
    "TrainedModel",
    "__version__",
    "compare",
    "load",
    "plan",
    "plan_power",
    "prepare",
    "report",
    "run",
    "runs",
    "score",
    "study",
]


_ELSEWHERE = {"RunConfig": "bench.config", "TrainedModel": "bench.steps.trained"}
"""What is not in `bench.library`."""


def __getattr__(name: str) -> Any:
    """Imports what is asked for: a plugin's ``import bench`` stays cheap."""
    if name not in __all__:
        raise AttributeError(f"module 'bench' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_ELSEWHERE.get(name, "bench.library")), name)


def __dir__() -> list[str]:
    """What there is, whether imported yet or not."""
    return sorted({*globals(), *__all__})
