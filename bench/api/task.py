"""A task: a corpus with its head and its official scorer."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from bench.api.data import Corpus, Document
from bench.api.head import Head
from bench.api.part import Part
from bench.errors import UsageError, unknown

Scores = dict[str, Any]
"""Nested mapping of score names, as `bench score --json` prints below ``"scores"``."""


@dataclass(frozen=True)
class TaskMetadata:
    """Where a task comes from and how it is judged.

    Args:
        reference: URL of the corpus or shared-task page.
        access: ``open`` or ``credentialed``; how to get the corpus.
        primary_metric: dotted path into the scores, e.g. ``task1.strict.f1``.
        published_best: metric path to the best published value, in [0, 1].
        published_source: who reported it.
        layout: one line on the folder that `load` expects.
        selection_metric: dotted path of what early stopping and the best checkpoint go by; the primary metric where empty.
            Wanted where the primary metric also counts something that training does not touch, such as looked-up concepts.
        domain: the set of tasks that it belongs to, which `--task-set` takes, e.g. ``clinical``; in none where empty.
        unit: what one document of the corpus is, in the plural, which intervals are over: ``notes``, ``abstracts``, …;
            ``sentences`` where several of one text are documents of their own. Empty where `Corpus.unit` says it.
    """

    reference: str
    access: str
    primary_metric: str
    layout: str
    published_best: Mapping[str, float] = field(default_factory=dict)
    published_source: str = ""
    selection_metric: str = ""
    domain: str = ""
    unit: str = ""

    @property
    def selects_by(self) -> str:
        """What early stopping and the best checkpoint go by."""
        return self.selection_metric or self.primary_metric


class Task(Part):
    """A corpus, its heads and its scorer, and a synthetic corpus where it writes one. Only `head` may import torch."""

    metadata: ClassVar[TaskMetadata]
    heads: ClassVar[tuple[str, ...]]
    """Names that `--head` takes; the first is the default."""
    level: ClassVar[int | None] = None
    """1 where mentions are found, 2 where something is said of a text or of its mentions; where None its head says which.
    Architectures may treat tasks by it."""
    unlinked: ClassVar[str | None] = None
    """What the corpus writes for a mention without a concept, e.g. ``CUI-less``; used where a mention's text was never seen."""
    folder: ClassVar[Path | None] = None
    """Where its corpus lies unless ``--data`` says otherwise; None where it has no place of its own."""
    concepts: ClassVar[Path | None] = None
    """A file that names its concepts, read unless ``--concepts`` says otherwise; None where there is none."""
    file: ClassVar[Path | None] = None
    """The file it was made from (`bench.hooks.bench_task_from_file`); None where a plugin hands it over under its name."""
    faults: ClassVar[Mapping[str, str]] = {}
    """Kinds of faulty lines that `load` can leave out, by name, with what each is; none where it stops at any fault."""
    tolerated: tuple[str, ...] = ()
    """Those that it does leave out, sorted. `load` counts them in `Corpus.left_out`, and leaves out nothing else."""

    def tolerating(self, kinds: Iterable[str]) -> Task:
        """The same task, which also leaves out faulty lines of these kinds of `faults`.

        Raises:
            UsageError: a name that is none of them.
        """
        tolerated = {*self.tolerated, *kinds}
        for kind in sorted(tolerated):
            if kind not in self.faults:
                hint = f"It can leave out {', '.join(self.faults)}." if self.faults else "Its loader can leave out none."
                raise unknown(f"kind of faulty line of {self.name}:", kind, self.faults, hint=hint)
        if tolerated == set(self.tolerated):
            return self
        tolerant = copy(self)
        tolerant.tolerated = tuple(sorted(tolerated))
        return tolerant

    @abstractmethod
    def load(self, folder: Path) -> Corpus:
        """Reads and checks the splits below a folder.

        Raises:
            DataError: naming file, line, what stood there and what was wanted.
        """

    def arrange(self, release: Path, out: Path) -> None:
        """Writes the files of the corpus's release below an empty folder in the layout that `load` reads, for `bench data`.

        A task need not have this. `bench.kit.release.Release` reads archives without unpacking them.

        Args:
            release: an archive or a folder as the corpus is published; only read.
            out: an empty folder, for its owner alone.

        Raises:
            DataError: the release cannot be read, or lacks something.
            UsageError: the task does not know its release.
        """
        hint = f"Bring it into the layout {self.metadata.layout}."
        raise UsageError(f"The task {self.name!r} does not know how its corpus is published.", hint)

    def prepared(self, document: Document) -> Document:
        """A text from elsewhere, without gold, as `load` would give it, such as with sentences as passages; else unchanged."""
        return document

    def synthesize(self, folder: Path, seed: int, sizes: Mapping[str, int] | None = None) -> None:
        """Writes a seeded synthetic corpus in the official format, which `load` reads back and marks as synthetic.

        A task need not have this: without it, runs want ``--data``.

        Args:
            folder: empty or missing; made here.
            seed: same seed, same bytes.
            sizes: documents per split; the task's default where None.

        Raises:
            UsageError: the task has no synthetic corpus.
        """
        raise self.no_corpus()

    @property
    def synthesizes(self) -> bool:
        """Whether it has a synthetic corpus."""
        return type(self).synthesize is not Task.synthesize

    @property
    def needs_data(self) -> bool:
        """Whether it runs with ``--data`` only: it has neither a synthetic corpus nor a place of its own."""
        return self.folder is None and not self.synthesizes

    def no_corpus(self) -> UsageError:
        """The error where it is to run and has no corpus."""
        hint = f"Add --data {self.name}=DIR, laid out as {self.metadata.layout}. 'bench show task {self.name}' says more."
        return UsageError(f"The task {self.name!r} has no synthetic corpus; it needs the real one.", hint)

    @abstractmethod
    def head(self, name: str) -> Head:
        """A fresh head; `name` is one of `heads`."""

    @abstractmethod
    def statistics(self, gold: Sequence[Document], predicted: Sequence[Document]) -> list[Mapping[str, float]]:
        """Additive statistics of every gold document, in order, such as ``{"task1.strict.tp": 3.0, …}``.

        Summed over documents (or over a bootstrap sample of them) they are what `summarise` takes.
        """

    @abstractmethod
    def summarise(self, sums: Mapping[str, Any]) -> Scores:
        """Scores from summed statistics. Written with numpy operations, so that arrays of sums give arrays of scores."""

    @abstractmethod
    def score_files(self, gold: Path, pred: Path) -> Scores:
        """Official scores of files or folders in the official format; no text, no model."""

    def read_predictions(self, path: Path, gold: Sequence[Document]) -> Sequence[Document]:
        """A system's annotations of documents, from files in the official format, under the documents' own ids.

        A task need not have this; `bench import-predictions` then takes the JSON Lines of `bench predict` alone. Documents that
        the files do not have can be left out: nothing was predicted for them.

        Args:
            path: a file or a folder.
            gold: the documents of the split, with text.

        Raises:
            DataError: a line cannot be read, or is of a document that is none of these.
            UsageError: the task does not read them.
        """
        raise UsageError(
            f"The task {self.name!r} reads no system's files in its official format.",
            "Give them as JSON Lines, as 'bench predict' writes them: docs/predicting.md.",
        )

    @abstractmethod
    def write(self, folder: Path, documents: Sequence[Document]) -> None:
        """Writes annotations (not text) in the official format, for the official tools; the folder is made where it is missing.

        Of `bench predict` there may be any number of documents, read from disk one at a time as they are asked for.
        """

    def score(self, gold: Sequence[Document], predicted: Sequence[Document]) -> Scores:
        """Official scores of predictions; documents are matched by id."""
        total: dict[str, float] = {}
        for row in self.statistics(gold, predicted):
            for key, value in row.items():
                total[key] = total.get(key, 0.0) + value
        return self.summarise(total)
