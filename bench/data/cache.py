"""Cache of encoded windows: a memory-mapped Arrow file in the user's cache, keyed by content, checked when opened.

Windows that are read once, such as those of a few texts to be predicted, stay in memory and are written nowhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.api.data import Document
from bench.api.head import Encoding, Head, Window
from bench.data.cuts import cut
from bench.sealed import beside, digest, read_sealed, write_sealed

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor


_GOLD = "t."  # prefix of the names of a head's own columns


@dataclass(frozen=True)
class EncodedSplit:
    """One split of one task, on disk or in memory.

    Args:
        rows: one window a row; memory-mapped where they are on disk.
        lengths: marked tokens of each window, shape (windows,).
        supervised: supervised positions of each window, shape (windows,).
        documents: ids of the split's documents; rows refer to them by index.
        lost: annotations that decoding cannot reproduce, and windows with text cut off, by cause.
        gold: number of annotations of the split: mentions, relations, judgements.
        largest: largest token id of the windows; -1 where there are none.
    """

    rows: Dataset
    lengths: NDArray[np.int64]
    supervised: NDArray[np.int64]
    documents: tuple[str, ...]
    lost: Mapping[str, int]
    gold: int
    largest: int = -1

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def tokens(self) -> int:
        """Marked tokens of the split."""
        return int(self.lengths.sum())

    @property
    def sources(self) -> NDArray[np.int64]:
        """The document of each window, an index into `documents`, shape (windows,)."""
        if self.rows is None:
            return np.zeros(0, dtype=np.int64)
        sources: NDArray[np.int64] = self.rows.data.column("document").to_numpy().astype(np.int64)
        return sources

    def window(self, row: Mapping[str, Any]) -> Window:
        """The window that a row was made from."""
        words = row["words"]
        return Window(
            document=self.documents[row["document"]],
            input_ids=tuple(row["input_ids"]),
            words=tuple(zip(words[::2], words[1::2], strict=True)),
            first=tuple(row["first"]),
            last=tuple(row["last"]),
            start=row["span"][0],
            end=row["span"][1],
            part=row["part"],
        )

    def encoding(self, row: Mapping[str, Any]) -> Encoding:
        """The gold of a row, as the head encoded it."""
        columns = {name.removeprefix(_GOLD): row[name] for name in row if name.startswith(_GOLD)}
        return Encoding(columns, row["supervised"])

    def take(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        """Rows by index, as plain Python lists."""
        columns = self.rows[list(indices)]
        return [{k: v[i] for k, v in columns.items()} for i in range(len(indices))]


def encode_split(
    documents: Sequence[Document],
    head: Head,
    tokenizer: Any,
    max_length: int,
    path: Path,
    advance: Callable[[int], None] = lambda n: None,
    warn: Callable[[str], None] = lambda message: None,
) -> EncodedSplit:
    """Encodes a split with a fitted head in windows of at most `max_length` tokens, or opens it from the cache.

    The name of `path`, the Arrow file, must contain a hash of everything that decides its content. A JSON file of facts lies
    beside it, with the hash of both. `advance` is called with the number of documents that are encoded, `warn` with a message
    where the cached files are damaged and are made again.

    Raises:
        OSError: the disk is full or cannot be written.
    """
    from datasets import Dataset

    facts = path.with_suffix(".json")
    stored = read_sealed(facts)
    if stored is None or not path.is_file() or digest(path) != stored["digest"]:
        if facts.exists() or path.exists():
            warn(f"{path.parent.name}/{path.name} or its facts are damaged or incomplete: the windows are encoded again.")
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = beside(path)
        with aside.open("wb") as file:
            stored = _encode(documents, head, tokenizer, max_length, file, advance)
        stored["digest"] = digest(aside)
        aside.replace(path)
        write_sealed(facts, stored)
    else:
        advance(len(documents))
    return _split(Dataset.from_file(str(path)) if stored["lengths"] else None, stored)


def encode_in_memory(documents: Sequence[Document], head: Head, tokenizer: Any, max_length: int) -> EncodedSplit:
    """The same windows as of `encode_split`, without a file: about 25 bytes a token."""
    from datasets import Dataset
    from pyarrow import BufferOutputStream

    memory = BufferOutputStream()
    facts = _encode(documents, head, tokenizer, max_length, memory, lambda n: None)
    return _split(Dataset.from_buffer(memory.getvalue()) if facts["lengths"] else None, facts)


def _split(rows: Dataset | None, stored: Mapping[str, Any]) -> EncodedSplit:
    return EncodedSplit(
        rows=rows,
        lengths=np.array(stored["lengths"], dtype=np.int64),
        supervised=np.array(stored["supervised"], dtype=np.int64),
        documents=tuple(stored["documents"]),
        lost=stored["lost"],
        gold=stored["gold"],
        largest=stored["largest"],
    )


def _encode(
    documents: Sequence[Document], head: Head, tokenizer: Any, max_length: int, file: IO[bytes], advance: Callable[[int], None]
) -> dict[str, Any]:
    """Writes the windows of a split in Arrow's format, nothing where there are none, and gives their facts."""
    from datasets import Features, List, Value
    from datasets.arrow_writer import ArrowWriter

    lost: Counter[str] = Counter()
    lengths: list[int] = []
    supervised: list[int] = []
    largest = -1
    writer: ArrowWriter | None = None
    for number, document in enumerate(documents):
        windows, golds, missed = cut(document, tokenizer, max_length, head.cuts)
        lost += missed
        for window, gold in zip(windows, golds, strict=True):
            row, not_encoded = as_row(number, window, gold, head)
            lost += not_encoded
            lengths.append(len(row["input_ids"]))
            largest = max(largest, *row["input_ids"])
            supervised.append(row["supervised"])
            if writer is None:  # types are set here: a column that is empty at first would have none
                integer = Value("int32")
                types = Features({k: List(integer) if isinstance(v, list) else integer for k, v in row.items()})
                writer = ArrowWriter(stream=file, features=types, writer_batch_size=256)
            writer.write(row)
        advance(1)
    if writer is not None:
        writer.finalize()
    return {
        "documents": [d.id for d in documents],
        "lost": dict(lost),
        "gold": sum(len(d.mentions) + len(d.relations) + len(d.judgements) for d in documents),
        "lengths": lengths,
        "supervised": supervised,
        "largest": largest,
    }


