"""The task `biosses`: how similar are two sentences of biomedical articles, from 0 (unrelated) to 4 (equivalent)?

A row of the corpus (this one is made up; columns that are not read are left out):

    index	sentence1	sentence2	score
    0	Melprilol lowers the pulse.	The pulse falls under melprilol.	3.8
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from bench.api.data import Document
from bench.api.task import Scores, TaskMetadata
from bench.kit.corpus_task import CorpusTask
from bench.kit.faults import of_documents

LAYOUT = "FOLDER/{train,dev,test}.tsv with the columns index, sentence1, sentence2 and score, a header above them"


class Biosses(CorpusTask):
    """BIOSSES, semantic similarity of sentences."""

    name = "biosses"
    version = "1"
    summary = "BIOSSES: how similar are two biomedical sentences, from 0 to 4?"
    citation = (
        "Sogancioglu, Ozturk, Ozgur 2017, BIOSSES: a semantic sentence similarity estimation system for the biomedical domain, "
        "doi:10.1093/bioinformatics/btx238; split of BLUE, Peng et al. 2019, arXiv 1906.05474"
    )
    licence = "GPL 3.0 as BigBIO lists it (the synthetic corpus: Apache-2.0)"
    heads = ("regress",)
    reader = "bench_tasks.biosses.corpus:load"
    writer = "bench_tasks.biosses.synthetic:write_corpus"
    faults: ClassVar[Mapping[str, str]] = of_documents("malformed-line", "repeated-id")
    metadata = TaskMetadata(
        reference="https://doi.org/10.1093/bioinformatics/btx238",
        access="open: as preprocessed for BLUE (https://github.com/ncbi-nlp/BLUE_Benchmark), 64, 16 and 20 pairs",
        domain="biomedical",
        primary_metric="pearson",
        layout=LAYOUT,
        unit="pairs of sentences",
    )
    facts: ClassVar[Mapping[str, str]] = {
        "synthetic corpus": "200 train, 40 dev and 60 test pairs, seeded, in the same format",
        "scores": "pearson, and spearman over the ranks among all pairs scored",
    }

    def statistics(self, gold: Sequence[Document], predicted: Sequence[Document]) -> list[Mapping[str, float]]:
        """Additive statistics of every gold document, in order; predictions are matched by the document's id."""
        from bench.kit import ratings

        return ratings.statistics(gold, predicted)

    def summarise(self, sums: Mapping[str, Any]) -> Scores:
        """Scores from summed statistics, numbers or arrays."""
        from bench.kit import ratings

        return ratings.summarise(sums)

    def score_files(self, gold: Path, pred: Path) -> Scores:
        """Scores of tables, each a file or a folder of them; sentences are not needed.

        Raises:
            DataError: a file or a row cannot be read, or the two are not about the same pairs.
        """
        from bench.kit.classes import check_same_documents
        from bench_tasks.biosses import corpus

        wanted, given = corpus.read_annotations(gold), corpus.read_annotations(pred)
        check_same_documents(gold, pred, wanted, given)
        return self.score(list(wanted.values()), list(given.values()))

    def read_predictions(self, path: Path, gold: Sequence[Document]) -> Sequence[Document]:
        """A system's annotations, from files as `score_files` reads them.

        Raises:
            DataError: a line cannot be read, or is of a document that is none of gold.
        """
        from bench.kit.documents import of_gold
        from bench_tasks.biosses import corpus

        # Rows of one file are numbered alike in every split.
        names = {document.id.partition("-")[2]: document.id for document in gold}
        found = corpus.read_annotations(path).values()
        return of_gold([replace(document, id=names.get(document.id, document.id)) for document in found], gold, path)

    def write(self, folder: Path, documents: Sequence[Document]) -> None:
        """Writes the score of each pair, without text, to tables named as the files that the pairs came from.

        Raises:
            DataError: a pair has no score, which the format cannot say.
        """
        from bench_tasks.biosses import corpus

        corpus.write(folder, documents)
