"""A file of an unfinished run that was damaged: the same result as without the damage, or a refusal; never another result."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from bench import runner  # noqa: E402
from bench.config import RunConfig  # noqa: E402
from bench.registry import load  # noqa: E402
from bench.results.layout import ADAPTERS, PREDICTIONS, RESULT, STATISTICS  # noqa: E402

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

Make = Callable[..., RunConfig]
Damage = Callable[[Path], None]
MOMENTS = {"in training": ("step", 5), "after quantizing": ("scores", None)}
REFUSALS = range(1, 8)


def flip(where: float) -> Damage:
    """Changes the lowest bit of the byte at a share of the file, which turns a digit into another."""

    def damage(path: Path) -> None:
        content = bytearray(path.read_bytes())
        if content:
            content[min(len(content) - 1, int(where * len(content)))] ^= 1
            path.write_bytes(bytes(content))

    return damage


def cut(path: Path) -> None:
    """Leaves the first half."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def digits(path: Path) -> None:
    """Makes every digit another, after the first tenth; JSON stays JSON."""
    content = path.read_bytes()
    at = len(content) // 10
    path.write_bytes(content[:at] + bytes(c ^ 1 if 48 <= c < 58 else c for c in content[at:]))


@pytest.fixture(scope="module")
def unfinished() -> dict[str, Path]:
    """Runs that were killed, by the moment; made by `prepared`."""
    return {}


@pytest.fixture
def prepared(tiny: Make, kit: Any, tmp_path_factory: pytest.TempPathFactory, unfinished: dict[str, Path]) -> dict[str, Path]:
    """Moment to the folder of a run that was killed then; ``whole`` is one that was not. The same for all tests."""
    if unfinished:
        return unfinished
    for moment, at in {**MOMENTS, "whole": ("no such event", None)}.items():
        config = tiny(arch="A4", quant="rtn", max_length=None, out=str(tmp_path_factory.mktemp("unfinished")))

        def first(told: Any, config: RunConfig = config, at: tuple[str, int | None] = at) -> None:
            registry = load()

            def see(event: Any) -> None:
                if event.kind == at[0] and at[1] in (None, event.step):
                    os.kill(os.getpid(), signal.SIGKILL)

            registry.add(kit.Observer(see), "test:kill", "test")
            runner.run(config, registry, console=told)

        child = kit.forked(first)
        assert child.signal == (None if moment == "whole" else signal.SIGKILL), child
        (folder,) = Path(config.out).iterdir()
        unfinished[moment] = folder
    return unfinished


def outcome(folder: Path) -> dict[str, Any]:
    """All that a reader takes from a finished run."""
    result = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    result["invariants"]["checkpoint"] = None
    del result["invariants"]["batch"]["limit"]  # what the machine had free
    names = ("id", "headline", "scores", "invariants", "quantization", "hashes", "calibration", "errors", "funnel", "overlap")
    kept = {name: result.get(name) for name in names}  # what there is nothing to say of is left out
    for below in (ADAPTERS, PREDICTIONS, STATISTICS, "corpus"):
        for path in sorted((folder / below).rglob("*")):
            if path.suffix != ".md" and path.is_file():
                kept[str(path.relative_to(folder))] = path.read_bytes()
    return kept


def resumed(kit: Any, prepared: dict[str, Path], moment: str, name: str, damage: Damage, out: Path) -> str:
    """Damages one file of a copy and resumes it; gives ``same``, or the refusal's message."""
    source = prepared[moment]
    folder = out / source.name
    shutil.copytree(source, folder)
    damage(folder / name)

    def again(told: Any) -> None:
        runner.run(RunConfig(out=str(out), tracker=("none",)), load(), resume=folder.name, console=told)

    child = kit.forked(again)
    told = f"{moment}, {name}: {child.error} {child.message}"
    if child.error is not None:
        assert child.code in REFUSALS, told
        assert not (folder / RESULT).exists(), told
        shutil.rmtree(out)
        return str(child.message)
    assert child.signal is None, told
    found, wanted = outcome(folder), outcome(prepared["whole"])
    assert found.keys() == wanted.keys(), told
    assert [key for key in wanted if found[key] != wanted[key]] == [], told
    shutil.rmtree(out)
    return "\n".join(["same", *child.told])


def named(folder: Path, pattern: str) -> str:
    return str(max(folder.glob(pattern)).relative_to(folder))


@pytest.mark.parametrize(
    ("moment", "pattern", "damage", "said"),
    [
        ("in training", "plan.json", flip(0.9), "plan.json"),
        ("in training", "journal.jsonl", flip(0.1), "journal.jsonl, line"),
        ("in training", "corpus/*/train/*.text", flip(0.5), "it is written again"),
        ("after quantizing", "quantized/rtn/*.safetensors", flip(0.7), "the base model is quantized again"),
        ("after quantizing", "quantized/rtn.*.json", digits, "the base model is quantized again"),
        ("after quantizing", f"{PREDICTIONS}/*.test.trained.jsonl", digits, "same"),
    ],
    ids=lambda value: value if isinstance(value, str) else getattr(value, "__name__", ""),
)
def test_what_a_run_comes_back_to_is_checked(
    kit: Any, prepared: dict[str, Path], tmp_path: Path, moment: str, pattern: str, damage: Damage, said: str
) -> None:
    name = named(prepared[moment], pattern)
    assert said in resumed(kit, prepared, moment, name, damage, tmp_path / "copy")


@pytest.mark.parametrize(
    ("pattern", "damage", "said"),
    [
        ("*.train.*.arrow", flip(0.5), "the windows are encoded again"),
        ("*.dev.*.arrow", cut, "the windows are encoded again"),
        ("*.train.*.json", digits, "the windows are encoded again"),
        ("*.test.*.json", Path.unlink, "the windows are encoded again"),
        ("*.length.*.json", digits, "same"),
        ("*", Path.unlink, "same"),
    ],
)
def test_what_other_runs_left_in_the_cache_is_checked(
    kit: Any, prepared: dict[str, Path], tmp_path: Path, own_cache: Path, pattern: str, damage: Damage, said: str
) -> None:
    def nothing(path: Path) -> None:
        """Leaves the run's folder as it is."""

    assert resumed(kit, prepared, "in training", "plan.json", nothing, tmp_path / "first") == "same"
    kept = [*(own_cache / "encoded").glob(pattern)]
    assert kept
    for path in kept:
        damage(path)
    assert said in resumed(kit, prepared, "in training", "plan.json", nothing, tmp_path / "copy")


@pytest.mark.nightly
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("moment", MOMENTS)
def test_no_damage_to_any_file_gives_another_result(kit: Any, prepared: dict[str, Path], tmp_path: Path, moment: str) -> None:
    folder = prepared[moment]
    draw = random.Random(14)
    ways: dict[str, Damage] = {"digits": digits, "cut": cut, "gone": Path.unlink}
    for name in sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()):
        places = [0.0, draw.random(), draw.random()]
        for damage in [*(flip(place) for place in places), *ways.values()]:
            resumed(kit, prepared, moment, name, damage, tmp_path / "copy")
