"""Files of a model folder: which ones hold the weights, their hash, and folders that are written completely or not at all."""

from __future__ import annotations

import contextlib
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any

from bench import user_cache
from bench.durable import sync
from bench.errors import StorageError, UsageError, storable
from bench.sealed import read_sealed, write_sealed
from bench.wording import some

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
REMEMBERED = 256 * 2**20
"""Least size in bytes of a file whose hash is kept in the user's cache: SHA-256 reads some 1.5 GB a second."""
WEIGHTS = "model.safetensors"
INDEX = f"{WEIGHTS}.index.json"
PICKLE = "pytorch_model.bin"
PICKLE_INDEX = f"{PICKLE}.index.json"
COMPANIONS = (".json", ".txt", ".model", ".jinja")
"""Suffixes of what stands beside the weights: configuration and tokenizer."""
_NO_WEIGHTS = ("training_args", "optimizer", "scheduler", "scaler", "rng_state", "tf_model")


@dataclass(frozen=True)
class Header:
    """One tensor as a safetensors header describes it: dtype such as ``F32``, shape, and bytes on disk."""

    dtype: str
    shape: tuple[int, ...]
    bytes: int

    @property
    def numel(self) -> int:
        """Number of elements."""
        return prod(self.shape)


def weight_files(folder: Path) -> tuple[Path, ...]:
    """The safetensors files that hold the model's weights, in a fixed order.

    Raises:
        UsageError: the folder is missing, has no safetensors, has only pickle weights, or lacks a shard.
    """
    if not folder.is_dir():
        raise UsageError(
            f"There is no model folder {folder}.", "Give a folder, a hub id 'org/name@revision', or see 'bench list models'."
        )
    if (folder / INDEX).is_file():
        index = read_json(folder / INDEX)
        shards = index.get("weight_map", {})
        if not isinstance(shards, dict):
            raise UsageError(f"{folder / INDEX} has no weight_map of tensors to files.", "Copy the folder again, whole.")
        names = sorted({str(n) for n in shards.values()})
        for name in names:
            if Path(name).name != name or not name.endswith(".safetensors"):
                raise UsageError(f"{folder / INDEX} names the shard {name!r}, which is no safetensors file of that folder.")
            if not (folder / name).is_file():
                raise UsageError(f"Model folder {folder} misses the shard {name}.", "Copy the folder again, whole.")
        if names:
            return tuple(folder / n for n in names)
    if (folder / WEIGHTS).is_file():
        return (folder / WEIGHTS,)
    files = sorted(p for p in folder.glob("*.safetensors") if not p.name.startswith("adapter_"))
    if len(files) == 1:  # AutoGPTQ names it after its settings: gptq_model-4bit-128g.safetensors
        return (files[0],)
    if files:
        names = [p.name for p in files]
        raise UsageError(f"Model folder {folder} has several safetensors files and no {INDEX}: {', '.join(names[:4])}.")
    pickles = sorted(p.name for p in folder.iterdir() if p.suffix in PICKLES)
    if pickles:
        raise UsageError(
            f"Model folder {folder} has only pickle weights ({', '.join(pickles[:3])}), which can run code and are never read.",
            f"bench convert {folder} NEW_FOLDER writes them as safetensors, without running anything; "
            "--convert does so into the cache.",
        )
    raise UsageError(
        f"Model folder {folder} has no safetensors weights.", "It must hold config.json, model.safetensors and tokenizer.json."
    )


def only_pickles(folder: Path) -> bool:
    """Whether a model folder has pickles and no safetensors."""
    return folder.is_dir() and not any(folder.glob("*.safetensors")) and any(p.suffix in PICKLES for p in folder.iterdir())


def pickle_files(folder: Path) -> tuple[Path, ...]:
    """The pickles that hold the model's weights, in a fixed order, without those of optimizers and training settings.

    Raises:
        UsageError: the folder is missing, has no configuration, no pickle or several, lacks a shard, or has safetensors.
    """
    if not folder.is_dir():
        raise UsageError(f"There is no model folder {folder}.", f"Give one with config.json and {PICKLE}, or a hub id.")
    if not (folder / "config.json").is_file():
        raise UsageError(f"Model folder {folder} has no config.json.", "Copy it from where the weights come from.")
    if any(not p.name.startswith("adapter_") for p in folder.glob("*.safetensors")):
        raise UsageError(f"Model folder {folder} has safetensors already.", f"Use it as it is: --model {folder}")
    if (folder / PICKLE_INDEX).is_file():
        shards = read_json(folder / PICKLE_INDEX).get("weight_map")
        if not isinstance(shards, dict) or not shards:
            raise UsageError(f"{folder / PICKLE_INDEX} has no weight_map of tensors to files.", "Copy the folder again, whole.")
        names = sorted({str(name) for name in shards.values()})
        for name in names:
            if Path(name).name != name or not (folder / name).is_file():
                raise UsageError(f"Model folder {folder} misses the shard {name}.", "Copy the folder again, whole.")
        return tuple(folder / name for name in names)
    if (folder / PICKLE).is_file():
        return (folder / PICKLE,)
    pickles = sorted(p for p in folder.iterdir() if p.suffix in PICKLES and p.stem not in _NO_WEIGHTS)
    if len(pickles) == 1:
        return (pickles[0],)
    if pickles:
        raise UsageError(
            f"Model folder {folder} has several files of pickled weights and no {PICKLE_INDEX}: "
            f"{', '.join(p.name for p in pickles[:4])}.",
            f"Leave the one that holds the model, as {PICKLE}.",
        )
    raise UsageError(f"Model folder {folder} has no weights.", f"Wanted {PICKLE} beside config.json.")


