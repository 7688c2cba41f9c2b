"""The task `bc5cdr-cid`: which chemicals induce which diseases, said of a whole abstract, the mentions given.

An article of the corpus (this one is made up):

    1001|t|Torsade with melprilol
    1001|a|A case.
    1001	0	7	Torsade	Disease	D016171
    1001	13	22	melprilol	Chemical	D002945
    1001	CID	D002945	D016171
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from bench.api.data import Document
from bench.api.task import Scores, TaskMetadata
from bench.errors import DataError
from bench.kit.corpus_task import CorpusTask
from bench.kit.faults import KINDS
from bench.kit.formats import BY_FORMAT
from bench_tasks.common.abstract_task import OUTPUT

RELATION = "CID"
LAYOUT = "FOLDER/CDR_{Training,Development,Test}Set.PubTator.txt, as BioCreative V released them, with their CID lines"


class Bc5cdrCid(CorpusTask):
    """BioCreative V track 3, chemical-induced disease relations."""

    name = "bc5cdr-cid"
    version = "1"
    summary = "BioCreative V CDR: which chemicals induce which diseases in an abstract, mentions given"
    citation = (
        "Li et al. 2016, BioCreative V CDR task corpus, doi:10.1093/database/baw068; Wei et al. 2016, Assessing the state of "
        "the art in biomedical relation extraction, doi:10.1093/database/baw032"
    )
    licence = "Public Domain Mark 1.0 as BigBIO lists it; abstracts are PubMed's (the synthetic corpus: Apache-2.0)"
    heads = ("pairs",)
    reader = "bench_tasks.bc5cdr_cid.corpus:load"
    writer = "bench_tasks.bc5cdr_cid.synthetic:write_corpus"
    faults: ClassVar[Mapping[str, str]] = {kind: KINDS[kind] for kind in BY_FORMAT["pubtator"]}
    metadata = TaskMetadata(
        reference="https://biocreative.bioinformatics.udel.edu/tasks/biocreative-v/track-3-cdr/",
        access="open: BioCreative's page after a free registration",
        domain="biomedical",
        primary_metric="relations.f1",
        layout=LAYOUT,
        unit="abstracts",
    )
    facts: ClassVar[Mapping[str, str]] = {
        "mentions": "chemicals and diseases are given, with their MeSH ids; many published systems are given them too, not all",
        "synthetic corpus": "300 train, 80 dev and 80 test abstracts, seeded, in the same format",
        "scores": "relations: articles, chemical id and disease id equal",
    }

    def prepared(self, document: Document) -> Document:
        """What the release writes for no concept is none."""
        from bench_tasks.bc5cdr_cid.corpus import plain

        return plain(document)

    def statistics(self, gold: Sequence[Document], predicted: Sequence[Document]) -> list[Mapping[str, float]]:
        """Additive statistics of every gold document, in order; predictions are matched by the document's id."""
        from bench.kit.scores import counts
        from bench_tasks.bc5cdr_cid.corpus import pairs

        given = {document.id: pairs(document) for document in predicted}
        return [counts("relations", pairs(document), given.get(document.id, frozenset())) for document in gold]

    def summarise(self, sums: Mapping[str, Any]) -> Scores:
        """Scores from summed statistics, numbers or arrays."""
        from bench.kit.scores import prf

        return {"relations": prf(sums, "relations")}

    def score_files(self, gold: Path, pred: Path) -> Scores:
        """Scores of PubTator files, each one file or a folder of them, matched by the articles' names; texts are not needed.

        Raises:
            DataError: a path holds no PubTator, a line cannot be read, or an article is not in gold.
        """
        from bench_tasks.bc5cdr_cid.corpus import read

        wanted, given = read(gold), read(pred)
        if unknown := given.keys() - wanted.keys():
            raise DataError(f"{pred} has an article {min(unknown)!r} that is not in {gold} ({len(unknown)} such).")
        return self.score(list(wanted.values()), list(given.values()))

    def read_predictions(self, path: Path, gold: Sequence[Document]) -> Sequence[Document]:
        """A system's annotations, from files as `score_files` reads them.

        Raises:
            DataError: a line cannot be read, or is of a document that is none of gold.
        """
        from bench.kit.documents import of_gold
        from bench_tasks.bc5cdr_cid import corpus

        return of_gold(corpus.read(path).values(), gold, path)

    def write(self, folder: Path, documents: Sequence[Document]) -> None:
        """Writes relations and mentions in PubTator, titles and abstracts empty."""
        from bench.kit import pubtator

        folder.mkdir(parents=True, exist_ok=True)
        pubtator.write(folder / OUTPUT, documents)
