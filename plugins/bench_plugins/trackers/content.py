"""The content that trackers get of a run: numbers by name, and the configuration without the user's folders."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bench.api.tracker import RunEvent
from bench.naming import flatten

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
    return {_FORBIDDEN.sub("_", f"{prefix}/{name}")[:250]: value for name, value in numbers.items()}


def parameters(config: Mapping[str, Any], longest: int = 500) -> dict[str, str]:
    """The configuration, flattened to dotted names and short strings.

    Args:
        config: JSON-able. Keys that hold the user's folders are left out.
        longest: characters of a value that are kept.
    """
    from bench.config import OPTIONS

    private = {"resume", *(name for name, option in OPTIONS.items() if option.place is not None)}
    shown = flatten({key: value for key, value in config.items() if key not in private and value is not None})
    texts = {name: ", ".join(map(str, v)) if isinstance(v, (list, tuple)) else str(v) for name, v in shown.items()}
    return {_FORBIDDEN.sub("_", name)[:250]: readable(text, longest) for name, text in texts.items()}


def readable(text: str, longest: int = 250) -> str:
    """A name that stores accept: of limited length, with ``?`` for bytes that are no characters."""
    return text[:longest].encode("utf-8", "replace").decode()
