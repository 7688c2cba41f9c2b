"""Base class of tasks that give each document one of a few classes, read from JSON Lines."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, ClassVar

from bench.api.data import Document
from bench.api.task import Scores
from bench.errors import DataError
from bench.kit.corpus_task import CorpusTask


class ClassTask(CorpusTask):
    """A task of one class a document. A subclass says how a line names a document and its class."""

    heads = ("classify",)
    classes: ClassVar[tuple[str, ...]]
    """Names of the classes, in the order in which scores are shown."""
    labeller: ClassVar[str]
    """Function that gives document name and class of a line, gold or predicted, e.g. ``bench_tasks.gad.corpus:label``."""

    @abstractmethod
    def line(self, document: Document, chosen: str) -> tuple[str, Mapping[str, Any]]:
        """Name of the file that a document is written to, and the fields of its line, without text."""

    def parameters(self) -> Mapping[str, str]:
        """Name to value, printed by `bench show` below the metadata."""
        return {**super().parameters(), "scores": "accuracy, macro_f1, by_class: precision, recall and f1 of each class"}

    def statistics(self, gold: Sequence[Document], predicted: Sequence[Document]) -> list[Mapping[str, float]]:
        """Additive statistics of every gold document, in order; predictions are matched by the document's id."""
        from bench.kit import classes

        return classes.statistics(self.classes, gold, predicted)

    def summarise(self, sums: Mapping[str, Any]) -> Scores:
        """Scores from summed statistics, numbers or arrays."""
        from bench.kit import classes

        return classes.summarise(self.classes, sums)

    def score_files(self, gold: Path, pred: Path) -> Scores:
        """Scores of JSON Lines files, or of folders of them; text is not needed.

        Raises:
            DataError: a file or a line cannot be read, or the two are not about the same documents.
        """
        from bench.kit import classes

        truth, output = (classes.read_labels(path, resolve_name(self.labeller)) for path in (gold, pred))
        classes.check_same_documents(gold, pred, truth, output)
        sides = [
            [Document(n, "", judgements=classes.judgements(self.classes, side[n])) for n in truth] for side in (truth, output)
        ]
        return self.score(*sides)

    def read_predictions(self, path: Path, gold: Sequence[Document]) -> Sequence[Document]:
        """A system's annotations, from files as `score_files` reads them.

        Raises:
            DataError: a line cannot be read, or is of a document that is none of gold.
        """
        from bench.kit import classes
        from bench.kit.documents import of_gold

        found = classes.read_labels(path, resolve_name(self.labeller))
        names = {document.id.partition("-")[2]: document.id for document in gold}  # as in folders of several splits
        known = {document.id for document in gold}
        return of_gold(
            [
                Document(
                    name if name in known else names.get(name, name), "", judgements=classes.judgements(self.classes, chosen)
                )
                for name, chosen in found.items()
            ],
            gold,
            path,
        )

    def write(self, folder: Path, documents: Sequence[Document]) -> None:
        """Writes the class of each document as JSON Lines, without text.

        Raises:
            DataError: a document has no class, which the format cannot say.
        """
        from bench.kit import classes

        files: dict[str, list[Mapping[str, Any]]] = {}
        for document in documents:
            chosen = classes.chosen_class(document)
            if chosen is None:
                raise DataError(f"Document {document.id!r} has no class; wanted one to write.")
            name, line = self.line(document, chosen)
            files.setdefault(name, []).append(line)
        for name, lines in files.items():
            classes.write_labels(folder / name, lines)
