"""`bench run --dry-run --concepts TASK=FILE` with whatever a file may be: one message with file and line, and no name in it."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("peft")
pytest.importorskip("sklearn")

from bench.cli import main
from bench.registry import load

TASK = "2015-T14"
SECRET = "zygomorphic"
ROW = "C0000001|ENG|P|L1|PF|S1|Y|A1||||MSH|PT|D1|{name}|0|N||\n"
TABLE = f"concept\tname\nC0000001\t{SECRET}\n"
OBO = f"format-version: 1.2\n\n[Term]\nid: C0000001\nname: {SECRET}\n"
Plan = Callable[..., tuple[int, str]]


@pytest.fixture
def plan(tmp_path: Path, own_cache: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Plan:
    """Plans a run on a small corpus that names no concepts; gives its exit code and all that was printed."""
    monkeypatch.chdir(tmp_path)
    load().get("tasks", TASK).synthesize(tmp_path / "corpus", 3, {"train": 2, "dev": 1, "test": 1})
    (tmp_path / "corpus" / "concepts.tsv").unlink()

    def planned(*words: str, task: str = TASK, corpus: str = "corpus") -> tuple[int, str]:
        code = main(["run", "--dry-run", "--task", task, "--data", f"{task}={corpus}", "--model", "tiny-bert", *words])
        printed = capsys.readouterr()
        text = " ".join((printed.out + printed.err).split())  # however wide the screen is
        assert text.count("error:") == bool(code), text
        assert "Traceback" not in text
        assert SECRET not in text
        return code, text

    return planned


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.tsv", TABLE + f"C0000001 {SECRET}\n", "a.tsv, line 3: 1 column; wanted 2"),
        ("a.tsv", TABLE.encode() + b"C0000001\tcaf\xe9\n", "a.tsv, line 3: byte 12 is not UTF-8"),
        ("a.tsv", TABLE.encode("utf-16"), "a.tsv, line 1: UTF-16; wanted UTF-8 text"),
        ("a.tsv", TABLE.replace("\n", "\0\n"), "a.tsv, line 1: a zero byte"),
        ("a.tsv", gzip.compress(TABLE.encode(), mtime=0), "a.tsv, line 1: a gzip file"),
        ("a.tsv", f"C0000001\t{SECRET}\n", "a.tsv, line 1: no known first line"),
        ("a.tsv", f"name\tconcept\n{SECRET}\tC0000001\n", "a.tsv, line 1: no known first line"),
        ("a.tsv", "", "a.tsv is empty"),
        ("a.obo", OBO + f"synonym: {SECRET}\n", "a.obo, line 6: a synonym that is not in the form"),
        ("a.obo", OBO.replace("name:", "comment:"), "a.obo holds no name of a concept"),
        ("MRCONSO.RRF", ROW.format(name="x") + ROW.format(name=f"{SECRET}|x"), "MRCONSO.RRF, line 2: 19 columns; wanted 18"),
        ("MRCONSO.RRF", ROW.format(name=SECRET).replace("ENG", "GER"), "MRCONSO.RRF holds no name of a concept of the"),
    ],
)  # fmt: skip
def test_a_broken_file_ends_in_one_message(plan: Plan, tmp_path: Path, name: str, content: str | bytes, says: str) -> None:
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    code, told = plan("--concepts", f"{TASK}={name}")
    assert (code, says in told) == (4, True), told


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--concepts", f"{TASK}=no.tsv"], "--concepts 2015-T14={folder}/no.tsv: there is no such file."),
        (["--concepts", f"{TASK}=corpus"], "--concepts 2015-T14={folder}/corpus: that is a folder; wanted a file."),
        (["--concepts", "gad=good.tsv"], "--concepts names the task 'gad', which this run does not have."),
        (["--concepts", f"{TASK}=good.tsv", "--concepts", f"{TASK}=other.tsv"], "--concepts names the task '2015-T14' twice"),
        (["--data", f"{TASK}=corpus"], "--data names the task '2015-T14' twice"),
        (["--concepts", "good.tsv"], "'good.tsv' is not TASK=FILE"),
    ],
)  # fmt: skip
def test_a_file_or_task_that_is_not_there_is_a_slip_of_words(plan: Plan, tmp_path: Path, words: list[str], says: str) -> None:
    for name in ("good.tsv", "other.tsv"):
        (tmp_path / name).write_text(TABLE, encoding="utf-8")
    code, told = plan(*words)
    assert (code, says.replace("{folder}", str(tmp_path)) in told) == (2, True), told


def test_names_for_a_task_without_concepts_are_refused(plan: Plan, tmp_path: Path) -> None:
    (tmp_path / "good.tsv").write_text(TABLE, encoding="utf-8")
    load().get("tasks", "gad").synthesize(tmp_path / "sentences", 3, {"train": 4, "dev": 4, "test": 4})
    code, told = plan("--concepts", "gad=good.tsv", task="gad", corpus="sentences")
    assert (code, "good.tsv names concepts for gad, whose training mentions in" in told) == (2, True), told


def test_line_ends_a_byte_order_mark_doubles_and_ids_without_a_name_are_told_and_go_on(plan: Plan, tmp_path: Path) -> None:
    rows = ["\ufeffconcept\tname", f"C0000001\t{SECRET}", "C0000002\tfever", f"C0000001\t{SECRET}", ""]
    (tmp_path / "a.tsv").write_bytes("\r\n".join(rows).encode())
    code, told = plan("--concepts", f"{TASK}=a.tsv")
    assert code == 0
    assert "a.tsv, line 4: the concept has this name already; 1 such line, without effect." in told
    assert "2015-T14: concepts of the corpus that a.tsv does not name: train " in told
