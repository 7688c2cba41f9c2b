"""Imports that print banners, logs and warnings of their own; done once, early, with the console shut to them."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import Any

UNUSED = ("gptqmodel", "torchao")
"""Packages that peft and transformers import where they are installed, for layers that no run here has: GPTQ's weights are
dense in memory, and what quantizes is a process of its own. gptqmodel also patches transformers and sets environment
variables."""


def import_heavy() -> None:
    """Imports torch, transformers and peft, without what they look for and nothing here uses (`UNUSED`).

    What the libraries read of the environment once is set before.

    Raises:
        ImportError: one of them is broken; told in full, since the console was shut.
    """
    # oneDNN keeps compiled code for each shape of a product it has met, up to 1,024. Micro-batches are of ever other shapes: a
    # run of the default model came to hold half a gibibyte of it within a dozen updates. A micro-batch has some twenty.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")
    with shut(), hidden(UNUSED):
        importlib.import_module("torch")
        importlib.import_module("transformers")
        if find_spec("bitsandbytes") is not None:  # peft imports it where it is there
            with uncompiled(), contextlib.suppress(Exception):  # a broken optional package is for its quantizer to report
                importlib.import_module("bitsandbytes")
        importlib.import_module("peft")
        found = importlib.import_module("peft.import_utils")
        for name in UNUSED:  # peft asks once, when the first adapter is attached, and remembers the answer
            getattr(found, f"is_{name}_available", bool)()


@contextlib.contextmanager
def uncompiled() -> Iterator[None]:
    """Lets `torch.compile` give back what it is given while the block runs.

    bitsandbytes decorates functions that stand in where a device has no kernels of its own (CPU and CUDA have), which loads the
    compiler: a second and more of CPU time.
    """
    import torch

    def given(model: Any = None, **options: Any) -> Any:
        return (lambda function: function) if model is None else model

    kept = torch.compile
    torch.compile = given
    try:
        yield
    finally:
        torch.compile = kept


@contextlib.contextmanager
def hidden(packages: Sequence[str]) -> Iterator[None]:
    """Makes packages look as if they were not installed while the block runs; those that are imported already stay."""
    absent = [name for name in packages if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]  # None: importing it fails, `find_spec` gives None
    try:
        yield
    finally:
        for name in absent:
            if sys.modules.get(name, name) is None:
                del sys.modules[name]


@contextlib.contextmanager
def shut() -> Iterator[None]:
    """Sends what the process writes to its standard streams into nothing, also from C, while the block runs."""
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
