"""Reads files as UTF-8 without newline translation, so that character offsets stay valid."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench.errors import DataError
from bench.kit.faults import Fault


def read_bytes(path: Path) -> bytes:
    """The file's bytes.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"Cannot read {path}: {error.strerror or type(error).__name__}.", "Check the path.") from None


def raw_lines(path: Path) -> Iterator[bytes]:
    """The file's lines one at a time, without the line feed that ends each; nothing else ends one.

    Raises:
        DataError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            for raw in file:
                yield raw.removesuffix(b"\n")
    except OSError as error:
        raise DataError(f"Cannot read {path}: {error.strerror or type(error).__name__}.", "Check the path.") from None


def decode(data: bytes, path: Path) -> str:
    """Decodes the bytes of a file as UTF-8; a byte-order mark is kept.

    Raises:
        Fault: the bytes are not UTF-8; names the line and the byte.
    """
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Fault(
            "not-utf8",
            f"{path}, line {line}: byte {error.start} cannot be read as UTF-8, which is what was wanted.",
            "Convert the file to UTF-8; offsets count characters.",
        ) from None


def read_text(path: Path) -> str:
    """The file's text.

    Raises:
        DataError: it cannot be read, or is not UTF-8.
    """
    return decode(read_bytes(path), path)
