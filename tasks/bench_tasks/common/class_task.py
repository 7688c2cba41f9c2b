"""The base of tasks that give each document one of a few classes, read from JSON Lines."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from bench.api.data import Document
from bench.api.head import Head
from bench.api.task import Scores, Task
from bench.errors import DataError, unknown

if TYPE_CHECKING:
    from bench_tasks.common.jsonl import Record


class ClassTask(Task):
    """One class a document. A subclass says how its lines name a document and its class."""

    heads = ("classify",)
    classes: ClassVar[tuple[str, ...]]
    """In the order that scores are shown."""

    @abstractmethod
    def label(self, record: Record) -> tuple[str, str]:
        """The name and the class that a line of gold or of predictions tells.

        Raises:
            DataError: it tells none.
        """

    @abstractmethod
    def line(self, document: Document, chosen: str) -> tuple[str, Mapping[str, Any]]:
        """The name of the file that a document belongs in, and its line there, without text."""

    def head(self, name: str) -> Head:
        """A fresh head, ``classify``."""
        if name not in self.heads:
            raise unknown("head", name, self.heads, f"bench show task {self.name}")
        from bench.heads import make_head

        return make_head(name)

    def statistics(self, gold: Sequence[Document], predicted: Sequence[Document]) -> list[Mapping[str, float]]:
        """Additive statistics of every gold document, in order; predictions are matched by the document's id."""
        from bench_tasks.common import classes

        given = {document.id: classes.chosen_class(document) for document in predicted}
        return [
            classes.document_statistics(self.classes, classes.chosen_class(document), given.get(document.id))
            for document in gold
        ]

    def summarise(self, sums: Mapping[str, Any]) -> Scores:
        """Scores from summed statistics, numbers or arrays."""
        from bench_tasks.common import classes

        return classes.summarise(self.classes, sums)

    def score_files(self, gold: Path, pred: Path) -> Scores:
        """Scores of JSON Lines files, or of folders of them; text is not needed.

        Raises:
            DataError: a file or a line that cannot be read, or files that do not tell of the same documents.
        """
        from bench_tasks.common import classes

        wanted, given = classes.read_labels(gold, self.label), classes.read_labels(pred, self.label)
        classes.paired(gold, pred, wanted, given)
        return classes.summarise(self.classes, classes.total(self.classes, wanted, given))

    def write(self, folder: Path, documents: Sequence[Document]) -> None:
        """Writes the class of each document as JSON Lines, without text.

        Raises:
            DataError: a document has no class, which the format cannot say.
        """
        from bench_tasks.common import classes

        files: dict[str, list[Mapping[str, Any]]] = {}
        for document in documents:
            chosen = classes.chosen_class(document)
            if chosen is None:
                raise DataError(f"Document {document.id!r} has no class; wanted one to write.")
            name, line = self.line(document, chosen)
            files.setdefault(name, []).append(line)
        for name, lines in files.items():
            classes.write_labels(folder / name, lines)
