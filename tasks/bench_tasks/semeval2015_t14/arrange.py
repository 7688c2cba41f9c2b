"""Arranges the PhysioNet release of the corpus in the layout that the loader reads.

The release has the splits in folders, at any depth, such as ``semeval-2015-task-14/data/train/discharge/DOC.text`` with
``DOC.pipe``; the folder of the second split is called ``devel``. The nearest folder above a file that names a split decides.
Annotations may also be called ``DOC.pipe.txt``, or carry a mark, such as ``DOC.mapped.pipe`` or ``DOC.pipe-cui``, where
concepts were mapped; of several files of a document the marked one is taken. Files are copied byte for byte.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from bench.errors import DataError
from bench.kit.release import Release
from bench.wording import some

SPLIT_NAMES = {
    "train": "train", "training": "train", "dev": "dev", "devel": "dev", "development": "dev", "test": "test",
    "testing": "test",
}  # fmt: skip
"""Word in the name of a folder to the split."""
_MARKS = r"(?:mapped|mapping|cuis?|norm|normali[sz]ed)"
_PIPE = re.compile(rf"(?P<doc>.+?)(?P<before>[._-]{_MARKS})?\.pipe(?P<after>[._-]{_MARKS})?(?:\.txt)?", re.IGNORECASE)
_TEXT = re.compile(r"(?P<doc>.+?)\.(?:text(?:\.txt)?|txt)", re.IGNORECASE)

Files = dict[tuple[str, str], tuple[int, bytes]]
"""Split and document to the rank of the file that is taken, and its content."""


def arrange(release: Path, out: Path) -> None:
    """Writes the documents of a release below `out`.

    Args:
        release: a zip or tar file, or a folder.
        out: an empty folder.

    Raises:
        DataError: the release cannot be read, lacks a split, has a document without its text or its annotations, or different
            files of one document.
    """
    texts: Files = {}
    pipes: Files = {}
    count = 0
    for count, file in enumerate(Release(release).files(), 1):  # noqa: B007
        split = _split(file.name)
        pipe, text = _PIPE.fullmatch(file.name.name), _TEXT.fullmatch(file.name.name)
        if split is None or (pipe is None and text is None):
            continue
        if pipe is not None:
            _take(pipes, (split, pipe["doc"]), bool(pipe["before"] or pipe["after"]), file.bytes(), release)
        elif text is not None:
            # A .txt beside a .text is something else, such as a list or notes of the annotators.
            _take(texts, (split, text["doc"]), ".text" in file.name.name.lower(), file.bytes(), release)
    if not texts and not pipes:
        raise DataError(
            f"{release} is not the release: of its {some(count, 'file')} none is a DOC.text, DOC.txt or DOC.pipe in a folder "
            "that is named for its split.",
            "Give the archive as it was downloaded, or its folder: folders in it are named train, devel (or dev) and test.",
        )
    texts = {key: value for key, value in texts.items() if value[0] or key in pipes}
    _check(release, texts, pipes)
    for split, name in sorted(texts):
        folder = out / split
        folder.mkdir(exist_ok=True, mode=0o700)
        for suffix, files in ((".text", texts), (".pipe", pipes)):
            path = folder / f"{name}{suffix}"
            path.touch(mode=0o600)
            path.write_bytes(files[split, name][1])


def _split(name: PurePosixPath) -> str | None:
    for part in reversed(name.parts[:-1]):
        splits = {SPLIT_NAMES[word] for word in re.split(r"[^a-z]+", part.lower()) if word in SPLIT_NAMES}
        if len(splits) == 1:
            return splits.pop()
    return None


def _take(files: Files, key: tuple[str, str], rank: int, content: bytes, release: Path) -> None:
    before = files.get(key)
    if before is not None and before[0] == rank and before[1] != content:
        raise DataError(
            f"{release} holds two different files of document {key[1]!r} ({key[0]}); wanted one.", "Take one of them out."
        )
    if before is None or rank > before[0]:
        files[key] = rank, content


def _check(release: Path, texts: Files, pipes: Files) -> None:
    for split in ("train", "dev", "test"):
        counts = [sum(key[0] == split for key in files) for files in (texts, pipes)]
        if not all(counts):
            raise DataError(
                f"{release} holds {counts[0]} .text or .txt and {counts[1]} .pipe files of the {split} split; wanted both.",
                "Its folders are recognised by the words train, devel (or dev) and test in their names.",
            )
    for have, lack, suffix in ((texts, pipes, ".pipe"), (pipes, texts, ".text")):
        missing = sorted(have.keys() - lack.keys())
        if missing:
            split, name = missing[0]
            raise DataError(
                f"{release}: {some(len(missing), 'document')} without a {suffix} file, such as {name!r} ({split}); wanted "
                "one of each.",
                "A document without mentions needs an empty .pipe file." if suffix == ".pipe" else None,
            )