def as_row(number: int, window: Window, gold: Document, head: Head) -> tuple[dict[str, Any], Counter[str]]:
    """A window of document `number` as a row, and its annotations that decoding cannot reproduce, by cause."""
    encoding = head.encode(window, gold)
    row: dict[str, Any] = {
        "input_ids": list(window.input_ids),
        "document": number,
        "span": [window.start, window.end],
        "part": window.part,
        "words": [x for word in window.words for x in word],
        "first": list(window.first),
        "last": list(window.last),
        "supervised": encoding.supervised,
    }
    row.update({f"{_GOLD}{name}": list(values) for name, values in encoding.columns.items()})
    return row, encoding.lost


def collate(rows: Sequence[Mapping[str, Any]], head: Head, pad: int, length: int = 0) -> dict[str, Tensor]:
    """Pads rows of `EncodedSplit.take` into one batch of at least `length` tokens a row; the head's `collate` adds the targets.

    Returns:
        ``input_ids``, ``attention_mask`` (batch, seq), ``first``, ``last``, ``word_mask`` (batch, words), the head's targets.
    """
    import torch

    seq = max(length, *(len(r["input_ids"]) for r in rows))
    count = max((len(r["first"]) for r in rows), default=0)
    ids = np.full((len(rows), seq), pad, dtype=np.int64)
    mask = np.zeros((len(rows), seq), dtype=np.int64)
    first = np.zeros((len(rows), count), dtype=np.int64)
    last = np.zeros((len(rows), count), dtype=np.int64)
    words = np.zeros((len(rows), count), dtype=bool)
    for i, row in enumerate(rows):
        ids[i, : len(row["input_ids"])] = row["input_ids"]
        mask[i, : len(row["input_ids"])] = 1
        first[i, : len(row["first"])] = row["first"]
        last[i, : len(row["last"])] = row["last"]
        words[i, : len(row["first"])] = True
    batch = {"input_ids": ids, "attention_mask": mask, "first": first, "last": last, "word_mask": words}
    tensors = {name: torch.from_numpy(values) for name, values in batch.items()}
    # A head cannot hide tokens from the ledger here. If it returns a tensor under one of the core's names, the model sees it,
    # and the tally of tokens that the base model sees then disagrees with the ledger.
    targets = head.collate([{k.removeprefix(_GOLD): v for k, v in r.items() if k.startswith(_GOLD)} for r in rows], count)
    return tensors | targets
