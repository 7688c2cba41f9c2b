"""A strict JSON Lines reader: one object a line, and every error says file, line, what stood there and what was wanted.

Only kinds and names of fields are told, never values: they are corpus text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.errors import DataError
from bench.kit.faults import MALFORMED, Fault, Faults
from bench.kit.files import raw_lines, read_bytes

__all__ = ["Record", "kind", "read", "read_bytes", "stream"]

_KINDS = {dict: "an object", list: "a list", str: "a string", bool: "true or false", int: "a whole number", float: "a number"}


@dataclass(frozen=True)
class Record:
    """One line.

    Args:
        path: the file.
        line: counted from 1.
        values: its fields.
    """

    path: Path
    line: int
    values: dict[str, Any] = field(repr=False)

    def error(self, message: str, hint: str | None = None, kind: str = MALFORMED) -> Fault:
        """A fault that begins with file and line.

        Args:
            message: what stood there and what was wanted.
            hint: the next move.
            kind: of the fault.
        """
        return Fault(kind, f"{self.path}:{self.line}: {message}", hint)

    def text(self, name: str, empty: bool = False) -> str:
        """A string.

        Args:
            name: of the field.
            empty: whether it may hold nothing but blanks.

        Raises:
            DataError: it is missing, no string, blank, or no valid Unicode.
        """
        return self.checked_text(self._get(name), f"field {name!r}", empty)

    def texts(self, name: str) -> list[str]:
        """A list of strings, each with something in it; the list may be empty.

        Raises:
            DataError: it is missing, no list, or holds something else.
        """
        return [self.checked_text(item, f"item {i} of field {name!r}") for i, item in enumerate(self.items(name), 1)]

    def items(self, name: str) -> list[Any]:
        """A list of anything.

        Raises:
            DataError: it is missing or no list.
        """
        found = self._get(name)
        if not isinstance(found, list):
            raise self.error(f"field {name!r} is {kind(found)}; wanted a list.")
        return found

    def integer(self, name: str, least: int = 0) -> int:
        """A whole number.

        Args:
            name: of the field.
            least: smallest that is allowed.

        Raises:
            DataError: it is missing, no whole number, or too small.
        """
        found = self._get(name)
        if isinstance(found, bool) or not isinstance(found, int):
            raise self.error(f"field {name!r} is {kind(found)}; wanted a whole number.")
        if found < least:
            raise self.error(f"field {name!r} is below {least}; wanted at least that.")
        return found

    def identifier(self, name: str) -> str:
        """A name of something: a string without blanks around it, or a whole number, which is written as one.

        Raises:
            DataError: it is missing, neither, or blank.
        """
        found = self._get(name)
        if isinstance(found, int) and not isinstance(found, bool):
            return str(self.integer(name))
        made = self.text(name)
        if made != made.strip() or any(ord(c) < 32 for c in made):
            raise self.error(f"field {name!r} has blanks around it or control characters in it; wanted a plain name.")
        return made

    def object(self, name: str) -> Record:
        """An object inside this one, to be asked in the same way.

        Raises:
            DataError: it is missing or no object.
        """
        found = self._get(name)
        if not isinstance(found, dict):
            raise self.error(f"field {name!r} is {kind(found)}; wanted an object.")
        return Record(self.path, self.line, found)

    def objects(self, name: str) -> list[Record]:
        """A list of objects inside this one.

        Raises:
            DataError: it is missing, no list, or holds something else.
        """
        found = self.items(name)
        odd = next((i for i, item in enumerate(found, 1) if not isinstance(item, dict)), None)
        if odd is not None:
            raise self.error(f"item {odd} of field {name!r} is {kind(found[odd - 1])}; wanted an object.")
        return [Record(self.path, self.line, item) for item in found]

    def one_of(self, name: str, allowed: Sequence[str]) -> str:
        """A string out of a few.

        Raises:
            DataError: it is missing or another.
        """
        found = self.text(name)
        if found not in allowed:
            raise self.error(f"field {name!r} is none of the values it may have; wanted {', '.join(map(repr, allowed))}.")
        return found

    def checked_text(self, value: Any, what: str, empty: bool = False) -> str:
        """A value that has to be a string.

        Args:
            value: of the field.
            what: how the error calls it.
            empty: whether it may hold nothing but blanks.

        Raises:
            DataError: it is no string, blank, or no valid Unicode.
        """
        if not isinstance(value, str):
            raise self.error(f"{what} is {kind(value)}; wanted a string.")
        if not empty and not value.strip():
            raise self.error(f"{what} is blank; wanted text.")
        if any("\ud800" <= c <= "\udfff" for c in value):
            raise self.error(f"{what} holds half of a surrogate pair; wanted valid Unicode.")
        return value

    def _get(self, name: str) -> Any:
        if name not in self.values:
            raise self.error(f"there is no field {name!r}.")
        return self.values[name]


def kind(value: Any) -> str:
    """What a JSON value is, in words, without the value."""
    return _KINDS.get(type(value), "null")


def read(path: Path, content: bytes | None = None, faults: Faults | None = None) -> list[Record]:
    """Every line of a file; a byte-order mark before the first is allowed.

    Args:
        path: of the file, for errors too.
        content: its bytes where the caller has read them, to hash them for instance.
        faults: collects lines that are no JSON object; without it the file is refused for the first of them.

    Raises:
        DataError: the file cannot be read or holds nothing.
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
    where, wanted = f"{path}:{number}", "wanted one JSON object a line."
    try:
        line = raw.removesuffix(b"\r").decode("utf-8")
    except UnicodeDecodeError as error:
        raise Fault("not-utf8", f"{where}: byte {error.start + 1} of the line is not UTF-8; wanted UTF-8 text.") from None
    if not line.strip():
        raise Fault(MALFORMED, f"{where}: the line is blank; {wanted}")
    try:
        values = json.loads(line, object_pairs_hook=_unique, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise Fault(MALFORMED, f"{where}: no JSON from character {error.pos + 1} on; {wanted}") from None
    except ValueError as error:
        reason = str(error) if isinstance(error, _Refused) else "a number that is too long"
        raise Fault(MALFORMED, f"{where}: the line holds {reason}; wanted one plain JSON object a line.") from None
    except RecursionError:
        raise Fault(MALFORMED, f"{where}: the line is nested too deeply; {wanted}") from None
    if not isinstance(values, dict):
        raise Fault(MALFORMED, f"{where}: the line is {kind(values)}; wanted an object.")
    return Record(path, number, values)


class _Refused(ValueError):
    """JSON that another reader might take otherwise."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise _Refused("a field twice")
    return values


def _no_constant(name: str) -> Any:
    raise _Refused("a number that is not finite")
