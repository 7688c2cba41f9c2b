"""Runs of tasks that a file describes: brat with discontiguous mentions, JSON Lines with classes; resumed and changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")
pytest.importorskip("datasets")

from corpus_writers import bioc_xml  # noqa: E402

from bench import runner  # noqa: E402
from bench.api.data import Document, Mention  # noqa: E402
from bench.cli import main  # noqa: E402
from bench.config import RunConfig  # noqa: E402
from bench.errors import DataError, Interrupted, RunStateError, UsageError  # noqa: E402
from bench.registry import load  # noqa: E402

SPLITS = ("train", "dev", "test")
WORDS = ("calm", "grey", "loud", "mild", "pale", "quick", "rough", "stiff", "tense", "warm", "young", "zonal")


def sentences(split: str, count: int) -> list[tuple[str, str]]:
    return [(f"{split}{n}", f"In {split} case {n} one {WORDS[n % 12]} hand was swollen and both feet.") for n in range(count)]


@pytest.fixture
def symptoms(tmp_path: Path) -> Path:
    """Brat standoff; every text has a discontiguous mention."""
    for split in SPLITS:
        home = tmp_path / "brat" / split
        home.mkdir(parents=True)
        for name, text in sentences(split, 12 if split == "train" else 4):
            hand, swollen, feet = (text.index(word) for word in ("hand", "swollen", "feet"))
            (home / f"{name}.txt").write_text(text)
            (home / f"{name}.ann").write_text(
                f"T1\tSymptom {hand} {swollen + 7}\t{text[hand : swollen + 7]}\n"
                f"T2\tSymptom {swollen} {swollen + 7};{feet} {feet + 4}\tswollen feet\n"
            )
    path = tmp_path / "symptoms.toml"
    path.write_text('kind = "mentions"\nformat = "brat"\nfolder = "brat"\nlabels = ["Symptom"]\n')
    return path


@pytest.fixture
def smokers(tmp_path: Path) -> Path:
    """JSON Lines, one of two classes a text."""
    home = tmp_path / "lines"
    home.mkdir()
    for split in SPLITS:
        rows = [
            {"id": name, "text": text.replace("swollen", ("swollen", "well")[n % 2]), "label": n % 2}
            for n, (name, text) in enumerate(sentences(split, 12 if split == "train" else 4))
        ]
        (home / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    path = tmp_path / "smokers.toml"
    path.write_text('name = "Smokers-1"\nkind = "classification"\nformat = "jsonl"\nfolder = "lines"\nmetric = "accuracy"\n')
    return path


def result(outcome: Any) -> Any:
    assert outcome.result_path is not None
    return json.loads(outcome.result_path.read_text(encoding="utf-8"))


def test_two_of_them_at_once_end_to_end(tiny: Callable[..., RunConfig], symptoms: Path, smokers: Path, tmp_path: Path) -> None:
    config = tiny(task=(str(symptoms), str(smokers)), data={}, head=None, micro_batch=None)
    outcome = runner.run(config, load())
    found = result(outcome)
    assert outcome.result_path is not None
    assert outcome.result_path.parent.name.startswith("symptoms+smokers-1_a1_none_")
    assert found["synthetic"] is False
    assert found["config"]["resolved"]["task"] == ["symptoms", "Smokers-1"]
    assert set(found["scores"]) == {"symptoms", "Smokers-1"}
    symptoms_score = found["scores"]["symptoms"]["trained"]
    assert symptoms_score["discontiguous.tp"] + symptoms_score["discontiguous.fn"] == 4
    assert symptoms_score["strict.tp"] + symptoms_score["strict.fn"] == 8
    names = found["scores"]["Smokers-1"]["trained"]
    assert {name.split(".")[1] for name in names if name.startswith("by_class.")} == {"0", "1"}
    assert found["headline"]["metric"] == "strict.f1"
    # What trackers are told holds the names, and not where the user's files are.
    told = (outcome.result_path.parent / "run.json").read_text(encoding="utf-8")
    assert json.loads(told)["config"]["task"] == ["symptoms", "Smokers-1"]
    assert ".toml" not in told


def test_the_corpus_that_is_given_wins_over_the_files(tiny: Callable[..., RunConfig], symptoms: Path, tmp_path: Path) -> None:
    (tmp_path / "brat").rename(tmp_path / "elsewhere")
    config = tiny(task=(str(symptoms),), data={"symptoms": str(tmp_path / "elsewhere")}, head="span")
    assert runner.run(config, load(), dry_run=True).plan
    other = symptoms.with_name("other.toml")
    other.write_text('name = "symptoms"\n' + symptoms.read_text())
    with pytest.raises(UsageError, match="Two tasks are named 'symptoms'"):
        runner.run(tiny(task=(str(symptoms), str(other)), data={}), load(), dry_run=True)


def test_a_run_is_resumed_from_any_folder_and_refused_when_the_file_changed(
    tiny: Callable[..., RunConfig], smokers: Path, tmp_path: Path, kit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(event: Any) -> None:
        if event.kind == "step" and event.step == 3:
            raise KeyboardInterrupt

    registry = load()
    registry.add(kit.Observer(stop), "test:stop", "test")
    config = tiny(task=(str(smokers),), data={}, head=None)
    with pytest.raises(Interrupted):
        runner.run(config, registry)
    (folder,) = (path for path in (tmp_path / "runs").iterdir() if path.name.startswith("smokers-1"))
    written = smokers.read_text()
    smokers.write_text(written + "# changed\n")
    with pytest.raises(RunStateError, match="a task's file"):
        runner.run(RunConfig(out=config.out), load(), resume=folder.name)
    smokers.write_text(written)
    monkeypatch.chdir("/")
    again = result(runner.run(RunConfig(out=config.out), load(), resume=folder.name))
    assert again["config"]["resolved"]["task"] == ["Smokers-1"]


def test_a_dirty_corpus_runs_with_its_kinds_named_and_the_result_says_what_was_left_out(
    tiny: Callable[..., RunConfig], symptoms: Path, tmp_path: Path, kit: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    ann = tmp_path / "brat" / "train" / "train0.ann"
    clean = tiny(task=(str(symptoms),), data={}, head="span")
    before = runner.run(clean, load(), dry_run=True).plan
    assert (before["left_out"], before["adjusted"]) == ({}, {})
    text = (ann.parent / "train0.txt").read_text()
    hand, feet = text.index("hand"), text.index("feet")
    wrapped = f"T8\tSymptom {hand + 5} {hand + 8};{hand} {hand + 5}\n"  # out of order, and only white space between
    ann.write_text(ann.read_text() + f"T7\tSymptom {feet} {feet + 4}\tfoot\n{wrapped}")
    with pytest.raises(DataError, match=r"train0\.ann, line 3: the text column"):
        runner.run(clean, load())
    with pytest.raises(UsageError, match="Did you mean 'text-mismatch'"):
        runner.run(replace(clean, tolerate=("text-mismach",)), load())

    told = kit.Told()
    outcome = runner.run(replace(clean, tolerate=("text-mismatch", "outside-text")), load(), console=told)
    assert told.said("Faulty lines of symptoms were left out, as tolerated, and recorded: text-mismatch 1.")
    found = result(outcome)
    assert found["left_out"] == {"symptoms": {"text-mismatch": 1}}
    assert found["adjusted"] == {"symptoms": {"joined": 1, "sorted": 1}}
    assert found["config"]["tolerate"] == ["outside-text", "text-mismatch"]
    assert found["plan"]["data"]["symptoms"]["train"]["annotations"] == before["data"]["symptoms"]["train"]["annotations"] + 1
    capsys.readouterr()
    assert main(["show", "run", str(outcome.folder)]) == 0
    assert "faulty lines of symptoms left out, as tolerated: text-mismatch 1" in capsys.readouterr().out
    symptoms.write_text(symptoms.read_text() + 'tolerate = ["text-mismatch"]\n')
    plan = runner.run(clean, load(), dry_run=True, console=(shown := kit.Told())).plan
    assert plan["left_out"] == found["left_out"]
    assert plan["id"] not in (before["id"], found["id"])
    assert shown.said("text-mismatch 1")


def test_a_run_on_bioc_reads_its_own_test_file_for_predicting(
    tiny: Callable[..., RunConfig], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bioc").mkdir()
    for split in SPLITS:
        documents = []
        for name, text in sentences(split, 12 if split == "train" else 4):
            hand, swollen, feet = (text.index(word) for word in ("hand", "swollen", "feet"))
            whole = Mention(((hand, swollen + 7),), "Symptom", "D1")
            documents.append(Document(name, text, (whole, Mention(((swollen, swollen + 7), (feet, feet + 4)), "Symptom"))))
        bioc_xml(tmp_path / "bioc" / f"{split}.xml", documents)
    task = tmp_path / "swelling.toml"
    task.write_text('kind = "mentions"\nformat = "bioc"\nfolder = "bioc"\n')
    outcome = runner.run(tiny(task=(str(task),), data={}, head="span"), load())
    found = result(outcome)
    scores = found["scores"]["swelling"]["trained"]
    assert scores["discontiguous.tp"] + scores["discontiguous.fn"] == 4
    assert scores["strict.tp"] + scores["strict.fn"] == 8
    assert outcome.result_path is not None
    folder = outcome.result_path.parent
    test, out = tmp_path / "bioc" / "test.xml", tmp_path / "out"
    assert main(["predict", str(folder), str(test), "--out", str(out), "--format", "jsonl", "--format", "official"]) == 0
    predictions = folder / "predictions" / "swelling.test.trained.jsonl"
    assert (out / "predictions.jsonl").read_text() == predictions.read_text()
    capsys.readouterr()
    assert main(["score", str(task), "--gold", str(test), "--pred", str(out / "official"), "--json"]) == 0
    scored = json.loads(capsys.readouterr().out)["scores"]
    assert scored["strict"]["tp"] == scores["strict.tp"]
