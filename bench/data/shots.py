"""Some training documents of a task, drawn at random: what a run with ``--shots K`` or ``--train-resample DRAW`` trains on.

Documents are ordered by a hash of seed and id, and the first K are taken. So a draw depends on nothing else: it is the same for
every architecture, in whatever order the corpus lists its documents, and a smaller K takes a part of what a larger one does.
Sentences of a tag file have their numbers as ids: there the order counts.

A resample is a random half. Scores vary over halves about as much as over whole training sets of that size: the variance of a
mean over a half, drawn without putting back, is the same. A bootstrap would hold a document several times, which a method that
leaves out one document at a time takes for several.

Sources: Bouthillier et al. (2021), Accounting for variance in machine learning benchmarks, arXiv 2103.03098, for training data
as a source of variance; McCarthy (1969), Pseudo-replication: half samples; Buja and Stuetzle (2006), Observations on bagging,
Statistica Sinica 16, for halves beside the bootstrap.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from bench.api.data import Corpus, Document


def few(corpus: Corpus, most: int, seed: int) -> Corpus:
    """A corpus with at most `most` training documents, drawn by a seed; dev and test stay whole."""
    train = corpus["train"]
    return replace(corpus, splits={**corpus.splits, "train": drawn(train, most, seed)}, drawn_from=len(train))


def resampled(corpus: Corpus, draw: int) -> Corpus:
    """A corpus with a random half of its training documents, rounded up; the same `draw` takes the same ones for every arm."""
    return few(corpus, (len(corpus["train"]) + 1) // 2, draw)


def drawn(documents: Sequence[Document], most: int, seed: int) -> tuple[Document, ...]:
    """At most so many documents, in the order in which they stand there."""
    rank = [hashlib.sha256(f"{seed} {document.id}".encode("utf-8", "surrogatepass")).digest() for document in documents]
    chosen = sorted(sorted(range(len(rank)), key=rank.__getitem__)[:most])
    return tuple(documents[index] for index in chosen)


def facts(corpus: Corpus) -> dict[str, Any]:
    """How many training documents were taken of how many, and the SHA-256 of their ids; no text."""
    ids = "\n".join(document.id for document in corpus["train"])
    digest = hashlib.sha256(ids.encode("utf-8", "surrogatepass")).hexdigest()
    return {"documents": len(corpus["train"]), "of": corpus.drawn_from, "sha256": digest}
