"""What a run's result says beside its scores, on a real short run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from bench.api.data import Document
from bench.config import RunConfig
from bench.registry import load
from bench.results import layout
from bench.results.store import read_predictions, read_result
from bench.runner import run

TASK = "2015-T14"


@pytest.fixture
def finished(tiny: Callable[..., RunConfig]) -> Path:
    outcome = run(tiny(head="span", steps=24, lr=1e-2), load())
    assert outcome.folder is not None
    return outcome.folder


def test_a_result_says_more_than_scores(finished: Path, small_corpus: Path) -> None:
    extra: dict[str, Any] = read_result(finished).to_json()
    gold = load().get("tasks", TASK).load(small_corpus)["test"]
    predicted = read_predictions(finished / layout.PREDICTIONS / layout.predictions_name(TASK, "test", "trained"))
    mentions = [m for document in predicted for m in document.mentions]
    accept = extra["thresholds"][TASK]["accept"]
    least = {several: accept[f"Disorder{' discontiguous' * several}"] for several in {m.discontiguous for m in mentions}}
    assert all(m.confidence is not None and least[m.discontiguous] <= m.confidence <= 1 for m in mentions)

    table = extra["errors"][TASK]["trained"]
    assert sum(table["gold"].values()) == sum(len(document.mentions) for document in gold)
    assert sum(table["predicted"].values()) == len(mentions)
    assert set(table["by"]) == {"length", "training", "fragments", "abbreviation", "negated"}

    funnel = extra["funnel"][TASK]["trained"]
    distinct = {(document.id, *m.key) for document in gold for m in document.mentions}
    assert funnel["accepted"] == {
        "gold": len(distinct), "reached": table["gold"].get("correct", 0) + table["gold"].get("concept", 0),
    }  # fmt: skip
    assert funnel["candidates"]["gold"] == len(distinct)
    assert funnel["fragments"]["gold"] == sum(len(fragments) for _, fragments, _ in distinct)
    assert 0 < funnel["accepted"]["reached"] <= funnel["candidates"]["reached"] <= funnel["fragments"]["reached"]
    for sort in ("fragments", "length", "training"):
        for stage in ("fragments", "links", "candidates", "accepted"):
            groups = funnel["by"][sort].values()
            assert {key: sum(group[stage][key] for group in groups) for key in ("gold", "reached")} == funnel[stage]
        kinds = [side["gold"] for side in table["by"][sort].values()]
        right = [side.get("correct", 0) + side.get("concept", 0) for side in kinds]
        assert [group["accepted"]["reached"] for group in funnel["by"][sort].values()] == right

    lines = (finished / "errors" / layout.predictions_name(TASK, "test", "trained")).read_text().splitlines()
    found = [json.loads(line) for line in lines]
    kinds = [kind for kind in table["gold"] if kind != "correct"]
    assert {kind: sum(len(r["gold"]) for r in found if r["kind"] == kind) for kind in kinds} == {
        kind: table["gold"][kind] for kind in kinds
    }

    assert mentions
    calibration = extra["calibration"][TASK]["trained"]["mentions"]
    assert calibration["predictions"] == len(mentions)
    keys = {document.id: {m.key for m in document.mentions} for document in gold}
    right = sum(m.key in keys[document.id] for document in predicted for m in document.mentions)
    assert calibration["right"] == pytest.approx(right / len(mentions))
    assert calibration["abstention"]["curve"][-1]["coverage"] == 1

    latency = extra["efficiency"]["trained"]["latency"][TASK]
    assert latency["windows"] >= 1
    assert 0 < latency["p50"] < 5
    assert extra["overlap"][TASK]["test-train"]["documents"] == len(gold)
    timings = read_result(finished).timings
    assert timings["efficiency"] > 0
    assert timings["evidence"] > 0


def test_it_holds_no_text(finished: Path, small_corpus: Path) -> None:
    corpus = load().get("tasks", TASK).load(small_corpus)
    told = (finished / layout.RESULT).read_text() + "".join(p.read_text() for p in (finished / "errors").iterdir())

    def words(document: Document) -> set[str]:
        return {document.text[a:b] for m in document.mentions for a, b in m.fragments if b - a > 8}

    assert not [word for split in corpus for document in corpus[split] for word in words(document) if word in told]
