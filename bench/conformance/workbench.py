"""Tools for checks: scratch folders, tiny models, a tokenizer without a model, and objects that checks share."""

from __future__ import annotations

import os
import random
import sys
import tempfile
import traceback
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar, cast
from unittest.mock import patch

from bench.api.model import Model
from bench.data.windows import words
from bench.registry import Registry

T = TypeVar("T")
HEAVY = ("torch", "transformers", "peft", "datasets", "bitsandbytes", "gptqmodel", "wandb", "mlflow")
"""Packages that nothing may import at plan time, and loaders and scorers never."""
_PIECE = 4


class Failure(Exception):
    """A failed check; the message says what was found and what was wanted."""


def expect(holds: bool, detail: str) -> None:
    """Fails the check unless a condition holds; `detail` tells the part's author what was found and what was wanted."""
    if not holds:
        raise Failure(detail)


class Workbench:
    """Scratch space, which the caller deletes, and shared objects of one round of checks.

    `data` maps tasks without a synthetic corpus to a folder with one.
    """

    def __init__(self, registry: Registry, folder: Path, data: Mapping[str, Path] | None = None) -> None:
        self.registry = registry
        self.data = data or {}
        self._folder = folder
        self._made: dict[object, Any] = {}

    def fresh(self, name: str) -> Path:
        """A new empty folder; `name` begins its name."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self._folder))

    def once(self, part: object, what: str, make: Callable[[], T]) -> T:
        """An object that several checks of a part share, made by the first call."""
        key = (id(part), what)
        if key not in self._made:
            self._made[key] = make()
        return cast(T, self._made[key])

    def model_folder(self, model: Model) -> Path:
        """The folder of a model, made once."""
        return self.once(model, "folder", lambda: model.folder(self.fresh("models")))

    def tiny_models(self) -> list[Model]:
        """The registry's installed models that are plumbing only, encoders first."""
        parts = [cast(Model, entry.part) for entry in self.registry.entries("models")]
        ready = [part for part in parts if part.plumbing_only and not part.missing()]
        expect(bool(ready), "no tiny model is ready to try the part on; 'bench list models' says what is missing")
        return sorted(ready, key=lambda part: part.spec().causal)


class Pieces:
    """A tokenizer without a model: words are cut into pieces of four letters, ids are hashes; it has two special tokens."""

    vocabulary = 1000
    pad_token_id = 0
    unk_token_id = 1

    def __call__(self, text: str, add_special_tokens: bool = True, **options: Any) -> dict[str, list[Any]]:
        """Ids and character offsets."""
        spans = [(at, min(at + _PIECE, end)) for start, end in words(text) for at in range(start, end, _PIECE)]
        ids = [4 + zlib.crc32(text[a:b].lower().encode()) % (self.vocabulary - 4) for a, b in spans]
        if add_special_tokens:
            return {"input_ids": [2, *ids, 3], "offset_mapping": [(0, 0), *spans, (0, 0)]}
        return {"input_ids": ids, "offset_mapping": spans}


class _Barrier:
    """An import finder that refuses heavy packages."""

    def find_spec(self, fullname: str, *context: Any) -> None:
        """Raises ImportError for a refused package."""
        package = fullname.partition(".")[0]
        if package in HEAVY:
            raise ImportError(f"imports {package}, which is not allowed here", name=fullname)


@contextmanager
def without_heavy_imports() -> Iterator[None]:
    """Makes imports of heavy packages fail inside the block, also of those that are loaded already."""
    hidden = {name: module for name, module in sys.modules.items() if name.partition(".")[0] in HEAVY}
    for name in hidden:
        del sys.modules[name]
    barrier = _Barrier()
    sys.meta_path.insert(0, barrier)
    try:
        yield
    finally:
        sys.meta_path.remove(barrier)
        sys.modules.update(hidden)


@contextmanager
def own_temp(folder: Path) -> Iterator[None]:
    """Directs temporary files, also of child processes, into a folder, so that a check can read them."""
    with patch.dict(os.environ, TMPDIR=str(folder)), patch.object(tempfile, "tempdir", str(folder)):
        yield


def scramble(seed: int) -> None:
    """Seeds every global random generator: a part that draws from them then gives different results."""
    import numpy as np

    random.seed(seed)
    np.random.seed(seed)
    if find_spec("torch") is not None and "torch" in sys.modules:
        import torch

        torch.manual_seed(seed)


def contents(folder: Path) -> dict[str, bytes]:
    """Relative path to content, of every file below a folder."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def one_line(error: BaseException) -> str:
    """An exception in one line, with the place that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    text = " ".join(str(error).split())
    return f"raised {type(error).__name__}: {text[:300]}{where}"


def named(names: Sequence[str], most: int = 3) -> str:
    """The first of several names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
