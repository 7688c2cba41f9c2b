"""Writes the seeded synthetic corpus: notes of the 2015 task's generator, annotated in the `||` format."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from bench.api.data import SPLITS
from bench.kit.synthetic import begin
from bench_tasks.semeval2014_t7.pipe import write_mentions
from bench_tasks.semeval2015_t14 import corpus, synthetic

SIZES = synthetic.SIZES
_OTHER_NOTES = 2014
"""Added to the seed, so that the two tasks have different notes."""


def write_corpus(folder: Path, seed: int, sizes: Mapping[str, int] | None = None) -> None:
    """Writes ``train``, ``dev`` and ``test`` with a `.text` and a `.pipe` file a note, and the marker file.

    Sizes count notes; see `CorpusTask.synthesize`.
    """
    counts = begin(folder, sizes, SIZES)
    with tempfile.TemporaryDirectory(prefix="bench-notes-") as temporary:
        source = Path(temporary) / "notes"
        synthetic.write_corpus(source, seed * 10_000 + _OTHER_NOTES, counts)
        notes = corpus.load(source)
        shutil.copyfile(source / synthetic.NAMES, folder / synthetic.NAMES)
    for split in SPLITS:
        (folder / split).mkdir()
        for note in notes[split]:
            (folder / split / f"{note.id}.text").write_bytes(note.text.encode("utf-8"))
            (folder / split / f"{note.id}.pipe").write_bytes(write_mentions(note).encode("utf-8"))
