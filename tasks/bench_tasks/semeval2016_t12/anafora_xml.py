"""Anafora XML, parsed safely and checked before `anaforatools` sees it.

Source: https://github.com/bethard/anaforatools. One made-up annotation of each kind:

    <entity><id>3@e@d@gold</id><span>12,19</span><type>EVENT</type>
        <properties><DocTimeRel>BEFORE</DocTimeRel><Polarity>POS</Polarity></properties></entity>
    <relation><id>9@r@d@gold</id><type>TLINK</type>
        <properties><Source>1@e@d@gold</Source><Type>CONTAINS</Type><Target>3@e@d@gold</Target></properties></relation>

`anaforatools` parses files without such checks, skips some that it cannot use, and fails with a traceback on others. Here a
file with a document type is refused, since it can declare entities, and everything that scoring relies on is checked first.
Errors name file and line and quote nothing, since values may be text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree
from xml.parsers import expat

from bench.api.data import Fragment
from bench.errors import DataError
from bench.kit.faults import MALFORMED, Fault
from bench.kit.files import read_bytes
from bench.wording import some

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_SPANS = re.compile(r"[0-9]{1,9},[0-9]{1,9}(?:;[0-9]{1,9},[0-9]{1,9})*")
ENDS = ("Source", "Target")


@dataclass(frozen=True)
class Annotations:
    """The checked annotations of one file.

    Args:
        path: the file.
        root: its ``data`` element.
        entities: by id, in file order.
        relations: in file order.
        lines: line of each entity and relation.
    """

    path: Path
    root: Element
    entities: dict[str, Element]
    relations: tuple[Element, ...]
    lines: dict[Element, int]

    def error(self, element: Element, message: str, hint: str | None = None) -> Fault:
        """A fault that begins with file and line."""
        return Fault(MALFORMED, f"{self.path}, line {self.lines.get(element, 1)}: {message}", hint)


def read(path: Path, content: bytes | None = None) -> Annotations:
    """Reads and checks a file.

    Args:
        path: the file.
        content: its bytes, if the caller has read them.

    Raises:
        DataError: naming file, line, what is there and what was wanted.
    """
    root, lines = _parse(read_bytes(path) if content is None else content, path)
    annotations = Annotations(path, root, {}, (), lines)
    if root.tag != "data" or len(root.findall("annotations")) != 1:
        raise annotations.error(root, "this is no Anafora file; wanted <data> with one <annotations> in it.")
    seen: set[str] = set()
    relations = []
    for element in root.findall("annotations")[0]:
        if element.tag not in ("entity", "relation"):
            raise annotations.error(element, "an annotation is neither <entity> nor <relation>.")
        name = _only(annotations, element, "id")
        if name in seen:
            raise annotations.error(
                element, f"this <{element.tag}> has the id of an earlier annotation; wanted an id of its own."
            )
        seen.add(name)
        _only(annotations, element, "type")
        groups = element.findall("properties")
        tags = [value.tag for value in groups[0]] if groups else []
        if len(groups) > 1 or len(set(tags)) != len(tags):
            raise annotations.error(element, f"this <{element.tag}> has <properties> or one of them twice; wanted each once.")
        if element.tag == "entity":
            spans(annotations, element)
            annotations.entities[name] = element
        else:
            relations.append(element)
    checked = Annotations(path, root, annotations.entities, tuple(relations), lines)
    for element in (*checked.entities.values(), *relations):
        _check_references(checked, element, seen)
    return checked


def spans(annotations: Annotations, entity: Element) -> tuple[Fragment, ...]:
    """The fragments of an entity, in file order.

    Raises:
        DataError: they cannot be read, or one is empty or negative.
    """
    text = _only(annotations, entity, "span")
    if not _SPANS.fullmatch(text):
        raise annotations.error(entity, f"<span> holds {some(len(text), 'character')}, no span; wanted 'a,b' or 'a,b;c,d'.")
    fragments = [(int(a), int(b)) for a, _, b in (part.partition(",") for part in text.split(";"))]
    for start, end in fragments:
        if end <= start:
            raise annotations.error(
                entity, f"span {start},{end} ends before or where it starts; wanted an end after its start."
            )
    return tuple(fragments)


def kind(element: Element) -> str:
    """The type of an annotation, such as ``EVENT``; empty where it has none."""
    return element.findtext("type") or ""


def properties(element: Element) -> dict[str, str]:
    """The properties of an annotation that are not empty."""
    return {value.tag: value.text for group in element.findall("properties") for value in group if value.text}


def _parse(content: bytes, path: Path) -> tuple[Element, dict[Element, int]]:
    builder = ElementTree.TreeBuilder()
    parser = expat.ParserCreate()
    lines: dict[Element, int] = {}

    def start(tag: str, attributes: dict[str, str]) -> None:
        lines[builder.start(tag, attributes)] = parser.CurrentLineNumber

    def refuse(*_: object) -> None:
        raise DataError(
            f"{path}, line {parser.CurrentLineNumber}: the file has a document type (DOCTYPE); wanted none.",
            "Files of Anafora have none; entities that it could declare are not read.",
        )

    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        raise Fault(
            MALFORMED,
            f"{path}, line {error.lineno}: {expat.ErrorString(error.code)}, column {error.offset + 1}; wanted well-formed XML.",
        ) from None
    except (LookupError, ValueError):  # an unknown encoding, or one of several bytes a character
        raise DataError(f"{path}, line 1: the declared encoding cannot be read.", "Convert the file to UTF-8.") from None
    return builder.close(), lines


def _only(annotations: Annotations, element: Element, tag: str) -> str:
    """The text of the only child of this name."""
    children = element.findall(tag)
    if len(children) != 1 or not (children[0].text or "").strip():
        raise annotations.error(element, f"this <{element.tag}> has {len(children)} <{tag}>, or an empty one; wanted one.")
    return children[0].text or ""


def _check_references(annotations: Annotations, element: Element, names: set[str]) -> None:
    """Checks references, as closure needs them: entities have none, relations refer to entities, a TLINK by its ends alone."""
    values = properties(element)
    for value in values.values():
        if value in names and (element.tag == "entity" or value not in annotations.entities):
            raise annotations.error(
                element, f"a property of this <{element.tag}> refers to an annotation that it may not refer to."
            )
    if element.tag == "relation" and kind(element) == "TLINK":
        for end in ENDS:
            if values.get(end) not in annotations.entities:
                raise annotations.error(element, f"<{end}> of this TLINK names no entity of the file; wanted the id of one.")
        if any(value in annotations.entities for name, value in values.items() if name not in ENDS):
            raise annotations.error(element, "a property of this TLINK beside Source and Target names an entity.")
