"""docs/claims.md: what it names as evidence exists, can be collected, and is linked to by its own file."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "claims.md"
EVIDENCE = re.compile(r"\[((?:tests|benchmarks)/[\w/.]+?\.py)(?:::(\w+))?\]\(([^)]+)\)")


def rows() -> list[tuple[str, str]]:
    """Each claim with what shows it."""
    lines = re.findall(r"^\| (.+?) \| (.+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return [(claim, shown) for claim, shown in lines if claim not in ("claim", "---") and not claim.startswith("-")]


def evidence() -> list[tuple[str, str, str]]:
    """File, test (empty of a benchmark) and link of everything that is named."""
    return [(found[1], found[2] or "", found[3]) for _, shown in rows() for found in EVIDENCE.finditer(shown)]


def test_every_claim_rests_on_a_test_a_benchmark_or_a_study() -> None:
    assert len(rows()) > 50
    for claim, shown in rows():
        left = re.sub(r"[, ]|\(three targets missed\)", "", EVIDENCE.sub("", shown))
        assert EVIDENCE.search(shown) or "](results/" in shown, claim
        assert not left or left.startswith("astudy:["), f"{claim}: {left}"


def test_every_test_and_benchmark_that_is_named_exists() -> None:
    scripts = set(
        re.findall(r"^\| `(bench_\w+\.py)` \|", (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    )
    for file, test, link in evidence():
        assert (PAGE.parent / link).resolve() == ROOT / file, f"{file} is linked as {link}"
        if file.startswith("benchmarks/"):
            assert not test
            assert Path(file).name in scripts, file
            continue
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        tests = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert test in tests, f"{file}::{test}"
        assert test.startswith("test_")


def lacks(file: str) -> bool:
    """Whether a whole file of tests is skipped here, for a package that is not installed."""
    wanted = re.findall(r'^(?:\w+ = )?pytest\.importorskip\("(\w+)', (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
    return any(find_spec(name) is None for name in wanted)


@pytest.mark.torch
def test_every_test_that_is_named_is_collected() -> None:
    named = {f"{file}::{test}" for file, test, _ in evidence() if test and not lacks(file)}
    # here every test is asked for, whichever environment asks the others
    env = {name: value for name, value in os.environ.items() if name != "BENCH_ASKED" and not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *sorted(named)],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    collected = set(re.findall(r"^(tests/[\w/.]+::\w+)", done.stdout, re.MULTILINE))
    assert named - collected == set()
