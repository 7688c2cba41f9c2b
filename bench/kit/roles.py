"""Which argument of a brat relation is its source: the roles decide, not the order of the arguments.

``Arg1`` is the source and ``Arg2`` the target. Other roles are declared, source first, in the task's file or in brat's own
``annotation.conf``:

    [relations]
    causes From:Drug, To:Effect

Undeclared roles follow the first relation of the type in the corpus: its first argument is the source.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.kit.faults import Fault
from bench.kit.files import read_text

Pair = tuple[str, str]
"""Role of the source, role of the target."""

USUAL: Pair = ("Arg1", "Arg2")
CONF = "annotation.conf"


@dataclass
class Roles:
    """The roles of every type of relation, and how often they reversed one.

    Args:
        declared: type to roles, from the task's file or ``annotation.conf``.
        first: type to the roles of its first relation, for types that are not declared.
        places: type to file and line of that relation.
        swapped: number of relations whose target comes first.
        used: types whose direction came from `declared`.
    """

    declared: Mapping[str, Pair] = field(default_factory=dict)
    first: dict[str, Pair] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    swapped: int = 0
    used: set[str] = field(default_factory=set)

    def turned(self, label: str, given: Pair, where: str) -> bool:
        """Whether the target of a relation comes before its source, given its type and its roles in file order.

        Raises:
            Fault: its roles are not those of its type; `where`, file and line, begins the message.
        """
        source_first = USUAL if set(given) == set(USUAL) else self.declared.get(label)
        if source_first is None:
            if given[0] == given[1]:
                raise Fault(
                    "unknown-role", f"{where}: both roles of this relation are the same; wanted two, such as Arg1 and Arg2."
                )
            if label not in self.first:
                self.first[label], self.places[label] = given, where
            source_first = self.first[label]
        elif source_first is not USUAL:
            self.used.add(label)
        if set(given) != set(source_first):
            expected = "as declared" if label in self.declared else f"as at {self.places.get(label, 'the first such relation')}"
            raise Fault(
                "unknown-role",
                f"{where}: the roles of this relation are not those of its type; wanted two {expected}.",
                "Declare them, source first: a table [roles] in the task's file, or [relations] of annotation.conf.",
            )
        turned = given != source_first
        self.swapped += turned
        return turned

    def notice(self) -> str | None:
        """The warning about types whose roles are not declared; None where there are none."""
        if not self.first:
            return None
        directions = ", ".join(f"{label} from {roles[0]} to {roles[1]}" for label, roles in sorted(self.first.items()))
        return (
            f"The direction of relations is that of the first of each type: {directions}. "
            "A table [roles] in the task's file, or annotation.conf, declares another one."
        )


def declared_in(folders: Iterable[Path]) -> tuple[dict[str, Pair], str]:
    """Roles that the ``annotation.conf`` files of some folders declare, and the text of these files.

    Where two files declare a type, the first one counts.

    Raises:
        Fault: a file is not UTF-8.
    """
    declared: dict[str, Pair] = {}
    texts = []
    for folder in dict.fromkeys(folders):
        if (folder / CONF).is_file():
            texts.append(read_text(folder / CONF).removeprefix("\ufeff"))
            declared = {**_relations(texts[-1]), **declared}
    return declared, "\0".join(texts)


def _relations(text: str) -> dict[str, Pair]:
    declared: dict[str, Pair] = {}
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
                declared.setdefault(name, (roles[0], roles[1]))
    return declared
