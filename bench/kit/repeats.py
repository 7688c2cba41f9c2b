"""Texts that stand in two splits of a corpus, under whatever ids, as loaders report them; no text is kept or shown."""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterable, Mapping, Sequence

from bench.api.data import Document, Leak


def repeated_texts(splits: Mapping[str, Iterable[Document]], published: Container[str] = ()) -> tuple[Leak, ...]:
    """Documents whose text, but for blanks and case, stands in an earlier split.

    Args:
        splits: in the order train, dev, test.
        published: checksums of texts that the corpus's own authors left in two splits, which are let through.
    """
    first: dict[bytes, tuple[str, str]] = {}
    found = []
    for split, documents in splits.items():
        for document in documents:
            digest = _digest(" ".join(document.text.casefold().split()))
            home, other = first.setdefault(digest, (split, document.id))
            if home != split:
                found.append(Leak(document.id, split, home, other, tolerated=digest.hex() in published))
    return tuple(found)


def repeated_sentences(splits: Mapping[str, Sequence[Document]], words: int = 8, share: float = 0.01) -> tuple[Leak, ...]:
    """Documents of one split that stand word for word in an earlier one, of corpora whose documents are mostly sentences.

    Real ones repeat a few: headings ("METHODS :") often, and whole sentences at times (12 of the 4,791 longer ones of BC2GM's
    test split stand in its training split), which is how everyone's published figures were had. Those are let through. A
    split that was copied into another, or cut carelessly, repeats far more.

    Args:
        splits: documents with text, in the order in which splits are compared.
        words: shorter documents are not looked at.
        share: the most that may be repeated, of a split's documents that are looked at.
    """
    home: dict[bytes, tuple[str, str]] = {}
    found: list[Leak] = []
    for split, documents in splits.items():
        long = [(d.id, _digest(d.text)) for d in documents if d.text.count(" ") + 1 >= words]
        repeated = [(name, digest) for name, digest in long if digest in home]
        few = len(repeated) <= share * len(long)
        found += [Leak(name, split, *home[digest], tolerated=few) for name, digest in repeated]
        for name, digest in long:
            home.setdefault(digest, (split, name))
    return tuple(found)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
