"""Brat standoff: ``DOC.txt`` with ``DOC.ann`` beside it.

Source: https://brat.nlplab.org/standoff.html. A mention, a discontiguous one and a relation between them:

    T1	Drug 0 9	cisplatin
    T2	Effect 23 31;40 45	swelling hands
    R1	Causes Arg1:T1 Arg2:T2
    N1	Reference T1 MESH:D002945	cisplatin

Mentions, their concepts (the first N line of each) and, on request, relations are read. Attributes (A, M), events (E), other N
lines, notes (#), equivalences (*) and relations of events are skipped and counted. Fragments are a set: their order means
nothing. The direction of a relation follows from the roles of its arguments, not from their order (`bench.kit.roles`). Errors
name file and line and quote no text.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.api.data import Document, Fragment, Key, Mention, Relation, apart
from bench.errors import DataError
from bench.kit.documents import names_below, write_each
from bench.kit.faults import DEPENDENT, MALFORMED, Fault, Faults
from bench.kit.files import read_text
from bench.kit.repeats import add_once
from bench.kit.roles import Roles
from bench.wording import some

_MENTION = re.compile(r"(T\S{1,32})\t(\S{1,64}) ([0-9]{1,12} [0-9]{1,12}(?:;[0-9]{1,12} [0-9]{1,12})*)(?:\t(.*))?")
_NAME = re.compile(r"(T\S{1,32})\s")
_RELATION = re.compile(r"(R\S{1,32})\t(\S{1,64}) (\S{1,64}):([TE]\S{1,32}) (\S{1,64}):([TE]\S{1,32})\s*")
_REFERENCE = re.compile(r"N\S{1,32}\tReference (T\S{1,32}) (\S{1,128})(?:\t.*)?")
_CONCEPT = re.compile(r"\S{1,128}")
_OTHER = "AMEN#*"
_TYPE = re.compile(r"[^\s:;|]{1,64}")


@dataclass(frozen=True)
class Annotations:
    """The content of an ``.ann`` file; mentions and relations are in file order.

    One with the same fragments and type as an earlier one is counted under ``repeated`` in `passed`, beside skipped lines by
    their first character. `lines` maps a label to the line of its first mention or relation.
    """

    mentions: tuple[Mention, ...]
    relations: tuple[Relation, ...]
    passed: Counter[str] = field(default_factory=Counter)
    lines: Mapping[str, int] = field(default_factory=dict)


def parse(
    text: str,
    path: Path,
    document: str | None = None,
    *,
    related: bool = True,
    roles: Roles | None = None,
    faults: Faults | None = None,
) -> Annotations:
    """Annotations from the text of an ``.ann`` file; `path` stands in errors.

    Offsets are checked against the annotated text in `document`; None, for scoring, leaves that out. Lines of relations are
    skipped unless `related`. Without `roles`, the direction of relations is learnt from this file alone. `faults` collects
    faults; without it they are raised.

    Raises:
        DataError: naming file, line, what is there and what was wanted.
    """
    collected = Faults(tolerable=False) if faults is None else faults
    scored = document is None and faults is None  # predictions of a system may break the rules for gold
    roles = Roles() if roles is None else roles
    named: dict[str, Mention] = {}
    out: set[str] = set()
    related_lines: list[tuple[int, re.Match[str]]] = []
    concepts: dict[str, str] = {}
    passed: Counter[str] = Counter()
    lines: dict[str, int] = {}
    for number, line in enumerate(text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n"), start=1):
        where = f"{path}, line {number}"
        try:
            if line.startswith("T"):
                name, mention = _mention(line, where, document)
                if name in named:
                    raise Fault("repeated-id", f"{where}: an identifier that an earlier line has; wanted each once.")
                named[name] = mention
                lines.setdefault(mention.label, number)
            elif line.startswith("R") and not related:
                passed["R"] += 1
            elif line.startswith("R"):
                match = _RELATION.fullmatch(line)
                if match is None:
                    raise Fault(
                        MALFORMED,
                        f"{where}: {some(len(line), 'character')}, no relation; wanted 'R1<TAB>Type Arg1:T1 Arg2:T2'.",
                    )
                related_lines.append((number, match))
            elif (reference := _REFERENCE.fullmatch(line)) is not None:
                concepts.setdefault(reference[1], reference[2])
            elif line[:1] and line[0] in _OTHER and "\t" in line:
                passed[line[0]] += 1
            elif line.strip():
                raise Fault(
                    MALFORMED,
                    f"{where}: {some(len(line), 'character')}, no annotation; wanted a line that starts with T or R.",
                )
        except Fault as fault:
            collected.add(fault)
            if gone := _NAME.match(line):
                out.add(gone[1])
    for name, concept in concepts.items():
        if name in named:
            named[name] = replace(named[name], concept=concept)
        else:
            passed["N"] += 1
    unique: dict[Key, Mention] = {}
    for mention in named.values():
        add_once(unique, mention)
    relations: dict[Relation, None] = {}
    for number, match in related_lines:
        with collected.apart():
            relation = _relation(match, f"{path}, line {number}", named, out, roles, scored)
            if isinstance(relation, str):
                passed["R"] += relation == "R"
                collected.left_out[DEPENDENT] += relation == DEPENDENT
                continue
            passed["repeated"] += relation in relations
            relations[relation] = None
            lines.setdefault(relation.label, number)
    passed["repeated"] += len(named) - len(unique)
    if faults is None:
        collected.check(path)
    return Annotations(tuple(unique.values()), tuple(relations), +passed, lines)


def _relation(
    match: re.Match[str], where: str, named: Mapping[str, Mention], out: set[str], roles: Roles, scored: bool
) -> Relation | str:
    """A relation; ``R`` for one of events, which is not read; `DEPENDENT` where one of its mentions was left out."""
    _, label, source_role, source, target_role, target = match.groups()
    if "E" in (source[0], target[0]):
        return "R"
    for name in (source, target):
        if name not in named and name in out:
            return DEPENDENT
        if name not in named:
            raise Fault(
                "missing-mention",
                f"{where}: a relation names a mention that the file does not have; wanted identifiers of its T lines.",
            )
    ends = [named[source].key, named[target].key]
    if ends[0] == ends[1] and not scored:
        raise Fault(
            "self-relation",
            f"{where}: a relation joins a mention with itself; wanted two mentions.",
            None if source == target else "Two identifiers of one span and type are one mention.",
        )
    if roles.turned(label, (source_role, target_role), where):
        ends.reverse()
    return Relation(ends[0], ends[1], label)


def _mention(line: str, where: str, document: str | None) -> tuple[str, Mention]:
    match = _MENTION.fullmatch(line)
    if match is None:
        raise Fault(MALFORMED, f"{where}: {some(len(line), 'character')}, no mention; wanted 'T1<TAB>Type a b;c d<TAB>text'.")
    written: list[Fragment] = []
    for piece in match[3].split(";"):
        start, end = map(int, piece.split())
        written.append((start, end))
        if end <= start:
            raise Fault(
                "empty-span", f"{where}: span {start} {end} ends before or where it starts; wanted an end after its start."
            )
        if document is not None and end > len(document):
            raise Fault(
                "outside-text",
                f"{where}: span {start} {end} lies outside the text, which has {some(len(document), 'character')}.",
            )
    fragments = apart(written)
    if document is not None and match[4]:
        under = (" ".join(document[start:end] for start, end in order).split() for order in (written, sorted(written)))
        if match[4].split() not in under:
            raise Fault(
                "text-mismatch",
                f"{where}: the text column is not what stands at these offsets; wanted the same words.",
                "Offsets count characters of the .txt file as it is, line breaks of two characters included.",
            )
    return match[1], Mention(fragments, match[2], written=None if list(fragments) == written else tuple(written))


def read(path: Path, *, related: bool = True, roles: Roles | None = None, faults: Faults | None = None) -> dict[str, Document]:
    """Reads annotations for scoring, by document: one ``.ann`` file, or all in a folder and its sub-folders.

    A document gets its text where a ``.txt`` file lies beside the annotations. They are checked against the text only where
    `faults` tolerates some kind: then the lines that a run leaves out are left out here too. Further arguments as of `parse`.

    Raises:
        DataError: there is no such file, or a line cannot be read.
    """
    if not path.exists():
        raise DataError(f"There is no file or folder {path}.")
    files = {name: path / f"{name}.ann" for name in names_below(path, ".ann")} if path.is_dir() else {path.stem: path}
    if not files:
        raise DataError(f"{path} holds no .ann file.", "Give the folder that holds them, such as one split.")
    roles = Roles() if roles is None else roles
    documents = {}
    for name, file in files.items():
        text_file = file.with_name(f"{file.name.removesuffix('.ann')}.txt")
        text = read_text(text_file) if text_file.is_file() else ""
        checked_text = text if text and faults is not None and faults.tolerated else None
        annotations = parse(read_text(file), file, checked_text, related=related, roles=roles, faults=faults)
        documents[name] = Document(name, text, annotations.mentions, annotations.relations)
    return documents


def write(folder: Path, documents: Sequence[Document], *, notes: bool = False, text: bool = False) -> None:
    """Writes one ``.ann`` file a document, named like it, without text unless it is asked for.

    `notes` say how probable a prediction is. With `text`, text columns are filled in and ``.txt`` files written beside, as
    brat's own server wants.

    Raises:
        DataError: a document's name cannot be a file name, a label cannot be a type, or a mention of a relation is missing.
    """
    write_each(folder, documents, ".ann", lambda document: format_annotations(document, notes=notes, text=text))
    if text:
        write_each(folder, documents, ".txt", lambda document: document.text)


def format_annotations(document: Document, *, notes: bool = False, text: bool = False) -> str:
    """One document's annotations as the content of an ``.ann`` file.

    With `notes`, a note gives the confidence of each mention and relation that has one: ``#1	AnnotatorNotes T1	.93``. With
    `text`, the text column is filled in; a fragment then ends where its line does, as brat wants it.

    Raises:
        DataError: a label cannot be a type, a concept holds white space, or a mention of a relation is missing.
    """
    keys = list(dict.fromkeys(mention.key for mention in document.mentions))
    names = {key: f"T{number}" for number, key in enumerate(keys, start=1)}
    lines = []
    sure = {names[m.key]: m.confidence for m in document.mentions}
    for (fragments, label), name in names.items():
        pieces = _within_lines(fragments, document.text) if text else fragments
        words = " ".join(document.text[start:end] for start, end in pieces) if text else ""
        lines.append(f"{name}\t{_type(label, document)} {';'.join(f'{start} {end}' for start, end in pieces)}\t{words}")
    linked = {mention.key: mention.concept for mention in document.mentions if mention.concept is not None}
    for number, (key, concept) in enumerate(linked.items(), start=1):
        if not _CONCEPT.fullmatch(concept):
            raise DataError(
                f"A concept of document {document.id!r} ({some(len(concept), 'character')}) cannot stand in a brat file."
            )
        lines.append(f"N{number}\tReference {names[key]} {concept}\t")
    for number, relation in enumerate(dict.fromkeys(document.relations), start=1):
        if relation.source not in names or relation.target not in names:
            raise DataError(f"A relation of document {document.id!r} joins a mention that the document does not have.")
        ends = f"Arg1:{names[relation.source]} Arg2:{names[relation.target]}"
        lines.append(f"R{number}\t{_type(relation.label, document)} {ends}")
        sure[f"R{number}"] = relation.confidence
    noted = [(name, f"{value:.2f}".removeprefix("0")) for name, value in sure.items() if notes and value is not None]
    lines += [f"#{number}\tAnnotatorNotes {name}\t{value}" for number, (name, value) in enumerate(noted, start=1)]
    return "".join(f"{line}\n" for line in lines)


def _within_lines(fragments: Sequence[Fragment], text: str) -> list[Fragment]:
    """Fragments cut where a line ends."""
    return [
        (start + piece.start(), start + piece.end())
        for start, end in fragments
        for piece in re.finditer(r"\S(?:[^\r\n]*\S)?", text[start:end])
    ]


def _type(label: str, document: Document) -> str:
    if not _TYPE.fullmatch(label):
        raise DataError(
            f"A label of document {document.id!r} ({some(len(label), 'character')}) cannot be a type of a brat file."
        )
    return label
