"""The task `medication`: drugs, doses and frequencies in notes, from JSON lines of one's own or a synthetic corpus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.api.data import Corpus, Document
from bench.api.head import Head
from bench.api.task import Scores, Task, TaskMetadata
from bench_example import corpus, scorer

PREDICTIONS = "predictions.jsonl"


class Medication(Task):
    """Named entities of medication orders."""

    name = "medication"
    version = "1"
    summary = "drugs, doses and frequencies, from JSON lines"
    citation = "made for this example; entity types after Uzuner et al. 2010, doi:10.1136/jamia.2010.003939"
    licence = "Apache-2.0 (the synthetic corpus)"
    heads = ("span", "bio")
    metadata = TaskMetadata(
        reference="https://doi.org/10.1136/jamia.2010.003939",
        access="open: write your own annotations in this format, or use the synthetic corpus",
        primary_metric="strict.f1",
        layout=corpus.LAYOUT,
    )

    def load(self, folder: Path) -> Corpus:
        """Reads ``train.jsonl``, ``dev.jsonl`` and ``test.jsonl``.

        Raises:
            DataError: naming the file and the line.
        """
        return corpus.load(folder)

    def synthesize(self, folder: Path, seed: int, sizes: Mapping[str, int] | None = None) -> None:
        """Writes the synthetic corpus in the same format."""
        from bench_example.synthetic import write_corpus

        write_corpus(folder, seed, sizes)

    def head(self, name: str) -> Head:
        """One of bench's own heads."""
        from bench.heads import make_head

        return make_head(name)

    def statistics(self, gold: Sequence[Document], predicted: Sequence[Document]) -> list[Mapping[str, float]]:
        """Additive counts of every gold document."""
        return scorer.statistics(gold, predicted)

    def summarise(self, sums: Mapping[str, Any]) -> Scores:
        """Scores from summed counts."""
        return scorer.summarise(sums)

    def score_files(self, gold: Path, pred: Path) -> Scores:
        """Scores of two files, or of the folders that `write` made."""
        one, other = (corpus.read(p / PREDICTIONS if p.is_dir() else p, text=False) for p in (gold, pred))
        return self.score(one, other)

    def write(self, folder: Path, documents: Sequence[Document]) -> None:
        """Writes ``predictions.jsonl`` without text."""
        corpus.write(folder / PREDICTIONS, [d.without_text() for d in documents])
