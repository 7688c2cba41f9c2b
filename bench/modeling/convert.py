"""Converts pickled weights to safetensors. BioBERT, Bio_ClinicalBERT and PubMedBERT are published as ``pytorch_model.bin``.

A pickle can run code when it is read. Here ``torch.load(weights_only=True)`` reads it, which allows only tensors and plain
containers, in a separate process that disconnects itself from the network where the system allows it. What is written is read
back and compared tensor by tensor before the folder appears.
"""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import user_cache
from bench.errors import MissingError, OutOfMemory, UsageError
from bench.modeling.files import (
    COMPANIONS,
    INDEX,
    WEIGHTS,
    copy_companions,
    pickle_files,
    read_json,
    sha256_file,
    written_whole,
)

if TYPE_CHECKING:
    import torch

NOTE = "conversion.json"
"""File of the converted folder that describes its source."""
OLDEST_TORCH = (2, 6)
"""Earlier versions could run code even with ``weights_only=True`` (CVE-2025-32434)."""
WRAPPED = ("state_dict", "model", "module", "model_state_dict")
"""Keys under which training scripts store the weights."""
RENAMED = {"gamma": "weight", "beta": "bias"}
"""Names of a LayerNorm's parameters in checkpoints that came from TensorFlow."""
_SPECIAL = re.compile(r"\[.*\]|<.*>")
_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000


@dataclass(frozen=True)
class Converted:
    """Record of a conversion.

    Args:
        source: name of the pickled model's folder, or the hub id.
        files: name of each pickle to its SHA-256.
        torch: version of torch that read them.
        tensors: number of tensors; each was compared with its source.
        parameters: number of values in the tensors.
        bytes: size of the tensors.
        renamed: number of tensors whose names ended in ``gamma`` or ``beta``.
        left_out: names of entries that are no tensors.
        offline: whether the process that read the pickles had no network.
        keeps_case: whether the tokenizer was set to keep case, since its vocabulary has capitals and no file says so.
    """

    source: str
    files: Mapping[str, str]
    torch: str
    tensors: int
    parameters: int
    bytes: int
    renamed: int
    left_out: tuple[str, ...]
    offline: bool
    keeps_case: bool


def convert(source: Path, out: Path, name: str | None = None) -> Converted:
    """Writes a copy of a model folder with safetensors instead of pickles; a failure leaves no folder.

    Args:
        source: a model folder with ``config.json`` and pickled weights.
        out: the new folder; it must not exist, or be empty.
        name: name of the source in the record; None: its folder's name.

    Raises:
        UsageError: there is nothing to convert, `out` is in use, or a pickle is damaged or holds more than tensors.
        MissingError: the installed torch is too old to read pickles safely.
        OutOfMemory: the largest file does not fit into memory.
        StorageError: the disk is full or cannot be written.
    """
    pickles = pickle_files(source)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} exists already.", "Name a folder that does not.")
    files = {path.name: sha256_file(path) for path in pickles}
    with written_whole(out) as folder:
        copy_companions(source, folder)
        done = _in_a_process(pickles, folder)
        if "tensors" not in done:
            raise _refusal(done, pickles)
        done |= {"left_out": tuple(done["left_out"]), "keeps_case": _keep_case(folder)}
        converted = Converted(name or source.resolve().name, files, **done)
        (folder / NOTE).write_text(json.dumps(asdict(converted), indent=2) + "\n", encoding="utf-8")
    return converted


def converted(source: Path, name: str | None = None) -> Path:
    """The conversion of a model folder in the user's cache, made at the first call.

    Args:
        source: a model folder with ``config.json`` and pickled weights.
        name: name of the source in the record; None: its folder's name.

    Raises:
        BenchError: as `convert`.
    """
    companions = (p for p in source.iterdir() if p.is_file() and p.suffix in COMPANIONS)
    files = {path.name: sha256_file(path) for path in (*pickle_files(source), *companions)}
    out = user_cache.path("derived", "converted", "", files)
    if not out.is_dir():
        convert(source, out, name)
    return out


