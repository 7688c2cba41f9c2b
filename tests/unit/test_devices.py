"""One device is measured, probed and waited for: the one that the run has. The machine that tests this has none; fakes do."""

from __future__ import annotations

import ast
import os
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import bench_plugins  # noqa: E402

import bench  # noqa: E402
from bench.errors import UsageError  # noqa: E402
from bench.evaluation import efficiency, energy  # noqa: E402
from bench.results.environment import hardware  # noqa: E402
from bench.steps.conclude import _memory  # noqa: E402
from bench.steps.gates import settle_batch  # noqa: E402
from bench.steps.resolve import misfit  # noqa: E402
from bench.training import probe as probes  # noqa: E402
from bench.training.devices import current, deterministic, kind, resolve_device  # noqa: E402
from bench.training.loop import Device  # noqa: E402
from bench.training.plan import resolve_precision  # noqa: E402

GIB = 2**30
OF_A_DEVICE = {
    "synchronize", "mem_get_info", "memory_allocated", "max_memory_allocated", "memory_reserved", "max_memory_reserved",
    "memory_stats", "reset_peak_memory_stats", "get_device_properties", "get_device_capability", "get_device_name",
    "get_rng_state", "set_rng_state", "utilization", "current_stream", "set_device", "device",
}  # fmt: skip
"""Functions of `torch.cuda` that mean the current device where none is named."""


