"""`bench score iob` and `bench score brat`: files of a format, scored without a task."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.cli import main

IOB_GOLD = "Aspirin\tB-Drug\ncauses\tO\nmild\tB-Effect\nnausea\tI-Effect\n\nNo\tO\nulcer\tB-Effect\n"
IOB_PRED = "Aspirin\tB-Drug\ncauses\tO\nmild\tO\nnausea\tB-Effect\n\nNo\tO\nulcer\tB-Effect\n"
BRAT_GOLD = "T1\tEffect 0 5;10 15\tleft lobes\nT2\tDrug 20 27\taspirin\n"
BRAT_PRED = "T1\tEffect 0 5;10 15\nT2\tDrug 20 26\nT3\tEffect 0 5;30 35\n"


def scored(words: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, dict[str, float]]]:
    assert main(["score", *words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["task"] == words[0]
    assert list(told["scores"]) == ["strict", "discontiguous", "by_type"]
    return told["scores"]  # type: ignore[no-any-return]


def counts(row: dict[str, float]) -> tuple[float, ...]:
    return row["tp"], row["fp"], row["fn"]


def test_iob_files_and_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for side, text in (("gold", IOB_GOLD), ("pred", IOB_PRED)):
        (tmp_path / side).mkdir()
        (tmp_path / side / "test.tsv").write_text(text, encoding="utf-8")
    sides = [["--gold", str(tmp_path / "gold"), "--pred", str(tmp_path / "pred")]]
    sides.append(["--gold", str(tmp_path / "gold" / "test.tsv"), "--pred", str(tmp_path / "pred" / "test.tsv")])
    for where in sides:
        scores = scored(["iob", *where], capsys)
        assert counts(scores["strict"]) == (2, 1, 1)
        assert scores["strict"]["f1"] == pytest.approx(2 / 3)
        assert counts(scores["discontiguous"]) == (0, 0, 0)
        assert {label: counts(row) for label, row in scores["by_type"].items()} == {"Drug": (1, 0, 0), "Effect": (1, 1, 1)}  # type: ignore[arg-type]
    assert main(["score", "iob", *sides[0]]) == 0
    rows = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines() if line.strip()}
    assert rows["strict"] == ["2", "1", "1", ".667", ".667", ".667"]
    assert rows["by_type.Drug"][-1] == "1.000"


def test_brat_folders_count_discontiguous_mentions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for side, text in (("gold", BRAT_GOLD), ("pred", BRAT_PRED)):
        (tmp_path / side).mkdir()
        (tmp_path / side / "d1.ann").write_text(text, encoding="utf-8")
    (tmp_path / "gold" / "d2.ann").write_text("T1\tDrug 0 3\tabc\n", encoding="utf-8")  # nothing predicted there
    scores = scored(["brat", "--gold", str(tmp_path / "gold"), "--pred", str(tmp_path / "pred")], capsys)
    assert counts(scores["strict"]) == (1, 2, 2)
    assert counts(scores["discontiguous"]) == (1, 1, 0)
    assert {label: counts(row) for label, row in scores["by_type"].items()} == {"Drug": (0, 1, 2), "Effect": (1, 1, 0)}  # type: ignore[arg-type]


def test_what_cannot_be_scored_names_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.ann").write_text("T1\tDrug 9 3\tx\n", encoding="utf-8")
    assert main(["score", "brat", "--gold", str(tmp_path), "--pred", str(tmp_path)]) == 4
    assert f"{tmp_path / 'a.ann'}, line 1" in capsys.readouterr().err
    assert main(["score", "iob", "--gold", str(tmp_path), "--pred", str(tmp_path)]) == 4
    assert "holds no .tsv file" in capsys.readouterr().err
    assert main(["score", "iob", "--gold", str(tmp_path / "no"), "--pred", str(tmp_path)]) == 2
    assert "--gold: there is no file or folder" in capsys.readouterr().err


@pytest.mark.parametrize(("typed", "meant"), [("bart", "'brat'"), ("iobb", "'iob'"), ("bc2mg", "'bc2gm'")])
def test_suggestions_know_tasks_and_formats(typed: str, meant: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", typed, "--gold", str(tmp_path), "--pred", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert f"Unknown task {typed!r}. Did you mean {meant}" in told
    assert "bench list tasks" in told
    assert "iob and brat" in told