def _keep_case(folder: Path) -> bool:
    """Sets the tokenizer to keep case if ``vocab.txt`` is its only file and has words with capitals.

    transformers lower-cases text for such a folder (Bio_ClinicalBERT is published so): "MRI" and "Parkinson" of the vocabulary
    would never be used.
    """
    vocabulary, settings = folder / "vocab.txt", folder / "tokenizer_config.json"
    if (folder / "tokenizer.json").is_file() or not vocabulary.is_file():
        return False
    tokenizer_config = read_json(settings) if settings.is_file() else {}
    words = vocabulary.read_text(encoding="utf-8", errors="replace").splitlines()
    if "do_lower_case" in tokenizer_config or not any(word != word.lower() for word in words if not _SPECIAL.fullmatch(word)):
        return False
    settings.write_text(json.dumps(tokenizer_config | {"do_lower_case": False}, indent=2) + "\n", encoding="utf-8")
    return True


def _in_a_process(pickles: Sequence[Path], folder: Path) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="bench-") as private:
        job, answer = Path(private) / "job.json", Path(private) / "answer.json"
        job.write_text(
            json.dumps({"files": [str(p.resolve()) for p in pickles], "out": str(folder.resolve())}), encoding="utf-8"
        )
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "HF_HUB_OFFLINE": "1"}
        child = subprocess.run(
            [sys.executable, "-m", "bench.modeling.convert", str(job), str(answer)], env=environment, cwd=private, check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        if child.returncode == -signal.SIGINT:
            raise KeyboardInterrupt
        if child.returncode == -signal.SIGKILL:
            raise OutOfMemory("while pickled weights were read", "Free memory: the largest file must fit into it.")
        if answer.is_file():
            return dict(json.loads(answer.read_text(encoding="utf-8")))
        return {"reason": f"its process ended with code {child.returncode}"}


def _refusal(failure: Mapping[str, Any], pickles: Sequence[Path]) -> Exception:
    path = Path(failure.get("file", pickles[0]))
    if failure.get("old"):
        return MissingError(
            f"torch {failure['old']} cannot read pickles safely (CVE-2025-32434); wanted 2.6 or later.",
            "pip install 'torch>=2.6'",
        )
    if failure.get("full"):
        return OSError(errno.ENOSPC, "No space left on device")
    if failure.get("memory"):
        return OutOfMemory("while pickled weights were read", "Free memory: the largest file must fit into it.")
    if failure.get("more"):
        return UsageError(
            f"{path.name} holds more than tensors ({failure['more']}), which could run code; it was not read.",
            "Ask whoever made it for safetensors.",
        )
    if failure.get("empty"):
        return UsageError(f"{path.name} holds no tensors by name.", "Wanted a state dict, as save_pretrained writes it.")
    return UsageError(f"{path.name} cannot be read as pickled weights ({failure['reason']}).", "Copy it again, whole.")


# ---- in the process that reads pickles -----------------------------------------------------------------------------------


def main(job: Path, answer: Path) -> int:
    """Runs a job; writes the fields of `Converted`, or the reason of a failure, to `answer`. Returns the exit code."""
    offline = give_up_network()  # before torch starts threads: a process with several cannot
    specification = json.loads(job.read_text(encoding="utf-8"))
    result = written([Path(name) for name in specification["files"]], Path(specification["out"]))
    answer.write_text(json.dumps(result | ({"offline": offline} if "tensors" in result else {})), encoding="utf-8")
    return 0 if "tensors" in result else 1


def written(files: Sequence[Path], out: Path) -> dict[str, Any]:
    """Writes the tensors of pickles as safetensors, file by file; gives fields of `Converted`, or the reason of a failure."""
    import torch

    if tuple(int(part) for part in torch.__version__.split("+")[0].split(".")[:2]) < OLDEST_TORCH:
        return {"old": torch.__version__}
    done: dict[str, Any] = {"torch": torch.__version__, "tensors": 0, "parameters": 0, "bytes": 0, "renamed": 0}
    shards, left_out = dict[str, str](), list[str]()
    for number, path in enumerate(files, 1):
        name = WEIGHTS if len(files) == 1 else f"model-{number:05d}-of-{len(files):05d}.safetensors"
        try:
            tensors, others, renamed = read(path)
            if not tensors:
                return {"empty": True, "file": str(path)}
            _write(tensors, out / name)
        except MemoryError:
            return {"memory": True}
        except Exception as error:  # pickle, zipfile and torch have dozens for a file that is not what they expect
            return _reason(error) | {"file": str(path)}
        shards |= dict.fromkeys(tensors, name)
        left_out += others
        done["tensors"] += len(tensors)
        done["parameters"] += sum(t.numel() for t in tensors.values())
        done["bytes"] += sum(t.numel() * t.element_size() for t in tensors.values())
        done["renamed"] += renamed
    if len(files) > 1:
        index = {"metadata": {"total_size": done["bytes"]}, "weight_map": shards}
        (out / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
    return done | {"left_out": left_out}


def read(path: Path) -> tuple[dict[str, torch.Tensor], list[str], int]:
    """Name to tensor of one pickle, the names of other entries, and the number of renamed tensors."""
    import torch

    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except RuntimeError as error:
        if "mmap" not in str(error):  # files of torch before 1.6 are no zip files and cannot be mapped
            raise
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    for _ in range(2):
        inside = [loaded[key] for key in WRAPPED if isinstance(loaded, dict) and isinstance(loaded.get(key), dict)]
        if inside and not any(isinstance(value, torch.Tensor) for value in loaded.values()):
            loaded = inside[0]
    if not isinstance(loaded, dict):
        return {}, [], 0
    if len({str(name) for name in loaded}) < len(loaded):
        raise ValueError("two entries have one name")
    tensors = {str(k): v.detach() for k, v in loaded.items() if isinstance(v, torch.Tensor) and not v.is_sparse}
    if tensors and all(name.startswith("module.") for name in tensors):  # of DataParallel
        tensors = {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
    names = {name: _plain_name(name, tensors) for name in tensors}
    renamed = sum(old != new for old, new in names.items())
    others = [str(key) for key, value in loaded.items() if not isinstance(value, torch.Tensor) or value.is_sparse]
    return {names[old]: tensor for old, tensor in tensors.items()}, others, renamed


def _plain_name(name: str, all_names: Mapping[str, Any]) -> str:
    stem, _, last = name.rpartition(".")
    new = f"{stem}.{RENAMED[last]}" if last in RENAMED and stem else name
    return name if new in all_names else new


def _write(tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    """Writes safetensors, reads them back and compares; tied weights are written as separate tensors."""
    import torch
    from safetensors import safe_open
    from safetensors.torch import save_file

    seen, separate = set[int](), dict[str, torch.Tensor]()
    for name, tensor in tensors.items():
        storage = tensor.untyped_storage().data_ptr()
        separate[name] = tensor.clone(memory_format=torch.contiguous_format) if storage in seen else tensor.contiguous()
        seen.add(storage)
    save_file(separate, path, metadata={"format": "pt"})
    with safe_open(path, framework="pt") as written:
        for name, tensor in tensors.items():
            back = written.get_tensor(name)
            same = back.dtype == tensor.dtype and back.shape == tensor.shape
            # bytes, since no NaN equals itself
            if not same or not torch.equal(back.view(-1).view(torch.uint8), tensor.contiguous().view(-1).view(torch.uint8)):
                raise ValueError(f"{name} reads back otherwise than it was written")


def _reason(error: Exception) -> dict[str, Any]:
    """The reason of a failure; of the file's content it shows only the name of a class that the pickle refers to."""
    words = str(error)
    if (isinstance(error, OSError) and error.errno == 28) or "No space left" in words:
        return {"full": True}
    if asked := re.search(r"GLOBAL (\S+)|class (\S+)", words):  # as torch words its refusal
        return {"more": (asked[1] or asked[2])[:80]}
    if "not enough memory" in words or "can't allocate memory" in words:
        return {"memory": True}
    return {"reason": type(error).__name__}


def give_up_network() -> bool:
    """Moves this process to an empty network namespace (Linux); returns whether the system allowed it."""
    import ctypes

    try:
        unshare = ctypes.CDLL(None, use_errno=True).unshare
    except (OSError, AttributeError):
        return False
    # Only root can do it without a user namespace.
    return bool(unshare(_NEW_NETWORK) == 0 or unshare(_NEW_USER | _NEW_NETWORK) == 0)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
