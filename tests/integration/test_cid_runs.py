"""bc5cdr-cid from start to scored predictions and to PubTator from new articles, through the command line."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from bench_tasks.common.abstract_task import CDR_FILES  # noqa: E402

from bench.cli import main  # noqa: E402
from bench.kit.pubtator import read  # noqa: E402

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


ALONE = """
import json, sys
for name in ("bench", "bench_plugins", "bench_tasks"):
    sys.modules[name] = None
sys.path.insert(0, sys.argv[1])
import modeling
model = modeling.load(sys.argv[1])
found = model.predict(json.load(sys.stdin))
try:
    model.predict(["No mention."])
except ValueError as error:
    print(json.dumps([found, str(error)]))
"""


def alone(folder: Path, texts: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], str]:
    """What an exported folder finds in a process without bench, and what it says of a text without mentions."""
    words = [sys.executable, "-I", "-B", "-c", ALONE, str(folder)]
    done = subprocess.run(words, input=json.dumps(texts), text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found, refused = json.loads(done.stdout.splitlines()[-1])
    return found, refused


def served(run: Path, texts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What `bench serve` answers."""
    words = [sys.executable, "-m", "bench", "serve", str(run), "--port", "0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if found := re.search(r"(http://\S+/) \(\^C ends it\)", line):
                break
        else:
            pytest.fail("".join(said))
        try:
            body = json.dumps({"texts": texts}).encode()
            request = urllib.request.Request(f"{found[1]}predict", body, {"Content-Type": "application/json"})
            with urllib.request.urlopen(request, timeout=120) as answer:
                predictions: list[dict[str, Any]] = json.loads(answer.read())["predictions"]
            return predictions
        finally:
            process.kill()


def without(text: dict[str, Any]) -> dict[str, Any]:
    """A text whose mentions have no concepts."""
    return text | {"mentions": [{**mention, "concept": None} for mention in text["mentions"]]}


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

    assert main(["export", str(run), str(tmp_path / "e"), "--merge", "--dtype", "fp32"]) == 0
    card = (tmp_path / "e" / "README.md").read_text(encoding="utf-8")
    assert '"label": "Chemical", "concept": "C0"' in card
    assert "finding related concepts" in card
    texts = [
        {"id": document.id, "text": document.text, "mentions": [
            {"fragments": m.fragments, "label": m.label, "concept": m.concept} for m in document.mentions
        ]}
        for document in read(new)
    ]  # fmt: skip
    made, refused = alone(tmp_path / "e", texts)
    assert [record["id"] for record in made] == [line["id"] for line in lines]
    for mine, own in zip(made, lines, strict=True):
        pairs = list(zip(mine.get("relations", ()), own.get("relations", ()), strict=True))
        for one, other in pairs:
            assert one["confidence"] == pytest.approx(other["confidence"], abs=0.02)  # the run computed in the dtype it chose
            assert {**one, "confidence": 0} == {**other, "confidence": 0}
    assert sum(len(record.get("relations", ())) for record in made) == len(found)
    # The server takes the same mentions, and gives the same relations.
    assert [record.get("relations") for record in served(run, texts)] == [line.get("relations") for line in lines]
    assert refused == "Task bc5cdr-cid reads texts with their mentions; text 0 has none. See `document`."
    # Without concepts the mentions are in no pair.
    assert not any("relations" in record for record in alone(tmp_path / "e", [without(text) for text in texts])[0])

    capsys.readouterr()
    assert main(["predict", str(run), str(new), "--out", str(tmp_path / "b"), "--format", "brat"]) == 2
    assert "brat holds mentions and relations; bc5cdr-cid predicts pairs." in capsys.readouterr().err
