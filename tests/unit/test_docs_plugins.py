"""docs/plugins.md names every hook with its arguments and every check; its plugins, and the README's, are installed and run."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest

from bench import hooks
from bench.conformance import CHECKS, Workbench, cases, checks_of
from bench.discovery import entry_points
from bench.registry import KINDS, Registry, load


@pytest.fixture(scope="module")
def page(root: Path) -> str:
    return (root / "docs" / "plugins.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def readme(root: Path) -> str:
    return (root / "README.md").read_text(encoding="utf-8")


def code(page: str, name: str) -> str:
    """The block whose first line names a file."""
    (found,) = re.findall(rf"```\w+\n# {re.escape(name)}[^\n]*\n(.*?)```", page, re.DOTALL)
    return str(found)


def table(page: str, head: str) -> dict[str, list[str]]:
    rows = page.split(f"| {head} |")[1].split("\n\n")[0].splitlines()[2:]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    return {row[0].strip("`"): row[1:] for row in cells}


def test_every_hook_and_argument_is_on_the_page(page: str) -> None:
    written = {name: re.findall(r"`(\w+)`", row[0]) for name, row in table(page, "hook").items()}
    specs = {
        name: list(inspect.signature(function).parameters)
        for name, function in inspect.getmembers(hooks, inspect.isfunction)
        if hasattr(function, "bench_spec")
    }
    assert len(specs) == 10
    assert written == specs


def test_every_check_is_on_the_page(page: str) -> None:
    rows = table(page, "check")
    assert list(rows) == list(CHECKS)
    for name, (_, applies) in rows.items():
        kinds = {kind for kind in KINDS if name in checks_of(kind)}
        assert (set(KINDS) if applies == "all" else set(applies.split(", "))) == kinds, name


@pytest.fixture
def site(readme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The README's plugin, put where pip would put it."""
    (tmp_path / "bench_pair.py").write_text(code(readme, "bench_pair.py"))
    info = tmp_path / "bench_pair-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bench-pair\nVersion: 1\n")
    points = re.sub(r'= "(.*)"', r"= \1", code(readme, "pyproject.toml")).replace("project.entry-points.bench", "bench")
    (info / "entry_points.txt").write_text(points)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "bench_pair", raising=False)
    return tmp_path


def test_the_plugin_has_fifteen_lines_and_is_found(readme: str, site: Path) -> None:
    lines = [line for line in code(readme, "bench_pair.py").splitlines() if line.strip()]
    assert len(lines) <= 15
    registry = load(entry_points("bench", [str(site)]))
    assert registry.broken == []
    (entry,) = registry.entries("architectures")
    assert (entry.name, entry.plugin) == ("pair", "bench-pair:pair")


def test_the_plugin_passes_every_check(site: Path, tmp_path: Path, registry: Registry) -> None:
    if find_spec("torch") is None or find_spec("peft") is None:
        pytest.skip("torch or peft is not installed")
    if not registry.entries("models"):
        pytest.skip("bench is not installed here, so there is no tiny model")
    own = load(entry_points("bench", [str(site)]))
    bench = Workbench(registry, tmp_path / "bench")
    results = [case.run(bench) for case in cases("bench-pair", own)]
    assert [r.name for r in results] == list(checks_of("architectures"))
    assert [(r.name, r.detail) for r in results if not r.passed] == []


def test_the_schedule_on_the_page_passes_every_check(page: str, registry: Registry, tmp_path: Path) -> None:
    if find_spec("torch") is None:
        pytest.skip("torch is not installed")
    module = ModuleType("bench_curriculum")
    exec(compile(code(page, "bench_curriculum.py"), "bench_curriculum.py", "exec"), vars(module))
    own = Registry()
    own.add(module, "bench-curriculum:curriculum", "bench-curriculum")
    assert own.broken == []
    results = [case.run(Workbench(registry, tmp_path)) for case in cases("bench-curriculum", own)]
    assert [(r.name, r.passed, r.detail) for r in results if not r.passed] == []
    assert [r.name for r in results] == list(checks_of("schedules"))


def test_the_kind_of_study_on_the_page_passes_every_check(page: str, registry: Registry, tmp_path: Path) -> None:
    module = ModuleType("bench_ranks")
    exec(compile(code(page, "bench_ranks.py"), "bench_ranks.py", "exec"), vars(module))
    own = Registry()
    own.add(module, "bench-ranks:ranks", "bench-ranks")
    assert own.broken == []
    results = [case.run(Workbench(registry, tmp_path)) for case in cases("bench-ranks", own)]
    assert [(r.name, r.passed, r.detail) for r in results if not r.passed] == []
    assert [r.name for r in results] == list(checks_of("studies"))


def test_the_three_lines_of_pytest_run(page: str, site: Path, tmp_path: Path) -> None:
    source = code(page, "tests/test_conformance.py")
    assert len([line for line in source.splitlines() if line.strip()]) <= 3
    (tmp_path / "test_page.py").write_text(source)
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "metadata", str(tmp_path / "test_page.py")],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": ":".join([str(tmp_path), *filter(None, sys.path)])},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert "1 passed" in ran.stdout, ran.stdout + ran.stderr
