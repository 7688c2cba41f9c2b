"""What is there twice: a mention in a document, and texts in two splits of a corpus, under the same id or another.

No text is kept or shown.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterable, Mapping, MutableMapping, Sequence

from bench.api.data import Document, Key, Leak, Mention


def add_once(mentions: MutableMapping[Key, Mention], mention: Mention) -> bool:
    """Adds a mention unless one with its key is there, and says whether; of these the first with a concept stays."""
    before = mentions.setdefault(mention.key, mention)
    if before.concept is None and mention.concept is not None:
        mentions[mention.key] = mention
    return before is mention


def repeated_texts(splits: Mapping[str, Iterable[Document]], published: Container[str] = ()) -> tuple[Leak, ...]:
    """Documents whose text, but for blanks and case, stands in an earlier split; splits are in the order train, dev, test.

    `published` holds the SHA-256 of texts that the corpus's own authors left in two splits, which are tolerated.
    """
    first: dict[bytes, tuple[str, str]] = {}
    leaks = []
    for split, documents in splits.items():
        for document in documents:
            digest = _digest(" ".join(document.text.casefold().split()))
            home, other = first.setdefault(digest, (split, document.id))
            if home != split:
                leaks.append(Leak(document.id, split, home, other, tolerated=digest.hex() in published))
    return tuple(leaks)


def repeated_sentences(splits: Mapping[str, Sequence[Document]], words: int = 8, share: float = 0.01) -> tuple[Leak, ...]:
    """Documents whose text is word for word in an earlier split, for corpora whose documents are sentences.

    Real corpora repeat a few: headings ("METHODS :") often, sentences at times (12 of the 4,791 longer ones of BC2GM's test
    split are in its training split), and published figures include them. These are tolerated: a share of a split's documents,
    those of fewer `words` left out. A split that was copied into another, or divided carelessly, repeats far more.
    """
    home: dict[bytes, tuple[str, str]] = {}
    leaks: list[Leak] = []
    for split, documents in splits.items():
        long = [(d.id, _digest(d.text)) for d in documents if d.text.count(" ") + 1 >= words]
        repeated = [(name, digest) for name, digest in long if digest in home]
        few = len(repeated) <= share * len(long)
        leaks += [Leak(name, split, *home[digest], tolerated=few) for name, digest in repeated]
        for name, digest in long:
            home.setdefault(digest, (split, name))
    return tuple(leaks)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
