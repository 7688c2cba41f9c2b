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
pytestmark = pytest.mark.usefixtures("forks")

PLUGIN = '''
from bench.api.architecture import Adapter, Architecture
from bench.api.study import StudyKind
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


class Ranks(StudyKind):
    """The budget against a part of it."""

    name, version, summary = "ranks", "1", "the rank against a part of it"
    citation, licence = "made for this test", "Apache-2.0"
    roles = {"whole": "whole rank", "part": "part of the rank"}
    options = {"factor": 4}
    tones = {"larger wins": "good", "smaller wins": "bad"}
    title = "Ranks"

    def plan(self, request):
        found = []
        for seed in request.seed_list:
            for role, rank in (("whole", request.base.rank), ("part", request.base.rank // request.options["factor"])):
                found.append(request.run(f"{role}-s{seed}", role, request.base.task, seed=seed, rank=rank))
        return found

    def judge(self, finished):
        told = finished.differences(("rank",))
        (task,) = finished.tasks
        score = {run.role: float(finished.measures[task](finished.statistics(run.key)[task].sums()))
                 for run in finished.study.runs}
        kind = "larger wins" if score["whole"] > score["part"] else "smaller wins"
        reason = f"{finished.metrics[task]} by a factor of {finished.options['factor']}."
        return {"tasks": [{"task": task, "kind": kind, "reason": reason}], "scores": score, "differences": told}

    def tables(self, verdict):
        from bench.pages.content import Column, Table

        columns = (Column("role", "rank"), Column("score", "score", "score"))
        return [Table("ranks", "Scores by rank", "One seed.", columns, tuple(verdict["scores"].items()))]


@hookimpl
def bench_studies():
    return [Ranks()]


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


def bench(site: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    """The command line in a process that has the plugin on its path, and corpora below BENCH_DATA."""
    paths = os.pathsep.join(filter(None, [str(site), *sys.path]))
    environ = {"PYTHONPATH": paths, "BENCH_DATA": str(site / "data"), "XDG_CACHE_HOME": str(site / "cache"), **more}
    program = [sys.executable, "-m", "bench", *words]
    return subprocess.run(program, cwd=site, env={**os.environ, **environ}, capture_output=True, text=True, timeout=500)


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
    assert {row["part"] for row in told} == {"heads/tagger", "architectures/pair", "studies/ranks"}
    assert [row["passed"] for row in told] == [True] * 16


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


def test_a_kind_of_study_plans_judges_and_is_told(site: Path) -> None:
    words = (
        "study", "ranks", "--task", "bc2gm", "--seeds", "1", "--model", "tiny-bert", "--steps", "2", "--batch-tokens", "256",
        "--micro-batch", "256", "--waive", "smoke", "--tracker", "none", "--name", "mine", "--kind-option",
    )  # fmt: skip
    refused = bench(site, *words, "faktor=2")
    assert refused.returncode == 2
    assert "Unknown option of a ranks study: 'faktor'. Did you mean 'factor'?" in refused.stderr
    ran = bench(site, *words, "factor=2", "--json")
    assert ran.returncode == 0, ran.stderr[-3000:]
    study = json.loads(ran.stdout)
    assert [(run["key"], run["role"], run["config"]["rank"]) for run in study["runs"]] == [
        ("whole-s0", "whole", 16), ("part-s0", "part", 8),
    ]  # fmt: skip
    assert study["settings"]["options"] == {"factor": 2}
    (judged,) = study["verdict"]["tasks"]
    whole, part = (study["verdict"]["scores"][role] for role in ("whole", "part"))
    assert judged["kind"] == ("larger wins" if whole > part else "smaller wins")
    assert judged["reason"] == "strict.f1 by a factor of 2."
    assert [row["field"] for row in study["verdict"]["differences"]] == ["waivers"]
    other = bench(site, *words, "factor=4")
    assert other.returncode == 6
    assert "was begun with other settings" in other.stderr
    shown = bench(site, "study", "show", "mine").stdout
    assert f"bc2gm: {judged['kind']}.  strict.f1 by a factor of 2." in shown
    assert "Scores by rank" in shown
    written = bench(site, "report", "mine", "--json")
    assert written.returncode == 0, written.stderr
    page = Path(site / json.loads(written.stdout)["page"]).read_text(encoding="utf-8")
    assert f'<p class="word">{judged["kind"]}</p>' in page
    assert "whole rank" in page
    rows = (site / "runs" / "studies" / "mine" / "report" / "tables" / "ranks.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["role", "whole", "part"]
    without = bench(site, "study", "show", "mine", BENCH_NO_PLUGINS="1")
    assert without.returncode == 0, without.stderr
    assert "Scores by rank" not in without.stdout
