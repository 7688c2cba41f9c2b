"""Base class of tasks on IOB2 folders: loader, heads and scorer; a task adds its metadata and its synthetic corpus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from bench.api.data import Document
from bench.api.task import Scores
from bench.kit.corpus_task import CorpusTask
from bench.kit.faults import KINDS
from bench.kit.formats import BY_FORMAT

if TYPE_CHECKING:
    from bench_tasks.common.iob_synthesis import Language


class IobTask(CorpusTask):
    """A task of mentions in sentences: IOB2 tags in TSV files, entity-level strict scores."""

    heads = ("bio", "span", "bioes")
    reader = "bench.kit.iob_folder:load"
    writer = "bench_tasks.common.iob_synthesis:write_corpus"
    faults: ClassVar[Mapping[str, str]] = {kind: KINDS[kind] for kind in BY_FORMAT["iob"]}
    labels: ClassVar[tuple[str, ...]]
    """Labels of the corpus; another one in its files is an error."""
    wording: ClassVar[tuple[str, ...]]
    """Files of the synthetic corpus's `Language`, relative to the package, e.g. ``bc2gm/language.json``."""

    def language(self) -> Language:
        """Templates and words of the synthetic corpus."""
        from bench_tasks.common.iob_synthesis import read_language

        return read_language(self.labels, *(Path(__file__).parents[1] / name for name in self.wording))

    def reading(self) -> Mapping[str, Any]:
        """The labels that the files may have."""
        return {"labels": self.labels}

    def writing(self) -> Mapping[str, Any]:
        """The language that sentences are drawn from."""
        return {"language": self.language()}

    def parameters(self) -> Mapping[str, str]:
        """What `bench show` prints below the metadata."""
        from bench_tasks.common.iob_synthesis import SIZES

        sizes = ", ".join(f"{size:,} {split}" for split, size in SIZES.items())
        return {
            **super().parameters(),
            "labels": ", ".join(self.labels),
            "synthetic corpus": f"{sizes} sentences, seeded, in the same format",
            "scores": "strict, discontiguous (none in this format) and by_type: exact spans and labels, as seqeval counts them",
        }

    def statistics(self, gold: Sequence[Document], predicted: Sequence[Document]) -> list[Mapping[str, float]]:
        """Additive statistics of every gold document, in order; predictions are matched by the document's id."""
        from bench.kit import mentions

        return mentions.statistics(gold, predicted, self.labels)

    def summarise(self, sums: Mapping[str, Any]) -> Scores:
        """Scores from summed statistics, numbers or arrays."""
        from bench.kit import mentions

        return mentions.summarise(sums)

    def score_files(self, gold: Path, pred: Path) -> Scores:
        """Scores of two IOB2 files, or of two folders with files of the same names.

        Raises:
            DataError: a path or a line that cannot be read.
        """
        from bench.kit import iob_folder

        return iob_folder.score_files(gold, pred, self.labels)

    def read_predictions(self, path: Path, gold: Sequence[Document]) -> Sequence[Document]:
        """A system's annotations, from files as `score_files` reads them.

        Raises:
            DataError: a line cannot be read, or is of a document that is none of gold.
        """
        from bench.kit import iob_folder

        return iob_folder.predicted(path, gold)

    def write(self, folder: Path, documents: Sequence[Document]) -> None:
        """Writes annotations without text, a line a character."""
        from bench.kit import iob_write

        iob_write.write(folder, documents)
