"""`bench plan-power` on made-up runs and on stated variances, and the same question of a study's dry run."""

from __future__ import annotations

import json
import re
from argparse import Namespace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import bench
from bench.cli import main
from bench.cli.parser import Parser
from bench.cli.study import _power, configure
from bench.errors import ContractError
from bench.registry import load
from bench.screen.studytable import StudyWatcher
from bench.stats.power import Components, power_of
from bench.studies.power import pilots_of_runs


@pytest.fixture
def runs(made: ModuleType, tmp_path: Path) -> Path:
    """Six seeds of two arms on one task, with statistics of thirty documents."""
    pytest.importorskip("statsmodels")
    cells = [
        made.Made(arch=arch, seed=seed, gain=0.05 * (arch == "A2"), documents=30, synthetic=False)
        for arch in ("A1", "A2")
        for seed in range(6)
    ]
    made.make(tmp_path / "runs", cells)
    return tmp_path / "runs"


def answer(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    assert main(["plan-power", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_finished_runs_give_the_variances(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, str(runs), "--by", "arch", "--effect", ".02", "--looks", "6,12")
    (plan,) = found["plans"]
    assert (plan["subject"], plan["comparison"], plan["pilot_seeds"]) == ("ncbi-disease", "A2 − A1", 6)
    assert plan["documents"] == 30
    six = next(design for design in plan["designs"] if design["seeds"] == 6)
    # What is printed can be stated: the same variances, so the same power.
    stated = Components(plan["seeds_sd"] ** 2, plan["documents_sd"] ** 2)
    assert six["power"] == pytest.approx(power_of(stated, 0.02, 6, 30), abs=0.03)
    assert six["hours"] > 0
    assert plan["looks"]["by_look"][-1] == plan["looks"]["power"]
    assert [look["seeds"] for look in found["question"]["looks"]] == [6, 12]
    (same,) = bench.plan_power(bench.runs(runs), effect=0.02, by=["arch"], looks=(6, 12))
    assert json.loads(json.dumps(same.to_json())) == plan
    more = answer(capsys, str(runs), "--by", "arch", "--effect", ".02", "--documents", "3000")["plans"][0]
    assert more["designs"][0]["power"] > six["power"]


def test_it_reads_as_tables_and_sentences(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan-power", str(runs), "--by", "arch", "--effect", ".0001", "--family", "3", "--looks", "6,24"]) == 0
    said = capsys.readouterr().out
    assert "to find a true difference of .0001 with 80% power" in said
    assert "none is enough" in said
    assert "No number of seeds finds it on ncbi-disease: documents decide." in said
    assert "Holm's adjustment for 3 questions at once" in said
    assert "with 2 looks, 5% over all of them" in said


def test_several_pairs_are_a_family(made: ModuleType, runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made.make(runs, [made.Made(arch="A3", seed=seed, documents=30, synthetic=False) for seed in range(6)])
    assert len(pilots_of_runs(bench.runs(runs), load(), ["arch"])) == 3
    words = (str(runs), "--by", "arch", "--effect", ".02")
    assert (answer(capsys, *words)["question"]["family"], answer(capsys, *words, "--family", "1")["question"]["family"]) == (
        3,
        1,
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "wants the difference that is to be found"),
        (["--effect", ".01"], "wants finished runs or stated variances"),
        (["--effect", ".01", "--seeds-sd", ".01"], "also want --documents-sd and --documents"),
        (["--effect", "0", "--seeds-sd", ".01", "--documents-sd", ".1", "--documents", "50"], "--effect is 0"),
        (
            ["--effect", ".01", "--seeds-sd", ".01", "--documents-sd", ".1", "--documents", "50", "--looks", "3,6"],
            "fewer than 6 seeds",
        ),
        *((["--effect", ".01", "--looks", text], "names no number") for text in (",", "", " , ")),
        (["x", "--effect", ".01", "--seeds-sd", ".01", "--documents-sd", ".1", "--documents", "50"], "runs are named as well"),
        (["--effect", ".01", "--seeds-sd", ".01", "--documents-sd", ".1", "--documents", "50", "--spending", "x"], "spending"),
    ],
)
def test_one_message_says_what_is_wrong(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    looks = ["--looks", "6,12"] if "--spending" in words else []
    assert main(["plan-power", *words, *looks]) == 2
    assert told in capsys.readouterr().err


def test_a_folder_of_several_tasks_is_planned_for_one(made: ModuleType, runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made.make(runs, [made.Made(("bc5cdr",), arch=arch, documents=30, tokens=9_000, synthetic=False) for arch in ("A1", "A2")])
    assert main(["plan-power", str(runs), "--effect", ".01"]) == 3
    assert "--task bc5cdr" in capsys.readouterr().err
    assert len(answer(capsys, str(runs), "--task", "ncbi-disease", "--effect", ".01")["plans"]) == 1


def test_one_seed_tells_nothing(made: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("statsmodels")
    made.make(tmp_path, [made.Made(arch=arch, documents=30, synthetic=False) for arch in ("A1", "A2")])
    assert main(["plan-power", str(tmp_path), "--by", "arch", "--effect", ".01"]) == 3
    assert "tell nothing about variance" in capsys.readouterr().err


def test_effect_is_for_a_dry_run(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["study", "token-control", "--task", "ncbi-disease", "--task", "bc5cdr", "--tokens", "900", "--effect", ".01"]
    assert main(words) == 2
    assert "--effect plans a study before it is run" in capsys.readouterr().err


def test_pilots_that_cannot_be_compared_are_told_with_flags_that_a_study_has(
    made: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*given: object) -> list[object]:
        raise ContractError("All of them have what a comparison forbids: waivers: smoke.", "If you mean to: --allow waivers")

    monkeypatch.setattr("bench.studies.power.pilots_of_study", refuses)
    args = Namespace(seeds_sd=None, documents_sd=None, documents=None, effect=0.01, power=0.8)
    watcher, study = StudyWatcher(stderr=False), made.token_control(tmp_path, seeds=1)
    with pytest.raises(ContractError, match="what a comparison forbids") as refused:
        _power(args, study, watcher, load())
    assert refused.value.hint is not None
    parser = Parser("bench study")
    configure(parser)
    flags = {flag for action in parser._actions for flag in action.option_strings}
    assert {*re.findall(r"--[a-z-]+", refused.value.hint)} <= flags


def test_a_comparison_says_that_it_holds_for_one_look(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(runs), "--by", "arch", "--resamples", "100", "--json"]) == 0
    notes = json.loads(capsys.readouterr().out)["notes"]
    assert any("Levels are for one look" in note for note in notes)
