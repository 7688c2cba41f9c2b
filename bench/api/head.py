"""Heads: from hidden states of the backbone to a loss and to predictions, for one kind of task.

A head has two halves. The `Head` is plain Python (no torch at import): it learns label inventories from training
documents, encodes gold into integer columns and decodes predictions back to annotations. The `HeadModule` it makes is the
trainable `torch.nn.Module`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from bench.api.data import Annotation, Document, Fragment
from bench.api.part import Part

if TYPE_CHECKING:
    from torch import Tensor, nn

    Batch = Mapping[str, Tensor]


Cut = Literal["sentences", "whole", "passages", "pair"]
"""How a document becomes windows: stretches of whole sentences, one window cut at the end, one for each passage together with
the query, of which those of one query are drawn and weighed together, or the same with each by itself."""
Gold = Literal["mentions", "relations", "pairs", "classes", "labels", "rankings", "ratings"]
"""A kind of annotation: mentions, relations between mentions or between the concepts of a document (``pairs``), one class a
document, any number of classes a document, the relevance of each passage, or a number for a text with its passage."""


@dataclass(frozen=True)
class Window:
    """A stretch of one document that fits the model, tokenized: whole sentences, the whole text, or a query with a passage.

    Args:
        document: id of the document.
        input_ids: token ids, the model's special tokens included; length = tokens the mask marks.
        words: character (start, end) of every word in the document; a word is a run of letters and digits, or one other sign.
        first: index into ``input_ids`` of each word's first token.
        last: index into ``input_ids`` of each word's last token (inclusive).
        start: character where the window starts in the document; of its passage, where it holds one.
        end: character where it ends, exclusive.
        part: index of the window among its document's; of its passage, where it holds one.
    """

    document: str
    input_ids: tuple[int, ...] = field(repr=False)
    words: tuple[Fragment, ...]
    first: tuple[int, ...]
    last: tuple[int, ...]
    start: int
    end: int
    part: int = 0


@dataclass(frozen=True)
class Encoding:
    """Gold of one window as integer columns.

    Args:
        columns: name to a flat list of ints of any length; stored as they are in the memory-mapped cache.
        supervised: how many positions the loss is taken over; an update's loss is the sum of the losses over the sum of these.
        lost: annotations that cannot be reached by decoding, by cause: ``inside-word``, ``width``, ``window``, ``cap``.
    """

    columns: Mapping[str, list[int]]
    supervised: int
    lost: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Proposals:
    """What a head considered in a window before it accepted mentions of it, in characters of the document.

    These are the fragments that mentions could be made of, pairs of them that could belong to one mention, the first one first,
    and the mentions that were accepted or rejected, each by its fragments in ascending order.
    """

    fragments: frozenset[Fragment]
    links: frozenset[tuple[Fragment, Fragment]]
    candidates: frozenset[tuple[Fragment, ...]]


class Head(Part):
    """Encodes and decodes for one task, and builds the trainable module.

    The head that a plugin registers is never fitted: every task of a run works on a deep copy of it. One that only a task's
    own `head` makes needs a name, and nothing else of what a part says of itself.
    """

    predicts: ClassVar[tuple[Gold, ...]] = ("mentions",)
    """What it learns from gold and predicts, all of it. A registered head fits every task whose default head predicts the same;
    what is given to it, such as the mentions that are to be related, does not count."""
    cuts: ClassVar[Cut] = "sentences"
    learning_rate: ClassVar[float] = 3e-3
    """Peak rate where the user gives none; a run of several heads takes the lowest."""
    floor: float | None = None
    """Least probability of a mention, relation or class that the module hands over. From which one it is accepted is chosen on
    dev, by label, and the others are left out; None: all that is handed over is accepted, and a class as the head chose it."""

    @property
    def finds_mentions(self) -> bool:
        """Whether it predicts mentions; where not, they are given to it or there are none."""
        return "mentions" in self.predicts

    @abstractmethod
    def fit(self, documents: Sequence[Document]) -> None:
        """Learns label inventory and class priors from the training documents; deterministic."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """What `fit` learned, JSON-able and without text: inventories and counts."""

    @abstractmethod
    def restore(self, state: Mapping[str, Any]) -> None:
        """Puts back a `state`, in place of `fit`."""

    def outputs(self) -> dict[str, Any]:
        """The part of `state` that says what each output stands for, such as the labels in their order.

        A run may learn from another one's outputs where both heads agree in it. All of the state by default; a head leaves out
        what only sets where training starts, such as how common the labels were.
        """
        return self.state()

    @abstractmethod
    def encode(self, window: Window, gold: Document) -> Encoding:
        """Gold of a window.

        `gold` holds the annotations of the document that this window is answerable for, without the text; the others have been
        counted already.
        """

    @abstractmethod
    def collate(self, rows: Sequence[Mapping[str, Sequence[int]]], words: int) -> dict[str, Tensor]:
        """Pads the columns that `encode` made of several windows into tensors; `words` is the largest number of words, W."""

    @abstractmethod
    def module(self, hidden_size: int) -> HeadModule:
        """The trainable module, its biases at the class priors; call after `fit`. Initialised from torch's global generator."""

    @abstractmethod
    def decode(self, window: Window, prediction: Any) -> Sequence[Annotation]:
        """Annotations of a window, in characters of its document, from one item of `HeadModule.predict`."""

    def proposals(self, window: Window, prediction: Any) -> Proposals | None:
        """What was considered in a window before mentions were accepted, from the same item as `decode` gets.

        None, the default: the head has no such stages. With one that has, results tell how far gold mentions come.
        """
        return None

    @abstractmethod
    def oracle(self, encoding: Encoding) -> Any:
        """The prediction that a perfect module would give for this gold; `decode` of it is what can be reached."""


if TYPE_CHECKING:
    _Module = nn.Module
else:  # torch is imported where a subclass is made, not here
    _Module = object


class HeadModule(_Module):
    """The trainable half. Subclasses inherit from this and `torch.nn.Module`, in that order.

    `bench.heads.lazy.Module` stands for the latter in a file that imports no torch.

    A batch holds ``input_ids``, ``attention_mask`` (batch, seq), ``first``, ``last`` and ``word_mask`` (batch, words), and what
    the head's `collate` made. Once a task's windows have all been seen, updates also have ``noise`` (batch,), a seed for each
    window: what a head draws from it, such as dropout, does not depend on the micro-batches.
    """

    def loss(self, hidden: Tensor, batch: Batch) -> Tensor:
        """Sum of the losses over the batch's supervised positions, a scalar; hidden states are (batch, seq, hidden)."""
        raise NotImplementedError

    def choices(self, hidden: Tensor, batch: Batch) -> Tensor | None:
        """Scores before the softmax where the loss is the cross-entropy of choices among classes, (positions, classes).

        There is a row for each supervised position of the batch, in a fixed order. None, the default: the loss is none of such
        choices, so that no other model's outputs can stand in gold's place.
        """
        return None

    def logits(self, hidden: Tensor, batch: Batch) -> Tensor | None:
        """Scores by one pass, before anything is chosen from them: what `bench export` compares, and writes into ONNX.

        None, the default: the head has no such scores to show.
        """
        return None

    def predict(self, hidden: Tensor, batch: Batch) -> list[Any]:
        """One prediction a window, for `Head.decode`; no gradient is needed."""
        raise NotImplementedError
