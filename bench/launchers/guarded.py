"""``python -m bench.launchers.guarded PARENT WORD …``: becomes ``python -m bench WORD …``, asked to stop when its parent dies.

A killed launcher, worker or study would otherwise leave a run behind that holds its folder's lock. Where the system has no
such signal (it is Linux's) the run is left behind, and whoever comes next waits for it.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress

_SET_PARENT_DEATH_SIGNAL = 1


def main(words: list[str]) -> None:
    """Never returns.

    Args:
        words: the parent's process id, then what follows ``bench``.
    """
    import ctypes

    # A group of its own: ^C in the terminal reaches the launcher only, which asks its runs to stop, once.
    with suppress(OSError):
        os.setpgid(0, 0)
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGTERM)
    if os.getppid() != int(words[0]):  # it died before the signal was asked for
        sys.exit(128 + signal.SIGTERM)
    os.execv(sys.executable, [sys.executable, "-m", "bench", *words[1:]])


if __name__ == "__main__":
    main(sys.argv[1:])
