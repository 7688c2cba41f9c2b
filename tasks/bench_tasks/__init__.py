"""The tasks that come with bench: one package a task, with loader, synthetic corpus, scorer and README."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.api.task import Task
from bench.hooks import hookimpl
from bench_tasks.bc2gm.task import Bc2gm
from bench_tasks.bc5cdr.task import Bc5cdr
from bench_tasks.bc5cdr_cid.task import Bc5cdrCid
from bench_tasks.biosses.task import Biosses
from bench_tasks.chemprot.task import ChemProt
from bench_tasks.ddi2013.task import DDI2013
from bench_tasks.gad.task import GAD
from bench_tasks.hoc.task import HoC
from bench_tasks.jnlpba.task import Jnlpba
from bench_tasks.ncbi_disease.task import NcbiDisease
from bench_tasks.pubmedqa.task import PubMedQA
from bench_tasks.semeval2014_t7.task import SemEval2014T7
from bench_tasks.semeval2015_t14.task import SemEval2015T14
from bench_tasks.semeval2016_t12.task import SemEval2016T12
from bench_tasks.semeval2017_t3.task import SubtaskA, SubtaskB, SubtaskC


@hookimpl
def bench_task_from_file(path: Path) -> Task:
    """The task that a TOML file describes."""
    from bench_tasks.custom.task import task_from_file

    return task_from_file(path)


@hookimpl
def bench_tasks() -> Sequence[Task]:
    """The tasks of this package: clinical notes first, then biomedical articles."""
    return (
        SemEval2015T14(), SemEval2014T7(), SemEval2016T12(), SubtaskA(), SubtaskB(), SubtaskC(),
        NcbiDisease(), Bc5cdr(), Bc2gm(), Jnlpba(), ChemProt(), DDI2013(), Bc5cdrCid(), GAD(), HoC(), PubMedQA(),
        Biosses(),
    )  # fmt: skip
