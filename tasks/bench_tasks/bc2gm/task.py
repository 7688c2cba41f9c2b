"""The task `bc2gm`: gene mentions in sentences of PubMed abstracts."""

from __future__ import annotations

from bench.api.task import TaskMetadata
from bench.kit.formats import LAYOUTS
from bench_tasks.common.iob_task import IobTask


class Bc2gm(IobTask):
    """BioCreative II gene mention corpus in the splits and tokens of Crichton et al. 2017."""

    name = "bc2gm"
    version = "1"
    summary = "BioCreative II gene mention: gene names in sentences of PubMed abstracts, IOB2"
    citation = (
        "Smith et al. 2008, Overview of BioCreative II gene mention recognition, doi:10.1186/gb-2008-9-s2-s2; splits of "
        "Crichton et al. 2017, doi:10.1186/s12859-017-1776-8"
    )
    licence = (
        "CC BY 4.0 for the files of Crichton et al. (corpus: BioCreative, free for research; the synthetic corpus: Apache-2.0)"
    )
    labels = ("GENE",)
    wording = ("bc2gm/language.json",)
    metadata = TaskMetadata(
        reference="https://biocreative.bioinformatics.udel.edu/tasks/biocreative-ii/task-1a-gene-mention-tagging/",
        access="open: folder BC2GM-IOB of https://github.com/cambridgeltl/MTL-Bioinformatics-2016",
        domain="biomedical",
        primary_metric="strict.f1",
        layout=LAYOUTS["iob"],
        published_best={"strict.f1": 0.8518},
        published_source=(
            "BioLinkBERT-large, Yasunaga et al. 2022, arXiv 2203.15827; strict against one boundary each, without the shared "
            "task's alternative boundaries, which these files do not have"
        ),
    )
