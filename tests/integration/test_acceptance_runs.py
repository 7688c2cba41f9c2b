"""Runs of relation and classification heads whose thresholds are chosen on dev."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("torch")

from bench.config import RunConfig
from bench.registry import load
from bench.results import layout
from bench.results.scores import score_of
from bench.results.store import read_predictions, read_result
from bench.runner import run


@pytest.mark.parametrize(
    ("task", "head", "begins", "metric"),
    [("chemprot", "relation", "relation CPR:", "relations.f1"), ("gad", "classify", "class 1", "by_class.1.f1")],
)
def test_a_result_tells_the_thresholds_and_what_one_half_would_give(
    tiny: Callable[..., RunConfig], tmp_path: Path, task: str, head: str, begins: str, metric: str
) -> None:
    corpus = tmp_path / "corpus"
    made = load().get("tasks", task)
    made.synthesize(corpus, 3, {"train": 60, "dev": 60, "test": 20})
    outcome = run(tiny(task=(task,), head=head, data={task: str(corpus)}), load())
    assert outcome.folder is not None
    result = read_result(outcome.folder)
    told = result.thresholds[task]
    assert told["accept"]
    assert all(name.startswith(begins) and 0.05 <= value <= 0.95 for name, value in told["accept"].items())
    assert set(told) == {"accept", "dev", "test"}
    assert told["dev"]["chosen"] >= told["dev"]["half"] - 1e-12
    assert told["test"]["chosen"] == pytest.approx(score_of(result.scores[task].trained, metric))
    saved = json.loads((outcome.folder / layout.ADAPTERS / "head-0.json").read_text())
    assert saved["thresholds"] == told["accept"]

    predicted = read_predictions(outcome.folder / layout.PREDICTIONS / layout.predictions_name(task, "test", "trained"))
    for document in predicted:
        assert all((r.confidence or 0) >= told["accept"][f"relation {r.label}"] for r in document.relations)
        for one in document.judgements:
            assert one.name != "1" or one.chosen == (one.score >= told["accept"]["class 1"])
