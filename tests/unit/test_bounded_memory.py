"""What goes through a split keeps none of its documents: a corpus that lies on disk must not come to lie in memory again."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from bench.api import spool
from bench.api.data import SPLITS, Corpus, Document
from bench.api.spool import Spool, spooled
from bench.data.concepts import ConceptDictionary
from bench.data.leaks import leaks_of
from bench.data.lengths import choose_length
from bench.data.spans import tidied_corpus
from bench.evaluation.overlap import overlap
from bench.kit.repeats import repeated_sentences, repeated_texts
from bench.registry import Registry

NOTES = 60


class Watched(Sequence[Document]):
    """Documents from disk that remembers how many of them and of their mentions were alive at once."""

    def __init__(self, documents: Sequence[Document]) -> None:
        self._spool, self.most = spooled(documents, 0), 0
        self._alive: dict[int, weakref.ref[Any]] = {}

    def __len__(self) -> int:
        return len(self._spool)

    def __getitem__(self, index: Any) -> Any:
        document = self._spool[index]
        for one in (document, *document.mentions):
            key = id(one)
            self._alive[key] = weakref.ref(one, lambda _, key=key: self._alive.pop(key, None))  # type: ignore[misc]
        self.most = max(self.most, len(self._alive))
        return document

    def __iter__(self) -> Iterator[Document]:
        return (self[i] for i in range(len(self)))


@pytest.fixture(scope="module")
def corpus(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("bounded") / "corpus"
    task = registry.get("tasks", "2015-T14")
    task.synthesize(folder, 1, {"train": NOTES, "dev": 4, "test": 4})
    return task.load(folder)


def readers(registry: Registry, tokenizer: Any) -> dict[str, Callable[[Sequence[Document], Corpus], object]]:
    def with_train(train: Sequence[Document], rest: Corpus) -> Corpus:
        return Corpus({**rest.splits, "train": train}, False, "0")

    task = registry.get("tasks", "2015-T14")
    found: dict[str, Callable[[Sequence[Document], Corpus], object]] = {
        f"head {name}": lambda train, rest, name=name: task.head(name).fit(train)  # type: ignore[misc]
        for name in task.heads
    }
    return found | {
        "tidied": lambda train, rest: tidied_corpus(with_train(train, rest)),
        "leaks": lambda train, rest: leaks_of(with_train(train, rest)),
        "overlap": lambda train, rest: overlap({**rest.splits, "train": train}),
        "length": lambda train, rest: choose_length(train, tokenizer, "sentences", 512),
        "dictionary": lambda train, rest: ConceptDictionary("CUI-less").fit(train),
        "repeated texts": lambda train, rest: repeated_texts({**rest.splits, "train": train}),
        "repeated sentences": lambda train, rest: repeated_sentences({**rest.splits, "train": train}),
    }


def test_nothing_that_reads_a_split_keeps_its_documents(
    corpus: Corpus, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench.modeling.backbone import load_tokenizer

    monkeypatch.setattr(spool.spooled, "__defaults__", (0,))
    tokenizer = load_tokenizer(registry.get("models", "tiny-bert").folder(tmp_path))
    largest = max(1 + len(d.mentions) for d in corpus["train"])
    kept = {}
    for name, read in readers(registry, tokenizer).items():
        watched = Watched(corpus["train"])
        gc.disable()  # what only a collection would free is kept, too
        try:
            result = read(watched, corpus)
        finally:
            gc.enable()
        assert watched.most > 0, name
        if watched.most > 4 * largest:
            kept[name] = watched.most
        del result
    assert kept == {}
    assert sum(1 + len(d.mentions) for d in corpus["train"]) > 8 * largest  # so that keeping them would be seen


def test_encoding_keeps_none_either(corpus: Corpus, registry: Registry, tmp_path: Path) -> None:
    from bench.data.cache import encode_split
    from bench.modeling.backbone import load_tokenizer

    tokenizer = load_tokenizer(registry.get("models", "tiny-bert").folder(tmp_path))
    head = registry.get("tasks", "2015-T14").head("span")
    head.fit(corpus["train"])
    watched = Watched(corpus["train"])
    encoded = encode_split(watched, head, tokenizer, 64, tmp_path / "train.arrow")
    assert len(encoded.documents) == NOTES
    assert watched.most <= 4 * max(1 + len(d.mentions) for d in corpus["train"])


def test_a_corpus_from_disk_is_one_of_spools(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = registry.get("tasks", "2015-T14")
    task.synthesize(tmp_path / "corpus", 1, dict.fromkeys(SPLITS, 2))
    monkeypatch.setattr(spool.spooled, "__defaults__", (0,))
    assert all(isinstance(task.load(tmp_path / "corpus")[split], Spool) for split in SPLITS)