def read_headers(folder: Path) -> dict[str, Header]:
    """Tensor name to header, of all weight files of a folder; the weights are not read.

    Raises:
        UsageError: as in `weight_files`, or a file is incomplete.
    """
    headers: dict[str, Header] = {}
    for path in weight_files(folder):
        headers |= _header(path)
    return headers


def _header(path: Path) -> dict[str, Header]:
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else -1
        if not 0 < length <= size - 8:
            raise UsageError(f"{path} is no safetensors file, or is cut short.", "Copy it again, whole.")
        try:
            header: dict[str, Any] = json.loads(file.read(length))
            tensors = {name: _tensor(entry) for name, entry in header.items() if name != "__metadata__"}
            end = max((int(e["data_offsets"][1]) for n, e in header.items() if n != "__metadata__"), default=0)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
            raise UsageError(f"{path} is no safetensors file: its header cannot be read.", "Copy it again, whole.") from None
    if end + 8 + length > size:
        raise UsageError(f"{path} is cut short: {some(size, 'byte')} of {end + 8 + length:,}.", "Copy it again, whole.")
    return tensors


def _tensor(entry: dict[str, Any]) -> Header:
    start, end = entry["data_offsets"]
    shape = tuple(entry["shape"])
    if not all(isinstance(number, int) and number >= 0 for number in (start, end, *shape)):
        raise ValueError("offsets and shapes are counts")
    return Header(str(entry["dtype"]), shape, end - start)


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON object from a file.

    Raises:
        UsageError: the file cannot be read or holds no object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise UsageError(f"{path} is not a JSON object.")
    return value


def sha256_file(path: Path) -> str:
    """SHA-256 of a file, cached while its size and times do not change; of a large file in the user's cache, for later runs."""
    real = path.resolve()
    stat = real.stat()
    return _sha256(real, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)


@lru_cache(maxsize=256)
def _sha256(path: Path, size: int, *stamps: int) -> str:
    if size < REMEMBERED:
        return read_sha256(path)
    # The time of the last change of the inode is none that a program can set back.
    key = {"path": str(path), "size": size, "stamps": stamps}
    with contextlib.suppress(OSError, StorageError):  # a cache that cannot be written costs the next run some seconds
        cache_file = user_cache.path("hashes", "weights", ".json", key)
        known = read_sealed(cache_file) or {"of": read_sha256(path)}
        write_sealed(cache_file, known)
        return str(known["of"])
    return read_sha256(path)


def read_sha256(path: Path) -> str:
    """SHA-256 of a file, read now, in whole."""
    from hashlib import sha256

    digest = sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def sha256_folder(folder: Path) -> str:
    """SHA-256 over what decides a model's outputs: its weight files, its configuration and its tokenizer, by name.

    Merges, vocabularies and SentencePiece models decide where there is no ``tokenizer.json``, which is made of them then.
    """
    from hashlib import sha256

    digest = sha256()
    others = [
        folder / name
        for name in (
            "config.json",
            "tokenizer.json",
            "tokenizer_config.json",
            "vocab.txt",
            "quantize_config.json",
            "quant_config.json",
        )
    ]
    if not (folder / "tokenizer.json").is_file():
        others += [folder / name for name in ("vocab.json", "merges.txt", "added_tokens.json", "special_tokens_map.json")]
        others += sorted(folder.glob("*.model"))
    for path in (*weight_files(folder), *others):
        if path.is_file():
            digest.update(f"{path.name}\0{sha256_file(path)}\n".encode())
    return digest.hexdigest()


def weight_bytes(folder: Path) -> int:
    """Total bytes of the folder's weight files."""
    return sum(p.stat().st_size for p in weight_files(folder))


@contextlib.contextmanager
def written_whole(out: Path, mode: int = 0o755) -> Iterator[Path]:
    """Gives an empty folder that becomes `out` when the block ends without an error, and is deleted otherwise.

    `mode` says who may use the folder.

    Raises:
        StorageError: the disk is full or cannot be written.
    """
    import shutil
    import tempfile

    temporary = None
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
        temporary.chmod(mode)
        yield temporary
        for path in temporary.rglob("*"):
            if path.is_file():
                sync(path)
        try:
            temporary.rename(out)
        except OSError:
            if not out.is_dir():
                raise
            # It exists: another process was first, or an older folder is replaced.
            old = Path(tempfile.mkdtemp(prefix=f".{out.name}.old.", dir=out.parent))
            out.rename(old / "old")
            temporary.rename(out)
            shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        if error.filename is None and error.errno is None:
            raise  # not of the file system: a library's own OSError
        with storable(out):
            raise
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def copy_companions(source: Path, out: Path) -> None:
    """Copies what stands beside the weights: configuration and tokenizer files, never code, weights or an index of shards."""
    from shutil import copyfile

    for path in sorted(source.iterdir()):
        if path.is_file() and path.name not in (INDEX, PICKLE_INDEX) and path.suffix in COMPANIONS:
            copyfile(path, out / path.name)
