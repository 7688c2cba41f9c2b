"""The task `pubmedqa`: a research question is answered yes, no or maybe from an abstract without its conclusion.

A line of the corpus (this one is made up): ``{"pubid": 1, "question": "Does tea help?", "context": {"contexts": ["We asked 40
people.", "Half of them felt better."]}, "long_answer": "It may.", "final_decision": "maybe"}``
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from bench.api.data import Document
from bench.api.task import TaskMetadata
from bench.kit.class_task import ClassTask
from bench.kit.faults import of_documents

LAYOUT = "FOLDER/all.jsonl, which is split here, or train.jsonl, dev.jsonl and test.jsonl"
CLASSES = ("yes", "no", "maybe")


class PubMedQA(ClassTask):
    """PubMedQA, the part that experts labelled, with the abstract given ("reasoning required")."""

    name = "pubmedqa"
    version = "1"
    summary = "PubMedQA: answer a research question with yes, no or maybe from an abstract"
    citation = "Jin et al. 2019, PubMedQA: A Dataset for Biomedical Research Question Answering, arXiv 1909.06146"
    licence = "MIT"
    classes = CLASSES
    reader = "bench_tasks.pubmedqa.corpus:load"
    writer = "bench_tasks.pubmedqa.synthetic:write_corpus"
    labeller = "bench_tasks.pubmedqa.corpus:label"
    faults: ClassVar[Mapping[str, str]] = of_documents("not-utf8", "malformed-line", "repeated-id")
    metadata = TaskMetadata(
        reference="https://pubmedqa.github.io",
        access="open: https://github.com/pubmedqa/pubmedqa, one JSON object a line",
        domain="biomedical",
        primary_metric="accuracy",
        layout=LAYOUT,
        unit="questions",
        published_best={"accuracy": 0.722},
        published_source=(
            "BioLinkBERT-large, Yasunaga et al. 2022, arXiv 2203.15827, the best of fine-tuned encoders there, on the official "
            "500 test questions, which are not those drawn here"
        ),
    )
    facts: ClassVar[Mapping[str, str]] = {
        "splits": "of all.jsonl: seeded 45/5/50, stratified (450/50/500 of 1,000); ours, not the official folds",
        "text": "question and sections of the abstract; never the long answer, which gives the decision away",
        "synthetic corpus": "300 train, 60 dev and 100 test questions, seeded, in the same format",
    }

    def line(self, document: Document, chosen: str) -> tuple[str, Mapping[str, Any]]:
        """Name of the one file for all documents, and a line with the id of the document's article."""
        return "labels.jsonl", {"pubid": document.id, "final_decision": chosen}
