"""Reads names of concepts as a stream from a file: a table, OBO, or UMLS's ``MRCONSO.RRF``.

    concept	name	kind                            a table: tabs, this first line; ``kind`` may be left out
    CL:0000056	myoblast	name

    [Term]                                                  OBO; obsolete terms are skipped
    id: CL:0000056
    name: myoblast
    synonym: "muscle precursor cell" RELATED []

    C0004238|ENG|P|L0004238|PF|S0016668|Y|…|MSH|…|          RRF: 18 columns, the name in the fifteenth

Names may be licensed: no message quotes one.

Source: UMLS Reference Manual, table 1 of MRCONSO, https://www.ncbi.nlm.nih.gov/books/NBK9685/; OBO flat file format 1.4,
https://owlcollab.github.io/oboformat/doc/GO.format.obo-1_4.html.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from shlex import quote

from bench.errors import DataError
from bench.linking.table import Name
from bench.wording import some

KINDS = ("name", "exact", "narrow", "broad", "related")
"""Relation of a name to its concept; the first is the preferred name."""
TRAINED = len(KINDS)
"""The kind of a training mention, which no file has."""
LONGEST = 1000
"""Most characters of a name; the rest is cut off."""
LONGEST_LINE = 1 << 20
"""Most bytes of a line, so that a file without line ends is not read into memory."""
_COLUMNS = 18
_LANGUAGE, _STATUS, _FORM, _PREFERRED, _SOURCE, _NAME, _SUPPRESSED = 1, 2, 4, 6, 11, 14, 16
_SYNONYM = re.compile(r'"((?:[^"\\]|\\.)*)"\s*(EXACT|NARROW|BROAD|RELATED)?')
_SPACE = re.compile(r"\s")


@dataclass(frozen=True)
class Selection:
    """Which rows of ``MRCONSO.RRF`` are read: by the second column, and by the twelfth; all where empty."""

    language: str = "ENG"
    sources: tuple[str, ...] = ()


def read(path: Path, selection: Selection) -> Iterator[Name]:
    """The names of a file, in its order; `form_of` tells its format, and of UMLS the selected rows are read.

    Raises:
        DataError: file and line, what is there and what was wanted.
    """
    yield from _READERS[form_of(path)](path, selection)


def form_of(path: Path) -> str:
    """The format of a file, by its name and its first line: ``tsv``, ``obo`` or ``rrf``.

    Raises:
        DataError: there is no such file, it is empty, or it is none of the three.
    """
    number, first = next(((number, text) for number, text in _lines(path) if text.strip()), (0, ""))
    if not number:
        raise DataError(f"{path} is empty; wanted names of concepts.", _WANTED)
    if path.suffix.lower() == ".rrf" or first.count("|") >= _COLUMNS - 1:
        return "rrf"
    if path.suffix.lower() == ".obo" or first.startswith(("format-version:", "[Term]")):
        return "obo"
    if first.split("\t")[:2] == ["concept", "name"]:
        return "tsv"
    raise DataError(f"{path}, line {number}: no known first line.", _WANTED)


_WANTED = (
    "Wanted a table with the first line 'concept<tab>name' or 'concept<tab>name<tab>kind', an OBO file, or UMLS's MRCONSO.RRF."
)


def _table(path: Path, selection: Selection) -> Iterator[Name]:
    lines = _lines(path)
    first, header = next((number, text) for number, text in lines if text.strip())
    columns = header.split("\t")
    if columns not in (["concept", "name"], ["concept", "name", "kind"]):
        raise DataError(f"{path}, line {first}: {some(len(columns), 'column')} of other names than are known.", _WANTED)
    for number, line in lines:
        if not line:
            continue
        cells = line.split("\t")
        if len(cells) != len(columns):
            raise DataError(f"{path}, line {number}: {some(len(cells), 'column')}; wanted {len(columns)}, as in line {first}.")
        kind = cells[2] if len(cells) == 3 else KINDS[0]
        if kind not in KINDS:
            raise DataError(f"{path}, line {number}: the kind is none that is known; wanted {', '.join(KINDS)}.")
        yield Name(_concept(path, number, cells[0]), _name(path, number, cells[1]), KINDS.index(kind), number)


def _obo(path: Path, selection: Selection) -> Iterator[Name]:
    stanza, concept, obsolete, begun = "", "", False, 0
    names: list[tuple[str, int]] = []

    def ended() -> Iterator[Name]:
        if stanza == "Term" and not concept:
            raise DataError(f"{path}, line {begun}: a [Term] without an id.")
        if stanza == "Term" and not obsolete:
            yield from (Name(concept, name, kind) for name, kind in names)

    for number, line in _lines(path):
        tag, colon, value = line.partition(":")
        value = value.strip()
        if line.startswith("["):
            if not line.rstrip().endswith("]"):
                raise DataError(f"{path}, line {number}: a stanza's head without its ']'.")
            yield from ended()
            stanza, concept, obsolete, begun, names = line.strip()[1:-1], "", False, number, []
        elif stanza != "Term" or not line.strip() or line.startswith("!"):
            continue
        elif not colon:
            raise DataError(f"{path}, line {number}: no 'tag: value'.")
        elif tag == "id":
            concept = _concept(path, number, value.partition(" !")[0].strip())
        elif tag == "name":
            names.append((_name(path, number, value), 0))
        elif tag == "synonym":
            match = _SYNONYM.match(value)
            if match is None:
                raise DataError(f'{path}, line {number}: a synonym that is not in the form "…" EXACT [].')
            kind = (match[2] or "RELATED").lower()
            names.append((_name(path, number, re.sub(r"\\(.)", r"\1", match[1])), KINDS.index(kind)))
        elif tag == "is_obsolete":
            obsolete = value.startswith("true")
    yield from ended()


def _rrf(path: Path, selection: Selection) -> Iterator[Name]:
    sources: Collection[str] = frozenset(selection.sources)
    for number, line in _lines(path):
        cells = line.split("|")
        # Every row ends with a bar, so that splitting gives one more cell.
        if len(cells) != _COLUMNS + 1 or cells[-1]:
            raise DataError(
                f"{path}, line {number}: {some(len(cells) - 1, 'column')}; wanted {_COLUMNS}, a '|' after each, as UMLS has "
                "them."
            )
        if selection.language and cells[_LANGUAGE] != selection.language:
            continue
        if (sources and cells[_SOURCE] not in sources) or cells[_SUPPRESSED] not in ("N", ""):
            continue
        preferred = cells[_STATUS] == "P" and cells[_FORM] == "PF" and cells[_PREFERRED] == "Y"
        yield Name(_concept(path, number, cells[0]), _name(path, number, cells[_NAME]), 0 if preferred else 1)


_READERS: Mapping[str, Callable[[Path, Selection], Iterator[Name]]] = {"tsv": _table, "obo": _obo, "rrf": _rrf}


_OTHERS = {
    b"\x1f\x8b": ("a gzip file", "gunzip -k {file}"),
    b"PK\x03\x04": ("a zip archive", "unzip {file}"),
    b"BZh": ("a bzip2 file", "bunzip2 -k {file}"),
    b"\xfd7zXZ": ("an xz file", "unxz -k {file}"),
    b"\xff\xfe": ("UTF-16", "iconv -f utf-16 -t utf-8 {file}"),
    b"\xfe\xff": ("UTF-16", "iconv -f utf-16 -t utf-8 {file}"),
}
"""First bytes of other formats to their name, and the command that converts them to UTF-8 text."""


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Line numbers, from 1, and lines without their ends."""
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(iter(partial(file.readline, LONGEST_LINE), b""), 1):
                if number == 1:
                    _refuse_others(path, raw)
                if len(raw) == LONGEST_LINE:
                    raise DataError(f"{path}, line {number}: at least {LONGEST_LINE:,} bytes; wanted a name a line.", _WANTED)
                yield number, _text(path, number, raw)
    except OSError as error:
        raise DataError(f"The names of concepts in {path} cannot be read: {error.strerror}.", "Check the path.") from None


def _refuse_others(path: Path, raw: bytes) -> None:
    for start, (what, command) in _OTHERS.items():
        if raw.startswith(start):
            raise DataError(f"{path}, line 1: {what}; wanted UTF-8 text.", f"Run: {command.format(file=quote(path.name))}")


def _text(path: Path, number: int, raw: bytes) -> str:
    try:
        text = raw.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}, line {number}: byte {error.start} is not UTF-8; wanted UTF-8 text.",
            f"If it is Latin-1: iconv -f latin1 -t utf-8 {quote(path.name)}",
        ) from None
    if "\0" in text:
        raise DataError(f"{path}, line {number}: a zero byte; wanted UTF-8 text.")
    return text.rstrip("\r\n")


def _concept(path: Path, number: int, text: str) -> str:
    if not text or _SPACE.search(text) or not text.isprintable() or len(text) > LONGEST:
        raise DataError(f"{path}, line {number}: the id of a concept is empty or no single word; wanted such as CL:0000056.")
    return text


def _name(path: Path, number: int, text: str) -> str:
    if not text.strip():
        raise DataError(f"{path}, line {number}: a concept with an empty name.")
    return text[:LONGEST]
