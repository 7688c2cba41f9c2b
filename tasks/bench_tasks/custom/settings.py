"""Reads the TOML file that describes a task; errors name file, key, what is there and what was wanted.

A complete file, for mentions in brat standoff:

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
from bench.kit.formats import BY_FORMAT
from bench.wording import some

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

KINDS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...], str]] = {
    "mentions": (
        ("brat", "iob", "pipe", "jsonl", "bioc", "pubtator", "i2b2", "huggingface", "doccano", "label-studio"),
        ("span", "bio"),
        "strict.f1",
    ),
    "relations": (
        ("brat", "jsonl", "bioc", "i2b2", "huggingface", "doccano", "label-studio"),
        ("relation", "joint"),
        "relations.f1",
    ),
    "classification": (("jsonl", "huggingface", "doccano", "label-studio"), ("classify",), "macro_f1"),
    "ranking": (("jsonl",), ("ranking",), "map"),
}
"""Kind to its formats, its heads with the default first, and its default metric."""

FORMATS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "brat": {split: (split,) for split in SPLITS},
    "iob": {"train": ("train.tsv",), "dev": ("devel.tsv", "dev.tsv"), "test": ("test.tsv",)},
    "pipe": {split: (split,) for split in SPLITS},
    "jsonl": {split: (f"{split}.jsonl",) for split in SPLITS},
    "bioc": {split: (f"{split}.xml", f"{split}.json", split) for split in SPLITS},
    "pubtator": {split: (f"{split}.pubtator", f"{split}.txt", split) for split in SPLITS},
    "i2b2": {split: (split,) for split in SPLITS},
    "huggingface": {
        split: tuple(
            f"{place}{name}{end}"
            for name in (("validation", "dev") if split == "dev" else (split,))
            for place, end in (("", ""), ("", ".parquet"), ("", "-*.parquet"), ("data/", "-*.parquet"))
        )
        for split in SPLITS
    },
    "doccano": {split: (f"{split}.jsonl", f"{split}.json") for split in SPLITS},
    "label-studio": {split: (f"{split}.json", f"{split}.jsonl") for split in SPLITS},
}
"""Format to the default names of each split's folder or file; exactly one must exist. A name may be a pattern of files."""

OTHER_NAMES: Mapping[str, str] = {
    "conll": "iob", "conll2000": "iob", "conll2002": "iob", "conll2003": "iob", "bio": "iob", "iob2": "iob", "iob1": "iob",
    "iobes": "iob", "bioes": "iob", "bilou": "iob", "bmewo": "iob", "bmes": "iob", "tsv": "iob", "tags": "iob", "token": "iob",
    "tokens": "iob", "n2c2": "brat", "biocxml": "bioc", "biocjson": "bioc", "xml": "bioc", "pubtator3": "pubtator",
    "i2b22010": "i2b2", "con": "i2b2", "datasets": "huggingface", "hf": "huggingface", "parquet": "huggingface",
    "arrow": "huggingface", "bigbio": "huggingface", "kb": "huggingface", "labelstudio": "label-studio",
    "standoff": "brat", "ann": "brat", "a1": "brat", "txt": "brat", "bionlp": "brat",
    "semeval": "pipe", "semeval2015": "pipe", "share": "pipe", "t14": "pipe", "pipes": "pipe", "|": "pipe", "||": "pipe",
    "json": "jsonl", "ndjson": "jsonl", "jsonlines": "jsonl", "jsonlist": "jsonl", "jl": "jsonl",
    "ner": "mentions", "entities": "mentions", "entity": "mentions", "spans": "mentions", "tagging": "mentions",
    "re": "relations", "relationextraction": "relations", "links": "relations",
    "classes": "classification", "text": "classification", "textclassification": "classification", "labels": "classification",
    "retrieval": "ranking", "rerank": "ranking", "reranking": "ranking", "rank": "ranking", "qa": "ranking",
}  # fmt: skip
"""Other names of formats and kinds, in lower case without ``-``, ``_`` and ``.``."""

DESCRIBED: Mapping[str, str] = {
    "iob": "two columns, token and tag, divided by a tab, in any usual scheme of tags",
    "brat": "standoff, a .txt with an .ann file beside it",
    "pipe": "the '|' lines of SemEval-2015 Task 14",
    "jsonl": "JSON Lines, one object a line",
    "bioc": "BioC XML or BioC JSON",
    "pubtator": "articles of title, abstract and tab-divided mentions",
    "i2b2": "the .con files of i2b2/VA 2010",
    "huggingface": "a data set saved to disk, or Parquet",
    "doccano": "an export of doccano",
    "label-studio": "an export of Label Studio",
}

