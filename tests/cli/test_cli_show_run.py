"""`bench show run`: a stored result for people and as JSON, with what must not be missed at the top."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.cli import main
from bench.cli.result import explanation
from bench.cli.score import report
from bench.config import RunConfig
from bench.naming import flatten
from bench.results.evidence import ConceptAccuracy, Concepts, Macro, PrimaryScore
from bench.results.invariants import Batch, Checkpoint, Invariants, Parity, Smoke, Tokens
from bench.results.schema import Headline, Quantization, Result, TaskScores
from bench.results.store import write_result

F = {"tp": 3, "fp": 1, "fn": 2, "precision": 0.75, "recall": 0.6, "f1": 2 / 3, "f1.ci95": [0.5, 0.8]}
RESULT = Result(
    id="2015-t14_a2_gptq_0123456789ab",
    config=RunConfig(task=("2015-T14",), arch="A2", quant="gptq").as_json(),
    headline=Headline("2015-T14", "test", "quantized", "task1.strict.f1", 2 / 3, (0.5, 0.8)),
    scores={"2015-T14": TaskScores(flatten({"task1": {"strict": F}}), flatten({"task1": {"strict": F | {"tp": 4321}}}))},
    invariants=Invariants(
        Tokens(),
        Parity(),
        Smoke(curve={"2015-T14": [0.5] * 50}),
        Batch(micro_batch=2048, limit=2**33, peak=None, binds="user", longest=64),
        Checkpoint(),
    ),
    quantization=Quantization(4.25, 12_345_678, 0.221, 0.311),
    timings={"training": 12.5},
    memory={"peak": 2**30},
    hashes={"data": {"2015-T14": "ab" * 32}},
    versions={"python": "3.11"},
    hardware={"cores": 2},
    git={"commit": None, "dirty": None},
    waivers=(),
    synthetic=True,
)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / RESULT.id
    folder.mkdir(parents=True)
    write_result(folder, RESULT)
    return folder.parent


def test_an_interval_of_few_mentions_is_marked() -> None:
    few = {"task1.discontiguous.f1": 0.0, "task1.discontiguous.f1.ci95": (0.0, 0.23), "task1.discontiguous.f1.ci95_by": "beta"}
    counts = {f"task1.discontiguous.{name}": value for name, value in {"tp": 0.0, "fp": 0.0, "fn": 14.0}.items()}
    trained = {**RESULT.scores["2015-T14"].trained, **counts, **few}
    text = report(trained)
    assert "[.000, .230]*" in text
    assert "* from counts: too few items" in text
    assert "*" not in report(RESULT.scores["2015-T14"].trained)
    scores = replace(RESULT.scores["2015-T14"], trained=trained, quantized=None)
    result = replace(RESULT, scores={"2015-T14": scores}, headline=replace(RESULT.headline, stage="trained"))
    assert any("discontiguous mentions [.000, .230], of few" in line for line in explanation(result))
    back = Result.from_json(json.loads(json.dumps(result.to_json()))).scores["2015-T14"].trained
    assert {name: back[name] for name in few} == few


def test_a_model_below_the_dictionary_is_told_so_and_every_task_of_a_run_is_shown() -> None:
    task = RESULT.headline.task
    for score, below in ((0.3, True), (0.6, False)):
        scores = replace(RESULT.scores[task], baselines={"dictionary": {RESULT.headline.metric: 0.5}})
        others = Macro(
            "test", "trained", 0.4, (PrimaryScore(task, RESULT.headline.metric, score), PrimaryScore("bc5cdr", "f1", 0.2))
        )
        head = replace(RESULT.headline, value=score)
        said = "\n".join(explanation(replace(RESULT, scores={**RESULT.scores, task: scores}, headline=head, macro=others)))
        assert ("the model is below it: train longer, --tokens N" in said) is below
        assert ".200  bc5cdr, f1" in said


def test_json_is_the_stored_result(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "run", RESULT.id, "--out", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told.pop("standing") == {"manifest": "older", "changed": []}
    assert told == RESULT.to_json()


def test_people_see_headline_scores_and_costs(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "run", str(out / RESULT.id)]) == 0
    text = capsys.readouterr().out
    lines = text.splitlines()
    assert lines[1].startswith("2015-T14 test, quantized: task1.strict.f1 .667 [.500, .800]  SYNTHETIC data")
    assert "4,321   1   2       .750    .600  .667  [.500, .800]" in text
    assert "2015-T14, trained" in lines
    assert "2015-T14, quantized" in lines
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in lines if line.startswith("  ")}
    assert rows["smoke.status"] == "held"
    assert rows["smoke.curve.2015-T14"] == "50 entries, in result.json"
    assert rows["rtn_error"] == ".311"
    assert rows["bytes"] == "12,345,678"


@pytest.mark.parametrize("task", ["2015-T14", "my.own.task"])
@pytest.mark.parametrize("group", ["task1.", ""])
def test_what_explains_the_headline_stands_below_it(
    task: str, group: str, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found: dict[str, Any] = {"strict": F, "span_only": F | {"f1": 0.9}, "discontiguous": F | {"f1": 0.25}}
    baseline: dict[str, Any] = {"strict": F | {"f1": 0.5}}
    if group:
        found, baseline = {"task1": found}, {"task1": baseline}
    tasks = {task: TaskScores(trained={}, quantized=flatten(found), baselines={"dictionary": flatten(baseline)})}
    concepts = {task: Concepts("dictionary", ConceptAccuracy(accuracy=0.7), ConceptAccuracy(accuracy=0.75))}
    headline = replace(RESULT.headline, task=task, metric=f"{group}strict.f1")
    write_result(out / RESULT.id, replace(RESULT, headline=headline, scores=tasks, concepts=concepts))
    assert main(["show", "run", str(out / RESULT.id)]) == 0
    assert capsys.readouterr().out.splitlines()[2:8] == [
        "   .900  mentions alone, without concepts",
        "   .250  discontiguous mentions",
        "   .750  concepts right of mentions found",
        "   .500  a dictionary of the training mentions, by the same metric",
        f"         made-up notes; the real corpus: --data {task}=DIR (bench show task {task})",
        "",
    ]


@pytest.mark.parametrize("concepts", [1e308, "x", [], {"2015-T14": None}, {"2015-T14": {"found": 3}}])
def test_what_is_no_share_of_concepts_is_one_message(concepts: Any, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (out / RESULT.id / "result.json").write_text(json.dumps(RESULT.to_json() | {"concepts": concepts}))
    assert main(["show", "run", RESULT.id, "--out", str(out)]) == 6
    assert "is not what schema version 2 promises: " in capsys.readouterr().err


def test_waivers_stand_at_the_top(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_result(out / RESULT.id, replace(RESULT, waivers=("smoke", "parity"), synthetic=False))
    assert main(["show", "run", RESULT.id[:12], "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert text.splitlines()[1] == "waived: smoke, parity; comparisons refuse this run"
    assert "SYNTHETIC" not in text


def test_an_unfinished_or_damaged_run_ends_in_one_line(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = out / RESULT.id / "result.json"
    path.write_text(path.read_text()[:100])
    assert main(["show", "run", str(out / RESULT.id)]) == 6
    assert "Traceback" not in capsys.readouterr().err
