"""Digests for cache keys: of the documents, the tokenizer and the code that an encoded corpus or a fitted linker depends on."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.api.data import Document
from bench.api.spool import Spool, as_line


def documents_digest(documents: Sequence[Document]) -> str:
    """SHA-256 of documents with their text and gold; the same for documents in memory and on disk."""
    digest = hashlib.sha256()
    for line in documents.lines() if isinstance(documents, Spool) else map(as_line, documents):
        digest.update(line + b"\n")
    return digest.hexdigest()


def tokenizer_digest(tokenizer: Any) -> str:
    """SHA-256 of a fast tokenizer's configuration and of the versions of tokenizers and transformers."""
    parts = [tokenizer.backend_tokenizer.to_str(), version("tokenizers"), version("transformers")]
    parts += [type(tokenizer).__name__, json.dumps(tokenizer.special_tokens_map, sort_keys=True, default=str)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def code_digest(*objects: object) -> str:
    """SHA-256 of the sources of bench and of the packages of some objects' classes, base classes included.

    Any change of code makes a cache entry stale, so that nobody has to remember to raise a version.
    """
    names = {"bench"} | {base.__module__.partition(".")[0] for part in objects for base in type(part).__mro__}
    names -= sys.stdlib_module_names - {"__main__"}
    return hashlib.sha256("".join(_sources(name) for name in sorted(names)).encode()).hexdigest()


def class_of(part: object) -> str:
    """The qualified name of an object's class: names alone may repeat within a module."""
    return f"{type(part).__module__}.{type(part).__qualname__}"


@cache
def _sources(package: str) -> str:
    """SHA-256 of the Python files of a package or a module."""
    module = sys.modules[package]
    digest = hashlib.sha256(package.encode())
    files: Iterable[Path] = (path for folder in getattr(module, "__path__", ()) for path in Path(folder).rglob("*.py"))
    paths = sorted(files) or [Path(str(module.__file__))]
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()
