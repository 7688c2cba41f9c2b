"""Tasks from files, one class a kind; the file decides heads, loader and scorer."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

from bench.api.data import Corpus, Document, Key, Mention, in_order
from bench.api.task import Scores, Task, TaskMetadata
from bench.errors import DataError, DataWarning, UsageError, unknown
from bench.kit import classes, iob_folder, mentions, rankings, relations
from bench.kit.corpus_task import CorpusTask
from bench.kit.documents import of_gold
from bench.kit.faults import KINDS, Faults
from bench.kit.formats import BY_FORMAT, LAYOUTS
from bench.kit.scores import COUNTS
from bench.naming import flatten
from bench_tasks.common.pipe import CUI_LESS
from bench_tasks.custom import files, settings

VERSION = "1"
"""Version of loaders and scorers, besides that of the task's file; raise it when results change."""


class FileTask(CorpusTask):
    """A task that a file describes. A subclass says how its kind is scored."""

    reader = "bench_tasks.custom.loader:load"
    spec: ClassVar[settings.TaskFile]
    scores: ClassVar[str]
    """The scores in one line, for `bench show`."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that the file lists; empty where those of the training split are used."""
        return self.spec.labels

    def parameters(self) -> Mapping[str, str]:
        """What `bench show` prints below the metadata."""
        roles = "; ".join(f"{label} from {source} to {target}" for label, (source, target) in self.spec.roles.items())
        left_out = ", ".join(self.tolerated)
        return {
            "file": str(self.spec.path),
            "kind": self.spec.kind,
            "format": self.spec.format,
            "labels": ", ".join(self.spec.labels) or "those of the training split",
            **({"roles": roles} if roles else {}),
            **({"left out": left_out} if left_out else {}),
            "scores": self.scores,
        }

    def reading(self) -> Mapping[str, Any]:
        """The content of the task's TOML file."""
        return {"spec": self.spec}

    def load(self, folder: Path) -> Corpus:
        """Reads and checks the corpus.

        Raises:
            DataError: as `CorpusTask.load`.
            UsageError: the metric names a label that the corpus does not have.
        """
        try:
            corpus = super().load(folder)
        except OSError as error:
            raise DataError(
                f"{folder} cannot be read: {error.strerror or type(error).__name__}.", "Check its rights."
            ) from None
        scores = metrics(self.score(corpus["train"], corpus["train"]))
        if self.spec.metric not in scores:
            raise _no_metric(self.spec, scores)
        return corpus

    def score_files(self, gold: Path, pred: Path) -> Scores:
        """Scores of files or folders in the task's format, without texts; faulty lines of gold are left out if tolerated.

        Raises:
            DataError: a path or a line cannot be read, or the two sides are not about the same documents.
        """
        faults = Faults(self.tolerated)
        reference, predicted = files.pairs(self.spec, gold, pred, faults)
        if faults.left_out:
            counts = ", ".join(f"{kind} {count}" for kind, count in faults.left_out.items() if count)
            warnings.warn(f"Faulty lines of {gold} were left out: {counts}.", DataWarning, stacklevel=2)
        return self.score(reference, predicted)

    def read_predictions(self, path: Path, gold: Sequence[Document]) -> Sequence[Document]:
        """A system's annotations, from files as `score_files` reads them.

        Raises:
            DataError: a line cannot be read, or is of a document that is none of gold.
        """
        if self.spec.format == "iob":
            return iob_folder.predicted(path, gold)
        with TemporaryDirectory(prefix="bench-import-") as aside:
            self.write(Path(aside), gold)
            _, predicted = files.pairs(self.spec, Path(aside), path, Faults(tolerable=False))
        names = {document.id.casefold(): document.id for document in gold}  # pipe files are matched without case
        found = (replace(document, id=names.get(document.id.casefold(), document.id)) for document in predicted)
        return of_gold(found, gold, path)

    def write(self, folder: Path, documents: Sequence[Document]) -> None:
        """Writes annotations without text, in the task's format, or as JSON Lines where that holds texts too."""
        files.write(self.spec, folder, documents)


class MentionTask(FileTask):
    """Mentions, scored by exact spans and labels."""

    scores = "strict, discontiguous and by_type: exact spans and labels, as seqeval counts them"

    def statistics(self, gold: Sequence[Document], predicted: Sequence[Document]) -> list[Mapping[str, float]]:
        """Additive statistics of every gold document, in order; predictions are matched by the document's id."""
        return mentions.statistics(gold, predicted, self.labels)

    def summarise(self, sums: Mapping[str, Any]) -> Scores:
        """Scores from summed statistics, numbers or arrays."""
        return mentions.summarise(sums)


