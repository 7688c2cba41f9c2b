"""A third party's parts of the kinds that other parts meet, installed as pip would and used from the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.registry import load

pytest.importorskip("torch")
pytest.importorskip("peft")
pytest.importorskip("datasets")

PLUGIN = '''
from bench.api.architecture import Adapter, Architecture
from bench.heads.bio import TokenClassificationHead
from bench.hooks import hookimpl


class Tagger(TokenClassificationHead):
    """Tags, under a name of its own."""

    name, version, summary = "tagger", "7", "tags of a third party"


class Pair(Architecture):
    """Two shared adapters whose deltas add up."""

    name, version, summary = "pair", "1", "two shared adapters"
    citation, licence = "made for this test", "Apache-2.0"

    def adapters(self, tasks):
        return (Adapter("left", "shared"), Adapter("right", "shared"))

    def passes(self, task):
        return (("left", "right"),)


@hookimpl
def bench_architectures():
    return [Pair()]


@hookimpl
def bench_heads():
    return [Tagger()]
'''


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PYTHONPATH that holds the plugin, its corpus and the folder of runs."""
    if not load().entries("tasks"):
        pytest.skip("bench is not installed here, so it has no parts")
    folder = tmp_path_factory.mktemp("site")
    (folder / "bench_others.py").write_text(PLUGIN)
    info = folder / "bench_others-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bench-others\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[bench]\nothers = bench_others\n")
    for task in ("bc2gm", "ncbi-disease"):
        load().get("tasks", task).synthesize(folder / "data" / task, 3, {"train": 24, "dev": 4, "test": 6})
    return folder


def bench(site: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own, with corpora below BENCH_DATA."""
    paths = os.pathsep.join(filter(None, [str(site), *sys.path]))
    environ = {"PYTHONPATH": paths, "BENCH_DATA": str(site / "data"), "XDG_CACHE_HOME": str(site / "cache")}
    return subprocess.run(
        [sys.executable, "-m", "bench", *words], cwd=site, env={**os.environ, **environ}, capture_output=True, text=True,
        timeout=500,
    )  # fmt: skip


def test_a_head_runs_on_a_task_that_never_heard_of_it(site: Path) -> None:
    # The micro-batch is searched in a process of its own, which has to find the head as well.
    ran = bench(
        site, "run", "--task", "bc2gm", "--head", "tagger", "--model", "tiny-bert", "--steps", "4", "--batch-tokens", "256",
        "--waive", "smoke", "--tracker", "none", "--json",
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-3000:]
    result = json.loads(Path(site / json.loads(ran.stdout)["result"]).read_text())
    assert result["config"]["head"] == "tagger"
    assert result["versions"]["parts"]["head tagger"] == "7"
    refused = bench(site, "run", "--task", "gad", "--head", "tagger", "--model", "tiny-bert", "--dry-run")
    assert refused.returncode == 2
    assert "Head 'tagger' predicts mentions; gad wants classes." in refused.stderr
    assert "Traceback" not in refused.stderr
    checked = bench(site, "check", "bench-others", "--json")
    assert checked.returncode == 0, checked.stdout
    told = json.loads(checked.stdout)["checks"]
    assert {row["part"] for row in told} == {"heads/tagger", "architectures/pair"}
    assert [row["passed"] for row in told] == [True] * 13


def test_an_arm_stands_in_an_ablation_beside_those_of_bench(site: Path) -> None:
    ran = bench(
        site, "study", "ablation", "--task", "bc2gm", "--task", "ncbi-disease", "--arch", "A1", "--arch", "pair",
        "--seeds", "1", "--model", "tiny-bert", "--steps", "2", "--batch-tokens", "256", "--micro-batch", "256",
        "--waive", "smoke", "--tracker", "none", "--json",
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-3000:]
    study = json.loads(ran.stdout)
    assert [(run["key"], run["arm"]) for run in study["runs"]] == [("A1-s0", "A1"), ("pair-s0", "pair")]
    results = [json.loads((site / "runs" / run["run"] / "result.json").read_text()) for run in study["runs"]]
    counts = [{row["arm"]: row for row in result["invariants"]["parity"]["rows"]} for result in results]
    assert counts[0]["pair"] == counts[1]["pair"]
    assert counts[0]["pair"]["adapters"] == counts[0]["A1"]["adapters"]
