"""Whole runs of several tasks: gates, budgets, what the result says, and a kill in the middle of them."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from safetensors.torch import load_file  # noqa: E402

from bench import runner  # noqa: E402
from bench.config import RunConfig  # noqa: E402
from bench.errors import UsageError  # noqa: E402
from bench.registry import load  # noqa: E402
from bench.results.layout import ADAPTERS, JOURNAL, PREDICTIONS, RESULT  # noqa: E402
from bench.tracking.journal import read_journal, timeline  # noqa: E402

PAIR = ("2015-T14", "second")
Make = Callable[..., RunConfig]

COPIES = """
from bench.hooks import hookimpl
from bench_tasks.semeval2015_t14.task import {name} as Original


@hookimpl
def bench_tasks():
    return [type("Copy", (Original,), {{"name": name}})() for name in ("second", "third")]
"""


@pytest.fixture
def registry(kit: Any) -> Any:
    return kit.with_parts(tasks=[kit.task_like("second")])


def result_of(outcome: runner.Outcome) -> dict[str, Any]:
    assert outcome.result_path is not None
    found: dict[str, Any] = json.loads(outcome.result_path.read_text(encoding="utf-8"))
    return found


def test_the_result_tells_how_the_tasks_were_mixed_and_no_mean_stands_alone(pair: Make, registry: Any) -> None:
    config = pair(arch="A3", sampling="uniform", loss_weighting="uncertainty", gradients="pcgrad")
    outcome = runner.run(config, registry)
    result = result_of(outcome)
    mixed = result["together"]
    assert mixed["sampling"] == {"kind": "uniform", "temperature": None, "shares": {"2015-T14": 0.5, "second": 0.5}}
    tokens = {task: account["tokens"] for task, account in result["invariants"]["tokens"]["tasks"].items()}
    assert abs(tokens["2015-T14"] - tokens["second"]) <= 128
    weighting = mixed["loss_weighting"]
    assert (weighting["kind"], weighting["parameters"]) == ("uncertainty", 2)
    assert all(0 < abs(value) < 1 for value in weighting["log_variance"].values())
    (row,) = mixed["gradients"]["pairs"]
    assert (row["tasks"], row["updates"]) == (list(PAIR), 6)
    assert row["conflict_frequency"] == row["conflicts"] / 6
    assert outcome.folder is not None
    shared = load_file(outcome.folder / ADAPTERS / "shared" / "adapter_model.safetensors")
    assert mixed["gradients"]["shared_parameters"] == sum(tensor.numel() for tensor in shared.values())

    macro = result["macro"]
    assert [row["task"] for row in macro["tasks"]] == list(PAIR)
    for row in macro["tasks"]:
        assert row["value"] == result["scores"][row["task"]]["trained"]["task1.strict.f1"]
    assert macro["mean"] == pytest.approx(sum(row["value"] for row in macro["tasks"]) / 2)
    assert (macro["split"], macro["stage"]) == ("test", "trained")

    budget = result["plan"]["budget"]
    assert (budget["given_as"], budget["tokens"], budget["like"]) == ("--steps", 6 * 256, None)
    assert budget["task_tokens"] == {"2015-T14": 768, "second": 768}
    steps = [e.values for e in timeline(read_journal(outcome.folder / JOURNAL)) if e.kind == "step"]
    assert [set(values["cosine"]) for values in steps] == [{"2015-T14 second"}] * 6
    assert sum(values["cosine"]["2015-T14 second"] for values in steps) / 6 == pytest.approx(row_mean(mixed))
    assert steps[0]["weight"] == {"2015-T14": 1.0, "second": 1.0}
    assert steps[5]["weight"] != steps[0]["weight"]


def row_mean(mixed: dict[str, Any]) -> float:
    (row,) = mixed["gradients"]["pairs"]
    return float(row["mean_cosine"])


def test_a_run_of_one_task_says_nothing_of_others(tiny: Make) -> None:
    outcome = runner.run(tiny(), load())
    assert not {"together", "macro"} & result_of(outcome).keys()
    assert outcome.folder is not None
    steps = [e.values for e in timeline(read_journal(outcome.folder / JOURNAL)) if e.kind == "step"]
    assert not {"cosine", "weight"} & set().union(*steps)


def test_as_many_tokens_as_one_task_of_another_run(pair: Make, tiny: Make, registry: Any, small_corpus: Path) -> None:
    first = runner.run(pair(arch="A2"), registry)
    result = result_of(first)
    assert result["together"]["gradients"]["pairs"] == []
    assert "share no trainable parameter" in result["together"]["gradients"]["note"]
    tokens = {task: account["tokens"] for task, account in result["invariants"]["tokens"]["tasks"].items()}
    assert first.folder is not None
    for ref, wanted in (
        (first.folder.name, sum(tokens.values())),
        (f"{first.folder.name}:second", tokens["second"]),
        (f"{first.folder}:2015-T14", tokens["2015-T14"]),
    ):
        again = result_of(runner.run(tiny(steps=None, tokens_like=ref), registry))
        assert again["config"]["resolved"]["tokens_like"] == wanted
        assert abs(again["invariants"]["tokens"]["total"] - wanted) <= 64
        budget = again["plan"]["budget"]
        assert (budget["given_as"], budget["like"], budget["tokens"]) == ("--tokens-like", ref, wanted)
        assert budget["controlled"]
        assert budget["counts"].startswith("tokens the attention mask marks")
    with pytest.raises(UsageError, match="had no task 'third'; it had 2015-T14, second"):
        runner.run(tiny(steps=None, tokens_like=f"{first.folder.name}:third"), registry)


def test_a_budget_out_of_reach_is_refused_before_any_weight_is_loaded(
    pair: Make, registry: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench.steps import base

    monkeypatch.setattr(base, "load_base", None)
    with pytest.raises(UsageError, match="A budget of 1 token holds not one training example"):
        runner.run(pair(steps=None, tokens=1), registry)
    with pytest.raises(UsageError, match=r"would repeat the .* training tokens of .* times"):
        runner.run(pair(steps=None, tokens=10**12), registry)


def test_every_gate_holds_for_three_tasks_at_once(
    tiny: Make, tmp_path: Path, small_corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tasks of an installed plugin, since the memory probe looks them up in a process of its own."""
    from bench.invariants import smoke

    monkeypatch.setattr(smoke, "UPDATES", 50)
    monkeypatch.setattr(smoke, "EXAMPLES", 100)
    site = tmp_path / "site"
    info = site / "copies-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: copies\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[bench]\ncopies = copied_tasks\n")
    original = type(load().get("tasks", "2015-T14")).__name__
    (site / "copied_tasks.py").write_text(COPIES.format(name=original))
    monkeypatch.syspath_prepend(site)
    monkeypatch.setenv("PYTHONPATH", str(site), prepend=os.pathsep)
    registry = load()
    names = ("2015-T14", "second", "third")
    # One corpus under three names: what a random model of a few numbers learns in fifty updates is no more than one.
    data = dict.fromkeys(names, str(small_corpus))
    config = tiny(
        task=names, data=data, gradients="pcgrad", loss_weighting="uncertainty", micro_batch=None, waive=(), lr=3e-3
    )  # a random model wants more than what heads ask for
    invariants = result_of(runner.run(config, registry))["invariants"]
    assert {told["status"] for told in invariants.values()} == {"held"}
    assert set(invariants["tokens"]["tasks"]) == set(names)
    assert invariants["smoke"]["passed"]
    assert invariants["smoke"]["dead"] == {name: [] for name in names}
    assert invariants["batch"]["probes"]
    assert invariants["batch"]["micro_batch"] >= 64
    assert all(row["ratio"] > 0.95 for row in invariants["parity"]["rows"])


