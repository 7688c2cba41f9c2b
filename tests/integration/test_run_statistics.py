"""A real run leaves the statistics that its scores were made of, and two of them can be compared."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from bench.cli import main
from bench.config import RunConfig
from bench.naming import flatten
from bench.registry import load
from bench.results.evidence import Unit
from bench.results.scores import numbers
from bench.results.statistics import read_statistics
from bench.results.store import read_predictions, read_result

torch = pytest.importorskip("torch")

from bench import runner  # noqa: E402

TASK = "2015-T14"


def test_statistics_of_every_split_and_stage_give_the_scores(
    tiny: Callable[..., RunConfig], capsys: pytest.CaptureFixture[str]
) -> None:
    config = tiny(steps=6)
    folder = runner.run(config, load()).folder
    assert folder is not None
    result = read_result(folder)
    task = load().get("tasks", TASK)
    told = {("test", "trained"): result.scores[TASK].trained, ("dev", "trained"): result.scores[TASK].dev["trained"]}
    for (split, stage), scores in told.items():
        found = read_statistics(folder, TASK, split, stage)
        predicted = read_predictions(folder / "predictions" / f"{TASK}.{split}.{stage}.jsonl")
        assert found.documents == tuple(document.id for document in predicted)
        again = flatten(task.summarise(found.sums()))
        assert scores["task1.strict.fn"] == found.sums()["task1.strict.fn"] > 0
        assert dict(numbers(scores)) == pytest.approx(again, abs=1e-12)
    text = (folder / "statistics" / f"{TASK}.test.trained.json").read_text()
    assert (json.loads(text)["schema_version"], json.loads(text)["unit"]) == (1, "notes")
    assert result.units[TASK] == Unit("notes", len(found.documents))
    other = runner.run(replace(config, arch="A4", steps=3), load()).folder
    assert other is not None
    capsys.readouterr()
    words = ["compare", folder.name, other.name, "--out", config.out]
    assert main(words) == 3
    message = capsys.readouterr().err
    assert "waivers: smoke in 2 runs" in message
    assert "tokens: " in message
    assert main([*words, "--allow", "waivers,tokens", "--json", "--resamples", "200"]) == 0
    compared = json.loads(capsys.readouterr().out)
    assert (compared["by"], list(compared["arms"])) == (["arch"], ["A1", "A4"])
    assert compared["scores"][0]["spread"]["mean"] == pytest.approx(result.headline.value)


def test_a_run_on_sentences_says_that_they_are_no_documents(
    tiny: Callable[..., RunConfig], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = runner.run(tiny(task=("bc2gm",), data={}, steps=3), load()).folder
    assert folder is not None
    (unit,) = read_result(folder).units.values()
    assert unit.name == read_statistics(folder, "bc2gm", "test", "trained").unit == "sentences"
    assert unit.design_effect is None or unit.design_effect >= 1
    capsys.readouterr()
    assert main(["show", "run", str(folder)]) == 0
    assert f"{unit.test} sentences, not documents" in capsys.readouterr().out
