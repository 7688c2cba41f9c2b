"""A corpus with a document in two splits: refused by every run, unless --allow-leak lets it through and the result says so."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from bench import runner  # noqa: E402
from bench.cli import main  # noqa: E402
from bench.config import RunConfig  # noqa: E402
from bench.errors import LeakError  # noqa: E402
from bench.registry import load  # noqa: E402

TASK = "2015-T14"


@pytest.fixture
def leaking(small_corpus: Path, tmp_path: Path) -> tuple[Path, str]:
    """A corpus with a note of train in test, and its name."""
    folder = tmp_path / "corpus"
    shutil.copytree(small_corpus, folder)
    name = min(path.stem for path in (folder / "train").iterdir())
    for path in (folder / "train").glob(f"{name}.*"):
        shutil.copy(path, folder / "test" / path.name)
    return folder, name


def test_it_is_refused_by_name_and_goes_on_only_if_told_to(
    tiny: Callable[..., RunConfig], leaking: tuple[Path, str], kit: Any, capsys: Any
) -> None:
    folder, name = leaking
    config = tiny(data={TASK: str(folder)})
    with pytest.raises(LeakError, match=rf"'{name}' \(train and test\)"):
        runner.run(config, load())
    assert not list(Path(config.out).glob("*"))

    told = kit.Told()
    allowed = replace(config, allow_leak=True)
    outcome = runner.run(allowed, load(), console=told)
    assert told.said(f"1 document stands in two splits of {TASK}: allowed by --allow-leak")
    assert outcome.result_path is not None
    result = json.loads(outcome.result_path.read_text(encoding="utf-8"))
    assert result["leaks"] == {
        TASK: {
            "allowed": 1,
            "tolerated": 0,
            "documents": [{"document": name, "split": "test", "twin": name, "other": "train"}],
        }
    }
    assert result["config"]["allow_leak"] is True
    capsys.readouterr()
    assert main(["show", "run", str(outcome.folder)]) == 0
    assert f"documents in two splits, allowed: {TASK} 1; comparisons refuse this run" in capsys.readouterr().out
    # Files are scored whatever the corpus holds.
    assert main(["score", TASK, "--gold", str(folder / "test"), "--pred", str(folder / "test"), "--json"]) == 0


def test_a_clean_corpus_has_no_leaks_in_its_result(tiny: Callable[..., RunConfig]) -> None:
    outcome = runner.run(tiny(), load())
    assert outcome.result_path is not None
    assert json.loads(outcome.result_path.read_text(encoding="utf-8"))["leaks"] == {}
