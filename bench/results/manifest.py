"""The manifest of a run: the hashes of all that it wrote, written last, so that a file that was changed since is noticed.

`standing` is what every command that shows a result asks; it takes milliseconds. `differing` with ``whole`` also reads the
weights. A manifest tells of changes, not of forgery: whoever changes a file can write a new manifest that fits it. What the
files say is held against each other, and against the corpus, by `bench.verifying`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from bench.modeling.files import read_sha256
from bench.results.invariants import Account
from bench.results.layout import ADAPTERS, ERRORS, JOURNAL, MANIFEST, PLAN, PREDICTIONS, QUANTIZED, RESULT, STATISTICS
from bench.results.reading import plain, read_as
from bench.results.schema import Result
from bench.results.store import PREVIOUS, as_json, ending, last_line, last_lines, write_json
from bench.sealed import SEAL, sealed, unsealed

MANIFEST_VERSION = 1
"""Of the layout of this file."""
FOLDERS = (STATISTICS, PREDICTIONS, ERRORS, ADAPTERS, QUANTIZED)
"""Whose files a manifest covers, beside the result and the plan."""
WEIGHTS = (ADAPTERS, QUANTIZED)
"""Of these the size alone is looked at, except in a whole check."""
HEAD = 8192
"""Bytes of a result that a list of thousands of runs decodes: headline and configuration are at its beginning."""
_HEAD_SUM = re.compile(rb'^  "head": "([0-9a-f]{64})",?$', re.MULTILINE)
TAIL = 6
"""Lines at the end of a journal that are read where a run is shown; the last is its end, the one before tells of its files."""


class UnreadableManifest(Exception):
    """A manifest that is damaged, edited, or of another version; says which."""


@dataclass(frozen=True)
class FileSum:
    """SHA-256 and size of a file, in bytes."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class JournalEnd:
    """The journal at the end of the run: its events, its size in bytes, and the SHA-256 of its last line.

    Every line holds the hash of the line before it, so that the last one stands for all.
    """

    events: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a run wrote, and what it rests on.

    Args:
        manifest_version: of this layout.
        run: id of the run.
        files: path in the run's folder to the file's hash and size.
        journal: how it ended.
        ledger: task to what the runner counted for it.
        hashes: as in the result: of data, of concept names, of the base model and of the configuration.
        code: ``git`` and ``versions`` as in the result, and ``sha256`` of the sources of bench and of every plugin's package
            that the run used.
        waivers: invariants that were not enforced.
        head: `head_sha256` of the result; empty in those of an older bench.
        sha256: of all the rest of the manifest; empty before it is written.
    """

    manifest_version: int
    run: str
    files: Mapping[str, FileSum]
    journal: JournalEnd
    ledger: Mapping[str, Account]
    hashes: Mapping[str, Any]
    code: Mapping[str, Any]
    waivers: tuple[str, ...]
    head: str = ""
    sha256: str = ""


@dataclass(frozen=True)
class Standing:
    """How a run's files stand against its manifest, and what they say against each other.

    Args:
        manifest: ``there``, ``missing`` though the run was written with one, or ``older``: written before there were any.
        changed: what is not as it was written: files, and scores that the statistics do not give; empty where all is.
    """

    manifest: Literal["there", "missing", "older"]
    changed: tuple[str, ...] = ()

    def __str__(self) -> str:
        """In a few words."""
        if self.changed:
            return f"changed since it was written: {', '.join(self.changed[:3])}" + (
                f" and {len(self.changed) - 3} more" if len(self.changed) > 3 else ""
            )
        return OLDER if self.manifest == "older" else "as it was written"


OLDER = "no manifest: an older bench wrote it, so that nothing says whether it was changed"


def file_sums(folder: Path) -> dict[str, FileSum]:
    """Path to hash and size of every file of a run that a manifest covers."""
    return {name: FileSum(read_sha256(folder / name), (folder / name).stat().st_size) for name in sorted(_covered(folder))}


def sums_sha256(files: Mapping[str, FileSum]) -> str:
    """SHA-256 over the paths and the hashes of files, which the journal's event ``result`` holds."""
    sums = {name: file.sha256 for name, file in files.items()}
    return sha256(json.dumps(sums, sort_keys=True).encode()).hexdigest()


