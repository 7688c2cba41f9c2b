"""BioC, in XML and in JSON: documents of passages with annotations and relations.

Source: Comeau et al. 2013, BioC: a minimalist approach to interoperability for biomedical text processing,
doi:10.1093/database/bat064; http://bioc.sourceforge.net. A made-up document:

    <document><id>1001</id>
      <passage><infon key="type">title</infon><offset>0</offset><text>Torsade with cisplatin</text>
        <annotation id="1"><infon key="type">Chemical</infon><infon key="identifier">D002945</infon>
          <location offset="13" length="9"/><text>cisplatin</text></annotation></passage></document>

BioC JSON has the same parts under the same names, in lists ``documents``, ``passages``, ``annotations``, ``locations``,
``relations`` and ``nodes``. Offsets are characters of the document; where passages leave a gap, the text has line feeds.
Several locations are a discontiguous mention. Infons that are read: ``type``, and as concept the first of `CONCEPTS`. Relations
without two nodes, such as those between concepts, are not read. XML is read as `bench.kit.xmltree` reads it, without the DTD
that BioC files name, one document at a time. Errors name file and line or document, and quote no text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.api.data import Fragment
from bench.kit.faults import MALFORMED, Fault, Faults
from bench.kit.jsonl import Record, whole
from bench.kit.reading import Located, Marks, Source, first_concept, placed
from bench.kit.xmltree import Node, elements
from bench.wording import some

SUFFIXES = (".xml", ".json")
CONCEPTS = ("identifier", "Identifier", "concept", "CUI", "MESH", "OMIM", "NCBI Gene", "NCBI GENE")
"""Infons that hold the concept of an annotation, in the order in which they are looked for."""


@dataclass(frozen=True)
class _Annotation:
    where: str
    id: str
    infons: dict[str, str]
    locations: list[Fragment]
    text: str = field(repr=False)


@dataclass(frozen=True)
class _Relation:
    where: str
    infons: dict[str, str]
    nodes: list[tuple[str, str]]
    """Id of an annotation and role, of each."""


@dataclass(frozen=True)
class _Passage:
    """A passage, or a sentence of one."""

    offset: int
    text: str = field(repr=False)


@dataclass
class _Document:
    where: str
    line: int
    id: str
    passages: list[_Passage] = field(default_factory=list, repr=False)
    annotations: list[_Annotation] = field(default_factory=list, repr=False)
    relations: list[_Relation] = field(default_factory=list)


def read(path: Path, source: Source) -> Iterator[Located]:
    """The documents of a file, of every ``.xml`` and ``.json`` file below a folder, or of those that match a pattern.

    Raises:
        DataError: naming file and line or document, what is there and what was wanted; XML that declares entities.
    """
    for file in source.files(path, SUFFIXES):
        documents = _of_json(file, source) if file.suffix.lower() == ".json" else _of_xml(file, source)
        for document in documents:
            with source.faults.apart():
                yield _located(document, file, source)


def _located(document: _Document, path: Path, source: Source) -> Located:
    text = placed(((passage.offset, passage.text) for passage in document.passages), document.where)
    marks = Marks(text, source)
    if source.kind == "text":
        return Located(marks.document(document.id), path, document.line)
    for annotation in document.annotations:
        if not annotation.locations:  # of the whole passage
            source.passed["annotation without location"] += 1
            continue
        concept = first_concept(annotation.infons.get(key) for key in CONCEPTS)
        label = annotation.infons.get("type")
        marks.mention(annotation.where, annotation.id, annotation.locations, label, concept, annotation.text)
    for relation in document.relations:
        if len(relation.nodes) != 2:
            source.passed["relation without two nodes"] += 1
            continue
        names, roles = zip(*relation.nodes, strict=True)
        label = relation.infons.get("type") or relation.infons.get("relation")
        marks.relation(relation.where, label, (names[0], names[1]), (roles[0], roles[1]))
    return Located(marks.document(document.id), path, document.line)


def _of_xml(path: Path, source: Source) -> Iterator[_Document]:
    for node in elements(path, source.blocks(path), "document", dtd=True):
        with source.faults.apart():
            yield _document(node, source.faults)


def _document(node: Node, faults: Faults) -> _Document:
    name = _child(node, "id").text
    document = _Document(f"{node.path}:{node.line}", node.line, _name(name, f"{node.path}:{node.line}"))
    passages = node.of("passage")
    for part in (node, *passages, *(sentence for passage in passages for sentence in passage.of("sentence"))):
        for annotation in part.of("annotation"):
            with faults.apart():
                document.annotations.append(_annotation(annotation))
        document.relations += [_relation(relation) for relation in part.of("relation")]
    for passage in passages:
        # A passage has a text, or sentences that have one each; where it has both, they say the same.
        for part in [passage] if passage.of("text") else passage.of("sentence"):
            text = part.of("text")
            document.passages.append(_Passage(_number(_child(part, "offset"), "offset"), text[0].raw if text else ""))
    return document


def _annotation(node: Node) -> _Annotation:
    locations = []
    for location in node.of("location"):
        start = _whole(location, location.attributes.get("offset", ""), "offset")
        locations.append((start, start + _whole(location, location.attributes.get("length", ""), "length")))
    text = node.of("text")
    return _Annotation(
        f"{node.path}:{node.line}", node.attributes.get("id", ""), _infons(node), locations, text[0].raw if text else ""
    )


def _relation(node: Node) -> _Relation:
    ends = [(end.attributes.get("refid", ""), end.attributes.get("role", "")) for end in node.of("node")]
    return _Relation(f"{node.path}:{node.line}", _infons(node), ends)


def _infons(node: Node) -> dict[str, str]:
    return {infon.attributes.get("key", ""): infon.text for infon in node.of("infon")}


def _child(node: Node, tag: str) -> Node:
    children = node.of(tag)
    if len(children) != 1:
        raise Fault(
            MALFORMED, f"{node.path}:{node.line}: <{node.tag}> holds {some(len(children), 'time')} <{tag}>; wanted it once."
        )
    return children[0]


def _number(node: Node, what: str) -> int:
    return _whole(node, node.text, what)


def _whole(node: Node, value: str, what: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) <= 12):
        raise Fault(MALFORMED, f"{node.path}:{node.line}: the {what} ({some(len(value), 'character')}) is no whole number.")
    return int(value)


def _name(name: str, where: str) -> str:
    if not 0 < len(name) <= 200 or not name.isprintable():
        raise Fault(
            MALFORMED, f"{where}: the id of a document has {some(len(name), 'character')}; wanted 1 to 200 printable ones."
        )
    return name


def _of_json(path: Path, source: Source) -> Iterator[_Document]:
    values = whole(path, source.content(path))
    # The service for PMC gives a list of collections, PubTator's a list of documents under its own name.
    documents: list[Record] = []
    for value in values if isinstance(values, list) else [values]:
        key = next((key for key in ("documents", "PubTator3") if isinstance(value, dict) and key in value), "")
        part = value if key else {"documents": [value]}
        documents += Record(path, len(documents) + 1, part, "document").objects(key or "documents")
    for number, record in enumerate(documents, 1):
        with source.faults.apart():
            yield _json_document(Record(path, number, record.values, "document"), source.faults)


def _json_document(record: Record, faults: Faults) -> _Document:
    name = record.identifier("id")
    document = _Document(record.where, 0, _name(name, str(record.path)))
    passages = record.objects("passages")
    sentences = [s for passage in passages for s in _objects(passage, "sentences")]
    for part in (record, *passages, *sentences):
        for annotation in _objects(part, "annotations"):
            with faults.apart():
                document.annotations.append(_json_annotation(annotation, len(document.annotations) + 1))
        for relation in _objects(part, "relations"):
            with faults.apart():
                document.relations.append(_json_relation(relation, len(document.relations) + 1))
    for passage in passages:
        for part in [passage] if passage.values.get("text") else (_objects(passage, "sentences") or [passage]):
            text = part.text("text", empty=True) if part.values.get("text") is not None else ""
            document.passages.append(_Passage(part.integer("offset"), text))
    return document


def _json_annotation(record: Record, number: int) -> _Annotation:
    locations = []
    for location in _objects(record, "locations"):
        start = location.integer("offset")
        locations.append((start, start + location.integer("length")))
    words = record.text("text", empty=True) if record.values.get("text") is not None else ""
    name = _text(record.values.get("id"))
    return _Annotation(f"{record.where}, annotation {number}", name, _json_infons(record), locations, words)


def _json_relation(record: Record, number: int) -> _Relation:
    nodes = [(_text(n.values.get("refid")), _text(n.values.get("role"))) for n in _objects(record, "nodes")]
    return _Relation(f"{record.where}, relation {number}", _json_infons(record), nodes)


def _json_infons(record: Record) -> dict[str, str]:
    infons = record.values.get("infons")
    return {key: _text(value) for key, value in infons.items()} if isinstance(infons, dict) else {}


def _objects(record: Record, name: str) -> Sequence[Record]:
    return record.objects(name) if record.values.get(name) is not None else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value) if isinstance(value, (int, float)) else ""
