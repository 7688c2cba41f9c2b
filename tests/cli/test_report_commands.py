from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import pytest
from bench_plugins.trackers import MlflowTracker, WandbTracker

from bench.cli import main


def ids(text: str) -> list[str]:
    return [row["id"] for row in json.loads(text)]


def test_the_board_filters_and_sorts(made: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made.make(tmp_path, made.grid(8))
    board = ["board", "--out", str(tmp_path), "--json"]
    assert main(board) == 0
    rows = json.loads(capsys.readouterr().out)
    scores = [row["headline"]["value"] for row in rows]
    assert len(rows) == 8
    assert scores == sorted(scores, reverse=True)
    assert main([*board, "--arch", "A2", "--where", "seed=1"]) == 0
    (one,) = json.loads(capsys.readouterr().out)
    assert (one["arch"], one["seed"]) == ("A2", 1)
    assert main([*board, "--sort", "score"]) == 0  # as the column is headed
    capsys.readouterr()
    assert main([*board, "--sort", "seed"]) == 0
    assert [row["seed"] for row in json.loads(capsys.readouterr().out)] == [0] * 4 + [1] * 4
    assert main([*board, "--where", "invariants.tokens.total=60000", "--sort", "arch:desc"]) == 0
    assert [row["arch"] for row in json.loads(capsys.readouterr().out)] == ["A4", "A4", "A3", "A3", "A2", "A2", "A1", "A1"]
    assert main([*board, "--task", "bc5cdr"]) == 0
    assert ids(capsys.readouterr().out) == []


@pytest.mark.parametrize("flag", ["--out", "--runs"])
@pytest.mark.parametrize("words", [["board"], ["show", "run"], ["verify"]])
def test_the_folder_of_runs_has_both_names_where_nothing_is_written(
    made: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], flag: str
) -> None:
    (folder,) = made.make(tmp_path, made.grid(1))
    named = [] if words == ["board"] else [folder.name]
    main([*words, *named, flag, str(tmp_path)])
    assert folder.name in capsys.readouterr().out


