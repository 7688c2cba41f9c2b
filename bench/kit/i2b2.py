"""Standoff of i2b2/VA 2010: ``DOC.txt``, one sentence a line, with ``DOC.con``, whose places are lines and tokens.

Source: Uzuner et al. 2011, 2010 i2b2/VA challenge on concepts, assertions, and relations in clinical text,
doi:10.1136/amiajnl-2011-000203. A made-up line, and a relation of ``DOC.rel`` between two concepts:

    c="pain control" 40:3 40:4||t="treatment"
    c="pain control" 40:3 40:4||r="TrAP"||c="pain" 40:7 40:7

Lines count from 1, tokens of a line from 0, both ends inclusive; tokens are what blanks and tabs divide. The two files lie in
one folder, or as the release has them, in ``txt`` and ``concept`` (or ``concepts``) beside each other, ``rel`` for relations. A
document's name is the path of its text without these; annotations of the same name may lie elsewhere in the split's folder. The
words of a line are compared with the text, but for case. n2c2 2018 is brat.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from bench.api.data import Document, Fragment
from bench.errors import DataError
from bench.kit.documents import names_below
from bench.kit.faults import MALFORMED, Fault
from bench.kit.files import decode
from bench.kit.reading import Located, Marks, Source
from bench.wording import some

_PLACE = r"([0-9]{1,9}):([0-9]{1,9}) ([0-9]{1,9}):([0-9]{1,9})"
_CONCEPT = re.compile(rf'c="(.*)" {_PLACE}\|\|t="([^"|]*)"\s*')
_RELATION = re.compile(rf'c="(.*?)" {_PLACE}\|\|r="([^"|]*)"\|\|c="(.*)" {_PLACE}\s*')
_FOLDERS = ("txt", "concept", "concepts", "con", "rel")
_WORD = re.compile(r"[^ \t\n\r\f\v]+")

Place = tuple[int, int, int, int]
"""First line and token, last line and token."""


def read(path: Path, source: Source) -> Iterator[Located]:
    """The documents below a folder, sorted by name.

    Raises:
        DataError: naming file and line, what is there and what was wanted.
    """
    if not path.is_dir():
        raise DataError(f"{path} is no folder; wanted one with DOC.txt and DOC.con files.")
    texts, concepts = (_by_name(path, suffix) for suffix in (".txt", ".con"))
    relations = _by_name(path, ".rel")
    concepts, relations = _where_texts_are(texts, concepts), _where_texts_are(texts, relations)
    if not texts and not concepts:
        raise DataError(f"{path} holds no .txt and no .con file; wanted both of each document.")
    for name in sorted(texts.keys() ^ concepts.keys()):
        have, lack = (texts[name], ".con") if name in texts else (concepts[name], ".txt")
        if lack == ".txt" or source.kind != "text":
            hint = "A document without concepts has an empty .con file." if lack == ".con" else None
            source.faults.add(Fault("missing-file", f"{have} has no {lack} file of the same name.", hint))
    for name in sorted(texts if source.kind == "text" else texts.keys() & concepts.keys()):
        with source.faults.apart():
            text = decode(source.content(texts[name]), texts[name])
            if source.kind == "text":
                yield Located(Document(name, text), texts[name])
                continue
            marks, tokens = Marks(text, source), _tokens(text)
            _concepts(concepts[name], marks, tokens, source)
            if name in relations and source.kind == "relations":
                _relations(relations[name], marks, source)
            yield Located(marks.document(name), concepts[name])


def _by_name(folder: Path, suffix: str) -> dict[str, Path]:
    """Name of a document, its path without the folders of the release, to its file."""
    files: dict[str, Path] = {}
    for below in names_below(folder, suffix):
        path = PurePosixPath(below)
        name = "/".join(part for part in (*path.parts[:-1], path.name) if part == path.name or part not in _FOLDERS)
        if name in files:
            raise DataError(f"{files[name]} and {folder / below}{suffix} are both document {name!r}; wanted one file of each.")
        files[name] = folder / f"{below}{suffix}"
    return files


def _where_texts_are(texts: Mapping[str, Path], annotations: Mapping[str, Path]) -> dict[str, Path]:
    """Annotations by the names of their texts: of the same path, else of the same file name where only one text has it."""
    named: dict[str, list[str]] = {}
    for name in texts.keys() - annotations.keys():
        named.setdefault(PurePosixPath(name).name, []).append(name)
    moved = {}
    for name, path in annotations.items():
        alike = named.get(PurePosixPath(name).name, [])
        moved[alike[0] if name not in texts and len(alike) == 1 else name] = path
    return moved


def _lines(path: Path, source: Source) -> Iterator[tuple[str, str]]:
    """Place and content of each line that is not blank."""
    text = decode(source.content(path), path).removeprefix("\ufeff")
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        if line.strip():
            yield f"{path}, line {number}", line


def _concepts(path: Path, marks: Marks, tokens: list[list[Fragment]], source: Source) -> None:
    named: set[str] = set()
    for where, line in _lines(path, source):
        with source.faults.apart():
            match = _CONCEPT.fullmatch(line)
            if match is None:
                raise Fault(MALFORMED, f'{where}: {some(len(line), "character")}; wanted \'c="words" 1:0 1:2||t="type"\'.')
            place = _place(match.groups()[1:5])
            name = "" if _key(place) in named else _key(place)  # of two concepts at one place, relations are of the first
            named.add(name)
            marks.mention(where, name, [_span(place, tokens, where)], match[6], None, match[1], case=False)


def _relations(path: Path, marks: Marks, source: Source) -> None:
    for where, line in _lines(path, source):
        with source.faults.apart():
            match = _RELATION.fullmatch(line)
            if match is None:
                form = '\'c="words" 1:0 1:2||r="type"||c="words" 1:4 1:4\''
                raise Fault(MALFORMED, f"{where}: {some(len(line), 'character')}; wanted {form}.")
            groups = match.groups()
            marks.relation(where, match[6], (_key(_place(groups[1:5])), _key(_place(groups[7:11]))))


def _place(numbers: tuple[str, ...]) -> Place:
    first, first_token, last, last_token = map(int, numbers)
    return first, first_token, last, last_token


def _key(place: Place) -> str:
    return "{}:{} {}:{}".format(*place)


def _tokens(text: str) -> list[list[Fragment]]:
    """The spans of the tokens of every line."""
    lines, start = [], 0
    for line in text.split("\n"):
        # A byte-order mark, which the text keeps, is no part of the first token.
        lines.append([(start + word.start(), start + word.end()) for word in _WORD.finditer(line, line.startswith("\ufeff"))])
        start += len(line) + 1
    return lines


def _span(place: Place, tokens: list[list[Fragment]], where: str) -> Fragment:
    first, first_token, last, last_token = place
    for line, at in ((first, first_token), (last, last_token)):
        if not 0 < line <= len(tokens):
            raise Fault("outside-text", f"{where}: line {line} of the text, which has {some(len(tokens), 'line')}.")
        if at >= len(tokens[line - 1]):
            raise Fault(
                "outside-text", f"{where}: token {at} of line {line} of the text, which has {len(tokens[line - 1])} from 0 on."
            )
    return tokens[first - 1][first_token][0], tokens[last - 1][last_token][1]
