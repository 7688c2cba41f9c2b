"""Brat standoff: ``DOC.txt`` with ``DOC.ann`` beside it, for tasks that are described without code.

Source: https://brat.nlplab.org/standoff.html. A mention, a discontiguous one and a relation between them:

    T1	Drug 0 9	cisplatin
    T2	Effect 23 31;40 45	swelling hands
    R1	Causes Arg1:T1 Arg2:T2
    N1	Reference T1 MESH:D002945	cisplatin

Mentions, their concepts (the first N line of each) and relations are read. Attributes (A, M), events (E), other N lines,
notes (#), equivalences (*) and relations of events are not, and are counted, so that whoever reads knows. Errors name file and
line and quote no text.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

from bench.api.data import SPLITS, Corpus, Document, Fragment, Mention, Relation
from bench.api.task import Scores
from bench.errors import DataError
from bench_tasks.common import mentions
from bench_tasks.common.documents import write_each
from bench_tasks.common.files import decode, read_bytes, read_text
from bench_tasks.common.synthetic import is_synthetic

LAYOUT = "FOLDER/{train,dev,test}/DOC.txt with DOC.ann beside it (brat standoff; empty where a document has no mention)"
_MENTION = re.compile(r"(T\S{1,32})\t(\S{1,64}) ([0-9]{1,12} [0-9]{1,12}(?:;[0-9]{1,12} [0-9]{1,12})*)(?:\t(.*))?")
_RELATION = re.compile(r"(R\S{1,32})\t(\S{1,64}) \S{1,64}:([TE]\S{1,32}) \S{1,64}:([TE]\S{1,32})\s*")
_REFERENCE = re.compile(r"N\S{1,32}\tReference (T\S{1,32}) (\S{1,128})(?:\t.*)?")
_OTHER = "AMEN#*"
_TYPE = re.compile(r"[^\s:;|]{1,64}")


@dataclass(frozen=True)
class Annotations:
    """What an ``.ann`` file says.

    Args:
        mentions: in file order; those that repeat another's fragments and type are left out and counted under ``repeated``.
        relations: in file order, likewise.
        passed: how many lines were not read, by their first character, and ``repeated``.
    """

    mentions: tuple[Mention, ...]
    relations: tuple[Relation, ...]
    passed: Counter[str] = field(default_factory=Counter)


def parse(text: str, path: Path, document: str | None = None) -> Annotations:
    """Annotations from the text of an ``.ann`` file.

    Args:
        text: of the file.
        path: of the file, for errors.
        document: the text that is annotated; None for scoring, where offsets are taken as they are.

    Raises:
        DataError: naming file, line, what stood there and what was wanted.
    """
    named: dict[str, Mention] = {}
    related: list[tuple[str, str, str, str]] = []
    concepts: dict[str, str] = {}
    passed: Counter[str] = Counter()
    for number, line in enumerate(text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n"), start=1):
        where = f"{path}, line {number}"
        if line.startswith("T"):
            name, mention = _mention(line, where, document)
            if name in named:
                raise DataError(f"{where}: an identifier that another line has already; wanted each once.")
            named[name] = mention
        elif line.startswith("R"):
            found = _RELATION.fullmatch(line)
            if found is None:
                raise DataError(f"{where}: {len(line)} characters that are no relation; wanted 'R1<TAB>Type Arg1:T1 Arg2:T2'.")
            related.append((where, found[2], found[3], found[4]))
        elif (reference := _REFERENCE.fullmatch(line)) is not None:
            concepts.setdefault(reference[1], reference[2])
        elif line[:1] and line[0] in _OTHER and "\t" in line:
            passed[line[0]] += 1
        elif line.strip():
            raise DataError(f"{where}: {len(line)} characters that are no annotation; wanted a line that starts with T or R.")
    for name, concept in concepts.items():
        if name in named:
            named[name] = replace(named[name], concept=concept)
        else:
            passed["N"] += 1
    unique = {mention.key: mention for mention in named.values()}
    relations: dict[Relation, None] = {}
    for where, label, source, target in related:
        if "E" in (source[0], target[0]):
            passed["R"] += 1
            continue
        if source not in named or target not in named:
            raise DataError(f"{where}: a relation of a mention that the file does not have; wanted identifiers of its T lines.")
        relation = Relation(named[source].key, named[target].key, label)
        passed["repeated"] += relation in relations
        relations[relation] = None
    passed["repeated"] += len(named) - len(unique)
    return Annotations(tuple(unique.values()), tuple(relations), +passed)


def _mention(line: str, where: str, document: str | None) -> tuple[str, Mention]:
    found = _MENTION.fullmatch(line)
    if found is None:
        raise DataError(f"{where}: {len(line)} characters that are no mention; wanted 'T1<TAB>Type a b;c d<TAB>text'.")
    fragments: list[Fragment] = []
    for piece in found[3].split(";"):
        start, end = map(int, piece.split())
        fragments.append((start, end))
        if end <= start:
            raise DataError(f"{where}: span {start} {end} ends before or where it starts; wanted an end after its start.")
        if document is not None and end > len(document):
            raise DataError(f"{where}: span {start} {end} lies outside the text, which has {len(document)} characters.")
    for (_, end), (start, _) in pairwise(fragments):
        if start < end:
            raise DataError(
                f"{where}: the fragment from {start} starts before the one up to {end} ends; wanted ascending ones."
            )
    if document is not None and found[4]:
        under = " ".join(document[start:end] for start, end in fragments)
        if under.split() != found[4].split():
            raise DataError(
                f"{where}: the text column is not what stands at these offsets; wanted the same words.",
                "Offsets count characters of the .txt file as it is, line breaks of two characters included.",
            )
    return found[1], Mention(tuple(fragments), found[2])


def load(
    folder: Path,
    splits: Mapping[str, str] | None = None,
    labels: Collection[str] = (),
    relations: Collection[str] = (),
) -> tuple[Corpus, Counter[str]]:
    """Reads and checks a corpus of one folder a split.

    Args:
        folder: above the splits' folders.
        splits: split to the name of its folder; its own name where None.
        labels: types that mentions may have; whatever training documents have where empty.
        relations: the same for relations.

    Returns:
        The corpus, and how many lines were not read, by their first character, and ``repeated``.

    Raises:
        DataError: naming file, line, what stood there and what was wanted.
    """
    homes = {split: folder / (splits or {}).get(split, split) for split in SPLITS}
    names = {split: _names(home) for split, home in homes.items()}
    digest = hashlib.sha256()
    passed: Counter[str] = Counter()
    read: dict[str, tuple[Document, ...]] = {}
    for split, home in homes.items():
        documents = []
        for name in names[split]:
            text_path, path = home / f"{name}.txt", home / f"{name}.ann"
            raw_text, raw = read_bytes(text_path), read_bytes(path)
            for kind, data in (("txt", raw_text), ("ann", raw)):
                digest.update(f"{split}/{name}.{kind}\0{len(data)}\0".encode())
                digest.update(data)
            text = decode(raw_text, text_path)
            found = parse(decode(raw, path), path, text)
            passed += found.passed
            documents.append(Document(name, text, found.mentions, found.relations))
        if not any(document.mentions for document in documents):
            raise DataError(f"{home} holds no mention at all; wanted annotated documents.", f"Wanted {LAYOUT}.")
        read[split] = tuple(documents)
    _check_types("mentions", read, homes, labels)
    _check_types("relations", read, homes, relations)
    return Corpus(read, synthetic=is_synthetic(folder), sha256=digest.hexdigest()), passed


def _names(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise DataError(f"There is no split folder {folder}.", f"Wanted {LAYOUT}.")
    files = [path for path in folder.iterdir() if not path.name.startswith(".")]
    texts, annotated = ({path.stem for path in files if path.suffix == suffix} for suffix in (".txt", ".ann"))
    if not annotated:
        raise DataError(f"Split {folder} holds no .ann file; wanted a .txt and an .ann file for each document.")
    for have, lack, missing in ((".ann", ".txt", annotated - texts), (".txt", ".ann", texts - annotated)):
        if missing:
            name = min(missing)
            raise DataError(f"{folder / (name + have)} has no {name}{lack} beside it ({len(missing)} such here).")
    return sorted(texts)


def _check_types(
    kind: str, splits: Mapping[str, Sequence[Document]], homes: Mapping[str, Path], wanted: Collection[str]
) -> None:
    """Refuses types that are not wanted or, where nothing is said of them, that no training document has."""
    known = set(wanted) or {item.label for document in splits["train"] for item in getattr(document, kind)}
    hint = f"Wanted {' or '.join(sorted(wanted))}." if wanted else "Types of all splits must be those of train."
    for split, documents in splits.items():
        for document in documents:
            strange = {item.label for item in getattr(document, kind)} - known
            if strange:
                path = homes[split] / f"{document.id}.ann"
                raise DataError(f"{path}: its {kind} have {len(strange)} types that are not this corpus's.", hint)


def read(path: Path) -> dict[str, Document]:
    """Annotations without text, by document, of every ``.ann`` file of a folder or of one file, for scoring.

    Raises:
        DataError: there is no such file, or a line cannot be read; no line of a mention or a relation is skipped.
    """
    if not path.exists():
        raise DataError(f"There is no file or folder {path}.")
    files = sorted(path.glob("*.ann")) if path.is_dir() else [path]
    if not files:
        raise DataError(f"{path} holds no .ann file.", "Give the folder in which they lie, such as one split.")
    found = {file.stem: parse(read_text(file), file) for file in files}
    return {name: Document(name, "", one.mentions, one.relations) for name, one in found.items()}


def score_files(gold: Path, pred: Path, labels: Iterable[str] = ()) -> Scores:
    """Scores of mentions in two folders, or two files: ``strict``, ``discontiguous`` and ``by_type``.

    A document that the predictions lack has no prediction; predictions in documents that have no gold are false positives.

    Args:
        gold: folder of ``.ann`` files, or one.
        pred: the same.
        labels: types that have a row even where nothing carries them.

    Raises:
        DataError: a path or a line that cannot be read.
    """
    wanted, given = read(gold), read(pred)
    if gold.is_file() and pred.is_file():  # whatever their names
        wanted, given = ({"": document} for document in (*wanted.values(), *given.values()))
    names = sorted({*wanted, *given})
    return mentions.score(
        [Document(name, "", wanted[name].mentions if name in wanted else ()) for name in names],
        [Document(name, "", given[name].mentions if name in given else ()) for name in names],
        labels,
    )


def write(folder: Path, documents: Sequence[Document]) -> None:
    """Writes one ``.ann`` file a document, without text.

    Raises:
        DataError: a document's name cannot be a file name, a label cannot be a type, or a relation's mention is not there.
    """
    write_each(folder, documents, ".ann", format_annotations)


def format_annotations(document: Document) -> str:
    """The annotations of one document as the text of an ``.ann`` file, its text column empty.

    Raises:
        DataError: a label cannot be a type, or a relation's mention is not among the document's.
    """
    keys = list(dict.fromkeys(mention.key for mention in document.mentions))
    names = {key: f"T{number}" for number, key in enumerate(keys, start=1)}
    lines = []
    for (fragments, label), name in names.items():
        lines.append(f"{name}\t{_type(label, document)} {';'.join(f'{start} {end}' for start, end in fragments)}\t")
    for number, relation in enumerate(dict.fromkeys(document.relations), start=1):
        if relation.source not in names or relation.target not in names:
            raise DataError(f"A relation of document {document.id!r} joins a mention that the document does not have.")
        ends = f"Arg1:{names[relation.source]} Arg2:{names[relation.target]}"
        lines.append(f"R{number}\t{_type(relation.label, document)} {ends}")
    return "".join(f"{line}\n" for line in lines)


def _type(label: str, document: Document) -> str:
    if not _TYPE.fullmatch(label):
        raise DataError(f"A label of document {document.id!r} ({len(label)} characters) cannot be a type of a brat file.")
    return label
