"""Reads the corpus's XML: one document a file, its sentences with their drugs and their pairs of drugs.

The text of a document is its sentences, a line break between; the sentences are its passages. Every pair of drugs of a
sentence is a candidate, as in the corpus, which lists those without an interaction as ``ddi="false"``. A relation goes from
the drug that comes first in the text to the other one.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import replace
from pathlib import Path
from xml.sax.saxutils import quoteattr

from bench.api.data import Corpus, Document, Fragment, Key, Mention, Passage, Relation, apart
from bench.errors import DataError
from bench.kit.classes import stratified_split
from bench.kit.faults import MALFORMED, Fault, Faults
from bench.kit.files import read_bytes
from bench.kit.repeats import repeated_texts
from bench.kit.synthetic import is_synthetic
from bench.kit.xmltree import Node, parse
from bench.wording import some
from bench_tasks.ddi2013.task import CLASSES, LAYOUT

TYPES = ("drug", "brand", "group", "drug_n")
FOLDERS = {"train": "Train", "dev": "Dev", "test": "Test"}
WITHIN_TEST = "Test for DDI Extraction task"
"""Of the release's two test sets the one with pairs; where it is there, the other is not read."""
DEV_SHARE = 0.1
DEV_SEED = "ddi-2013/dev/1"
"""Seed of the tenth of Train that is used as dev; it is no official split."""
MISMATCHED = 0.01
"""Most drugs whose text is not what stands at their offsets: a dozen of the release's 18,000 are not, and offsets count."""


def load(folder: Path, faults: Faults | None = None) -> Corpus:
    """Reads and checks a corpus; see `CorpusTask.load`."""
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}.", f"Wanted {LAYOUT}.")
    faults = faults or Faults(tolerable=False)
    digest = hashlib.sha256()
    splits: dict[str, tuple[Document, ...]] = {}
    strange = Counter[bool]()
    for split, name in FOLDERS.items():
        if split != "dev" or (folder / name).is_dir():
            splits[split] = _documents(folder / name, digest, faults, strange)
    faults.check(folder)
    if strange[False] > MISMATCHED * strange.total():
        raise DataError(
            f"{folder}: the text of {strange[False]:,} of {some(strange.total(), 'drug')} is not what stands at their offsets.",
            "Offsets count characters of the sentence, and the last one belongs to the drug.",
        )
    if "dev" not in splits:
        train, dev = stratified_split(splits["train"], (1 - DEV_SHARE, DEV_SHARE), _source, lambda d: d.text, DEV_SEED)
        splits |= {"train": tuple(train), "dev": tuple(dev)}
    for split in FOLDERS:
        if not any(document.relations for document in splits[split]):
            raise DataError(f"{split} of {folder} holds no interaction of {', '.join(CLASSES)}; wanted annotated documents.")
    ordered_splits = {split: splits[split] for split in FOLDERS}
    return Corpus(ordered_splits, is_synthetic(folder), digest.hexdigest(), repeated_texts(ordered_splits), faults.left_out)


def read_annotations(path: Path) -> list[Document]:
    """Reads annotations for scoring: one file, or all in a folder and its sub-folders. Sentences may have no text.

    Raises:
        DataError: as in `load`.
    """
    files = _files(path) if path.is_dir() else [path]
    return [_document(parse(file, read_bytes(file)), Counter()) for file in files]


def ordered(document: Document) -> Document:
    """The document with relations that go from the drug that comes first to the other one."""
    relations = (r if r.source <= r.target else replace(r, source=r.target, target=r.source) for r in document.relations)
    return replace(document, relations=tuple(relations))


def as_xml(document: Document) -> str:
    """Drugs and interactions as an XML file without text; drugs that only interactions name are written too."""
    keys = [key for relation in document.relations for key in (relation.source, relation.target)]
    names = {key: f"{document.id}.s0.e{n}" for n, key in enumerate(dict.fromkeys([*(m.key for m in document.mentions), *keys]))}
    lines = [
        f"<entity id={quoteattr(name)} charOffset={quoteattr(';'.join(f'{a}-{b - 1}' for a, b in fragments))} "
        f"type={quoteattr(label)}/>"
        for (fragments, label), name in names.items()
    ]
    lines += [
        f"<pair id={quoteattr(f'{document.id}.s0.p{n}')} e1={quoteattr(names[r.source])} e2={quoteattr(names[r.target])} "
        f'ddi="true" type={quoteattr(r.label)}/>'
        for n, r in enumerate(document.relations)
    ]
    inside = "".join(f"    {line}\n" for line in lines)
    name, sentence = quoteattr(document.id), quoteattr(f"{document.id}.s0")
    return f"<document id={name}>\n  <sentence id={sentence}>\n{inside}  </sentence>\n</document>\n"


def _source(document: Document) -> str:
    """DrugBank or MedLine, by the document's name, e.g. ``DDI-MedLine.d3``."""
    return document.id.partition(".")[0]


