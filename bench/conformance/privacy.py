"""Privacy of a task: plants made-up words (canaries) in a corpus on disk and looks for them wherever text must not be.

A canary replaces a word of the same length everywhere in the corpus's files, so that offsets stay valid in any format. Labels,
concepts, slot values and file names are not changed.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.api.data import Corpus, Document
from bench.api.task import Task
from bench.conformance.corpora import corpus_folder
from bench.conformance.workbench import Failure, Pieces, Workbench, contents, expect, named, one_line
from bench.data.cuts import cut
from bench.errors import BenchError
from bench.wording import some

_WORD = re.compile(r"(?<![A-Za-z])[a-z]{5,}(?![A-Za-z])")
_NAME = re.compile(r"""([A-Za-z_]\w*)(?:=|["']\s*:)""")
"""A field of a repr, or a key of JSON, before its value."""
_MOST = 16
_SHORTEST = 5


@dataclass(frozen=True)
class Planted:
    """A corpus with planted words, its canaries: its files, and what the task's loader reads from them."""

    folder: Path
    corpus: Corpus
    canaries: tuple[str, ...]

    def in_text(self, text: str) -> list[str]:
        """The canaries in a text."""
        lowered = text.lower()
        return [word for word in self.canaries if word in lowered]

    def nowhere_in(self, places: Mapping[str, str]) -> None:
        """Fails the check if a text holds a canary; `places` maps a description to the text."""
        for where, text in places.items():
            canaries = self.in_text(text)
            if canaries:
                count = f"{len(canaries)} of {some(len(self.canaries), 'planted word')}"
                raise Failure(
                    f"{where} holds text of the corpus ({count}): {self.about(canaries[0])} {self.spot(text, canaries[0])}"
                )

    def about(self, word: str) -> str:
        """Which sort of word a canary is, e.g. ``'zqxkbd', a word inside a mention, of train and test,``."""
        inside = outside = False
        splits = []
        for split in self.corpus:
            texts = [(d, d.text.lower()) for d in self.corpus[split]]
            splits += [split] if any(word in text for _, text in texts) else []
            spans = [(text, text[a:b]) for d, text in texts for m in d.mentions for a, b in m.fragments]
            within = sum(text.count(word) for _, text in spans)
            inside, outside = inside or within > 0, outside or sum(text.count(word) for _, text in texts) > within
        sort = (
            "inside and outside of mentions" if inside and outside else "inside a mention" if inside else "outside of mentions"
        )
        return f"{word!r}, a word {sort}, of {' and '.join(splits) or 'no document'},"

    def spot(self, text: str, word: str) -> str:
        """Where in a text a canary stands: its line and the name before it, unless that is a word of the corpus as well."""
        before = text[: text.lower().index(word)]
        line = f"in line {before.count(chr(10)) + 1}" if "\n" in text.strip() else f"at character {len(before) + 1:,}"
        known = {w for split in self.corpus for d in self.corpus[split] for w in re.findall(r"\w+", d.text.lower())}
        names = [name for name in _NAME.findall(before) if name.lower() not in known]
        return f"{line}, after the name {names[-1]!r}" if names else line


def plant(task: Task, bench: Workbench) -> Planted:
    """Plants canaries in the corpus for the checks of a task, inside and outside mentions."""
    folder = corpus_folder(task, bench)
    planted: dict[str, str] = {}
    for word in _words(task.load(folder)):
        if len(planted) == _MOST:
            break
        canary = _canary(word)
        _swap(folder, word, canary)
        try:
            task.load(folder)
        except BenchError:  # the word is part of the format: undo
            _swap(folder, canary, word)
        else:
            planted[word] = canary
    expect(bool(planted), "no word of the corpus could be replaced by another; is its text made of words?")
    return Planted(folder, task.load(folder), tuple(planted.values()))


def privacy(task: Task, bench: Workbench) -> str:
    """Planted words are in the documents' texts alone: no repr, state, file, score or error shows them."""
    planted = plant(task, bench)
    corpus = planted.corpus
    texts = " ".join(d.text for split in corpus for d in corpus[split])
    expect(bool(planted.in_text(texts)), "load gives documents without the text that stands in the files")
    places = dict(_places(task, bench, corpus))
    planted.nowhere_in(places)
    errors = _damage(task, bench, planted)
    return f"{some(len(planted.canaries), 'planted word')}, {some(len(places), 'place')}, {some(errors, 'error message')}"


def _words(corpus: Corpus) -> list[str]:
    """Candidates for replacement: up to half of the canaries from mentions, then others; those of training text first."""
    documents = [d for split in corpus for d in corpus[split]]
    meant = {word for d in documents for text in _names(d) for word in re.findall(r"[a-z]+", text.lower())}
    inside = [w for d in documents for m in d.mentions for a, b in m.fragments for w in _WORD.findall(d.text[a:b])]
    outside = [w for d in documents for w in _WORD.findall(d.text)]
    half = [w for w in dict.fromkeys(inside) if w not in meant][: _MOST // 2]
    return list(dict.fromkeys([*half, *(w for w in outside if w not in meant)]))[: 4 * _MOST]


def _names(document: Document) -> Iterator[str]:
    """Ids, labels, concepts, slots and classes of a document: words in these are not replaced."""
    yield document.id
    for mention in document.mentions:
        yield from (mention.label, mention.concept or "", *mention.slots, *(v for vs in mention.slots.values() for v in vs))
    yield from (relation.label for relation in document.relations)
    yield from (judgement.name for judgement in document.judgements)


def _canary(word: str) -> str:
    """A made-up word of the same length."""
    return "zqx" + "".join(random.Random(word).choices("bcdfghjkvwxz", k=len(word) - 3))


def _swap(folder: Path, old: str, new: str) -> None:
    pattern = re.compile(rb"(?<![A-Za-z])" + old.encode() + rb"(?![A-Za-z])")
    for path in folder.rglob("*"):
        if path.is_file():
            path.write_bytes(pattern.sub(new.encode(), path.read_bytes()))


def _places(task: Task, bench: Workbench, corpus: Corpus) -> Iterator[tuple[str, str]]:
    """Places where text must not be: description and content."""
    yield "repr of the corpus", repr(corpus)
    yield "a mention's label, concept or slots", "\n".join(repr(d.mentions) for split in corpus for d in corpus[split])
    yield from head_places(task, corpus)
    yield "the scores", json.dumps(task.score(corpus["test"], corpus["test"]), default=repr)
    yield "the statistics", repr(task.statistics(corpus["test"], corpus["test"]))
    out = bench.fresh("written")
    task.write(out, corpus["test"])
    for name, content in contents(out).items():
        yield f"{name}, which write made,", f"{name}\n{content.decode('utf-8', 'replace')}"


def head_places(task: Task, corpus: Corpus) -> Iterator[tuple[str, str]]:
    """Places in the heads of a task where text must not be: description and content."""
    for name in task.heads:
        head = task.head(name)
        head.fit(corpus["train"])
        yield f"the state of head {name!r}", json.dumps(head.state(), default=repr)
        yield f"repr of head {name!r}", f"{head!r} {head}"
        reprs = []
        for document in corpus["test"]:
            windows, golds, _ = cut(document, Pieces(), 128, head.cuts)
            for window, gold in zip(windows, golds, strict=True):
                encoding = head.encode(window, gold)
                reprs.append((repr(window), repr(encoding), repr(head.decode(window, head.oracle(encoding)))))
        yield f"windows, encodings or predictions of head {name!r}", repr(reprs)


def _damage(task: Task, bench: Workbench, planted: Planted) -> int:
    """Damages a file of each kind in several ways; `load` must raise a BenchError without text. Gives the number of errors."""
    kinds: dict[str, Path] = {}
    for path in sorted(planted.folder.rglob("*")):
        if path.is_file() and path.stat().st_size:
            known = kinds.get(path.suffix)
            fuller = known is None or len(planted.in_text(known.read_text("utf-8", "replace"))) == 0
            if fuller:
                kinds[path.suffix] = path
    errors = 0
    for path in kinds.values():
        content_before = path.read_bytes()
        for what, content in _broken(content_before, planted.canaries[0]):
            path.write_bytes(content)
            try:
                task.load(planted.folder)
            except BenchError as error:
                errors += 1
                quoted = planted.in_text(str(error))
                sort = f"{planted.about(quoted[0])} {planted.spot(str(error), quoted[0])}" if quoted else ""
                kind = f"the error for a {path.suffix} file {what}"
                expect(not quoted, f"{kind} quotes text of the corpus: {sort}; say where, not what")
            except Exception as error:
                expect(
                    False, f"load of a {path.suffix} file {what} {one_line(error)}; wanted a DataError that names file and line"
                )
        path.write_bytes(content_before)
    expect(errors > 0, f"load reads {named(sorted(kinds))} files without a word when they are cut, emptied or no text at all")
    return errors


def _broken(content: bytes, canary: str) -> Iterator[tuple[str, bytes]]:
    lines = content.splitlines(keepends=True)
    middle = len(lines) // 2
    at = max(content.lower().find(canary.encode()), 0)
    yield "cut in the middle", content[: len(content) // 2]
    yield "cut inside a planted word", content[: at + _SHORTEST]
    yield "with a line missing", b"".join(lines[:middle] + lines[middle + 1 :])
    yield "with a line twice", b"".join(lines[: middle + 1] + lines[middle:])
    yield "with bytes that are no text", content[:at] + b"\xff\xfe" + content[at:]
    yield "with a number out of bounds", re.sub(rb"\d+", b"9999999", content, count=1)
    yield "with every number out of bounds", re.sub(rb"\d+", b"9999999", content)
    yield "with a word for a number", re.sub(rb"\d+", canary.encode(), content, count=1)
    yield "with its separators gone", re.sub(rb"[|\t,<>{}\[\]]", b" ", content)
