"""The task `medication`: drugs, doses and frequencies in notes, from JSON lines of one's own or a synthetic corpus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from bench.api.data import Document
from bench.api.task import Scores, TaskMetadata
from bench.kit import mentions
from bench.kit.corpus_task import CorpusTask
from bench.kit.faults import of_documents
from bench_example import corpus

LABELS = ("Drug", "Dose", "Frequency")
PREDICTIONS = "predictions.jsonl"


class Medication(CorpusTask):
    """Named entities of medication orders."""

    name = "medication"
    version = "1"
    summary = "drugs, doses and frequencies, from JSON lines"
    citation = "made for this example; entity types after Uzuner et al. 2010, doi:10.1136/jamia.2010.003939"
    licence = "Apache-2.0 (the synthetic corpus)"
    heads = ("span", "bio")
    reader = "bench_example.corpus:load"
    writer = "bench_example.synthetic:write_corpus"
    faults: ClassVar[Mapping[str, str]] = of_documents(
        "not-utf8", "malformed-line", "repeated-id", "empty-span", "outside-text"
    )
    metadata = TaskMetadata(
        reference="https://doi.org/10.1136/jamia.2010.003939",
        access="open: write your own annotations in this format, or use the synthetic corpus",
        primary_metric="strict.f1",
        layout=corpus.LAYOUT,
        unit="notes",
    )

    def statistics(self, gold: Sequence[Document], predicted: Sequence[Document]) -> list[Mapping[str, float]]:
        """Additive counts of every gold document: a mention counts where all its fragments and its label are right."""
        return mentions.statistics(gold, predicted, LABELS)

    def summarise(self, sums: Mapping[str, Any]) -> Scores:
        """Precision, recall and F1 from summed counts, in all and label by label."""
        return mentions.summarise(sums)

    def score_files(self, gold: Path, pred: Path) -> Scores:
        """Scores of two files, or of the folders that `write` made."""
        return self.score(*(corpus.read_annotations(p / PREDICTIONS if p.is_dir() else p) for p in (gold, pred)))

    def write(self, folder: Path, documents: Sequence[Document]) -> None:
        """Writes ``predictions.jsonl`` without text."""
        corpus.write(folder / PREDICTIONS, [d.without_text() for d in documents])
