"""`examples/bench-example`, really installed: a third party's task, architecture and quantizer, run like bench's own.

The tox environment `third-party` installs it and sets BENCH_EXPECT_EXAMPLE=1, so that nothing is skipped there.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import pytest

from bench.registry import load
from bench.testing import conformance_suite

PARTS = {"tasks": "medication", "architectures": "gated", "quantizers": "rtn8"}
EXPECTED = os.environ.get("BENCH_EXPECT_EXAMPLE") == "1"

try:
    version("bench-example")
except PackageNotFoundError:
    if EXPECTED:
        raise
    pytest.skip("bench-example is not installed: pip install ./examples/bench-example", allow_module_level=True)

test_conformance = conformance_suite("bench-example")

needs_training = pytest.mark.skipif(
    not EXPECTED and any(find_spec(m) is None for m in ("torch", "peft", "transformers", "datasets")),
    reason="training needs bench-suite[train]",
)


def bench(*args: str, folder: Path, path: str | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own."""
    paths = os.pathsep.join(filter(None, [path, os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, "-m", "bench", *args],
        cwd=folder,
        env={**os.environ, "XDG_CACHE_HOME": str(folder / "cache"), **({"PYTHONPATH": paths} if paths else {}), **env},
        capture_output=True,
        text=True,
        timeout=500,
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder, so that the tiny model is made once."""
    return tmp_path_factory.mktemp("third-party")


def listed(text: str) -> dict[str, dict[str, str]]:
    """Part to its distribution, by kind."""
    found = json.loads(text)
    return {kind: {row["name"]: row["distribution"] for row in found[kind]} for kind in PARTS}


def test_list_names_the_distribution(place: Path) -> None:
    ran = bench("list", "--json", folder=place)
    assert ran.returncode == 0, ran.stderr
    found = listed(ran.stdout)
    for kind, name in PARTS.items():
        assert found[kind][name] == "bench-example"
        assert "bench-suite" in found[kind].values()
    assert json.loads(ran.stdout)["broken"] == []
    plain = bench("list", folder=place).stdout
    assert plain.count("bench-example") == len(PARTS)


def test_nothing_heavy_is_imported_by_listing_it(place: Path) -> None:
    code = (
        "import sys; from bench.registry import load; r = load(); r.get('quantizers', 'rtn8');"
        "print(sorted({'torch', 'transformers', 'peft', 'datasets', 'numpy'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=place, capture_output=True, text=True, timeout=60)
    assert ran.stdout.strip() == "[]", ran.stderr


def test_third_parties_can_be_left_out(place: Path) -> None:
    ran = bench("list", "--json", folder=place, BENCH_NO_PLUGINS="1")
    found = listed(ran.stdout)
    for kind, name in PARTS.items():
        assert name not in found[kind]
        assert set(found[kind].values()) == {"bench-suite"}
    refused = bench("run", "--task", "medication", "--dry-run", folder=place, BENCH_NO_PLUGINS="1")
    assert refused.returncode == 2
    assert "medication" in refused.stderr


def test_a_broken_neighbour_is_told_and_takes_nothing_down(place: Path, tmp_path: Path) -> None:
    (tmp_path / "broken_neighbour.py").write_text("import package_that_is_not_there\n")
    info = tmp_path / "broken_neighbour-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-neighbour\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[bench]\nneighbour = broken_neighbour\n")
    ran = bench("list", "--json", folder=place, path=str(tmp_path))
    assert ran.returncode == 0, ran.stderr
    found = listed(ran.stdout)
    assert all(found[kind][name] == "bench-example" for kind, name in PARTS.items())
    (broken,) = json.loads(ran.stdout)["broken"]
    assert broken["plugin"] == "broken-neighbour:neighbour"
    assert "package_that_is_not_there" in broken["reason"]
    assert "pip install package_that_is_not_there" in broken["fix"]
    checked = bench("check", "broken-neighbour", folder=place, path=str(tmp_path))
    assert checked.returncode == 2
    assert "package_that_is_not_there" in checked.stderr


def test_scores_without_a_model(place: Path, tmp_path: Path) -> None:
    task = load().get("tasks", "medication")
    task.synthesize(tmp_path / "c", 3, {"train": 2, "dev": 2, "test": 4})
    gold = task.load(tmp_path / "c")["test"]
    task.write(tmp_path / "gold", gold)
    task.write(tmp_path / "pred", gold[1:])
    ran = bench(
        "score", "medication", "--gold", str(tmp_path / "gold"), "--pred", str(tmp_path / "pred"), "--json", folder=place
    )
    assert ran.returncode == 0, ran.stderr
    strict = json.loads(ran.stdout)["scores"]["strict"]
    missed, total = len(gold[0].mentions), sum(len(d.mentions) for d in gold)
    assert (strict["tp"], strict["fp"], strict["fn"]) == (total - missed, 0, missed)
    assert strict["recall"] == pytest.approx((total - missed) / total)


@needs_training
def test_runs_to_a_result(place: Path, tmp_path: Path) -> None:
    load().get("tasks", "medication").synthesize(tmp_path / "c", 3, {"train": 24, "dev": 4, "test": 6})
    ran = bench(
        "run", "--task", "medication", "--arch", "gated", "--quant", "rtn8", "--model", "tiny-bert", "--steps", "6",
        "--data", f"medication={tmp_path / 'c'}", "--tracker", "none", "--waive", "smoke", "--batch-tokens", "256",
        "--out", str(tmp_path / "runs"), "--json", folder=place,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-3000:]
    headline = json.loads(ran.stdout)["headline"]
    assert (headline["task"], headline["split"], headline["stage"]) == ("medication", "test", "quantized")
    assert headline["metric"] == "strict.f1"
    (path,) = (tmp_path / "runs").glob("*/result.json")
    result = json.loads(path.read_text())
    assert result["scores"]["medication"]["quantized"]["strict.f1"] == pytest.approx(headline["value"])
    assert result["synthetic"]
    assert 8 < result["quantization"]["bits_per_weight"] < 10
    # Eight bits are closer to the model than four: the floor beside it is measured at its own bits or is worse.
    assert result["quantization"]["error"] <= result["quantization"]["rtn_error"] * 1.01
    arms = {row["arm"]: row["ratio"] for row in result["invariants"]["parity"]["rows"]}
    assert {"A1", "A2", "A3", "A4", "gated"} <= set(arms)
    assert min(arms.values()) > 0.95


@needs_training
def test_the_parity_group_includes_it_when_another_arm_runs(place: Path, tmp_path: Path) -> None:
    ran = bench(
        "run", "--task", "2015-T14", "--task", "medication", "--arch", "A2", "--model", "tiny-bert", "--dry-run",
        "--out", str(tmp_path / "runs"), folder=place,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert "\n  gated " in f"\n{ran.stdout}{ran.stderr}"
    alone = bench(
        "run", "--task", "2015-T14", "--arch", "A2", "--model", "tiny-bert", "--dry-run", "--out", str(tmp_path / "runs"),
        folder=place, BENCH_NO_PLUGINS="1",
    )  # fmt: skip
    assert alone.returncode == 0, alone.stderr[-3000:]
    assert "\n  gated " not in f"\n{alone.stdout}{alone.stderr}"
