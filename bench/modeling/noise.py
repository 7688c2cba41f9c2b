"""Imports that print banners, logs and warnings of their own; done once, early, with the console shut to them."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from importlib.util import find_spec


def import_heavy() -> None:
    """Imports torch, transformers and peft, and gptqmodel where it is installed (peft would import it in the middle of a run).

    What the libraries read of the environment once is set before.

    Raises:
        ImportError: one of the first three is broken; told in full, since the console was shut.
    """
    # oneDNN keeps compiled code for each shape of a product it has met, up to 1,024. Micro-batches are of ever other shapes: a
    # run of the default model came to hold half a gibibyte of it within a dozen updates. A micro-batch has some twenty.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")
    with shut():
        for name in ("torch", "transformers", "peft"):
            importlib.import_module(name)
        if find_spec("gptqmodel") is not None:
            with contextlib.suppress(Exception):  # a broken optional package is for its quantizer to report
                importlib.import_module("gptqmodel")


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
