"""A base model is quantized once a machine: later runs take a copy, and nothing else of them changes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from bench import runner  # noqa: E402
from bench.cli import main  # noqa: E402
from bench.config import RunConfig  # noqa: E402
from bench.modeling.find import find_model  # noqa: E402
from bench.registry import load  # noqa: E402
from bench.results.layout import QUANTIZED, RESULT  # noqa: E402
from bench.steps import quantized  # noqa: E402
from bench.steps.quantized import quantized_base  # noqa: E402
from bench.user_cache import folder as cache_folder  # noqa: E402

Make = Callable[..., RunConfig]
TASK = "2015-T14"
ROWS = [[2, 31415, 27182, 14142, 17320, 3]] * 8


def counting(**changes: Any) -> Any:
    """Round to nearest, which counts how often it is asked; `made` is what it was given."""
    rtn = type(load().get("quantizers", "rtn"))

    def quantize(self: Any, source: Path, out: Path, calibration: Any, device: str) -> Any:
        self.made.append(source)
        return rtn.quantize(self, source, out, calibration, device)

    return type("Counting", (rtn,), {"name": "counting", "made": [], "quantize": quantize, **changes})()


def bytes_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def same(first: Path, second: Path) -> dict[str, bytes]:
    """The quantized base model of two runs that differ in nothing."""
    assert first.name == second.name
    results = [json.loads((folder / RESULT).read_text(encoding="utf-8")) for folder in (first, second)]
    for name in ("scores", "quantization", "hashes", "versions"):
        assert results[0][name] == results[1][name]
    held = bytes_below(first / QUANTIZED)
    assert any(name.endswith("model.safetensors") for name in held)
    assert held == bytes_below(second / QUANTIZED)
    return held


@pytest.fixture
def source(own_cache: Path) -> Path:
    return find_model("tiny-bert", load(), cache_folder("models")).folder()


def test_the_second_run_takes_what_the_first_one_made(tiny: Make, tmp_path: Path, own_cache: Path, kit: Any) -> None:
    part = counting()
    registry = kit.with_parts(quantizers=[part])
    folders = []
    for number in (1, 2):
        config = tiny(quant="counting", quant_when="load", steps=2, eval_every=2, out=str(tmp_path / f"runs{number}"))
        folders.append(runner.run(config, registry).folder)
    first, second = folders
    assert first is not None
    assert second is not None
    assert len(part.made) == 1
    held = same(first, second)

    (entry,) = (own_cache / "quantized").iterdir()
    assert (own_cache / "quantized").stat().st_mode & 0o777 == 0o700
    # Each folder has files of its own: what is done to one reaches no other.
    (first / QUANTIZED / "counting" / "model.safetensors").write_bytes(b"")
    shutil.rmtree(entry)
    assert bytes_below(second / QUANTIZED) == held


def test_through_the_command_line(
    small_corpus: Path, tmp_path: Path, own_cache: Path, quick_smoke: None, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in (1, 2):
        typed = [
            "run", "--task", TASK, "--data", f"{TASK}={small_corpus}", "--model", "tiny-bert", "--head", "bio",
            "--quant", "rtn", "--steps", "2", "--eval-every", "2", "--max-length", "64", "--batch-tokens", "256",
            "--micro-batch", "256", "--waive", "smoke", "--tracker", "none", "--out", str(tmp_path / f"runs{number}"),
        ]  # fmt: skip
        assert main(typed) == 0
    same(*(path.parent for path in sorted(tmp_path.glob(f"runs*/*/{RESULT}"))))
    (entry,) = (own_cache / "quantized").iterdir()
    assert entry.name.startswith("rtn.")
    capsys.readouterr()
    main(["doctor", "--json"])
    findings = json.loads(capsys.readouterr().out)["findings"]
    (found,) = (each["found"] for each in findings if (each["section"], each["name"]) == ("cache", "quantized"))
    assert "of quantized base models; to clear it: rm -r " in found
    assert not found.startswith("0 ")


def test_weights_that_the_run_trained_are_not_kept(tiny: Make, own_cache: Path, kit: Any) -> None:
    part = counting()
    registry = kit.with_parts(quantizers=[part])
    runner.run(tiny(arch="full", quant="counting", quant_when="after", steps=2, eval_every=2), registry)
    assert len(part.made) == 1
    assert not (own_cache / "quantized").exists()


def test_a_quantizer_that_does_not_say_what_decides_is_asked_every_time(source: Path, tmp_path: Path) -> None:
    part = counting(reused=None)
    for name in "ab":
        quantized_base(part, source, ROWS, tmp_path / name, "cpu")
    assert len(part.made) == 2
    assert not cache_folder("quantized").exists()


@pytest.mark.parametrize(
    ("change", "again"),
    [
        ({}, False),
        ({"version": "2"}, True),
        ({"sym": False}, True),
        ({"bits": 8}, True),
        ({"reused": "calibration"}, True),
    ],
)
def test_what_decides_the_outcome_decides_whether_it_is_taken(
    source: Path, tmp_path: Path, change: dict[str, Any], again: bool
) -> None:
    first, second = counting(), counting(**change)
    quantized_base(first, source, ROWS, tmp_path / "a", "cpu")
    quantized_base(second, source, ROWS, tmp_path / "b", "cpu")
    assert (len(first.made), len(second.made)) == (1, int(again))


@pytest.mark.parametrize(("reused", "times"), [("model", 1), ("calibration", 2)])
def test_other_calibration_windows(source: Path, tmp_path: Path, reused: str, times: int) -> None:
    part = counting(reused=reused)
    for name, rows in (("a", ROWS), ("b", ROWS[1:]), ("c", ROWS)):
        quantized_base(part, source, rows, tmp_path / name, "cpu")
    assert len(part.made) == times


def test_another_model_machine_or_package(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part = counting()
    quantized_base(part, source, ROWS, tmp_path / "a", "cpu")
    other = tmp_path / "model"
    shutil.copytree(source, other)
    quantized_base(part, other, ROWS, tmp_path / "b", "cpu")
    assert len(part.made) == 1  # the same files elsewhere are the same model
    config = json.loads((other / "config.json").read_text(encoding="utf-8"))
    (other / "config.json").write_text(json.dumps(config | {"layer_norm_eps": 1e-6}), encoding="utf-8")
    quantized_base(part, other, ROWS, tmp_path / "c", "cpu")
    assert len(part.made) == 2
    with monkeypatch.context() as patch:
        patch.setattr(quantized, "hardware", lambda device: {"cpu": "another"})
        quantized_base(part, source, ROWS, tmp_path / "d", "cpu")
    assert len(part.made) == 3
    monkeypatch.setattr(quantized, "installed", lambda name: "0.0")
    quantized_base(part, source, ROWS, tmp_path / "e", "cpu")
    assert len(part.made) == 4


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))


DAMAGES: dict[str, Callable[[Path], None]] = {
    "a changed weight": lambda entry: flip(entry / "model" / "model.safetensors"),
    "a missing file": lambda entry: (entry / "model" / "config.json").unlink(),
    "one file more": lambda entry: (entry / "model" / "more.json").write_text("{}"),
    "changed facts": lambda entry: flip(entry / "bench.json"),
    "missing facts": lambda entry: (entry / "bench.json").unlink(),
    "no model": lambda entry: shutil.rmtree(entry / "model"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_one_is_thrown_away_and_made_anew(source: Path, tmp_path: Path, damage: str) -> None:
    part, told = counting(), list[str]()
    quantized_base(part, source, ROWS, tmp_path / "a", "cpu", told.append)
    (entry,) = cache_folder("quantized").iterdir()
    DAMAGES[damage](entry)
    assert told == []
    for name in "bc":
        quantized_base(part, source, ROWS, tmp_path / name, "cpu", told.append)
        assert bytes_below(tmp_path / name) == bytes_below(tmp_path / "a")
    assert len(part.made) == 2
    assert told == [f"$XDG_CACHE_HOME/bench/quantized/{entry.name} is damaged: the base model is quantized again."]
    assert [*cache_folder("quantized").iterdir()] == [entry]


def test_a_cache_that_cannot_be_written_costs_a_run_nothing(source: Path, tmp_path: Path) -> None:
    part = counting()
    cache_folder("quantized").write_text("in the way", encoding="utf-8")
    for name in "ab":
        quantized_base(part, source, ROWS, tmp_path / name, "cpu")
    assert len(part.made) == 2
    assert bytes_below(tmp_path / "a") == bytes_below(tmp_path / "b")


def test_a_copy_that_fails_leaves_nothing_half_made(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part, copytree, told = counting(), shutil.copytree, list[str]()

    def torn(start: Path, end: Path) -> Any:
        copytree(start, end)
        (end / "model.safetensors").unlink()
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copytree", torn)
        quantized_base(part, source, ROWS, tmp_path / "a", "cpu")
    assert [*cache_folder("quantized").iterdir()] == []
    quantized_base(part, source, ROWS, tmp_path / "b", "cpu")
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copytree", torn)
        quantized_base(part, source, ROWS, tmp_path / "c", "cpu", told.append)
    assert (len(part.made), told) == (3, [])  # nothing is wrong with what is kept
    assert bytes_below(tmp_path / "a") == bytes_below(tmp_path / "b") == bytes_below(tmp_path / "c")


def test_two_runs_at_once(source: Path, tmp_path: Path) -> None:
    rtn, both, told = type(load().get("quantizers", "rtn")), Barrier(2, timeout=60), list[str]()

    def quantize(self: Any, start: Path, out: Path, calibration: Any, device: str) -> Any:
        both.wait()  # neither has found what the other one makes
        return rtn.quantize(self, start, out, calibration, device)

    part = counting(quantize=quantize)
    threads = [Thread(target=quantized_base, args=(part, source, ROWS, tmp_path / name, "cpu", told.append)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    later = counting()
    quantized_base(later, source, ROWS, tmp_path / "c", "cpu", told.append)
    assert (later.made, told) == ([], [])
    assert bytes_below(tmp_path / "a") == bytes_below(tmp_path / "b") == bytes_below(tmp_path / "c")
    assert len([*cache_folder("quantized").iterdir()]) == 1


def test_no_window_of_the_calibration_is_in_it(source: Path, tmp_path: Path) -> None:
    quantized_base(counting(reused="calibration"), source, ROWS, tmp_path / "a", "cpu")
    (entry,) = cache_folder("quantized").iterdir()
    assert {path.name for path in entry.iterdir()} == {"bench.json", "model"}
    assert set(json.loads((entry / "bench.json").read_text(encoding="utf-8"))) == {
        "bits_per_weight",
        "bytes",
        "files",
        "sha256",
    }
    for content in bytes_below(entry).values():
        assert b"27182" not in content
