"""The task `ddi-2013`: interactions between drugs that a sentence states, the drugs given.

A sentence of the corpus (this one is made up); the last character of an offset belongs to the drug:

    <sentence id="DDI-DrugBank.d1.s0" text="Melprilol raises levels of tanoxin.">
      <entity id="DDI-DrugBank.d1.s0.e0" charOffset="0-8" type="drug" text="Melprilol"/>
      <entity id="DDI-DrugBank.d1.s0.e1" charOffset="27-33" type="drug" text="tanoxin"/>
      <pair id="DDI-DrugBank.d1.s0.p0" e1="DDI-DrugBank.d1.s0.e0" e2="DDI-DrugBank.d1.s0.e1" ddi="true" type="mechanism"/>
    </sentence>
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from bench.api.data import Document
from bench.api.head import Head
from bench.api.task import Scores, TaskMetadata
from bench.kit.corpus_task import CorpusTask
from bench.kit.faults import of_documents

CLASSES = ("advise", "effect", "int", "mechanism")
LAYOUT = (
    "FOLDER/Train and FOLDER/Test with the corpus's .xml files, in any sub-folders, and FOLDER/Dev, where you have one (else a "
    "seeded tenth of Train)"
)


class DDI2013(CorpusTask):
    """Drug-drug interactions, SemEval-2013 Task 9.2."""

    name = "ddi-2013"
    version = "1"
    summary = "DDIExtraction 2013: interactions between given drugs in a sentence, four classes"
    citation = (
        "Herrero-Zazo et al. 2013, The DDI corpus, doi:10.1016/j.jbi.2013.07.011; Segura-Bedmar, Martinez, Herrero-Zazo 2013, "
        "SemEval-2013 Task 9, ACL S13-2056"
    )
    licence = "CC BY-NC 4.0 as BigBIO lists it (the synthetic corpus: Apache-2.0)"
    heads = ("relation",)
    reader = "bench_tasks.ddi2013.corpus:load"
    writer = "bench_tasks.ddi2013.synthetic:write_corpus"
    faults: ClassVar[Mapping[str, str]] = of_documents(
        "malformed-line", "repeated-id", "empty-span", "outside-text", "unknown-label", "missing-mention", "self-relation"
    )
    metadata = TaskMetadata(
        reference="https://aclanthology.org/S13-2056/",
        access="open: https://github.com/isegura/DDICorpus",
        domain="biomedical",
        primary_metric="relations.f1",
        layout=LAYOUT,
        unit="documents",
    )
    facts: ClassVar[Mapping[str, str]] = {
        "classes": ", ".join(CLASSES),
        "mentions": "drug, brand, group and drug_n are given; candidates are their pairs within a sentence",
        "dev": "without a folder Dev a seeded tenth of Train's documents, DrugBank and MedLine alike; ours, not official",
        "synthetic corpus": "240 train, 60 dev and 60 test documents, seeded, in the same format",
        "scores": "relations (micro over the four classes), by_type; the order of the two drugs does not count",
    }

    def head(self, name: str) -> Head:
        """A new head of this name; an interaction has no direction, so that a pair is one candidate."""
        if name != "relation":
            return super().head(name)
        from bench.heads.relation import RelationExtractionHead

        return RelationExtractionHead(forward=True)

    def prepared(self, document: Document) -> Document:
        """The sentences of a text become its passages, as those of the corpus do."""
        from bench_tasks.common.sentences import sentence_passages

        return replace(document, passages=document.passages or sentence_passages(document.text))

    def statistics(self, gold: Sequence[Document], predicted: Sequence[Document]) -> list[Mapping[str, float]]:
        """Additive statistics of every gold document, in order; predictions are matched by the document's id."""
        from bench.kit import relations
        from bench_tasks.ddi2013.corpus import ordered

        return relations.statistics([ordered(d) for d in gold], (ordered(d) for d in predicted), CLASSES)

    def summarise(self, sums: Mapping[str, Any]) -> Scores:
        """Scores from summed statistics, numbers or arrays."""
        from bench.kit import relations

        return relations.summarise(sums)

    def score_files(self, gold: Path, pred: Path) -> Scores:
        """Scores of XML files, each one file or a folder of them; texts are not needed.

        Raises:
            DataError: a path or a line that cannot be read, or no document in common.
        """
        from bench.kit.documents import refuse_disjoint
        from bench_tasks.ddi2013 import corpus

        wanted, given = corpus.read_annotations(gold), corpus.read_annotations(pred)
        refuse_disjoint([d.id for d in wanted], [d.id for d in given], gold, pred)
        return self.score(wanted, given)

    def read_predictions(self, path: Path, gold: Sequence[Document]) -> Sequence[Document]:
        """A system's annotations, from files as `score_files` reads them.

        Raises:
            DataError: a line cannot be read, or is of a document that is none of gold.
        """
        from bench.kit.documents import of_gold
        from bench_tasks.ddi2013 import corpus

        return of_gold(corpus.read_annotations(path), gold, path)

    def write(self, folder: Path, documents: Sequence[Document]) -> None:
        """Writes an ``.xml`` file a document, without text: one sentence whose offsets are those of the whole document."""
        from bench.kit.documents import write_each
        from bench_tasks.ddi2013.corpus import as_xml

        write_each(folder, documents, ".xml", as_xml)
