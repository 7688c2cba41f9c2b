"""bc5cdr-cid from start to scored predictions and to PubTator from new articles, through the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from bench_tasks.common.abstract_task import CDR_FILES  # noqa: E402

from bench.cli import main  # noqa: E402

SIZES = (60, 16, 16)


def article(number: int, related: bool, annotated: bool = True) -> str:
    """One chemical and one disease; what stands between them tells whether they are related, for a tiny model as well."""
    verb = "causes causes causes" if related else "never never never"
    title = f"Case {number}."
    abstract = f"melpri {verb} gout."
    at = len(title) + 1
    end = at + len(abstract) - 1
    lines = [
        f"{number}|t|{title}", f"{number}|a|{abstract}", f"{number}\t{at}\t{at + 6}\tmelpri\tChemical\tC1",
        f"{number}\t{end - 4}\t{end}\tgout\tDisease\tD1|D2",
    ]  # fmt: skip
    lines += [f"{number}\tCID\tC1\t{disease}" for disease in ("D1", "D2") if related and annotated]
    return "\n".join(lines) + "\n\n"


def test_a_run_its_predictions_and_new_articles(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, number = tmp_path / "c", 1000
    folder.mkdir()
    for name, size in zip(CDR_FILES.values(), SIZES, strict=True):
        (folder / name).write_text("".join(article(number + n, n % 3 == 0) for n in range(size)))
        number += size
    words = [
        "--task",
        "bc5cdr-cid",
        "--data",
        f"bc5cdr-cid={folder}",
        "--model",
        "tiny-bert",
        "--arch",
        "A1",
        "--quant",
        "none",
    ]
    words += ["--tokens", "6000", "--lr", "0.01", "--tracker", "none", "--micro-batch", "16", "--out", str(tmp_path / "runs")]
    assert main(["run", *words]) == 0
    (run,) = (tmp_path / "runs").glob("*_*")
    result: dict[str, Any] = json.loads((run / "result.json").read_text())
    assert result["invariants"]["smoke"]["passed"] is True
    scores = result["scores"]["bc5cdr-cid"]["trained"]
    assert scores["relations.f1"] > 0.8
    assert "relations.f1.ci95" in scores
    assert set(result["calibration"]["bc5cdr-cid"]["trained"]) == {"relations"}
    assert set(result["thresholds"]["bc5cdr-cid"]["accept"]) == {"relation CID"}

    new = tmp_path / "new.txt"
    new.write_text("".join(article(n, n % 3 == 0, annotated=False) for n in range(16)))
    truth = tmp_path / "truth.txt"
    truth.write_text("".join(article(n, n % 3 == 0) for n in range(16)))
    out = tmp_path / "p"
    assert main(["predict", str(run), str(new), "--out", str(out), "--format", "official", "--format", "jsonl"]) == 0
    lines = [json.loads(line) for line in (out / "predictions.jsonl").read_text().splitlines()]
    found = [relation for line in lines for relation in line.get("relations", ())]
    assert {tuple(relation["source"][0]) for relation in found} == {()}
    assert {(relation["source"][1], relation["target"][1]) for relation in found} == {("C1", "D1"), ("C1", "D2")}
    capsys.readouterr()
    assert main(["score", "bc5cdr-cid", "--gold", str(truth), "--pred", str(out / "official"), "--json"]) == 0
    scored = json.loads(capsys.readouterr().out)["scores"]["relations"]
    assert scored["tp"] + scored["fp"] == len(found)
    assert scored["f1"] > 0.8
    assert main(["export", str(run), str(tmp_path / "e"), "--merge"]) == 2
    assert "relates concepts" in capsys.readouterr().err
    assert main(["predict", str(run), str(new), "--out", str(tmp_path / "b"), "--format", "brat"]) == 2
    assert "brat holds mentions and relations; bc5cdr-cid predicts pairs." in capsys.readouterr().err
