"""Columns of numbers and texts, written as a stream and read memory-mapped, or kept in memory."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_TYPES = {"text": "|u1", "whole": "<i8", "short": "<i4", "tiny": "|u1", "hash": "<u8", "real": "<f4"}
"""Kind of a column to its numpy type."""

Array = NDArray[Any]


class Columns:
    """Named columns, each a file of the folder, or an array in memory where that is None."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self._parts: dict[str, list[Array]] = {}
        self._files: dict[str, Any] = {}

    def append(self, name: str, kind: str, values: Iterable[Any] | Array) -> None:
        """Appends numbers to a column."""
        array = np.asarray(values if isinstance(values, np.ndarray) else list(values), dtype=_TYPES[kind])
        key = f"{name}.{kind}"
        if self.folder is None:
            self._parts.setdefault(key, []).append(array)
            return
        if key not in self._files:
            self._files[key] = (self.folder / key).open("wb")
        array.tofile(self._files[key])

    def append_texts(self, name: str, texts: Iterable[str]) -> None:
        """Appends texts to a column."""
        encoded = [text.encode("utf-8") for text in texts]
        self.append(f"{name}-sizes", "short", [len(e) for e in encoded])
        self.append(name, "text", np.frombuffer(b"".join(encoded), dtype=np.uint8))

    def flush(self) -> None:
        """Writes buffers to the files, so that `read` sees them."""
        for file in self._files.values():
            file.flush()

    def close(self) -> None:
        """Ends writing."""
        for file in self._files.values():
            file.close()
        self._files = {}

    def read(self, name: str, kind: str) -> Array:
        """A column as an array; memory-mapped where it is a file."""
        key = f"{name}.{kind}"
        if self.folder is None:
            parts = self._parts.get(key, [])
            if len(parts) > 1:
                self._parts[key] = parts = [np.concatenate(parts)]
            return parts[0] if parts else np.zeros(0, dtype=_TYPES[kind])
        path = self.folder / key
        if not path.exists() or not path.stat().st_size:
            return np.zeros(0, dtype=_TYPES[kind])
        return np.asarray(np.memmap(path, dtype=_TYPES[kind], mode="r"))  # a plain array: its slices are faster

    def texts(self, name: str) -> Texts:
        """A column of texts."""
        sizes = self.read(f"{name}-sizes", "short")
        ends = np.cumsum(sizes, dtype=np.int64)
        return Texts(self.read(name, "text"), ends)


class Texts:
    """A sequence of texts in one array of UTF-8 bytes with the end offset of each; one is decoded on access."""

    def __init__(self, bytes: Array, ends: Array) -> None:
        self._bytes = bytes
        self._ends = ends

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index: int) -> str:
        start = int(self._ends[index - 1]) if index else 0
        return self._bytes[start : int(self._ends[index])].tobytes().decode("utf-8")
