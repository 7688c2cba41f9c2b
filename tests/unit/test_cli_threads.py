"""How OpenMP's threads wait is chosen by the load of the machine, and never over the user's head."""

from __future__ import annotations

import psutil
import pytest

from bench.steps.threads import settle_threads


@pytest.mark.parametrize(
    ("load", "expected"),
    [(0.0, {"GOMP_SPINCOUNT": "30000"}), (20.0, {"GOMP_SPINCOUNT": "30000"}), (55.0, {"OMP_WAIT_POLICY": "PASSIVE"})],
)
def test_threads_spin_on_an_idle_machine_and_sleep_on_a_busy_one(
    monkeypatch: pytest.MonkeyPatch, load: float, expected: dict[str, str]
) -> None:
    monkeypatch.setattr(psutil, "cpu_percent", lambda interval: load)
    environ: dict[str, str] = {}
    settle_threads(environ)
    assert environ == expected


@pytest.mark.parametrize("name", ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT"])
def test_what_the_user_set_stays(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(psutil, "cpu_percent", lambda interval: pytest.fail("the load decides nothing here"))
    environ = {name: "7"}
    settle_threads(environ)
    assert environ == {name: "7"}
