"""Studies with real runs: killed and gone on with, nothing repeated, budgets that follow other runs, what is left behind."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from launching import Idle, Quiet

from bench.api.study import Cost, StudyRun
from bench.cli import main
from bench.cli.parser import Parser, parse
from bench.cli.study import configure, planned_study
from bench.errors import ContractError, LeakError
from bench.launchers import Job, JobOutcome
from bench.registry import load
from bench.results.schema import Result
from bench.results.store import read_result
from bench.studies.arms import read_runs
from bench.studies.contract import differences, refuse
from bench.studies.finished import judged
from bench.studies.request import study_kind
from bench.studies.review import reviewed
from bench.studies.scheduler import drive
from bench.studies.study import Study, find_study
from bench.studies.trials import dev_score

torch = pytest.importorskip("torch")
pytest.importorskip("statsmodels")

TASKS = ("ncbi-disease", "bc5cdr", "bc2gm")
LONGEST = 64
PATIENCE = 500.0


pytestmark = pytest.mark.usefixtures("forks")


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("corpora")
    for task in TASKS:
        load().get("tasks", task).synthesize(folder / task, 3, {"train": 8, "dev": 2, "test": 3})
    return {task: folder / task for task in TASKS}


def words(corpora: Mapping[str, Path], *tasks: str, tokens: int = 1200) -> list[str]:
    given = [word for task in tasks for word in ("--task", task, "--data", f"{task}={corpora[task]}")]
    return [
        *given, "--model", "tiny-bert", "--head", "bio", "--tokens", str(tokens), "--waive", "smoke", "--tracker", "none",
        "--max-length", str(LONGEST), "--batch-tokens", "256", "--micro-batch", "256", "--eval-every", "999",
        "--checkpoint-every", "2",
    ]  # fmt: skip


def begin(cwd: Path, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "bench", "study", *more], cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finished(folder: Path) -> dict[str, float]:
    return {path.parent.name: path.stat().st_mtime for path in folder.glob("runs/*/result.json")}


def wait_for(what: Callable[[], Any]) -> None:
    until = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < until, "it took too long"
        time.sleep(0.1)


def test_a_killed_study_goes_on_and_repeats_nothing(corpora: dict[str, Path], tmp_path: Path) -> None:
    grid = tmp_path / "grid.toml"
    grid.write_text("[grid]\nrank = [8]\n")
    command = ["sweep", str(grid), *words(corpora, "bc5cdr"), "--seeds", "2", "--name", "killed"]
    process = begin(tmp_path, *command)
    # The first run is done and the second has a checkpoint when everything is killed.
    second = "runs/*/checkpoints/*/manifest.json"
    wait_for(lambda: len({p.parts[-4] for p in tmp_path.glob(second)}) > 1 or process.poll() is not None)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    kept = finished(tmp_path)
    study = find_study("killed", tmp_path / "runs")
    assert study["rank=8,s0"].run in kept

    done = begin(tmp_path, *command, "--json")
    out, _ = done.communicate(timeout=PATIENCE)
    assert done.returncode == 0, out
    study = find_study("killed", tmp_path / "runs")
    after = finished(tmp_path)
    assert {run.run for run in study.runs} == set(after)
    assert len(after) == 2
    assert {run: after[run] for run in kept} == kept  # not written again
    assert len([*(study.folder / "logs").glob("*.plan.log")]) == 1  # seeds cost alike, and are asked once
    results = [read_result(tmp_path / "runs" / str(run.run)) for run in study.runs]
    assert [result.config["study"] for result in results] == ["killed", "killed"]
    assert results[1].config["name"] == "killed/rank=8,s1"

    again = begin(tmp_path, *command)
    out, _ = again.communicate(timeout=PATIENCE)
    assert again.returncode == 0, out
    assert "begun" not in out
    assert finished(tmp_path) == after


def test_a_dry_run_tells_tokens_and_hours_and_leaves_nothing(corpora: dict[str, Path], tmp_path: Path) -> None:
    command = ["transfer", *words(corpora, "ncbi-disease", "bc5cdr"), "--seeds", "2"]
    dry = begin(tmp_path, *command, "--dry-run", "--json")
    out, _ = dry.communicate(timeout=PATIENCE)
    assert dry.returncode == 0, out
    planned = json.loads(out[out.index("{") :])
    tokens = {run["key"]: run["estimate"]["tokens"] for run in planned["runs"]}
    assert tokens["bc5cdr-s1"] == 1200
    assert tokens["ncbi-disease+bc5cdr-s0"] == tokens["bc5cdr-total-s0"] == 2400
    assert all(run["estimate"]["seconds"] >= 0 and run["estimate"]["memory"] > 2**20 for run in planned["runs"])
    assert not [*tmp_path.iterdir()]


def test_a_signal_ends_every_run_with_a_checkpoint(corpora: dict[str, Path], tmp_path: Path) -> None:
    grid = tmp_path / "grid.toml"
    grid.write_text("[grid]\nrank = [8]\n")
    command = ["sweep", str(grid), *words(corpora, "bc5cdr", tokens=200_000), "--seeds", "1", "--name", "stopped"]
    process = begin(tmp_path, *command)
    wait_for(lambda: [*tmp_path.glob("runs/*/checkpoints/*/manifest.json")] or process.poll() is not None)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, out
    assert "Study stopped stopped with 0 of 1 run finished; 1 run will go on from its last checkpoint." in out
    assert "Go on by typing the same command again." in out
    study = find_study("stopped", tmp_path / "runs")
    assert "Stopped on SIGTERM" in (study.folder / "logs" / "rank=8,s0.log").read_text()
    assert (study.runs[0].run, study.runs[0].error) == (None, None)


class Here(Idle):
    """Runs in this process, which has everything imported, one after another."""

    def __init__(self) -> None:
        self.waiting: list[Job] = []
        self.ran: list[str] = []

    def submit(self, job: Job) -> None:
        self.waiting.append(job)

    def poll(self, seconds: float) -> list[JobOutcome]:
        job = self.waiting.pop(0)
        self.ran.append(job.key)
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(["run", *job.words])
        return [JobOutcome(job.key, code, json.loads(out.getvalue()) if code == 0 else {}, err.getvalue())]


class Whole(Quiet):
    """No run fails."""

    def ended(self, run: StudyRun, outcome: JobOutcome) -> None:
        assert run.run is not None, outcome.message


def run_here(out: Path, *typed: str) -> tuple[Study, dict[str, Result], list[str], list[str]]:
    """A study from its words to its verdict: the study, its results, the order of its runs, and what was warned of."""
    parser = Parser(prog="bench study")
    configure(parser)
    args = parse(parser, [*typed, "--out", str(out)])
    assert args is not None
    study = planned_study(args, load())
    study.runs = [replace(run, estimate=Cost(1, 1.0, 1)) for run in study.runs]
    launcher, told = Here(), []
    assert drive(study, launcher, Whole())
    study.verdict = judged(study, load(), told.append)
    assert reviewed(study, load()).changed == ()  # its runs have the settings of the plan, and give this verdict
    results = {run.key: read_result(out / str(run.run)) for run in study.runs}
    return study, results, launcher.ran, told


def test_token_control_from_plan_to_verdict(corpora: dict[str, Path], tmp_path: Path) -> None:
    pair = TASKS[:2]
    study, results, ran, told = run_here(tmp_path, "token-control", *words(corpora, *pair), "--seeds", "1")
    assert ran[0] == "multi-s0"
    tokens = {key: result.invariants.tokens.total for key, result in results.items()}
    for task in pair:
        share = results["multi-s0"].invariants.tokens.tasks[task].tokens
        # A budget is met to within one example.
        assert abs(tokens[f"{task}-total-s0"] - tokens["multi-s0"]) <= LONGEST
        assert abs(tokens[f"{task}-share-s0"] - share) <= LONGEST
    assert len({result.config["resolved"]["lr"] for result in results.values()}) == 1
    assert study.verdict is not None
    assert {one["task"]: one["kind"] for one in study.verdict["tasks"]} == dict.fromkeys(pair, "unresolved")
    assert "1, and a verdict wants 6" in study.verdict["tasks"][0]["reason"]
    assert [one["field"] for one in study.verdict["differences"]] == ["waivers"]
    assert not told

    # Another study that asks for one of these runs finds it: what a run is has nothing to do with who asks.
    other = replace(study["multi-s0"], key="again", run=None)
    more = Study(tmp_path, "ablation", "other", {}, [other])
    assert drive(more, Here(), Whole())
    assert more["again"].run == study["multi-s0"].run


def test_transfer_from_plan_to_matrix(corpora: dict[str, Path], tmp_path: Path) -> None:
    study, results, _, _ = run_here(tmp_path, "transfer", *words(corpora, *TASKS, tokens=600), "--seeds", "1")
    pair = results["ncbi-disease+bc5cdr-s0"].invariants.tokens.tasks
    assert all(abs(account.tokens - 600) <= 2 * LONGEST for account in pair.values())
    assert study.verdict is not None
    ordered = [(one["task"], one["partner"]) for one in study.verdict["pairs"]]
    assert sorted(ordered) == sorted((a, b) for a in TASKS for b in TASKS if a != b)
    alike = {pair: one["similarity"] for pair, one in zip(ordered, study.verdict["pairs"], strict=True)}
    assert all(alike[a, b] == alike[b, a] for a, b in ordered)
    assert alike["ncbi-disease", "bc5cdr"]["labels"] == 0.5  # diseases in both, chemicals in one
    assert alike["ncbi-disease", "bc2gm"]["labels"] == 0.0
    assert study.verdict["spearman"]["labels"]["n"] == 6
    one = study.verdict["pairs"][0]
    own = results[f"{one['task']}-s0"].scores[one["task"]].trained
    both = next(r for k, r in results.items() if {one["task"], one["partner"]} == set(r.scores)).scores[one["task"]].trained
    metric = study.verdict["metrics"][one["task"]]
    assert one["at_own"]["difference"] == pytest.approx(both[metric] - own[metric])


def test_seeds_that_draw_their_training_documents(corpora: dict[str, Path], tmp_path: Path) -> None:
    typed = words(corpora, *TASKS[:2], tokens=4800)
    study, results, ran, told = run_here(tmp_path, "token-control", *typed, "--resample-train", "2")
    assert study.settings["resample_train"] == 2
    assert len(ran) == 10
    for key, result in results.items():
        seed = result.config["seed"]
        assert result.config["train_resample"] == seed
        for task, drawn in result.train_resample.items():
            assert (drawn["documents"], drawn["of"]) == (4, 8)
            assert drawn == results[f"multi-s{seed}"].train_resample[task], key  # the same documents in every arm of a seed
            assert result.plan.data[task]["train"].documents == 4
    for task in TASKS[:2]:
        assert len({results[f"multi-s{seed}"].train_resample[task]["sha256"] for seed in (0, 1)}) == 2
        share, own = (results["multi-s0"].invariants.tokens.tasks[task].tokens, results[f"{task}-share-s0"])
        assert abs(own.invariants.tokens.total - share) <= LONGEST  # budgets are met as ever
    assert study.verdict is not None
    assert {one["task"] for one in study.verdict["tasks"]} == {*TASKS[:2]}
    assert not told
    # Without the draw it is another run, which may not be held against these.
    whole, *_ = run_here(tmp_path, "token-control", *typed, "--seeds", "1")
    assert whole["multi-s0"].run != study["multi-s0"].run
    mixed = read_runs([str(study["multi-s0"].run), str(whole["multi-s0"].run)], tmp_path)[0]
    with pytest.raises(ContractError, match="train_resample: documents a random half in 1 run, all in 1 run"):
        refuse(differences([run.facts for run in mixed], (), ("waivers",)), ())


def test_unseen_from_plan_to_verdict(corpora: dict[str, Path], tmp_path: Path) -> None:
    typed = words(corpora, *TASKS, tokens=600)
    typed[typed.index("ncbi-disease") - 1] = "--source"
    typed[typed.index("bc2gm") - 1] = "--target"
    del typed[typed.index("--micro-batch") : typed.index("--micro-batch") + 2]  # the probe's child freezes as the run does
    study, results, ran, told = run_here(tmp_path, "unseen", *typed, "--shots", "6", "--shots", "3", "--seeds", "1")
    assert ran == ["source-s0", "bc2gm-3-fresh-s0", "bc2gm-6-fresh-s0", "bc2gm-3-target-s0", "bc2gm-6-target-s0"]
    assert set(results["source-s0"].scores) == {"ncbi-disease", "bc5cdr"}
    for count in (3, 6):
        target, fresh = (results[f"bc2gm-{count}-{role}-s0"] for role in ("target", "fresh"))
        assert target.init_from["run"] == results["source-s0"].id
        assert target.shots == fresh.shots  # the very same documents
        assert target.shots["bc2gm"]["documents"] == count
        assert (target.matched, fresh.matched) == (False, True)
        flops = [one.invariants.tokens.tasks["bc2gm"].flops for one in (target, fresh)]
        assert flops[0] < 0.7 * flops[1]  # no pass back through the base model; the frozen adapters are still multiplied with
    assert study.verdict is not None
    assert [(c["target"], c["shots"], c["kind"]) for c in study.verdict["comparisons"]] == [
        ("bc2gm", 3, "unresolved"), ("bc2gm", 6, "unresolved"),
    ]  # fmt: skip
    for c in study.verdict["comparisons"]:
        assert c["gain"]["difference"] == pytest.approx(c["from_sources"] - c["fresh"])
    assert [one["field"] for one in study.verdict["differences"]] == ["waivers"]
    assert not told
    kind = study_kind("unseen", load())
    assert [s.subject for s in kind.statements(study.verdict)] == ["bc2gm, 3 documents", "bc2gm, 6 documents"]
    assert [row[:2] for row in kind.tables(study.verdict)[0].rows] == [("bc2gm", 3), ("bc2gm", 6)]
    # With other runs of the sort, `bench compare` refuses what trains fewer parameters unless that is allowed.
    frozen = read_runs([str(study["bc2gm-3-target-s0"].run), str(study["bc2gm-3-fresh-s0"].run)], tmp_path)[0]
    with pytest.raises(ContractError, match="parameters"):
        refuse(differences([run.facts for run in frozen], ("init_from", "freeze_shared"), ("waivers",)), ("init_from",))


def test_tuned_from_plan_to_verdict(corpora: dict[str, Path], tmp_path: Path) -> None:
    typed = ["tuned", *words(corpora, "bc5cdr", tokens=4000), "--arch", "A1", "--arch", "A2", "--seeds", "2"]
    study, results, ran, told = run_here(tmp_path, *typed, "--kind-option", "rates=2")
    assert study.whole
    assert len(ran) == 2 * (2 + 1 + 2)
    for arm in ("A1", "A2"):
        dev = {key: dev_score(results[key]) for key in results if key.startswith(f"{arm}-lr")}
        best = max(dev, key=lambda key: dev[key])
        rates = {results[f"{arm}-{run}"].config["resolved"]["lr"] for run in ("half-1", "s0", "s1")}
        assert rates == {results[best].config["resolved"]["lr"]}
    assert study.verdict is not None
    spent = {arm: search["tokens"] for arm, search in study.verdict["search"].items()}
    assert abs(spent["A1"] - spent["A2"]) <= 3 * LONGEST
    (pair,) = study.verdict["comparisons"]
    assert (pair["first"], pair["second"], pair["kind"]) == ("A1", "A2", "not resolved at this number of seeds")
    assert not told
    study.save()
    page = tmp_path / "page"
    with contextlib.redirect_stdout(io.StringIO()):
        assert main(["report", study.name, "--runs", str(tmp_path), "--out", str(page)]) == 0
    html = (page / "index.html").read_text()
    assert "Score on dev by learning rate" in html
    assert "What the search cost" in html


def test_a_source_whose_text_is_in_the_targets_test_is_refused_early(corpora: dict[str, Path], tmp_path: Path) -> None:
    changed = tmp_path / "bc2gm"
    shutil.copytree(corpora["bc2gm"], changed)
    sentence = max((corpora["bc5cdr"] / "train.tsv").read_text().split("\n\n"), key=len).strip()
    with (changed / "test.tsv").open("a") as file:
        file.write(re.sub(r"\t\S+$", "\tO", sentence, flags=re.MULTILINE) + "\n\n")
    typed = words({**corpora, "bc2gm": changed}, "bc5cdr", "bc2gm")
    typed[typed.index("bc2gm") - 1] = "--target"
    out = io.StringIO()
    with contextlib.redirect_stderr(out):
        code = main(["study", "unseen", *typed, "--shots", "3", "--seeds", "1", "--out", str(tmp_path / "runs")])
    assert code == LeakError.exit_code
    assert "(train of bc5cdr and test)" in out.getvalue()


def test_a_run_that_fails_leaves_the_others_and_blocks_its_own(corpora: dict[str, Path], tmp_path: Path) -> None:
    class Failing(Here):
        def poll(self, seconds: float) -> list[JobOutcome]:
            job = self.waiting.pop(0)
            self.ran.append(job.key)
            bad = job.key == "multi-s0"
            return [JobOutcome(job.key, 3 if bad else 0, {} if bad else {"result": f"/x/{job.key}/result.json"}, "It broke.")]

    class Told(Quiet):
        def ended(self, run: StudyRun, outcome: JobOutcome) -> None:
            pass

    parser = Parser(prog="bench study")
    configure(parser)
    args = parse(parser, ["token-control", *words(corpora, *TASKS[:2]), "--seeds", "2", "--out", str(tmp_path)])
    assert args is not None
    study = planned_study(args, load())
    launcher = Failing()
    assert drive(study, launcher, Told()) is False
    assert launcher.ran == ["multi-s0", "multi-s1", *(run.key for run in study.runs if run.seed == 1 and run.role != "multi")]
    back = find_study(study.name, tmp_path)
    assert back["multi-s0"].error == "It broke."
    assert [run.key for run in back.runs if run.run is None and run.error is None] == [
        run.key for run in study.runs if run.seed == 0 and run.role != "multi"
    ]
