"""What is known of a system whose predictions were imported: little, and said so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bench.errors import RunStateError


@dataclass(frozen=True)
class Imported:
    """A system that bench did not run, and its prediction files.

    Args:
        system: its name.
        version: of the system, as its user gives it; empty where unknown.
        sha256: of the prediction files.
        date: of the import.
        tokens: training tokens as declared; None where unknown.
        parameters: trained parameters as declared; None where unknown.
        note: what else its user declares, such as where it was described.
        missing: task to gold documents that the files say nothing of.
    """

    system: str
    version: str = ""
    sha256: str = ""
    date: str = ""
    tokens: int | None = None
    parameters: int | None = None
    note: str = ""
    missing: Mapping[str, int] = field(default_factory=dict)


def no_model(run: str) -> RunStateError:
    """The error where the model of an imported result is wanted."""
    return RunStateError(
        f"{run} was imported: there are its predictions, and no model of it.",
        "Name a run of 'bench run'; 'bench show run' shows either.",
    )
