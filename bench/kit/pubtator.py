"""PubTator: title, abstract and mentions of each article in one text file, a blank line between articles.

Source: https://www.ncbi.nlm.nih.gov/research/pubtator3/, the format in which BC5CDR and NCBI-disease are published:

    1001|t|Torsade with cisplatin
    1001|a|A case.
    1001	0	7	Torsade	Disease	D016171
    1001	CID	D002945	D016171

Offsets count characters of title, one separator (here a line feed) and abstract. A mention's last column, its concept, may be
missing. Relations join concepts, not mentions, and are read where they are asked for. Errors name file and line and quote no
text. A mention's words are compared with the text by their letters and digits: published files have blanks where the text has
quotation marks.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from bench.api.data import Document, Key, Mention, Relation
from bench.errors import DataError
from bench.kit.faults import MALFORMED, Fault, Faults
from bench.kit.files import raw_lines
from bench.kit.reading import Located, Source, first_concept, named_label
from bench.kit.repeats import add_once
from bench.wording import some

SUFFIXES = (".pubtator", ".txt")
_WANTED = "ID, start, end, text, type, concept, tabs between"
_TEXT = re.compile(r"([^|\t]{1,64})\|([ta])\|(.*)", re.DOTALL)
_NAME = re.compile(r"[^|\s]{1,64}")
_TITLE = re.compile(rb"(?:\xef\xbb\xbf)?\s*[0-9A-Za-z_.:-]{1,64}\|t\|")


def is_pubtator(path: Path) -> bool:
    """Whether a file begins with a title line; its name says nothing, since many such files end in ``.txt``."""
    first = next((line for line in raw_lines(path) if line.strip(b"\xef\xbb\xbf \t\r")), b"")
    return _TITLE.match(first) is not None


def read(
    path: Path,
    annotated: bool = True,
    faults: Faults | None = None,
    masked: bool = False,
    related: bool = False,
    passed: Counter[str] | None = None,
) -> Iterator[Document]:
    """The articles of a file, one at a time; unless `annotated`, the lines below each may say anything.

    `faults` collects faulty lines and leaves them out; without it the first one is raised. `masked`: articles with an empty
    title and an empty abstract, as `write` makes them, hold annotations of a text that is not there, whose offsets are not
    checked; their documents have no text. `related`: relations between concepts are read, as `Relation` has them. `passed`
    counts the lines that were not read: other relations, and mentions with the place and type of an earlier one.

    Raises:
        DataError: naming file and line: no UTF-8, no line of the format, a line of another article, or a span that is not in
            the text or not the words that the line gives.
    """
    reading = _Reading(path, annotated, faults, masked, related, Counter() if passed is None else passed)
    lines: list[tuple[int, str]] = []
    for number, raw in enumerate(raw_lines(path), 1):
        try:
            line = raw.decode("utf-8-sig" if number == 1 else "utf-8").removesuffix("\r")
        except UnicodeDecodeError as error:
            where = f"{path}, line {number}: byte {error.start + 1} of the line"
            raise Fault("not-utf8", f"{where} is not UTF-8, which is what was wanted.", "Convert the file to UTF-8.") from None
        text = _TEXT.fullmatch(line)
        if lines and (not line.strip() or (text and text[2] == "t")):
            yield from reading.articles(lines)
            lines = []
        if line.strip():
            lines.append((number, line))
    if lines:
        yield from reading.articles(lines)


def read_split(path: Path, source: Source) -> Iterator[Located]:
    """The articles of a file, of every ``.pubtator`` and ``.txt`` file below a folder, or of those that match a pattern.

    A reader as `bench.kit.reading` describes them; errors as of `read`.
    """
    for file in source.files(path, SUFFIXES):
        for _ in source.blocks(file):
            pass
        for document in read(file, source.kind != "text", source.faults, passed=source.passed):
            yield Located(document, file)


def write(path: Path, documents: Iterable[Document]) -> None:
    """Writes mentions and their concepts, and relations between concepts, without text: titles and abstracts are empty.

    Relations between mentions are left out.

    Raises:
        DataError: the format cannot hold a document's name, a label, a concept, or a mention of several fragments.
    """
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for document in documents:
            lines = [f"{document.id}|t|", f"{document.id}|a|"]
            for mention in document.mentions:
                last = [] if mention.concept is None else [mention.concept]
                if len(mention.fragments) > 1:
                    raise DataError(f"Document {document.id!r} has a discontiguous mention, which PubTator cannot hold.")
                ((start, end),) = mention.fragments
                lines.append("\t".join([document.id, str(start), str(end), "", mention.label, *last]))
            names = [document.id, *(mention.label for mention in document.mentions)]
            for (places, source), (_, target), label in ((r.source, r.target, r.label) for r in document.relations):
                if not places:
                    lines.append("\t".join([document.id, label, source, target]))
                    names += [label, source, target]
            if any(not _NAME.fullmatch(name) for name in names):
                raise DataError(f"The name of document {document.id!r} or one of its labels cannot be in a PubTator file.")
            file.write("".join(f"{line}\n" for line in [*lines, ""]))


@dataclass(frozen=True)
class _Reading:
    """How a file is read; the fields are the arguments of `read`."""

    path: Path
    annotated: bool
    faults: Faults | None
    masked: bool
    related: bool
    passed: Counter[str]

    def articles(self, lines: Sequence[tuple[int, str]]) -> Iterator[Document]:
        """The article of some lines; none where its head is a fault that is left out."""
        document = None
        with self._apart():
            document = self._article(lines)
        if document is not None:
            yield document

    def _apart(self) -> AbstractContextManager[None]:
        return nullcontext() if self.faults is None else self.faults.apart()

    def _article(self, lines: Sequence[tuple[int, str]]) -> Document:
        texts = [
            match for (_, line), kind in zip(lines, "ta", strict=False) if (match := _TEXT.fullmatch(line)) and match[2] == kind
        ]
        if not texts or texts[0][2] != "t":
            raise Fault(
                MALFORMED,
                f"{self.path}, line {lines[0][0]}: an article that does not begin with 'ID|t|title' and 'ID|a|abstract'.",
            )
        name, text = texts[0][1], "\n".join(match[3] for match in texts)
        masked = self.masked and not text.strip()
        mentions: dict[Key, Mention] = {}
        relations: dict[Relation, None] = {}
        for place, (number, line) in enumerate(lines):
            where, columns = f"{self.path}, line {number}", line.split("\t")
            with self._apart():
                if place >= len(texts) and len(columns) == 1 and self.annotated:
                    raise Fault(MALFORMED, f"{where}: no tab; wanted {_WANTED}.")
                if (texts[place][1] if place < len(texts) else columns[0]) != name:
                    raise Fault(
                        "other-document",
                        f"{where}: it does not name the article above it; wanted a blank line between articles.",
                    )
                if place < len(texts) or not self.annotated:
                    continue
                if len(columns) >= 5 and all(re.fullmatch("[0-9]{1,12}", column) for column in columns[1:3]):
                    mention = _mention(columns, None if masked else text, where)
                    if not add_once(mentions, mention):
                        self.passed["repeated"] += 1
                elif len(columns) not in (4, 5):  # a relation, in BioRED with a word on whether it is new
                    raise Fault(MALFORMED, f"{where}: {some(len(columns), 'column')}; wanted {_WANTED}.")
                elif self.related:
                    label, source, target = (column.strip() for column in columns[1:4])
                    if not (label and source and target):
                        raise Fault(MALFORMED, f"{where}: an empty column; wanted ID, type of relation, concept, concept.")
                    relations[Relation(((), source), ((), target), label)] = None
                else:
                    self.passed["relation"] += 1
        return Document(name, "" if masked else text, tuple(mentions.values()), tuple(relations))


def _mention(columns: Sequence[str], text: str | None, where: str) -> Mention:
    start, end, words, label = int(columns[1]), int(columns[2]), columns[3], named_label(where, columns[4])
    if not start < end:
        raise Fault("empty-span", f"{where}: span {start} {end} ends before or where it starts; wanted an end after its start.")
    if text is not None and end > len(text):
        raise Fault(
            "outside-text",
            f"{where}: span {start} {end}; wanted one inside the text, which has {some(len(text), 'character')}.",
        )
    if text is not None and _plain(text[start:end]) != _plain(words):
        raise Fault("text-mismatch", f"{where}: the text column is not what stands at {start} to {end}; wanted the same words.")
    return Mention(((start, end),), label, first_concept(columns[5:6]))


def _plain(text: str) -> str:
    return "".join(filter(str.isalnum, text))
