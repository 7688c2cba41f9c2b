"""Reads ChemProt as JSON Lines: ``train.jsonl``, ``validation.jsonl`` and ``test.jsonl``, one abstract a line.

Source: BioCreative VI track 5, https://biocreative.bioinformatics.udel.edu/news/corpora/chemprot-corpus-biocreative-vi/, in the
schema of BigBio, https://huggingface.co/datasets/bigbio/chemprot. One real relation, its text left out:

    {"id": "26", "type": "Downregulator", "arg1_id": "8", "arg2_id": "19", "normalized": []}

Offsets are characters of the text, ends exclusive. The sentences of an abstract become its passages: pairs of mentions in one
sentence are candidates, those without a relation are negatives; pairs across sentences are no candidates.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from bench.api.data import SPLITS, Corpus, Document, Fragment, Mention, Relation, apart
from bench.errors import DataError
from bench.kit.faults import Faults
from bench.kit.files import read_bytes
from bench.kit.jsonl import Record, kind, read
from bench.kit.synthetic import is_synthetic
from bench.wording import some
from bench_tasks.chemprot.task import LAYOUT
from bench_tasks.common.sentences import sentence_passages

FILES = {"train": "train.jsonl", "dev": "validation.jsonl", "test": "test.jsonl"}

CHEMICAL, GENE = "CHEMICAL", "GENE"
ENTITIES = {"CHEMICAL": CHEMICAL, "GENE": GENE, "GENE-Y": GENE, "GENE-N": GENE}
"""Type of entity to label. GENE-Y and GENE-N say whether a gene could be normalised, which does not matter for relations."""

CLASSES = ("CPR:3", "CPR:4", "CPR:5", "CPR:6", "CPR:9")
"""The five classes that are scored."""

_TYPES = {
    "CPR:0": ("UNDEFINED",),
    "CPR:1": ("PART_OF",),
    "CPR:2": ("REGULATOR", "DIRECT-REGULATOR", "INDIRECT-REGULATOR"),
    "CPR:3": ("UPREGULATOR", "ACTIVATOR", "INDIRECT-UPREGULATOR"),
    "CPR:4": ("DOWNREGULATOR", "INHIBITOR", "INDIRECT-DOWNREGULATOR"),
    "CPR:5": ("AGONIST", "AGONIST-ACTIVATOR", "AGONIST-INHIBITOR"),
    "CPR:6": ("ANTAGONIST",),
    "CPR:7": ("MODULATOR", "MODULATOR-ACTIVATOR", "MODULATOR-INHIBITOR"),
    "CPR:8": ("COFACTOR",),
    "CPR:9": ("SUBSTRATE", "PRODUCT-OF", "SUBSTRATE_PRODUCT-OF"),
    "CPR:10": ("NOT",),
}
NAMES = {"CPR:3": "Upregulator", "CPR:4": "Downregulator", "CPR:5": "Agonist", "CPR:6": "Antagonist", "CPR:9": "Substrate"}
"""Scored class to its name in the files."""


def _plain(name: str) -> str:
    return name.upper().replace("-", "_")


_CLASS_OF = {_plain(name): group for group, names in _TYPES.items() for name in (group, *names)}


def load(folder: Path, faults: Faults | None = None) -> Corpus:
    """Reads and checks a corpus; see `CorpusTask.load`."""
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}.", f"Wanted {LAYOUT}.")
    faults = faults or Faults(tolerable=False)
    digest = hashlib.sha256()
    splits: dict[str, tuple[Document, ...]] = {}
    for split in SPLITS:
        path = folder / FILES[split]
        content = read_bytes(path)
        digest.update(f"{path.name}\0{len(content)}\0".encode())
        digest.update(content)
        splits[split] = _documents(read(path, content, faults), faults)
    faults.check(folder)
    for split in SPLITS:
        path = folder / FILES[split]
        if not any(document.relations for document in splits[split]):
            raise DataError(f"{path} holds no relation of {', '.join(CLASSES)}; wanted annotated abstracts.")
    return Corpus(splits, is_synthetic(folder), digest.hexdigest(), left_out=faults.left_out)


def read_annotations(path: Path) -> tuple[Document, ...]:
    """Reads annotations for scoring: one file, or every ``.jsonl`` file of a folder. Texts may be left out.

    Raises:
        DataError: as in `load`; also if an abstract is in two files.
    """
    files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    if not files:
        raise DataError(f"{path} holds no .jsonl file.", "Name one, or a folder of them.")
    faults = Faults(tolerable=False)
    documents = _documents([record for file in files for record in read(file, faults=faults)], faults, strict=False)
    faults.check(path)
    return documents


def _documents(records: Sequence[Record], faults: Faults, strict: bool = True) -> tuple[Document, ...]:
    documents: dict[str, Document] = {}
    for record in records:
        with faults.apart():
            name = record.identifier("document_id")
            if name.casefold() in documents:
                raise record.error("an earlier line has the same 'document_id'; wanted each abstract once.", kind="repeated-id")
            documents[name.casefold()] = _document(record, name, strict)
    return tuple(documents.values())


def _document(record: Record, name: str, strict: bool) -> Document:
    text = _text(record) if strict or record.values.get("passages") else None
    mentions = _mentions(record, text)
    return Document(
        name,
        text or "",
        tuple(dict.fromkeys(mentions.values())),
        _relations(record, mentions),
        passages=sentence_passages(text) if strict and text else (),
    )


def _text(record: Record) -> str:
    """The text of all passages, each at its offsets; they must follow one another with at most one character between."""
    text = ""
    for number, passage in enumerate(record.objects("passages"), 1):
        pieces = passage.texts("text")
        spans = _spans(passage, f"passage {number}")
        if len(pieces) != 1 or len(spans) != 1:
            raise record.error(
                f"passage {number} has {some(len(pieces), 'text')} and {some(len(spans), 'offset')}; wanted one of each."
            )
        ((start, end),) = spans
        if start not in (len(text), len(text) + bool(text)):
            raise record.error(f"passage {number} starts at {start}; wanted it right after what precedes it, at {len(text)}.")
        if end - start != len(pieces[0]):
            raise record.error(
                f"passage {number} has {some(len(pieces[0]), 'character')}, its offsets {start}-{end} say otherwise."
            )
        text += " " * (start - len(text)) + pieces[0]
    if not text:
        raise record.error("there is no passage; wanted the abstract's text.")
    return text


def _spans(record: Record, what: str) -> list[Fragment]:
    spans: list[Fragment] = []
    for item in record.items("offsets"):
        if not (isinstance(item, list) and len(item) == 2 and all(type(value) is int for value in item)):
            raise record.error(f"{what}: an item of 'offsets' is {kind(item)}; wanted [start, end], whole numbers.")
        start, end = item
        if not 0 <= start < end:
            raise record.error(f"{what}: offsets {start}-{end} end before or where they start, or lie before the text.")
        spans.append((start, end))
    return spans


def _mentions(record: Record, text: str | None) -> dict[str, Mention]:
    """Id of an entity to mention."""
    mentions: dict[str, Mention] = {}
    for number, entity in enumerate(record.objects("entities"), 1):
        what = f"entity {number}"
        name, label = entity.identifier("id"), ENTITIES[entity.one_of("type", tuple(ENTITIES))]
        if name in mentions:
            raise record.error(f"{what} has the id of an earlier entity; wanted an id of its own.")
        spans = _spans(entity, what)
        if not spans:
            raise record.error(f"{what} has no offsets; wanted at least one [start, end].")
        fragments = apart(spans)
        if text is not None:
            if fragments[-1][1] > len(text):
                raise record.error(
                    f"{what}: offsets {fragments[-1][0]}-{fragments[-1][1]} lie outside the text of "
                    f"{some(len(text), 'character')}.",
                    kind="outside-text",
                )
            if entity.items("text") != [text[start:end] for start, end in spans]:
                raise record.error(
                    f"{what}: 'text' is not what stands at its offsets; wanted the same characters.", kind="text-mismatch"
                )
        mentions[name] = Mention(fragments, label, written=None if list(fragments) == spans else tuple(spans))
    return mentions


def _relations(record: Record, mentions: dict[str, Mention]) -> tuple[Relation, ...]:
    """The distinct relations of the five classes; pairs of other types are negatives."""
    relations: dict[Relation, None] = {}
    for number, relation in enumerate(record.objects("relations"), 1):
        group = _CLASS_OF.get(_plain(relation.text("type")))
        if group is None:
            raise record.error(
                f"relation {number}: 'type' is no type of ChemProt; wanted one such as {NAMES['CPR:4']!r}, or CPR:0 to CPR:10."
            )
        ends = []
        for name, label in (("arg1_id", CHEMICAL), ("arg2_id", GENE)):
            mention = mentions.get(relation.identifier(name))
            if mention is None:
                raise record.error(f"relation {number}: {name!r} names no entity of this abstract.", kind="missing-mention")
            if mention.label != label:
                raise record.error(f"relation {number}: {name!r} names a {mention.label}; wanted a {label}.")
            ends.append(mention.key)
        if group in CLASSES:
            relations[Relation(ends[0], ends[1], group)] = None
    return tuple(relations)
