"""What all tests share: no network, no phoning home, one thread, and skipping what this machine cannot run."""

from __future__ import annotations

import atexit
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Generator
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

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


LONG = ("integration", "conformance", "property")
LEFT: set[str] = set()
"""Tests that the core environments have asked."""


class Alone:
    """Notes whether a test depends on what else is installed: whether it looked for a package that is not, or began a process.

    Such a test is asked in the full installation too. The others are asked by the core environments alone, where their
    records (`_asked`) are of these very files.
    """

    def __init__(self) -> None:
        self.looked = False
        sys.addaudithook(self._audit)
        sys.meta_path.append(self)  # type: ignore[arg-type]

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        """No other finder knows this module."""
        self.looked = True

    def find_distributions(self, context: object = None) -> list[Any]:
        """No other finder knows this distribution, or all are listed."""
        self.looked = True
        return []

    def _audit(self, event: str, args: object) -> None:
        if event in ("subprocess.Popen", "os.fork", "os.posix_spawn"):
            self.looked = True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self) -> None:
        self.looked = False

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        report.alone = not self.looked  # type: ignore[attr-defined]
        return report


class Record:
    """Writes down which tests passed and depend on nothing that may or may not be installed."""

    def __init__(self, path: Path) -> None:
        self.path, self.passed = path, list[str]()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.passed and getattr(report, "alone", False):
            self.passed.append(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps({"files": _digest(), "passed": sorted(self.passed)}), encoding="utf-8")


def _digest() -> str:
    """Of all files that a test could depend on."""
    found = hashlib.sha256()
    for folder in ("bench", "plugins", "tasks", "tests", "docs", "benchmarks", "examples", "."):
        for path in sorted((ROOT / folder).glob("*" if folder == "." else "**/*")):
            made = any(part in ("__pycache__", "build", "dist") or part[:1] == "." for part in path.relative_to(ROOT).parts)
            if path.is_file() and not made and ".egg-info" not in str(path):
                found.update(f"{path.relative_to(ROOT)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()


def _asked() -> set[str]:
    """Tests that two core environments or more, the oldest Python and the newest, have passed on these files."""
    records = [json.loads(path.read_text()) for path in Path(os.environ.get("BENCH_ASKED", ".")).glob("core-*.json")]
    if len(records) < 2 or any(record["files"] != _digest() for record in records):
        return set()
    return set.intersection(*(set(record["passed"]) for record in records))


def pytest_report_header() -> str | None:
    """Says what is left out."""
    return f"left to the core environments: {len(LEFT)} tests that they passed on these files" if LEFT else None


def pytest_configure(config: pytest.Config) -> None:
    """A core environment keeps a record of what it asked, the full one leaves that out; tox names the folder."""
    if "BENCH_ASKED" not in os.environ:
        return
    if find_spec("torch") is not None:
        LEFT.update(_asked())
        return
    config.pluginmanager.register(Alone())
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Record(Path(os.environ["BENCH_ASKED"]) / f"{os.environ['TOX_ENV_NAME']}.json"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skips what this machine has no torch, device or corpora for, and what is for the night, saying which."""
    # Files of few long tests first, of many short ones last: no process ends long before the other.
    items.sort(key=lambda item: next((n for n, folder in enumerate(LONG) if folder in item.path.parts), len(LONG)))
    if LEFT:
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid in LEFT])
        items[:] = [item for item in items if item.nodeid not in LEFT]
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
