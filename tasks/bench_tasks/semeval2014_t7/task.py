"""The task `2014-T7`: disorder mentions in clinical notes, discontiguous ones included, and their concepts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from bench.api.data import Document
from bench.api.task import Scores, TaskMetadata
from bench.kit.corpus_task import CorpusTask
from bench.kit.faults import KINDS
from bench.kit.mentions import as_written

LAYOUT = "FOLDER/{train,dev,test}/DOC.text with DOC.pipe beside it ('||' lines; empty where a document has no mention)"


class SemEval2014T7(CorpusTask):
    """SemEval-2014 Task 7, Analysis of Clinical Text."""

    name = "2014-T7"
    version = "1"
    summary = "SemEval-2014 Task 7: disorder mentions in clinical notes and their concepts"
    citation = (
        "Pradhan et al. 2014, SemEval-2014 Task 7: Analysis of Clinical Text, "
        "https://aclanthology.org/S14-2007/, doi:10.3115/v1/S14-2007"
    )
    licence = "PhysioNet Credentialed Health Data Use Agreement (the synthetic corpus: Apache-2.0)"
    heads = ("span", "bio")
    reader = "bench_tasks.semeval2014_t7.corpus:load"
    writer = "bench_tasks.semeval2014_t7.synthetic:write_corpus"
    unlinked = "CUI-less"
    faults: ClassVar[Mapping[str, str]] = {
        kind: KINDS[kind]
        for kind in (
            "missing-file", "not-utf8", "malformed-line", "empty-span", "outside-text", "descending-offsets",
            "other-document", "unknown-value", "unknown-label",
        )
    }  # fmt: skip
    metadata = TaskMetadata(
        reference="https://alt.qcri.org/semeval2014/task7/",
        access="credentialed: a PhysioNet account, its course and the signed data use agreement; text may never be shared",
        domain="clinical",
        primary_metric="task_a.strict.f1",
        layout=LAYOUT,
        unit="notes",
        published_best={"task_a.strict.f1": 0.813, "task_b.strict": 0.741},
        published_source="best systems of the shared task, Pradhan et al. 2014",
    )
    facts: ClassVar[Mapping[str, str]] = {
        "synthetic corpus": "240 train, 60 dev and 60 test notes of 150 to 400 words, seeded, in the same format",
        "scores": "task_a: strict, relaxed; task_b: accuracy of concepts, strict (of all gold), relaxed (of exact spans)",
    }

    def statistics(self, gold: Sequence[Document], predicted: Sequence[Document]) -> list[Mapping[str, float]]:
        """Additive statistics of every gold document, in order; predictions are matched by the document's id."""
        from bench_tasks.semeval2014_t7 import scorer

        by_id = {document.id: document for document in predicted}
        return [
            scorer.document_statistics(_annotations(document), _annotations(as_written(by_id.get(document.id), document)))
            for document in gold
        ]

    def summarise(self, sums: Mapping[str, Any]) -> Scores:
        """Scores from summed statistics, numbers or arrays."""
        from bench_tasks.semeval2014_t7 import scorer

        return scorer.summarise(sums)

    def score(self, gold: Sequence[Document], predicted: Sequence[Document]) -> Scores:
        """Official scores; predictions in documents that have no gold are false positives."""
        known = {document.id for document in gold}
        extra = [Document(document.id, "") for document in predicted if document.id not in known]
        return super().score([*gold, *extra], predicted)

    def score_files(self, gold: Path, pred: Path) -> Scores:
        """Official scores of ``||`` files; each a folder or one file.

        Raises:
            DataError: a path or a line cannot be read, for instance since offsets decrease.
        """
        from bench.kit.documents import refuse_disjoint
        from bench_tasks.semeval2014_t7 import pipe, scorer

        reference, predicted = pipe.read_documents(gold), pipe.read_documents(pred)
        refuse_disjoint(reference, predicted, gold, pred, warn=True)
        total = scorer.document_statistics({}, {})
        for name in sorted({*reference, *predicted}):
            for key, value in scorer.document_statistics(reference.get(name, {}), predicted.get(name, {})).items():
                total[key] += value
        return scorer.summarise(total)

    def read_predictions(self, path: Path, gold: Sequence[Document]) -> Sequence[Document]:
        """A system's annotations, from files as `score_files` reads them.

        Raises:
            DataError: a line cannot be read, or is of a document that is none of gold.
        """
        from bench_tasks.common.pipe_folder import predicted
        from bench_tasks.semeval2014_t7.pipe import read_mentions

        return predicted(path, gold, "||", read_mentions)

    def write(self, folder: Path, documents: Sequence[Document]) -> None:
        """Writes one ``.pipe`` file a document."""
        from bench_tasks.semeval2014_t7 import pipe

        pipe.write_folder(folder, documents)


def _annotations(document: Document) -> dict[tuple[tuple[int, int], ...], str]:
    return {mention.as_written: mention.concept or SemEval2014T7.unlinked for mention in document.mentions}
