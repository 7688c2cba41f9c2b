"""For the checks of a task: a corpus, heads that are fitted on it, and its encoded windows."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from bench.api.data import Annotation, Corpus, Document, Judgement, Mention
from bench.api.head import Encoding, Head, Window
from bench.api.task import Task
from bench.conformance.workbench import Pieces, Workbench, expect
from bench.data.cuts import cut, joined
from bench.data.spans import tidied_corpus
from bench.wording import some

SIZES: Mapping[str, int] = {"train": 12, "dev": 3, "test": 6}
SEED = 7
LENGTH = 128
HIDDEN = 32


@dataclass(frozen=True)
class Encoded:
    """A window with its gold annotations and the head's encoding of them."""

    window: Window
    gold: Document
    encoding: Encoding


def corpus_there(task: Task, bench: Workbench) -> bool:
    """Whether a task has a corpus for checks: a synthetic one, a given one, or one in the task's own folder."""
    return task.synthesizes or task.name in bench.data or task.folder is not None


def corpus_folder(task: Task, bench: Workbench, seed: int = SEED) -> Path:
    """A new folder with the corpus for the checks of a task: its synthetic one, else a copy of the given one."""
    folder = bench.fresh("corpus") / "c"
    if task.synthesizes:
        task.synthesize(folder, seed, SIZES)
    elif (source := bench.data.get(task.name, task.folder)) is not None:
        shutil.copytree(source, folder)
    return folder


def corpus_of(task: Task, bench: Workbench) -> Corpus:
    """The corpus for the checks of a task, read by its own loader; made once."""

    def make() -> Corpus:
        return tidied_corpus(task.load(corpus_folder(task, bench)))

    return bench.once(task, "corpus", make)


def fitted(task: Task, name: str, corpus: Corpus) -> Head:
    """A head that is fitted on the training documents."""
    head = task.head(name)
    head.fit(corpus["train"])
    return head


def encode(head: Head, documents: Sequence[Document]) -> list[Encoded]:
    """Every encoded window of some documents; repeated mentions are encoded once."""
    encoded = []
    for document in documents:
        unique = replace(document, mentions=tuple({m.key: m for m in document.mentions}.values()))
        windows, golds, _ = cut(unique, Pieces(), LENGTH, head.cuts)
        encoded += [Encoded(w, gold, head.encode(w, gold)) for w, gold in zip(windows, golds, strict=True)]
    return encoded


def identity(annotation: Annotation) -> Hashable:
    """The fields of an annotation that identify it; concepts, slots and scores do not."""
    if isinstance(annotation, Mention):
        return annotation.key
    return (annotation.name, annotation.chosen) if isinstance(annotation, Judgement) else annotation


def by_identity(documents: Sequence[Document], kinds: tuple[type, ...]) -> dict[Hashable, Annotation]:
    """Identity to annotation, of the given kinds, over a document or its windows; of judgements only the chosen ones."""
    annotations: list[Annotation] = []
    for document in documents:
        annotations += [*document.mentions, *document.relations, *(j for j in document.judgements if j.chosen)]
    return {identity(a): a for a in annotations if isinstance(a, kinds)}


def through(head: Head, documents: Sequence[Document]) -> tuple[list[Document], int, int, Counter[str]]:
    """Encodes the gold of documents with a fitted head and decodes it; all that it decodes must be among its `proposals`.

    Returns:
        The decoded documents; the number of gold annotations of the kinds that the head predicts; the number of these that
        were decoded; and counts of the others by cause.
    """
    decoded: dict[str, list[Annotation]] = {d.id: [] for d in documents}
    seen: dict[str, list[Document]] = {d.id: [] for d in documents}
    lost: Counter[str] = Counter()
    for item in encode(head, documents):
        lost += item.encoding.lost
        oracle = head.oracle(item.encoding)
        output = head.decode(item.window, oracle)
        decoded[item.window.document] += output
        seen[item.window.document].append(item.gold)
        if (proposals := head.proposals(item.window, oracle)) is not None:
            extra = len({a.fragments for a in output if isinstance(a, Mention)} - proposals.candidates)
            expect(
                extra == 0, f"head {head.name!r} decodes {some(extra, 'mention')} of a window that its proposals() do not hold"
            )
    # Only kinds that the head predicts: others, such as gold mentions, may be its input.
    kinds = tuple({type(a) for annotations in decoded.values() for a in annotations})
    back, total, reached = [], 0, 0
    for document in documents:
        predicted = joined(document, decoded[document.id])
        gold_by, decoded_by = by_identity((document,), kinds), by_identity((predicted,), kinds)
        expect(not decoded_by.keys() - gold_by.keys(), f"head {head.name!r} decodes from its own gold what is not in it")
        total, reached = total + len(gold_by), reached + len(decoded_by)
        lost["window"] += len(gold_by) - len(by_identity(seen[document.id], kinds))
        # Not every head predicts concepts and slots, so that those of gold are used.
        mentions = tuple(cast(Mention, gold_by.get(m.key, m)) for m in predicted.mentions)
        back.append(replace(predicted, mentions=mentions))
    return back, total, reached, +lost


def worse(gold: Sequence[Document]) -> list[Document]:
    """Predictions that are partly wrong.

    Every third mention and relation is missing, a document with mentions has a wrong one more, and in every third document the
    judgements are moved to the next class or passage; a single one, such as a rating, gets another score.
    """
    predictions = []
    for number, document in enumerate(gold):
        mentions = tuple(m for i, m in enumerate(document.mentions) if i % 3 != 2)
        wrong = tuple(replace(m, fragments=((0, 1),)) for m in mentions[:1] if m.fragments != ((0, 1),))
        related = tuple(r for i, r in enumerate(document.relations) if i % 3 != 2)
        said = document.judgements
        if number % 3 == 0:
            said = tuple(replace(j, name=after.name) for j, after in zip(said, (*said[1:], *said[:1]), strict=True))
            said = (replace(said[0], score=1 - said[0].score),) if len(said) == 1 else said
        predictions.append(replace(document, text="", mentions=(*wrong, *mentions), relations=related, judgements=said))
    return predictions
