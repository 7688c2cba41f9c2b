"""The task `2016-T12`: events, time expressions, relations to the document's time and narrative containers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from bench.api.data import Document
from bench.api.head import Head
from bench.api.part import Requirement
from bench.api.task import Scores, TaskMetadata
from bench.errors import DataError
from bench.kit.corpus_task import CorpusTask
from bench.kit.faults import of_documents
from bench.kit.mentions import as_written

LAYOUT = "FOLDER/{train,dev,test}/DOC/DOC with DOC.*.xml beside it (Anafora); or all documents of a split in one folder"


class SemEval2016T12(CorpusTask):
    """SemEval-2016 Task 12, Clinical TempEval."""

    name = "2016-T12"
    version = "1"
    summary = "SemEval-2016 Task 12, Clinical TempEval: events, times, DocTimeRel and CONTAINS in clinical notes"
    citation = (
        "Bethard et al. 2016, SemEval-2016 Task 12: Clinical TempEval, "
        "https://aclanthology.org/S16-1165/, doi:10.18653/v1/S16-1165"
    )
    licence = "THYME data use agreement with Mayo Clinic (the synthetic corpus: Apache-2.0)"
    requires = (Requirement("anafora", "bench-suite[tasks]"),)
    heads = ("temporal",)
    faults: ClassVar[Mapping[str, str]] = of_documents("missing-file", "not-utf8", "malformed-line")
    reader = "bench_tasks.semeval2016_t12.corpus:load"
    writer = "bench_tasks.semeval2016_t12.synthetic:write_corpus"
    metadata = TaskMetadata(
        reference="https://alt.qcri.org/semeval2016/task12/",
        access="credentialed: the THYME data use agreement with Mayo Clinic, via hNLP; text may never be shared",
        domain="clinical",
        primary_metric="closure.TLINK:Type:CONTAINS.f1",
        layout=LAYOUT,
        unit="notes",
        published_best={"closure.TLINK:Type:CONTAINS.f1": 0.479},
        published_source="best system from text alone (phase 1), Bethard et al. 2016",
    )
    facts: ClassVar[Mapping[str, str]] = {
        "predicted": "EVENT, TIMEX3, an event's DocTimeRel, and CONTAINS between predicted mentions; no other property",
        "synthetic corpus": "200 train, 60 dev and 60 test notes, seeded, in the same format",
        "scores": "the rows of anaforatools, and TLINK:Type:CONTAINS with temporal closure below closure",
    }

    def head(self, name: str) -> Head:
        """A new head; ``temporal`` is defined by this task."""
        if name != "temporal":
            return super().head(name)
        from bench_tasks.semeval2016_t12.head import TemporalHead

        return TemporalHead()

    def statistics(self, gold: Sequence[Document], predicted: Sequence[Document]) -> list[Mapping[str, float]]:
        """Additive statistics of every gold document, in order; predictions are matched by the document's id."""
        from bench_tasks.semeval2016_t12 import scorer

        by_id = {document.id: document for document in predicted}
        return [scorer.statistics(scorer.element_of(d), scorer.element_of(as_written(by_id.get(d.id), d))) for d in gold]

    def summarise(self, sums: Mapping[str, Any]) -> Scores:
        """Scores from summed statistics, numbers or arrays."""
        from bench_tasks.semeval2016_t12 import scorer

        return scorer.summarise(sums)

    def score_files(self, gold: Path, pred: Path) -> Scores:
        """Scores of Anafora files; each a folder or one file. Predictions in documents without gold are not scored.

        Raises:
            DataError: a path or a file that cannot be read.
        """
        from bench.kit.documents import refuse_disjoint
        from bench.kit.scores import summed
        from bench_tasks.semeval2016_t12 import layout, scorer

        reference, predicted = layout.annotation_files(gold), layout.annotation_files(pred)
        if gold.is_file() != pred.is_file():
            raise DataError(
                f"{gold} and {pred} are a file and a folder; wanted two of one kind, so that documents can be matched."
            )
        refuse_disjoint(reference, predicted, gold, pred)
        rows = [
            scorer.statistics(scorer.read(path), scorer.read(predicted[name]) if name in predicted else scorer.nothing())
            for name, path in reference.items()
        ]
        return scorer.summarise(summed(rows))

    def write(self, folder: Path, documents: Sequence[Document]) -> None:
        """Writes an Anafora file a document, each in a folder of its own.

        Raises:
            DataError: a document's name cannot be a file name.
        """
        from bench_tasks.semeval2016_t12 import scorer

        for document in documents:
            if not document.id or document.id != Path(document.id).name:
                raise DataError(f"Document name {document.id!r} cannot be a file name.")
            scorer.write(folder, document)
