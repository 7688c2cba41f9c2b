"""Texts that stand in two splits of a corpus, under whatever ids, as loaders report them; no text is kept or shown."""

from __future__ import annotations

import hashlib
from collections.abc import Container, Mapping, Sequence

from bench.api.data import Document, Leak


def repeated_texts(splits: Mapping[str, Sequence[Document]], published: Container[str] = ()) -> tuple[Leak, ...]:
    """Documents whose text, but for blanks and case, stands in an earlier split.

    Args:
        splits: in the order train, dev, test.
        published: checksums of texts that the corpus's own authors left in two splits, which are let through.
    """
    first: dict[str, tuple[str, str]] = {}
    found = []
    for split, documents in splits.items():
        for document in documents:
            digest = hashlib.sha256(" ".join(document.text.casefold().split()).encode("utf-8")).hexdigest()
            home, other = first.setdefault(digest, (split, document.id))
            if home != split:
                found.append(Leak(document.id, split, home, other, tolerated=digest in published))
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
    home: dict[str, tuple[str, str]] = {}
    found: list[Leak] = []
    for split, documents in splits.items():
        long = [document for document in documents if document.text.count(" ") + 1 >= words]
        repeated = [document for document in long if document.text in home]
        few = len(repeated) <= share * len(long)
        found += [Leak(d.id, split, *home[d.text], tolerated=few) for d in repeated]
        for document in long:
            home.setdefault(document.text, (split, document.id))
    return tuple(found)
