"""The files of a corpus's release: a zip or tar file, also compressed, or a folder, with archives in it; nothing is unpacked.

An archive is not trusted. Its names are never used as paths, links and devices in it are not files, and what is read of it has
a limit. Errors name files and quote no text.
"""

from __future__ import annotations

import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

from bench.errors import DataError, UsageError
from bench.kit.files import read_bytes

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
LARGEST = 64 * 2**20
"""Bytes of a file of a corpus."""
LARGEST_ARCHIVE = 2 * 2**30
"""Bytes of an archive inside the release, which is read into memory."""
MOST = 8 * 2**30
"""Bytes of all files that are read of a release."""

_DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError, NotImplementedError)


@dataclass(frozen=True)
class ReleaseFile:
    """A file of a release.

    Args:
        name: its path in the release, which names an archive around it without what the archive's name ends in.
        size: bytes.
    """

    name: PurePosixPath
    size: int
    _read: Callable[[], bytes] = field(repr=False)

    def bytes(self) -> bytes:
        """Its content; to be read before the next file is asked for.

        Raises:
            DataError: it is larger than `LARGEST`, or damaged.
        """
        return self._read()


@dataclass
class Release:
    """A corpus's release.

    Args:
        path: an archive or a folder.
    """

    path: Path
    _used: int = field(default=0, init=False)

    def files(self) -> Iterator[ReleaseFile]:
        """Every file, those of archives inside it too, without hidden ones; one at a time.

        Raises:
            UsageError: there is no such file or folder.
            DataError: it is no archive or a damaged one, is encrypted, holds a name that leads out of it, or is too large.
        """
        if self.path.is_dir():
            yield from self._visible(self._below())
            return
        if not self.path.is_file():
            raise UsageError(f"There is no file or folder {self.path}.", "Correct the path.")
        if _ending(self.path.name) is None:
            raise DataError(f"{self.path} is no archive; wanted a folder, or a file that ends in {', '.join(ARCHIVES)}.")
        with self._readable(), self.path.open("rb") as stream:
            yield from self._visible(self._in(stream, PurePosixPath(self.path.name)))

    def _below(self) -> Iterator[ReleaseFile]:
        for path in sorted(self.path.rglob("*")):
            if path.is_file() and not path.is_symlink():
                name = PurePosixPath(path.relative_to(self.path).as_posix())
                yield ReleaseFile(name, path.stat().st_size, self._of_file(path))

    def _visible(self, files: Iterator[ReleaseFile], within: bool = False) -> Iterator[ReleaseFile]:
        for file in files:
            if any(part.startswith((".", "__MACOSX")) for part in file.name.parts):
                continue
            if _ending(file.name.name) is None:
                yield file
                continue
            if within:
                raise DataError(f"{self.path} holds an archive in an archive in it; wanted one level.", "Unpack it first.")
            with self._readable():
                inner = self._in(io.BytesIO(self._limited(file.bytes, file.size, LARGEST_ARCHIVE)), file.name)
                place = file.name.with_name(file.name.name.removesuffix(_ending(file.name.name) or ""))
                moved = (ReleaseFile(place / f.name, f.size, f._read) for f in inner)
                yield from self._visible(moved, within=True)

    def _in(self, stream: IO[bytes], name: PurePosixPath) -> Iterator[ReleaseFile]:
        if name.name.lower().endswith(".zip"):
            with zipfile.ZipFile(stream) as archive:
                for info in archive.infolist():
                    if info.is_dir():
                        continue
                    if info.flag_bits & 1:
                        raise DataError(f"{self.path} is encrypted; wanted files that can be read.", "Unpack it first.")
                    yield ReleaseFile(self._safe(info.filename), info.file_size, self._of_zip(archive, info))
            return
        with tarfile.open(fileobj=stream, mode="r:*") as tar:
            for member in tar:
                if member.isfile():
                    yield ReleaseFile(self._safe(member.name), member.size, self._of_tar(tar, member))
                elif not member.isdir():
                    self._safe(member.name)

    def _safe(self, name: str) -> PurePosixPath:
        path = PurePosixPath(name.replace("\\", "/"))
        if not path.name or path.is_absolute() or ".." in path.parts or ":" in path.parts[0] or "\0" in name:
            raise DataError(f"{self.path} holds a file whose name leads out of it, which is refused.")
        return path

    def _of_file(self, path: Path) -> Callable[[], bytes]:
        return lambda: self._limited(lambda: read_bytes(path), path.stat().st_size, self._limit(path.name))

    def _of_zip(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Callable[[], bytes]:
        def read() -> bytes:
            with archive.open(info) as file:
                return file.read(self._limit(info.filename) + 1)

        return lambda: self._limited(read, info.file_size, self._limit(info.filename))

    def _of_tar(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> Callable[[], bytes]:
        def read() -> bytes:
            file = archive.extractfile(member)
            return b"" if file is None else file.read(self._limit(member.name) + 1)

        return lambda: self._limited(read, member.size, self._limit(member.name))

    @staticmethod
    def _limit(name: str) -> int:
        return LARGEST if _ending(name) is None else LARGEST_ARCHIVE

    def _limited(self, read: Callable[[], bytes], size: int, limit: int) -> bytes:
        """The bytes of a file; its size is what the archive says, which need not be so."""
        with self._readable():
            data = b"" if size > limit else read()
        self._used += len(data)
        if size > limit or len(data) > limit or self._used > MOST:
            raise DataError(f"{self.path} holds more than is read of a release; wanted files of up to {LARGEST >> 20} MiB.")
        return data

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except _DAMAGED as error:
            raise DataError(
                f"{self.path} cannot be read as an archive ({type(error).__name__}).", "Download it again, or unpack it."
            ) from None


def _ending(name: str) -> str | None:
    """What an archive's name ends in, as it is written; None for other files."""
    ending = next((e for e in sorted(ARCHIVES, key=len, reverse=True) if name.lower().endswith(e)), None)
    return None if ending is None else name[-len(ending) :]
