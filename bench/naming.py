"""Names made of names: of files, from those that users chose, short enough for every file system; and dotted ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

LONGEST_ID = 220
"""Bytes of a run's id. A file's name has 255, and wandb puts 28 of its own before an id."""
LONGEST_NAME = 200
"""Bytes of other names, before the endings that they get."""


def joined(names: Sequence[str], room: int) -> str:
    """Names with ``+`` between them, as many as there is room for; of the others their number, as in ``a+b+3-more``.

    There is at least one; `room` counts bytes.
    """
    for kept in range(len(names), 0, -1):
        left = [f"{len(names) - kept}-more"] if kept < len(names) else []
        text = "+".join([*names[:kept], *left])
        if len(text.encode()) <= room:
            return text
    return _cut("+".join(names), room)


def bounded(name: str, longest: int = LONGEST_NAME) -> str:
    """The name of a file, or its beginning and eight hex digits of the SHA-256 of all of it where it has too many bytes."""
    if len(name.encode()) <= longest:
        return name
    import hashlib

    return f"{_cut(name, longest - 9)}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def flatten(tree: Mapping[str, Any], separator: str = ".", prefix: str = "") -> dict[str, Any]:
    """What a nested mapping holds, each value by the names that lead to it, e.g. ``task1.strict.f1``.

    A mapping that holds nothing leaves nothing.
    """
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, separator, f"{prefix}{name}{separator}")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _cut(text: str, room: int) -> str:
    return text.encode()[: max(0, room)].decode(errors="ignore")
