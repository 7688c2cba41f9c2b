"""Reads XML safely into a small tree with line numbers, a whole file or one element of it after the other.

Expat parses the file. An inline DTD, which official files may have, is ignored. Entity declarations and references to other
files are refused, so that nothing is expanded and no other file is opened; so are external DTDs, unless the caller's format
names one in every file, which is then not read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from bench.errors import DataError
from bench.wording import some

_DEEPEST = 16


@dataclass
class Node:
    """An element.

    Args:
        path: its file.
        tag: its name.
        line: where it starts, from 1.
        attributes: as written, without defaults of a DTD.
        children: its elements, in order.
        pieces: of its own text, in order.
    """

    path: Path
    tag: str
    line: int
    attributes: dict[str, str] = field(repr=False)
    children: list[Node] = field(default_factory=list, repr=False)
    pieces: list[str] = field(default_factory=list, repr=False)

    def error(self, message: str, hint: str | None = None) -> DataError:
        """A `DataError` that begins with file and line."""
        return DataError(f"{self.path}:{self.line}: {message}", hint)

    @property
    def raw(self) -> str:
        """Its own text as it is."""
        return "".join(self.pieces)

    @property
    def text(self) -> str:
        """Its own text without the blanks around it."""
        return self.raw.strip()

    def attribute(self, name: str) -> str:
        """The value of a required attribute.

        Raises:
            DataError: it is missing or blank.
        """
        value = self.attributes.get(name, "").strip()
        if not value:
            raise self.error(f"<{self.tag}> has no attribute {name}; wanted one with a value.")
        return value

    def of(self, *tags: str) -> list[Node]:
        """Its child elements with one of these names, in file order."""
        return [child for child in self.children if child.tag in tags]

    def only(self, *tags: str) -> Node:
        """Its only child element with one of these names.

        Raises:
            DataError: there is none, or several.
        """
        children = self.of(*tags)
        if len(children) != 1:
            raise self.error(f"<{self.tag}> holds {some(len(children), 'time')} <{'> or <'.join(tags)}>; wanted it once.")
        return children[0]

    def check(self, allowed: Sequence[str]) -> None:
        """Refuses child elements of other names, and text between child elements.

        Raises:
            DataError: there is such an element or text.
        """
        for child in self.children:
            if child.tag not in allowed:
                raise child.error(
                    f"<{self.tag}> holds an element that the format does not allow there; wanted <{'>, <'.join(allowed)}>."
                    if allowed
                    else f"<{self.tag}> holds an element; wanted text alone."
                )
        if allowed and self.text:
            raise self.error(f"<{self.tag}> holds text between its elements; wanted elements alone.")


def parse(path: Path, content: bytes) -> Node:
    """The root of a file.

    Args:
        path: of the file, for errors.
        content: its bytes; read as UTF-8, whatever encoding is declared.

    Raises:
        DataError: it is not well-formed, not UTF-8, too deep, or declares entities or an external subset.
    """
    (root,) = elements(path, [content])
    return root


def elements(path: Path, blocks: Iterable[bytes], tag: str | None = None, dtd: bool = False) -> Iterator[Node]:
    """Every element of a file with a name, one at a time as its end is read, so that memory holds one of them.

    Args:
        path: of the file, for errors.
        blocks: its bytes, in pieces of any size; read as UTF-8, whatever encoding is declared.
        tag: name of the elements, which are not inside one another; None: the root alone.
        dtd: whether the file may name an external DTD, which is never read.

    Raises:
        DataError: it is not well-formed, not UTF-8, too deep, or declares entities or an external subset.
    """
    parser = expat.ParserCreate(encoding="utf-8")
    parser.buffer_text = True
    parser.specified_attributes = True
    ended: list[Node] = []
    depth: list[Node] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        node = Node(path, name, parser.CurrentLineNumber, attributes)
        if len(depth) == _DEEPEST:
            raise node.error(f"elements are nested more than {_DEEPEST} deep; wanted the task's own format.")
        if depth and (tag is None or name != tag):
            depth[-1].children.append(node)
        depth.append(node)

    def end(name: str) -> None:
        node = depth.pop()
        if name == tag or (tag is None and not depth):
            ended.append(node)

    def text(data: str) -> None:
        depth[-1].pieces.append(data)

    def refuse(what: str) -> DataError:
        return DataError(f"{path}:{parser.CurrentLineNumber}: the file {what}, which is refused.", "Take it out of the file.")

    def doctype(name: str, system: str | None, public: str | None, inline: int) -> None:
        if not dtd and (system is not None or public is not None):
            raise refuse("asks for an external DTD")

    def entity(*declaration: object) -> None:
        raise refuse("declares an entity")

    def external(*reference: object) -> int:
        raise refuse("refers to another file")

    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, text
    parser.StartDoctypeDeclHandler, parser.EntityDeclHandler, parser.ExternalEntityRefHandler = doctype, entity, external
    # A file that names an external DTD may use entities of it, which expat would pass over in silence.
    parser.SkippedEntityHandler = external
    try:
        for block in blocks:
            parser.Parse(block, False)
            yield from ended
            ended.clear()
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        reason = expat.ErrorString(error.code)
        raise DataError(f"{path}:{error.lineno}: not well-formed XML in UTF-8: {reason}.") from None
    yield from ended
