"""A configuration as the words that `bench run` is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

from bench.config import NUMBERED, RunConfig, default_of, flag

_WRITTEN_OUT = "task_set"  # its tasks stand in `task`


def argv_of(config: RunConfig) -> tuple[str, ...]:
    """The flags that give this very configuration, folders with their whole paths."""
    found: list[str] = []
    for one in fields(config):
        value = getattr(config, one.name)
        if one.name == _WRITTEN_OUT or value is None or (one.name != "out" and value == default_of(one)):
            continue
        if one.name in NUMBERED:
            found += [word for name, number in value.items() for word in (flag(one.name), f"{name}={number!r}")]
        elif isinstance(value, Mapping):
            found += [word for task, path in value.items() for word in (flag(one.name), f"{task}={Path(path).absolute()}")]
        elif value is True:
            found.append(flag(one.name))
        elif isinstance(value, tuple):
            found += [word for item in value for word in (flag(one.name), item)]
        else:
            found += [flag(one.name), str(Path(value).absolute()) if one.name == "out" else str(value)]
    return tuple(found)
