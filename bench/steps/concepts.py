"""Step 4, concepts: the files of names that a run looks them up in, and what links mentions to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import user_cache
from bench.api.data import SPLITS, Corpus, Document
from bench.api.part import Requirement
from bench.api.task import Task
from bench.config import RunConfig
from bench.data.concepts import ConceptDictionary, Linking
from bench.data.content import code_digest, documents_digest
from bench.errors import MissingError, UsageError, storable
from bench.linking.cache import Terminology, open_terminology
from bench.linking.readers import Selection
from bench.reporting import Reporter
from bench.steps.corpora import Source

if TYPE_CHECKING:
    from bench.modeling.find import BaseModel
    from bench.training.model import TaskData

SYNTHETIC_NAMES = "concepts.tsv"
"""File of a synthetic corpus that names its concepts; it is read without being asked for."""
_NEEDED = Requirement("sklearn", "bench-suite[train]")
MISSED = 0.005
"""Embeddings are tried from this share of train and dev mentions on whose concept is not among the candidates without them:
there alone can they find what nothing else finds, and they take longer than all the rest."""


def open_terminologies(
    tasks: Mapping[str, Task], sources: Mapping[str, Source], config: RunConfig, console: Reporter
) -> dict[str, Terminology]:
    """The names of every task that has a file of them: one that was given, the task's own, or that of a synthetic corpus.

    Raises:
        DataError: a file that is not what it claims to be.
        MissingError: scikit-learn is not installed.
        UsageError: a file for a task whose training mentions have no concepts.
    """
    selection = Selection(config.concept_language, config.concept_sources)
    terminologies = {}
    for name, task in tasks.items():
        source = sources[name]
        path = _file(task, source, config.concepts.get(name))
        if path is None:
            continue
        if not has_concepts(source.corpus["train"]):
            raise UsageError(
                f"{path} names concepts for {name}, whose training mentions in {source.folder} have none.",
                "Leave --concepts out, or give a corpus with concepts.",
            )
        if not _NEEDED.present():
            raise MissingError(f"Linking concepts needs {_NEEDED.module}, which is not installed.", _NEEDED.command)
        console.step(f"reading the names of concepts of {name}")
        terminologies[name] = open_terminology(path, selection)
        unknown = unknown_concepts(source.corpus, terminologies[name], task.unlinked)
        if any(unknown.values()):
            counts = ", ".join(f"{split} {count}" for split, count in unknown.items())
            console.note(f"{name}: concepts of the corpus that {path.name} does not name: {counts}.")
    return terminologies


def _file(task: Task, source: Source, path: str | None) -> Path | None:
    if path is not None:
        return Path(path)
    if task.concepts is not None:
        return task.concepts
    synthetic = source.folder / SYNTHETIC_NAMES
    return synthetic if source.synthetic and synthetic.is_file() else None


def has_concepts(documents: Sequence[Document]) -> bool:
    """Whether any mention has a concept, or none by the corpus's own word."""
    return any(mention.concept is not None for document in documents for mention in document.mentions)


def unknown_concepts(corpus: Corpus, terminology: Terminology, unlinked: str | None) -> dict[str, int]:
    """Split to the number of its concepts that a terminology does not name."""
    return {
        split: sum(
            not terminology.table.of_concept(concept, 1)
            for concept in {mention.concept for document in corpus[split] for mention in document.mentions}
            if concept is not None and concept != unlinked
        )
        for split in SPLITS
    }


@dataclass(frozen=True)
class TaskLinking:
    """What links the mentions of a task.

    Args:
        linking: the linker, or the dictionary of training mentions where there is no file of names.
        facts: what the result says of it.
    """

    linking: Linking
    facts: Mapping[str, Any]


def linkings(
    data: Mapping[str, TaskData], terminologies: Mapping[str, Terminology], model: BaseModel, device: str, console: Reporter
) -> dict[str, TaskLinking]:
    """Task to what links its mentions, for those whose training mentions have concepts."""
    by_task = {}
    for name, task_data in data.items():
        train = task_data.corpus["train"]
        if not has_concepts(train):
            continue
        if name not in terminologies:
            by_task[name] = TaskLinking(ConceptDictionary(task_data.task.unlinked).fit(train), {"linker": "dictionary"})
            continue
        console.step(f"training the linker of {name}")
        by_task[name] = trained_linking(task_data.corpus, task_data.task.unlinked, terminologies[name], model, device)
    return by_task


def trained_linking(
    corpus: Corpus, unlinked: str | None, terminology: Terminology, model: BaseModel | None = None, device: str = "cpu"
) -> TaskLinking:
    """The linker of a corpus, with embeddings where train and dev say that they help.

    Args:
        corpus: train is learned from, each document by what others and the terminology know; dev is chosen by too.
        unlinked: what the corpus writes for a mention without a concept.
        terminology: names the concepts.
        model: the base model; its embeddings are looked at where it is a sentence encoder.
        device: where it embeds.

    Raises:
        StorageError: what was fitted cannot be kept for other runs.
    """
    from bench.linking.linker import Linker
    from bench.linking.meanings import Encoder, Meanings, is_sentence_encoder

    table, train, dev = terminology.table, corpus["train"], corpus["dev"]

    inputs = {
        "names": terminology.sha256, "train": documents_digest(train), "dev": documents_digest(dev), "unlinked": unlinked,
        "code": code_digest(), "packages": [version("numpy"), version("scipy")],
    }  # fmt: skip

    def trained(meanings: Any, embeddings: str | None) -> Linker:
        """The linker that looks at the embeddings of a model, or at none."""
        key = inputs | {"embeddings": embeddings, "device": device if embeddings else None}
        path = user_cache.path("linkers", "linker", ".json", key)
        with storable(path):
            return Linker(table, train, dev, unlinked, meanings, path)

    linker = trained(None, None)
    judged = linker.judged
    facts: dict[str, Any] = {
        "linker": "re-ranked", "file": terminology.path.name, "names": len(table), "concepts": terminology.concepts,
        "unknown": unknown_concepts(corpus, terminology, unlinked), "judged": judged.accuracy, "missed": judged.missed,
        "embeddings": False,
    }  # fmt: skip
    if judged.missed >= MISSED and model is not None and is_sentence_encoder(model.folder()):
        embedded = terminology.folder / f"meanings-{model.sha256()[:16]}.npy"
        other = trained(partial(Meanings, Encoder(model.folder(), device), table, kept=embedded), model.sha256())
        facts["judged_with_embeddings"] = other.judged.accuracy
        if other.judged.accuracy > judged.accuracy:
            linker, facts["embeddings"] = other, True
    return TaskLinking(linker, facts | {"threshold": linker.threshold})
