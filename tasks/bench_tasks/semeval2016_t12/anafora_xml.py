"""Anafora XML, parsed safely and checked before `anaforatools` sees it.

Source: https://github.com/bethard/anaforatools. One made-up annotation of each kind:

    <entity><id>3@e@d@gold</id><span>12,19</span><type>EVENT</type>
        <properties><DocTimeRel>BEFORE</DocTimeRel><Polarity>POS</Polarity></properties></entity>
    <relation><id>9@r@d@gold</id><type>TLINK</type>
        <properties><Source>1@e@d@gold</Source><Type>CONTAINS</Type><Target>3@e@d@gold</Target></properties></relation>

`anaforatools` would let the standard library parse files as they come, skip some that it cannot use, and stop with a traceback
at others. Here a file with a document type is refused (entities are declared in one, and nothing else of it is of use), and
everything that scoring relies on is checked first. Errors name file and line and quote nothing: a shifted line may hold text.
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
        lines: where each element of the two stands.
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
        path: of the file, for errors too.
        content: its bytes where the caller has read them.

    Raises:
        DataError: naming file, line, what is there and what was wanted.
    """
    root, lines = _parse(read_bytes(path) if content is None else content, path)
    found = Annotations(path, root, {}, (), lines)
    if root.tag != "data" or len(root.findall("annotations")) != 1:
        raise found.error(root, "this is no Anafora file; wanted <data> with one <annotations> in it.")
    seen: set[str] = set()
    relations = []
    for element in root.findall("annotations")[0]:
        if element.tag not in ("entity", "relation"):
            raise found.error(element, "an annotation is neither <entity> nor <relation>.")
        name = _only(found, element, "id")
        if name in seen:
            raise found.error(element, f"this <{element.tag}> has the id of an earlier annotation; wanted an id of its own.")
        seen.add(name)
        _only(found, element, "type")
        held = element.findall("properties")
        tags = [value.tag for value in held[0]] if held else []
        if len(held) > 1 or len(set(tags)) != len(tags):
            raise found.error(element, f"this <{element.tag}> has <properties> or one of them twice; wanted each once.")
        if element.tag == "entity":
            spans(found, element)
            found.entities[name] = element
        else:
            relations.append(element)
    checked = Annotations(path, root, found.entities, tuple(relations), lines)
    for element in (*checked.entities.values(), *relations):
        _check_references(checked, element, seen)
    return checked


def spans(annotations: Annotations, entity: Element) -> tuple[Fragment, ...]:
    """The fragments of an entity, in the order they are written.

    Raises:
        DataError: they cannot be read, or one ends before or where it starts.
    """
    text = _only(annotations, entity, "span")
    if not _SPANS.fullmatch(text):
        raise annotations.error(entity, f"<span> holds {len(text)} characters that are no span; wanted 'a,b' or 'a,b;c,d'.")
    found = [(int(a), int(b)) for a, _, b in (part.partition(",") for part in text.split(";"))]
    for start, end in found:
        if end <= start:
            raise annotations.error(
                entity, f"span {start},{end} ends before or where it starts; wanted an end after its start."
            )
    return tuple(found)


def kind(element: Element) -> str:
    """The type of an annotation, such as ``EVENT``; empty where it has none."""
    return element.findtext("type") or ""


def properties(element: Element) -> dict[str, str]:
    """The properties of an annotation that hold something."""
    return {value.tag: value.text for held in element.findall("properties") for value in held if value.text}


def _parse(content: bytes, path: Path) -> tuple[Element, dict[Element, int]]:
    builder = ElementTree.TreeBuilder()
    parser = expat.ParserCreate()
    lines: dict[Element, int] = {}

    def start(tag: str, attributes: dict[str, str]) -> None:
        lines[builder.start(tag, attributes)] = parser.CurrentLineNumber

    def refuse(*_: object) -> None:
        raise DataError(
            f"{path}, line {parser.CurrentLineNumber}: a document type (DOCTYPE) stands here; wanted none.",
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
    except (LookupError, ValueError):  # an encoding that Python does not know, or of several bytes a character
        raise DataError(f"{path}, line 1: the declared encoding cannot be read.", "Convert the file to UTF-8.") from None
    return builder.close(), lines


def _only(annotations: Annotations, element: Element, tag: str) -> str:
    """The text of the one child of this name."""
    found = element.findall(tag)
    if len(found) != 1 or not (found[0].text or "").strip():
        raise annotations.error(element, f"this <{element.tag}> has {len(found)} <{tag}>, or an empty one; wanted one.")
    return found[0].text or ""


def _check_references(annotations: Annotations, element: Element, names: set[str]) -> None:
    """An entity refers to nothing, a relation to entities; a TLINK by its two ends alone. Closure relies on it."""
    held = properties(element)
    for value in held.values():
        if value in names and (element.tag == "entity" or value not in annotations.entities):
            raise annotations.error(
                element, f"a property of this <{element.tag}> refers to an annotation that it may not refer to."
            )
    if element.tag == "relation" and kind(element) == "TLINK":
        for end in ENDS:
            if held.get(end) not in annotations.entities:
                raise annotations.error(element, f"<{end}> of this TLINK names no entity of the file; wanted the id of one.")
        if any(value in annotations.entities for name, value in held.items() if name not in ENDS):
            raise annotations.error(element, "a property of this TLINK beside Source and Target names an entity.")
