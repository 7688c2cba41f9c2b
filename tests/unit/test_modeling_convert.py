"""`bench convert`: pickled weights as safetensors, and every pickle that is refused."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from bench.cli import main  # noqa: E402
from bench.errors import UsageError  # noqa: E402
from bench.modeling import convert as converting  # noqa: E402
from bench.modeling.convert import NOTE, convert, give_up_network  # noqa: E402
from bench.modeling.files import INDEX, PICKLE, PICKLE_INDEX, read_headers  # noqa: E402

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "mri", "##s", "the"]


def state() -> dict[str, Any]:
    torch.manual_seed(0)
    return {"a.weight": torch.randn(4, 3), "a.LayerNorm.gamma": torch.ones(4), "a.LayerNorm.beta": torch.zeros(4)}


def folder(path: Path, files: Mapping[str, Any], words: list[str] = WORDS) -> Path:
    path.mkdir()
    (path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    (path / "vocab.txt").write_text("\n".join(words))
    for name, held in files.items():
        torch.save(held, path / name)
    return path


def test_every_tensor_is_kept_and_layer_norms_have_their_present_names(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    whole = state()
    done = convert(folder(tmp_path / "old", {PICKLE: whole | {"step": 3}, "training_args.bin": {"lr": 1}}), tmp_path / "new")
    kept = load_file(tmp_path / "new" / "model.safetensors")
    names = {"a.LayerNorm.gamma": "a.LayerNorm.weight", "a.LayerNorm.beta": "a.LayerNorm.bias"}
    assert {name: t.tolist() for name, t in kept.items()} == {names.get(name, name): t.tolist() for name, t in whole.items()}
    assert (done.tensors, done.parameters, done.renamed, done.left_out) == (3, 20, 2, ("step",))
    note = json.loads((tmp_path / "new" / NOTE).read_text())
    assert note["source"] == "old"
    assert set(note["files"]) == {PICKLE}
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == ["config.json", NOTE, "model.safetensors", "vocab.txt"]


@pytest.mark.usefixtures("here")
def test_tied_and_transposed_and_wrapped_weights(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    table = torch.randn(5, 2)
    held = {"epoch": 1, "state_dict": {"module.in": table, "module.out": table, "module.turned": table.t()}}
    convert(folder(tmp_path / "old", {"last.ckpt": held}), tmp_path / "new")
    kept = load_file(tmp_path / "new" / "model.safetensors")
    assert kept["in"].tolist() == kept["out"].tolist() == kept["turned"].t().tolist() == table.tolist()


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reads pickles in this process: whoever starts another waits for torch."""
    monkeypatch.setattr(converting, "_in_a_process", lambda files, out: converting.written(files, out) | {"offline": False})


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.bool])
def test_dtypes_stay_and_so_do_numbers_that_are_none(tmp_path: Path, dtype: Any) -> None:
    from safetensors.torch import load_file

    held = torch.tensor([0, 1, 2]).to(dtype)
    if dtype.is_floating_point:
        held[0] = float("nan")
    convert(folder(tmp_path / "old", {PICKLE: {"x": held, "none": torch.zeros(0, 4), "scalar": held[1]}}), tmp_path / "new")
    kept = load_file(tmp_path / "new" / "model.safetensors")
    assert kept["x"].dtype == dtype
    assert torch.equal(kept["x"].view(torch.uint8), held.view(torch.uint8))
    assert (kept["none"].shape, kept["scalar"].shape) == ((0, 4), ())


@pytest.mark.usefixtures("here")
def test_the_format_before_torch_1_6(tmp_path: Path) -> None:
    old = folder(tmp_path / "old", {})
    torch.save(state(), old / PICKLE, _use_new_zipfile_serialization=False)
    assert not zipfile.is_zipfile(old / PICKLE)
    assert convert(old, tmp_path / "new").tensors == 3


@pytest.mark.usefixtures("here")
def test_shards_stay_shards(tmp_path: Path) -> None:
    first, second = {"a": torch.ones(2)}, {"b": torch.zeros(3)}
    old = folder(tmp_path / "old", {"pytorch_model-1-of-2.bin": first, "pytorch_model-2-of-2.bin": second})
    index = {"weight_map": {"a": "pytorch_model-1-of-2.bin", "b": "pytorch_model-2-of-2.bin"}}
    (old / PICKLE_INDEX).write_text(json.dumps(index))
    assert convert(old, tmp_path / "new").tensors == 2
    assert {name: header.shape for name, header in read_headers(tmp_path / "new").items()} == {"a": (2,), "b": (3,)}
    assert json.loads((tmp_path / "new" / INDEX).read_text())["weight_map"]["b"] == "model-00002-of-00002.safetensors"
    assert not (tmp_path / "new" / PICKLE_INDEX).exists()


class Evil:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("plain", [False, True])
def test_what_could_run_is_refused_and_has_not_run(tmp_path: Path, plain: bool) -> None:
    old = folder(tmp_path / "old", {})
    if plain:
        (old / PICKLE).write_bytes(pickle.dumps({"a": Evil(tmp_path / "ran")}))
    else:
        torch.save({"a": torch.ones(1), "b": Evil(tmp_path / "ran")}, old / PICKLE)
    with pytest.raises(UsageError, match=r"holds more than tensors|cannot be read") as refused:
        convert(old, tmp_path / "new")
    assert [p.name for p in tmp_path.iterdir()] == ["old"]
    assert plain or "system" in refused.value.message


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("held", "message"),
    [(b"no pickle at all", "cannot be read"), (b"", "cannot be read"), ([1, 2], "no tensors"), ({"a": 1}, "no tensors")],
)
def test_files_that_hold_no_weights(tmp_path: Path, held: Any, message: str) -> None:
    old = folder(tmp_path / "old", {})
    (old / PICKLE).write_bytes(held) if isinstance(held, bytes) else torch.save(held, old / PICKLE)
    with pytest.raises(UsageError, match=message):
        convert(old, tmp_path / "new")
    assert [p.name for p in tmp_path.iterdir()] == ["old"]


