"""How OpenMP's threads wait is chosen by the load of the machine, and never over the user's head."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path

import psutil
import pytest

from bench.cli import COMMANDS, COMPUTE, MODULES, main
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


@pytest.mark.parametrize("command", COMMANDS)
def test_threads_are_settled_before_a_command_that_computes_begins_and_before_no_other(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = import_module(f"bench.cli.{MODULES.get(command, command)}")
    monkeypatch.setattr(module, "configure", lambda parser: None)
    monkeypatch.setattr(psutil, "cpu_percent", lambda interval: 0.0)
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    seen = []
    monkeypatch.setattr(module, "run", lambda args: seen.append("GOMP_SPINCOUNT" in os.environ) or 0)
    assert main([command]) == 0
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    assert seen == [command in COMPUTE]


def test_a_demo_takes_one_thread_unless_the_user_says_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.cli.demo._finished", lambda config, registry: tmp_path)
    for given, expected in ((None, "1"), ("3", "3")):
        monkeypatch.setenv("OMP_NUM_THREADS", given or "")
        if given is None:
            monkeypatch.delenv("OMP_NUM_THREADS")
        assert main(["demo", str(tmp_path / "demo"), "--seeds", "1"]) == 0
        assert os.environ["OMP_NUM_THREADS"] == expected
