"""IOB2 in TSV: ``token<TAB>tag`` a line, a blank line after a sentence. Other schemes of tags are read with a warning.

A made-up sentence as BC5CDR is written (Crichton et al. 2017, https://github.com/cambridgeltl/MTL-Bioinformatics-2016):

    Melprilol	B-Chemical
    -	O
    induced	O
    renal	B-Disease
    failure	I-Disease

The text is rebuilt as tokens joined by single spaces. A document is a sentence, named by its position as in ``train-000123``.
In a file with ``-DOCSTART-`` lines, a document is everything between two of them, its sentences divided by a blank line; the
line ``-DOCSTART- (name)`` names it. Errors never quote a token or a tag: where columns are shifted, a tag is text.

Files that `bench.kit.iob_write` makes are for scoring: annotations without text. Each line is one character, written ``_``.
Mentions that overlap, or have several fragments, are written in further columns; there ``F-`` begins the next fragment of a
mention.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from bench.api.data import Document, Mention, in_order
from bench.errors import DataError, DataWarning
from bench.kit.faults import MALFORMED, Fault, Faults
from bench.kit.files import read_text
from bench.kit.tagging import LABEL, OUTSIDE, Scheme, Tag, parsed, runs, scheme_of
from bench.wording import some

DOCSTART = "-DOCSTART-"
MASK = "_"
NAMED = re.compile(r"[\s(]*([\w.:-]{1,80})[\s)]*")
_UNNAMED = re.compile(r"(\s+(-X-|O|_|-))*\s*")
_GAP = "\n\n"
_BLOCK = re.compile(r"(?: *[^ \n][^\n]*(?:\n|\Z))+")
"""Consecutive lines that are not blank."""
_PAIRS = re.compile(r"[^\t\n]*\t[^\t\n]*(?:\n[^\t\n]*\t[^\t\n]*)*")
"""Lines of two columns each: one `split` reads them all, without a list per line."""

_TAGGED = re.compile(rf"\t([BI])-({LABEL})\n")


@dataclass(frozen=True)
class Entry:
    """A document of a file: the line where it starts, from 1, and whether the file names it.

    The text is empty where `masked`: the document's lines are characters without text.
    """

    document: Document
    line: int
    named: bool
    masked: bool


@dataclass(frozen=True)
class _Sentence:
    line: int
    tokens: list[str]
    columns: list[list[str]]
    fault: Fault | None = None


@dataclass
class Tally:
    """Tags of a file that make no mention and were skipped: how many, and the line of the first."""

    orphans: int = 0
    line: int = 0


def read(
    path: Path, split: str, *, layers: bool = False, tally: Tally | None = None, faults: Faults | None = None
) -> list[Entry]:
    """Reads the documents of one file; `split` begins the names of those that have none.

    With `layers`, lines may be characters, and these have further columns, as in files that `iob_write` makes. With a `tally`,
    a tag that makes no mention is skipped and counted, as seqeval's strict mode does. `faults` collects faults, at most one a
    document; without it they are raised.

    Raises:
        DataError: naming file, line, what is there and what was wanted.
    """
    return list(parse(read_text(path), path, split, layers=layers, tally=tally, faults=faults))


def parse(
    text: str, path: Path, split: str, *, layers: bool = False, tally: Tally | None = None, faults: Faults | None = None
) -> Iterator[Entry]:
    """Yields the documents of a file's text, which may begin with a byte-order mark; faulty ones are left out.

    Further arguments and errors as of `read`.
    """
    text = text.removeprefix("\ufeff")
    if not layers and tally is None and (plain := _plain(text, split)):
        yield from plain
        return
    collected = Faults(tolerable=False) if faults is None else faults
    scheme = _scheme(text)
    if scheme.said:
        warnings.warn(f"{path}: its tags are {scheme.name}, read as IOB2: {scheme.said}.", DataWarning, stacklevel=2)
    tags: dict[str, Tag] = {OUTSIDE: (OUTSIDE, "")}
    names: set[str] = set()
    for number, (line, name, sentences) in enumerate(_documents(text, path, tags, layers), start=1):
        ident = name or f"{split}-{number:06d}"
        with collected.apart():
            entry = _entry(line, name, ident, names, sentences, path, tags, layers, scheme, tally)
            names.add(ident)
            yield entry
    if faults is None:
        collected.check(path)


def _entry(
    line: int,
    name: str | None,
    ident: str,
    names: Collection[str],
    sentences: Sequence[_Sentence],
    path: Path,
    tags: Mapping[str, Tag],
    layers: bool,
    scheme: Scheme,
    tally: Tally | None,
) -> Entry:
    if not sentences:
        raise Fault(MALFORMED, f"{path}, line {line}: a document has no token; wanted at least one before the next {DOCSTART}.")
    if ident in names:
        raise Fault("repeated-id", f"{path}, line {line}: document {ident!r} stands here a second time; wanted each once.")
    if fault := next((sentence.fault for sentence in sentences if sentence.fault), None):
        raise fault
    masked = layers and all(token == MASK for sentence in sentences for token in sentence.tokens)
    in_file_order: list[Mention] = []
    texts: list[str] = []
    offset = 0
    for sentence in sentences:
        words = MASK * len(sentence.tokens) if masked else " ".join(sentence.tokens)
        in_file_order += _mentions(sentence, tags, offset, path, 0 if masked else 1, scheme, tally)
        offset += len(words) + (0 if masked else len(_GAP))
        texts.append(words)
    mentions = in_order(in_file_order) if len(sentences[0].columns) > 1 else tuple(in_file_order)
    return Entry(Document(ident, "" if masked else _GAP.join(texts), mentions), line, bool(name), masked)


def _plain(text: str, split: str) -> list[Entry]:
    """The documents of a file of plain sentences, in a third of the time: tokens tagged O are not looked at one by one.

    Gives an empty list where anything is unusual or wrong; the slower reader then finds what.
    """
    text = text.replace("\r\n", "\n")
    if " " in text or DOCSTART in text:
        return []
    entries: list[Entry] = []
    line = 1
    for block in text.split("\n\n"):
        if block.strip("\n"):
            # Two empty lines leave a break before the next block, and the file's end one after the last.
            first = line + len(block) - len(block.lstrip("\n"))
            words = (block.strip("\n") + "\n").replace("\tO\n", " ")
            mentions: list[Mention] = []
            if "\t" in words:
                known = _runs(words)
                if known is None:
                    return []
                mentions, words = known, _TAGGED.sub(" ", words)
            words, last = words[:-1], words[-1:]
            # A column too many or too few, an empty token, one with white space in it.
            if not words or last != " " or " ".join(words.split()) != words:
                return []
            entries.append(Entry(Document(f"{split}-{len(entries) + 1:06d}", words, tuple(mentions)), first, False, False))
        line += block.count("\n") + 2
    return entries


def _runs(words: str) -> list[Mention] | None:
    """Mentions of a sentence whose O tags have been removed; None where an I- tag continues no mention."""
    mentions: list[Mention] = []
    begin = end = removed = seen = 0
    label = ""
    for tag in _TAGGED.finditer(words):
        low = tag.start()
        start = (words.rfind(" ", seen, low) + 1 or seen) - removed
        if tag[1] == "B":
            if label:
                mentions.append(Mention(((begin, end),), label))
            begin, label = start, tag[2]
        elif tag[2] != label or start != end + 1:
            return None
        end, seen = low - removed, tag.end()
        removed += seen - low - 1
    if label:
        mentions.append(Mention(((begin, end),), label))
    return mentions


def _documents(text: str, path: Path, tags: dict[str, Tag], layers: bool) -> Iterator[tuple[int, str | None, list[_Sentence]]]:
    """First line, name and sentences of each document."""
    started, name, sentences = 0, None, list[_Sentence]()
    for item in _sentences(text, path, tags, layers):
        if isinstance(item, _Sentence):
            if started:
                sentences.append(item)
            else:
                yield item.line, None, [item]
                name = ""
            continue
        if name == "":
            raise DataError(f"{path}, line {item[0]}: {DOCSTART} after sentences without one; wanted it before the first, too.")
        if started:
            yield started, name, sentences
        started, name, sentences = item[0], item[1], []
    if started:
        yield started, name, sentences


def _sentences(text: str, path: Path, tags: dict[str, Tag], layers: bool) -> Iterator[_Sentence | tuple[int, str | None]]:
    """Yields sentences, and line and name of each ``-DOCSTART-`` between them."""
    # Not `splitlines`: it would also break at form feeds and other characters that a token may hold.
    text = text.replace("\r\n", "\n")
    if DOCSTART not in text:  # half the time that looking at every line takes
        number, seen = 1, 0
        for block in _BLOCK.finditer(text):
            number += text.count("\n", seen, block.start())
            seen = block.start()
            yield _checked(block[0].removesuffix("\n"), number, path, tags, layers)
        return
    lines: list[str] = []
    for number, line in enumerate([*text.split("\n"), ""], start=1):
        if line.strip(" ") and not line.startswith(DOCSTART):
            lines.append(line)
            continue
        if lines:
            yield _checked("\n".join(lines), number - len(lines), path, tags, layers)
            lines = []
        if line.startswith(DOCSTART):
            yield number, _name(line, path, number)


def _name(line: str, path: Path, number: int) -> str | None:
    rest = line[len(DOCSTART) :]
    if _UNNAMED.fullmatch(rest):
        return None
    named = NAMED.fullmatch(rest)
    if named is None or not rest[:1].isspace():
        raise DataError(
            f"{path}, line {number}: {DOCSTART} is followed by {some(len(rest), 'character')}, no name; wanted '(name)'."
        )
    return named[1]


def _scheme(text: str) -> Scheme:
    """The scheme of a file's tags; files of several columns of tags, which `bench.kit.iob_write` makes, are IOB2."""

    def sentences() -> Iterator[list[str]]:
        tags: list[str] = []
        for line in text.split("\n"):
            _, tab, tag = line.rstrip("\r").partition("\t")
            if tab and "\t" not in tag and not line.startswith(DOCSTART):
                tags.append(tag)
            else:
                yield tags
                tags = []
        yield tags

    return scheme_of(sentences())