KEYS = (
    "name", "kind", "format", "folder", "labels", "splits", "roles", "tolerate", "metric", "head", "concepts", "reference",
    "licence", "citation", "level", "unit",
)  # fmt: skip
_NO_TEXT = ("labels", "splits", "roles", "tolerate", "level")
_WITH_ROLES = ("brat", "bioc")
_NEEDED = ("kind", "format", "folder")
LEVELS = (1, 2)
UNITS = ("documents", "notes", "articles", "abstracts", "sentences", "questions", "messages", "texts")
"""What a document of a corpus may be called; `sentences` where several of one text are documents of their own."""
_LONGEST = 255
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class TaskFile:
    """The content of a task's file, with defaults filled in.

    Args:
        path: of the file.
        digest: of its content, the first twelve hex digits of the SHA-256.
        name: of the task.
        kind: what is predicted, one of `KINDS`.
        format: of the corpus, one of `FORMATS`.
        folder: of the corpus.
        labels: types or classes; where empty, those of the training split.
        splits: split to the names that its folder or file may have.
        roles: type of relation to the roles of its source and its target, in brat and BioC.
        tolerate: kinds of faulty lines that are left out, sorted.
        metric: dotted path into the scores.
        heads: names of heads, the default first.
        concepts: file with the names of concepts; None: concepts come from training mentions alone.
        unit: what a document is, one of `UNITS`; empty where the corpus itself says it.
        level: 1 or 2, see `bench.api.task.Task.level`; None: the head's.
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
    roles: Mapping[str, tuple[str, str]]
    tolerate: tuple[str, ...]
    metric: str
    heads: tuple[str, ...]
    concepts: Path | None
    level: int | None
    unit: str
    reference: str
    licence: str
    citation: str


def read(path: Path) -> TaskFile:
    """Reads a task's file; does not check that its folder and its metric exist.

    Raises:
        UsageError: it cannot be read, is no TOML, or a key is missing, unknown, of a wrong type, or has an invalid value.
    """
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
        raise UsageError(f"The task file {path} cannot be read: {reason}.", "Check the path.") from None
    try:
        values = tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: byte {error.start} is not UTF-8; wanted TOML, which is UTF-8 text.") from None
    except RecursionError:
        raise UsageError(f"{path} is nested too deeply to be a task's file.") from None
    except ValueError as error:  # tomllib's own error, or a number of too many digits
        raise UsageError(f"{path} is no TOML: {' '.join(str(error).split())[:200]}.", _known_keys()) from None
    return _checked(values, path, hashlib.sha256(content).hexdigest()[:12])


def _checked(values: Mapping[str, Any], path: Path, digest: str) -> TaskFile:
    for key in values:
        if key not in KEYS:
            raise _unknown("key", key, KEYS, path)
    for key in _NEEDED:
        if key not in values:
            raise UsageError(f"{path}: there is no key {key!r}.", _known_keys())
    texts = {key: _text(path, key, values[key]) for key in KEYS if key in values and key not in _NO_TEXT}
    name = texts.get("name", path.stem)
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{path}: the name is {name!r}; wanted up to 64 letters, digits, '.', '_' and '-', a letter or digit first.",
            "The key 'name' stands in for the file's own name.",
        )
    kind, form = texts["kind"], texts["format"]
    if kind not in KINDS:
        raise _other_name("kind", kind, KINDS, path)
    formats, heads, metric = KINDS[kind]
    if form not in FORMATS:
        raise _other_name("format", form, FORMATS, path)
    if form not in formats:
        raise UsageError(f"{path}: the format {form!r} cannot hold {kind}; wanted {' or '.join(map(repr, formats))}.")
    if form == "iob":
        heads = ("bio", "span")  # the format has no discontiguous or nested mentions, and tags are learned faster
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
        roles=_roles(path, kind, form, values.get("roles", {})),
        tolerate=_tolerate(path, form, values.get("tolerate", [])),
        metric=texts.get("metric", metric),
        heads=(head, *(other for other in heads if other != head)),
        concepts=_concepts(path, kind, form, texts.get("concepts")),
        level=_level(path, values.get("level")),
        unit=_unit(path, kind, form, texts.get("unit")),
        reference=texts.get("reference", ""),
        licence=texts.get("licence", "not stated"),
        citation=texts.get("citation", ""),
    )


def _level(path: Path, level: object) -> int | None:
    if level is not None and level not in LEVELS:
        raise UsageError(
            f"{path}: level is {level!r}; wanted 1 or 2.",
            "1: mentions are found; 2: something is said of a text or of its mentions. Left out, the head says which.",
        )
    return None if level is None else int(str(level))


def _unit(path: Path, kind: str, form: str, unit: str | None) -> str:
    if unit is not None and unit not in UNITS:
        raise _unknown("unit", unit, UNITS, path)
    if unit is None and form == "iob":
        return ""  # its files say whether they are divided into documents
    return unit or {"ranking": "questions", "classification": "texts"}.get(kind, "documents")


def _concepts(path: Path, kind: str, form: str, file: str | None) -> Path | None:
    if file is None:
        return None
    if kind != "mentions" or form == "iob":
        raise UsageError(f"{path}: 'concepts' beside {kind} in {form}, which have none.", "Take the key out.")
    concepts = path.absolute().parent / _place(path, "concepts", file)
    if not concepts.is_file():
        raise UsageError(f"{path}: 'concepts' names {concepts}, which is no file.", "Correct it, or take the key out.")
    return concepts


def _labels(path: Path, value: Any, key: str = "labels") -> tuple[str, ...]:
    if not isinstance(value, list):
        raise UsageError(f"{path}: {key!r} is {_kind(value)}; wanted a list of strings.")
    labels = tuple(_text(path, key, item) for item in value)
    repeated = next((label for i, label in enumerate(labels) if label in labels[:i]), None)
    if repeated is not None:
        raise UsageError(f"{path}: {key!r} names {repeated!r} twice; wanted each once.")
    return labels


def _tolerate(path: Path, form: str, value: Any) -> tuple[str, ...]:
    kinds = _labels(path, value, "tolerate")
    for kind in kinds:
        if kind not in BY_FORMAT[form]:
            raise _unknown("kind of faulty line", kind, BY_FORMAT[form], path)
    return tuple(sorted(kinds))


def _roles(path: Path, kind: str, form: str, value: Any) -> dict[str, tuple[str, str]]:
    if not isinstance(value, dict):
        raise UsageError(f"{path}: 'roles' is {_kind(value)}; wanted a table [roles] of types, each with its two roles.")
    if value and (kind != "relations" or form not in _WITH_ROLES):
        raise UsageError(
            f"{path}: 'roles' are those of relations in {' or '.join(_WITH_ROLES)}; this file describes {kind} in {form}."
        )
    roles_of = {}
    for label, pair in value.items():
        roles = _labels(path, pair, f"roles.{label}")
        if len(roles) != 2:
            raise UsageError(
                f"{path}: 'roles.{label}' holds {some(len(roles), 'role')}; wanted two, that of the source and that of the "
                "target."
            )
        roles_of[label] = (roles[0], roles[1])
    return roles_of


def _other_name(what: str, name: str, known: Mapping[str, Any], path: Path) -> UsageError:
    """The error for an unknown kind or format; it names the one that others call by this name."""
    meant = OTHER_NAMES.get(re.sub(r"[-_. ]", "", name.lower()), "")
    if meant not in known:
        return _unknown(what, name, known, path)
    described = f", {DESCRIBED[meant]}" if meant in DESCRIBED else ""
    return UsageError(
        f"Unknown {what} in {path}: {name!r}. It is called {meant!r} here{described}.", f"Wanted {', '.join(known)}."
    )


def _splits(path: Path, form: str, value: Any) -> dict[str, tuple[str, ...]]:
    if not isinstance(value, dict):
        raise UsageError(f"{path}: 'splits' is {_kind(value)}; wanted a table [splits] of {', '.join(SPLITS)}.")
    for key in value:
        if key not in SPLITS:
            raise _unknown("split", key, SPLITS, path)
    named = {split: (str(_place(path, f"splits.{split}", name)),) for split, name in value.items()}
    places = {split: named.get(split, FORMATS[form][split]) for split in SPLITS}
    home: dict[Path, str] = {}
    for split, names in places.items():
        for name in names:
            other = home.setdefault(Path(name), split)
            if other != split:
                raise UsageError(f"{path}: {other} and {split} are both {name!r}; wanted a place of its own for each split.")
    return places


def _place(path: Path, key: str, value: Any) -> Path:
    """A path; ``~`` is the user's home."""
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
    return unknown(f"{what} in {path}:", name, known, hint=f"Wanted {', '.join(known)}.")


def _known_keys() -> str:
    return f"A task's file has the keys {', '.join(_NEEDED)}, and may have {', '.join(k for k in KEYS if k not in _NEEDED)}."
