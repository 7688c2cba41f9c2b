"""Step 4: corpora read and checked, or made; then encoded, once for all runs."""

from __future__ import annotations

import filecmp
import gc
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import user_cache
from bench.api.data import SPLITS, Corpus
from bench.api.task import Task
from bench.config import RunConfig
from bench.data import leaks, shots
from bench.data.content import class_of, code_digest, documents_digest, tokenizer_digest
from bench.data.spans import tidied_corpus
from bench.data.windows import special_tokens
from bench.errors import DataError, RunStateError, UsageError, storable
from bench.reporting import Reporter
from bench.results.layout import CORPUS
from bench.results.schema import Result
from bench.steps.resolve import Parts
from bench.wording import some

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bench.training.model import TaskData

SHORTEST = 16
"""Tokens of the shortest window, the least that ``--max-length`` takes."""
SEED = 2015
"""Synthetic corpora are the same for every seed of a run; a run's seed moves initialisation and order."""


@dataclass(frozen=True)
class Source:
    """A corpus and where its files are.

    Args:
        corpus: as the task's loader read it.
        folder: the user's, or a temporary one that holds the synthetic files.
        synthetic: whether the task made it.
    """

    corpus: Corpus
    folder: Path
    synthetic: bool


@contextmanager
def read_corpora(tasks: Mapping[str, Task], config: RunConfig) -> Iterator[dict[str, Source]]:
    """Reads every task's corpus; one that is not given is written by the task and read back through the same loader.

    Raises:
        UsageError: a corpus is not given, and the task writes none.
        DataError: a file that is not what it claims to be, or an empty split.
        LeakError: documents that stand in two splits, unless the run allows them.
    """
    with tempfile.TemporaryDirectory(prefix="bench-corpus-") as temporary:
        sources = {}
        for name, task in tasks.items():
            path = config.data.get(name)
            source_folder = Path(path) if path is not None else task.folder
            folder = source_folder or Path(temporary) / name
            if source_folder is None:
                task.synthesize(folder, SEED)
            with gc_paused():
                corpus = tidied_corpus(task.load(folder))
            for split in SPLITS:
                if not corpus.splits.get(split):
                    raise DataError(f"{name}: the {split} split in {folder} holds no document.", task.metadata.layout)
            leaked = leaks.leaks_of(corpus)
            if not config.allow_leak:
                leaks.refuse(folder, leaked)
            if config.shots is not None:
                corpus = shots.few(corpus, config.shots, config.seed)
            if config.train_resample is not None:
                corpus = shots.resampled(corpus, config.train_resample)
            synthetic = source_folder is None or corpus.synthetic
            unit = corpus.unit or task.metadata.unit
            sources[name] = Source(replace(corpus, synthetic=synthetic, leaks=leaked, unit=unit), folder, synthetic)
        yield sources


@contextmanager
def read_again(tasks: Mapping[str, Task], config: RunConfig, folder: Path, result: Result) -> Iterator[dict[str, Source]]:
    """The corpora of a finished run; a synthetic one is the copy that the run keeps. Leaks were judged when it ran.

    Args:
        tasks: those of the run that are wanted.
        config: of the run.
        folder: of the run.
        result: of the run.

    Raises:
        BenchError: a corpus cannot be read, or is not what it was.
    """
    copies = {name: str(folder / CORPUS / name) for name in tasks if (folder / CORPUS / name).is_dir()}
    with read_corpora(tasks, replace(config, data={**config.data, **copies}, allow_leak=True)) as sources:
        for name, source in sources.items():
            if source.corpus.sha256 != result.hashes["data"].get(name):
                raise RunStateError(f"The corpus of {name} is not the one that run {result.id} read.", "Put it back.")
        yield sources


