"""A run of two tasks, probed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from bench.cli import main
from bench.config import RunConfig
from bench.registry import load
from bench.runner import run

TASKS = ("2015-T14", "bc5cdr")


def test_a_finished_run_is_probed(
    tiny: Callable[..., RunConfig], small_corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "bc5cdr"
    load().get("tasks", "bc5cdr").synthesize(other, 3, {"train": 6, "dev": 6, "test": 6})
    data = {"2015-T14": str(small_corpus), "bc5cdr": str(other)}
    outcome = run(tiny(task=TASKS, arch="A4", rank=8, data=data, steps=2, eval_every=2), load())
    folder = outcome.folder
    assert folder is not None
    assert main(["probe", str(folder), "--examples", "40", "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert found == json.loads((folder / "probe.json").read_text())
    alone = ["none", "shared", "private-2015-T14", "private-bc5cdr"]
    assert found["conditions"] == [*alone, "as trained 2015-T14", "as trained bc5cdr"]
    assert list(found["task"]) == alone
    assert all(0 <= told["balanced_accuracy"] <= 1 for told in found["task"].values())
    for task, labels in found["labels"].items():
        assert all(list(told) == [*alone, f"as trained {task}"] for told in labels.values())
    assert any(found["labels"].values())
    assert main(["probe", str(folder), "--examples", "40"]) == 0
    assert "balanced accuracy" in capsys.readouterr().out

    for path in (folder / "corpus" / "bc5cdr").rglob("*"):  # the copy that a run on synthetic text keeps
        if path.is_file() and b"\n" in (content := path.read_bytes()):
            path.write_bytes(content.replace(b"\n", b" \n", 1))
            break
    assert main(["probe", str(folder)]) in (4, 6)
    assert "error:" in capsys.readouterr().err
    assert main(["probe", str(folder), "--examples", "3"]) == 2
