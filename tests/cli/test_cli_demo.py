"""`bench demo`: really trained runs on made-up text, which the commands after a run take as any other."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("peft")

from bench import runner
from bench.cli import demo, main
from bench.cli.demo import SIZES, configurations
from bench.errors import RunStateError
from bench.hooks import hookimpl
from bench.invariants import smoke
from bench.registry import load
from bench.results.layout import JOURNAL
from bench.results.store import read_result
from bench.tracking.journal import read_journal


def test_a_demo_is_trained_passes_every_control_and_is_there_for_the_other_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with monkeypatch.context() as patched:  # a demo that is stopped in its first run

        def stop(*given: object) -> None:
            raise KeyboardInterrupt

        patched.setattr(runner, "recount", stop)
        assert main(["demo", "--seeds", "1"]) == 130
    capsys.readouterr()
    assert main(["demo", "--seeds", "1"]) == 0
    said = capsys.readouterr()
    assert "SYNTHETIC data and a model that knows no language" in said.out
    folders = sorted(path.parent for path in Path("demo/runs").glob("*/result.json"))
    assert len(folders) == 2
    for folder in folders:
        result = read_result(folder)
        assert (result.synthetic, result.waivers, result.plan.model.plumbing_only) == (True, (), True)
        assert result.invariants.smoke.passed
        assert {result.invariants.parity.holds, result.invariants.smoke.status} == {True, "held"}
        assert any(stage["strict.f1"] > 0 for stage in (scores.trained or {} for scores in result.scores.values()))
    # The commands that it names are those that work on its runs.
    for line in (line.split("  ")[1] for line in said.out.splitlines() if line.startswith("  bench ")):
        words = line.split()[1:]
        if words[0] == "report":
            continue  # needs an extra
        assert main(words) in (0, 3), line
        assert capsys.readouterr().out
    before = {path: path.stat().st_mtime_ns for path in Path("demo").rglob("result.json")}
    assert main(["demo", "--seeds", "1"]) == 0  # nothing is trained twice
    assert {path: path.stat().st_mtime_ns for path in Path("demo").rglob("result.json")} == before
    capsys.readouterr()
    assert main(["board", "--out", "demo/runs", "--json"]) == 0
    assert {run["id"] for run in json.loads(capsys.readouterr().out)} == {folder.name for folder in folders}


@pytest.mark.parametrize(("seeds", "wanted"), [("0", "at least 1"), ("-7", "at least 1"), ("9" * 30, "at most 1,000")])
def test_no_seed_is_no_demo(seeds: str, wanted: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--seeds", seeds]) == 2
    assert f"--seeds is {seeds}; it must be {wanted}." in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("foreign", ["a file", "a folder"])
def test_nothing_is_added_to_a_folder_of_the_users(
    foreign: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    if foreign == "a folder":
        Path("demo").mkdir()
    mine = Path("demo/mine.txt" if foreign == "a folder" else "demo")
    mine.write_text("mine")
    assert main(["demo"]) == 2
    assert "demo is there and is not the folder of a demo." in capsys.readouterr().err
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / mine]


class Stop:
    """Stops the process at the first event of a kind, once."""

    def __init__(self, kind: str, number: signal.Signals) -> None:
        self.kind, self.number = kind, number

    @hookimpl
    def bench_event(self, event: Any) -> None:
        if event.kind == self.kind:
            self.kind = ""
            os.kill(os.getpid(), self.number)


@pytest.mark.parametrize(("kind", "number"), [("plan", signal.SIGTERM), ("step", signal.SIGTERM), ("step", signal.SIGINT)])
def test_a_demo_that_was_stopped_goes_on_with_its_own_command(
    kind: str, number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "ARMS", ("A1",))
    monkeypatch.setattr(demo, "SIZES", {"train": 20, "dev": 5, "test": 5})
    monkeypatch.setattr(demo, "CONFIG", replace(demo.CONFIG, tokens=None, steps=4, waive=("smoke",)))
    monkeypatch.setattr(smoke, "UPDATES", 5)  # this test is about something else
    registry = load()
    registry.add(Stop(kind, number), "test:stop", "test")
    monkeypatch.setattr(demo, "load", lambda: registry)
    assert main(["demo", "some where", "--seeds", "1"]) == 130
    said = capsys.readouterr().err
    assert "The demo was stopped with 0 of 1 run finished." in said
    assert "Go on with the same command: bench demo 'some where' --seeds 1" in said
    assert "--resume" not in said
    (begun,) = Path("some where/runs").iterdir()
    assert not (begun / "result.json").exists()
    assert main(["demo", "some where", "--seeds", "1"]) == 0
    assert [path.parent for path in Path("some where/runs").glob("*/result.json")] == [begun]
    assert any(event.kind == "resume" for event in read_journal(begun / JOURNAL))


def test_a_corpus_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:  # killed outright when half of the first corpus is written
        writing = Path.write_bytes

        def half(path: Path, content: bytes) -> int:
            written = writing(path, content)
            return written if path.name != "train.tsv" else os._exit(9)

        Path.write_bytes = half  # type: ignore[method-assign]
        with contextlib.suppress(BaseException):
            next(configurations(tmp_path, 1, load()))
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert [path.name[0] for path in (tmp_path / "corpora").iterdir()] == ["."]
    config = next(configurations(tmp_path, 1, load()))
    for name, folder in config.data.items():
        assert len(load().get("tasks", name).load(Path(folder))["train"]) == SIZES["train"]


def test_a_run_that_cannot_be_gone_on_with_ends_the_demo_with_its_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[object] = []

    def locked(*given: object, **more: object) -> None:
        asked.append(more)
        raise RunStateError("Another process has it.", "Wait.")

    monkeypatch.setattr(runner, "run", locked)
    assert main(["demo", str(tmp_path / "demo"), "--seeds", "1"]) == RunStateError.exit_code
    assert "Another process has it." in capsys.readouterr().err
    assert asked == [{}]
