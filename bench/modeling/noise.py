"""Imports libraries that print banners, logs and warnings: once, early, with their output discarded."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from typing import Any

LOADING = "loading libraries"
UNUSED = ("gptqmodel", "torchao")
"""Packages that peft and transformers import if they are installed, for layers that no run has: weights in GPTQ's layout are
dense in memory, and quantizing is done in another process. gptqmodel also patches transformers and sets environment
variables."""


def import_heavy(announce: Callable[[str], None] | None = None) -> None:
    """Imports torch, transformers and peft without the optional packages in `UNUSED`.

    It takes seconds, in which a terminal would show nothing, so that it is announced; by default on stderr, if that is one.
    Environment variables that the libraries read on import are set before.

    Raises:
        ImportError: one of them is broken.
    """
    # oneDNN keeps compiled code for up to 1,024 shapes of matrix products. Shapes of micro-batches keep changing: a run of the
    # default model held half a gibibyte of such code within a dozen updates. One micro-batch has some twenty shapes.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")
    if not {"torch", "transformers", "peft"} <= sys.modules.keys():
        if announce is not None:
            announce(LOADING)
        elif sys.stderr.isatty():
            sys.stderr.write(f"    {LOADING}\n")
    with silenced(), hidden(UNUSED):
        importlib.import_module("torch")
        importlib.import_module("transformers")
        if find_spec("bitsandbytes") is not None:  # peft imports it if it is installed
            with uncompiled(), contextlib.suppress(Exception):  # a broken optional package is for its quantizer to report
                importlib.import_module("bitsandbytes")
        importlib.import_module("peft")
        peft_imports = importlib.import_module("peft.import_utils")
        for name in UNUSED:  # peft asks once, when the first adapter is attached, and caches the answer
            getattr(peft_imports, f"is_{name}_available", bool)()


def let_peft_look_again() -> None:
    """Lets peft adapt layers of a package of `UNUSED` that something, such as a plugin's quantizer, imported after all."""
    peft_imports = importlib.import_module("peft.import_utils")
    for name in UNUSED:
        asked = getattr(peft_imports, f"is_{name}_available", None)
        if asked is not None and sys.modules.get(name) is not None:
            asked.cache_clear()


@contextlib.contextmanager
def uncompiled() -> Iterator[None]:
    """Makes `torch.compile` return its argument while the block runs.

    bitsandbytes compiles fallback functions for devices without kernels (CPU and CUDA have some), which loads the compiler and
    costs more than a second of CPU time.
    """
    import torch

    def unchanged(model: Any = None, **options: Any) -> Any:
        return (lambda function: function) if model is None else model

    original = torch.compile
    torch.compile = unchanged
    try:
        yield
    finally:
        torch.compile = original


@contextlib.contextmanager
def hidden(packages: Sequence[str]) -> Iterator[None]:
    """Makes packages appear not installed while the block runs; those that are imported already stay."""
    absent = [name for name in packages if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]  # None: importing it fails, `find_spec` gives None
    try:
        yield
    finally:
        for name in absent:
            if sys.modules.get(name, name) is None:
                del sys.modules[name]


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Discards what the process writes to stdout and stderr, also from C code, while the block runs."""
    sys.stdout.flush()
    sys.stderr.flush()
    saved = [os.dup(1), os.dup(2)]
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    nothing = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 1)
        os.dup2(nothing, 2)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(saved[0], 1)
        os.dup2(saved[1], 2)
        for descriptor in (*saved, nothing):
            os.close(descriptor)
        logging.disable(level)
