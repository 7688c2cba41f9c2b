"""Bad input ends in one clear message with the right exit code, and leaves nothing half-written."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from bench import runner  # noqa: E402
from bench.cli import main  # noqa: E402
from bench.config import RunConfig  # noqa: E402
from bench.errors import StorageError  # noqa: E402
from bench.registry import load  # noqa: E402
from bench.results.layout import CHECKPOINTS  # noqa: E402

Make = Callable[..., RunConfig]
TASK = "2015-T14"


@pytest.fixture
def run(tmp_path: Path, small_corpus: Path, capfd: Any) -> Callable[..., tuple[int, str]]:
    """Types `bench run` with words of one's own; gives the exit code and what stood on standard error."""

    def typed(*words: str, data: Path | None = small_corpus) -> tuple[int, str]:
        task = "--resume" not in words
        data = data if task else None
        command = ["run", "--out", str(tmp_path / "runs")]
        command += [] if "--tracker" in words else ["--tracker", "none"]
        command += ["--task", TASK] if task else []
        command += ["--data", f"{TASK}={data}"] if data else []
        command += [] if "--model" in words else ["--model", "tiny-bert"]
        capfd.readouterr()
        code = main([*command, *words])
        printed = capfd.readouterr()
        assert "Traceback" not in printed.out + printed.err
        assert printed.err.count("error:") == 1
        assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").iterdir())
        return code, printed.err

    return typed


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--arch", "A5"], 2, "Unknown architecture 'A5'"),
        (["--quant", "nf5"], 2, "Did you mean 'nf4'"),
        (["--model", "tiny-bart"], 2, "Did you mean 'tiny-bert'"),
        (["--head", "spam"], 2, "Did you mean 'span'"),
        (["--waive", "smoek"], 2, "Did you mean 'smoke'"),
        (["--tracker", "wandbb"], 2, "wandb"),
        (["--model", "minilm-l6", "--quant", "awq"], 2, "These fit: "),
        (["--quant", "rtn", "--quant-when", "before"], 2, "quant"),
        (["--steps", "0"], 2, "--steps is 0"),
        (["--steps", "-3"], 2, "--steps"),
        (["--steps", "three"], 2, "three"),
        (["--steps", "3", "--epochs", "2"], 2, "one budget"),
        (["--lr", "nan"], 2, "--lr"),
        (["--lr", "-1"], 2, "--lr"),
        (["--epochs", "inf"], 2, "--epochs"),
        (["--max-length", "3"], 2, "--max-length is 3"),
        (["--rank", "0"], 2, "--rank is 0"),
        (["--seed", "-1"], 2, "--seed"),
        (["--memory-limit", "plenty"], 2, "plenty"),
        (["--max-hours", "0"], 2, "--max-hours"),
        (["--device", "tpu"], 2, "tpu"),
        (["--tokens", "1"], 2, "holds not one training example"),
        (["--tokens", "999999999999999"], 2, "times"),
        (["--tokens-like", "no-such-run"], 2, "no-such-run"),
        (["--config", "/no/such.toml"], 2, "There is no configuration file"),
        (["--resume", "no-such-run"], 2, "There is no run 'no-such-run'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_words_that_mean_nothing(run: Callable[..., tuple[int, str]], words: list[str], code: int, said: str) -> None:
    found, told = run(*words)
    assert found == code, told
    assert said in told


def no_split(folder: Path) -> None:
    shutil.rmtree(folder / "dev")


def empty_split(folder: Path) -> None:
    for path in (folder / "test").iterdir():
        path.unlink()


def no_mention(folder: Path) -> None:
    for path in (folder / "train").glob("*.pipe"):
        path.write_text("", encoding="utf-8")


def first_line(change: Callable[[list[str]], list[str]]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        path = min((folder / "train").glob("*.pipe"))
        lines = path.read_text(encoding="utf-8").splitlines()
        path.write_text("\n".join(["|".join(change(lines[0].split("|"))), *lines[1:]]) + "\n", encoding="utf-8")

    return damage


def not_utf8(folder: Path) -> None:
    path = min((folder / "train").glob("*.text"))
    path.write_bytes(path.read_bytes() + b"\xff\xfe\x00\x80")


def no_text(folder: Path) -> None:
    min((folder / "train").glob("*.text")).unlink()


def two_splits(folder: Path) -> None:
    for path in (folder / "train").glob(min(p.stem for p in (folder / "train").iterdir()) + ".*"):
        shutil.copy(path, folder / "dev" / path.name)


@pytest.mark.parametrize(
    "damage",
    [
        no_split,
        empty_split,
        no_mention,
        not_utf8,
        no_text,
        two_splits,
        first_line(lambda cells: [cells[0], "0-9999999", *cells[2:]]),
        first_line(lambda cells: [cells[0], "9-4", *cells[2:]]),
        first_line(lambda cells: cells[:7]),
        first_line(lambda cells: [*cells[:3], "perhaps", *cells[4:]]),
    ],
    ids=[
        "no split",
        "empty split",
        "no mention",
        "encoding",
        "no text",
        "two splits",
        "outside",
        "backwards",
        "columns",
        "slot",
    ],
)
def test_a_broken_corpus(
    run: Callable[..., tuple[int, str]], small_corpus: Path, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(small_corpus, folder)
    damage(folder)
    code, told = run(data=folder)
    assert code == 4, told
    assert str(folder) in told.replace("\n", "")


def test_a_corpus_that_is_no_folder(run: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    code, told = run(data=tmp_path / "nowhere")
    assert code == 2
    assert "there is no such folder" in told


@pytest.mark.parametrize("kind", ["nothing", "pickle", "no config"])
def test_a_model_folder_that_holds_no_model(run: Callable[..., tuple[int, str]], tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    if kind == "pickle":
        (folder / "config.json").write_text('{"model_type": "bert"}', encoding="utf-8")
        (folder / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    if kind == "no config":
        from safetensors.torch import save_file

        save_file({"weight": torch.zeros(2)}, folder / "model.safetensors")
    code, told = run("--model", str(folder))
    assert code in (2, 4, 5), told
    assert ("pickle" if kind == "pickle" else "config.json") in told


def test_a_disk_that_fills_while_checkpointing(tiny: Make, monkeypatch: pytest.MonkeyPatch, kit: Any) -> None:
    from bench.invariants import checkpoint

    config = tiny()
    sync = checkpoint.sync
    calls: list[Path] = []

    def full(path: Path) -> None:
        calls.append(path)
        if len(calls) > 8:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(path)

    monkeypatch.setattr(checkpoint, "sync", full)
    with pytest.raises(StorageError, match=r"No space left on device\. What was saved before is whole") as caught:
        runner.run(config, load())
    assert caught.value.exit_code == 7
    assert "--resume" in str(caught.value.hint)
    (folder,) = Path(config.out).iterdir()
    assert [path.name for path in (folder / CHECKPOINTS).iterdir()] == ["step-00000002"]
    monkeypatch.undo()
    from bench.invariants import smoke

    monkeypatch.setattr(smoke, "UPDATES", 5)
    assert runner.run(RunConfig(out=config.out, tracker=("none",)), load(), resume=folder.name).result_path is not None


@pytest.mark.usefixtures("own_cache")
def test_a_disk_that_is_full_from_the_start(tiny: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.data import cache

    config = tiny()
    real = Path.write_text

    def full(self: Path, *args: Any, **named: Any) -> int:
        if "encoded" in self.parts:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(self, *args, **named)

    monkeypatch.setattr(cache.Path, "write_text", full)
    with pytest.raises(StorageError, match="cannot be written: No space left on device"):
        runner.run(config, load())
    assert not list(Path(config.out).iterdir())
