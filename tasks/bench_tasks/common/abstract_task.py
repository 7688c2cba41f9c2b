"""Base class of tasks whose corpus is published twice: as sentences in IOB2, and as abstracts in three PubTator files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from bench.api.data import Document
from bench.api.task import Scores
from bench.errors import DataError
from bench.kit.faults import KINDS
from bench.kit.formats import BY_FORMAT
from bench_tasks.common.iob_task import IobTask

CDR_FILES: Mapping[str, str] = {
    "train": "CDR_TrainingSet.PubTator.txt", "dev": "CDR_DevelopmentSet.PubTator.txt", "test": "CDR_TestSet.PubTator.txt",
}  # fmt: skip
"""Split to its file in the release of BioCreative V's CDR corpus."""
OUTPUT = "documents.PubTator.txt"


class AbstractTask(IobTask):
    """A task of mentions in sentences, or in abstracts where the folder holds the PubTator files of the corpus's release."""

    reader = "bench_tasks.common.abstracts:load"
    faults: ClassVar[Mapping[str, str]] = {
        kind: KINDS[kind]
        for kind in dict.fromkeys((*BY_FORMAT["iob"], "empty-span", "outside-text", "text-mismatch", "other-document"))
    }
    files: ClassVar[Mapping[str, str]]
    """Split to the name of its PubTator file."""
    types: ClassVar[Mapping[str, str]] = {}
    """Types of the PubTator files to the task's labels, for those that differ."""

    def reading(self) -> Mapping[str, Any]:
        """The labels, the PubTator files, and the labels of their types."""
        return {**super().reading(), "files": self.files, "types": self.types}

    def score_files(self, gold: Path, pred: Path) -> Scores:
        """Scores of PubTator files, matched by the articles' names, or of IOB2; each a file or a folder.

        Raises:
            DataError: a path or a line cannot be read, one side alone is PubTator, or an article is not in gold.
        """
        from bench_tasks.common.abstracts import pubtator_files, read_annotations

        sides = [pubtator_files(path) for path in (gold, pred)]
        if not any(sides):
            return super().score_files(gold, pred)
        if not all(sides):
            strange = pred if sides[0] else gold
            raise DataError(f"{strange} is no PubTator as the other side is; wanted both alike.", "Convert one of them.")
        wanted, given = (read_annotations(side, self.types) for side in sides)
        if unknown := given.keys() - wanted.keys():
            raise DataError(f"{pred} has an article {min(unknown)!r} that is not in {gold} ({len(unknown)} such).")
        return self.score(list(wanted.values()), list(given.values()))

    def read_predictions(self, path: Path, gold: Sequence[Document]) -> Sequence[Document]:
        """A system's annotations, from files as `score_files` reads them.

        Raises:
            DataError: a line cannot be read, or is of a document that is none of gold.
        """
        from bench.kit.documents import of_gold
        from bench_tasks.common.abstracts import pubtator_files, read_annotations

        if found := pubtator_files(path):
            return of_gold(read_annotations(found, self.types).values(), gold, path)
        return super().read_predictions(path, gold)

    def write(self, folder: Path, documents: Sequence[Document]) -> None:
        """Writes annotations without text: in PubTator where a number names the document, as PubMed's do, else in IOB2."""
        from bench.kit import iob_write, pubtator

        folder.mkdir(parents=True, exist_ok=True)
        if any(document.id.isdecimal() for document in documents):
            pubtator.write(folder / OUTPUT, (document for document in documents if document.id.isdecimal()))
        iob_write.write(folder, (document for document in documents if not document.id.isdecimal()))
