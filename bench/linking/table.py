"""A table of names with look-up by key, by concept and by character n-grams; memory-mapped from disk, or in memory.

Source of the n-grams: scispaCy's candidate generator, Neumann et al. 2019, arXiv 1902.07669; here they are hashed, so that no
vocabulary is needed.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from bench.linking.columns import Array, Columns
from bench.linking.normalise import keys, lemmas, stems, unbracketed

LEVELS = ("plain", "lemmas", "stems")
"""Kinds of keys, strictest first."""
FEATURES = 1 << 18
"""Buckets that n-grams are hashed into."""
CHUNK = 1 << 15
"""Names that are processed at once."""
LARGE, COMMON = 200_000, 0.02
"""In a table of more than `LARGE` names, n-grams that more than the share `COMMON` of them have are ignored."""
QUERIES = 256
"""Texts that are looked up at once."""


class Name(NamedTuple):
    """A name of a concept; `kind` indexes `bench.linking.readers.KINDS`, `line` is the file's, 0 where there is none."""

    concept: str
    text: str
    kind: int
    line: int = 0


def digest(text: str) -> int:
    """A 64-bit hash of a text."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8"), digest_size=8).digest(), "little")


def word_place(stem: str) -> int:
    """The bucket of a stem among `FEATURES`."""
    return zlib.crc32(stem.encode("utf-8")) % FEATURES


def ngrams(texts: Sequence[str]) -> Any:
    """Counts of character 3-grams within words, a sparse matrix (texts, `FEATURES`) of float32."""
    from sklearn.feature_extraction.text import HashingVectorizer

    vectorizer = HashingVectorizer(
        analyzer="char_wb", ngram_range=(3, 3), n_features=FEATURES, alternate_sign=False, norm=None, dtype=np.float32
    )
    return vectorizer.transform([" ".join(lemmas(text)) or " " for text in texts])


class NameTable:
    """Names by index, in the order in which `write` wrote them."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self.texts = columns.texts("name")
        self._concepts = columns.texts("concept")
        self.kinds = columns.read("kind", "tiny")
        self._sorted = {level: (columns.read(f"{level}-key", "hash"), columns.read(f"{level}-at", "short")) for level in LEVELS}
        self._by_concept = columns.read("concept-key", "hash"), columns.read("concept-at", "short")
        self._ends = columns.read("gram-ends", "whole")
        self._grams, self._counts = columns.read("gram", "short"), columns.read("gram-count", "tiny")
        self._norms, self.idf = columns.read("norm", "real"), columns.read("idf", "real")
        self._word_idf = columns.read("word-idf", "real")

    def __len__(self) -> int:
        return len(self.texts)

    def concept(self, index: int) -> str:
        """The concept of a name."""
        return self._concepts[index]

    def with_key(self, level: str, key: str) -> list[int]:
        """The names that have a key."""
        return _equal(*self._sorted[level], digest(key)) if key else []

    @property
    def concepts(self) -> int:
        """Number of concepts."""
        keys = self._by_concept[0]
        return int(np.count_nonzero(np.diff(keys))) + 1 if len(keys) else 0

    def repeated(self) -> tuple[int, int]:
        """How many names repeat an earlier name of the same concept, and the line of the first of them."""
        pairs = np.array(self._columns.read("pair", "hash"))
        order = np.argsort(pairs, kind="stable")
        again = order[1:][pairs[order[1:]] == pairs[order[:-1]]]
        return len(again), int(self._columns.read("line", "short")[again.min()]) if len(again) else 0

    def of_concept(self, concept: str, most: int) -> list[int]:
        """The first `most` names of a concept."""
        return _equal(*self._by_concept, digest(concept))[:most]

    def weight(self, stem: str) -> float:
        """The inverse document frequency of a stem among the names."""
        return float(self._word_idf[word_place(stem)])

    def nearest(self, texts: Sequence[str], count: int) -> list[list[tuple[int, float]]]:
        """For each text the `count` names with the most similar n-grams, best first: (name, cosine of TF-IDF)."""
        neighbours: list[list[tuple[int, float]]] = []
        for low in range(0, len(texts), QUERIES):
            neighbours += self._nearest(texts[low : low + QUERIES], count)
        return neighbours

    def vectors(self, texts: Sequence[str]) -> Any:
        """TF-IDF of texts, rows of unit length (texts, `FEATURES`)."""
        from scipy.sparse import diags

        weighted = ngrams(texts) @ diags(self.idf)
        norms = np.sqrt(np.asarray(weighted.multiply(weighted).sum(axis=1)).ravel())
        return (diags((1 / np.maximum(norms, 1e-9)).astype(np.float32)) @ weighted).tocsr()

    def _nearest(self, texts: Sequence[str], count: int) -> list[list[tuple[int, float]]]:
        from scipy.sparse import csr_matrix, diags

        queries = (self.vectors(texts) @ diags(self.idf)).tocsc()
        if len(self) > LARGE:
            keep = self.idf > np.log(1 / COMMON) + 1
            queries = (queries @ diags(keep.astype(np.float32))).tocsc()
        right = queries.T.tocsr()
        best: list[tuple[Array, Array]] = [(np.zeros(0, np.int64), np.zeros(0, np.float32)) for _ in texts]
        for low in range(0, len(self), CHUNK):
            high = min(low + CHUNK, len(self))
            begin = int(self._ends[low - 1]) if low else 0
            ends = np.concatenate([[0], self._ends[low:high] - begin])
            part = slice(begin, begin + int(ends[-1]))
            rows = csr_matrix(
                (self._counts[part].astype(np.float32), self._grams[part].astype(np.int32), ends), shape=(high - low, FEATURES)
            )
            scores = (diags(1 / np.maximum(self._norms[low:high], 1e-9)) @ (rows @ right)).tocsc()
            for column in range(len(texts)):
                span = slice(scores.indptr[column], scores.indptr[column + 1])
                if span.start < span.stop:
                    best[column] = _merged(*best[column], scores.indices[span] + low, scores.data[span], count)
        return [list(zip(at.tolist(), score.tolist(), strict=True)) for at, score in best]


