"""Entry points of the installed distributions, read straight from ``sys.path``.

`importlib.metadata.entry_points` gives the same list (a test holds the two together), but importing it and letting it build
every distribution takes 100 of the 250 milliseconds that `bench list` may take.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from importlib import import_module
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Point:
    """One entry point: ``name = value``, a module or ``module:attribute``, and the normalised name of its distribution."""

    name: str
    value: str
    distribution: str

    @property
    def module(self) -> str:
        """The module it names."""
        return self.value.partition("[")[0].partition(":")[0].strip()

    def load(self) -> Any:
        """Imports the module and gives the attribute, or the module where none is named."""
        path = self.value.partition("[")[0].partition(":")[2].strip()
        return reduce(getattr, path.split(".") if path else [], import_module(self.module))


def entry_points(group: str, path: Sequence[str] | None = None) -> Iterator[Point]:
    """The entry points of a group.

    Args:
        group: the section of ``entry_points.txt``.
        path: folders to look in; `sys.path` where None. Of a distribution that is there twice the first one counts.
    """
    seen: set[str] = set()
    for folder in sys.path if path is None else path:
        try:
            infos = sorted(p for p in Path(folder or ".").iterdir() if p.suffix in (".dist-info", ".egg-info"))
        except OSError:  # a zip file, or a folder that is not there
            continue
        for info in infos:
            distribution = re.sub(r"[-_.]+", "-", info.stem.partition("-")[0]).lower()
            if distribution not in seen:
                seen.add(distribution)
                yield from _points(info / "entry_points.txt", group, distribution)


def _points(path: Path, group: str, distribution: str) -> Iterator[Point]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return
    if f"[{group}]" not in text:
        return
    section = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            section = line.strip("[] ")
        elif section == group and "=" in line and line[0] not in "#;":
            name, _, value = line.partition("=")
            yield Point(name.strip(), value.strip(), distribution)
