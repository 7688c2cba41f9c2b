"""Strings planted in a corpus stand nowhere outside its files: no tracker, result, log or message."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from bench import runner  # noqa: E402
from bench.config import RunConfig  # noqa: E402
from bench.errors import BenchError  # noqa: E402
from bench.registry import load  # noqa: E402
from bench.results.layout import CORPUS  # noqa: E402

Make = Callable[..., RunConfig]
TASK = "2015-T14"
INSIDE, OUTSIDE = "Zyxqanary", "Qvwkunrepeatable"


@pytest.fixture
def planted(small_corpus: Path, tmp_path: Path) -> Path:
    """The corpus with a canary in every note, and another at the place of every note's first mention."""
    folder = tmp_path / "data"
    shutil.copytree(small_corpus, folder)
    (folder / "SYNTHETIC").unlink()
    for path in folder.glob("*/*.text"):
        text = path.read_text(encoding="utf-8")
        start = len(text) + 1
        path.write_text(f"{text}\n{INSIDE} of the patient {OUTSIDE} today.\n", encoding="utf-8")
        pipe = path.with_suffix(".pipe")
        lines = pipe.read_text(encoding="utf-8").splitlines()
        cells = lines[0].split("|")
        cells[1] = f"{start}-{start + len(INSIDE)}"
        pipe.write_text("\n".join([*lines, "|".join(cells)]) + "\n", encoding="utf-8")
    return folder


def leaks(content: bytes) -> list[str]:
    low = content.lower()
    return [word for word in (INSIDE, OUTSIDE) for form in (word, word[::-1]) if form.lower().encode() in low]


def test_no_canary_leaves_the_corpus(planted: Path, tiny: Make, tmp_path: Path, kit: Any, capfd: Any) -> None:
    pytest.importorskip("wandb")
    pytest.importorskip("mlflow")
    out = tmp_path / "runs"
    config = tiny(
        data={TASK: str(planted)}, arch="A4", quant="rtn", head="span", tracker=("wandb", "mlflow"), out=str(out), steps=3
    )
    console = kit.Told()
    folder = runner.run(config, load(), console=console).folder
    assert folder is not None
    seen = [path for path in out.rglob("*") if path.is_file()]
    assert {"result.json", "journal.jsonl", "plan.json", "mlflow.db"} <= {path.name for path in seen}
    assert any(path.suffix == ".wandb" for path in seen)
    for path in seen:
        inside = path.relative_to(folder).parts[0] if path.is_relative_to(folder) else ""
        if inside != CORPUS:
            assert not leaks(path.read_bytes()), path
    printed = capfd.readouterr()
    assert not leaks((printed.out + printed.err + "\n".join(console.lines)).encode())
    # The test can fail: the words are in the corpus, and the run read them.
    assert all(leaks(path.read_bytes()) == [INSIDE, OUTSIDE] for path in planted.glob("*/*.text"))


@pytest.mark.parametrize(
    "line",
    [
        f"{{doc}}|0-4|{INSIDE}|no|{OUTSIDE}",
        f"{{doc}}|{INSIDE}-{OUTSIDE}|C0000001" + "|no|null" * 8,
        f"{{doc}}|0-99999999|C0000001|{OUTSIDE}|{INSIDE}|patient|null|no|null|unmarked|null|unmarked|null|false|null|false|null|null|null",
        f"{{doc}}|0-4|C0000001|{OUTSIDE}|{INSIDE}|patient|null|no|null|unmarked|null|unmarked|null|false|null|false|null|null|null",
        f"{INSIDE} {OUTSIDE}",
    ],
)
def test_no_error_message_quotes_a_broken_file(
    planted: Path, tiny: Make, line: str, capfd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench.cli import main

    pipe = sorted(planted.glob("train/*.pipe"))[0]
    pipe.write_text(line.format(doc=pipe.stem) + "\n", encoding="utf-8")
    config = tiny(data={TASK: str(planted)})
    with pytest.raises(BenchError) as caught:
        runner.run(config, load())
    assert caught.value.exit_code == 4
    assert not leaks(str(caught.value).encode())
    assert pipe.name in str(caught.value)
    assert not Path(config.out).exists()
    code = main(["run", "--task", TASK, "--data", f"{TASK}={planted}", "--model", "tiny-bert", "--out", config.out])
    printed = capfd.readouterr()
    assert code == 4
    assert not leaks((printed.out + printed.err).encode())
    assert "Traceback" not in printed.err


def test_what_can_be_turned_back_into_text_is_for_its_owner_alone(planted: Path, tiny: Make, own_cache: Path) -> None:
    folder = runner.run(tiny(data={TASK: str(planted)}), load()).folder
    assert folder is not None
    assert not [*folder.rglob("*.arrow")]
    assert len([*own_cache.rglob("*.arrow")]) == 3
    for path in own_cache.rglob("*"):
        if path.is_file() and "models" not in path.parts:
            assert path.parent.stat().st_mode & 0o077 == 0
            assert not leaks(path.read_bytes())
