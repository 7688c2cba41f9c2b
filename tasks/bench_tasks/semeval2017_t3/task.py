"""The tasks `2017-T3-A`, `-B` and `-C`: ranking the answers of a forum, one class a subtask on one base."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from bench.api.data import Document, Judgement
from bench.api.task import Scores, TaskMetadata
from bench.kit.corpus_task import CorpusTask
from bench.wording import some

LAYOUT = "FOLDER/{train,dev,test}/*.xml, the official files (for subtask A also the '-subtaskA' ones)"

_SOURCE = "best system of the shared task, Nakov et al. 2017"


def _metadata(best: float) -> TaskMetadata:
    return TaskMetadata(
        reference="https://alt.qcri.org/semeval2017/task3/",
        access="open: from the task's page, free for general research use",
        domain="community",
        primary_metric="map",
        layout=LAYOUT,
        unit="questions",
        published_best={"map": best},
        published_source=_SOURCE,
    )


class _CommunityQuestionAnswering(CorpusTask):
    """Base class of the subtasks: files, head and scorer."""

    version = "1"
    citation = (
        "Nakov et al. 2017, SemEval-2017 Task 3: Community Question Answering, "
        "https://aclanthology.org/S17-2003/, doi:10.18653/v1/S17-2003"
    )
    licence = "free for general research use (the synthetic corpus: Apache-2.0)"
    heads = ("ranking",)
    reader = "bench_tasks.semeval2017_t3.corpus:load"
    writer = "bench_tasks.semeval2017_t3.synthetic:write_corpus"
    letter: ClassVar[str]

    def parameters(self) -> Mapping[str, str]:
        """What `bench show` prints below the metadata."""
        from bench_tasks.semeval2017_t3.corpus import Subtask
        from bench_tasks.semeval2017_t3.synthetic import SHAPES

        shape = SHAPES[self.letter]
        sizes = ", ".join(f"{count} {split}" for split, count in shape.sizes.items())
        return {
            **super().parameters(),
            "relevance": Subtask(self.letter).attribute,
            "synthetic corpus": f"{sizes} queries with {some(shape.candidates, 'candidate')} each, seeded, in the same format",
            "scores": "map (top 10, over those found there), avg_rec, mrr (of 100), trec_map",
        }

    def reading(self) -> Mapping[str, Any]:
        """The subtask, which decides the attribute that holds relevance."""
        from bench_tasks.semeval2017_t3.corpus import Subtask

        return {"subtask": Subtask(self.letter)}

    def writing(self) -> Mapping[str, Any]:
        """The subtask's letter, which decides the size of the corpus."""
        return {"letter": self.letter}

    def statistics(self, gold: Sequence[Document], predicted: Sequence[Document]) -> list[Mapping[str, float]]:
        """Additive statistics of every gold query, in order; predictions are matched by the query's id."""
        from bench.kit import rankings

        return rankings.statistics(gold, predicted)

    def summarise(self, sums: Mapping[str, Any]) -> Scores:
        """Scores from summed statistics, numbers or arrays."""
        from bench.kit import rankings

        return rankings.summarise(sums)

    def score_files(self, gold: Path, pred: Path) -> Scores:
        """Official scores of a relevancy file and a prediction file, or of folders that hold one file each.

        Raises:
            DataError: a file or a line cannot be read, or the files do not name the same candidates in the same order.
        """
        from bench.kit import rankings, scores
        from bench_tasks.semeval2017_t3 import files

        relevance: dict[str, dict[str, bool]] = {}
        ranked: dict[str, dict[str, float]] = {}
        for gold_row, pred_row in files.read_pair(gold, pred):
            relevance.setdefault(gold_row.query, {})[gold_row.candidate] = gold_row.relevant
            ranked.setdefault(gold_row.query, {})[gold_row.candidate] = pred_row.score
        rows = (rankings.query_statistics(judged, ranked[query]) for query, judged in relevance.items())
        return rankings.summarise(scores.summed(rows))

    def read_predictions(self, path: Path, gold: Sequence[Document]) -> Sequence[Document]:
        """A system's annotations, from files as `score_files` reads them.

        Raises:
            DataError: a line cannot be read, or is of a document that is none of gold.
        """
        from bench.kit.documents import of_gold
        from bench_tasks.semeval2017_t3 import files

        ranked: dict[str, list[Judgement]] = {}
        for row in files.read(path):
            ranked.setdefault(row.query, []).append(Judgement(row.candidate, row.score, row.relevant))
        return of_gold([Document(query, "", judgements=tuple(said)) for query, said in ranked.items()], gold, path)

    def write(self, folder: Path, documents: Sequence[Document]) -> None:
        """Writes one file of lines ``qid aid rank score true|false``."""
        from bench_tasks.semeval2017_t3 import files

        files.write(folder, documents)


class SubtaskA(_CommunityQuestionAnswering):
    """SemEval-2017 Task 3, subtask A: the comments of a thread, for its question."""

    name = "2017-T3-A"
    summary = "SemEval-2017 Task 3 A: rank the comments of a thread by how well they answer its question"
    metadata = _metadata(0.8843)
    letter = "A"


class SubtaskB(_CommunityQuestionAnswering):
    """SemEval-2017 Task 3, subtask B: related questions, for a new one."""

    name = "2017-T3-B"
    summary = "SemEval-2017 Task 3 B: rank earlier questions by how close they are to a new one"
    metadata = _metadata(0.4722)
    letter = "B"


class SubtaskC(_CommunityQuestionAnswering):
    """SemEval-2017 Task 3, subtask C: the comments of related questions, for a new one."""

    name = "2017-T3-C"
    summary = "SemEval-2017 Task 3 C: rank comments on earlier questions by how well they answer a new one"
    metadata = _metadata(0.1546)
    letter = "C"
