"""Any model folder: a run that finishes, or one message with an exit code that `bench --help` lists; never "a bug in bench"."""

from __future__ import annotations

import json
import random
import shutil
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")
from safetensors import SafetensorError  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

from bench.registry import load  # noqa: E402

TASK = "2015-T14"
MODELS = ("tiny-bert", "tiny-llama")
ODD: list[Any] = [
    None,
    0,
    1,
    -1,
    3,
    7,
    10**9,
    10**30,
    0.5,
    -1.0,
    1e308,
    True,
    False,
    "",
    "x",
    "bert",
    "gelu",
    [],
    [1],
    {},
    {"a": 1},
]
NUMBERS = [0, 1, 2, 3, 5, 31, 63, 65, 128, 1000, 1663, 1665, -64]


def in_json(draw: random.Random, path: Path) -> None:
    """Takes a key of a JSON object away, or gives it another value."""
    value = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(value, dict) or not value:
        return
    key = draw.choice(sorted(value))
    odd = NUMBERS if isinstance(value[key], int) and draw.random() < 0.6 else ODD
    if draw.random() < 0.25:
        del value[key]
    else:
        value[key] = draw.choice(odd)
    path.write_text(json.dumps(value), encoding="utf-8")


def config(draw: random.Random, folder: Path) -> None:
    """A key of the configuration."""
    in_json(draw, folder / "config.json")


def settings(draw: random.Random, folder: Path) -> None:
    """A key of the tokenizer's configuration."""
    in_json(draw, folder / "tokenizer_config.json")


def tokenizer(draw: random.Random, folder: Path) -> None:
    """A part of `tokenizer.json`, one or two levels down."""
    path = folder / "tokenizer.json"
    value = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(value, dict) or not value:
        return
    at = value
    inner = value.get(draw.choice(sorted(value)))
    if isinstance(inner, dict) and inner and draw.random() < 0.6:
        at = inner
    key = draw.choice(sorted(at))
    if draw.random() < 0.3:
        del at[key]
    else:
        at[key] = draw.choice(ODD)
    path.write_text(json.dumps(value), encoding="utf-8")


def added_tokens(draw: random.Random, folder: Path) -> None:
    """Tokens past the embedding table, some of which stand in any text."""
    path = folder / "tokenizer.json"
    value = json.loads(path.read_text(encoding="utf-8"))
    for word in draw.sample(["the", "e", "pain", "patient", "[NEW]", " "], 2):
        token = {"id": draw.choice([1024, 1664, 1700, 10**6, 3]), "content": word, "single_word": False, "lstrip": False}
        value["added_tokens"].append(token | {"rstrip": False, "normalized": True, "special": draw.random() < 0.3})
    path.write_text(json.dumps(value), encoding="utf-8")


def smaller_vocabulary(draw: random.Random, folder: Path) -> None:
    """An embedding table with fewer rows than the tokenizer has tokens."""
    rows = draw.choice([1, 100, 1000, 1600])
    path = folder / "config.json"
    value = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(value | {"vocab_size": rows}), encoding="utf-8")

    def cut(name: str, tensor: Any) -> Any:
        return tensor[:rows].clone() if "word_embeddings" in name or "embed_tokens" in name or "lm_head" in name else tensor

    tensors(folder, cut)


def tensors(folder: Path, change: Callable[[str, Any], Any]) -> None:
    """Writes the weights anew; what becomes None is left out."""
    path = folder / "model.safetensors"
    changed = {name: change(name, tensor) for name, tensor in load_file(path).items()}
    save_file({name: t.contiguous() for name, t in changed.items() if t is not None}, path, metadata={"format": "pt"})


def weights(draw: random.Random, folder: Path) -> None:
    """One tensor: gone, of another shape or dtype, or with numbers that are none."""
    names = sorted(load_file(folder / "model.safetensors"))
    chosen, how = draw.choice(names), draw.randrange(8)

    def change(name: str, tensor: Any) -> Any:
        if name != chosen:
            return tensor
        odd = [
            lambda: None, lambda: tensor.flatten(), lambda: tensor[:1], lambda: tensor.to(torch.int64), lambda: tensor.half(),
            lambda: tensor * float("nan"), lambda: tensor * 1e38, lambda: tensor[:0],
        ]  # fmt: skip
        return odd[how]()

    tensors(folder, change)


def dtype(draw: random.Random, folder: Path) -> None:
    """All tensors of another dtype."""
    kind = draw.choice([torch.float16, torch.bfloat16, torch.float64, torch.int8, torch.bool, torch.float8_e4m3fn])
    tensors(folder, lambda name, tensor: tensor.to(kind))


def prefix(draw: random.Random, folder: Path) -> None:
    """Names with something before them, or renumbered layers."""
    path = folder / "model.safetensors"
    old, new = draw.choice([("", "bert."), ("", "x."), (".0.", ".5."), ("layer", "block"), ("weight", "w")])
    save_file({name.replace(old, new, 1): t for name, t in load_file(path).items()}, path)


def layers(draw: random.Random, folder: Path) -> None:
    """Another number of layers, heads or width than the weights have."""
    path = folder / "config.json"
    value = json.loads(path.read_text(encoding="utf-8"))
    key = draw.choice(
        ["num_hidden_layers", "num_attention_heads", "hidden_size", "intermediate_size", "max_position_embeddings"]
    )
    path.write_text(json.dumps(value | {key: draw.choice(NUMBERS)}), encoding="utf-8")


