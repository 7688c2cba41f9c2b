"""``python -m bench.launchers.guarded PARENT WORD …`` runs ``python -m bench WORD …`` and stops it when its parent dies.

Otherwise a killed launcher, worker or study would leave a run behind that holds the lock of its folder. Only Linux has such a
signal; elsewhere the run is left behind, and the next one waits for it.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress

_SET_PARENT_DEATH_SIGNAL = 1


def main(words: list[str]) -> None:
    """Replaces this process by ``bench``; the words are the parent's process id and its arguments. Never returns."""
    import ctypes

    # A process group of its own: ^C in the terminal reaches only the launcher, which asks its runs to stop.
    with suppress(OSError):
        os.setpgid(0, 0)
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGTERM)
    if os.getppid() != int(words[0]):  # the parent died before `prctl` took effect
        sys.exit(128 + signal.SIGTERM)
    os.execv(sys.executable, [sys.executable, "-m", "bench", *words[1:]])


if __name__ == "__main__":
    main(sys.argv[1:])
