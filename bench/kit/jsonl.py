"""A strict reader of JSON and JSON Lines; every error says file, line or item, what is there and what was wanted.

Errors name fields and kinds of values, never values: they are corpus text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.errors import DataError
from bench.kit.faults import MALFORMED, Fault, Faults
from bench.kit.files import decode, raw_lines, read_bytes

LINES = (".jsonl", ".ndjson")
"""What the names of files of JSON Lines end in."""
_KINDS = {dict: "an object", list: "a list", str: "a string", bool: "true or false", int: "a whole number", float: "a number"}


@dataclass(frozen=True)
class Record:
    """One line of a file, counted from 1, with typed access to its fields.

    A field that is missing, of another kind or out of range raises a `Fault`, a `DataError`, which names file, line and field.
    Where a file is one list, `item` says what its members are, such as ``document``, and `line` counts them.
    """

    path: Path
    line: int
    values: dict[str, Any] = field(repr=False)
    item: str = ""

    @property
    def where(self) -> str:
        """File and line, or file and number of the item."""
        return f"{self.path}, {self.item} {self.line}" if self.item else f"{self.path}:{self.line}"

    def error(self, message: str, hint: str | None = None, kind: str = MALFORMED) -> Fault:
        """A fault that begins with file and line; `hint` is the next move."""
        return Fault(kind, f"{self.where}: {message}", hint)

    def text(self, name: str, empty: bool = False) -> str:
        """The string in a field, valid Unicode; it may be blank only if `empty`."""
        return self.checked_text(self._get(name), f"field {name!r}", empty)

    def texts(self, name: str) -> list[str]:
        """The list of strings in a field; the list may be empty, its strings may not be blank."""
        return [self.checked_text(item, f"item {i} of field {name!r}") for i, item in enumerate(self.items(name), 1)]

    def items(self, name: str) -> list[Any]:
        """The list in a field, its items of any kind."""
        value: list[Any] = self._typed(name, list)
        return value

    def integer(self, name: str, least: int = 0) -> int:
        """The whole number in a field, at least `least`."""
        value: int = self._typed(name, int)
        if value < least:
            raise self.error(f"field {name!r} is below {least}; wanted at least that.")
        return value

    def identifier(self, name: str) -> str:
        """The identifier in a field: a string without blanks around it, or a whole number, which becomes a string."""
        if type(self._get(name)) is int:
            return str(self.integer(name))
        text = self.text(name)
        if text != text.strip() or any(ord(c) < 32 for c in text):
            raise self.error(f"field {name!r} has blanks around it or control characters in it; wanted a plain name.")
        return text

    def object(self, name: str) -> Record:
        """The object in a field, as a `Record`."""
        return Record(self.path, self.line, self._typed(name, dict), self.item)

    def objects(self, name: str) -> list[Record]:
        """The list of objects in a field, as `Record`s."""
        items = self.items(name)
        odd = next((i for i, item in enumerate(items, 1) if not isinstance(item, dict)), None)
        if odd is not None:
            raise self.error(f"item {odd} of field {name!r} is {kind(items[odd - 1])}; wanted an object.")
        return [Record(self.path, self.line, item, self.item) for item in items]

    def one_of(self, name: str, allowed: Sequence[str]) -> str:
        """The string in a field, which must be one of `allowed`."""
        text = self.text(name)
        if text not in allowed:
            raise self.error(f"field {name!r} is none of the values it may have; wanted {', '.join(map(repr, allowed))}.")
        return text

    def checked_text(self, value: Any, what: str, empty: bool = False) -> str:
        """Any JSON value, if it is a string; `what` names it in the error, and `empty` says whether it may be blank."""
        if not isinstance(value, str):
            raise self.error(f"{what} is {kind(value)}; wanted a string.")
        if not empty and not value.strip():
            raise self.error(f"{what} is blank; wanted text.")
        if any("\ud800" <= c <= "\udfff" for c in value):
            raise self.error(f"{what} holds half of a surrogate pair; wanted valid Unicode.")
        return value

    def _typed(self, name: str, expected: type) -> Any:
        value = self._get(name)
        if type(value) is not expected:  # a bool is no whole number
            raise self.error(f"field {name!r} is {kind(value)}; wanted {_KINDS[expected]}.")
        return value

    def _get(self, name: str) -> Any:
        if name not in self.values:
            raise self.error(f"there is no field {name!r}.")
        return self.values[name]


def kind(value: Any) -> str:
    """The kind of a JSON value in words, such as ``a list``."""
    return _KINDS.get(type(value), "null")


def read(path: Path, content: bytes | None = None, faults: Faults | None = None) -> list[Record]:
    """Reads every line of a file; a byte-order mark at its beginning is allowed.

    `content` is its bytes, if the caller has read them already. `faults` collects lines that are no JSON object; without it the
    first one is raised.

    Raises:
        DataError: the file cannot be read or is empty.
    """
    content = (read_bytes(path) if content is None else content).removeprefix(b"\xef\xbb\xbf")
    lines = content.split(b"\n")  # nothing else ends a line: strings may hold U+2028 as it is
    if not lines[-1]:
        lines.pop()
    if not lines:
        raise DataError(f"{path} is empty; wanted one JSON object a line.")
    records = []
    for number, raw in enumerate(lines, 1):
        try:
            records.append(_record(path, number, raw))
        except Fault as fault:
            if faults is None:
                raise
            faults.add(fault)
    return records


def stream(path: Path) -> Iterator[Record]:
    """The lines of a file one at a time, so that it may have any size; a byte-order mark before the first is allowed.

    Raises:
        DataError: the file cannot be read or holds nothing, or a line is no JSON object.
    """
    number = 0
    for number, raw in enumerate(raw_lines(path), 1):
        yield _record(path, number, raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw)
    if not number:
        raise DataError(f"{path} is empty; wanted one JSON object a line.")


def _record(path: Path, number: int, raw: bytes) -> Record:
    where, expected = f"{path}:{number}", "wanted one JSON object a line."
    try:
        line = raw.removesuffix(b"\r").decode("utf-8")
    except UnicodeDecodeError as error:
        raise Fault("not-utf8", f"{where}: byte {error.start + 1} of the line is not UTF-8; wanted UTF-8 text.") from None
    if not line.strip():
        raise Fault(MALFORMED, f"{where}: the line is blank; {expected}")
    values = _parsed(line, where, "line", expected)
    if not isinstance(values, dict):
        raise Fault(MALFORMED, f"{where}: the line is {kind(values)}; wanted an object.")
    return Record(path, number, values)


def whole(path: Path, content: bytes) -> Any:
    """The value of a file that is one JSON value; a byte-order mark before it is allowed.

    Raises:
        Fault: it is not UTF-8 or no JSON, names a field of an object twice, or holds a number that is not finite.
    """
    text = decode(content.removeprefix(b"\xef\xbb\xbf"), path)
    return _parsed(text, f"{path}", "file", "wanted one JSON value.")


def items(path: Path, content: bytes, item: str, faults: Faults | None = None) -> list[Record]:
    """The objects of a file: one list of them, or one a line; arguments as of `read`.

    It is lines where its name says so, or where it begins with an object.

    `item` says what one is, such as ``task``, for errors.

    Raises:
        DataError: the file is not what its name says, or empty.
    """
    if path.suffix.lower() in LINES or content.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"{":
        return read(path, content, faults)
    values = whole(path, content)
    if not isinstance(values, list) or not values:
        raise Fault(MALFORMED, f"{path} holds {'an empty list' if values == [] else kind(values)}; wanted a list of objects.")
    records = []
    for number, value in enumerate(values, 1):
        record = Record(path, number, value if isinstance(value, dict) else {}, item)
        if isinstance(value, dict):
            records.append(record)
            continue
        fault = record.error(f"it is {kind(value)}; wanted an object.")
        if faults is None:
            raise fault
        faults.add(fault)
    return records


def _parsed(text: str, where: str, what: str, expected: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise Fault(MALFORMED, f"{where}: no JSON from character {error.pos + 1} on; {expected}") from None
    except ValueError as error:
        reason = str(error) if isinstance(error, _Refused) else "a number that is too long"
        raise Fault(MALFORMED, f"{where}: the {what} holds {reason}; wanted plain JSON.") from None
    except RecursionError:
        raise Fault(MALFORMED, f"{where}: the {what} is nested too deeply; {expected}") from None


class _Refused(ValueError):
    """JSON that other readers may read differently."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise _Refused("a field twice")
    return values


def _no_constant(name: str) -> Any:
    raise _Refused("a number that is not finite")
