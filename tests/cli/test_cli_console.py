"""The reporter: bars on a terminal, lines in a pipe, tables that do not fold, and markup that stays text."""

from __future__ import annotations

import io
import re
import time
from typing import Any

import pytest

from bench.reporting import Reporter, SilentReporter
from bench.screen.console import CleanConsole, RichReporter, in_notebook


def reporter(terminal: bool = False, width: int = 100) -> tuple[RichReporter, io.StringIO]:
    stream = io.StringIO()
    console = CleanConsole(
        file=stream, force_terminal=terminal, width=width, highlight=False, soft_wrap=True, color_system=None
    )
    return RichReporter(console=console), stream


def work(sink: Reporter) -> None:
    sink.step("training")
    with sink.progress("updates", total=4, unit="tokens") as bar:
        for _ in range(4):
            bar.advance(1, loss=0.25, task="2015-T14")
    sink.warn("[bold]not markup[/bold]")
    sink.note("done")
    sink.table("parity", ("arm", "parameters"), [("A1", 1_234_567), ("A2", 999)])


def test_a_pipe_gets_plain_lines() -> None:
    sink, stream = reporter()
    work(sink)
    lines = stream.getvalue().splitlines()
    assert lines[0] == " 1  training"
    assert lines[1].startswith("    updates: 4/4 tokens, ")
    assert "tokens/s, loss 0.25 task 2015-T14, " in lines[1]
    assert lines[1].endswith("in all")
    assert lines[2:4] == ["warning: [bold]not markup[/bold]", "    done"]
    (a2,) = [line for line in lines if "A2" in line]
    (a1,) = [line for line in lines if "A1" in line]
    assert a1.rstrip().endswith("1,234,567")
    assert a2.rstrip().endswith("      999")
    assert "\x1b" not in stream.getvalue()


def test_messages_and_tables_wrap_at_words_on_a_terminal() -> None:
    sink, stream = reporter(terminal=True, width=40)
    text = "The corpus of ncbi-disease is not the one that run a1_none_0123456789ab read; put it back"
    sink.note(text)
    sink.warn(text)
    sink.table("runs", ("run", "what it says"), [("a1_none_0123456789ab", "not the one that was read")])
    lines = stream.getvalue().splitlines()
    assert all(len(line.rstrip()) <= 40 for line in lines)
    said = [word for line in lines for word in line.split()]
    assert [word for word in text.split() if word not in said] == []  # none is cut
    assert all(line.startswith("    ") for line in lines[:3])
    assert "a1_none_0123456789ab" in said
    # Where not every word has room, the terminal breaks lines, and no cell is folded.
    sink, stream = reporter(terminal=True, width=30)
    sink.table("runs", ("run", "score"), [("a1_none_0123456789ab-a-long-name-of-a-run", "1")])
    assert "a1_none_0123456789ab-a-long-name-of-a-run" in stream.getvalue()


@pytest.mark.parametrize("width", range(24, 60))
def test_a_table_loses_no_letter_at_any_width(width: int) -> None:
    header = ("task", "arms", "detectable", "conclusion")
    rows = [("ncbi-disease", "A2 - A1", ".029", "A1 is better"), ("bc5cdr", "A2 - A1", ".056", "not resolved at this number")]
    sink, stream = reporter(terminal=True, width=width)
    sink.table("differences", header, rows)
    said = re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue()).split()
    assert [word for row in (header, *rows) for cell in row for word in cell.split() if word not in said] == []


def test_differences_are_aligned_as_numbers() -> None:
    sink, stream = reporter()
    sink.table("differences", ("task", "difference"), [("a", "+.012"), ("b", "−.1")])
    assert stream.getvalue().splitlines()[-2:] == ["  a          +.012", "  b            −.1"]


