"""The task `hoc`: which of ten hallmarks of cancer does an abstract speak of? Any number of them.

A row of the corpus is a sentence of an abstract (this one is made up), its ten labels in the order of `CLASSES`:

    labels	sentence	index
    0_0,1_0,2_0,3_0,4_0,5_0,6_1,7_0,8_0,9_0	Vessels grew into the tumours.	1001_s0
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from bench.api.data import Document
from bench.api.task import Scores, TaskMetadata
from bench.kit.corpus_task import CorpusTask

CLASSES = (
    "activating invasion and metastasis", "avoiding immune destruction", "cellular energetics",
    "enabling replicative immortality", "evading growth suppressors", "genomic instability and mutation",
    "inducing angiogenesis", "resisting cell death", "sustaining proliferative signaling", "tumor promoting inflammation",
)  # fmt: skip
"""The hallmarks in the order of the label column."""
LAYOUT = "FOLDER/{train,dev,test}.tsv with the columns labels, sentence and index (ABSTRACT_sN), a header above them"


class HoC(CorpusTask):
    """Hallmarks of cancer, multi-label classification of abstracts."""

    name = "hoc"
    version = "1"
    summary = "HoC: which hallmarks of cancer does an abstract speak of? Any of ten"
    citation = (
        "Baker et al. 2016, Automatic semantic classification of scientific literature according to the hallmarks of cancer, "
        "doi:10.1093/bioinformatics/btv585; in the form of BLUE, Peng et al. 2019, arXiv 1906.05474"
    )
    licence = "GPL 3.0 as BigBIO lists it (the synthetic corpus: Apache-2.0)"
    heads = ("multilabel",)
    reader = "bench_tasks.hoc.corpus:load"
    writer = "bench_tasks.hoc.synthetic:write_corpus"
    metadata = TaskMetadata(
        reference="https://github.com/sb895/Hallmarks-of-Cancer",
        access="open: as preprocessed for BLUE (https://github.com/ncbi-nlp/BLUE_Benchmark) or for BLURB",
        domain="biomedical",
        primary_metric="micro.f1",
        layout=LAYOUT,
        unit="abstracts",
    )
    facts: ClassVar[Mapping[str, str]] = {
        "classes": ", ".join(CLASSES),
        "documents": "abstracts; an abstract has the hallmarks of its sentences",
        "synthetic corpus": "300 train, 60 dev and 80 test abstracts, seeded, in the same format",
        "scores": "micro (over abstracts and classes, as BLURB counts), macro_f1, example_based (as BLUE counts), by_class",
    }

    def statistics(self, gold: Sequence[Document], predicted: Sequence[Document]) -> list[Mapping[str, float]]:
        """Additive statistics of every gold document, in order; predictions are matched by the document's id."""
        from bench.kit import labels

        return labels.statistics(CLASSES, gold, predicted)

    def summarise(self, sums: Mapping[str, Any]) -> Scores:
        """Scores from summed statistics, numbers or arrays."""
        from bench.kit import labels

        return labels.summarise(CLASSES, sums)

    def score_files(self, gold: Path, pred: Path) -> Scores:
        """Scores of tables, each a file or a folder of them; sentences are joined to abstracts, and their text is not needed.

        Raises:
            DataError: a file or a row cannot be read, or the two are not about the same abstracts.
        """
        from bench.kit.classes import check_same_documents
        from bench_tasks.hoc import corpus

        wanted, given = corpus.read_annotations(gold), corpus.read_annotations(pred)
        check_same_documents(gold, pred, wanted, given)
        return self.score(list(wanted.values()), list(given.values()))

    def read_predictions(self, path: Path, gold: Sequence[Document]) -> Sequence[Document]:
        """A system's annotations, from files as `score_files` reads them.

        Raises:
            DataError: a line cannot be read, or is of a document that is none of gold.
        """
        from bench.kit.documents import of_gold
        from bench_tasks.hoc import corpus

        return of_gold(corpus.read_annotations(path).values(), gold, path)

    def write(self, folder: Path, documents: Sequence[Document]) -> None:
        """Writes ``labels.tsv``, a row an abstract, without text."""
        from bench.kit import tables
        from bench_tasks.hoc import corpus

        rows = ((corpus.as_labels(document), "", f"{document.id}_s0") for document in documents)
        tables.write(folder / "labels.tsv", corpus.COLUMNS, rows)
