"""The task `bc5cdr`: chemical and disease mentions in PubMed abstracts, sentence by sentence or whole."""

from __future__ import annotations

from bench.api.task import TaskMetadata
from bench.kit.formats import LAYOUTS
from bench_tasks.common.abstract_task import CDR_FILES, AbstractTask


class Bc5cdr(AbstractTask):
    """BioCreative V CDR corpus, both types at once: sentences in the tokens of Crichton et al. 2017, or the 1,500 abstracts."""

    name = "bc5cdr"
    version = "1"
    summary = "BioCreative V CDR: chemical and disease mentions in PubMed abstracts, IOB2"
    citation = (
        "Li et al. 2016, BioCreative V CDR task corpus, doi:10.1093/database/baw068; splits of Crichton et al. 2017, "
        "doi:10.1186/s12859-017-1776-8"
    )
    licence = (
        "CC BY 4.0 for the files of Crichton et al. (corpus: public domain, BioCreative; the synthetic corpus: Apache-2.0)"
    )
    labels = ("Chemical", "Disease")
    files = CDR_FILES
    wording = ("ncbi_disease/disease.json", "bc5cdr/language.json")
    metadata = TaskMetadata(
        reference="https://biocreative.bioinformatics.udel.edu/tasks/biocreative-v/track-3-cdr/",
        access=(
            "open: folder BC5CDR-IOB of https://github.com/cambridgeltl/MTL-Bioinformatics-2016; the abstracts from BioCreative"
        ),
        domain="biomedical",
        primary_metric="strict.f1",
        layout=f"{LAYOUTS['iob']}; or CDR_{{Training,Development,Test}}Set.PubTator.txt, abstracts as documents",
        published_best={"strict.f1": 0.9001, "by_type.Chemical.f1": 0.9404, "by_type.Disease.f1": 0.8715},
        published_source=(
            "both types at once: SciBERT, Beltagy et al. 2019, arXiv 1903.10676; models of one type alone: chemicals, "
            "BioLinkBERT-large, Yasunaga et al. 2022, arXiv 2203.15827; diseases, BioBERT v1.1, Lee et al. 2020"
        ),
    )
