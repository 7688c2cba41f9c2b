"""Runs that say what their scores and statistics do not: how they are told, and that no verdict is drawn from them."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made_runs import Made, make, token_control

from bench.cli import main
from bench.errors import ContractError, RunStateError
from bench.pages.board import entries
from bench.registry import load
from bench.results.layout import JOURNAL, MANIFEST, RESULT
from bench.results.manifest import (
    HEAD,
    FileSum,
    JournalEnd,
    Manifest,
    chained,
    differing,
    file_sums,
    result_changed,
    write_manifest,
)
from bench.results.store import ending, read_result
from bench.studies.arms import Run
from bench.studies.finished import judged
from bench.studies.standing import misstated, same, same_bounds
from bench.tracking.journal import read_chain


def edited(folder: Path, change: Callable[[Any], None]) -> None:
    result = json.loads((folder / RESULT).read_bytes())
    change(result)
    (folder / RESULT).write_text(json.dumps(result))


def better(result: Any) -> None:
    result["headline"]["value"] = 0.99


def test_a_headline_and_a_mean_that_are_not_those_of_the_scores(tmp_path: Path) -> None:
    (folder,) = make(tmp_path, [Made(("ncbi-disease", "bc5cdr"))])
    assert Run.read(folder).standing.changed == ()
    assert Run.read(folder).standing.manifest == "older"
    edited(folder, better)
    assert Run.read(folder).standing.changed == (f"{RESULT} (the headline is not among its scores)",)
    edited(folder, lambda result: result["macro"].update(mean=0.99))
    assert len(Run.read(folder).standing.changed) == 2


def test_scores_that_are_not_those_of_the_statistics(tmp_path: Path) -> None:
    (folder,) = make(tmp_path, [Made(documents=20)])
    assert Run.read(folder).standing.changed == ()

    def all_better(result: Any) -> None:
        better(result)
        result["scores"]["ncbi-disease"]["trained"]["strict.f1"] = 0.99

    edited(folder, all_better)
    (told,) = Run.read(folder).standing.changed
    assert told == "strict.f1 of ncbi-disease, test, trained (not what its statistics give)"
    (statistics,) = (folder / "statistics").iterdir()
    statistics.write_text("{")
    (told,) = Run.read(folder).standing.changed
    assert told == f"statistics/{statistics.name} (unreadable)"


def test_no_verdict_is_drawn_from_a_changed_run(tmp_path: Path) -> None:
    study = token_control(tmp_path, seeds=2)
    edited(study.out / str(study.runs[3].run), better)
    with pytest.raises(ContractError, match=f"{study.runs[3].run} changed since it was written: result.json") as refused:
        judged(study, load(), lambda line: None)
    assert "bench verify" in str(refused.value.hint)


def test_a_board_of_many_runs_looks_at_results_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = make(tmp_path, [Made(seed=1), Made(seed=2)])
    (second / MANIFEST).write_text(json.dumps({"files": {RESULT: {"sha256": "0" * 64}}}))
    edited(first, better)
    assert main(["board", "--out", str(tmp_path), "--json"]) == 0
    assert all(row["changed"] for row in json.loads(capsys.readouterr().out))
    monkeypatch.setattr("bench.cli.board.HELD", 1)
    assert main(["board", "--out", str(tmp_path), "--json"]) == 0
    assert {row["id"]: row["changed"] for row in json.loads(capsys.readouterr().out)} == {first.name: [], second.name: [RESULT]}
    assert main(["board", "--out", str(tmp_path)]) == 0
    assert "not against their statistics" in capsys.readouterr().out


def test_a_result_against_its_manifest_by_bytes(tmp_path: Path) -> None:
    assert result_changed(str(tmp_path), b"{}") is None
    (tmp_path / MANIFEST).write_text("{")
    assert result_changed(str(tmp_path), b"{}") is True


@pytest.mark.parametrize("place", [0, HEAD - 1, HEAD, -1])
@pytest.mark.parametrize("longer", [False, True])
def test_a_board_of_many_runs_notices_any_change_of_size_and_of_what_it_shows(tmp_path: Path, place: int, longer: bool) -> None:
    (folder,) = make(tmp_path, [Made(seed=1, steps=1)])
    write_manifest(folder, read_result(folder), file_sums(folder), JournalEnd(1, 1, "0" * 64), "c0" * 32)
    content = bytearray((folder / RESULT).read_bytes())
    assert len(content) > HEAD
    assert result_changed(str(folder), bytes(content)) is False
    assert result_changed(str(folder), bytes(content), whole=True) is False
    content[place] ^= 1
    if longer:
        content += b" "
    assert result_changed(str(folder), bytes(content)) is (longer or 0 <= place < HEAD)
    assert result_changed(str(folder), bytes(content), whole=True) is True


def test_a_board_that_shows_more_than_the_beginning_of_a_result_looks_at_all_of_it(tmp_path: Path) -> None:
    long = Made(seed=1, steps=1, extra={"config": {**Made(seed=1).config, "note": "n" * HEAD}})
    for folder in make(tmp_path, [long, Made(seed=2, steps=1)]):
        write_manifest(folder, read_result(folder), file_sums(folder), JournalEnd(1, 1, "0" * 64), "c0" * 32)
        content = (folder / RESULT).read_bytes()
        (folder / RESULT).write_bytes(content[:-3] + b" " + content[-2:])  # of the same size, after all that a board decodes
    assert sorted(bool(entry.changed) for entry in entries(tmp_path)) == [False, True]
    assert all(entry.changed for entry in entries(tmp_path, whole=True))


def test_scores_are_the_same_but_for_rounding() -> None:
    assert same(0.5, 0.5 + 1e-9)
    assert not same(0.5, 0.501)
    assert same(None, None)
    assert same(None, math.nan)
    assert not same(None, 0.5)
    assert not same(0.5, None)
    assert same_bounds(None, None)
    assert not same_bounds((0.1, 0.2), None)
    assert same_bounds((0.1, 0.2), (0.1 + 1e-9, 0.2))
    assert not same_bounds((0.1, 0.2), (0.1, 0.3))


def test_files_that_nest_too_deep_are_damaged_and_no_bug(tmp_path: Path) -> None:
    (folder,) = make(tmp_path, [Made(documents=5)])
    deep = b"[" * 100_000 + b"\n"
    (folder / JOURNAL).write_bytes(deep)
    assert not chained(folder)
    assert ending(folder) == {}
    with pytest.raises(RunStateError, match="line 1 is not event 0"):
        read_chain(folder / JOURNAL, folder.name)
    (folder / MANIFEST).write_bytes(deep)
    assert result_changed(str(folder), b"")
    assert main(["board", "--out", str(tmp_path)]) == 0
    assert main(["verify", str(folder)]) == 6


def test_an_interval_that_is_a_number_is_not_shown(tmp_path: Path) -> None:
    (folder,) = make(tmp_path, [Made(documents=5)])
    edited(folder, lambda result: result["scores"]["ncbi-disease"]["trained"].update({"strict.f1_ci95": 0.5}))
    assert main(["show", "run", str(folder)]) == 0


def test_scores_whose_statistics_were_taken_away_are_told(tmp_path: Path) -> None:
    (folder,) = make(tmp_path, [Made(documents=5)])
    result = Run.read(folder).result
    shutil.rmtree(folder / "statistics")
    assert not [*misstated(folder, result, {})]
    assert "statistics/ncbi-disease.test.trained.json (missing)" in [*misstated(folder, result, {}, whole=True)]


def test_a_manifest_with_a_name_that_no_file_has_tells_it_as_missing(tmp_path: Path) -> None:
    manifest = Manifest(1, "run", {name: FileSum("", 0) for name in ("a\0b", "x" * 300)}, JournalEnd(0, 0, ""), {}, {}, {}, ())
    assert [*differing(tmp_path, manifest)] == [("a\0b", "missing"), ("x" * 300, "missing"), (JOURNAL, "missing")]
