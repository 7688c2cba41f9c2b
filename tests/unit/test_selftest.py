"""The self-test's verdicts, on results that are made up: what is held, what is absent, and that no failure stops the rest."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("torch")

from bench.cli import main, selftest
from bench.cli.selftest import Check, SelfTest
from bench.config import RunConfig
from bench.errors import Interrupted, MissingError, OutOfMemory

MIB = 2**20


def result(**changes: Any) -> Any:
    """A healthy run."""
    values: dict[str, Any] = {
        "tokens": SimpleNamespace(total=100, disagreements=0),
        "training": SimpleNamespace(tokens_per_second=10.0, attention="eager", evaluations=[{"scores": {"2015-T14": 0.5}}]),
        "smoke": SimpleNamespace(dead={"t": []}, loss={"t": (2.0, 1.0)}),
        "parity": SimpleNamespace(holds=True, problem=None),
        "batch": SimpleNamespace(
            peak=MIB, limit=2 * MIB, micro_batch=64, binds="update", probes=[], gradient_checkpointing=True
        ),
        "quantization": SimpleNamespace(error=0.1, missing={}, bits_per_weight=4.5, rtn_error=0.2),
        "memory": {"peak_rss": 3 * MIB},
    }  # fmt: skip
    values |= changes
    invariants = SimpleNamespace(**{name: values[name] for name in ("tokens", "smoke", "parity", "batch")})
    plan = SimpleNamespace(estimate={"memory": 2 * MIB, "memory_for": {"process": MIB}})
    named = {name: values[name] for name in ("training", "quantization", "memory")}
    return SimpleNamespace(invariants=invariants, plan=plan, **named)


def checked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, made: Any, device: str = "cpu") -> dict[str, Check]:
    """The checks of a machine on which every run comes to the same, or fails the same."""

    def finish(self: SelfTest, config: RunConfig, resume: str | None = None) -> Any:
        if isinstance(made, Exception):
            raise made
        return made

    monkeypatch.setattr(SelfTest, "_finish", finish)
    monkeypatch.setattr(SelfTest, "_kind", lambda self: device)
    registry: Any = SimpleNamespace(get=lambda kind, name: SimpleNamespace(synthesize=lambda *given: None))
    return {check.name: check for check in SelfTest(registry, device, tmp_path).checks()}


def test_a_healthy_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    checks = checked(monkeypatch, tmp_path, result())
    assert {name for name, check in checks.items() if check.verdict != "ok"} == {"resume"}
    assert checks["resume"].saw == "A run that was to stop after its first update did not."
    assert checks["memory against the plan"].saw == "3.0 MiB taken, 2.0 MiB planned (of the process)"
    assert checks["8-bit optimizer"].saw.startswith("adamw-8bit")
    on_device = checked(monkeypatch, tmp_path, result(memory={"peak_rss": 1, "peak_device": MIB}), "cuda")
    assert on_device["memory against the plan"].saw == "1.0 MiB taken, 1.0 MiB planned (of the device)"
    assert on_device["8-bit optimizer"].saw.startswith("paged-adamw-8bit")


@pytest.mark.parametrize(("name", "changes", "said"), [
    ("forward and backward", {"tokens": SimpleNamespace(total=9, disagreements=2)}, "2 updates counted other tokens"),
    ("gates", {"smoke": SimpleNamespace(dead={"t": ["a", "b"]}, loss={})}, "2 trained tensors got no gradient"),
    ("gates", {"parity": SimpleNamespace(holds=False, problem="by a lot")}, "Parity does not hold: by a lot"),
    ("batch search", {"batch": SimpleNamespace(peak=3, limit=2)}, "The search passed its limit"),
    ("memory against the plan", {"memory": {"peak_rss": 1, "peak_device": 2 * MIB}}, "A run took 2.0 MiB, planned were 1"),
    ("nf4", {"quantization": SimpleNamespace(error=1.5)}, "The error of its states is 1.5"),
    ("gptq", {"quantization": SimpleNamespace(error=0.5, missing={"rtn_error": "full"})}, "Not measured: rtn_error"),
])  # fmt: skip
def test_what_is_not_so_fails_and_names_the_next_move(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, changes: dict[str, Any], said: str
) -> None:
    check = checked(monkeypatch, tmp_path, result(**changes))[name]
    assert check.verdict == "failed"
    assert check.saw.startswith(said)
    assert check.fix


@pytest.mark.parametrize(("error", "verdict", "said", "fix"), [
    (MissingError("nf4 needs bitsandbytes.", "pip install bitsandbytes"), "absent", "nf4 needs", "pip install bitsandbytes"),
    (OutOfMemory("during training", "Free memory."), "failed", "Out of memory during training.", "Free memory."),
    (RuntimeError("a corpus"), "failed", "RuntimeError in unit/test_selftest.py:", "Report it with this table."),
])  # fmt: skip
def test_a_run_that_fails_stops_no_other_check(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: Exception, verdict: str, said: str, fix: str
) -> None:
    checks = checked(monkeypatch, tmp_path, error)
    assert len(checks) == 9
    for check in checks.values():
        assert (check.verdict, check.fix) == (verdict, fix)
        assert check.saw.startswith(said)


def test_a_stop_that_was_asked_for_ends_all_checks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stopped = Interrupted("Stopped after update 3.", "Go on with 'bench run --resume /tmp/x'.")
    with pytest.raises(Interrupted) as raised:
        checked(monkeypatch, tmp_path, stopped)
    assert "--resume" not in str(raised.value)  # what it would go on with is removed


@pytest.mark.parametrize(("verdict", "code"), [("ok", 0), ("absent", 0), ("failed", 1)])
def test_the_exit_code_tells(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], verdict: Any, code: int
) -> None:
    monkeypatch.setattr(selftest, "selftest", lambda registry, device: iter([Check("nf4", verdict, "seen", "next", 1.0)]))
    assert main(["doctor", "--selftest", "--device", "cpu"]) == code
    out = capsys.readouterr().out
    assert "device        cpu: " in out
    assert f"{verdict:6}  nf4    1.0 s  seen" in out
    assert "next" in out
    assert main(["doctor", "--selftest", "--device", "cpu", "--json"]) == code
    told = json.loads(capsys.readouterr().out)
    assert told["checks"] == [{"name": "nf4", "verdict": verdict, "saw": "seen", "fix": "next", "seconds": 1.0}]
    assert told["machine"]["torch"]


def test_a_device_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--selftest", "--device", "cuda:9"]) == 2
    assert "--device cuda:9, but torch finds" in capsys.readouterr().err
