"""`bench predict` through the command line: what a run predicts in files is what it saved of its own test split."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("peft")

import bench
from bench.cli import main
from bench.config import RunConfig
from bench.kit import brat
from bench.registry import load
from bench.results.layout import PREDICTIONS, predictions_name
from bench.results.store import read_predictions

TASK = "2015-T14"


def saved(result: bench.RunResult, task: str, stage: str = "trained") -> bytes:
    return (result.folder / PREDICTIONS / predictions_name(task, "test", stage)).read_bytes()


def test_files_are_predicted_as_the_run_s_own_test_split_was(
    tiny: Callable[..., RunConfig], small_corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = bench.run(tiny(head="span", quant="rtn", steps=12))
    runs = ["--runs", str(result.folder.parent)]
    for stage in ("trained", "quantized"):
        out = tmp_path / stage
        words = ["predict", result.id, str(small_corpus / "test"), "--out", str(out), "--stage", stage, "--format", "jsonl"]
        assert main([*words, "--format", "official", "--format", "brat", "--json", *runs]) == 0
        done = json.loads(capsys.readouterr().out)
        assert (out / "predictions.jsonl").read_bytes() == saved(result, TASK, stage)
        found = read_predictions(out / "predictions.jsonl")
        assert done["mentions"] == sum(len(d.mentions) for d in found) > 0
        assert (done["documents"], done["stage"], done["synthetic"]) == (2, stage, True)
        # The official files score as the run itself did.
        scores = bench.score(TASK, small_corpus / "test", out / "official")
        own = getattr(result.scores[TASK], stage)
        assert scores["task1"]["strict"]["tp"] == own["task1.strict.tp"]
        assert scores["task1"]["strict"]["fp"] == own["task1.strict.fp"]
        drawn = brat.read(out / "brat")
        assert {name: {m.key for m in d.mentions} for name, d in drawn.items()} == {
            d.id: {m.key for m in d.mentions} for d in found
        }
        notes = re.findall(
            r"^#\d+\tAnnotatorNotes (T\d+)\t([01]?\.\d\d)$", "".join(p.read_text() for p in out.glob("brat/*.ann")), re.M
        )
        assert len(notes) == done["mentions"]

    documents = load().get("tasks", TASK).load(small_corpus)["test"]
    texts = [d.text for d in documents]
    loaded = bench.load(result.folder).predict(texts)
    assert [[m.key for m in d.mentions] for d in loaded] == [
        [m.key for m in d.mentions]
        for d in read_predictions(result.folder / PREDICTIONS / predictions_name(TASK, "test", "trained"))
    ]

    # No text in what is written or said, and no word of one.
    (tmp_path / "note.txt").write_text(f"Zyxqanary {texts[0]}", encoding="utf-8")
    assert main(["predict", str(result.folder), str(tmp_path / "note.txt"), "--out", str(tmp_path / "plain")]) == 0
    said = capsys.readouterr()
    assert "SYNTHETIC" in said.out
    assert str(tmp_path / "plain" / "predictions.jsonl") in said.out
    everything = said.out + said.err + "".join(p.read_text() for p in (tmp_path / "plain").rglob("*") if p.is_file())
    assert "zyxqanary" not in everything.lower()
    result.predict_files(tmp_path / "note.txt", out=tmp_path / "whole", formats=["brat"], with_text=True)
    assert (tmp_path / "whole" / "brat" / "note.txt").read_text(encoding="utf-8").startswith("Zyxqanary")

    # What is wrong is told before the model is loaded, and nothing is left behind.
    assert main(["predict", str(result.folder), str(tmp_path / "no-such-file"), "--out", str(tmp_path / "new")]) == 2
    assert "no-such-file" in capsys.readouterr().err
    (tmp_path / "note.txt").write_bytes(b"Zyxqanary \xff")
    for words, code, says in (
        (["--out", str(tmp_path / "plain")], 2, "holds files already"),
        (["--out", str(tmp_path / "new")], 4, "cannot be read as UTF-8"),
        (["--out", str(tmp_path / "new"), "--format", "bart"], 2, "Did you mean 'brat'"),
        (["--out", str(tmp_path / "new"), "--task", "no-such-task"], 2, "'no-such-task'"),
    ):
        assert main(["predict", str(result.folder), str(tmp_path / "note.txt"), *words]) == code
        said = capsys.readouterr()
        assert says in said.err
        assert "Zyxqanary" not in said.out + said.err
    (result.folder / "result.json").unlink()
    assert main(["predict", result.id, str(small_corpus), "--out", str(tmp_path / "new"), *runs]) == 6
    assert "did not finish" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_mentions_that_are_given_come_from_brat_and_passages_from_lines(
    tmp_path: Path, quick_smoke: None, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks, data = ("2017-T3-A", "chemprot"), {}
    for name in tasks:
        load().get("tasks", name).synthesize(tmp_path / name, 5, {"train": 24, "dev": 8, "test": 8})
        data[name] = tmp_path / name
    result = bench.run(
        task=tasks, data=data, model="tiny-bert", arch="A1", steps=4, max_length=64, waive="smoke", tracker="none",
        out=tmp_path / "runs",
    )  # fmt: skip
    gold = {name: load().get("tasks", name).load(data[name])["test"] for name in tasks}
    brat.write(tmp_path / "notes", [replace(d, relations=()) for d in gold["chemprot"]], text=True)
    lines = [
        {"id": d.id, "query": d.text[: d.passages[0].span[0]].rstrip("\n"),
         "passages": [{"id": p.id, "text": d.text[slice(*p.span)]} for p in d.passages]}
        for d in gold["2017-T3-A"]
    ]  # fmt: skip
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    words = ["predict", str(result.folder), "--format", "jsonl", "--format", "official"]
    for name, given in (("chemprot", "notes"), ("2017-T3-A", "q.jsonl")):
        assert main([*words, str(tmp_path / given), "--task", name, "--out", str(tmp_path / "out" / name)]) == 0
        assert (tmp_path / "out" / name / "predictions.jsonl").read_bytes() == saved(result, name)
    capsys.readouterr()
    out = ["--out", str(tmp_path / "new")]
    assert main([*words, str(tmp_path / "q.jsonl"), *out]) == 2
    assert "wanted one" in capsys.readouterr().err
    assert main([*words, str(tmp_path / "q.jsonl"), *out, "--task", "2017-T3-A", "--format", "brat"]) == 2
    assert "brat holds mentions and relations" in capsys.readouterr().err
    assert main(["serve", str(result.folder), "--task", "2017-T3-A"]) == 2
    assert "needs texts with their passages, which the page does not take" in capsys.readouterr().err
    for path in (tmp_path / "notes").glob("*.ann"):
        path.unlink()
    assert main([*words, str(tmp_path / "notes"), *out, "--task", "chemprot"]) == 2
    assert ".ann beside it" in capsys.readouterr().err
