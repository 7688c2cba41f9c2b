"""The task `gad`: does a sentence say that a gene and a disease are associated?

A line of the corpus, its entities masked (this one is made up):
``{"id": "0", "text": "Carriers of the @GENE$ variant had a higher risk of @DISEASE$.", "labels": ["1"]}``
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from bench.api.data import Document
from bench.api.task import TaskMetadata
from bench.kit.class_task import ClassTask
from bench.kit.faults import of_documents

LAYOUT = "FOLDER/train.jsonl, test.jsonl and, where you have one, dev.jsonl (else a seeded tenth of train)"
CLASSES = ("0", "1")


class GAD(ClassTask):
    """Gene-disease associations, binary classification of sentences."""

    name = "gad"
    version = "1"
    summary = "GAD: does a sentence state an association between the gene and the disease it names?"
    citation = (
        "Bravo et al. 2015, Extraction of relations between genes and diseases from text and large-scale data analysis, "
        "BMC Bioinformatics 16:55, doi:10.1186/s12859-015-0472-9; the split of Gu et al. 2021, BLURB, arXiv 2007.15779"
    )
    licence = "none stated by its authors; derived from the public-domain Genetic Association Database (synthetic: Apache-2.0)"
    classes = CLASSES
    reader = "bench_tasks.gad.corpus:load"
    writer = "bench_tasks.gad.synthetic:write_corpus"
    labeller = "bench_tasks.gad.corpus:label"
    faults: ClassVar[Mapping[str, str]] = of_documents("not-utf8", "malformed-line", "repeated-id")
    metadata = TaskMetadata(
        reference="https://doi.org/10.1186/s12859-015-0472-9",
        access="open: as preprocessed for BioBERT and BLURB (one fold of ten)",
        domain="biomedical",
        primary_metric="by_class.1.f1",
        layout=LAYOUT,
        unit="sentences",
        published_best={"by_class.1.f1": 0.849},
        published_source="BioLinkBERT-large, Yasunaga et al. 2022, arXiv 2203.15827, F1 of the positive class on the same test",
    )
    facts: ClassVar[Mapping[str, str]] = {
        "dev": "where there is no dev.jsonl: a seeded tenth of train, stratified, equal texts together; ours, not official",
        "repeats": "8 lines of the published test (5 texts) stand in train too; they are kept, any other repeat is refused",
        "synthetic corpus": "400 train, 80 dev and 120 test sentences, seeded, in the same format",
    }

    def line(self, document: Document, chosen: str) -> tuple[str, Mapping[str, Any]]:
        """Name of the file that the document came from, and its line with the id in that file."""
        stem, dash, name = document.id.partition("-")
        return (
            (f"{stem}.jsonl", {"id": name, "labels": [chosen]}) if dash else ("labels.jsonl", {"id": stem, "labels": [chosen]})
        )