class Cuda:
    """Two devices; every question is noted with the device that it was asked of."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.now: Any = 0
        answers = {
            "mem_get_info": (5 * GIB, 9 * GIB), "memory_reserved": GIB, "max_memory_reserved": 3 * GIB,
            "max_memory_allocated": 2 * GIB, "reset_peak_memory_stats": None, "synchronize": None,
            "get_device_properties": SimpleNamespace(name="second", total_memory=7, uuid="u-1"),
        }  # fmt: skip
        for name, answer in answers.items():
            monkeypatch.setattr(torch.cuda, name, self._answering(name, answer))
        for name, found in {"is_available": True, "device_count": 2, "empty_cache": None}.items():
            monkeypatch.setattr(torch.cuda, name, lambda found=found: found)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: self.now == "cuda:1")
        monkeypatch.setattr(torch.cuda, "device", self._device)

    def _answering(self, name: str, answer: Any) -> Any:
        def ask(device: Any = None) -> Any:
            self.asked.append((name, device))
            return answer

        return ask

    @contextmanager
    def _device(self, device: str) -> Any:
        before, self.now = self.now, device
        yield
        self.now = before


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Cuda:
    return Cuda(monkeypatch)


def test_auto_is_what_the_machine_has(cuda: Cuda, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [resolve_device(wanted) for wanted in ("auto", "cuda", "cuda:1", "cpu")] == ["cuda", "cuda", "cuda:1", "cpu"]
    with pytest.raises(UsageError, match="--device cuda:2, but torch finds 2 CUDA devices"):
        resolve_device("cuda:2")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == "cpu"
    for wrong in ("foo", "cuda:x", "CPU", ""):
        with pytest.raises(UsageError, match="Unknown device"):
            resolve_device(wrong)
    with pytest.raises(UsageError, match="--device cuda:1, but torch finds no CUDA device"):
        resolve_device("cuda:1")


@pytest.mark.parametrize(("wanted", "there", "asked"), [
    ("auto", True, "cuda"), ("auto", False, "cpu"), ("cuda:1", True, "cuda"), ("cuda", True, "cuda"), ("cpu", True, "cpu"),
])  # fmt: skip
def test_a_quantizer_is_asked_about_the_device_that_the_run_will_have(
    cuda: Cuda, monkeypatch: pytest.MonkeyPatch, wanted: str, there: bool, asked: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    quantizer = SimpleNamespace(supports=lambda spec, when, device: f"{when} on {device}")
    assert misfit(quantizer, None, "after", wanted) == f"after on {asked}"  # type: ignore[arg-type]


def test_a_numbered_device_is_the_current_one_for_libraries(cuda: Cuda) -> None:
    with current("cuda:1"):
        assert cuda.now == "cuda:1"
    with current("cuda"):
        assert cuda.now == 0
    assert resolve_precision("auto", "cuda:1") == "bf16"
    assert resolve_precision("auto", "cuda:0") == "fp32"
    assert kind("cuda:1") == "cuda"


@pytest.mark.filterwarnings("ignore:User provided device_type")
def test_autocast_is_told_the_kind_of_a_numbered_device() -> None:
    assert Device("cuda:1", "bf16").autocast().device == "cuda"  # type: ignore[attr-defined]


def test_everything_is_asked_of_the_runs_device(cuda: Cuda, monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device("cuda:1", "fp32")
    efficiency._wait(device)
    assert hardware(device.name)["gpu"]["name"] == "second"
    assert _memory(SimpleNamespace(device=device))["peak_device"] == 2 * GIB  # type: ignore[arg-type]
    lengths = SimpleNamespace(max=lambda: 10)
    data: Any = {"t": SimpleNamespace(splits={"train": SimpleNamespace(lengths=lengths)})}
    trainer: Any = SimpleNamespace(device=device, sampler=SimpleNamespace(widest=1))
    config: Any = SimpleNamespace(batch_tokens=100, memory_limit=None, micro_batch=64, waive=(), gradient_checkpointing="auto")
    planned: Any = SimpleNamespace(config=config, data=data, parts=None, folder=Path())
    report = settle_batch(planned, trainer, None)  # type: ignore[arg-type]
    assert report.limit == 6 * GIB
    counter = SimpleNamespace(
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=lambda uuid: uuid,
        nvmlDeviceGetTotalEnergyConsumption=lambda handle: 5e3,
    )
    monkeypatch.setattr(energy, "import_module", lambda name: counter)
    with energy.metered(device.name) as found:
        pass
    assert (found.source, found.joules) == ("nvml", 0.0)
    names = [name for name, _ in cuda.asked]
    assert {"synchronize", "get_device_properties", "max_memory_allocated", "mem_get_info", "memory_reserved"} <= {*names}
    assert {asked for _, asked in cuda.asked} == {"cuda:1"}


def test_the_probe_reads_the_peak_of_the_runs_device(cuda: Cuda, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "heaviest_step", lambda *_: None)
    monkeypatch.setattr("bench.training.optimizers.make_optimizer", lambda *_: None)
    model = SimpleNamespace(state=dict, all_trainable=dict, load_state=lambda _: None, zero_grad=lambda set_to_none: None)
    trainer: Any = SimpleNamespace(model=model, device=Device("cuda:1", "fp32"), pad=0, optimizer_name="adamw")
    assert probes.cuda_probe(trainer, {}, {})(100) == 3 * GIB
    assert cuda.asked == [("reset_peak_memory_stats", "cuda:1"), ("max_memory_reserved", "cuda:1")]


def _of_the_current_device(module: ModuleType) -> list[str]:
    """Calls such as ``torch.cuda.synchronize()``, by file and line."""
    found = []
    root = Path(str(module.__file__)).parent
    for path in root.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and not node.args and not node.keywords:
                name = ast.unparse(node.func)
                if name.startswith("torch.cuda.") and node.func.attr in OF_A_DEVICE:
                    found.append(f"{path.relative_to(root)} {node.func.attr}")
    return found


def test_no_code_asks_the_device_that_happens_to_be_the_current_one() -> None:
    # `bench doctor` tells of the machine and not of a run.
    assert _of_the_current_device(bench) == ["cli/doctor.py mem_get_info"]
    assert _of_the_current_device(bench_plugins) == []


def test_a_batch_goes_to_a_gpu_through_pinned_memory() -> None:
    class Told:
        pinned = False

        def pin_memory(self) -> Told:
            self.pinned = True
            return self

        def to(self, place: str, non_blocking: bool) -> tuple[str, bool, bool]:
            return place, non_blocking, self.pinned

    batch: Any = {"input_ids": Told()}
    assert Device("cuda:1", "fp32").move(batch) == {"input_ids": ("cuda:1", True, True)}
    batch = {"input_ids": Told()}
    assert Device("cpu", "fp32").move(batch) == {"input_ids": ("cpu", True, False)}


def test_cuda_takes_deterministic_kernels_while_a_run_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    monkeypatch.setenv("FLASH_ATTENTION_DETERMINISTIC", "")  # so that it is put back afterwards
    monkeypatch.delenv("FLASH_ATTENTION_DETERMINISTIC")
    with deterministic("cpu"):
        assert not torch.are_deterministic_algorithms_enabled()
    assert "CUBLAS_WORKSPACE_CONFIG" not in os.environ
    with deterministic("cuda:1"):
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.is_deterministic_algorithms_warn_only_enabled()
        assert not torch.utils.deterministic.fill_uninitialized_memory
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
        assert os.environ["FLASH_ATTENTION_DETERMINISTIC"] == "1"
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.utils.deterministic.fill_uninitialized_memory
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    with deterministic("cuda"):
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"
