from __future__ import annotations

from pathlib import Path

import pytest

from bench.evaluation import energy
from bench.results.evidence import EnergyUse


def counters(root: Path, **values: int) -> None:
    for name, value in values.items():
        folder = root / name.replace("_", ":").replace("intel", "intel-rapl")
        folder.mkdir(exist_ok=True)
        (folder / "energy_uj").write_text(f"{value}\n")


def test_packages_are_added_up_and_their_parts_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(energy, "POWERCAP", tmp_path)
    counters(tmp_path, intel_0=1_000_000, intel_1=2_000_000, intel_0_0=500_000)
    with energy.metered("cpu") as found:
        counters(tmp_path, intel_0=3_000_000, intel_1=2_500_000, intel_0_0=900_000)
    assert (found.source, found.joules) == ("rapl", 2.5)
    assert energy.energy_use(found, 500) == EnergyUse("rapl", 2.5, 500, 5.0)


def test_a_counter_that_wrapped_around_gives_no_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(energy, "POWERCAP", tmp_path)
    counters(tmp_path, intel_0=5_000_000)
    with energy.metered("cpu") as found:
        counters(tmp_path, intel_0=1_000)
    assert energy.energy_use(found, 500) is None


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_without_a_counter_there_is_no_figure(device: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(energy, "POWERCAP", tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "pynvml", None)
    with energy.metered(device) as found:
        pass
    assert energy.energy_use(found, 500) is None


def test_what_cannot_be_read_gives_no_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(energy, "POWERCAP", tmp_path)
    counters(tmp_path, intel_0=5)
    (tmp_path / "intel-rapl:0" / "energy_uj").write_text("secret")
    with energy.metered("cpu") as found:
        pass
    assert found.joules is None


def test_nvml_is_read_in_joules(monkeypatch: pytest.MonkeyPatch) -> None:
    from types import SimpleNamespace

    torch = pytest.importorskip("torch")
    readings = iter([0, 1_000, 4_500])
    asked = []
    module = SimpleNamespace(
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=lambda uuid: asked.append(uuid) or uuid,
        nvmlDeviceGetTotalEnergyConsumption=lambda handle: next(readings),
    )
    monkeypatch.setitem(__import__("sys").modules, "pynvml", module)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: SimpleNamespace(uuid="ab-cd"))
    with energy.metered("cuda") as found:
        pass
    assert (found.source, found.joules) == ("nvml", 3.5)
    assert asked == ["GPU-ab-cd"]
