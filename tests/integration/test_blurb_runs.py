"""jnlpba, ddi-2013, hoc and biosses from start to scored predictions, through the command line, every invariant held."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from bench.cli import main  # noqa: E402
from bench.registry import load  # noqa: E402

SIZES = {"train": 60, "dev": 12, "test": 16}
MORE = {**SIZES, "train": 300}


def abstracts(folder: Path) -> None:
    """Abstracts of two hallmarks, each told by one word, alone, together, or neither: for a tiny model as well."""
    folder.mkdir()
    for split, count in SIZES.items():
        lines = ["labels\tsentence\tindex"]
        for n in range(count):
            said = {label: word for label, word in enumerate(("vessels", "breaks")) if n % 4 in (label, 2)}
            row = ",".join(f"{label}_{int(label in said)}" for label in range(10))
            lines.append(f"{row}\t{split} {n}{''.join(f' {word}' * 6 for word in said.values())}\t{split}{n}_s0")
        (folder / f"{split}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def pairs(folder: Path) -> None:
    """Pairs whose score the second sentence tells: what a tiny model of random weights can learn."""
    folder.mkdir()
    for split, count in SIZES.items():
        lines = ["index\tsentence1\tsentence2\tscore"]
        lines += [
            f"{n}\tCase {split} {n}\t{'no no no' if n % 2 else 'yes yes yes'}\t{0.2 if n % 2 else 3.8}" for n in range(count)
        ]
        (folder / f"{split}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "extra", "metric"),
    [
        ("jnlpba", [], "strict.f1"),
        ("ddi-2013", ["--lr", "0.01"], "relations.f1"),
        ("hoc", [], "micro.f1"),
        ("biosses", [], "pearson"),
    ],
)
def test_a_run_and_its_predictions(
    name: str, extra: list[str], metric: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task, folder = load().get("tasks", name), tmp_path / "c"
    by_hand = {"biosses": pairs, "hoc": abstracts}
    if name in by_hand:
        by_hand[name](folder)
    else:
        task.synthesize(folder, 0, SIZES if name == "ddi-2013" else MORE)
    words = ["--task", name, "--data", f"{name}={folder}", "--model", "tiny-bert", "--arch", "A1", "--quant", "rtn"]
    words += ["--tokens", "4000", "--tracker", "none", "--micro-batch", "16", "--out", str(tmp_path / "runs"), *extra]
    assert main(["run", *words]) == 0
    (run,) = (tmp_path / "runs").glob("*_*")
    result: dict[str, Any] = json.loads((run / "result.json").read_text())
    assert result["invariants"]["smoke"]["passed"] is True
    for stage in ("trained", "quantized"):
        scores = result["scores"][name][stage]
        assert 0 <= abs(scores[metric]) <= 1
        assert metric + ".ci95" in scores
    calibrated = {"hoc": "labels", "ddi-2013": "relations", "jnlpba": "mentions"}  # a rating has no confidence
    assert set(result["calibration"][name]["trained"]) <= {calibrated.get(name)}
    if name == "biosses":
        assert result["scores"][name]["trained"]["pearson"] > 0.8
    if name == "hoc":
        train = task.load(folder)["train"]
        bare = sum(not any(j.chosen for j in document.judgements) for document in train) / len(train)
        assert 0 < result["invariants"]["smoke"]["unlabelled"][name] == pytest.approx(bare)
        assert all(group.startswith("label ") for group in result["thresholds"][name]["accept"])
    from bench.results.store import read_predictions

    predicted = read_predictions(run / "predictions" / f"{name}.test.trained.jsonl")
    task.write(tmp_path / "gold", [d.without_text() for d in task.load(folder)["test"]])
    task.write(tmp_path / "pred", predicted)
    capsys.readouterr()
    assert main(["score", name, "--gold", str(tmp_path / "gold"), "--pred", str(tmp_path / "pred"), "--json"]) == 0
    scored = json.loads(capsys.readouterr().out)["scores"]
    for part in metric.split("."):
        scored = scored[part]
    assert scored == pytest.approx(result["scores"][name]["trained"][metric])


def test_a_pair_is_predicted_from_json_lines(tmp_path: Path) -> None:
    pairs(tmp_path / "c")
    words = [
        "--task",
        "biosses",
        "--data",
        f"biosses={tmp_path / 'c'}",
        "--model",
        "tiny-bert",
        "--arch",
        "A1",
        "--quant",
        "none",
    ]
    words += ["--tokens", "3000", "--tracker", "none", "--micro-batch", "16", "--out", str(tmp_path / "runs")]
    assert main(["run", *words]) == 0
    (run,) = (tmp_path / "runs").glob("*_*")
    given = [
        {"id": f"q{n}", "query": f"Case {n}", "passages": [{"id": "sentence2", "text": text}]}
        for n, text in enumerate(("yes yes yes", "no no no"))
    ]
    source = tmp_path / "in.jsonl"
    source.write_text("".join(json.dumps(line) + "\n" for line in given), encoding="utf-8")
    assert main(["predict", str(run), str(source), "--out", str(tmp_path / "p")]) == 0
    lines = [json.loads(line) for line in (tmp_path / "p" / "predictions.jsonl").read_text().splitlines()]
    first, second = (line["judgements"][0]["score"] for line in lines)
    assert first > second
