"""How OpenMP threads wait, which is read once: when torch is imported."""

from __future__ import annotations

from collections.abc import MutableMapping


def settle_threads(environ: MutableMapping[str, str]) -> None:
    """Chooses how OpenMP threads wait for work, before torch is imported and reads it.

    Beside another busy process spinning threads take two to five times as long as sleeping ones; alone, sleeping ones take
    twice as long as those that spin for a moment (two cores, `docs/performance.md`). What the user has set stays.
    """
    import psutil

    if "OMP_WAIT_POLICY" in environ or "GOMP_SPINCOUNT" in environ:
        return
    if psutil.cpu_percent(interval=0.3) > 20:
        environ["OMP_WAIT_POLICY"] = "PASSIVE"
    else:
        environ["GOMP_SPINCOUNT"] = "30000"