def everything(folder: Path) -> dict[str, Any]:
    """What a kill must not change."""
    result = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    told = [
        (event.kind, event.step, {k: v for k, v in event.values.items() if k not in ("seconds", "tokens_per_second")})
        for event in timeline(read_journal(folder / JOURNAL))
        if event.kind in ("step", "eval", "scores")
    ]
    return {
        "weights": {p.name: p.read_bytes() for p in sorted((folder / ADAPTERS).rglob("*.safetensors"))},
        "predictions": {p.name: p.read_bytes() for p in sorted((folder / PREDICTIONS).iterdir())},
        "tokens": result["invariants"]["tokens"],
        **{name: result[name] for name in ("id", "headline", "scores", "together", "macro")},
        "told": told,
    }


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_and_resumed_is_as_never_killed(pair: Make, registry: Any, tmp_path: Path, kit: Any) -> None:
    how: dict[str, Any] = {
        "arch": "A4",
        "loss_weighting": "uncertainty",
        "gradients": "pcgrad",
        "batch_tokens": 100,
        "steps": 9,
    }
    whole = runner.run(pair(out=str(tmp_path / "whole"), **how), registry).folder
    assert whole is not None
    config = pair(**how)

    def die(event: Any) -> None:
        if (event.kind, event.step) == ("step", 7):
            os.kill(os.getpid(), signal.SIGKILL)

    def first(told: Any) -> None:
        registry.add(kit.Observer(die), "test:kill", "test")
        runner.run(config, registry, console=told)

    assert kit.forked(first).signal == signal.SIGKILL
    folder = Path(config.out) / whole.name
    assert not (folder / RESULT).exists()
    runner.run(RunConfig(out=config.out, tracker=("none",)), registry, resume=folder.name)
    resumed = json.loads((folder / RESULT).read_text(encoding="utf-8"))["invariants"]["checkpoint"]["resumed_from"]
    assert resumed == [6]
    found, wanted = everything(folder), everything(whole)
    assert wanted["weights"]
    assert wanted["together"]["gradients"]["pairs"][0]["updates"] in range(1, 9)  # some updates hold one task only
    for name, value in wanted.items():
        assert found[name] == value, name