@pytest.mark.usefixtures("here")
def test_half_a_file(tmp_path: Path) -> None:
    old = folder(tmp_path / "old", {PICKLE: state()})
    whole = (old / PICKLE).read_bytes()
    (old / PICKLE).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UsageError, match="cannot be read"):
        convert(old, tmp_path / "new")


@pytest.mark.usefixtures("here")
def test_folders_that_cannot_be_converted(tmp_path: Path) -> None:
    old = folder(tmp_path / "old", {PICKLE: state()})
    with pytest.raises(UsageError, match="exists already"):
        convert(old, old)
    with pytest.raises(UsageError, match="no model folder"):
        convert(tmp_path / "nowhere", tmp_path / "new")
    with pytest.raises(UsageError, match="several files"):
        convert(folder(tmp_path / "two", {"a.bin": state(), "b.bin": state()}), tmp_path / "new")
    with pytest.raises(UsageError, match="no weights"):
        convert(folder(tmp_path / "none", {"training_args.bin": {}}), tmp_path / "new")
    convert(old, tmp_path / "new")
    with pytest.raises(UsageError, match="safetensors already"):
        convert(tmp_path / "new", tmp_path / "again")


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("words", "settings", "kept"),
    [
        (WORDS, None, None),
        ([*WORDS, "MRI"], None, False),
        ([*WORDS, "MRI"], {"do_lower_case": True}, True),
        ([*WORDS, "MRI"], {"model_max_length": 512}, False),
    ],
)
def test_a_vocabulary_with_capitals_is_not_lower_cased(
    tmp_path: Path, words: list[str], settings: dict[str, Any] | None, kept: bool | None
) -> None:
    old = folder(tmp_path / "old", {PICKLE: state()}, words)
    if settings is not None:
        (old / "tokenizer_config.json").write_text(json.dumps(settings))
    convert(old, tmp_path / "new")
    path = tmp_path / "new" / "tokenizer_config.json"
    said = json.loads(path.read_text()) if path.is_file() else {}
    assert said.get("do_lower_case") is kept
    assert {k: v for k, v in said.items() if k != "do_lower_case"} == {
        k: v for k, v in (settings or {}).items() if k != "do_lower_case"
    }


def test_a_network_that_is_given_up_leads_nowhere() -> None:
    """In a child, since it is given up for good."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        import socket

        answer = b"let"
        if give_up_network():
            try:
                socket.create_connection(("127.0.0.1", 9), timeout=2)
            except OSError as error:
                answer = b"none" if error.errno == 101 else str(error).encode()  # ENETUNREACH: not even loopback is up
        os.write(write, answer)
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 100) in (b"let", b"none")


def test_a_run_takes_what_was_converted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A tiny BERT as the field publishes them, from the refusal over the command that it names to the plan of a run."""
    from safetensors.torch import load_file

    from bench import user_cache
    from bench.modeling.find import find_model
    from bench.registry import load

    made = find_model("tiny-bert", load(), user_cache.folder("models")).folder()
    old = tmp_path / "old"
    old.mkdir()
    for path in made.iterdir():
        if path.suffix == ".json":
            (old / path.name).write_bytes(path.read_bytes())
    torch.save(load_file(made / "model.safetensors"), old / PICKLE)
    run = ["run", "--task", "2015-T14", "--steps", "2", "--dry-run", "--tracker", "none", "--model"]
    assert main([*run, str(old)]) == 2
    refused = capsys.readouterr().err
    assert f"bench convert {old} NEW_FOLDER" in refused
    assert "--convert does so into the cache" in refused
    assert main(["convert", str(old), str(tmp_path / "new")]) == 0
    assert "each equals its source" in capsys.readouterr().out
    assert (
        find_model(str(tmp_path / "new"), load(), tmp_path).spec.parameters
        == find_model("tiny-bert", load(), tmp_path).spec.parameters
    )


def test_a_run_converts_on_the_fly_and_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors.torch import load_file

    from bench import user_cache
    from bench.modeling.find import find_model
    from bench.registry import load

    made = find_model("tiny-bert", load(), user_cache.folder("models")).folder()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    old = tmp_path / "old"
    old.mkdir()
    for path in made.iterdir():
        if path.suffix == ".json":
            (old / path.name).write_bytes(path.read_bytes())
    torch.save(load_file(made / "model.safetensors"), old / PICKLE)
    times = []
    real = converting.convert
    monkeypatch.setattr(converting, "convert", lambda *given: times.append(given) or real(*given))
    run = ["run", "--task", "2015-T14", "--steps", "2", "--dry-run", "--tracker", "none", "--model", str(old), "--convert"]
    assert main(run) == 0
    first = find_model(str(old), load(), tmp_path, convert=True)
    assert len(times) == 1
    assert first.folder().parent == user_cache.folder("derived")
    assert first.folder().parent.stat().st_mode & 0o777 == 0o700
    assert json.loads((first.folder() / NOTE).read_text())["source"] == "old"
    (old / "config.json").write_text((old / "config.json").read_text() + " ")
    assert find_model(str(old), load(), tmp_path, convert=True).folder() != first.folder()
    # What has safetensors is taken as it is.
    assert find_model(str(made), load(), tmp_path, convert=True).folder() == made.resolve()
