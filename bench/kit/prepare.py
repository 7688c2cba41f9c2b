"""Brings a corpus's release into the layout that ``--data`` wants, checks it by the task's own loader, and counts it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.api.task import Task
from bench.data.leaks import leaks_of, refuse
from bench.errors import DataError, LeakError, UsageError
from bench.kit.release import Release
from bench.kit.synthetic import MARKER, mark_synthetic
from bench.modeling.files import written_whole


@dataclass(frozen=True)
class Prepared:
    """A corpus that was prepared.

    Args:
        task: its name.
        folder: where it lies, for its owner alone.
        documents: number of documents by split.
        mentions: number of mentions by split.
        discontiguous: number of those that have several fragments, by split.
        left_out: faulty lines that are left out because their kind is tolerated; they stay in the files.
        sha256: of the corpus, as a run records it.
    """

    task: str
    folder: str
    documents: Mapping[str, int]
    mentions: Mapping[str, int]
    discontiguous: Mapping[str, int]
    left_out: Mapping[str, int]
    sha256: str


def prepare(task: Task, release: Path, out: Path, tolerate: Sequence[str] = ()) -> Prepared:
    """Arranges the release of a task's corpus in a new folder, which appears whole and checked, or not at all.

    Args:
        task: the task.
        release: an archive or a folder; it is only read.
        out: the folder to be made; it may be there if it is empty.
        tolerate: kinds of faulty lines that the check leaves out; runs on the folder need the same.

    Raises:
        DataError: the release cannot be read, or the loader refuses it; no text is quoted.
        LeakError: a document is in two splits.
        UsageError: the task has no release that can be arranged, `out` holds something, or a kind is unknown.
        StorageError: the disk is full or cannot be written.
    """
    tolerant = task.tolerating(tolerate)
    out = out.absolute()
    if out == Path.cwd() or (out.exists() and not (out.is_dir() and not any(out.iterdir()))):
        raise UsageError(f"{out} is there and holds something; wanted a new or an empty folder.", "Name another folder.")
    with written_whole(out, mode=0o700) as aside:
        task.arrange(release, aside)
        if any(file.name.name == MARKER for file in Release(release).files()):
            mark_synthetic(aside)
        try:
            corpus = tolerant.load(aside)
            refuse(release, leaks_of(corpus))
        except LeakError:
            raise
        except DataError as error:
            # The folder that it names will be gone.
            message, hint = (
                text.replace(f"{aside}/", f"{release}: ").replace(f"{aside}", f"{release}")
                for text in (error.message, error.hint or "")
            )
            raise DataError(message, hint or None) from None
        return Prepared(
            task.name,
            str(out),
            {split: len(corpus[split]) for split in corpus},
            {split: sum(len(document.mentions) for document in corpus[split]) for split in corpus},
            {split: sum(m.discontiguous for document in corpus[split] for m in document.mentions) for split in corpus},
            dict(corpus.left_out),
            corpus.sha256,
        )
