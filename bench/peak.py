"""The most memory that this process has held."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

BYTES = ("darwin", "ios", "tvos", "watchos")
"""Systems whose ``ru_maxrss`` counts bytes; Linux, the BSDs and AIX count KiB."""
PAGES = ("sunos",)
"""Systems that count memory pages."""


def reset_peak() -> None:
    """Lets the process's peak begin anew, where the system can (Linux)."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_since_reset() -> int:
    """Peak resident bytes since `reset_peak`, or since the process began where the system cannot tell."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return peak_of_process()


def peak_of_process() -> int:
    """Peak resident bytes since the process began."""
    import resource  # not on Windows, where no run can be made

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _unit()


def _unit() -> int:
    if sys.platform.startswith(BYTES):
        return 1
    if sys.platform.startswith(PAGES):
        import resource

        return resource.getpagesize()
    return 1024
