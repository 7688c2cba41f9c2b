"""`list`, `show`, `score` and `doctor` on what is installed."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest

from bench.api.part import Requirement
from bench.cli import main, study
from bench.cli.doctor import _gathered, corpora, packages, pins
from bench.cli.parser import Parser, parse
from bench.cli.run import configuration
from bench.cli.show import usage
from bench.registry import KINDS, Registry, singular
from bench.screen.text import columns, fields, number
from bench.steps.names import check
from bench.steps.resolve import refuse_misfit, resolve

# Worked case A of docs: one strict hit, two more relaxed ones.
GOLD = "10-20,30-35|C0000001 40-50|C0000002 60-70|CUI-less 80-90|C0000004 100-110|C0000005"
PRED = "10-20,30-35|C0000001 40-50|C0000009 62-70|CUI-less 90-95|C0000004 200-210|C0000006"


def pipe(folder: Path, mentions: str) -> Path:
    folder.mkdir()
    (folder / "d1.pipe").write_text("".join(f"d1|{mention}\n" for mention in mentions.split()))
    return folder


def test_list_shows_every_part_of_the_table(registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--json"]) == 0
    listing = json.loads(capsys.readouterr().out)
    for kind in KINDS:
        assert [row["name"] for row in listing[kind]] == [entry.name for entry in registry.entries(kind)]
    assert {"A1", "A2", "A3", "A4"} <= {row["name"] for row in listing["architectures"]}
    assert main(["list"]) == 0
    text = capsys.readouterr().out
    assert all(row["name"] in text and row["summary"] in text for kind in KINDS for row in listing[kind])


def test_a_part_that_lacks_a_package_says_the_command(
    registry: Registry, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cls = type(registry.get("architectures", "A1"))
    monkeypatch.setattr(cls, "requires", (Requirement("no_such_module_here", "bench-suite[train]"),))
    assert main(["list", "architectures", "--json"]) == 0
    row = json.loads(capsys.readouterr().out)["architectures"][0]
    assert row["ready"] is False
    assert row["missing"] == [{"module": "no_such_module_here", "install": "pip install 'bench-suite[train]'"}]
    assert main(["list", "architectures"]) == 0
    assert "pip install 'bench-suite[train]'" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["task", "tasks"])
def test_show_a_task(kind: str, registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", kind, "2015-T14", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    metadata = registry.get("tasks", "2015-T14").metadata
    assert (shown["kind"], shown["primary_metric"], shown["reference"]) == (
        "tasks",
        metadata.primary_metric,
        metadata.reference,
    )
    assert shown["published_best"]["task1.strict.f1"] == 0.757
    assert main(["show", kind, "2015-T14"]) == 0
    text = capsys.readouterr().out
    assert "heads             span, bio" in text
    assert "bench run --task 2015-T14" in text


def test_everything_that_is_listed_can_be_shown(registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    for kind in KINDS:
        for entry in registry.entries(kind):
            assert main(["show", singular(kind), entry.name]) == 0
            out = capsys.readouterr().out
            assert out.startswith(f"{entry.name}  {singular(kind)}, version {entry.part.version}, from {entry.distribution}\n")


def test_every_command_that_show_gives_would_run(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    Path("FILE.toml").write_text("[grid]\nrank = [8, 12]\n")
    for kind in KINDS:
        for entry in registry.entries(kind):
            if entry.part.missing():
                continue
            command = usage(entry, registry)
            _, name, *words = command.split()
            parser = Parser(prog=f"bench {name}")
            import_module(f"bench.cli.{name}").configure(parser)
            args = parse(parser, words)
            assert args is not None, command
            if name == "study":
                assert study.planned_study(args, registry).runs, command
                continue
            args.data = None  # DIR stands for a corpus that is not here
            config = configuration(args)
            check(config, registry)
            parts = resolve(replace(config, tracker=("none",)), registry)
            refuse_misfit(parts, config, registry)
            assert parts.schedule.taught == bool(config.teacher), command
            assert len(parts.phases({task: 1 / len(parts.tasks) for task in parts.tasks})) > 0, command


def test_doctor_tells_corpora_in_a_few_lines(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bc5cdr").mkdir()
    found = [*corpora(registry, {"BENCH_DATA": str(tmp_path)})]
    tasks = registry.entries("tasks")
    assert len(found) == len(tasks)
    gathered = [*_gathered(found)]
    assert len(gathered) <= 3
    assert sum(int(finding.name.split()[0]) for finding in gathered) == len(tasks)
    assert [finding.found for finding in gathered if finding.state == "ok"] == ["below BENCH_DATA: bc5cdr"]
    assert all(entry.name in " ".join(finding.found for finding in gathered) for entry in tasks)


def test_a_name_of_the_hub_without_its_organisation_is_told_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--task", "2015-T14", "--model", "bert-base-uncased", "--dry-run"]) == 2
    told = capsys.readouterr().err
    assert "Unknown model 'bert-base-uncased'." in told
    assert "the hub's org/name, such as org/bert-base-uncased" in told
    assert "a folder such as ./bert-base-uncased" in told


def test_score_worked_case_a(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gold, pred = pipe(tmp_path / "gold", GOLD), pipe(tmp_path / "pred", PRED)
    assert main(["score", "2015-T14", "--gold", str(gold), "--pred", str(pred), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["task"] == "2015-T14"
    strict, relaxed = result["scores"]["task1"]["strict"], result["scores"]["task1"]["relaxed"]
    assert (strict["tp"], strict["fp"], strict["fn"], strict["f1"]) == (1, 4, 4, pytest.approx(0.2))
    assert (relaxed["tp"], relaxed["fp"], relaxed["fn"], relaxed["f1"]) == (3, 2, 2, pytest.approx(0.6))
    assert main(["score", "2015-T14", "--gold", str(gold), "--pred", str(pred)]) == 0
    rows = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines() if line.strip()}
    assert rows["measure"] == ["tp", "fp", "fn", "precision", "recall", "f1"]
    assert rows["task1.strict"] == ["1", "4", "4", ".200", ".200", ".200"]
    assert rows["task1.relaxed"] == ["3", "2", "2", ".600", ".600", ".600"]


def test_score_says_what_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gold = pipe(tmp_path / "gold", GOLD)
    assert main(["score", "2015-T14", "--gold", str(gold), "--pred", str(tmp_path / "no")]) == 2
    assert f"error: --pred: there is no file or folder {tmp_path / 'no'}." in capsys.readouterr().err
    assert main(["score", "2015-T41", "--gold", str(gold), "--pred", str(gold)]) == 2
    assert "Did you mean '2015-T14' or " in capsys.readouterr().err
    (tmp_path / "bad.pipe").write_text("d1|10-x|C1\n")
    assert main(["score", "2015-T14", "--gold", str(gold), "--pred", str(tmp_path / "bad.pipe")]) == 4
    assert "bad.pipe" in capsys.readouterr().err


def test_a_run_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "run", "x", "--out", str(tmp_path)]) == 2
    assert "There is no run 'x'" in capsys.readouterr().err
    assert main(["sync", "x", "--out", str(tmp_path)]) == 2


def test_a_corpus_that_a_check_would_not_read_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "ncbi-disease", "--data", f"ncbi-disease={tmp_path}"]) == 2
    assert "ncbi-disease writes a corpus for its checks" in capsys.readouterr().err


def test_a_head_of_one_task_is_shown_with_the_task(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "head", "temporal"]) == 2
    assert capsys.readouterr().err.endswith("Head 'temporal' is defined by task 2016-T12.\nType: bench show task 2016-T12\n")


def test_doctor_marks_what_differs_from_the_pins(monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.cli import doctor

    assert pins()["torch"] == "2.13.0"
    monkeypatch.setattr(doctor, "pins", lambda: {"numpy": "0.0.1", "pytest": "0.0.2", "pluggy": pins()["pluggy"]})
    findings = {finding.name: finding for finding in packages()}
    assert findings["numpy"].state == "note"
    assert findings["numpy"].fix == "pip install numpy==0.0.1"
    assert "pytest" in findings["all others"].found
    monkeypatch.setattr(doctor, "installed", lambda name: None)
    torch = {finding.name: finding for finding in packages()}["torch"]
    assert (torch.state, torch.fix) == ("missing", "pip install -c constraints.txt '.[train]'")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.8234, ".823"),
        (1.0, "1.000"),
        (0.0, ".000"),
        (-0.25, "−.250"),
        (3, "3"),
        (12345, "12,345"),
        (2048.0, "2,048"),
        (12.345, "12.35"),
        (True, "True"),
        ("x", "x"),
    ],
)
def test_numbers_for_people(value: object, text: str) -> None:
    assert number(value) == text


def test_columns_line_up_and_leave_no_trailing_space() -> None:
    assert columns(("a", "bb"), [("long", "x"), ("s", "")], indent=" ") == " a     bb\n long  x\n s"
    assert fields({"one": "1", "three": "3", "empty": ""}) == "one    1\nthree  3"
