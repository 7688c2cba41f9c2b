"""The task `ncbi-disease`: disease mentions in sentences of PubMed abstracts."""

from __future__ import annotations

from bench.api.task import TaskMetadata
from bench.kit.formats import LAYOUTS
from bench_tasks.common.iob_task import IobTask


class NcbiDisease(IobTask):
    """NCBI disease corpus in the splits and tokens of Crichton et al. 2017."""

    name = "ncbi-disease"
    version = "1"
    summary = "NCBI disease corpus: disease mentions in PubMed abstracts, IOB2"
    citation = (
        "Dogan, Leaman, Lu 2014, NCBI disease corpus, doi:10.1016/j.jbi.2013.12.006; splits of Crichton et al. 2017, "
        "doi:10.1186/s12859-017-1776-8"
    )
    licence = "CC BY 4.0 for the files of Crichton et al. (corpus: public domain, NCBI; the synthetic corpus: Apache-2.0)"
    labels = ("Disease",)
    wording = ("ncbi_disease/disease.json", "ncbi_disease/language.json")
    metadata = TaskMetadata(
        reference="https://www.ncbi.nlm.nih.gov/CBBresearch/Dogan/DISEASE/",
        access="open: folder NCBI-disease-IOB of https://github.com/cambridgeltl/MTL-Bioinformatics-2016",
        domain="biomedical",
        primary_metric="strict.f1",
        layout=LAYOUTS["iob"],
        published_best={"strict.f1": 0.8971, "strict.precision": 0.8822, "strict.recall": 0.9125},
        published_source="BioBERT v1.1, Lee et al. 2020, doi:10.1093/bioinformatics/btz682, Table 6",
    )
