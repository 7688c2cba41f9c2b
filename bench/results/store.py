"""Where results live: written whole or not at all, found by id, and read back with their schema checked."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from threading import get_ident
from typing import Any

from bench.api.data import Document, Fragment, Judgement, Key, Mention, Relation
from bench.durable import sync
from bench.errors import RunStateError, UsageError, storable
from bench.results.layout import CHECKPOINTS, INFO, JOURNAL, LOCK, RESULT
from bench.results.lock import holder
from bench.results.schema import Result

PREVIOUS = "previous"
"""Key in a journal's line of the SHA-256 of the line before, line end included; in the first line of the run's id."""


def write_bytes(path: Path, content: bytes, durable: bool = True) -> None:
    """Writes a file whole or not at all: aside, renamed, and on the disk before this returns if `durable`. Makes its folder.

    Raises:
        StorageError: the disk is full or cannot be written; what was there before still is.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}-{get_ident()}.tmp")
    with storable(path, "Make room and try again."):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with aside.open("wb") as file:
                file.write(content)
                file.flush()
                if durable:
                    os.fsync(file.fileno())
            aside.replace(path)
        except OSError:
            with suppress(OSError):
                aside.unlink()
            raise
        if durable:
            with suppress(OSError):  # not every file system lets a folder be opened
                sync(path.parent)


def write_json(path: Path, value: Any, durable: bool = True) -> None:
    """Writes strict, indented JSON whole or not at all.

    What is no character, such as a byte of a folder's name that is not UTF-8, is escaped, and reads back as it was.
    """
    write_bytes(path, as_json(value), durable)


def as_json(value: Any) -> bytes:
    """What `write_json` writes."""
    text = json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False)
    return f"{text}\n".encode(errors="backslashreplace")


def read_json(path: Path) -> Any:
    """Reads a JSON file of a run.

    Raises:
        RunStateError: it is missing, truncated or not JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise RunStateError(f"There is no {path}.") from None
    except OSError as error:
        raise RunStateError(f"{path} cannot be read: {error.strerror or error}.") from None
    except (ValueError, RecursionError):
        raise RunStateError(f"{path} is not whole JSON: it is truncated or was changed.") from None


def write_result(folder: Path, result: Result) -> Path:
    """Writes a run's ``result.json`` and returns its path."""
    path = folder / RESULT
    write_json(path, result.to_json())
    return path


def read_result(folder: Path) -> Result:
    """Reads the result of a run's folder.

    Raises:
        RunStateError: there is none, it is damaged, or of another schema version.
    """
    path = folder / RESULT
    if folder.is_dir() and not path.exists():
        if (invariant := refused(folder)) is not None:
            raise RunStateError(
                f"Run {folder.name} has no result: the invariant {invariant!r} refused it before anything was kept.",
                "Begin another, as the message of that run said.",
            )
        if (process := holder(folder)) is not None:
            raise RunStateError(
                f"Run {folder.name} has no result yet: it is still running, in {process}.",
                f"Wait for it to end; {folder / JOURNAL} grows meanwhile.",
            )
        raise RunStateError(f"Run {folder.name} has no result: it did not finish.", f"Type 'bench run --resume {folder.name}'.")
    return Result.from_json(read_json(path), str(path))


def refused(folder: Path) -> str | None:
    """The invariant that ended a run before it had a checkpoint, so that there is nothing to go on from; None for others."""
    invariant = ending(folder).get("refused")
    return invariant if isinstance(invariant, str) else None


def ending(folder: Path) -> Mapping[str, Any]:
    """The values of the event that ended a run; empty where its journal does not end with one."""
    try:
        last = json.loads(last_line(folder / JOURNAL))
        values = last["values"] if last["kind"] == "end" else {}
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}


def last_line(path: Path) -> bytes:
    """The last whole line of a file with its end; empty where there is none. Raises as `last_lines`."""
    return b"".join(last_lines(path, 1))


def last_lines(path: Path, count: int) -> list[bytes]:
    """The last whole lines of a file with their ends, read from the file's end; fewer where there are not as many.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        end, block = file.seek(0, os.SEEK_END), 1 << 12
        while True:
            start = max(0, end - block)
            file.seek(start)
            content = file.read(end - start)
            lines = content[: content.rfind(b"\n") + 1].splitlines(keepends=True)
            if not start or len(lines) > count:  # the first of these may be the end of a line
                return lines[-count:]
            block *= 4


def is_run(folder: Path) -> bool:
    """Whether a folder is a run's."""
    return folder.is_dir() and any((folder / name).exists() for name in (JOURNAL, RESULT, INFO, LOCK, CHECKPOINTS))


