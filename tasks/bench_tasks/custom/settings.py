"""Reads the TOML file that describes a task, and says what is wrong with it: file, key, what stood there, what was wanted.

A whole file, for mentions in brat standoff:

    kind = "mentions"
    format = "brat"
    folder = "corpus"
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.api.data import SPLITS
from bench.errors import UsageError, unknown

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

KINDS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...], str]] = {
    "mentions": (("brat", "iob", "pipe", "jsonl"), ("span", "bio"), "strict.f1"),
    "relations": (("brat", "jsonl"), ("relation", "joint"), "relations.f1"),
    "classification": (("jsonl",), ("classify",), "macro_f1"),
    "ranking": (("jsonl",), ("ranking",), "map"),
}
"""Kind to the formats that can hold it, its heads with the default first, and its usual metric."""

FORMATS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "brat": {split: (split,) for split in SPLITS},
    "iob": {"train": ("train.tsv",), "dev": ("devel.tsv", "dev.tsv"), "test": ("test.tsv",)},
    "pipe": {split: (split,) for split in SPLITS},
    "jsonl": {split: (f"{split}.jsonl",) for split in SPLITS},
}
"""Format to the usual names of each split's folder or file, one of which has to be there."""

KEYS = (
    "name", "kind", "format", "folder", "labels", "splits", "metric", "head", "concepts", "reference", "licence", "citation",
)  # fmt: skip
_NEEDED = ("kind", "format", "folder")
_LONGEST = 255
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class TaskFile:
    """What a task's file says, its defaults filled in.

    Args:
        path: of the file.
        digest: of its content, the first twelve hex digits of the SHA-256.
        name: of the task.
        kind: what is predicted, one of `KINDS`.
        format: of the corpus, one of `FORMATS`.
        folder: of the corpus.
        labels: the types or classes that there are; those of the training split where empty.
        splits: split to the names that its folder or file may have.
        metric: dotted path into the scores.
        heads: names of heads, the default first.
        concepts: file that names the concepts of mentions; None where concepts are looked up among training mentions alone.
        reference: page of the corpus.
        licence: of the corpus.
        citation: of the corpus.
    """

    path: Path
    digest: str
    name: str
    kind: str
    format: str
    folder: Path
    labels: tuple[str, ...]
    splits: Mapping[str, tuple[str, ...]]
    metric: str
    heads: tuple[str, ...]
    concepts: Path | None
    reference: str
    licence: str
    citation: str


def read(path: Path) -> TaskFile:
    """Reads a task's file. Whether its folder and its metric are there is not looked at.

    Raises:
        UsageError: it cannot be read, is no TOML, or a key is missing, unknown, of another type, or means nothing.
    """
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
        raise UsageError(f"The task file {path} cannot be read: {reason}.", "Check the path.") from None
    try:
        values = tomllib.loads(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: byte {error.start} is not UTF-8; wanted TOML, which is UTF-8 text.") from None
    except RecursionError:
        raise UsageError(f"{path} is nested too deeply to be a task's file.") from None
    except ValueError as error:  # tomllib's own error is one, and so is a number of too many digits
        raise UsageError(f"{path} is no TOML: {' '.join(str(error).split())[:200]}.", _wanted()) from None
    return _checked(values, path, hashlib.sha256(content).hexdigest()[:12])


def _checked(values: Mapping[str, Any], path: Path, digest: str) -> TaskFile:
    for key in values:
        if key not in KEYS:
            raise _unknown("key", key, KEYS, path)
    for key in _NEEDED:
        if key not in values:
            raise UsageError(f"{path}: there is no key {key!r}.", _wanted())
    texts = {key: _text(path, key, values[key]) for key in KEYS if key in values and key not in ("labels", "splits")}
    name = texts.get("name", path.stem)
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{path}: the name is {name!r}; wanted up to 64 letters, digits, '.', '_' and '-', a letter or digit first.",
            "The key 'name' stands in for the file's own name.",
        )
    kind, form = texts["kind"], texts["format"]
    if kind not in KINDS:
        raise _unknown("kind", kind, KINDS, path)
    formats, heads, metric = KINDS[kind]
    if form not in FORMATS:
        raise _unknown("format", form, FORMATS, path)
    if form not in formats:
        raise UsageError(f"{path}: the format {form!r} cannot hold {kind}; wanted {' or '.join(map(repr, formats))}.")
    if form == "iob":
        heads = ("bio", "span")  # nothing in it is discontiguous or nested, and tags are learned faster
    head = texts.get("head", heads[0])
    if head not in heads:
        raise _unknown(f"head for {kind}", head, heads, path)
    return TaskFile(
        path=path,
        digest=digest,
        name=name,
        kind=kind,
        format=form,
        folder=path.absolute().parent / _place(path, "folder", texts["folder"]),
        labels=_labels(path, values.get("labels", [])),
        splits=_splits(path, form, values.get("splits", {})),
        metric=texts.get("metric", metric),
        heads=(head, *(other for other in heads if other != head)),
        concepts=_concepts(path, kind, form, texts.get("concepts")),
        reference=texts.get("reference", ""),
        licence=texts.get("licence", "not stated"),
        citation=texts.get("citation", ""),
    )


