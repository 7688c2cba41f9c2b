"""Peak memory in bytes, whatever unit the system counts in."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench import peak
from bench.tracking.memory import reader

ROOT = Path(peak.__file__).parent


@pytest.mark.parametrize(
    ("system", "unit"),
    [("linux", 1024), ("freebsd14", 1024), ("openbsd7", 1024), ("netbsd10", 1024), ("darwin", 1), ("sunos5", 4096)],
)
def test_the_unit_is_the_systems(monkeypatch: pytest.MonkeyPatch, system: str, unit: int) -> None:
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(resource, "getrusage", lambda who: SimpleNamespace(ru_maxrss=3_000_000_000))
    monkeypatch.setattr(resource, "getpagesize", lambda: 4096)
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: (_ for _ in ()).throw(FileNotFoundError()))
    assert peak.peak_of_process() == 3_000_000_000 * unit
    assert peak.peak_since_reset() == 3_000_000_000 * unit
    assert reader("cpu")()[1] == 3_000_000_000 * unit


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_the_peak_begins_anew_where_the_system_can() -> None:
    script = (
        "from bench.peak import *\nreset_peak(); before = peak_since_reset(); held = bytearray(64 << 20); del held\n"
        "grown = peak_since_reset() - before; reset_peak(); print(grown >> 20, (peak_since_reset() - before) >> 20)"
    )
    grown, again = map(int, subprocess.check_output([sys.executable, "-c", script], text=True).split())
    assert 60 <= grown <= 72
    assert again < 8


def test_no_other_place_reads_the_systems_counter() -> None:
    readers = [path for path in ROOT.rglob("*.py") if "ru_maxrss" in path.read_text(encoding="utf-8")]
    assert readers == [ROOT / "peak.py"]
