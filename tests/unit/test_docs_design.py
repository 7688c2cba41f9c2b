"""docs/design.md: its tree has the folders that there are, its two paths stay short, and it names every hook."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from bench import hooks

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def page() -> str:
    return (ROOT / "docs" / "design.md").read_text(encoding="utf-8")


def tree(page: str) -> list[str]:
    """Every folder of the tree as a path below the repository's root."""
    paths, top = [], ""
    for line in re.split(r"^```$", page, flags=re.MULTILINE)[1].strip().splitlines():
        indent, name = re.match(r"( *)(\S+)/ +\S", line).groups()  # type: ignore[union-attr]
        top = top if indent else name
        paths.append(f"{top}/{name}" if indent else name)
    return paths


def packages(folder: str) -> set[str]:
    return {f"{folder}/{path.parent.name}" for path in (ROOT / folder).glob("*/*.py")}


@pytest.mark.parametrize("folder", ["bench", "plugins/bench_plugins", "tests"])
def test_the_tree_names_every_folder_and_no_other(page: str, folder: str) -> None:
    named = [path for path in tree(page) if path.startswith(f"{folder}/")]
    assert len(named) == len(set(named))
    assert set(named) == packages(folder)


def test_the_tree_begins_with_folders_that_exist(page: str) -> None:
    top = [path for path in tree(page) if (ROOT / path).parent in (ROOT, ROOT / "plugins", ROOT / "tasks")]
    assert top == ["bench", "plugins/bench_plugins", "tasks/bench_tasks", "examples", "benchmarks", "docs", "tests"]
    assert all((ROOT / path).is_dir() for path in top)


@pytest.mark.parametrize(("title", "most"), [("A batch, from file to loss", 10), ("A run, from command to `result.json`", 15)])
def test_a_path_names_files_that_exist_and_stays_short(page: str, title: str, most: int) -> None:
    section = page.split(f"## {title}\n")[1].split("\n## ")[0]
    files = re.findall(r"^\d+\. `([^`]+)`", section, re.MULTILINE)
    assert 5 < len(files) <= most
    assert len(files) == len(re.findall(r"^\d+\. ", section, re.MULTILINE))
    assert [file for file in files if not (ROOT / file).is_file()] == []


def test_every_hook_is_an_extension_point(page: str) -> None:
    rows = re.findall(r"^\| [^|]+ \| `(bench_\w+)` \| ", page, re.MULTILINE)
    specs = {name for name, function in inspect.getmembers(hooks, inspect.isfunction) if hasattr(function, "bench_spec")}
    assert sorted(rows) == sorted(specs)