def _tag(tag: str, path: Path, number: int, layers: bool) -> Tag:
    known = parsed(tag)
    if known is None or (known[0] == "F" and not layers):
        raise Fault(
            MALFORMED,
            f"{path}, line {number}: the tag ({some(len(tag), 'character')}) is none; wanted O, B-Label or I-Label.",
        )
    return known


def _columns(block: str, first: int, path: Path, layers: bool) -> list[list[str]]:
    """Columns of a sentence: tokens, then tags."""
    if _PAIRS.fullmatch(block):
        cells = block.replace("\n", "\t").split("\t")
        return [cells[::2], cells[1::2]]
    rows = [line.split("\t") for line in block.split("\n")]
    # Beside real tokens a third column is another annotator's or the gold that a system was given, and no layer of its own.
    width = len(rows[0]) if layers and len(rows[0]) > 2 and all(row[0] == MASK for row in rows) else 2
    if any(len(row) != width for row in rows):
        at = next(i for i, row in enumerate(rows) if len(row) != width)
        expected = "2: token, tab, tag" if width == 2 else f"{width}, as at line {first}"
        hint = None
        if len(rows[at]) == 1 and " " in rows[at][0]:
            hint = "Its columns are divided by spaces, as in CoNLL files; wanted a tab."
            if any(len(row) > 1 for row in rows):
                hint = "If it is a comment, take it out: every line that is not blank is a token with its tag."
        elif layers and len(rows[at]) > 2:
            hint = "Of several tags of a token none is known to be the one that counts; keep that one alone."
        raise Fault(MALFORMED, f"{path}, line {first + at}: {some(len(rows[at]), 'column')}; wanted {expected}.", hint)
    return list(map(list, zip(*rows, strict=True)))


