"""A system's files under the documents' own ids: what a task writes it reads back, and scores as `bench score` does."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bench.api.data import Document
from bench.api.task import Task
from bench.errors import DataError, UsageError
from bench.naming import flatten
from bench.registry import load

pytest.importorskip("numpy")
READ = (
    "2014-T7", "2015-T14", "2017-T3-A", "2017-T3-C", "bc2gm", "bc5cdr", "bc5cdr-cid", "biosses", "chemprot", "ddi-2013",
    "gad", "hoc", "jnlpba", "ncbi-disease", "pubmedqa",
)  # fmt: skip


def worse(documents: Sequence[Document], seed: int = 0) -> list[Document]:
    """Gold with some of it taken away or turned over, as a system's output; without text."""
    chance = random.Random(seed)
    changed = []
    for document in documents:
        judgements = tuple(replace(j, score=chance.random()) for j in document.judgements)
        changed.append(
            Document(
                document.id, document.text, tuple(m for m in document.mentions if chance.random() < 0.7),
                relations=tuple(r for r in document.relations if chance.random() < 0.6), judgements=judgements,
                passages=document.passages,
            )
        )  # fmt: skip
    return changed


def corpus_of(task: Task, folder: Path) -> Sequence[Document]:
    task.synthesize(folder, 5, {"train": 30, "dev": 8, "test": 20})
    return list(task.load(folder)["test"])


@pytest.mark.parametrize("name", READ)
def test_what_is_written_is_read_back_and_scored_alike(name: str, tmp_path: Path) -> None:
    task: Task = load().get("tasks", name)
    gold = corpus_of(task, tmp_path / "corpus")
    mine = worse(gold)
    task.write(tmp_path / "gold", gold)
    task.write(tmp_path / "mine", mine)
    read = task.read_predictions(tmp_path / "mine", gold)
    assert {document.id for document in read} <= {document.id for document in gold}
    direct = flatten(task.score(gold, mine))
    assert flatten(task.score(gold, read)) == pytest.approx(direct)
    assert flatten(task.score_files(tmp_path / "gold", tmp_path / "mine")) == pytest.approx(direct)


@pytest.mark.parametrize("name", READ)
def test_a_document_of_another_corpus_is_refused(name: str, tmp_path: Path) -> None:
    task: Task = load().get("tasks", name)
    gold = corpus_of(task, tmp_path / "corpus")
    task.write(tmp_path / "mine", worse(gold))
    with pytest.raises(DataError):
        task.read_predictions(tmp_path / "mine", gold[:-4])


def test_an_error_names_the_line_of_the_file(tmp_path: Path) -> None:
    task: Task = load().get("tasks", "2015-T14")
    gold = corpus_of(task, tmp_path / "corpus")
    task.write(tmp_path / "mine", gold[:3])
    lines = [line for path in sorted((tmp_path / "mine").glob("*.pipe")) for line in path.read_text().splitlines()]
    name, span, rest = lines[-1].split("|", 2)
    broken = [*lines[:-1], f"{name}|{span}999999|{rest}"]
    (tmp_path / "all.pipe").write_text("\n".join(broken) + "\n")
    with pytest.raises(DataError, match=rf"all\.pipe, line {len(broken)}:"):
        task.read_predictions(tmp_path / "all.pipe", gold)


def test_a_task_that_reads_none_says_what_to_give(tmp_path: Path) -> None:
    task: Task = load().get("tasks", "2016-T12")
    with pytest.raises(UsageError, match="reads no system's files"):
        task.read_predictions(tmp_path, [])


@pytest.mark.parametrize("form", ["brat", "jsonl", "pipe", "iob"])
def test_a_task_file_reads_its_own_format(form: str, tmp_path: Path) -> None:
    source = {"brat": "2015-T14", "jsonl": "2015-T14", "pipe": "2015-T14", "iob": "bc5cdr"}[form]
    documents = corpus_of(load().get("tasks", source), tmp_path / "corpus")
    gold = [replace(d, id=d.id if form == "iob" else f"Doc-{n}") for n, d in enumerate(documents)]
    toml = tmp_path / "mine.toml"
    toml.write_text(f'kind = "mentions"\nformat = "{form}"\nfolder = "."\nname = "mine"\n')
    task: Task = load().get("tasks", str(toml))
    mine = worse(gold)
    task.write(tmp_path / "mine", mine)
    path = tmp_path / "mine"
    read = task.read_predictions(path if form != "iob" else next(path.glob("*.tsv")), gold)
    assert flatten(task.score(gold, read)) == pytest.approx(flatten(task.score(gold, mine)))
