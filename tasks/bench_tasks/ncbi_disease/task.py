"""The task `ncbi-disease`: disease mentions in PubMed abstracts, sentence by sentence or whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from bench.api.task import TaskMetadata
from bench.kit.formats import LAYOUTS
from bench_tasks.common.abstract_task import AbstractTask


class NcbiDisease(AbstractTask):
    """NCBI disease corpus: sentences in the tokens of Crichton et al. 2017, or the 793 abstracts of the release."""

    name = "ncbi-disease"
    version = "1"
    summary = "NCBI disease corpus: disease mentions in PubMed abstracts, IOB2"
    citation = (
        "Dogan, Leaman, Lu 2014, NCBI disease corpus, doi:10.1016/j.jbi.2013.12.006; splits of Crichton et al. 2017, "
        "doi:10.1186/s12859-017-1776-8"
    )
    licence = "CC BY 4.0 for the files of Crichton et al. (corpus: public domain, NCBI; the synthetic corpus: Apache-2.0)"
    labels = ("Disease",)
    files: ClassVar[Mapping[str, str]] = {
        "train": "NCBItrainset_corpus.txt", "dev": "NCBIdevelopset_corpus.txt", "test": "NCBItestset_corpus.txt",
    }  # fmt: skip
    types: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("SpecificDisease", "DiseaseClass", "CompositeMention", "Modifier"), "Disease"
    )
    wording = ("ncbi_disease/disease.json", "ncbi_disease/language.json")
    metadata = TaskMetadata(
        reference="https://www.ncbi.nlm.nih.gov/CBBresearch/Dogan/DISEASE/",
        access=(
            "open: folder NCBI-disease-IOB of https://github.com/cambridgeltl/MTL-Bioinformatics-2016; the abstracts from the "
            "corpus's own page"
        ),
        domain="biomedical",
        primary_metric="strict.f1",
        layout=f"{LAYOUTS['iob']}; or NCBI{{train,develop,test}}set_corpus.txt in PubTator, abstracts as documents",
        published_best={"strict.f1": 0.8971, "strict.precision": 0.8822, "strict.recall": 0.9125},
        published_source="BioBERT v1.1, Lee et al. 2020, doi:10.1093/bioinformatics/btz682, Table 6",
    )
