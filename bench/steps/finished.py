"""A finished run that a command comes back to: to predict with it, to probe it, or to let another run learn from it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.config import RunConfig
from bench.registry import Registry
from bench.results.layout import ADAPTERS
from bench.results.schema import Result
from bench.results.store import read_json, read_result
from bench.steps.resolve import Parts, resolve
from bench.steps.resume import stored_config
from bench.steps.start import Start


@dataclass(frozen=True)
class FinishedRun:
    """A finished run as its folder tells it.

    Args:
        folder: of the run.
        result: of the run.
        config: that it was begun with.
        parts: that it is made of.
    """

    folder: Path
    result: Result
    config: RunConfig
    parts: Parts

    def saved_heads(self) -> dict[str, dict[str, Any]]:
        """Task to what `bench.steps.finish.save_trained` wrote of its head beside the weights.

        Raises:
            RunStateError: a file is missing or damaged.
        """
        return {name: read_json(self.folder / ADAPTERS / f"head-{index}.json") for index, name in enumerate(self.parts.tasks)}


def finished_run(folder: Path, registry: Registry) -> FinishedRun:
    """Reads a finished run.

    Raises:
        RunStateError: it did not finish, or its folder is damaged.
        UsageError: nothing carries the name of one of its parts.
        MissingError: a part of it is not installed.
    """
    result, config = read_result(folder), stored_config(RunConfig(), folder)
    parts = resolve(config, registry)
    if config.init_from is not None:  # it has the ranks of the run that it began with
        parts = replace(parts, start=Start(folder, result))
    return FinishedRun(folder, result, config, parts)
