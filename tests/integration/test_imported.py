"""Prediction files of any system as results: scored as a run is, stamped, and compared only where that is allowed."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest

from bench.api.data import Document
from bench.cli import main
from bench.registry import load
from bench.results.statistics import read_statistics
from bench.results.store import read_result

torch = pytest.importorskip("torch")
pytest.importorskip("statsmodels")


def told(*words: str) -> tuple[int, str]:
    """Exit code and all that a command printed."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        code = main([*words])
    return code, out.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on a corpus of its own, in ``runs``, and the corpus."""
    place = tmp_path_factory.mktemp("imported")
    load().get("tasks", "bc5cdr").synthesize(place / "corpus", 3, {"train": 30, "dev": 5, "test": 12})
    code, out = told(
        "run", "--task", "bc5cdr", "--data", f"bc5cdr={place / 'corpus'}", "--model", "tiny-bert", "--steps", "3",
        "--waive", "smoke", "--tracker", "none", "--out", str(place / "runs"), "--micro-batch", "256", "--batch-tokens", "256",
    )  # fmt: skip
    assert code == 0, out
    return place


def run_of(folder: Path) -> Path:
    return next(path.parent for path in (folder / "runs").glob("bc5cdr_a1_none_*/result.json"))


def bring(folder: Path, out: Path, *paths: Path, system: str = "lab x", more: tuple[str, ...] = ()) -> list[Path]:
    code, said = told(
        "import-predictions", "bc5cdr", *map(str, paths), "--data", f"bc5cdr={folder / 'corpus'}", "--system", system,
        "--out", str(out), "--json", *more,
    )  # fmt: skip
    assert code == 0, said
    return [Path(path).parent for path in json.loads(said)["results"]]


def test_a_runs_own_predictions_come_back_with_its_scores(folder: Path, tmp_path: Path) -> None:
    run = run_of(folder)
    lines = run / "predictions" / "bc5cdr.test.trained.jsonl"
    (own,) = bring(folder, tmp_path, lines)
    mine, theirs = read_result(own), read_result(run)
    assert mine.headline.value == theirs.headline.value
    assert mine.scores["bc5cdr"].trained == theirs.scores["bc5cdr"].trained
    assert mine.scores["bc5cdr"].baselines == theirs.scores["bc5cdr"].baselines
    rows = [read_statistics(place, "bc5cdr", "test", "trained") for place in (own, run)]
    assert (rows[0].rows == rows[1].rows).all()
    assert rows[0].documents == rows[1].documents
    assert mine.hashes["data"] == theirs.hashes["data"]
    assert mine.synthetic


def test_official_files_of_several_seeds_are_one_arm(folder: Path, tmp_path: Path) -> None:
    task = load().get("tasks", "bc5cdr")
    gold = list(task.load(folder / "corpus")["test"])
    paths = []
    for seed in range(3):
        found = [replace(d, mentions=d.mentions[: len(d.mentions) - (n % 3 == seed)]) for n, d in enumerate(gold)]
        task.write(tmp_path / f"system-{seed}", found)
        paths.append(next((tmp_path / f"system-{seed}").glob("*.tsv")))
    results = [read_result(path) for path in bring(folder, tmp_path / "runs", *paths, more=("--tokens", "5000"))]
    assert [result.config["seed"] for result in results] == [0, 1, 2]
    assert len({result.id for result in results}) == 3
    assert all(result.headline.value > 0.5 for result in results)
    assert {result.invariants.tokens.total for result in results} == {5000}
    written = [(path / "manifest.json").read_bytes() for path in sorted((tmp_path / "runs").iterdir())]
    again = bring(folder, tmp_path / "runs", *paths, more=("--tokens", "5000"))
    assert [(path / "manifest.json").read_bytes() for path in sorted((tmp_path / "runs").iterdir())] == written
    assert [path.name for path in again] == [result.id for result in results]
    # Another system with as many seeds: two arms of three seeds each, paired by seed.
    for path in paths:
        path.write_text(path.read_text() + "\n")
    bring(folder, tmp_path / "runs", *paths[::-1], system="lab y")
    code, out = told("compare", str(tmp_path / "runs"), "--allow", "imported", "--allow", "tokens", "--json")
    assert code == 0, out
    compared = json.loads(out[out.index("{") :])
    assert {arm: len(runs) for arm, runs in compared["arms"].items()} == {"lab x": 3, "lab y": 3}
    assert [pair["estimate"]["seeds"] for pair in compared["pairs"]] == [3]
    allowed = ("--allow", "imported", "--allow", "tokens")
    code, out = told("plan-power", str(tmp_path / "runs"), *allowed, "--effect", ".05", "--json")
    assert {design["hours"] for design in json.loads(out[out.index("{") :])["plans"][0]["designs"]} == {None}
    # A seed that was imported again from other files: nothing says which of the two is meant.
    bring(folder, tmp_path / "runs", paths[0], system="lab y")
    code, out = told("compare", str(tmp_path / "runs"), *allowed)
    assert (code, "are both seed 0 of 'lab y'" in " ".join(out.split())) == (3, True)
    # Another version of a system is another arm.
    bring(folder, tmp_path / "versions", paths[0], system="lab y")
    bring(folder, tmp_path / "versions", paths[1], system="lab y", more=("--system-version", "2"))
    code, out = told("compare", str(tmp_path / "versions"), "--allow", "imported")
    assert (code, "lab y 2 − lab y" in out or "lab y − lab y 2" in out) == (0, True)


def test_a_comparison_with_a_run_wants_leave(folder: Path, tmp_path: Path) -> None:
    run = run_of(folder)
    (own,) = bring(folder, tmp_path, run / "predictions" / "bc5cdr.test.trained.jsonl")
    code, out = told("compare", str(run), str(own), "--allow", "waivers")
    assert code == 3
    assert "imported: no in 1 run, lab x (training tokens and parameters unknown) in 1 run" in out
    assert "--allow imported" in out
    code, out = told("compare", str(run), str(own), "--allow", "imported", "--allow", "waivers")
    assert code == 0, out
    assert "lab x" in out
    page = tmp_path / "page"
    assert told("report", str(run), str(own), "--out", str(page), "--allow", "imported", "--allow", "waivers")[0] == 0
    assert "lab x" in (page / "index.html").read_text()


def test_board_and_show_say_imported(folder: Path, tmp_path: Path) -> None:
    (own,) = bring(folder, tmp_path, run_of(folder) / "predictions" / "bc5cdr.test.trained.jsonl")
    code, out = told("board", "--out", str(tmp_path))
    assert code == 0
    assert any("lab x" in line and "imported" in line for line in out.splitlines())
    code, out = told("show", "run", str(own))
    assert code == 0
    assert "lab x" in out
    assert "imported" in out
    assert "micro_batch" not in out
    assert told("predict", str(own), str(own / "result.json"), "--out", str(tmp_path / "found"))[0] != 70
    words = ("run", "--task", "bc5cdr", "--data", f"bc5cdr={folder / 'corpus'}", "--model", "tiny-bert", "--out", str(tmp_path))
    for flags, wanted in (
        (("--init-from", str(own), "--steps", "3"), "was imported: there are its predictions, and no model of it"),
        (("--tokens-like", str(own)), "was imported: bench counted no token of it"),
        (("--resume", str(own)), "was imported: there are its predictions, and no model of it"),
    ):
        code, out = told(*(words[:1] if "--resume" in flags else words), *flags, "--dry-run")
        assert (code, wanted in " ".join(out.split())) == (6, True), out


def test_what_is_wrong_is_said(folder: Path, tmp_path: Path) -> None:
    base = ("import-predictions", "bc5cdr")
    lines = run_of(folder) / "predictions" / "bc5cdr.test.trained.jsonl"
    given = ("--data", f"bc5cdr={folder / 'corpus'}", "--system", "x", "--out", str(tmp_path / "runs"))
    code, out = told(*base, str(tmp_path / "none"), *given)
    assert (code, "There is no file or folder" in out) == (2, True)
    code, out = told(*base, str(lines), "--system", "x")
    assert (code, "Add --data bc5cdr=DIR" in out) == (2, True)
    strange = tmp_path / "strange.jsonl"
    first = json.loads(lines.read_text().splitlines()[0])
    strange.write_text(json.dumps(first | {"id": "elsewhere"}) + "\n")
    code, out = told(*base, str(strange), *given)
    assert (code, "no document of the split" in out) == (4, True)
    twice = tmp_path / "twice.jsonl"
    twice.write_text((json.dumps(first) + "\n") * 2)
    code, out = told(*base, str(twice), *given)
    assert (code, "twice" in out) == (4, True)
    assert not (tmp_path / "runs").exists()


def test_documents_without_a_prediction_count_and_are_told(folder: Path, tmp_path: Path) -> None:
    task = load().get("tasks", "bc5cdr")
    gold = list(task.load(folder / "corpus")["test"])
    lines = (run_of(folder) / "predictions" / "bc5cdr.test.trained.jsonl").read_text().splitlines()
    few = tmp_path / "few.jsonl"
    few.write_text("\n".join(lines[:5]) + "\n")
    (own,) = bring(folder, tmp_path / "runs", few)
    result = read_result(own)
    assert result.imported is not None
    assert result.imported.missing == {"bc5cdr": len(gold) - 5}
    empty = [Document(d.id, "") for d in gold]
    assert result.scores["bc5cdr"].trained["strict.fn"] >= task.statistics(gold[5:], empty)[0]["strict.fn"]


def test_an_imported_result_is_verified_and_one_that_was_edited_is_named(folder: Path, tmp_path: Path) -> None:
    (own,) = bring(folder, tmp_path, run_of(folder) / "predictions" / "bc5cdr.test.trained.jsonl")
    code, out = told("verify", str(own), "--data", f"bc5cdr={folder / 'corpus'}")
    assert code == 0, out
    assert "scored again" in out
    text = (own / "result.json").read_text()
    value = read_result(own).headline.value
    (own / "result.json").write_text(text.replace(f'"value": {value!r}', '"value": 0.99'))
    assert told("verify", str(own))[0] != 0
    code, out = told("show", "run", str(own))
    assert "CHANGED since it was written" in out
