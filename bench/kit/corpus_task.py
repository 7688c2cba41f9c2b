"""Base class of tasks whose corpus is read and synthesized by functions in other modules."""

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
    """A task that names its functions as entry points do (``module:function``), so that listing tasks imports none of them."""

    reader: ClassVar[str]
    """Function that reads and checks a corpus, e.g. ``bench_tasks.gad.corpus:load``. It is called with ``folder``, with what
    `reading` gives and, if the task has `faults`, with a `bench.kit.faults.Faults` as ``faults``."""
    writer: ClassVar[str | None] = None
    """Function that writes a synthetic corpus, e.g. ``bench_tasks.gad.synthetic:write_corpus``. It is called with ``folder``,
    ``seed``, ``sizes`` and what `writing` gives. None: the task has none, and runs need ``--data``."""
    facts: ClassVar[Mapping[str, str]] = {}
    """Name to value, printed by `bench show` below the layout."""

    def reading(self) -> Mapping[str, Any]:
        """Further keyword arguments of `reader`."""
        return {}

    def writing(self) -> Mapping[str, Any]:
        """Further keyword arguments of `writer`."""
        return {}

    def parameters(self) -> Mapping[str, str]:
        """Name to value, printed by `bench show` below the metadata: the layout and `facts`."""
        return {"layout": self.metadata.layout, **self.facts}

    def load(self, folder: Path) -> Corpus:
        """Reads and checks the corpus of a folder.

        Raises:
            DataError: naming file, line or document, what is there and what was wanted.
        """
        options = dict(self.reading())
        if self.faults:
            from bench.kit.faults import Faults

            options["faults"] = Faults(self.tolerated)
        corpus: Corpus = resolve_name(self.reader)(folder=folder, **options)
        return corpus

    def synthesize(self, folder: Path, seed: int, sizes: Mapping[str, int] | None = None) -> None:
        """Writes the synthetic corpus in the format that `load` reads, and the marker file; see `Task.synthesize`.

        Raises:
            UsageError: there is no `writer`, a size is not positive, or the folder holds something already.
        """
        if self.writer is None:
            raise self.no_corpus()
        resolve_name(self.writer)(folder=folder, seed=seed, sizes=sizes, **self.writing())

    @property
    def synthesizes(self) -> bool:
        """Whether the task has a synthetic corpus."""
        return self.writer is not None

    def head(self, name: str) -> Head:
        """A new head of this name.

        Raises:
            UsageError: the name is none of `heads`.
        """
        if name not in self.heads:
            raise unknown("head", name, self.heads, f"bench show task {self.file or self.name}")
        from bench.heads import make_head

        return make_head(name)