def test_the_board_marks_what_must_not_be_missed(made: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    finished, stopped = made.make(tmp_path, made.grid(2))
    (stopped / "result.json").unlink()
    assert main(["board", "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    (line,) = (line for line in out.splitlines() if line.startswith(finished.name))
    assert "synthetic" in line
    (line,) = (line for line in out.splitlines() if line.startswith(stopped.name))
    assert "unfinished" in line
    assert "2 runs, 1 unfinished" in out
    assert "SYNTHETIC" in out


def test_the_board_tells_every_task_of_a_run(made: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made.make(tmp_path, [made.Made(tasks=("ncbi-disease", "bc5cdr", "bc2gm"))])
    assert main(["board", "--out", str(tmp_path), "--task", "bc5cdr", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert [one["task"] for one in row["rest"]] == ["bc5cdr", "bc2gm"]
    assert main(["board", "--out", str(tmp_path)]) == 0
    line = capsys.readouterr().out.splitlines()[-4]
    for one in row["rest"]:
        assert f"; {one['task']} {one['value']:.3f}".replace("0.", ".") in line


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--where", "sede=1"], 2, "Did you mean 'seed'"),
        (["--where", "seed"], 2, "is not FIELD=VALUE"),
        (["--sort", "seed:up"], 2, "wanted FIELD"),
        (["--out", "nowhere"], 2, "nowhere is no folder of runs"),
    ],
)
def test_the_board_is_plain_about_mistakes(
    made: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, says: str
) -> None:
    made.make(tmp_path, made.grid(1))
    assert main(["board", "--out", str(tmp_path), *words]) == code
    assert says in capsys.readouterr().err


def test_a_missing_package_is_told_with_its_install_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bench.pages.write.NEEDED", {"no_such_module": "no-such-package"})
    assert main(["report", "--runs", str(tmp_path)]) == 5
    err = capsys.readouterr().err
    assert "no-such-package" in err
    assert "pip install 'bench-suite[report]'" in err


def test_a_report_that_takes_the_place_of_another_says_so(
    made: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("jinja2")
    pytest.importorskip("vl_convert")
    made.make(tmp_path, made.grid(1))
    said = []
    for _ in range(2):
        assert main(["report", "--runs", str(tmp_path)]) == 0
        said.append("The report that stood there is replaced" in capsys.readouterr().out)
    assert said == [False, True]


def test_bad_input_is_one_line(made: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("jinja2", "vl_convert"):
        pytest.importorskip(name)
    first, second = made.make(tmp_path, made.grid(2))
    (tmp_path / "empty").mkdir()
    assert main(["report", str(tmp_path / "empty")]) == 2
    whole = (first / "result.json").read_text()
    (first / "result.json").write_text(whole.replace('"schema_version": 2', '"schema_version": 7'))
    assert main(["report", str(tmp_path)]) == 6
    (first / "result.json").write_text(whole[:500])
    assert main(["report", str(first), str(second)]) == 6
    told = capsys.readouterr().err.splitlines()
    problems = [line for line in told if line.startswith("error:")]
    assert len(problems) == 3
    for problem, words in zip(problems, ("holds no run", "schema version 7", "truncated"), strict=True):
        assert words in problem


def test_the_report_of_a_study_goes_to_the_trackers_of_its_runs(
    made: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("jinja2")
    pytest.importorskip("vl_convert")
    study = made.token_control(tmp_path, seeds=1)
    study.save()
    given: list[object] = []

    def refuse(*words: object) -> None:
        raise ValueError("zqx")

    monkeypatch.setattr(MlflowTracker, "missing", lambda tracker: ())
    monkeypatch.setattr(WandbTracker, "missing", lambda tracker: ())
    monkeypatch.setattr(MlflowTracker, "add_report", lambda tracker, *words: given.append(words))
    monkeypatch.setattr(WandbTracker, "add_report", refuse)
    page = study.folder / "report" / "index.html"
    assert main(["report", study.name, "--runs", str(tmp_path), "--json"]) == 0
    said = capsys.readouterr()
    assert given == [(study.name, tmp_path, page)]
    assert (json.loads(said.out)["page"], "zqx" in said.err) == (str(page), False)
    assert f"Tracker 'wandb' failed (ValueError) and lacks the report of {study.name}." in " ".join(said.err.split())
    assert main(["report", "--runs", str(tmp_path)]) == 0  # runs alone are no study
    assert len(given) == 1


def test_runs_that_are_no_study_are_compared_or_refused(
    made: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("jinja2", "vl_convert", "statsmodels"):
        pytest.importorskip(name)
    runs = [made.Made(arch=a, seed=s, gain=0.15 * (a == "A2"), documents=30, steps=2, evaluated=False, synthetic=False)
            for a in ("A1", "A2") for s in range(6)]  # fmt: skip
    other = made.Made(arch="A3", tokens=90_000, documents=30, steps=2, evaluated=False)
    folders = [str(folder) for folder in made.make(tmp_path / "runs", [*runs, other])]
    assert main(["report", *folders[:-1], "--out", str(tmp_path / "page")]) == 0
    page = (tmp_path / "page" / "index.html").read_text(encoding="utf-8")
    assert page.index("A2 is better") < page.index("Scores by arm.")
    assert "Compared by arch, on test" in page
    assert main(["report", folders[0], folders[-1], "--out", str(tmp_path / "page")]) == 0
    page = (tmp_path / "page" / "index.html").read_text(encoding="utf-8")
    assert '<p class="word">refused</p>' in page
    assert "tokens: 60,000 in 1 run, 90,000 in 1 run" in page
    assert "A3 is better" not in page
    capsys.readouterr()
    assert main(["report", *folders, "--allow", "token"]) == 2
    assert "Did you mean 'tokens'" in capsys.readouterr().err
