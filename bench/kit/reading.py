"""What readers of corpora share: the shape of a reader, one pass over its files, and the checks of what files say of a text.

A reader is a function of a path and a `Source`, such as `bench.kit.bioc.read`; `bench.kit.formats.READERS` lists them. It
yields the documents of a split, or of one file, with their places, one at a time:

    source = Source("mentions")
    for located in bioc.read(Path("corpus/train.xml"), source):
        print(located.document.id, len(located.document.mentions))
    source.faults.check(Path("corpus/train.xml"))

`path` is a file, a folder (its sub-folders included) or a pattern such as ``data/train-*.parquet``. Faulty lines are collected
in the source; whoever reads checks them at the end, or before, as here.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from pkgutil import resolve_name
from typing import Literal

from bench.api.data import Document, Fragment, Key, Mention, Relation, apart
from bench.errors import DataError
from bench.kit.documents import names_below
from bench.kit.faults import DEPENDENT, MALFORMED, Fault, Faults
from bench.kit.files import read_bytes
from bench.kit.formats import READERS
from bench.kit.repeats import add_once
from bench.kit.roles import Roles
from bench.wording import some

What = Literal["mentions", "relations", "classification", "text"]
"""What is read besides the text; ``text``: nothing, so that annotations may be missing or faulty."""

FARTHEST = 100_000
"""Characters that may lie between two passages of a document; more is a wrong offset."""
_BLOCK = 1 << 20
_LABEL = re.compile(r"\S(?:.{0,62}\S)?")
_CONCEPT = 128
UNLINKED = ("-1", "-")
"""What CDR, and the services of PubTator, write for a mention that stands for no concept."""


@dataclass(frozen=True)
class Located:
    """A document and its place: its file and, where files have lines, the line that it starts in, from 1."""

    document: Document
    path: Path
    line: int = 0


Reader = Callable[[Path, "Source"], Iterator[Located]]
"""Reads a split in one format."""


@dataclass
class Source:
    """One pass over the files of a split.

    Args:
        kind: what is read besides the text.
        split: name of the split; it begins the names of documents that have none.
        faults: collects faults.
        roles: which argument of a relation is its source, for formats whose relations have roles.
        digest: hash of every byte that is read, with the names of the files.
        passed: number of annotations that were not read, by what they are.
    """

    kind: What
    split: str = "document"
    faults: Faults = field(default_factory=lambda: Faults(tolerable=False))
    roles: Roles = field(default_factory=Roles)
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)
    passed: Counter[str] = field(default_factory=Counter)

    def files(self, path: Path, suffixes: Sequence[str]) -> list[Path]:
        """The files of a path, sorted: itself, those that match its pattern, or those below it with one of the suffixes.

        Raises:
            DataError: there is none.
        """
        if path.is_dir():
            files = sorted(path / f"{name}{suffix}" for suffix in suffixes for name in names_below(path, suffix))
        elif "*" in path.name:
            files = sorted(path.parent.glob(path.name))
        else:
            files = [path]
        if not files:
            raise DataError(f"{path} holds no {' or '.join(suffixes)} file; wanted at least one.")
        return files

    def content(self, path: Path) -> bytes:
        """The content of a file, which is added to the hash.

        Raises:
            DataError: the file cannot be read.
        """
        data = read_bytes(path)
        self._named(path, len(data))
        self.digest.update(data)
        return data

    def blocks(self, path: Path) -> Iterator[bytes]:
        """The content of a file in blocks, which are added to the hash, for files that memory does not hold.

        Raises:
            DataError: the file cannot be read.
        """
        try:
            with path.open("rb") as file:
                self._named(path, path.stat().st_size)
                while block := file.read(_BLOCK):
                    self.digest.update(block)
                    yield block
        except OSError as error:
            raise DataError(f"Cannot read {path}: {error.strerror or type(error).__name__}.", "Check the path.") from None

    def _named(self, path: Path, size: int) -> None:
        self.digest.update(f"{self.split}/{path.name}\0{size}\0".encode())


def reader(form: str) -> Reader:
    """The reader of a format, one of `bench.kit.formats.READERS`."""
    read: Reader = resolve_name(READERS[form])
    return read


def documents(form: str, path: Path, source: Source) -> Iterator[Located]:
    """The documents of a split in a format; a name that an earlier document has, but for case, is a fault.

    Raises:
        DataError: naming file and line or document, what is there and what was wanted; no text is quoted.
    """
    names: set[str] = set()
    for located in reader(form)(path, source):
        name = located.document.id.casefold()
        if name in names:
            where = f"{located.path}, line {located.line}" if located.line else f"{located.path}"
            source.faults.add(
                Fault("repeated-id", f"{where}: document {located.document.id!r} stands here a second time; wanted each once.")
            )
            continue
        names.add(name)
        yield located


class Marks:
    """Collects what a file says of one text, and checks it.

    Args:
        text: of the document.
        source: the pass that it belongs to.
    """

    def __init__(self, text: str, source: Source) -> None:
        self._text, self._source = text, source
        self._named: dict[str, Mention] = {}
        self._mentions: dict[Key, Mention] = {}
        self._out: set[str] = set()
        self._relations: dict[Relation, None] = {}

    def mention(
        self,
        where: str,
        name: str,
        fragments: Sequence[Fragment],
        label: object,
        concept: str | None = None,
        words: str = "",
        case: bool = True,
    ) -> None:
        """Adds a mention, unless it is a fault, or has the fragments and label of an earlier one, which counts as ``repeated``.

        Args:
            where: its place, which begins an error.
            name: its identifier in the document, which counts where relations are read; empty where it has none.
            fragments: (start, end) in characters of the text, in file order.
            label: its type; anything but a short string is a fault.
            concept: its normalisation.
            words: the text that the file gives beside the offsets; empty where it gives none.
            case: whether the words have the case of the text.
        """
        try:
            mention = self._checked(where, fragments, label, concept, words, case)
            if name and name in self._named and self._source.kind == "relations":
                raise Fault("repeated-id", f"{where}: an identifier that an earlier mention has; wanted each once.")
        except Fault as fault:
            self._source.faults.add(fault)
            self._out |= {name} - {"", *self._named}
            return
        if not add_once(self._mentions, mention):
            self._source.passed["repeated"] += 1
        if name:
            self._named[name] = mention

    def relation(self, where: str, label: object, ends: tuple[str, str], roles: tuple[str, str] = ("Arg1", "Arg2")) -> None:
        """Adds a relation between two mentions by their names, if relations are read; arguments as of `mention`.

        `roles` are those of the two ends; which of them is the source is decided as in `bench.kit.roles`.
        """
        if self._source.kind != "relations":
            self._source.passed["relation"] += 1
            return
        with self._source.faults.apart():
            kind = named_label(where, label)
            if any(name in self._out for name in ends):
                self._source.faults.left_out[DEPENDENT] += 1
                return
            if not all(name in self._named for name in ends):
                raise Fault("missing-mention", f"{where}: a relation names a mention that the document does not have.")
            first, second = (self._named[name].key for name in ends)
            if self._source.roles.turned(kind, roles, where):
                first, second = second, first
            if first == second:
                raise Fault("self-relation", f"{where}: a relation joins a mention with itself; wanted two mentions.")
            relation = Relation(first, second, kind)
            self._source.passed["repeated"] += relation in self._relations
            self._relations[relation] = None

    def document(self, name: str) -> Document:
        """The document of this name with all that was added."""
        return Document(name, self._text, tuple(self._mentions.values()), tuple(self._relations))

    def _checked(
        self, where: str, fragments: Sequence[Fragment], label: object, concept: str | None, words: str, case: bool
    ) -> Mention:
        if not fragments:
            raise Fault(MALFORMED, f"{where}: a mention without a span; wanted one at least.")
        length = len(self._text)
        for start, end in fragments:
            if end <= start or start < 0:
                raise Fault(
                    "empty-span", f"{where}: span {start} {end} ends before or where it starts, or lies before the text."
                )
            if end > length:
                raise Fault(
                    "outside-text", f"{where}: span {start} {end} lies outside the text, which has {some(length, 'character')}."
                )
        if words and not self._says(fragments, words, case):
            raise Fault(
                "text-mismatch",
                f"{where}: the words that the file gives are not what stands at these offsets; wanted the same words.",
                "Offsets count characters of the text as it is.",
            )
        if concept is not None and (not 0 < len(concept) <= _CONCEPT or not concept.isprintable()):
            raise Fault(
                MALFORMED, f"{where}: a concept of {some(len(concept), 'character')}; wanted up to {_CONCEPT} printable ones."
            )
        ordered = apart(fragments)
        written = tuple(fragments)
        return Mention(ordered, named_label(where, label), concept, written=written if written != ordered else None)

    def _says(self, fragments: Sequence[Fragment], words: str, case: bool) -> bool:
        """Whether words stand at fragments, but for white space; files join fragments in several ways, or give the gaps too."""
        fold = _squeezed if case else lambda text: _squeezed(text).casefold()
        given = fold(words)
        low, high = min(start for start, _ in fragments), max(end for _, end in fragments)
        if given == fold(self._text[low:high]):
            return True
        for order in (fragments, sorted(fragments)):
            pieces = [fold(self._text[start:end]) for start, end in order]
            if any(given == joint.join(pieces) for joint in ("", "...", "…")):
                return True
        return False


def named_label(where: str, label: object) -> str:
    """A label without blanks around it.

    Raises:
        Fault: it is no string, blank, longer than 64 characters or not printable; a shifted column would be text.
    """
    text = label.strip() if isinstance(label, str) else ""
    if not _LABEL.fullmatch(text) or not text.isprintable():
        raise Fault(
            MALFORMED, f"{where}: a label ({some(len(text), 'character')}) that is none; wanted 1 to 64 printable characters."
        )
    return text


def first_concept(values: Iterable[object]) -> str | None:
    """The first of a mention's normalisations that is a concept; blank ones and `UNLINKED` are none."""
    texts = (value.strip() for value in values if isinstance(value, str))
    return next((text for text in texts if text and text not in UNLINKED), None)


def placed(passages: Iterable[tuple[int, str]], where: str, gap: str = "\n") -> str:
    """A text from passages and the offsets at which they start; `gap` fills what lies between two of them.

    Raises:
        Fault: a passage starts before the end of the one before, or far behind it.
    """
    text: list[str] = []
    length = 0
    for start, passage in passages:
        if not length <= start <= length + FARTHEST:
            raise Fault(
                MALFORMED,
                f"{where}: a passage starts at {start}, and what stands before it ends at {length}; wanted passages in order, "
                "offsets in characters of the document.",
            )
        text += [gap * (start - length), passage]
        length = start + len(passage)
    return "".join(text)


def _squeezed(text: str) -> str:
    return "".join(text.split())