def test_a_notebook_has_one_line_that_is_written_over(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("IPython")
    shown: list[tuple[str, bool]] = []

    class Handle:
        def update(self, data: dict[str, str], raw: bool) -> None:
            shown.append((data["text/plain"], raw))

    monkeypatch.setattr("bench.screen.console.in_notebook", lambda: True)
    monkeypatch.setattr("IPython.display.display", lambda data, raw, display_id: Handle())
    now = [0.0]
    monkeypatch.setattr("bench.screen.console.time.monotonic", lambda: now[0])
    sink, stream = reporter()
    with sink.progress("\x1b[31mupdates", total=100, unit="tokens") as bar:
        for _ in range(4):
            now[0] += 0.3
            bar.advance(1)
    assert shown == [
        ("    \\x1b[31mupdates: 2/100 tokens, 3.3 tokens/s, 29.4 s left", True),
        ("    \\x1b[31mupdates: 4/100 tokens, 3.3 tokens/s, 28.8 s left", True),
        ("    \\x1b[31mupdates: 4/100 tokens, 3.3 tokens/s, 1.2 s in all", True),
    ]
    assert stream.getvalue() == ""


def test_a_terminal_is_no_notebook() -> None:
    assert not in_notebook()


def test_a_pipe_hears_of_long_work_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    sink, stream = reporter()
    now = [0.0]
    monkeypatch.setattr("bench.screen.console.time.monotonic", lambda: now[0])
    with sink.progress("updates", total=100, unit="tokens") as bar:
        for _ in range(40):
            now[0] += 1.0
            bar.advance(1)
    lines = stream.getvalue().splitlines()
    assert lines == [
        "    updates: 15/100 tokens, 1 token/s, 1:25 left",
        "    updates: 30/100 tokens, 1 token/s, 1:10 left",
        "    updates: 40/100 tokens, 1 token/s, 40.0 s in all",
    ]
    with sink.progress("more", total=10, unit="tokens") as bar:
        bar.advance(11)  # a budget is met to within an example
        now[0] += 20.0
        bar.advance(0, dev="50%")
    assert stream.getvalue().splitlines()[-2] == "    more: 11/10 tokens, 0.55 tokens/s, dev 50%"
    with sink.progress("runs", total=1, unit="runs") as bar:
        now[0] += 20.0
        bar.advance(1)
    # What completes the work is told once, with its time.
    assert [line for line in stream.getvalue().splitlines() if "runs:" in line] == [
        "    runs: 1/1 run, 0.05 runs/s, 20.0 s in all"
    ]


def test_a_line_breaks_between_words_on_a_terminal_and_nowhere_in_a_pipe() -> None:
    words = [f"word{number}" for number in range(40)]
    sink, stream = reporter(terminal=True, width=40)
    sink.line(f"[bold]bc5cdr[/]: {' '.join(words)}")
    plain = re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue())
    assert max(len(row.rstrip()) for row in plain.splitlines()) <= 40
    assert plain.split() == ["bc5cdr:", *words]
    sink, stream = reporter(width=40)
    sink.line(" ".join(words))
    assert stream.getvalue().splitlines() == [" ".join(words)]


def test_wide_tables_are_not_folded_in_a_pipe() -> None:
    sink, stream = reporter(width=40)
    sink.table("wide", [f"column {i}" for i in range(12)], [[f"value number {i}" for i in range(12)]])
    (row,) = [line for line in stream.getvalue().splitlines() if "value number 0" in line]
    assert all(f"value number {i}" in row for i in range(12))


def test_a_terminal_gets_a_bar() -> None:
    sink, stream = reporter(terminal=True)
    work(sink)
    text = stream.getvalue()
    assert "4/4" in text
    assert "loss 0.25" in text


def test_json_mode_keeps_stdout_free(capsys: pytest.CaptureFixture[str]) -> None:
    work(RichReporter(stderr=True))
    out, err = capsys.readouterr()
    assert out == ""
    assert "training" in err


def test_the_silent_reporter_takes_the_same_calls(capsys: pytest.CaptureFixture[str]) -> None:
    work(SilentReporter())
    assert capsys.readouterr() == ("", "")


def test_bars_close_when_the_work_raises() -> None:
    sink, _ = reporter(terminal=True)

    def fail() -> Any:
        with sink.progress("updates", total=4) as bar:
            bar.advance()
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    with sink.progress("again", total=1) as bar:
        bar.advance()


@pytest.mark.parametrize("terminal", [False, True])
def test_what_was_done_before_counts_for_no_rate(terminal: bool) -> None:
    sink, stream = reporter(terminal, width=120)
    with sink.progress("training", 10_000_000, "tokens", done=9_000_000) as bar:
        for _ in range(2):
            bar.advance(10)
            time.sleep(0.02)
    said = stream.getvalue()
    assert ("9000020/10000000" if terminal else "9,000,020/10,000,000") in said
    rates = [float(rate.replace(",", "")) for rate in re.findall(r"([\d.,]+) tokens/s", said)]
    assert rates
    assert max(rates) <= 1_000
