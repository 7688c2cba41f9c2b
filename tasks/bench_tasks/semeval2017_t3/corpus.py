"""Reads the official XML: ``train``, ``dev`` and ``test``, each a folder with one file or several.

A thread is a related question with its comments. It is an element of its own (files of subtask A) or inside the original
question that it is related to; an original question is written once with all its threads, or repeated for each of them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.api.data import SPLITS, Corpus, Document, Judgement, Passage
from bench.errors import DataError
from bench.kit.files import read_bytes
from bench.kit.synthetic import is_synthetic
from bench.kit.xmltree import Node, parse
from bench_tasks.semeval2017_t3.task import LAYOUT

SKIP = "SubtaskA_Skip_Because_Same_As_RelQuestion_ID"
"""Attribute of a thread that is also in another place, with another original question."""
COMMENT = {"Good": True, "Bad": False, "PotentiallyUseful": False}
QUESTION = {"PerfectMatch": True, "Relevant": True, "Irrelevant": False}
_IDENTIFIER = re.compile(r"[\w.:-]{1,80}", re.ASCII)
_SUBTASKS = {
    "A": ("RELC_RELEVANCE2RELQ", COMMENT),
    "B": ("RELQ_RELEVANCE2ORGQ", QUESTION),
    "C": ("RELC_RELEVANCE2ORGQ", COMMENT),
}


@dataclass(frozen=True)
class Subtask:
    """A subtask.

    Args:
        letter: ``A`` ranks comments for their question, ``B`` related questions for an original one, ``C`` comments for an
            original question.
    """

    letter: str

    @property
    def attribute(self) -> str:
        """Name of the attribute of a comment or related question that holds its relevance."""
        return _SUBTASKS[self.letter][0]

    def relevant(self, node: Node) -> bool:
        """Whether a comment or a related question is relevant.

        Raises:
            DataError: it has no label of this subtask.
        """
        labels = _SUBTASKS[self.letter][1]
        label = node.attribute(self.attribute)
        if label not in labels:
            raise node.error(
                f"{self.attribute} is none of its labels; wanted {', '.join(labels)}.",
                f"Subtask {self.letter} needs files in which it is annotated; early releases and test inputs are not.",
            )
        return labels[label]


@dataclass
class Query:
    """A question and its candidates, as far as they were read.

    Args:
        node: its first element.
        text: of the question.
        candidates: id to text and relevance, in file order.
    """

    node: Node
    text: str
    candidates: dict[str, tuple[str, bool]]


def load(folder: Path, subtask: Subtask) -> Corpus:
    """Reads and checks a corpus.

    Raises:
        DataError: naming file, line, what is there and what was wanted.
    """
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}.", f"Wanted {LAYOUT}.")
    digest = hashlib.sha256()
    splits = {}
    for split in SPLITS:
        splits[split] = read_split(folder / split, subtask, digest)
        if not any(judgement.chosen for document in splits[split] for judgement in document.judgements):
            raise DataError(
                f"{folder / split} holds no relevant candidate at all for subtask {subtask.letter}; wanted annotated files."
            )
    return Corpus(splits, synthetic=is_synthetic(folder), sha256=digest.hexdigest())


def read_split(folder: Path, subtask: Subtask, digest: hashlib._Hash) -> tuple[Document, ...]:
    """Reads the queries of every file of a folder, in the order of file names.

    Args:
        folder: of one split.
        subtask: the subtask.
        digest: hash of the corpus; names and bytes of the files are added to it.

    Raises:
        DataError: see `load`.
    """
    if not folder.is_dir():
        raise DataError(f"There is no split folder {folder}.", f"Wanted {LAYOUT}.")
    paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    odd = next((path for path in paths if path.suffix != ".xml"), None)
    if odd is not None:
        raise DataError(f"{odd} is no .xml file; wanted {LAYOUT}.")
    documents: dict[str, Document] = {}
    for path in paths:
        content = read_bytes(path)
        digest.update(f"{folder.name}/{path.name}\0{len(content)}\0".encode())
        digest.update(content)
        for document in read(path, content, subtask):
            if document.id in documents:
                raise DataError(
                    f"{path}: query {document.id!r} is also in another file of {folder}; wanted it once.",
                    "Put one version of the corpus there: its '-subtaskA' and '-with-multiline' files hold the same queries.",
                )
            documents[document.id] = document
    if not documents:
        raise DataError(f"{folder} holds no query of subtask {subtask.letter}.", f"Wanted {LAYOUT}.")
    return tuple(documents.values())


def read(path: Path, content: bytes, subtask: Subtask) -> list[Document]:
    """Reads the queries of one file, in file order.

    Args:
        path: of the file, for errors.
        content: its bytes.
        subtask: the subtask.

    Raises:
        DataError: see `load`.
    """
    root = parse(path, content)
    root.check(("Thread", "OrgQuestion"))
    queries: dict[str, Query] = {}
    for top in root.children:
        for node, candidates in _questions(top, subtask):
            part = "RelQ" if subtask.letter == "A" else "OrgQ"
            name, text = _name(node, f"{part.upper()}_ID"), _question_text(node, part)
            query = queries.setdefault(name, Query(node, text, {}))
            if query.node is not node and (subtask.letter == "A" or query.text != text):
                raise node.error(f"query {name!r} is also in line {query.node.line}; wanted it once.")
            for tag in candidates:
                comment = tag.tag == "RelComment"
                candidate = _name(tag, "RELC_ID" if comment else "RELQ_ID")
                if candidate in query.candidates:
                    raise tag.error(f"candidate {candidate!r} of query {name!r} occurs twice; wanted it once.")
                said = _plain(tag.only("RelCText", "RelCBody")) if comment else _question_text(tag, "RelQ")
                query.candidates[candidate] = said, subtask.relevant(tag)
    for name, query in queries.items():
        if not query.candidates:
            raise query.node.error(f"query {name!r} has no candidates; wanted at least one.")
    return [_document(name, query) for name, query in queries.items()]


def _questions(top: Node, subtask: Subtask) -> Iterator[tuple[Node, list[Node]]]:
    """Yields the questions in a thread or an original question, with the elements that are ranked for each."""
    threads = [top]
    if top.tag == "OrgQuestion":
        top.check(("OrgQSubject", "OrgQBody", "OrgQClean", "Thread"))
        threads = top.of("Thread")
    elif subtask.letter != "A":
        raise top.error("a thread is outside an original question; wanted <OrgQuestion>.", "Is it a file of subtask A?")
    related: list[Node] = []
    comments: list[Node] = []
    for thread in threads:
        thread.check(("RelQuestion", "RelComment"))
        related.append(thread.only("RelQuestion"))
        related[-1].check(("RelQSubject", "RelQBody", "RelQClean"))
        answers = thread.of("RelComment")
        for comment in answers:
            comment.check(("RelCText", "RelCBody", "RelCClean"))
        comments += answers
        if subtask.letter == "A" and SKIP not in thread.attributes:
            yield related[-1], answers
    if subtask.letter != "A":
        yield top, related if subtask.letter == "B" else comments


def _name(node: Node, attribute: str) -> str:
    name = node.attribute(attribute)
    if not _IDENTIFIER.fullmatch(name):
        raise node.error(f"{attribute} is no identifier; wanted only letters, digits and _ . : -.")
    return name


def _question_text(question: Node, part: str) -> str:
    """Subject and body of a question."""
    texts = [_plain(question.only(f"{part}{piece}")) for piece in ("Subject", "Body")]
    return "\n".join(text for text in texts if text)


def _plain(node: Node) -> str:
    """The text of an element, which may not have child elements."""
    node.check(())
    return node.text


def _document(name: str, query: Query) -> Document:
    text, passages, judgements = query.text, [], []
    for candidate, (said, relevant) in query.candidates.items():
        text += "\n\n"
        passages.append(Passage(candidate, (len(text), len(text) + len(said))))
        judgements.append(Judgement(candidate, float(relevant), relevant))
        text += said
    return Document(name, text, judgements=tuple(judgements), passages=tuple(passages))
