"""Checkpoints are whole or not there, and say which part of them is not what was written."""

from __future__ import annotations

import errno
import json
import os
import random
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from bench.errors import RunStateError, StorageError  # noqa: E402
from bench.invariants import checkpoint as checkpoints  # noqa: E402
from bench.invariants.checkpoint import MANIFEST, PARTS, Checkpoint  # noqa: E402


def made(step: int) -> Checkpoint:
    tensors, others = checkpoints.random_state()
    generator = torch.Generator().manual_seed(step)
    return Checkpoint(
        step=step,
        model={"a": torch.randn(4, 3, generator=generator).t(), "b": torch.randn(2, generator=generator).bfloat16()},
        optimizer={"a/exp_avg": torch.randn(3, 4, generator=generator), "a/step": torch.tensor(float(step))},
        random=tensors,
        state={"step": step, "random": others, "score": 0.1 + 0.2, "none": None},
    )


def saved(root: Path, *steps: int, **named: int) -> None:
    for step in steps:
        checkpoints.save(root, made(step), **named)


def newest(root: Path) -> tuple[int | None, list[str]]:
    warned: list[str] = []
    found = checkpoints.newest(root, warned.append)
    return found and found.step, warned


def test_what_is_saved_comes_back_bit_for_bit(tmp_path: Path) -> None:
    wanted = made(7)
    checkpoints.save(tmp_path, wanted)
    found = checkpoints.load(tmp_path, 7)
    assert found.step == 7
    for name in ("model", "optimizer", "random"):
        mine, its = getattr(found, name), getattr(wanted, name)
        assert mine.keys() == its.keys()
        assert all(mine[key].dtype == its[key].dtype and torch.equal(mine[key], its[key]) for key in its)
    assert found.state == json.loads(json.dumps(wanted.state))
    assert found.state["score"] == 0.1 + 0.2


def test_random_states_come_back(tmp_path: Path) -> None:
    checkpoints.save(tmp_path, made(1))
    drawn = random.random(), float(np.random.normal()), float(torch.rand(()))
    found = checkpoints.load(tmp_path, 1)
    checkpoints.set_random_state(found.random, found.state["random"])
    assert (random.random(), float(np.random.normal()), float(torch.rand(()))) == drawn


def test_nothing_there_is_nothing_found(tmp_path: Path) -> None:
    assert newest(tmp_path / "never made") == (None, [])


@pytest.mark.parametrize("how", ["cut", "flipped"])
@pytest.mark.parametrize("part", PARTS)
def test_a_damaged_part_falls_back_and_says_so(tmp_path: Path, part: str, how: str) -> None:
    saved(tmp_path, 5, 10)
    path = checkpoints.folder_of(tmp_path, 10) / part
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(
        content[:middle] if how == "cut" else content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    )
    step, warned = newest(tmp_path)
    assert step == 5
    assert warned == [f"step-00000010/{part} is damaged; the checkpoint before it is taken."]


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"parts": 3}', b'{"step": 10, "parts": {"model.safetensors": {}}}', b"\xff"]
)
def test_an_unreadable_manifest_falls_back(tmp_path: Path, content: bytes) -> None:
    saved(tmp_path, 5, 10)
    (checkpoints.folder_of(tmp_path, 10) / MANIFEST).write_bytes(content)
    step, warned = newest(tmp_path)
    assert step == 5
    assert warned == ["step-00000010 has no readable manifest; the checkpoint before it is taken."]


def test_a_folder_without_a_manifest_falls_back(tmp_path: Path) -> None:
    saved(tmp_path, 5, 10)
    (checkpoints.folder_of(tmp_path, 10) / MANIFEST).unlink()
    assert newest(tmp_path)[0] == 5


@pytest.mark.parametrize("part", PARTS)
def test_a_missing_part_is_an_error_and_no_silent_restart(tmp_path: Path, part: str) -> None:
    saved(tmp_path, 5, 10)
    (checkpoints.folder_of(tmp_path, 10) / part).unlink()
    with pytest.raises(RunStateError, match=f"step-00000010 lacks {part}") as caught:
        newest(tmp_path)
    assert not isinstance(caught.value, checkpoints.DamagedError)
    assert caught.value.exit_code == 6


def test_all_damaged_is_an_error(tmp_path: Path) -> None:
    saved(tmp_path, 5, 10)
    for step in (5, 10):
        (checkpoints.folder_of(tmp_path, step) / PARTS[0]).write_bytes(b"")
    with pytest.raises(RunStateError, match=r"No checkpoint below .* is whole"):
        newest(tmp_path)


def test_the_newest_and_the_best_are_kept(tmp_path: Path) -> None:
    saved(tmp_path, 1, 2, 3, 4, 5, best=2)
    assert checkpoints.steps(tmp_path) == [2, 4, 5]
    saved(tmp_path, 6, best=6)
    assert checkpoints.steps(tmp_path) == [5, 6]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000005", "step-00000006"]


def test_the_same_step_again_replaces_it(tmp_path: Path) -> None:
    saved(tmp_path, 3)
    (checkpoints.folder_of(tmp_path, 3) / PARTS[0]).write_bytes(b"damaged")
    saved(tmp_path, 3)
    assert newest(tmp_path) == (3, [])


@pytest.mark.parametrize("where", ["model.safetensors", "random.safetensors", "state.json", MANIFEST, "sync", "rename"])
def test_a_full_disk_leaves_what_was_saved_before_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    saved(tmp_path, 5)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    import safetensors.torch

    write_text, save_file = Path.write_text, safetensors.torch.save_file

    def text(self: Path, *args: object, **named: object) -> int:
        if self.name == where:
            write_text(self, "half")
            raise full
        return write_text(self, *args, **named)  # type: ignore[arg-type]

    def tensors(content: object, path: Path, *rest: object) -> None:
        if path.name == where:
            path.write_bytes(b"half")
            raise safetensors.SafetensorError("Error while serializing: IoError(No space left on device (os error 28))")
        save_file(content, path)

    def fail(*args: object) -> None:
        raise full

    monkeypatch.setattr(Path, "write_text", text)
    monkeypatch.setattr(safetensors.torch, "save_file", tensors)
    if where == "sync":
        monkeypatch.setattr(os, "fsync", fail)
    if where == "rename":
        monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(StorageError, match=r"at update 10 could not be written: .*No space left") as caught:
        checkpoints.save(tmp_path, made(10))
    monkeypatch.undo()
    assert caught.value.exit_code == 7
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert newest(tmp_path) == (5, [])
    saved(tmp_path, 10)
    assert newest(tmp_path) == (10, [])


@pytest.mark.parametrize("moment", ["replacing", "pruning"])
def test_a_kill_while_old_files_go_leaves_no_checkpoint_in_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """A checkpoint that lacks parts is an error on resume, so one on its way out must not look like one."""
    saved(tmp_path, 1, 2)

    class Killed(BaseException):
        pass

    def half(path: Path, ignore_errors: bool = False) -> None:
        if path.exists():
            (path / PARTS[1]).unlink()
            raise Killed

    monkeypatch.setattr(checkpoints.shutil, "rmtree", half)
    with pytest.raises(Killed):
        checkpoints.save(tmp_path, made(2 if moment == "replacing" else 3))
    monkeypatch.undo()
    checkpoints.clear_unfinished(tmp_path)
    for step in checkpoints.steps(tmp_path):
        checkpoints.load(tmp_path, step)
    assert newest(tmp_path)[0] in ((1, 2) if moment == "replacing" else (3,))
    assert all(path.name.startswith("step-") for path in tmp_path.iterdir())
