"""The task `jnlpba`: names of DNA, RNA, proteins, cell lines and cell types in PubMed abstracts."""

from __future__ import annotations

from bench.api.task import TaskMetadata
from bench.kit.formats import LAYOUTS
from bench_tasks.common.iob_task import IobTask


class Jnlpba(IobTask):
    """Bio-entity recognition task at JNLPBA 2004, all five types, in the splits of Crichton et al. 2017."""

    name = "jnlpba"
    version = "1"
    summary = "JNLPBA 2004: DNA, RNA, protein, cell line and cell type names in PubMed abstracts, IOB2"
    citation = (
        "Collier & Kim 2004, Introduction to the Bio-entity Recognition Task at JNLPBA, ACL W04-1213; splits of Crichton et "
        "al. 2017, doi:10.1186/s12859-017-1776-8"
    )
    licence = "CC BY 3.0 as BigBIO lists it (the synthetic corpus: Apache-2.0)"
    labels = ("DNA", "RNA", "cell_line", "cell_type", "protein")
    wording = ("jnlpba/language.json",)
    metadata = TaskMetadata(
        reference="https://aclanthology.org/W04-1213/",
        access="open: folder JNLPBA of https://github.com/cambridgeltl/MTL-Bioinformatics-2016, the form with plain IOB tags",
        domain="biomedical",
        primary_metric="strict.f1",
        layout=LAYOUTS["iob"],
    )
