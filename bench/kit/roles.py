"""Which of a brat relation's two arguments it leads from: their roles say so, never the order in which they stand.

``Arg1`` and ``Arg2`` say it by themselves. Other roles are declared, source first, in the task's file or in brat's own
``annotation.conf``:

    [relations]
    causes From:Drug, To:Effect

Where nothing declares them, the first relation of the type in the corpus does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.kit.faults import Fault
from bench.kit.files import read_text

Pair = tuple[str, str]
"""The role of the source and that of the target."""

USUAL: Pair = ("Arg1", "Arg2")
CONF = "annotation.conf"


@dataclass
class Roles:
    """The roles of every type of relation, and what came of them.

    Args:
        declared: type to roles, from the task's file or ``annotation.conf``.
        first: type to the roles of its first relation, for types that nothing declares.
        places: where that relation stands.
        swapped: relations whose target stood first.
        used: types whose order `declared` said.
    """

    declared: Mapping[str, Pair] = field(default_factory=dict)
    first: dict[str, Pair] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    swapped: int = 0
    used: set[str] = field(default_factory=set)

    def turned(self, label: str, given: Pair, where: str) -> bool:
        """Whether a relation's target stands before its source.

        Args:
            label: its type.
            given: its roles, in the order in which they stand.
            where: file and line.

        Raises:
            Fault: its roles are not those of its type.
        """
        wanted = USUAL if set(given) == set(USUAL) else self.declared.get(label)
        if wanted is None:
            if given[0] == given[1]:
                raise Fault(
                    "unknown-role", f"{where}: both roles of this relation are the same; wanted two, such as Arg1 and Arg2."
                )
            if label not in self.first:
                self.first[label], self.places[label] = given, where
            wanted = self.first[label]
        elif wanted is not USUAL:
            self.used.add(label)
        if set(given) != set(wanted):
            told = "as declared" if label in self.declared else f"as at {self.places.get(label, 'the first such relation')}"
            raise Fault(
                "unknown-role",
                f"{where}: the roles of this relation are not those of its type; wanted two {told}.",
                "Declare them, source first: a table [roles] in the task's file, or [relations] of annotation.conf.",
            )
        turned = given != wanted
        self.swapped += turned
        return turned

    def notice(self) -> str | None:
        """What is said of types whose roles nothing declared; None where there are none."""
        if not self.first:
            return None
        told = ", ".join(f"{label} from {one} to {other}" for label, (one, other) in sorted(self.first.items()))
        return (
            f"The direction of relations is that of the first of each type: {told}. "
            "A table [roles] in the task's file, or annotation.conf, declares another one."
        )


def declared_in(folders: Iterable[Path]) -> tuple[dict[str, Pair], str]:
    """The roles that the ``annotation.conf`` files of some folders declare, and the text of these files.

    The first file that declares a type counts.

    Raises:
        Fault: a file is not UTF-8.
    """
    found: dict[str, Pair] = {}
    texts = []
    for folder in dict.fromkeys(folders):
        if (folder / CONF).is_file():
            texts.append(read_text(folder / CONF).removeprefix("\ufeff"))
            found = {**_relations(texts[-1]), **found}
    return found, "\0".join(texts)


def _relations(text: str) -> dict[str, Pair]:
    found: dict[str, Pair] = {}
    section = ""
    for raw in text.splitlines():
        line = raw.partition("#")[0].strip()
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1].strip().lower()
        elif section == "relations" and line and not line.startswith("<"):
            name, _, rest = line.replace("\t", " ").partition(" ")
            roles = [part.partition(":")[0].strip().rstrip("?*+") for part in rest.split(",") if ":" in part]
            roles = [role for role in roles if role and not role.startswith("<")]
            if len(roles) == 2 and roles[0] != roles[1]:
                found.setdefault(name, (roles[0], roles[1]))
    return found
