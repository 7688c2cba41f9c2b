"""What `tests/conftest.py` leaves out of the full environment: what core environments passed of these very files, no more."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

TESTS = """
import os, subprocess, sys
from importlib.metadata import PackageNotFoundError, version
import pytest

def test_plain(): pass
def test_failing(): assert os.environ["TOX_ENV_NAME"] == "full"
def test_skipped(): pytest.importorskip("no_such_package")
def test_looking(): pytest.raises(ModuleNotFoundError, __import__, "no_such_package")
def test_asking(): pytest.raises(PackageNotFoundError, version, "no-such-package")
def test_beginning(): subprocess.run([sys.executable, "-S", "-c", ""], check=True)
def test_plain_too(): pass
"""


@pytest.fixture
def project(tmp_path: Path, root: Path) -> Path:
    """A few tests below this project's conftest.py."""
    (tmp_path / "tests").mkdir()
    shutil.copy(root / "tests" / "conftest.py", tmp_path / "tests")
    (tmp_path / "tests" / "test_few.py").write_text(TESTS)
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\naddopts = '--import-mode=importlib'\n")
    return tmp_path


def said(project: Path, environment: str) -> str:
    """What pytest says as one of tox's environments."""
    environ = os.environ | {"BENCH_ASKED": str(project / ".asked"), "TOX_ENV_NAME": environment}
    environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    return subprocess.run(words, cwd=project, env=environ, capture_output=True, text=True, timeout=120, check=False).stdout


@pytest.mark.skipif(find_spec("torch") is not None, reason="torch is installed: no core environment")
def test_a_core_environment_records_what_passed_and_depends_on_nothing_installed(project: Path) -> None:
    assert "1 failed, 5 passed, 1 skipped" in said(project, "core-py310")
    record = json.loads((project / ".asked" / "core-py310.json").read_text())
    assert record["passed"] == ["tests/test_few.py::test_plain", "tests/test_few.py::test_plain_too"]


@pytest.mark.torch
def test_the_full_environment_leaves_out_what_two_of_them_recorded_of_the_same_files(project: Path, root: Path) -> None:
    digest = (
        "import sys; from importlib.util import *; s = spec_from_file_location('c', 'tests/conftest.py');"
        "m = module_from_spec(s); s.loader.exec_module(m); print(m._digest())"
    )
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    files = subprocess.run([sys.executable, "-c", digest], cwd=project, env=environ, capture_output=True, text=True, check=True)
    (project / ".asked").mkdir()
    for name, passed in (("core-py310", ("plain", "plain_too", "failing")), ("core-py313", ("plain", "failing"))):
        record = {"files": files.stdout.strip(), "passed": [f"tests/test_few.py::test_{one}" for one in passed]}
        (project / ".asked" / f"{name}.json").write_text(json.dumps(record))
        if name == "core-py310":
            assert "6 passed, 1 skipped" in said(project, "full")
    assert "4 passed, 1 skipped, 2 deselected" in said(project, "full")
    (project / "pyproject.toml").write_text((project / "pyproject.toml").read_text() + "\n")
    assert "6 passed, 1 skipped" in said(project, "full")
