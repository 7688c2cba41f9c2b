"""What tasks on IOB2 folders share: loader, heads and scorer; a task adds its metadata and its synthetic corpus."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from bench.api.data import Corpus, Document
from bench.api.head import Head
from bench.api.task import Scores, Task
from bench.errors import unknown
from bench_tasks.common.facts import IOB_LAYOUT

if TYPE_CHECKING:
    from bench_tasks.common.iob_synthesis import Language


class IobTask(Task):
    """Mentions in sentences, IOB2 tags in TSV files, entity-level strict scores."""

    heads = ("bio", "span", "bioes")
    labels: ClassVar[tuple[str, ...]]
    """The corpus's types; another one in its files is an error."""

    @abstractmethod
    def language(self) -> Language:
        """Words and templates of the synthetic corpus."""

    def parameters(self) -> Mapping[str, str]:
        """What `bench show` prints below the metadata."""
        from bench_tasks.common.iob_synthesis import SIZES

        sizes = ", ".join(f"{size:,} {split}" for split, size in SIZES.items())
        return {
            "layout": IOB_LAYOUT,
            "labels": ", ".join(self.labels),
            "synthetic corpus": f"{sizes} sentences, seeded, in the same format",
            "scores": "strict, discontiguous (none in this format) and by_type: exact spans and labels, as seqeval counts them",
        }

    def load(self, folder: Path) -> Corpus:
        """Reads and checks ``train.tsv``, ``devel.tsv`` and ``test.tsv`` in a folder.

        Raises:
            DataError: naming file, line, what stood there and what was wanted.
        """
        from bench_tasks.common import iob_folder

        return iob_folder.load(folder, self.labels)

    def synthesize(self, folder: Path, seed: int, sizes: Mapping[str, int] | None = None) -> None:
        """Writes the seeded synthetic corpus in the same layout.

        Args:
            folder: empty or missing; made here.
            seed: same seed, same bytes.
            sizes: sentences per split; `SIZES` where None.
        """
        from bench_tasks.common.iob_synthesis import write_corpus

        write_corpus(self.language(), folder, seed, sizes)

    def head(self, name: str) -> Head:
        """A fresh head: ``bio``, ``span`` or ``bioes``."""
        if name not in self.heads:
            raise unknown("head", name, self.heads, f"bench show task {self.name}")
        from bench.heads import make_head

        return make_head(name)

    def statistics(self, gold: Sequence[Document], predicted: Sequence[Document]) -> list[Mapping[str, float]]:
        """Additive statistics of every gold document, in order; predictions are matched by the document's id."""
        from bench_tasks.common import mentions

        return mentions.statistics(gold, predicted, self.labels)

    def summarise(self, sums: Mapping[str, Any]) -> Scores:
        """Scores from summed statistics, numbers or arrays."""
        from bench_tasks.common import mentions

        return mentions.summarise(sums)

    def score_files(self, gold: Path, pred: Path) -> Scores:
        """Scores of two IOB2 files, or of two folders with files of the same names.

        Raises:
            DataError: a path or a line that cannot be read.
        """
        from bench_tasks.common import iob_folder

        return iob_folder.score_files(gold, pred, self.labels)

    def write(self, folder: Path, documents: Sequence[Document]) -> None:
        """Writes annotations without text, a line a character."""
        from bench_tasks.common import iob

        iob.write(folder, documents)
