"""Reads corpora of mentions that are published twice: as sentences in IOB2, and as abstracts in three PubTator files.

The files of the folder decide. Where they are PubTator, a document is an abstract, offsets are those of title and abstract, and
mentions have concepts: several of a composite mention are one string, ``D001|D002``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bench.api.data import Corpus, Document, Mention
from bench.errors import DataError
from bench.kit import iob_folder, pubtator
from bench.kit.faults import MALFORMED, Fault, Faults
from bench.kit.files import read_bytes
from bench.kit.formats import LAYOUTS
from bench.kit.repeats import repeated_texts
from bench.kit.synthetic import is_synthetic
from bench.wording import some

REPEATED = "an article again"
"""In `Corpus.adjusted`: an article that stands twice in a file, word for word, was read once."""


def load(
    folder: Path,
    labels: Sequence[str],
    files: Mapping[str, str],
    types: Mapping[str, str],
    faults: Faults | None = None,
    related: bool = False,
) -> Corpus:
    """Reads and checks a corpus, in PubTator if the folder has one of the `files`, else in IOB2.

    An article that stands a second time in its file, as one of NCBI's does, is left out and counted in `Corpus.adjusted`.

    Args:
        folder: of the corpus.
        labels: that mentions may have.
        files: split to the name of its PubTator file.
        types: types of these files to labels, for those that differ.
        faults: collects faults; without it every fault is an error.
        related: whether relations between concepts are read.

    Raises:
        DataError: naming file, line, what is there and what was wanted.
    """
    present = [name for name in files.values() if (folder / name).is_file()]
    if not present:
        if folder.is_dir() and not any((folder / name).is_file() for names in iob_folder.FILES.values() for name in names):
            raise DataError(
                f"{folder} holds neither train.tsv nor {files['train']}.",
                f"Wanted {LAYOUTS['iob']}; or {', '.join(files.values())} in PubTator.",
            )
        return iob_folder.load(folder, labels, faults)
    both = next((name for names in iob_folder.FILES.values() for name in names if (folder / name).is_file()), None)
    if both is not None:
        raise DataError(
            f"{folder} holds {present[0]} and {both}; wanted PubTator or IOB2.", "Keep each in a folder of its own."
        )
    faults = faults or Faults(tolerable=False)
    digest = hashlib.sha256()
    splits: dict[str, tuple[Document, ...]] = {}
    repeated = 0
    for split, name in files.items():
        path = folder / name
        data = read_bytes(path)
        digest.update(f"{split}\0{len(data)}\0".encode())
        digest.update(data)
        articles: dict[str, Document] = {}
        for read in pubtator.read(path, faults=faults, related=related):
            article = _labelled(read, labels, types, path, faults)
            first = articles.setdefault(article.id, article)
            if first is article:
                continue
            if first.text == article.text:
                repeated += 1
            else:
                faults.add(Fault("repeated-id", f"{path}: article {article.id!r} stands there twice, with two texts."))
        splits[split] = tuple(articles.values())
        if not articles:
            faults.add(Fault(MALFORMED, f"{path} holds no article; wanted 'ID|t|title', 'ID|a|abstract' and mentions."))
    faults.check(folder)
    for split, documents in splits.items():
        if not any(document.mentions for document in documents):
            raise DataError(f"{folder / files[split]} holds no mention at all; wanted annotated abstracts.")
    adjusted = {REPEATED: repeated} if repeated else {}
    leaks = repeated_texts(splits)
    return Corpus(splits, is_synthetic(folder), digest.hexdigest(), leaks, faults.left_out, adjusted, unit="abstracts")


def _labelled(document: Document, labels: Sequence[str], types: Mapping[str, str], path: Path, faults: Faults) -> Document:
    """The document with the task's labels; mentions of other labels are faults."""
    kept: dict[object, Mention] = {}
    for mention in _renamed(document, types).mentions:
        if mention.label in labels:
            kept.setdefault(mention.key, mention)
            continue
        faults.add(
            Fault(
                "unknown-label",
                f"{path}, article {document.id}: a mention has a type ({some(len(mention.label), 'character')}) of no "
                "mention here.",
                f"Wanted {', '.join([*types, *labels])}.",
            )
        )
    return replace(document, mentions=tuple(kept.values()))


def _renamed(document: Document, types: Mapping[str, str]) -> Document:
    return replace(document, mentions=tuple(replace(m, label=types.get(m.label, m.label)) for m in document.mentions))


def pubtator_files(path: Path) -> list[Path]:
    """The PubTator files of a path; none where it is something else.

    Raises:
        DataError: a folder holds IOB2 beside them, which would be left out.
    """
    files = sorted(path.glob("*.txt")) if path.is_dir() else [path] if path.is_file() else []
    files = [file for file in files if pubtator.is_pubtator(file)]
    if files and path.is_dir() and any(path.glob("*.tsv")):
        raise DataError(f"{path} holds {files[0].name} and .tsv files; wanted PubTator or IOB2.", "Name one of the files.")
    return files


def read_annotations(files: Sequence[Path], types: Mapping[str, str], related: bool = False) -> dict[str, Document]:
    """Article to its annotations, with relations where they are wanted; the first of those that share a name counts."""
    documents: dict[str, Document] = {}
    for file in files:
        for document in pubtator.read(file, masked=True, related=related):
            documents.setdefault(document.id, _renamed(document, types))
    return documents
