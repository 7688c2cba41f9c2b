"""`examples/bench-triage`, a task without a synthetic corpus and with its own scorer in one file: found, checked and run."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from bench.discovery import entry_points
from bench.registry import load

MOST = 80
SIGNS = {
    "1": ("is not breathing", "has no pulse"),
    "2": ("has crushing chest pain", "is confused since noon"),
    "3": ("has a fever and belly pain", "vomits since yesterday"),
    "4": ("has a sprained ankle", "has a small cut"),
    "5": ("wants a refill", "asks about a vaccine"),
}
needs_training = pytest.mark.skipif(
    any(find_spec(m) is None for m in ("torch", "peft", "transformers", "datasets")), reason="training needs bench-suite[train]"
)


@pytest.fixture(scope="module")
def site(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The module with its entry point, put where pip would put it."""
    folder = tmp_path_factory.mktemp("site")
    source = root / "examples" / "bench-triage"
    (folder / "bench_triage.py").write_bytes((source / "bench_triage.py").read_bytes())
    info = folder / "bench_triage-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bench-triage\nVersion: 0.1.0\n")
    assert '[project.entry-points.bench]\ntriage = "bench_triage"\n' in (source / "pyproject.toml").read_text()
    (info / "entry_points.txt").write_text("[bench]\ntriage = bench_triage\n")
    return folder


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made-up messages in the task's format."""
    folder = tmp_path_factory.mktemp("messages")
    for split, count in (("train", 40), ("dev", 10), ("test", 15)):
        draw, lines = random.Random(split), []
        for n in range(count):
            level = str(n % 5 + 1)
            text = f"Caller {split} {n}: the {draw.choice(('man', 'woman', 'child'))} {draw.choice(SIGNS[level])}."
            lines.append(json.dumps({"id": f"{split}-{n}", "text": text, "level": level}) + "\n")
        (folder / f"{split}.jsonl").write_text("".join(lines))
    return folder


def bench(*args: str, site: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own, with the plugin on its path."""
    path = os.pathsep.join([str(site), *filter(None, sys.path)])
    return subprocess.run(
        [sys.executable, "-m", "bench", *args],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, "XDG_CACHE_HOME": str(site.parent / "cache")},
        capture_output=True,
        text=True,
        timeout=500,
    )


def test_it_has_few_lines(root: Path) -> None:
    lines = (root / "examples" / "bench-triage" / "bench_triage.py").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= MOST


def test_listing_says_that_it_wants_data(site: Path, tmp_path: Path) -> None:
    listed = json.loads(bench("list", "tasks", "--json", site=site, folder=tmp_path).stdout)
    wants = {row["name"]: row.get("wants") for row in listed["tasks"]}
    assert wants["triage"] == "--data triage=DIR"
    assert {name for name, want in wants.items() if want} == {"triage"}
    assert "needs --data triage=DIR" in bench("list", "tasks", site=site, folder=tmp_path).stdout
    assert "bench run --task triage --data triage=DIR" in bench("show", "task", "triage", site=site, folder=tmp_path).stdout
    doctor = bench("doctor", site=site, folder=tmp_path).stdout
    assert "it runs with --data only" in " ".join(doctor.split())


def test_a_run_without_data_says_what_to_add(site: Path, tmp_path: Path) -> None:
    ran = bench("run", "--task", "triage", "--model", "tiny-bert", "--dry-run", site=site, folder=tmp_path)
    assert ran.returncode == 2
    assert "Traceback" not in ran.stderr
    said = " ".join(ran.stderr.split())
    assert "'triage' has no synthetic corpus" in said
    assert "--data triage=DIR" in said
    assert not (tmp_path / "runs").exists()


def test_scores_are_those_of_a_hand(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    levels = [("1", "1"), ("2", "3"), ("5", "1"), ("4", "4")]
    for name, side in (("gold", 0), ("pred", 1)):
        rows = [json.dumps({"id": f"m{n}", "level": pair[side]}) + "\n" for n, pair in enumerate(levels)]
        (tmp_path / f"{name}.jsonl").write_text("".join(rows))
    ran = bench(
        "score", "triage", "--gold", "gold.jsonl", "--pred", "pred.jsonl", "--json", site=site, folder=tmp_path
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)["scores"]
    # Seen: 1 + 16 = 17. By chance, gold 1 2 4 5 against 1 1 3 4: (4 + 9 + 4 + 16 + 0 + ...) over all 16 pairs, / 4.
    chance = sum((a - b) ** 2 for a in (1, 2, 5, 4) for b in (1, 3, 1, 4)) / 4
    assert found["kappa"] == pytest.approx(1 - 17 / chance)
    assert (found["accuracy"], found["far_off"]) == (0.5, 0.25)


@needs_training
def test_conformance_wants_no_synthetic_corpus(site: Path, corpus: Path, tmp_path: Path) -> None:
    alone = bench("check", "bench-triage", "--json", site=site, folder=tmp_path)
    assert alone.returncode == 5, alone.stdout + alone.stderr
    checks = {check["name"]: check for check in json.loads(alone.stdout)["checks"]}
    assert checks["metadata"]["passed"]
    assert all("--data triage=DIR" in check["missing"] for name, check in checks.items() if name != "metadata")
    full = bench("check", "bench-triage", "--data", f"triage={corpus}", "--json", site=site, folder=tmp_path)
    told = [(check["name"], check["detail"]) for check in json.loads(full.stdout)["checks"] if not check["passed"]]
    assert told == []
    assert full.returncode == 0
    wrong = bench("check", "bench-triage", "--data", "triage=nowhere", site=site, folder=tmp_path)
    assert wrong.returncode == 2
    assert "there is no such folder" in wrong.stderr


def test_the_plugin_is_found_and_nothing_is_broken(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(site)
    registry = load(entry_points("bench", [str(site)]))
    assert registry.broken == []
    (entry,) = registry.entries("tasks")
    assert (entry.name, entry.plugin) == ("triage", "bench-triage:triage")


@needs_training
def test_runs_to_a_result(site: Path, corpus: Path, tmp_path: Path) -> None:
    ran = bench(
        "run", "--task", "triage", "--data", f"triage={corpus}", "--arch", "A2", "--model", "tiny-bert", "--steps", "4",
        "--tracker", "none", "--waive", "smoke", "--batch-tokens", "128", "--out", str(tmp_path / "runs"), "--json",
        site=site, folder=tmp_path,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-3000:]
    headline = json.loads(ran.stdout)["headline"]
    assert (headline["task"], headline["metric"]) == ("triage", "kappa")
    (path,) = (tmp_path / "runs").glob("*/result.json")
    result = json.loads(path.read_text())
    assert not result["synthetic"]
    scores = result["scores"]["triage"][headline["stage"]]
    assert set(scores) >= {"kappa", "accuracy", "far_off"}
    assert -1 <= scores["kappa"] <= 1
