"""Documents and what is said of them: what loaders give, heads encode and scorers compare.

Offsets are characters of the document's text, ends exclusive.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

Fragment = tuple[int, int]
"""One contiguous piece of a mention: (start, end) in characters of the document, end exclusive."""

Key = tuple[tuple[Fragment, ...], str]
"""A mention's identity within its document: fragments and label."""

SPLITS = ("train", "dev", "test")


@dataclass(frozen=True)
class Mention:
    """An entity: a set of one or more fragments, in ascending order.

    Args:
        fragments: at least one (start, end); ascending and without overlap among themselves.
        label: entity type, e.g. ``Disorder``.
        concept: normalisation such as a CUI, or None where the corpus gives none.
        slots: attribute name to its values, e.g. ``{"NI": ("yes",)}``; several values for body locations.
        confidence: probability that a head gives its own prediction, in [0, 1]; None in gold and where a head gives none. No
            part of what a mention is: two that differ in nothing else are equal.
        written: fragments as the corpus's file has them where they differ from `fragments` in order or white space alone; an
            official scorer compares these. A loader that sorts gives it. None where they are the same, and in predictions.
    """

    fragments: tuple[Fragment, ...]
    label: str = "Disorder"
    concept: str | None = None
    slots: Mapping[str, tuple[str, ...]] = field(default_factory=dict, compare=False)
    confidence: float | None = field(default=None, compare=False)
    written: tuple[Fragment, ...] | None = field(default=None, compare=False)

    @property
    def as_written(self) -> tuple[Fragment, ...]:
        """Fragments as the corpus's file has them."""
        return self.written or self.fragments

    @property
    def discontiguous(self) -> bool:
        """Whether it has two fragments or more."""
        return len(self.fragments) > 1

    @property
    def key(self) -> Key:
        """Identity without the concept: fragments and label."""
        return self.fragments, self.label

    @property
    def concepts(self) -> tuple[str, ...]:
        """Each concept: those of a composite mention stand in one string, ``D001|D002``."""
        return tuple(part for part in (self.concept or "").split("|") if part)


@dataclass(frozen=True)
class Relation:
    """A directed, labelled pair of mentions of one document, by their keys, e.g. ``CPR:4`` or ``CONTAINS``.

    Where the pair is one of concepts, such as ``CID``, an end has no fragments and the concept in place of the label:
    ``((), "D002945")``. Pairs that are not related are left out. The confidence is as of a mention.
    """

    source: Key
    target: Key
    label: str
    confidence: float | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Passage:
    """A part of the text, (start, end), that is ranked for the document's query, the text before the first passage."""

    id: str
    span: Fragment


@dataclass(frozen=True)
class Judgement:
    """What is said of a whole document (a class) or of one of its passages (its relevance), by the name of either.

    The score is a class's probability or a passage's score, 1 or 0 in gold; `chosen`: the class is the document's, or the
    passage is relevant.
    """

    name: str
    score: float
    chosen: bool


Annotation = Mention | Relation | Judgement


@dataclass(frozen=True)
class Document:
    """A text with its annotations. The text never shows in `repr`, logs or errors.

    Args:
        id: name of the document within its corpus.
        text: the whole text; empty for predictions, which are offsets and labels only.
        mentions: gold or predicted mentions, in document order.
        relations: between mentions of this document. A task that is given the mentions predicts these alone.
        judgements: one for each class, or one for each passage.
        passages: what is ranked; empty where nothing is.
    """

    id: str
    text: str = field(repr=False)
    mentions: tuple[Mention, ...] = ()
    relations: tuple[Relation, ...] = ()
    judgements: tuple[Judgement, ...] = ()
    passages: tuple[Passage, ...] = ()

    def without_text(self) -> Document:
        """The same annotations with the text left out, as predictions are kept."""
        return replace(self, text="")


@dataclass(frozen=True)
class Leak:
    """A document that stands in two splits, under one id or with one text.

    Args:
        document: its id.
        split: the later of the two splits.
        other: the earlier one.
        twin: id that it has there; its own where empty.
        tolerated: whether the loader lets it through: the corpus is published so, or such documents are too few to matter.
    """

    document: str
    split: str
    other: str
    twin: str = ""
    tolerated: bool = False


@dataclass(frozen=True)
class Corpus:
    """The splits of one task, as its loader read them.

    Args:
        splits: ``train``, ``dev`` and ``test``, each the documents in file order: a tuple or `bench.api.spool.Spool`.
        synthetic: whether the text was generated by the task itself.
        sha256: of every byte that was read, in a fixed order; the run's data hash.
        leaks: what the loader knows of texts that stand in two splits. Whoever runs the task finds ids that do, and refuses or
            records both; a loader raises nothing.
        left_out: faulty lines that the loader left out because their kind is tolerated, by kind.
        adjusted: what was put right without being a fault, by what was done; the core adds what it does to mentions.
        drawn_from: training documents that there are where a run takes a few of them; 0 where it takes all.
        unit: what one of its documents is, in the plural, such as ``abstracts``, ``notes`` or ``questions``; ``sentences``
            where several of one text are documents of their own. Empty where every corpus of the task has `TaskMetadata.unit`.
    """

    splits: Mapping[str, Sequence[Document]]
    synthetic: bool
    sha256: str
    leaks: tuple[Leak, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)
    adjusted: Mapping[str, int] = field(default_factory=dict)
    drawn_from: int = 0
    unit: str = ""

    def __getitem__(self, split: str) -> Sequence[Document]:
        return self.splits[split]

    def __iter__(self) -> Iterator[str]:
        return iter(self.splits)


def in_order(mentions: Sequence[Mention]) -> tuple[Mention, ...]:
    """Mentions by first offset, then fragments, then label: the order that files and scorers use."""
    return tuple(sorted(mentions, key=lambda m: (m.fragments, m.label, m.concept or "")))


def apart(fragments: Sequence[Fragment]) -> tuple[Fragment, ...]:
    """Fragments in ascending order, those that overlap as one: a mention is a set of characters."""
    merged: list[Fragment] = []
    for start, end in sorted(fragments):
        if merged and start < merged[-1][1]:
            start, last = merged.pop()
            end = max(end, last)
        merged.append((start, end))
    return tuple(merged)


def tidy(fragments: Sequence[Fragment], text: str) -> tuple[Fragment, ...]:
    """Fragments as everything here takes them: ascending, each without white space at its ends, and those that overlap or have
    nothing but white space between them as one, so that a mention that only wraps over a line break is not discontiguous.

    There is at least one; where one lies outside the text, no white space is looked at.
    """
    if len(fragments) == 1:  # nearly all are, and hardly any of them has white space at an end
        (start, end) = fragments[0]
        if 0 <= start < end <= len(text) and not text[start].isspace() and not text[end - 1].isspace():
            return (fragments[0],)
    merged = apart(fragments)
    if merged[0][0] < 0 or merged[-1][1] > len(text):
        return merged
    pieces: list[Fragment] = []
    for start, end in merged:
        piece = text[start:end]
        low = start + len(piece) - len(piece.lstrip())
        high = end - (len(piece) - len(piece.rstrip()))
        if low >= high:
            continue
        if pieces and not text[pieces[-1][1] : low].strip():
            low = pieces.pop()[0]
        pieces.append((low, high))
    return tuple(pieces) or merged
