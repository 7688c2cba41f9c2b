"""A configuration as the command-line arguments of `bench run`."""

from __future__ import annotations

from bench.config import OPTIONS, RunConfig, whole_path

_WRITTEN_OUT = "task_set"  # its tasks stand in `task`


def argv_of(config: RunConfig) -> tuple[str, ...]:
    """The flags that give this very configuration, folders with their whole paths."""
    argv: list[str] = []
    for name, option in OPTIONS.items():
        value = getattr(config, name)
        if name == _WRITTEN_OUT or value is None or (name != "out" and value == option.default):
            continue
        if option.type is bool:
            argv.append(option.flag)
            continue
        shown = whole_path if option.place == "path" else str
        if option.type is dict:
            words = [f"{key}={shown(each)}" for key, each in value.items()]
        else:
            words = [shown(each) for each in (value if option.type is tuple else [value])]
        argv += [word for each in words for word in (option.flag, each)]
    return tuple(argv)
