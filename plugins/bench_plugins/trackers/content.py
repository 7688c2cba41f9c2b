"""The content that trackers get of a run: numbers, what they rest on, and the configuration without the user's folders."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.api.tracker import RunEvent
from bench.naming import flatten
from bench.results.layout import RESULT
from bench.results.store import read_json

PREFIXES = {"step": "train", "eval": "eval", "memory": "memory", "result": "result"}
"""Kinds of events that hold metrics, to the first part of their names. Of the others nothing is sent."""
_FORBIDDEN = re.compile(r"[^\w\-. /]", re.ASCII)


def metrics(event: RunEvent) -> dict[str, float]:
    """The numbers of an event as ``train/…``, ``eval/…``, ``memory/…`` or ``result/…``; empty for other kinds.

    A ``scores`` event's are ``<split>/<stage>/…``, e.g. ``test/quantized/2015-T14/task1/strict/f1``.
    """
    prefix = PREFIXES.get(event.kind)
    numbers = event.metrics()
    if event.kind == "scores":
        prefix = f"{event.values.get('split')}/{event.values.get('stage')}"
        tasks = {task: replace(event, values=scores).metrics() for task, scores in event.values["scores"].items()}
        numbers = {f"{task}/{name.replace('.', '/')}": value for task, row in tasks.items() for name, value in row.items()}
    if prefix is None:
        return {}
    return {tag_name(f"{prefix}/{name}"): value for name, value in numbers.items()}


def facts(event: RunEvent) -> dict[str, str]:
    """What has to stand beside the numbers for them to be read rightly, by name; empty for most events.

    On which data, by its hash; whether any of it is synthetic; which invariants were waived; how the run ended.
    """
    values = event.values
    if event.kind == "start":
        config = values.get("config", {})
        data = {f"data.{task}": str(sha) for task, sha in config.get("data", {}).items()}
        return data | {"waived": ", ".join(config.get("waive", ())) or "nothing"}
    if event.kind == "plan":
        return {"synthetic": ", ".join(values.get("synthetic", ())) or "no"}
    return {"state": str(values["status"])} if event.kind == "end" and "status" in values else {}


def result(folder: Path) -> dict[str, Any]:
    """The result of a run, without the user's folders, as its mirror keeps it."""
    whole: dict[str, Any] = read_json(folder / RESULT)
    return whole | {"config": {key: value for key, value in whole["config"].items() if key not in _private()}}


def _private() -> set[str]:
    from bench.config import OPTIONS

    return {"resume", *(name for name, option in OPTIONS.items() if option.place is not None)}


def parameters(config: Mapping[str, Any], longest: int = 500) -> dict[str, str]:
    """The configuration, flattened to dotted names and short strings.

    Args:
        config: JSON-able. Keys that hold the user's folders are left out.
        longest: characters of a value that are kept.
    """
    private = _private()
    shown = flatten({key: value for key, value in config.items() if key not in private and value is not None})
    texts = {name: ", ".join(map(str, v)) if isinstance(v, (list, tuple)) else str(v) for name, v in shown.items()}
    return {tag_name(name): readable(text, longest) for name, text in texts.items()}


def tag_name(text: str) -> str:
    """A name that stores accept for a tag or a metric."""
    return _FORBIDDEN.sub("_", text)[:250]


def readable(text: str, longest: int = 250) -> str:
    """A name that stores accept: of limited length, with ``?`` for bytes that are no characters."""
    return text[:longest].encode("utf-8", "replace").decode()