def _concepts(path: Path, kind: str, form: str, file: str | None) -> Path | None:
    if file is None:
        return None
    if kind != "mentions" or form == "iob":
        raise UsageError(f"{path}: 'concepts' beside {kind} in {form}, which have none.", "Take the key out.")
    found = path.absolute().parent / _place(path, "concepts", file)
    if not found.is_file():
        raise UsageError(f"{path}: 'concepts' names {found}, which is no file.", "Correct it, or take the key out.")
    return found


def _labels(path: Path, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise UsageError(f"{path}: 'labels' is {_kind(value)}; wanted a list of strings.")
    labels = tuple(_text(path, "labels", item) for item in value)
    repeated = next((label for i, label in enumerate(labels) if label in labels[:i]), None)
    if repeated is not None:
        raise UsageError(f"{path}: 'labels' names {repeated!r} twice; wanted each once.")
    return labels


def _splits(path: Path, form: str, value: Any) -> dict[str, tuple[str, ...]]:
    if not isinstance(value, dict):
        raise UsageError(f"{path}: 'splits' is {_kind(value)}; wanted a table [splits] of {', '.join(SPLITS)}.")
    for key in value:
        if key not in SPLITS:
            raise _unknown("split", key, SPLITS, path)
    given = {split: (str(_place(path, f"splits.{split}", name)),) for split, name in value.items()}
    made = {split: given.get(split, FORMATS[form][split]) for split in SPLITS}
    home: dict[Path, str] = {}
    for split, names in made.items():
        for name in names:
            other = home.setdefault(Path(name), split)
            if other != split:
                raise UsageError(f"{path}: {other} and {split} are both {name!r}; wanted a place of its own for each split.")
    return made


def _place(path: Path, key: str, value: Any) -> Path:
    """A folder or file, ``~`` for the user's own folder."""
    try:
        place = Path(_text(path, key, value)).expanduser()
    except RuntimeError:
        raise UsageError(f"{path}: {key!r} begins with '~' and the name of nobody who has a folder here.") from None
    if any(len(part.encode()) > _LONGEST for part in place.parts):
        raise UsageError(f"{path}: {key!r} has a name of more than {_LONGEST} bytes in it, which no file can have.")
    return place


def _text(path: Path, key: str, value: Any) -> str:
    if not isinstance(value, str):
        raise UsageError(f"{path}: {key!r} is or holds {_kind(value)}; wanted a string.")
    if not value.strip() or value != value.strip() or not value.isprintable():
        raise UsageError(f"{path}: {key!r} is or holds a string that is blank or not one plain line; wanted text.")
    return value


def _kind(value: Any) -> str:
    kinds = {str: "a string", bool: "true or false", int: "a whole number", float: "a number", list: "a list", dict: "a table"}
    return kinds.get(type(value), "a date or a time")


def _unknown(what: str, name: str, known: Sequence[str] | Mapping[str, Any], path: Path) -> UsageError:
    error = unknown(f"{what} in {path}:", name, known, "")
    error.hint = f"Wanted {', '.join(known)}."
    return error


def _wanted() -> str:
    return f"A task's file has the keys {', '.join(_NEEDED)}, and may have {', '.join(k for k in KEYS if k not in _NEEDED)}."
