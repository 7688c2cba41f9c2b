"""The task `2015-T14`: disorder mentions in clinical notes, discontiguous ones included, with their concepts and slots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from bench.api.data import Document
from bench.api.head import Head
from bench.api.task import Scores, TaskMetadata
from bench.kit.corpus_task import CorpusTask
from bench.kit.faults import KINDS
from bench.kit.formats import BY_FORMAT
from bench.kit.mentions import as_written

LAYOUT = "FOLDER/{train,dev,test}/DOC.text with DOC.pipe beside it (19 or 22 columns; empty where a document has no mention)"


class SemEval2015T14(CorpusTask):
    """SemEval-2015 Task 14, Analysis of Clinical Text."""

    name = "2015-T14"
    version = "1"
    summary = "SemEval-2015 Task 14: disorder mentions in clinical notes, discontiguous ones included"
    citation = (
        "Elhadad et al. 2015, SemEval-2015 Task 14: Analysis of Clinical Text, "
        "https://aclanthology.org/S15-2051/, doi:10.18653/v1/S15-2051"
    )
    licence = "PhysioNet Credentialed Health Data Use Agreement (the synthetic corpus: Apache-2.0)"
    heads = ("span", "bio")
    reader = "bench_tasks.semeval2015_t14.corpus:load"
    writer = "bench_tasks.semeval2015_t14.synthetic:write_corpus"
    unlinked = "CUI-less"
    faults: ClassVar[Mapping[str, str]] = {kind: KINDS[kind] for kind in (*BY_FORMAT["pipe"], "unknown-value")}
    metadata = TaskMetadata(
        reference="https://physionet.org/content/semeval2015/1.0/",
        access="credentialed: a PhysioNet account, its course and the signed data use agreement; text may never be shared",
        primary_metric="task1.strict.f1",
        # Concepts are looked up in a dictionary, which training does not change. By a metric with concepts, a better model that
        # finds mentions that are not in training, and links them wrongly, would count as worse.
        selection_metric="task1.span_only.f1",
        layout=LAYOUT,
        unit="notes",
        published_best={
            "task1.strict.f1": 0.757,
            "task1.strict.precision": 0.783,
            "task1.strict.recall": 0.732,
            "task2.weighted_accuracy": 0.886,
            "task2.f1_weighted_accuracy": 0.808,
        },
        published_source=(
            "best system of each part of the shared task, Elhadad et al. 2015: Task 1; Task 2a, slots of given spans "
            "(task2.weighted_accuracy); Task 2b, spans and slots from one system (task2.f1_weighted_accuracy), which a run is"
        ),
    )
    facts: ClassVar[Mapping[str, str]] = {
        "synthetic corpus": "240 train, 60 dev and 60 test notes of 150 to 400 words, seeded, in the same format",
        "scores": "task1: strict, relaxed, span_only, discontiguous; task2: accuracy and weighted accuracy of nine slots",
    }

    def arrange(self, release: Path, out: Path) -> None:
        """Arranges the PhysioNet release: a zip or tar file, or a folder.

        Raises:
            DataError: it cannot be read, or lacks something.
        """
        from bench_tasks.semeval2015_t14.arrange import arrange

        arrange(release, out)

    def head(self, name: str) -> Head:
        """A new head; ``span`` is one that also fills slots."""
        if name != "span":
            return super().head(name)
        from bench.heads.slots import SlotSpanHead

        return SlotSpanHead()

    def statistics(self, gold: Sequence[Document], predicted: Sequence[Document]) -> list[Mapping[str, float]]:
        """Additive statistics of every gold document, in order; predictions are matched by the document's id."""
        from bench_tasks.common import pipe_scoring
        from bench_tasks.semeval2015_t14 import scorer

        by_name = {_name(document): document for document in predicted}
        return [
            scorer.document_statistics(
                pipe_scoring.of_document(document), pipe_scoring.of_document(as_written(by_name.get(_name(document)), document))
            )
            for document in gold
        ]

    def summarise(self, sums: Mapping[str, Any]) -> Scores:
        """Scores from summed statistics, numbers or arrays."""
        from bench_tasks.semeval2015_t14 import scorer

        return scorer.summarise(sums)

    def score(self, gold: Sequence[Document], predicted: Sequence[Document]) -> Scores:
        """Official scores; documents are summed in the order of their names, so that sums equal those of `score_files`."""
        return super().score(sorted(gold, key=_name), predicted)

    def score_files(self, gold: Path, pred: Path) -> Scores:
        """Official scores of ``.pipe`` files; each a folder or one file.

        Raises:
            DataError: a path or a line that cannot be read.
        """
        from bench.kit.documents import refuse_disjoint
        from bench_tasks.common import pipe_scoring
        from bench_tasks.semeval2015_t14 import scorer

        reference, predicted = pipe_scoring.read(gold), pipe_scoring.read(pred)
        refuse_disjoint(reference, predicted, gold, pred, warn=True)
        total = scorer.document_statistics({}, {})
        for name in sorted(reference):
            for key, value in scorer.document_statistics(reference[name], predicted.get(name, {})).items():
                total[key] += value
        return scorer.summarise(total)

    def read_predictions(self, path: Path, gold: Sequence[Document]) -> Sequence[Document]:
        """A system's annotations, from files as `score_files` reads them.

        Raises:
            DataError: a line cannot be read, or is of a document that is none of gold.
        """
        from bench_tasks.common.pipe import read_mentions
        from bench_tasks.common.pipe_folder import predicted

        return predicted(path, gold, "|", read_mentions)

    def write(self, folder: Path, documents: Sequence[Document]) -> None:
        """Writes one ``.pipe`` file a document, 19 columns."""
        from bench_tasks.common import pipe

        pipe.write_folder(folder, documents)


def _name(document: Document) -> str:
    from bench_tasks.common.pipe_folder import document_name

    return document_name(document.id).lower()
