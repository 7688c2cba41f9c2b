"""Errors a user can act on. Each says what, got, wanted and the next move, and carries the exit code of the process."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

_SHOWN = 5
_FEW = 8


class BenchError(Exception):
    """A mistake or a refusal that is told in one or two lines, without a traceback.

    Args:
        message: what happened, what stood there and what was wanted.
        hint: the next move, usually a command to type.

    Attributes:
        resume: id of the run that can be gone on with; None where there is none.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.resume: str | None = None

    def as_json(self) -> dict[str, str | int | None]:
        """What ``--json`` prints in a result's place: ``kind``, ``message``, ``hint``, ``exit_code`` and ``resume``."""
        return {
            "kind": type(self).__name__, "message": self.message, "hint": self.hint, "exit_code": self.exit_code,
            "resume": self.resume,
        }  # fmt: skip

    def __str__(self) -> str:
        return f"{self.message}  {self.hint}" if self.hint else self.message


class UsageError(BenchError):
    """Unknown names, nonsense numbers, options that contradict each other."""

    exit_code = 2


class InvariantError(BenchError):
    """An invariant, named as `--waive` takes it, does not hold; nothing that follows could be trusted."""

    exit_code = 3

    def __init__(self, invariant: str, message: str, hint: str | None = None) -> None:
        super().__init__(f"Invariant '{invariant}' does not hold: {message}", hint)
        self.invariant = invariant


class ContractError(BenchError):
    """Runs that cannot be held against each other: they differ in more than what is compared."""

    exit_code = 3


class DataError(BenchError):
    """A corpus file that cannot be read as what it claims to be. Never carries corpus text."""

    exit_code = 4


class LeakError(DataError):
    """Documents that stand in two splits of a corpus, named by id with the two splits, in the order that they were found."""

    def __init__(self, where: object, leaks: Iterable[tuple[str, str, str]], hint: str | None = None) -> None:
        self.leaks = tuple(leaks)
        shown = ", ".join(f"{name!r} ({one} and {other})" for name, one, other in self.leaks[:_SHOWN])
        more = f" and {len(self.leaks) - _SHOWN} more" if len(self.leaks) > _SHOWN else ""
        noun = "document stands" if len(self.leaks) == 1 else "documents stand"
        super().__init__(
            f"{len(self.leaks)} {noun} in two splits of {where}: {shown}{more}; wanted each in one split only.", hint
        )


class DataWarning(UserWarning):
    """Something of a corpus that is not read, told by count; never carries corpus text."""


class MissingError(BenchError):
    """A package, a compiler or a model that is not installed; the hint is the exact install command."""

    exit_code = 5


class RunStateError(BenchError):
    """A run folder that is locked, finished, unfinished, damaged or changed."""

    exit_code = 6


class RunInUseError(RunStateError):
    """A run folder that a living process holds."""


class DivergedError(BenchError):
    """Training or a model came to numbers that are not finite, `values`; what was saved before is whole."""

    def __init__(self, message: str, hint: str | None = None, values: Mapping[str, object] | None = None) -> None:
        super().__init__(message, hint)
        self.values = dict(values or {})


class OutOfMemory(BenchError):
    """Memory ran out, on whichever device; what was saved before is whole."""

    exit_code = 8

    def __init__(self, doing: str, hint: str = "Free memory, or take a smaller model or corpus.") -> None:
        super().__init__(f"Out of memory {doing}.", hint)
        self.doing = doing


class StorageError(BenchError):
    """The disk is full or cannot be written; what was whole before still is."""

    exit_code = 7


class Interrupted(BenchError):
    """The run was asked to stop and saved a checkpoint first (SIGINT, SIGTERM, `--max-hours`)."""

    exit_code = 130


_NO_ROOM = {None, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}


@contextmanager
def storable(place: object, hint: str = "Make room.") -> Iterator[None]:
    """Tells in one line why `place`, a file or a folder, cannot be written; `hint` is the next move where room is short.

    Raises:
        StorageError: the system refused.
    """
    try:
        yield
    except OSError as error:
        move = hint if error.errno in _NO_ROOM else "Name another folder, or one that you may write to."
        raise StorageError(f"{place} cannot be written: {error.strerror or error}.", move) from None


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on whichever device; torch's are known by name, so that it is not imported."""
    if isinstance(error, (MemoryError, OutOfMemory)) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    if not isinstance(error, RuntimeError):
        return False
    words = ("allocate memory", "not enough memory", "out of memory", "DefaultCPUAllocator", "ALLOC_FAILED")
    return type(error).__name__ == "OutOfMemoryError" or any(part in str(error) for part in words)


def unknown(kind: str, name: str, known: Iterable[str], listing: str = "", hint: str | None = None) -> UsageError:
    """The error for a name that nothing carries, with the nearest names that exist, or all of them where they are few.

    `kind` is singular, as in "quantizer"; `listing` the command that lists the names. `hint` stands in its place where the next
    move is another.
    """
    from difflib import get_close_matches

    names = list(known)
    near = get_close_matches(name, sorted(names), n=2, cutoff=0.5)
    few = f" Wanted {', '.join(names)}." if 0 < len(names) <= _FEW else ""
    meant = f" Did you mean {' or '.join(repr(n) for n in near)}?" if near else few
    return UsageError(f"Unknown {kind} {name!r}.{meant}", hint or f"Run '{listing}'.")
