"""Reads the official folder layout: ``train``, ``dev``, ``test``, each with a ``DOC.text`` and a ``DOC.pipe`` per document."""

from __future__ import annotations

from pathlib import Path

from bench.api.data import Corpus
from bench.kit.faults import Faults
from bench_tasks.common.pipe import read_mentions
from bench_tasks.common.pipe_folder import load_corpus
from bench_tasks.semeval2015_t14.task import LAYOUT

_HINT = "Training, early stopping and scoring each need gold; the official test gold is a release of its own."


def load(folder: Path, faults: Faults | None = None) -> Corpus:
    """Reads and checks a corpus; see `CorpusTask.load`."""
    return load_corpus(folder, LAYOUT, read_mentions, faults, _HINT)
