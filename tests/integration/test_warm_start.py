"""What one run computed is used by the next: nothing is encoded nor fitted twice, and nothing comes out otherwise."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")
pytest.importorskip("sklearn")

from bench import runner  # noqa: E402
from bench.config import RunConfig  # noqa: E402
from bench.data import cache, lengths  # noqa: E402
from bench.linking.linker import Linker  # noqa: E402
from bench.registry import load  # noqa: E402

Make = Callable[..., RunConfig]
TASK = "2015-T14"


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def kept(own_cache: Path) -> set[str]:
    return {path.name for kind in ("encoded", "linkers") for path in (own_cache / kind).iterdir()}


def counted(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> list[str]:
    """Counts the calls of a function."""
    calls: list[str] = []
    before = getattr(owner, name)

    def call(*args: Any, **named: Any) -> Any:
        calls.append(name)
        return before(*args, **named)

    monkeypatch.setattr(owner, name, call)
    return calls


def test_a_second_run_encodes_and_fits_nothing_and_comes_out_the_same(
    tiny: Make, tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {"max_length": None, "steps": 3, "eval_every": 3, "data": {}}
    cold = runner.run(tiny(out=str(tmp_path / "cold"), **config), load()).folder
    assert cold is not None
    before = kept(own_cache)
    assert {name.split(".")[1] for name in before if name.startswith(TASK)} == {"train", "dev", "test", "length"}
    assert len([name for name in before if name.startswith("linker.")]) == 1
    calls = [
        *(counted(monkeypatch, owner, name) for owner, name in ((cache, "_encode"), (lengths, "choose_length"))),
        counted(monkeypatch, Linker, "_lessons"),
    ]
    warm = runner.run(tiny(out=str(tmp_path / "warm"), **config), load()).folder
    assert warm is not None
    assert calls == [[], [], []]
    assert kept(own_cache) == before
    for part in ("adapters", "predictions", "statistics"):
        assert files(warm / part) == files(cold / part)
    concepts = [json.loads((folder / "result.json").read_text())["concepts"] for folder in (cold, warm)]
    assert concepts[0] == concepts[1]
    other = runner.run(tiny(out=str(tmp_path / "other"), arch="A2", seed=4, **config), load()).folder
    assert other is not None
    assert calls == [[], [], []]


ENCODE = """
from bench.config import RunConfig
from bench.registry import load
from bench.reporting import SilentReporter
from bench.steps.corpora import encode, read_corpora
from bench.steps.resolve import resolve
import sys
for name in sys.argv[1:]:
    config = RunConfig(task=(name,), model="tiny-bert", max_length=64)
    parts = resolve(config, load())
    with read_corpora(parts.tasks, config) as sources:
        encode(parts, sources, config, SilentReporter())
"""


def test_what_is_kept_is_found_by_another_process(own_cache: Path) -> None:
    tasks = [TASK, "ncbi-disease", "2016-T12", "2017-T3-A", "chemprot", "pubmedqa"]
    held = []
    for seed in ("1", "2"):  # the order of sets of strings differs
        environment = os.environ | {"PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, "-c", ENCODE, *tasks], env=environment, check=True)
        held.append({path.name for path in (own_cache / "encoded").iterdir()})
    assert len([name for name in held[0] if name.endswith(".arrow")]) == 3 * len(tasks)
    assert held[0] == held[1]


@pytest.mark.parametrize("change", [{"head": "span"}, {"model": "tiny-llama"}, {"max_length": 32}])
def test_what_changes_the_windows_is_not_taken_for_the_same(change: dict[str, Any], tiny: Make, own_cache: Path) -> None:
    runner.run(tiny(), load(), dry_run=True)
    before = {path.name for path in (own_cache / "encoded").glob("*.arrow")}
    runner.run(tiny(**change), load(), dry_run=True)
    after = {path.name for path in (own_cache / "encoded").glob("*.arrow")}
    assert len(after) == len(before) + 3


def test_another_text_or_another_gold_of_one_document_is_another_corpus(
    small_corpus: Path, tiny: Make, tmp_path: Path, own_cache: Path
) -> None:
    def arrows() -> set[str]:
        return {path.name.split(".")[1] for path in (own_cache / "encoded").glob("*.arrow") if path.name not in before}

    before: set[str] = set()
    copy = Path(shutil.copytree(small_corpus, tmp_path / "copy"))
    config = tiny(data={TASK: str(copy)}, waive=("smoke", "parity"))
    runner.run(config, load(), dry_run=True)
    before |= {path.name for path in (own_cache / "encoded").glob("*.arrow")}
    note = sorted(copy.glob("dev/*.text"))[0]
    note.write_text(note.read_text(encoding="utf-8") + "\nSeen today.\n", encoding="utf-8")
    runner.run(config, load(), dry_run=True)
    assert arrows() == {"dev"}  # nothing else depends on it
    before |= {path.name for path in (own_cache / "encoded").glob("*.arrow")}
    pipe = sorted(copy.glob("train/*.pipe"))[0]
    pipe.write_text("".join(pipe.read_text(encoding="utf-8").splitlines(keepends=True)[1:]), encoding="utf-8")
    runner.run(config, load(), dry_run=True)
    assert arrows() == {"train", "dev", "test"}  # a head is fitted on train
