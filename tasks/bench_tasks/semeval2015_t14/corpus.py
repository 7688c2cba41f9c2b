"""Reads the official folder layout: ``train``, ``dev`` and ``test``, each with a ``DOC.text`` and a ``DOC.pipe`` per document.

Every file is read once and nothing is kept but the documents, so that time and memory grow linearly with the corpus.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from bench.api.data import SPLITS, Corpus, Document
from bench.api.spool import spooled
from bench.errors import DataError
from bench.kit.documents import names_of
from bench.kit.faults import Faults
from bench.kit.synthetic import is_synthetic
from bench_tasks.common.pipe import read_mentions
from bench_tasks.common.pipe_folder import SUFFIXES, read_document
from bench_tasks.semeval2015_t14.task import LAYOUT


def load(folder: Path, faults: Faults | None = None) -> Corpus:
    """Reads and checks a corpus; see `CorpusTask.load`."""
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}.", f"Wanted {LAYOUT}.")
    faults = faults or Faults(tolerable=False)
    digest = hashlib.sha256()
    splits: dict[str, Sequence[Document]] = {}
    for split in SPLITS:
        names = names_of(folder / split, LAYOUT, faults, SUFFIXES)
        read = (read_document(folder / split, name, digest, read_mentions, faults) for name in names)
        splits[split] = spooled(document for document in read if document is not None)
    faults.check(folder)
    for split in SPLITS:
        if not any(document.mentions for document in splits[split]):
            raise DataError(
                f"{folder / split} holds no mention at all; wanted annotated documents.",
                "Training, early stopping and scoring each need gold; the official test gold is a release of its own.",
            )
    return Corpus(splits, is_synthetic(folder), digest.hexdigest(), left_out=faults.left_out)