def find_run(ref: str, out: Path, option: str = "--out") -> Path:
    """The folder of a run below `out`, by its id, a beginning of it that no other id has, or the folder itself.

    `option` is what names another `out`, for the message where no run is found.

    Raises:
        UsageError: none or several carry it; the nearest ids are named.
    """
    if not ref.strip():
        raise UsageError("A run is named by its id, the beginning of its id, or its folder; got nothing.")
    if is_run(Path(ref)):
        return Path(ref)
    runs = sorted(path.name for path in out.iterdir() if is_run(path)) if out.is_dir() else []
    if (name := by_beginning(ref if ref in runs else ref.lower(), runs, "runs")) is not None:
        return out / name
    near = get_close_matches(ref.lower(), runs, n=2, cutoff=0.5)
    if near:
        more = f"Did you mean {' or '.join(map(repr, near))}?"
    else:
        more = f"It holds {_listed(runs)}." if runs else "It holds no run." if out.is_dir() else "There is no such folder."
    raise UsageError(f"There is no run {ref!r} in {out.absolute()}. {more}", f"{option} names another folder of runs.")


def by_beginning(ref: str, known: Iterable[str], nouns: str) -> str | None:
    """The name that `ref` is, or that alone begins with it; None where none does.

    Raises:
        UsageError: several names begin with it; `nouns` says what they are of.
    """
    begun = [name for name in known if name.startswith(ref)]
    if ref in begun or len(begun) == 1:
        return ref if ref in begun else begun[0]
    if begun:
        raise UsageError(f"{ref!r} is the beginning of {len(begun)} {nouns}: {_listed(begun)}.", "Type more of it.")
    return None


def write_predictions(path: Path, documents: Iterable[Document]) -> None:
    """Saves annotations as JSON Lines of offsets, labels and scores, one document a line, never text; whole or not at all."""
    lines = [json.dumps(as_record(d), ensure_ascii=False) for d in documents]
    write_bytes(path, "".join(f"{line}\n" for line in lines).encode(errors="backslashreplace"))


def read_predictions(path: Path) -> tuple[Document, ...]:
    """Reads what `write_predictions` wrote; the documents have no text.

    Raises:
        RunStateError: the file is missing or a line is no document.
    """
    try:
        lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError):
        raise RunStateError(f"{path} cannot be read as predictions.") from None
    documents = []
    for number, line in enumerate(lines if lines != [""] else [], 1):
        try:
            documents.append(as_document(json.loads(line)))
        except (ValueError, RecursionError):
            raise RunStateError(f"{path}, line {number} is not a document's predictions.") from None
    return tuple(documents)


def as_record(document: Document) -> dict[str, Any]:
    """Annotations as a line of a prediction file holds them: offsets, labels and scores, without the text."""
    record: dict[str, Any] = {"id": document.id, "mentions": [_mention(m) for m in document.mentions]}
    if document.relations:
        record["relations"] = [
            {"source": r.source, "target": r.target, "label": r.label} | _sure(r) for r in document.relations
        ]
    if document.judgements:
        record["judgements"] = [{"name": j.name, "score": j.score, "chosen": j.chosen} for j in document.judgements]
    return record


def as_document(record: Any) -> Document:
    """Annotations from what `as_record` made, or a system's own file says in its words.

    Raises:
        ValueError: it is something else; the value is not shown.
    """
    try:
        return Document(
            _a(str, record["id"]),
            "",
            tuple(map(_as_mention, record["mentions"])),
            tuple(
                Relation(_key(r["source"]), _key(r["target"]), _a(str, r["label"]), _confidence(r))
                for r in record.get("relations", ())
            ),
            tuple(
                Judgement(_a(str, j["name"]), float(_a((int, float), j["score"])), _a(bool, j["chosen"]))
                for j in record.get("judgements", ())
            ),
        )
    except (KeyError, TypeError, AttributeError, OverflowError):
        raise ValueError("no document's predictions") from None


def as_kept(document: Document) -> Document:
    """The document as a prediction file gives it back: without text, passages, and how a file wrote its spans."""
    return as_document(as_record(document))


def _a(kind: type | tuple[type, ...], value: Any) -> Any:
    """The value, if it is of a kind; True and False are no numbers."""
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise TypeError
    return value


def _fragments(value: Any) -> tuple[Fragment, ...]:
    return tuple((_a(int, start), _a(int, end)) for start, end in value)


def _confidence(record: Mapping[str, Any]) -> float | None:
    value = record.get("confidence")
    return value if value is None else _a((int, float), value)


def _key(value: Any) -> Key:
    fragments, label = value
    return _fragments(fragments), _a(str, label)


def _mention(mention: Mention) -> dict[str, Any]:
    record: dict[str, Any] = {"fragments": [list(f) for f in mention.fragments], "label": mention.label}
    if mention.concept is not None:
        record["concept"] = mention.concept
    if mention.slots:
        record["slots"] = {name: list(values) for name, values in mention.slots.items()}
    return record | _sure(mention)


def _sure(annotation: Mention | Relation) -> dict[str, float]:
    return {} if annotation.confidence is None else {"confidence": annotation.confidence}


def _as_mention(record: Any) -> Mention:
    fragments, concept = _fragments(record["fragments"]), record.get("concept")
    if not fragments:
        raise ValueError("a mention without a span")
    slots = {name: tuple(_a(str, value) for value in _a(list, values)) for name, values in record.get("slots", {}).items()}
    return Mention(
        fragments, _a(str, record["label"]), concept if concept is None else _a(str, concept), slots, _confidence(record)
    )


def _listed(names: list[str], most: int = 4) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
