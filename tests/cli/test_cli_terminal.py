"""No control character of a user's data reaches a terminal, whichever way it goes; our own colours do."""

from __future__ import annotations

import io
import re
import shlex
import unicodedata
import warnings
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bench.cli import main
from bench.cli.result import next_commands
from bench.errors import DataWarning
from bench.screen.console import CleanConsole, RichReporter
from bench.screen.terminal import STYLES, clean, line, over, paint, say, width
from bench.screen.text import columns, fields, folded, wrapped

HOSTILE = "a\x1b[2Jb\x1b]0;t\x07c\x9b31md\u202ee\rf\x08g\x7fh\u2066i\udc9b"
SPELT = r"a\x1b[2Jb\x1b]0;t\x07c\x9b31md\u202ee\rf\x08g\x7fh\u2066i\udc9b"
OURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
"""Colours, and what rich moves the cursor with."""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")


def odd(text: str) -> list[str]:
    """What a terminal would obey, besides ends of lines and tabs."""
    return [c for c in text if (unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") and c not in "\n\t") or c in "\u202e\u2066"]


@given(st.text(), st.sampled_from([*STYLES]))
@example(HOSTILE, "red")
@example("".join(map(chr, range(0x300))), "bold")
def test_what_is_said_holds_our_colours_and_no_other_control(text: str, style: str) -> None:
    stream = Terminal()
    text = re.sub("[\ufdd0-\ufdef]", "", text)
    say(f"{paint('x', style, stream)}{text}", stream)
    assert stream.getvalue().startswith(f"\x1b[{STYLES[style]}mx\x1b[0m")
    assert odd(stream.getvalue().removeprefix(f"\x1b[{STYLES[style]}mx\x1b[0m")) == []
    assert not odd(clean(text))
    assert len(line(text).splitlines()) <= 1
    assert width(paint(line(text), style, stream)) == len(line(text))


def test_errors_wrap_at_words_on_a_terminal_and_stay_whole_in_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.screen.text._terminal", lambda: 50)
    place = "/a/path-that/must/not/be-cut/anywhere/at/all/x."
    error = f"error: Unknown task '2015-T15'. Did you mean '2015-T14'?\nRun 'bench list tasks' or name {place}"
    stream = Terminal()
    lines = wrapped(error, stream).split("\n")
    assert lines[0] == "error: Unknown task '2015-T15'. Did you mean"
    assert place in lines
    assert " ".join(lines) == error.replace("\n", " ")
    assert wrapped(error, io.StringIO()) == error


def test_the_line_is_written_over_on_a_terminal_only() -> None:
    stream, file = Terminal(), io.StringIO()
    over(f"n{HOSTILE}", stream)
    over("n", file)
    assert stream.getvalue() == f"\r\x1b[Kn{SPELT}"
    assert file.getvalue() == ""


def test_tables_and_fields_of_the_quick_commands_keep_their_lines() -> None:
    stream = io.StringIO()
    say(columns(("a", "b"), [(f"{HOSTILE}\n", "x"), ("y", "z")]), stream)
    say(fields({f"n{HOSTILE}": HOSTILE}), stream)
    assert odd(stream.getvalue()) == []
    assert stream.getvalue().count(SPELT) == 3
    assert len(stream.getvalue().splitlines()) == 4


@pytest.mark.parametrize("terminal", [True, False])
def test_whatever_the_reporter_is_told(terminal: bool) -> None:
    stream = io.StringIO()
    console = CleanConsole(file=stream, force_terminal=terminal, width=4000, highlight=False, color_system="truecolor")
    sink = RichReporter(console=console)
    sink.step(HOSTILE)
    sink.warn(HOSTILE)
    sink.note(HOSTILE)
    sink.table(HOSTILE, (HOSTILE, "b"), [(HOSTILE, "1\n2"), (HOSTILE, 3)])
    with sink.progress(HOSTILE, total=2, unit=HOSTILE) as bar:
        bar.advance(1, task=HOSTILE)
        bar.advance(1)
    shown = stream.getvalue()
    assert odd(OURS.sub("", shown).replace("\r", "")) == []
    shortened = re.sub(r"\\(x07|x08|r)", "", shown)  # rich leaves those out by itself
    assert shortened.count(re.sub(r"\\(x07|x08|r)", "", SPELT)) >= 7
    assert "\x1b[33mwarning:\x1b[0m" in shown


def brat(folder: Path, label: str) -> Path:
    folder.mkdir()
    (folder / "d.txt").write_text("fever", encoding="utf-8")
    (folder / "d.ann").write_text(f"T1\t{label} 0 5\tfever\n", encoding="utf-8")
    return folder


def test_labels_and_names_of_files_in_what_commands_print(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gold = brat(tmp_path / "g\x1b[2J", "Dis\x9b31m\u202eease")
    assert main(["score", "brat", "--gold", str(gold), "--pred", str(gold)]) == 0
    (gold / "d.ann").write_text("T1\tX 0\x1b[2J\tfever\n", encoding="utf-8")
    assert main(["score", "brat", "--gold", str(gold), "--pred", str(gold)]) == 4
    for words in (["board", "--out", HOSTILE], ["show", HOSTILE], [HOSTILE], ["list", f"--{HOSTILE}"], ["sync", HOSTILE]):
        assert main(words) > 0
    told = capsys.readouterr()
    assert odd(told.out + told.err) == []
    assert r"Dis\x9b31m\u202eease" in told.out
    assert r"g\x1b[2J" in told.err


def test_a_library_that_misses_one_nobody_wants_is_not_quoted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class DependencyWarning(Warning):
        """As urllib3 has one."""

    def warn(*given: object) -> int:
        warnings.warn("SOCKS support", DependencyWarning, stacklevel=1)
        warnings.warn("another", UserWarning, stacklevel=1)
        return 0

    monkeypatch.setattr("bench.cli.list_.run", warn)
    assert main(["list"]) == 0
    said = capsys.readouterr().err
    assert "another" in said
    assert "SOCKS" not in said


def test_warnings_of_loaders_and_of_libraries(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def noisy(*args: object) -> int:
        warnings.warn(DataWarning(f"lines of {HOSTILE}"), stacklevel=1)
        warnings.warn(UserWarning(f"library {HOSTILE}"), stacklevel=1)
        return 0

    monkeypatch.setattr("bench.cli.list_.run", noisy)
    assert main(["list"]) == 0
    told = capsys.readouterr().err
    assert odd(told) == []
    assert f"warning: lines of {SPELT}\n" in told
    assert f"library {SPELT}" in told


def test_commands_to_type_next_hold_in_a_shell() -> None:
    for behind, count in ((False, 1), (True, 2)):
        rows = next_commands(Path("O'Neil $(x) ;"), behind).splitlines()
        assert len(rows) == count
        for command in (row.split("  ")[1] for row in rows):
            assert shlex.split(command)[-1] == "O'Neil $(x) ;"


HEADER, ROWS = ("run", "task", "model", "score", "marks"), [[f"run-{i:030}", "bc5cdr", "tiny", f".{i}", ""] for i in (1, 2)]


def test_a_table_leaves_out_columns_where_a_terminal_has_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    assert folded(HEADER, ROWS) == ([*HEADER], ROWS, {})  # piped: all
    monkeypatch.setattr("sys.stdout", Terminal())
    monkeypatch.setenv("COLUMNS", "100")
    assert folded(HEADER, ROWS) == ([*HEADER], ROWS, {})
    monkeypatch.setenv("COLUMNS", "50")
    header, rows, same = folded(HEADER, ROWS, keep=("run", "task"))
    assert (header, rows[0]) == (["run", "task", "score"], [ROWS[0][0], "bc5cdr", ".1"])
    assert same == {"model": "tiny", "marks": ""}
    monkeypatch.setenv("COLUMNS", "45")
    assert folded(HEADER, ROWS, keep=("run", "task"), spare=("task", "score"))[0] == ["run", "score"]
    assert folded(HEADER, ROWS[:1])[0] == [*HEADER]  # of one row everything is the same
    assert folded(HEADER, []) == ([*HEADER], [], {})


@given(st.text(" abc-", max_size=300), st.integers(0, 12))
def test_lines_that_go_on_are_indented_and_no_word_is_cut(text: str, indent: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "60")
        lines = wrapped(text, Terminal(), indent).split("\n")
        assert wrapped(text, io.StringIO(), indent) == text
    assert [word for part in lines for word in part.split()] == text.split()
    assert all(part.startswith(" " * indent) for part in lines[1:])
    assert all(len(part) <= 60 or len(part.split()) == 1 for part in lines)