@contextmanager
def gc_paused() -> Iterator[None]:
    """Leaves the garbage collector out while documents are made: none are garbage, and looking at all of them takes a fifth."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


def keep_synthetic(sources: Mapping[str, Source], folder: Path, console: Reporter) -> None:
    """Copies synthetic files into the run's folder, so that whoever reads the result can look at what was trained on.

    A copy that a resumed run finds there is written again where it is not the same to the last byte.
    """
    for name, source in sources.items():
        target = folder / CORPUS / name
        if source.synthetic and source.folder.exists() and not _alike(source.folder, target):
            if target.exists():
                console.warn(f"{CORPUS}/{name} is not what was trained on: it is written again.")
            aside = target.with_name(f".{name}.writing")
            shutil.rmtree(aside, ignore_errors=True)
            try:
                with storable(target):
                    shutil.copytree(source.folder, aside)
                    shutil.rmtree(target, ignore_errors=True)
                    aside.rename(target)
            finally:
                shutil.rmtree(aside, ignore_errors=True)


def _alike(source: Path, copy: Path) -> bool:
    """Whether two folders hold the same files."""
    names = sorted(path.relative_to(source) for path in source.rglob("*") if path.is_file())
    copied = sorted(path.relative_to(copy) for path in copy.rglob("*") if path.is_file())
    return names == copied and all(filecmp.cmp(source / name, copy / name, shallow=False) for name in names)


def encode(parts: Parts, sources: Mapping[str, Source], config: RunConfig, console: Reporter) -> dict[str, TaskData]:
    """Encodes every split of every task, or finds it encoded already, by this run or another one.

    Raises:
        DataError: no training mention, or none that the head can reach.
        UsageError: the tokenizer gives ids that the model has no embedding for.
        StorageError: the disk is full or cannot be written.
    """
    from bench.data.cache import encode_split
    from bench.data.lengths import kept_length
    from bench.modeling.backbone import load_tokenizer
    from bench.training.model import TaskData

    rows = parts.model.rows
    tokenizer = load_tokenizer(parts.model.folder())
    before, after = special_tokens(tokenizer)  # they stand in every batch, whatever the text
    refuse_past_table(
        parts.model.name, "padding and special tokens", max([pad_id(parts.model.folder()), *before, *after]), rows
    )
    most, tokenizing = text_positions(parts), tokenizer_digest(tokenizer)
    if (beside := parts.architecture.virtual_tokens) and (config.max_length or 0) > most:
        console.warn(
            f"--max-length is {most}, not {config.max_length}: {parts.architecture.name} takes {beside} of the "
            f"{some(parts.model.spec.max_length, 'position')} of {parts.model.name}."
        )
    data = {}
    for name, task in parts.tasks.items():
        corpus = sources[name].corpus
        head = parts.fresh_head(name)
        head.fit(corpus["train"])
        train, code = documents_digest(corpus["train"]), code_digest(task, head)
        length = min(config.max_length or most, most)
        if config.max_length is None:
            key = {"documents": train, "cuts": head.cuts, "most": most, "tokenizer": tokenizing, "code": code}
            path = user_cache.path("encoded", f"{name}.length", ".json", key)
            with storable(path):
                length = kept_length(path, corpus["train"], tokenizer, head.cuts, most).tokens
        splits = {}
        total = sum(len(corpus[split]) for split in SPLITS)
        with console.progress(f"encoding {name}", total, "documents") as bar:
            for split in SPLITS:
                key = {
                    "documents": train if split == "train" else documents_digest(corpus[split]), "train": train,
                    "task": [class_of(task), task.version], "head": [class_of(head), head.name, head.state()], "length": length,
                    "tokenizer": tokenizing, "code": code,
                }  # fmt: skip
                path = user_cache.path("encoded", f"{name}.{split}", ".arrow", key)
                with storable(path):
                    splits[split] = encode_split(corpus[split], head, tokenizer, length, path, bar.advance, console.warn)
        data[name] = TaskData(task, corpus, head, splits, length)
        for split, encoded in splits.items():
            refuse_past_table(parts.model.name, f"the {split} split of {name}", encoded.largest, rows)
    return data


def text_positions(parts: Parts) -> int:
    """Tokens of a window that the base model takes at most, beside what the architecture puts there.

    Raises:
        UsageError: the architecture leaves less than the shortest window that can be asked for.
    """
    whole, beside = parts.model.spec.max_length, parts.architecture.virtual_tokens
    if beside and whole - beside < SHORTEST:
        raise UsageError(
            f"{parts.architecture.name} takes {some(beside, 'position')} of {parts.model.name}, which has {whole}; text "
            f"needs {SHORTEST} at least.",
            "Take another architecture or a base model with a longer input.",
        )
    return whole - beside


def pad_id(folder: Path) -> int:
    """Id that fills up a batch; the mask hides it."""
    from bench.modeling.backbone import load_tokenizer

    tokenizer: Any = load_tokenizer(folder)
    return int(tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id or 0)


def refuse_past_table(model: str, where: str, largest: int, rows: int | None) -> None:
    """Refuses token ids that the model has no embedding for, which would fail in the middle of an update.

    Args:
        model: as the user typed it.
        where: what the ids stand for.
        largest: of the ids.
        rows: of the embedding table; None where they are not known.

    Raises:
        UsageError: the largest id has no row.
    """
    if rows is not None and largest >= rows:
        raise UsageError(
            f"The tokenizer of {model} gives token ids up to {largest:,} for {where}; its embedding table has "
            f"{some(rows, 'row')}, so that ids below {rows:,} are wanted.",
            "Put the tokenizer that belongs to these weights beside them, or give the model the rows: "
            "model.resize_token_embeddings(len(tokenizer)), then save_pretrained.",
        )


def encoding_facts(data: Mapping[str, TaskData]) -> dict[str, Any]:
    """Windows, tokens and what decoding cannot reach, by task and split; no text."""
    return {
        name: {
            split: {
                "documents": len(encoded.documents), "windows": len(encoded), "tokens": encoded.tokens,
                "annotations": encoded.gold, "lost": dict(encoded.lost), "max_length": task_data.max_length,
            }
            for split, encoded in task_data.splits.items()
        }
        for name, task_data in data.items()
    }  # fmt: skip


def labelled(data: TaskData) -> NDArray[np.bool_]:
    """Whether each training window holds something to learn.

    A gold mention where those are looked for, a class where a document may have none, else a supervised position.

    Returns:
        Shape (windows,).
    """
    import numpy as np

    encoded = data.splits["train"]
    if "labels" in data.head.predicts:
        some = np.array([any(j.chosen for j in document.judgements) for document in data.corpus["train"]], dtype=np.bool_)
        chosen: NDArray[np.bool_] = some[encoded.sources]
        return chosen
    if not data.head.finds_mentions:
        return encoded.supervised > 0
    starts = {d.id: np.sort([m.fragments[0][0] for m in d.mentions]) for d in data.corpus["train"]}
    spans = np.asarray(encoded.rows["span"], dtype=np.int64).reshape(-1, 2)
    mask = np.zeros(len(encoded), dtype=np.bool_)
    for index, document in enumerate(encoded.documents):
        in_document = encoded.sources == index
        held = starts[document]
        mask[in_document] = np.searchsorted(held, spans[in_document, 1]) > np.searchsorted(held, spans[in_document, 0])
    return mask
