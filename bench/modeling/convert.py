"""Pickled weights as safetensors. BioBERT, Bio_ClinicalBERT and PubMedBERT are published as ``pytorch_model.bin`` alone.

A pickle can run code when it is read. It is read by ``torch.load(weights_only=True)``, which knows tensors and plain
containers and refuses all else, in a process of its own that gives up the network where the system allows it. What was
written is read back and compared tensor by tensor before the folder appears.
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

from bench.errors import MissingError, OutOfMemory, UsageError
from bench.modeling.files import INDEX, WEIGHTS, copy_companions, pickle_files, read_json, sha256_file, written_whole

if TYPE_CHECKING:
    import torch

NOTE = "conversion.json"
"""What the converted folder says of its source."""
OLDEST_TORCH = (2, 6)
"""Before it, ``weights_only=True`` could still be made to run code (CVE-2025-32434)."""
WRAPPED = ("state_dict", "model", "module", "model_state_dict")
"""Keys below which training scripts keep the weights."""
RENAMED = {"gamma": "weight", "beta": "bias"}
"""Names of a LayerNorm's parameters in checkpoints that came from TensorFlow."""
_SPECIAL = re.compile(r"\[.*\]|<.*>")
_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000


@dataclass(frozen=True)
class Converted:
    """What a conversion did.

    Args:
        source: name of the pickled model: its folder's, or the hub id.
        files: name of each pickle to its SHA-256.
        torch: version that read them.
        tensors: written, each equal to its source.
        parameters: numbers in them.
        bytes: they take.
        renamed: tensors whose names ended in ``gamma`` or ``beta``.
        left_out: names of entries that are no tensors.
        offline: whether the process that read the pickles had no network.
        keeps_case: whether the tokenizer was told to keep case, since its vocabulary does and no file says it.
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
    """Writes a model folder anew with safetensors in the place of its pickles; `out` appears whole or not at all.

    Args:
        source: a model folder with ``config.json`` and pickled weights.
        out: the folder to be made; it must not exist, or be empty.
        name: what the note calls the source; its folder's name where None.

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


def _keep_case(folder: Path) -> bool:
    """Tells the tokenizer to keep case where only ``vocab.txt`` says how text is split, and has words with capitals.

    transformers takes such a folder for one of lower case (Bio_ClinicalBERT is published so): "MRI" and "Parkinson" would never
    be looked up as they stand in the vocabulary.
    """
    vocabulary, settings = folder / "vocab.txt", folder / "tokenizer_config.json"
    if (folder / "tokenizer.json").is_file() or not vocabulary.is_file():
        return False
    said = read_json(settings) if settings.is_file() else {}
    words = vocabulary.read_text(encoding="utf-8").splitlines()
    if "do_lower_case" in said or not any(word != word.lower() for word in words if not _SPECIAL.fullmatch(word)):
        return False
    settings.write_text(json.dumps(said | {"do_lower_case": False}, indent=2) + "\n", encoding="utf-8")
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


def _refusal(found: Mapping[str, Any], pickles: Sequence[Path]) -> Exception:
    path = Path(found.get("file", pickles[0]))
    if found.get("old"):
        return MissingError(
            f"torch {found['old']} cannot read pickles safely (CVE-2025-32434); wanted 2.6 or later.",
            "pip install 'torch>=2.6'",
        )
    if found.get("full"):
        return OSError(errno.ENOSPC, "No space left on device")
    if found.get("memory"):
        return OutOfMemory("while pickled weights were read", "Free memory: the largest file must fit into it.")
    if found.get("more"):
        return UsageError(
            f"{path.name} holds more than tensors ({found['more']}), which could run code; it was not read.",
            "Ask whoever made it for safetensors.",
        )
    if found.get("empty"):
        return UsageError(f"{path.name} holds no tensors by name.", "Wanted a state dict, as save_pretrained writes it.")
    return UsageError(f"{path.name} cannot be read as pickled weights ({found['reason']}).", "Copy it again, whole.")


# ---- in the process that reads pickles -----------------------------------------------------------------------------------


