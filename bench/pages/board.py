"""Lists all runs of a folder, and decodes no more of each result than is needed.

Headline and configuration are in the first kilobytes of ``result.json``. To list ten thousand results, only these are decoded;
all of a file only for fields further down. Every result is held against its manifest; `held` looks further.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from bench.errors import RunStateError
from bench.results.evidence import Macro
from bench.results.layout import INFO, RESULT
from bench.results.manifest import HEAD, result_changed
from bench.results.reading import read_as
from bench.results.schema import OPTIONAL, VERSIONS, Headline, current
from bench.results.store import refused

State = Literal["finished", "unfinished", "refused", "damaged", "other schema"]
LAST_OF_HEAD = "config"
"""Key of a result that ends within `HEAD` bytes, except for the longest configurations."""
_DECODER = json.JSONDecoder()


@dataclass(frozen=True)
class Entry:
    """A run on the board.

    Args:
        id: of the run, the name of its folder.
        state: whether it has a result that can be read; ``refused`` where an invariant ended it before it had a
            checkpoint.
        known: the top level of its result as far as it was decoded; of an unfinished run its configuration.
        changed: what of it is not as it was written, in a few words; empty where nothing is, or nothing tells.
    """

    id: str
    state: State
    known: Mapping[str, Any]
    changed: tuple[str, ...] = ()

    @property
    def tasks(self) -> tuple[str, ...]:
        """Its tasks by name."""
        config = self.known.get("config", {})
        tasks = config.get("resolved", config).get("task") or config.get("task") or ()
        return (tasks,) if isinstance(tasks, str) else tuple(tasks)

    @property
    def rest(self) -> list[Mapping[str, Any]]:
        """What it scored on its other tasks than the headline's: ``task``, ``metric`` and ``value`` of each."""
        head = self.known.get("headline", {}).get("task")
        return [row for row in (self.known.get("macro") or {}).get("tasks", ()) if row["task"] != head]

    def field(self, name: str) -> Any:
        """A field by its dotted path, from the top or below ``headline`` or ``config``; None where there is none.

        Args:
            name: such as ``seed``, ``value``, ``config.lr`` or ``invariants.tokens.total``; also ``id``, ``task``, ``state``.
        """
        if name in ("id", "state"):
            return getattr(self, name)
        if name == "task":
            return "+".join(self.tasks)
        places = (self.known, self.known.get("headline", {}), self.known.get("config", {}))
        return next((value for place in places if (value := _at(place, name)) is not None), None)


def entries(out: Path, whole: bool = False) -> Iterator[Entry]:
    """Every run of a folder, by its id.

    Args:
        out: the folder of runs.
        whole: decode all of each result, which takes longer.
    """
    with os.scandir(out) as listing:
        names = sorted(entry.name for entry in listing if entry.is_dir())
    for name in names:
        folder = f"{out}/{name}"
        try:
            with open(f"{folder}/{RESULT}", "rb") as file:  # noqa: PTH123 - a path object for each costs as much as reading
                content = file.read()
        except OSError:
            if (out / name / INFO).exists():
                yield Entry(name, "refused" if refused(out / name) else "unfinished", _started(out / name / INFO))
            continue
        state, known = _decoded(f"{folder}/{RESULT}", content, whole)
        changed = result_changed(folder, content, whole="scores" in known)
        yield Entry(name, state, known, (RESULT,) if changed else ())


def needs_whole(names: Iterator[str] | list[str]) -> bool:
    """Whether any of these fields stands further down than the head of a result.

    Args:
        names: as `Entry.field` takes them.
    """
    below = {"scores", "invariants", "quantization", "timings", "memory", "hashes", "versions", "hardware", "git", *OPTIONAL}
    return any(name.partition(".")[0] in below for name in names)


def held(entry: Entry, out: Path) -> Entry:
    """A run with all that `bench.studies.standing` finds changed, its scores against its statistics included."""
    from bench.studies.arms import Run  # numpy, which most boards need not wait for

    if entry.state != "finished":
        return entry
    try:
        return replace(entry, changed=Run.read(out / entry.id).standing.changed)
    except RunStateError:  # damaged below what the board decodes
        return replace(entry, changed=entry.changed or (RESULT,))


def _decoded(path: str, content: bytes, whole: bool) -> tuple[State, dict[str, Any]]:
    text = (content if whole else content[:HEAD]).decode("utf-8", "ignore")
    try:
        known = json.loads(text) if whole else _members(text, LAST_OF_HEAD)
        if not isinstance(known, dict):
            raise ValueError
    except ValueError:
        if whole:
            return "damaged", {}
        try:
            known = json.loads(content)
        except ValueError:
            return "damaged", {}
        if not isinstance(known, dict):
            return "damaged", {}
    if known.get("schema_version") not in VERSIONS:
        return "other schema", {}
    # A complete file ends with a brace and a line end; one that a full disk or a copy cut off does not.
    if (
        not content[-2:].rstrip().endswith(b"}")
        or not isinstance(known.get("config"), dict)
        or not isinstance(known["config"].get("resolved", {}), dict)
        or not isinstance(known.get("waivers", []), list)
    ):
        return "damaged", {}
    try:
        read_as(Headline, known.get("headline"))
        read_as(Macro | None, known.get("macro"))
        return "finished", dict(current(known, path)) if whole else known
    except (RunStateError, ValueError):
        return "damaged", {}


def _members(text: str, last: str) -> dict[str, Any]:
    """The members of a JSON object up to one of them, decoded one after the other.

    Raises:
        ValueError: the text ends before, or is no object.
    """
    members: dict[str, Any] = {}
    place = text.index("{") + 1
    while True:
        place = text.index('"', place)
        key, place = _DECODER.raw_decode(text, place)
        place = text.index(":", place) + 1
        while text[place : place + 1].isspace():
            place += 1
        members[key], place = _DECODER.raw_decode(text, place)
        if key == last:
            return members


def _started(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_bytes())
        return {"config": dict(record["config"])}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _at(place: Any, name: str) -> Any:
    """The value of a dotted name; the names of scores have dots themselves."""
    if not isinstance(place, dict) or name in place:  # asking for a Mapping takes ten times as long
        return place.get(name) if isinstance(place, dict) else None
    first, _, rest = name.partition(".")
    return _at(place[first], rest) if rest and first in place else None
