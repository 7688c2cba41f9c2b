"""What all tests share: no network, no phoning home, one thread, and skipping what this machine cannot run."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

# Before any library reads them.
os.environ.update(
    HF_HUB_OFFLINE="1",
    HF_HUB_DISABLE_TELEMETRY="1",
    DO_NOT_TRACK="1",
    WANDB_MODE="offline",
    WANDB_SILENT="true",
    WANDB_ERROR_REPORTING="false",
    MLFLOW_DISABLE_TELEMETRY="true",
    TOKENIZERS_PARALLELISM="false",
)
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
for _name in ("BENCH_DATA", "BENCH_NO_PLUGINS", "BENCH_DEBUG", "WANDB_API_KEY", "MLFLOW_TRACKING_URI"):
    os.environ.pop(_name, None)

import pytest  # noqa: E402

_MODELS = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bench" / "models"


def _fresh_cache(folder: Path) -> str:
    """An empty cache but for the base models, which are the user's, once made."""
    _MODELS.mkdir(parents=True, exist_ok=True)
    (folder / "bench").mkdir(parents=True)
    (folder / "bench" / "models").symlink_to(_MODELS.resolve())
    return str(folder)


_session = Path(tempfile.mkdtemp(prefix="bench-tests-"))
atexit.register(shutil.rmtree, _session, ignore_errors=True)
os.environ["XDG_CACHE_HOME"] = _fresh_cache(_session / "cache")

from hypothesis import HealthCheck, settings  # noqa: E402

from bench.registry import Registry, load  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared" / "data"

_slow = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile("dev", deadline=None, suppress_health_check=_slow)
settings.register_profile("ci", deadline=None, suppress_health_check=_slow, derandomize=True, database=None)
settings.load_profile("ci" if os.environ.get("CI") or os.environ.get("TOX_ENV_NAME") else "dev")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skips what this machine has no torch, device or corpora for, and what is for the night, saying which."""
    torch = find_spec("torch") is not None
    nightly = "nightly" in config.option.markexpr or os.environ.get("BENCH_NIGHTLY", "") not in ("", "0")
    for item in items:
        if item.get_closest_marker("nightly") and not nightly:
            item.add_marker(pytest.mark.skip(reason="long; -m nightly or BENCH_NIGHTLY=1 runs it"))
        if item.get_closest_marker("torch") and not torch:
            item.add_marker(pytest.mark.skip(reason="torch is not installed"))
        if item.get_closest_marker("gpu") and not _cuda():
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))
        if item.get_closest_marker("shared") and not SHARED.is_dir():
            item.add_marker(pytest.mark.skip(reason="no corpora in ../shared/data"))


def _cuda() -> bool:
    if find_spec("torch") is None:
        return False
    import torch

    return bool(torch.cuda.is_available())


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of the real corpora; tests that use it carry the marker `shared`."""
    return SHARED


@pytest.fixture(scope="session")
def registry() -> Registry:
    """The registry of what is installed; third parties included."""
    return load()


@pytest.fixture(scope="session")
def made(root: Path) -> ModuleType:
    """Makes finished runs up, for whatever reads results."""
    spec = spec_from_file_location("made_runs", root / "benchmarks" / "made_runs.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["made_runs"] = module_from_spec(spec)  # its dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache of this test alone; base models are in it."""
    monkeypatch.setenv("XDG_CACHE_HOME", _fresh_cache(tmp_path / "cache"))
    return tmp_path / "cache" / "bench"
