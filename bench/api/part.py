"""What every plugin part has in common: a name, a version, one line, and what it needs installed."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import ClassVar


@dataclass(frozen=True)
class Requirement:
    """A module that a part's methods import, e.g. ``gptqmodel``, and its name for pip, e.g. ``bench-suite[quant]``."""

    module: str
    install: str

    @property
    def command(self) -> str:
        """The exact install command."""
        return f"pip install '{self.install}'"

    def present(self) -> bool:
        """Whether the module can be found; it is not imported."""
        try:
            return find_spec(self.module) is not None
        except (ImportError, ValueError):
            return False


class Part(ABC):
    """A thing that a plugin hands to the registry: a task, an architecture, a quantizer, a model or a tracker.

    Subclasses set the class attributes; constructing a part imports nothing heavy.
    """

    name: ClassVar[str]
    """What the user types; unique within its kind."""
    version: ClassVar[str]
    """Stored in every result; raise it when results would change."""
    summary: ClassVar[str]
    """One line for `bench list`."""
    citation: ClassVar[str] = ""
    """Paper or page, with arXiv id or DOI where there is one."""
    licence: ClassVar[str] = ""
    """SPDX identifier or the name of the data-use agreement."""
    requires: ClassVar[tuple[Requirement, ...]] = ()
    """Modules the methods import."""

    def missing(self) -> tuple[Requirement, ...]:
        """The requirements that are not installed; empty means ready."""
        return tuple(r for r in self.requires if not r.present())

    def parameters(self) -> Mapping[str, str]:
        """Settings and facts that `bench show` prints below the metadata, name to value."""
        return {}