def _files(folder: Path) -> list[Path]:
    files = sorted(path for path in folder.rglob("*.xml") if not any(part.startswith(".") for part in path.parts[-2:]))
    if not files:
        raise DataError(f"{folder} holds no .xml file.", f"Wanted {LAYOUT}.")
    return files


def _documents(folder: Path, digest: hashlib._Hash, faults: Faults, strange: Counter[bool]) -> tuple[Document, ...]:
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}.", f"Wanted {LAYOUT}.")
    inner = folder / WITHIN_TEST
    documents: dict[str, Document] = {}
    for path in _files(inner if inner.is_dir() else folder):
        content = read_bytes(path)
        digest.update(f"{folder.name}/{path.name}\0{len(content)}\0".encode())
        digest.update(content)
        root = parse(path, content)
        with faults.apart():
            document = _document(root, strange)
            if document.id in documents:
                raise _fault(root, "repeated-id", f"document {document.id!r} stands in an earlier file too; wanted it once.")
            documents[document.id] = document
    return tuple(documents.values())


def _fault(node: Node, kind: str, message: str, hint: str | None = None) -> Fault:
    return Fault(kind, f"{node.path}:{node.line}: {message}", hint)


def _attribute(node: Node, name: str) -> str:
    value = node.attributes.get(name, "").strip()
    if not value:
        raise _fault(node, MALFORMED, f"<{node.tag}> has no attribute {name}; wanted one with a value.")
    return value


def _document(root: Node, strange: Counter[bool]) -> Document:
    if root.tag != "document":
        raise _fault(root, MALFORMED, "the file is no <document>; wanted one a file, as the corpus has them.")
    pieces: list[str] = []
    mentions: dict[Key, Mention] = {}
    relations: dict[Relation, None] = {}
    passages: list[Passage] = []
    start = 0
    for number, sentence in enumerate(root.of("sentence"), 1):
        text = sentence.attributes.get("text")
        _sentence(sentence, text, start, mentions, relations, strange)
        if text is None:
            continue
        if text.strip():
            passages.append(Passage(f"s{number}", (start, start + len(text))))
        pieces.append(text)
        start += len(text) + 1
    name = _attribute(root, "id")
    return Document(name, "\n".join(pieces), tuple(mentions.values()), tuple(relations), passages=tuple(passages))


def _sentence(
    sentence: Node,
    text: str | None,
    start: int,
    mentions: dict[Key, Mention],
    relations: dict[Relation, None],
    strange: Counter[bool],
) -> None:
    """Adds the drugs and the interactions of a sentence that begins at character `start`."""
    named: dict[str, Key] = {}
    for entity in sentence.of("entity"):
        mention = _mention(entity, text, start)
        name = _attribute(entity, "id")
        if name in named:
            raise _fault(entity, "repeated-id", "an earlier drug of the sentence has the same id; wanted an id of its own.")
        named[name] = mentions.setdefault(mention.key, mention).key
        if text is not None and entity.attributes.get("text"):
            there = "".join(text[low - start : high - start] for low, high in mention.fragments)
            strange[_plain(there) == _plain(entity.attributes["text"])] += 1
    for pair in sentence.of("pair"):
        ends = []
        for end in ("e1", "e2"):
            key = named.get(_attribute(pair, end))
            if key is None:
                raise _fault(pair, "missing-mention", f"{end} names no drug of this sentence; wanted the id of one.")
            ends.append(key)
        related = _attribute(pair, "ddi").lower()
        if related not in ("true", "false"):
            raise _fault(pair, MALFORMED, "ddi is neither true nor false.")
        if related == "false":
            continue
        label = _attribute(pair, "type")
        if label not in CLASSES:
            raise _fault(pair, "unknown-label", f"the type of an interaction is none; wanted {', '.join(CLASSES)}.")
        if ends[0] == ends[1]:
            raise _fault(pair, "self-relation", "an interaction joins a drug with itself; wanted two drugs.")
        relations[Relation(min(ends), max(ends), label)] = None


def _mention(entity: Node, text: str | None, start: int) -> Mention:
    label = _attribute(entity, "type")
    if label not in TYPES:
        raise _fault(entity, "unknown-label", f"the type of a drug is none; wanted {', '.join(TYPES)}.")
    spans: list[Fragment] = []
    for piece in _attribute(entity, "charOffset").split(";"):
        low, dash, high = piece.partition("-")
        if not (dash and low.isdecimal() and high.isdecimal() and len(piece) < 24):
            raise _fault(entity, MALFORMED, "charOffset is none; wanted 'first-last', several with ';' between.")
        if int(high) < int(low):
            raise _fault(entity, "empty-span", f"charOffset {int(low)}-{int(high)} ends before it starts.")
        if text is not None and int(high) >= len(text):
            raise _fault(
                entity,
                "outside-text",
                f"charOffset {int(low)}-{int(high)} lies outside the sentence of {some(len(text), 'character')}.",
            )
        spans.append((start + int(low), start + int(high) + 1))
    return Mention(apart(spans), label)


def _plain(text: str) -> str:
    return "".join(filter(str.isalnum, text))