def file_bytes(draw: random.Random, folder: Path) -> None:
    """A file: gone, empty, cut, a folder, or with a few bytes changed."""
    path = draw.choice(sorted(path for path in folder.iterdir() if path.is_file()))
    content = bytearray(path.read_bytes())
    how = draw.randrange(5)
    if how == 0:
        path.unlink()
    elif how == 1:
        path.write_bytes(b"")
    elif how == 2:
        path.write_bytes(content[: draw.randrange(len(content))])
    elif how == 3:
        path.unlink()
        path.mkdir()
    else:
        for _ in range(3):
            content[draw.randrange(min(len(content), 4000))] = draw.randrange(256)
        path.write_bytes(content)


def header(draw: random.Random, folder: Path) -> None:
    """A field of one tensor in the header of the weights."""
    path = folder / "model.safetensors"
    content = path.read_bytes()
    size = struct.unpack("<Q", content[:8])[0]
    value = json.loads(content[8 : 8 + size])
    entry = value[draw.choice(sorted(value))]
    entry[draw.choice(sorted(entry))] = draw.choice([*ODD, [0, 4], [4, 0], [-4, 0], ["a"], [10**20], "F4", "I32"])
    made = json.dumps(value).encode()
    path.write_bytes(struct.pack("<Q", len(made)) + made + content[8 + size :])


def extra(draw: random.Random, folder: Path) -> None:
    """A file beside the others that changes how the folder is read."""
    name, content = draw.choice([
        ("model.safetensors.index.json", '{"weight_map": {"a": "model.safetensors"}}'), ("generation_config.json", "["),
        ("model.safetensors.index.json", '{"weight_map": []}'), ("model.safetensors.index.json", "[]"),
        ("quantize_config.json", '{"bits": 4, "group_size": 64}'), ("quant_config.json", '{"w_bit": "x"}'),
        ("adapter_config.json", "{}"),
        ("special_tokens_map.json", '{"pad_token": "never"}'), ("added_tokens.json", '{"x": 99999}'),
        ("special_tokens_map.json", "[]"), ("vocab.txt", "a\nb\n"), ("chat_template.jinja", "{{"), ("modeling.py", "1/0"),
    ])  # fmt: skip
    (folder / name).write_text(content, encoding="utf-8")


DAMAGES = [
    config, config, settings, tokenizer, added_tokens, smaller_vocabulary, weights, dtype, prefix, layers, file_bytes, header,
    extra,
]  # fmt: skip


@pytest.fixture
def ground(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a corpus and whole models."""
    monkeypatch.chdir(tmp_path)
    load().get("tasks", TASK).synthesize(tmp_path / "corpus", 3, {"train": 2, "dev": 1, "test": 1})
    for name in MODELS:
        shutil.copytree(load().get("models", name).folder(tmp_path / "cache"), tmp_path / name)
    return tmp_path


def words(draw: random.Random, whole: bool) -> list[str]:
    """A run or its plan; short, and without the smoke test, which would refuse most of these models."""
    told = ["run", "--task", TASK, "--data", f"{TASK}=corpus", "--model", "./model", "--head", "bio", "--tracker", "none"]
    told += ["--steps", "3", "--batch-tokens", "256", "--micro-batch", "256", "--waive", "smoke", "--max-length", "64"]
    told += ["--quant", draw.choice(["none", "none", "rtn", "int8", "nf4"]), "--arch", draw.choice(["A1", "A4"])]
    told += ["--precision", draw.choice(["fp32", "bf16"]), "--lr", draw.choice(["0.001", "1", "1000"]), "--waive", "parity"]
    return told if whole else [*told, "--dry-run"]


REFUSALS = (OSError, ValueError, RuntimeError, LookupError, TypeError, AttributeError, SafetensorError)


@pytest.fixture
def case(ground: Path) -> Callable[[float], Callable[[random.Random], tuple[str, list[str]]]]:
    """Makes what readies a case: a damaged model; a share of the runs is to go to the end."""

    def of(whole: float) -> Callable[[random.Random], tuple[str, list[str]]]:
        def prepare(draw: random.Random) -> tuple[str, list[str]]:
            shutil.rmtree(ground / "model", ignore_errors=True)
            shutil.rmtree(ground / "runs", ignore_errors=True)
            shutil.copytree(ground / draw.choice(MODELS), ground / "model")
            damages = draw.sample(DAMAGES, draw.choice([1, 1, 2]))
            for damage in damages:
                with suppress(*REFUSALS):  # nothing left to change, or spoiled before
                    damage(draw, ground / "model")
            return f", {[damage.__name__ for damage in damages]}", words(draw, draw.random() < whole)

        return prepare

    return of


def test_damaged_models_quickly(case: Any, fuzz: Any) -> None:
    fuzz(case(0.0), 20)


@pytest.mark.nightly
def test_damaged_models(case: Any, fuzz: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.invariants import smoke

    monkeypatch.setattr(smoke, "UPDATES", 5)
    monkeypatch.setattr(smoke, "EXAMPLES", 8)
    fuzz(case(0.4))
