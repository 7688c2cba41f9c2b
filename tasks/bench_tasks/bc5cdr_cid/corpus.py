"""Reads the release of the CDR corpus with its relations, and turns annotations into pairs of concepts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bench.api.data import Corpus, Document, Relation
from bench.errors import DataError
from bench.kit.faults import Fault, Faults
from bench.kit.reading import UNLINKED
from bench.wording import some
from bench_tasks.bc5cdr_cid.task import LAYOUT, RELATION
from bench_tasks.common.abstract_task import CDR_FILES
from bench_tasks.common.abstracts import load as load_abstracts
from bench_tasks.common.abstracts import pubtator_files, read_annotations

LABELS = ("Chemical", "Disease")


def load(folder: Path, faults: Faults | None = None) -> Corpus:
    """Reads and checks a corpus; see `CorpusTask.load`."""
    if not any((folder / name).is_file() for name in CDR_FILES.values()):
        raise DataError(f"{folder} holds no {CDR_FILES['train']}.", f"Wanted {LAYOUT}.")
    faults = faults or Faults(tolerable=False)
    corpus = load_abstracts(folder, LABELS, CDR_FILES, {}, faults, related=True)
    splits = {}
    for split, name in CDR_FILES.items():
        splits[split] = tuple(_checked(document, folder / name, faults) for document in corpus[split])
    faults.check(folder)
    for split, documents in splits.items():
        if not any(document.relations for document in documents):
            raise DataError(f"{folder / CDR_FILES[split]} holds no {RELATION} line; wanted related concepts.")
    return replace(corpus, splits=splits, left_out=faults.left_out)


def read(path: Path) -> dict[str, Document]:
    """Article to its annotations, for scoring: of a PubTator file, or of those of a folder.

    Raises:
        DataError: there is no such file, or a line cannot be read.
    """
    files = pubtator_files(path)
    if not files:
        raise DataError(f"{path} holds no PubTator.", "Wanted 'ID|t|title', 'ID|a|abstract' and 'ID<tab>CID<tab>ID<tab>ID'.")
    return read_annotations(files, {}, related=True)


def plain(document: Document) -> Document:
    """The document with concepts and relations without what stands for no concept; each relation of two concepts, once."""
    mentions = (replace(m, concept="|".join(_ids(m.concept or "")) or None) for m in document.mentions)
    relations = (
        Relation(((), chemical), ((), disease), r.label, r.confidence)
        for r in document.relations
        for chemical in _ids(r.source[1])
        for disease in _ids(r.target[1])
    )
    return replace(document, mentions=tuple(mentions), relations=tuple(dict.fromkeys(relations)))


def pairs(document: Document) -> frozenset[tuple[str, str]]:
    """Chemical and disease of every relation of a document."""
    return frozenset((r.source[1], r.target[1]) for r in plain(document).relations if r.label == RELATION)


def _ids(concept: str) -> list[str]:
    """The concepts of one string, each once."""
    return [part for part in dict.fromkeys(concept.split("|")) if part not in ("", *UNLINKED)]


def _checked(document: Document, path: Path, faults: Faults) -> Document:
    """The document with relations of the task; others are faults."""
    for relation in document.relations:
        if relation.label != RELATION:
            faults.add(
                Fault(
                    "unknown-label",
                    f"{path}, article {document.id}: a relation has a type ({some(len(relation.label), 'character')}) of "
                    "none here.",
                    f"Wanted {RELATION}.",
                )
            )
    return plain(replace(document, relations=tuple(r for r in document.relations if r.label == RELATION)))