def _checked(block: str, first: int, path: Path, tags: dict[str, Tag], layers: bool) -> _Sentence:
    """A sentence, or its fault: the document that it belongs to is not known yet."""
    try:
        return _sentence(block, first, path, tags, layers)
    except Fault as fault:
        return _Sentence(first, [], [[]], fault)


def _sentence(block: str, first: int, path: Path, tags: dict[str, Tag], layers: bool) -> _Sentence:
    tokens, *columns = _columns(block, first, path, layers)
    if " ".join(tokens).split() != tokens:
        at = next(i for i, token in enumerate(tokens) if token.split() != [token])
        raise Fault(MALFORMED, f"{path}, line {first + at}: an empty token or one with white space in it; wanted one word.")
    for column in columns:
        for tag in sorted(set(column) - tags.keys(), key=column.index):
            tags[tag] = _tag(tag, path, first + column.index(tag), layers)
    return _Sentence(first, tokens, columns)


def _mentions(
    sentence: _Sentence, tags: Mapping[str, Tag], offset: int, path: Path, gap: int, scheme: Scheme, tally: Tally | None
) -> Iterator[Mention]:
    """Mentions of a sentence that starts at character `offset`; `gap` characters lie between tokens."""

    def refuse(at: int, what: str) -> None:
        if tally is None:
            hint = "In IOB2 a mention begins with B-. A file is read as IOB1 where B- begins only what follows on a mention."
            raise Fault("orphan-tag", f"{path}, line {sentence.line + at}: {what}; wanted a B- first.", hint)
        tally.line = tally.line or sentence.line + at
        tally.orphans += 1

    starts: list[int] | None = None
    for column in sentence.columns:
        if column.count(OUTSIDE) == len(column):
            continue
        if starts is None:
            starts = list(accumulate([len(token) + gap for token in sentence.tokens], initial=offset))
        for parts, label in runs(column, tags, scheme, refuse):
            yield Mention(tuple((starts[first], starts[behind] - gap) for first, behind in parts), label)
