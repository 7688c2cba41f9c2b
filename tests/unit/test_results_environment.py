from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from bench.results.environment import git, hardware, versions


def test_versions_come_from_metadata() -> None:
    found = versions()
    assert found["python"] == platform.python_version()
    assert found["numpy"] == version("numpy")


def test_what_is_not_installed_is_null(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.results.environment.DISTRIBUTIONS", ("no-such-distribution-at-all",))
    assert versions()["no-such-distribution-at-all"] is None


def test_nothing_heavy_is_imported_and_nothing_secret_is_told() -> None:
    code = """
import json, sys
from bench.results.environment import git, hardware, versions
text = json.dumps([git(), hardware(), versions()])
assert not {"torch", "transformers", "wandb", "mlflow", "scipy"} & set(sys.modules)
print(text)
"""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "WANDB_API_KEY": "CANARY-KEY", "HF_TOKEN": "CANARY-KEY"}
    text = subprocess.run([sys.executable, "-c", code], env=env, check=True, capture_output=True, text=True).stdout
    assert "CANARY" not in text
    assert platform.node() not in text or len(platform.node()) < 3
    assert str(Path.home()) + "/" not in text


def test_hardware_is_that_of_this_machine() -> None:
    found = hardware()
    assert found["cpu"]
    assert 1 <= found["cores"] <= (os.cpu_count() or 1)
    assert found["memory"] > 2**27
    json.dumps(found)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    def run(*words: str) -> None:
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True, capture_output=True)

    run("init", "-q")
    (tmp_path / "a.py").write_text("a = 1\n")
    run("add", "a.py")
    run("-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-qm", "x")
    return tmp_path


def test_git_tells_commit_and_whether_it_was_changed(checkout: Path) -> None:
    head = subprocess.run(["git", "-C", str(checkout), "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    assert git(checkout) == {"commit": head.stdout.strip(), "dirty": False}
    (checkout / "untracked").write_text("x")
    assert git(checkout)["dirty"] is False
    (checkout / "a.py").write_text("a = 2\n")
    assert git(checkout)["dirty"] is True


def test_where_a_commit_was_built_it_is_that_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = tmp_path / "commit.json"
    built.write_text('{"commit": "0123456789abcdef", "dirty": false}\n')
    monkeypatch.setattr("bench.results.environment.BUILT", built)
    assert git() == {"commit": "0123456789abcdef", "dirty": False}
    assert git(tmp_path)["commit"] != "0123456789abcdef"


def test_an_environment_inside_someone_elses_checkout_is_no_checkout(checkout: Path) -> None:
    installed = checkout / ".venv" / "bench"
    installed.mkdir(parents=True)
    assert git(installed) == {"commit": None, "dirty": None}


def test_outside_a_checkout_it_is_null(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git(tmp_path) == {"commit": None, "dirty": None}
    monkeypatch.setenv("PATH", "")
    assert git(tmp_path) == {"commit": None, "dirty": None}