class RelationTask(FileTask):
    """Relations between mentions; the head ``relation`` gets gold mentions, the head ``joint`` predicts them."""

    scores = "relations (micro) and by_type: source, target and label have to be right"

    def statistics(self, gold: Sequence[Document], predicted: Sequence[Document]) -> list[Mapping[str, float]]:
        """Additive statistics of every gold document, in order; predictions are matched by the document's id."""
        return relations.statistics(gold, predicted, self.labels)

    def summarise(self, sums: Mapping[str, Any]) -> Scores:
        """Scores from summed statistics, numbers or arrays."""
        return relations.summarise(sums)

    def write(self, folder: Path, documents: Sequence[Document]) -> None:
        """Writes annotations without text; mentions that only relations name are written too."""
        super().write(folder, [_with_ends(document) for document in documents])


class ClassTask(FileTask):
    """One class a document."""

    scores = "accuracy, macro_f1 and by_class"

    def statistics(self, gold: Sequence[Document], predicted: Sequence[Document]) -> list[Mapping[str, float]]:
        """Additive statistics of every gold document, in order; predictions are matched by the document's id."""
        names = self.labels or tuple(sorted({j.name for document in gold for j in document.judgements}))
        return classes.statistics(names, gold, predicted)

    def summarise(self, sums: Mapping[str, Any]) -> Scores:
        """Scores from summed statistics, numbers or arrays."""
        return classes.summarise(self.labels or sorted(key[:-3] for key in sums if key.endswith(".tp")), sums)


class RankingTask(FileTask):
    """Passages of a query by relevance."""

    scores = "map (top 10, over those found there), avg_rec, mrr (of 100), trec_map: as SemEval-2017 Task 3 counts"

    def statistics(self, gold: Sequence[Document], predicted: Sequence[Document]) -> list[Mapping[str, float]]:
        """Additive statistics of every gold query, in order; predictions are matched by the query's id."""
        return rankings.statistics(gold, predicted)

    def summarise(self, sums: Mapping[str, Any]) -> Scores:
        """Scores from summed statistics, numbers or arrays."""
        return rankings.summarise(sums)


_TASKS: Mapping[str, type[FileTask]] = {
    "mentions": MentionTask, "relations": RelationTask, "classification": ClassTask, "ranking": RankingTask,
}  # fmt: skip


def task_from_file(path: Path) -> Task:
    """The task that a file describes; its corpus is not read.

    Raises:
        UsageError: the file is not valid.
    """
    spec = settings.read(path)
    metadata = TaskMetadata(
        reference=spec.reference,
        access=f"your own corpus, as {path} describes it; its terms are yours to know",
        primary_metric=spec.metric,
        layout=LAYOUTS[spec.format],
        unit=spec.unit,
    )
    facts: dict[str, Any] = {
        "name": spec.name,
        "version": f"{VERSION}-{spec.digest}",
        "summary": f"{spec.kind} in {spec.format}, from {path.name}",
        "citation": spec.citation,
        "licence": spec.licence,
        "heads": spec.heads,
        "metadata": metadata,
        "folder": spec.folder,
        "concepts": spec.concepts,
        "level": spec.level,
        "unlinked": CUI_LESS if spec.format == "pipe" else None,
        "file": path,
        "spec": spec,
        "faults": {kind: KINDS[kind] for kind in BY_FORMAT[spec.format]},
        "tolerated": spec.tolerate,
    }
    task: FileTask = type(
        "TaskFromFile", (_TASKS[spec.kind],), {"__doc__": facts["summary"], "__module__": __name__, **facts}
    )()
    _check_metric(task)
    return task


def metrics(scores: Mapping[str, Any]) -> list[str]:
    """Dotted names of the scores that a run can be judged by: counts are not among them."""
    return [name for name in flatten(scores) if name.rpartition(".")[2] not in COUNTS]


def _check_metric(task: FileTask) -> None:
    """Refuses an unknown metric; one that names a label is checked by `load` if the file lists no labels."""
    spec = task.spec
    if spec.metric.startswith(("by_type.", "by_class.")) and not spec.labels:
        return
    example = Document("", "", judgements=classes.judgements(spec.labels or ("1", "2"), (spec.labels or ("1",))[0]))
    scores = metrics(task.score([example], []))
    if spec.metric not in scores:
        raise _no_metric(spec, [name for name in scores if spec.labels or not name.startswith(("by_type.", "by_class."))])


def _no_metric(spec: settings.TaskFile, known: Iterable[str]) -> UsageError:
    return unknown(f"metric in {spec.path}:", spec.metric, known, hint=f"There are {', '.join(known)}.")


def _with_ends(document: Document) -> Document:
    keys: dict[Key, Mention] = {mention.key: mention for mention in document.mentions}
    for relation in document.relations:
        for key in (relation.source, relation.target):
            keys.setdefault(key, Mention(*key))
    return replace(document, mentions=in_order(tuple(keys.values())))
