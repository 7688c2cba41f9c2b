"""One process a run folder: a lock that dies with the process that holds it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from bench.errors import RunInUseError, StorageError, storable
from bench.results.layout import LOCK


def holder(folder: Path) -> str | None:
    """The process that holds a run's folder, as in ``process 123``, or ``another process``; None where none does."""
    try:
        import fcntl  # not on Windows

        handle = os.open(folder / LOCK, os.O_RDONLY)
    except (ImportError, OSError):
        return None
    try:
        # A lock that is held tells its process. Where none is told, it is not tried, which would be in a run's way.
        if not (pid := os.read(handle, 32).decode(errors="replace").strip()):
            return None
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return f"process {pid}" if pid.isdigit() else "another process"
    except OSError:
        return None
    finally:
        os.close(handle)
    return None


class RunLock:
    """Holds a run's folder for this process while the ``with`` block lasts; the system lets go of it when the process dies.

    Raises:
        RunInUseError: on entering, where a living process holds it; its process id is named.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._handle: int | None = None

    def __enter__(self) -> RunLock:
        import fcntl  # not on Windows, where results can be read all the same

        path = self.folder / LOCK
        with storable(path):
            self.folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(handle, 32).decode(errors="replace").strip()
            os.close(handle)
            who = f"by process {holder}" if holder.isdigit() else "by another process"
            raise RunInUseError(
                f"Run {self.folder.name} is in use {who}.", "Wait for it, or stop that process first."
            ) from None
        except OSError as error:
            os.close(handle)
            raise StorageError(f"{path} cannot be locked: {error.strerror or error}.") from None
        self._handle = handle
        with suppress(OSError):  # the number only helps a person; the lock stands without it
            os.truncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._handle is not None:
            with suppress(OSError):
                os.truncate(self._handle, 0)
            os.close(self._handle)
            self._handle = None
