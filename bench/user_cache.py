"""Folders below the user's cache: what the next run would make again from the same inputs.

Everything is named by the content that it was made from, so that deleting any of it changes no result: what is needed is made
again. What holds text of a corpus, or token ids, which are text to whoever has the tokenizer, only its owner may enter.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from bench.errors import storable

Kind = Literal["models", "encoded", "linkers", "concepts", "hashes", "trials", "derived", "quantized"]
HELD: Mapping[Kind, str] = {
    "models": "base models that were made or unpacked",
    "encoded": "encoded corpora",
    "linkers": "fitted linkers",
    "concepts": "names of concepts",
    "hashes": "hashes of large weight files",
    "trials": "what trials of base models showed",
    "derived": "converted pickles, text stacks, and links to decoders that see both ways",
    "quantized": "quantized base models",
}
"""What each folder holds, in words."""


def folder(kind: Kind) -> Path:
    """``$XDG_CACHE_HOME/bench/<kind>``, which may not be there yet; ``~/.cache`` where the variable is not set."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bench" / kind


def shown(kind: Kind) -> str:
    """The folder for a person, without the user's name in it."""
    return f"{'$XDG_CACHE_HOME' if os.environ.get('XDG_CACHE_HOME') else '~/.cache'}/bench/{kind}"


def private(kind: Kind) -> Path:
    """The folder, made where missing, for its owner alone.

    Raises:
        StorageError: it cannot be made.
    """
    found = folder(kind)
    with storable(shown(kind), "Make room, or set XDG_CACHE_HOME to another folder."):
        found.mkdir(parents=True, exist_ok=True)
        found.chmod(0o700)
    return found


def path(kind: Kind, name: str, suffix: str, key: Mapping[str, Any]) -> Path:
    """Where something is kept, in the private folder of its kind: name, hash of the JSON-able key, suffix with its dot.

    The key holds everything that decides the content.

    Raises:
        StorageError: the folder cannot be made.
    """
    from hashlib import sha256

    digest = sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    return private(kind) / f"{name}.{digest[:32]}{suffix}"


def size(kind: Kind) -> int:
    """Bytes of all files of a folder."""
    return sum(found.stat().st_size for found in folder(kind).rglob("*") if found.is_file() and not found.is_symlink())