def write(names: Iterable[Name], columns: Columns) -> NameTable:
    """Writes names, which may be a stream, to empty columns; takes 40 bytes of memory a name, however long the texts are."""
    frequencies, word_frequencies = np.zeros(FEATURES, np.int64), np.zeros(FEATURES, np.int64)
    total = end = 0
    for chunk in _chunks(names):
        columns.append_texts("name", [name.text for name in chunk])
        columns.append_texts("concept", [name.concept for name in chunk])
        columns.append("kind", "tiny", [name.kind for name in chunk])
        columns.append("line", "short", [name.line for name in chunk])
        columns.append("pair", "hash", [digest(f"{name.concept}\t{name.text}") for name in chunk])
        columns.append("concept-hash", "hash", [digest(name.concept) for name in chunk])
        name_keys = [keys(unbracketed(name.text)) for name in chunk]
        for place, level in enumerate(LEVELS):
            columns.append(f"{level}-hash", "hash", [digest(key[place]) for key in name_keys])
        places = [word_place(stem) for name in chunk for stem in stems(name.text)]
        word_frequencies += np.bincount(places, minlength=FEATURES)
        rows = ngrams([name.text for name in chunk])
        frequencies += np.bincount(rows.indices, minlength=FEATURES)
        columns.append("gram", "short", rows.indices)
        columns.append("gram-count", "tiny", np.minimum(rows.data, 255))
        columns.append("gram-ends", "whole", rows.indptr[1:].astype(np.int64) + end)
        end += int(rows.indptr[-1])
        total += len(chunk)
    for name, counts in (("idf", frequencies), ("word-idf", word_frequencies)):
        columns.append(name, "real", np.log((1 + total) / (1 + counts)) + 1)
    columns.flush()
    for source, name in (*((f"{level}-hash", level) for level in LEVELS), ("concept-hash", "concept")):
        hashes = np.array(columns.read(source, "hash"))
        order = np.argsort(hashes, kind="stable")
        columns.append(f"{name}-at", "short", order)
        columns.append(f"{name}-key", "hash", hashes[order])
    _write_norms(columns, total)
    columns.close()
    return NameTable(columns)


def _write_norms(columns: Columns, total: int) -> None:
    ends, grams = columns.read("gram-ends", "whole"), columns.read("gram", "short")
    counts, idf = columns.read("gram-count", "tiny"), columns.read("idf", "real")
    for low in range(0, total, CHUNK):
        high = min(low + CHUNK, total)
        begin = int(ends[low - 1]) if low else 0
        part = slice(begin, int(ends[high - 1]))
        squares = (counts[part] * idf[grams[part]]) ** 2
        sums = np.concatenate([[0.0], np.cumsum(squares, dtype=np.float64)])
        places = np.concatenate([[0], ends[low:high] - begin])
        columns.append("norm", "real", np.sqrt(np.diff(sums[places])))


def _chunks(names: Iterable[Name]) -> Iterator[list[Name]]:
    stream = iter(names)
    while chunk := list(islice(stream, CHUNK)):
        yield chunk


def _equal(keys: Array, places: Array, hashed: int) -> list[int]:
    key = np.uint64(hashed)
    low = high = int(keys.searchsorted(key))
    while high < len(keys) and keys[high] == key:
        high += 1
    return [int(i) for i in places[low:high]]


def _merged(places: Array, scores: Array, more: Array, scored: Array, count: int) -> tuple[Array, Array]:
    """The best `count` of both, by score, then by index."""
    places, scores = np.concatenate([places, more.astype(np.int64)]), np.concatenate([scores, scored.astype(np.float32)])
    if len(scores) > 4 * count:
        bound = np.partition(scores, len(scores) - count)[len(scores) - count]
        above = scores >= bound
        places, scores = places[above], scores[above]
    order = np.lexsort((places, -scores))[:count]
    return places[order], scores[order]
