"""The base of tasks whose corpus is read, and made up, by functions in modules of their own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, ClassVar

from bench.api.data import Corpus
from bench.api.head import Head
from bench.api.task import Task
from bench.errors import unknown


class CorpusTask(Task):
    """Names its functions as entry points do, so that listing tasks imports none of them."""

    reader: ClassVar[str]
    """Reads and checks a corpus, e.g. ``bench_tasks.gad.corpus:load``; called with ``folder``, what `reading` gives and, where
    the task has `faults`, a `bench.kit.faults.Faults` that collects them as ``faults``."""
    writer: ClassVar[str | None] = None
    """Writes a synthetic one, e.g. ``bench_tasks.gad.synthetic:write_corpus``; called with ``folder``, ``seed``, ``sizes`` and
    what `writing` gives. None where there is none: runs want ``--data`` then."""
    facts: ClassVar[Mapping[str, str]] = {}
    """What `bench show` prints below the layout."""

    def reading(self) -> Mapping[str, Any]:
        """Keyword arguments of `reader` beside the folder."""
        return {}

    def writing(self) -> Mapping[str, Any]:
        """Keyword arguments of `writer` beside folder, seed and sizes."""
        return {}

    def parameters(self) -> Mapping[str, str]:
        """What `bench show` prints below the metadata: the layout and `facts`."""
        return {"layout": self.metadata.layout, **self.facts}

    def load(self, folder: Path) -> Corpus:
        """Reads and checks the corpus of a folder.

        Raises:
            DataError: naming file, line or document, what stood there and what was wanted.
        """
        options = dict(self.reading())
        if self.faults:
            from bench.kit.faults import Faults

            options["faults"] = Faults(self.tolerated)
        corpus: Corpus = resolve_name(self.reader)(folder=folder, **options)
        return corpus

    def synthesize(self, folder: Path, seed: int, sizes: Mapping[str, int] | None = None) -> None:
        """Writes the seeded synthetic corpus in the format that `load` reads, and the marker file.

        Args:
            folder: empty or missing; made here.
            seed: same seed, same bytes.
            sizes: documents per split; the task's usual ones for those that are not given.

        Raises:
            UsageError: there is no `writer`, a size is not positive, or the folder holds something already.
        """
        if self.writer is None:
            raise self.no_corpus()
        resolve_name(self.writer)(folder=folder, seed=seed, sizes=sizes, **self.writing())

    @property
    def synthesizes(self) -> bool:
        """Whether it has a synthetic corpus."""
        return self.writer is not None

    def head(self, name: str) -> Head:
        """A fresh head.

        Raises:
            UsageError: it is none of `heads`.
        """
        if name not in self.heads:
            raise unknown("head", name, self.heads, f"bench show task {self.file or self.name}")
        from bench.heads import make_head

        return make_head(name)