def write_manifest(folder: Path, result: Result, files: Mapping[str, FileSum], journal: JournalEnd, code: str) -> None:
    """Writes the manifest of a run that has just finished.

    Args:
        folder: of the run.
        result: of the run.
        files: as `file_sums` gave them when the result was written.
        journal: how it ended.
        code: SHA-256 of the sources that ran.

    Raises:
        StorageError: the disk is full or cannot be written.
    """
    manifest = Manifest(
        MANIFEST_VERSION, result.id, files, journal, result.invariants.tokens.tasks, result.hashes,
        {"git": result.git, "versions": result.versions, "sha256": code}, result.waivers,
        head_sha256((folder / RESULT).read_bytes()),
    )  # fmt: skip
    value = {name: member for name, member in plain(manifest).items() if name != SEAL}
    write_json(folder / MANIFEST, sealed(value))


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of a run; None where there is none.

    Raises:
        UnreadableManifest: it is damaged, was changed, or is of another version.
    """
    if not (folder / MANIFEST).exists():
        return None
    try:
        written = (folder / MANIFEST).read_bytes()
        value = json.loads(written)
        content = unsealed(value)
        if content is None or written != as_json(value):  # blanks count too
            raise UnreadableManifest("its own hash does not hold")
        if content["manifest_version"] != MANIFEST_VERSION:
            raise UnreadableManifest(f"of version {content['manifest_version']}; this bench reads {MANIFEST_VERSION}")
        manifest: Manifest = read_as(Manifest, content)
        return replace(manifest, sha256=value[SEAL])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise UnreadableManifest("it is not what bench writes") from None


def cut_short(folder: Path) -> bool:
    """Whether a run was killed after it wrote its result and before it was done: it is gone on with, not shown as finished."""
    return not (folder / MANIFEST).exists() and chained(folder) and ending(folder).get("status") != "finished"


def standing(folder: Path) -> Standing:
    """How the files of a finished run stand against its manifest; weights by their sizes alone, the journal by its end."""
    try:
        manifest = read_manifest(folder)
    except UnreadableManifest as error:
        return Standing("there", (f"{MANIFEST} ({error})",))
    if manifest is None and not chained(folder):
        return Standing("older")
    if manifest is None:
        killed = f"; 'bench run --resume {folder.name}' goes on" if cut_short(folder) else ""
        return Standing("missing", (f"{MANIFEST} (missing{killed})",))
    found = [*differing(folder, manifest)]
    if all(name != JOURNAL for name, _ in found):
        found += _ending(folder, manifest)
    return Standing("there", tuple(name if why == CHANGED else f"{name} ({why})" for name, why in found))


CHANGED = "changed"


def _ending(folder: Path, manifest: Manifest) -> Iterator[tuple[str, str]]:
    """What the end of a journal does not say as a finished run's does, though a manifest was made that fits it."""
    lines = last_lines(folder / JOURNAL, TAIL)
    try:
        records = [json.loads(line) for line in lines]
        chained = all(record[PREVIOUS] == sha256(line).hexdigest() for line, record in zip(lines, records[1:], strict=False))
        ends = records[-1]["kind"] == "end" and records[-1]["values"].get("status") == "finished" and chained
        told = [record["values"].get("sha256") for record in records if record["kind"] == "result"]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        ends, told = False, []
    if not ends or not told:
        yield JOURNAL, "does not end as that of a finished run"
    elif told[-1] != sums_sha256(manifest.files):
        yield MANIFEST, "not of the files that the journal tells of"


def differing(folder: Path, manifest: Manifest, whole: bool = False) -> Iterator[tuple[str, str]]:
    """The files that are not what the manifest says, each with `CHANGED` or another reason.

    Args:
        folder: of the run.
        manifest: of the run.
        whole: whether weights are read too.
    """
    for name, known in manifest.files.items():
        path = folder / name
        try:
            light = not whole and name.partition("/")[0] in WEIGHTS
            if path.stat().st_size != known.bytes or not (light or read_sha256(path) == known.sha256):
                yield name, CHANGED
        except (OSError, ValueError):  # ValueError: of a name with a null, which no file has
            yield name, "missing"
    yield from ((name, "not in the manifest") for name in sorted(_covered(folder) - manifest.files.keys()))
    try:
        end, size = last_line(folder / JOURNAL), (folder / JOURNAL).stat().st_size
        if (size, sha256(end).hexdigest()) != (manifest.journal.bytes, manifest.journal.sha256):
            yield JOURNAL, CHANGED
    except OSError:
        yield JOURNAL, "missing"


def head_sha256(content: bytes) -> str:
    """SHA-256 of the first `HEAD` bytes of a result and of its size, which takes a quarter of the time of the whole."""
    return sha256(b"%b%d" % (content[:HEAD], len(content))).hexdigest()


def result_changed(folder: str, content: bytes, whole: bool = False) -> bool | None:
    """Whether a result is not that of its manifest; None where there is no manifest. For thousands of runs.

    Args:
        folder: of the run, as text, since a path object for each costs as much as reading.
        content: of its ``result.json``.
        whole: whether all of it is to be shown; otherwise its size and its first `HEAD` bytes are looked at.
    """
    try:
        with open(f"{folder}/{MANIFEST}", "rb") as file:  # noqa: PTH123
            manifest = file.read()
        if not whole and (head := _HEAD_SUM.search(manifest)):
            return head[1].decode() != head_sha256(content)
        stated = json.loads(manifest)["files"][RESULT]["sha256"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return True
    return bool(stated != sha256(content).hexdigest())


def _covered(folder: Path) -> set[str]:
    """Paths of the files that a manifest covers; hidden ones are those of the system, or half-written."""
    below = (path for name in FOLDERS for path in (folder / name).rglob("*") if path.is_file())
    names = {path.relative_to(folder).as_posix() for path in below if not path.name.startswith(".")}
    return names | {name for name in (RESULT, PLAN) if (folder / name).exists()}


def chained(folder: Path) -> bool:
    """Whether the journal is one whose lines hold hashes, so that its run was written with a manifest."""
    try:
        return PREVIOUS in json.loads(last_line(folder / JOURNAL))
    except (OSError, ValueError, TypeError, RecursionError):
        return False