def main(job: Path, answer: Path) -> int:
    """Converts as the job says; the answer is what `Converted` holds, or what went wrong."""
    offline = give_up_network()  # before torch starts threads: a process of several may not
    asked = json.loads(job.read_text(encoding="utf-8"))
    result = written([Path(name) for name in asked["files"]], Path(asked["out"]))
    answer.write_text(json.dumps(result | ({"offline": offline} if "tensors" in result else {})), encoding="utf-8")
    return 0 if "tensors" in result else 1


def written(files: Sequence[Path], out: Path) -> dict[str, Any]:
    """Writes the tensors of pickles as safetensors, file by file; what `Converted` holds, or what went wrong."""
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
    """The tensors of one pickle by name, the names of what is none, and how many names were changed."""
    import torch

    try:
        held = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except RuntimeError as error:
        if "mmap" not in str(error):  # what was saved before torch 1.6 is no zip file and cannot be mapped
            raise
        held = torch.load(path, map_location="cpu", weights_only=True)
    for _ in range(2):
        inside = [held[key] for key in WRAPPED if isinstance(held, dict) and isinstance(held.get(key), dict)]
        if inside and not any(isinstance(value, torch.Tensor) for value in held.values()):
            held = inside[0]
    if not isinstance(held, dict):
        return {}, [], 0
    tensors = {str(k): v.detach() for k, v in held.items() if isinstance(v, torch.Tensor) and not v.is_sparse}
    if tensors and all(name.startswith("module.") for name in tensors):  # of DataParallel
        tensors = {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
    names = {name: _plain_name(name, tensors) for name in tensors}
    renamed = sum(old != new for old, new in names.items())
    others = [str(key) for key, value in held.items() if not isinstance(value, torch.Tensor) or value.is_sparse]
    return {names[old]: tensor for old, tensor in tensors.items()}, others, renamed


def _plain_name(name: str, all_names: Mapping[str, Any]) -> str:
    stem, _, last = name.rpartition(".")
    new = f"{stem}.{RENAMED[last]}" if last in RENAMED and stem else name
    return name if new in all_names else new


def _write(tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    """Writes safetensors and compares what is read back; tied weights are written once each."""
    import torch
    from safetensors import safe_open
    from safetensors.torch import save_file

    seen, apart = set[int](), dict[str, torch.Tensor]()
    for name, tensor in tensors.items():
        storage = tensor.untyped_storage().data_ptr()
        apart[name] = tensor.clone(memory_format=torch.contiguous_format) if storage in seen else tensor.contiguous()
        seen.add(storage)
    save_file(apart, path, metadata={"format": "pt"})
    with safe_open(path, framework="pt") as written:
        for name, tensor in tensors.items():
            back = written.get_tensor(name)
            same = back.dtype == tensor.dtype and back.shape == tensor.shape
            # bytes, since no NaN equals itself
            if not same or not torch.equal(back.view(-1).view(torch.uint8), tensor.contiguous().view(-1).view(torch.uint8)):
                raise ValueError(f"{name} reads back otherwise than it was written")


def _reason(error: Exception) -> dict[str, Any]:
    """What went wrong, without anything that the file says of itself but the name of what it asked for."""
    words = str(error)
    if (isinstance(error, OSError) and error.errno == 28) or "No space left" in words:
        return {"full": True}
    if asked := re.search(r"GLOBAL (\S+)|class (\S+)", words):  # as torch words its refusal
        return {"more": (asked[1] or asked[2])[:80]}
    if "not enough memory" in words or "can't allocate memory" in words:
        return {"memory": True}
    return {"reason": type(error).__name__}


def give_up_network() -> bool:
    """Puts this process into a network of its own that leads nowhere (Linux); whether the system let it."""
    import ctypes

    try:
        unshare = ctypes.CDLL(None, use_errno=True).unshare
    except (OSError, AttributeError):
        return False
    # Root may do without a user namespace; everybody else needs one.
    return bool(unshare(_NEW_NETWORK) == 0 or unshare(_NEW_USER | _NEW_NETWORK) == 0)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
