"""The `||` format: one line a mention, its fragments as pairs of offsets.

Source: SemEval-2014 Task 7, https://alt.qcri.org/semeval2014/task7/. A line of a mention of two fragments:

    note-00001.text||Disease_Disorder||C0000001||10||20||30||35

Offsets are characters of the `.text` file, ends exclusive; ``CUI-less`` where there is no concept. Errors name file, line and
column, and never quote a column that is not a number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from bench.api.data import Document, Fragment, Mention
from bench.errors import DataError
from bench.kit.documents import write_each
from bench.kit.faults import MALFORMED, Fault, Faults
from bench.kit.files import read_text
from bench.wording import some
from bench_tasks.common.pipe_folder import document_name, pipe_files

LABEL = "Disease_Disorder"
CUI_LESS = "CUI-less"
DIVIDER = "||"
_NUMBER = re.compile(r"[0-9]{1,12}")
_CONCEPT = re.compile(r"[A-Za-z][\w:.-]{0,63}")
_WANTED = "wanted file||Disease_Disorder||CUI||start||end, and two more for each further fragment"


def lines_of(text: str, path: Path, faults: Faults | None = None) -> Iterator[tuple[str, str, Mention]]:
    """Place, document name and mention of every line that is not blank; CRLF and a byte-order mark are allowed.

    Offsets must not decrease: the organisers' scorer refuses such lines.

    Args:
        text: of the file.
        path: of the file, for errors.
        faults: collects faults; without it the first one is raised.

    Raises:
        DataError: naming file, line, what is there and what was wanted.
    """
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        if line.strip():
            where = f"{path}, line {number}"
            try:
                document, mention = _line(line.rstrip("\r").split(DIVIDER), where)
            except Fault as fault:
                if faults is None:
                    raise
                faults.add(fault)
                continue
            yield where, document, mention


def _line(columns: Sequence[str], where: str) -> tuple[str, Mention]:
    if len(columns) < 5 or len(columns) % 2 == 0:
        raise Fault(MALFORMED, f"{where}: {some(len(columns), 'column')}; {_WANTED}.")
    concept = columns[2].strip()
    if not _CONCEPT.fullmatch(concept):
        raise Fault(
            "unknown-value",
            f"{where}: column 3 holds no concept ({some(len(concept), 'character')}); wanted a CUI or '{CUI_LESS}'.",
        )
    concept = CUI_LESS if concept.lower() == CUI_LESS.lower() else concept
    return document_name(columns[0]), Mention(_fragments(columns[3:], where), columns[1].strip(), concept)


def _fragments(columns: Sequence[str], where: str) -> tuple[Fragment, ...]:
    numbers: list[int] = []
    for at, column in enumerate(columns, start=4):
        if not _NUMBER.fullmatch(column.strip()):
            raise Fault(
                MALFORMED, f"{where}: column {at} ({some(len(column), 'character')}) is no offset; wanted a whole number."
            )
        numbers.append(int(column))
    for at, (before, after) in enumerate(pairwise(numbers), start=5):
        if after < before:
            raise Fault(
                "descending-offsets",
                f"{where}: the offset {after} in column {at} follows {before}; wanted offsets that do not decrease.",
                "Write the fragments of a mention from left to right, each with its start first.",
            )
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))


def read_mentions(text: str, path: Path, name: str, length: int, faults: Faults | None = None) -> tuple[Mention, ...]:
    """Strictly reads the annotations of one document of a corpus; of lines with equal spans the last one's concept is kept.

    Args:
        text: of the `.pipe` file.
        path: of the `.pipe` file, for errors.
        name: of the document that its lines must belong to.
        length: of the document, in characters.
        faults: collects faults; without it the first one is raised.

    Raises:
        DataError: naming file, line, what is there and what was wanted.
    """
    mentions: dict[tuple[Fragment, ...], Mention] = {}
    for where, document, mention in lines_of(text, path, faults):
        try:
            _check(where, document, mention, name, length)
        except Fault as fault:
            if faults is None:
                raise
            faults.add(fault)
            continue
        mentions[mention.fragments] = mention
    return tuple(mentions.values())


def _check(where: str, document: str, mention: Mention, name: str, length: int) -> None:
    if document != name:
        raise Fault("other-document", f"{where}: column 1 names another document; wanted {name!r}, as the file is named.")
    if mention.label != LABEL:
        raise Fault(
            "unknown-label",
            f"{where}: column 2 ({some(len(mention.label), 'character')}) is no type of this task; wanted '{LABEL}'.",
        )
    for start, end in mention.fragments:
        if end == start:
            raise Fault("empty-span", f"{where}: span {start}-{end} ends where it starts; wanted an end after its start.")
        if end > length:
            raise Fault(
                "outside-text", f"{where}: span {start}-{end} lies outside the text, which has {some(length, 'character')}."
            )


def read_documents(path: Path) -> dict[str, dict[tuple[Fragment, ...], str]]:
    """Reads concepts for scoring, by document and fragments: one file, or every ``*.pipe*`` file of a folder.

    Raises:
        DataError: there is no such file, or a line cannot be read; no line is skipped.
    """
    documents: dict[str, dict[tuple[Fragment, ...], str]] = {}
    for file in pipe_files(path):
        for _, name, mention in lines_of(read_text(file), file):
            documents.setdefault(name, {})[mention.fragments] = mention.concept or CUI_LESS
    return documents


def write_mentions(document: Document) -> str:
    """The annotations of one document as the text of a `.pipe` file.

    Raises:
        DataError: a name or concept cannot be written in a column.
    """
    lines = []
    for mention in document.mentions:
        columns = [f"{document.id}.text", LABEL, mention.concept or CUI_LESS]
        columns += [str(offset) for fragment in mention.as_written for offset in fragment]
        if any("|" in column or "\n" in column or "\r" in column for column in columns):
            raise DataError(f"A name or concept of document {document.id!r} holds '|' or a line break: it cannot be a column.")
        lines.append(f"{DIVIDER.join(columns)}\n")
    return "".join(lines)


def write_folder(folder: Path, documents: Sequence[Document]) -> None:
    """Writes one `.pipe` file a document; raises what `write_each` and `write_mentions` raise."""
    write_each(folder, documents, ".pipe", write_mentions)
