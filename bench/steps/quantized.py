"""The quantized base model of a run: made, or taken from the user's cache, and found again.

A run has it whole in its own folder. Where nothing of the run but its base model and perhaps its calibration windows decides
what a quantizer makes (`Quantizer.reused`), a copy stays in the user's cache, for the next run that would make the same.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench import user_cache
from bench.api.quantizer import QuantizedWeights, Quantizer
from bench.errors import RunStateError, StorageError
from bench.modeling.files import sha256_file, written_whole
from bench.results.environment import hardware, installed
from bench.results.layout import QUANTIZED
from bench.results.store import write_json
from bench.sealed import digests, read_sealed, sealed, write_sealed

if TYPE_CHECKING:
    from bench.training.model import TaskData

_FACTS, _MODEL = "bench.json", "model"


def calibration_sample(data: Mapping[str, TaskData], most: int) -> tuple[list[list[int]], str]:
    """A fixed sample of at most so many training windows, some of every task, as token ids, and the SHA-256 of it."""
    sample: list[list[int]] = []
    for task_data in data.values():
        train = task_data.splits["train"]
        count = min(len(train), max(1, most // len(data)))
        chosen = np.sort(np.random.default_rng(0).permutation(len(train))[:count]).tolist()
        sample += [list(row["input_ids"]) for row in train.take(chosen)]
    return sample, _sha256(sample)


def quantized_base(
    quantizer: Quantizer,
    source: Path,
    calibration: Sequence[Sequence[int]],
    folder: Path,
    device: str,
    warn: Callable[[str], None] = lambda message: None,
    pristine: bool = True,
) -> tuple[Path, QuantizedWeights]:
    """Quantizes a base model from disk into the run's folder, or finds it there, every file as it was written.

    Args:
        quantizer: of the run.
        source: folder of the base model.
        calibration: training windows as token ids.
        folder: of the run.
        device: ``cpu`` or ``cuda``.
        warn: told where what was found is damaged, and is made again.
        pristine: whether the base model is as it came; weights that the run trained leave nothing in the user's cache.

    Returns:
        The folder of the quantized model, and what it weighs.
    """
    out = folder / QUANTIZED / quantizer.name
    facts = folder / QUANTIZED / f"{quantizer.name}.{_FACTS}"
    stored = read_sealed(facts)
    if stored is None or digests(out) != stored["files"]:
        if facts.exists():
            warn(f"{QUANTIZED}/{quantizer.name} or its facts are damaged: the base model is quantized again.")
        facts.unlink(missing_ok=True)
        shutil.rmtree(out, ignore_errors=True)
        out.parent.mkdir(parents=True, exist_ok=True)
        entry = _entry(quantizer, source, calibration, device) if pristine and quantizer.reused else None
        stored = None if entry is None else _taken(entry, out, warn)
        if stored is None:
            weights = quantizer.quantize(source, out, calibration, device)
            stored = {"bits_per_weight": weights.bits_per_weight, "bytes": weights.bytes, "files": digests(out)}
            if entry is not None:
                _keep(entry, out, stored)
        write_json(facts, sealed(stored))
    return out, QuantizedWeights(stored["bits_per_weight"], stored["bytes"])


def kept_quantized(quantizer: Quantizer, folder: Path) -> Path:
    """Folder of the quantized base model that a finished run keeps.

    Raises:
        RunStateError: it is not there, or not as it was written.
    """
    out = folder / QUANTIZED / quantizer.name
    stored = read_sealed(folder / QUANTIZED / f"{quantizer.name}.{_FACTS}")
    if stored is None or digests(out) != stored["files"]:
        what = "is not there" if not out.is_dir() else "or its facts are damaged"
        raise RunStateError(
            f"The quantized base model {out} {what}.",
            "Put the folder back, or run the same configuration again in another --out.",
        )
    return out


def _entry(quantizer: Quantizer, source: Path, calibration: Sequence[Sequence[int]], device: str) -> Path | None:
    """Where the user's cache keeps what a quantizer makes of these inputs on a machine like this one; None without a cache."""
    from bench.training.devices import kind
    from bench.training.plan import resolve_precision

    precision = resolve_precision("auto", device)
    machine = hardware(device)  # knows what torch does once torch is imported
    key = {
        "quantizer": [quantizer.name, quantizer.version, type(quantizer).__module__, type(quantizer).__qualname__],
        "settings": [quantizer.bits, quantizer.group_size, quantizer.sym],
        "model": {path.name: sha256_file(path) for path in source.iterdir() if path.is_file()},
        "calibration": _sha256(calibration) if quantizer.reused == "calibration" else None,
        "device": [kind(device), precision],
        # Another kernel, or another number of threads, adds up in another order; a home folder may be many machines'.
        "machine": {name: machine.get(name) for name in ("cpu", "machine", "cpu_capability", "threads", "gpu")},
        "packages": {
            name: installed(name)
            for name in ("bench-suite", "torch", "transformers", "safetensors", *(r.module for r in quantizer.requires))
        },
    }
    with suppress(StorageError):
        return user_cache.path("quantized", quantizer.name, "", key)
    return None


def _taken(entry: Path, out: Path, warn: Callable[[str], None]) -> dict[str, Any] | None:
    """Copies what the user's cache keeps, and gives its facts; None where it keeps nothing, or nothing whole.

    Files are copied, not linked: what is done to them in one run reaches neither the cache nor another run.
    """
    stored = read_sealed(entry / _FACTS)
    if stored is not None:
        with suppress(OSError):
            shutil.copytree(entry / _MODEL, out)
            if digests(out) == stored["files"]:
                return stored
        shutil.rmtree(out, ignore_errors=True)
    if entry.exists() and (stored is None or digests(entry / _MODEL) != stored["files"]):
        warn(f"{user_cache.shown('quantized')}/{entry.name} is damaged: the base model is quantized again.")
        shutil.rmtree(entry, ignore_errors=True)
    return None


def _keep(entry: Path, model: Path, stored: Mapping[str, Any]) -> None:
    """Leaves a copy in the user's cache; a disk that is full costs later runs some time, and this one nothing."""
    with suppress(OSError, StorageError), written_whole(entry, 0o700) as folder:
        shutil.copytree(model, folder / _MODEL)
        write_sealed(folder / _FACTS, stored)


def _sha256(windows: Sequence[Sequence[int]]) -> str:
    return hashlib.sha256(json.dumps(windows).encode()).hexdigest()
