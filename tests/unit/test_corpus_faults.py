"""Faulty lines of every kind in every format: all told at once, left out by name, counted; and nothing left out unnamed."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bench_tasks.bc5cdr.task import Bc5cdr
from bench_tasks.chemprot.task import ChemProt
from bench_tasks.custom.settings import FORMATS
from bench_tasks.custom.task import task_from_file
from bench_tasks.gad.task import GAD
from bench_tasks.pubmedqa.task import PubMedQA
from bench_tasks.semeval2014_t7.task import SemEval2014T7
from bench_tasks.semeval2015_t14.task import SemEval2015T14
from bench_tasks.semeval2016_t12.task import SemEval2016T12

from bench.api.data import SPLITS, Corpus
from bench.api.task import Task
from bench.cli import main
from bench.data.spans import tidied_corpus
from bench.errors import DataError, DataWarning, UsageError
from bench.kit.faults import DEPENDENT, KINDS
from bench.kit.formats import BY_FORMAT, READERS

TEXT = "one two three four five"
SLOTS = "no|null|patient|null|no|null|unmarked|null|unmarked|null|false|null|false|null|null|null"
SECRET = "secretword"


def beside_text(folder: Path, split: str, suffixes: tuple[str, str], content: bytes) -> None:
    home = folder / split
    home.mkdir(parents=True, exist_ok=True)
    for suffix, written in zip(suffixes, (f"{TEXT} {split}".encode(), content), strict=True):
        (home / f"{split}.{suffix}").write_bytes(written)


def brat(folder: Path, split: str, more: bytes = b"") -> None:
    lines = b"T1\tA 0 3\tone\nT2\tB 4 7\ttwo\nR1\tr Arg1:T1 Arg2:T2\n"
    beside_text(folder, split, ("txt", "ann"), lines + more)


def pipe(folder: Path, split: str, more: bytes = b"") -> None:
    beside_text(folder, split, ("text", "pipe"), f"{split}|0-3|C1|{SLOTS}\n".encode() + more)


def iob(folder: Path, split: str, more: bytes = b"") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FORMATS["iob"][split][0]).write_bytes(f"-DOCSTART- ({split})\n\none\tB-A\n{split}\tO\n\n".encode() + more)


def jsonl(folder: Path, split: str, more: bytes = b"") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    marks = [{"fragments": [[0, 3]], "label": "A"}, {"fragments": [[4, 7]], "label": "B"}]
    row = {"id": split, "text": f"{TEXT} {split}", "mentions": marks, "relations": [{"source": 0, "target": 1, "label": "r"}]}
    (folder / f"{split}.jsonl").write_bytes(json.dumps(row).encode() + b"\n" + more)


WRITERS: dict[str, Callable[..., None]] = {"brat": brat, "pipe": pipe, "iob": iob, "jsonl": jsonl}


def line(marks: list[Any], related: list[Any], ident: str = "more") -> bytes:
    marks = [{"fragments": fragments, "label": label} for fragments, label in marks]
    relations = [{"source": a, "target": b, "label": label} for a, b, label in related]
    return json.dumps({"id": ident, "text": TEXT, "mentions": marks, "relations": relations}).encode() + b"\n"


A, B = ([[0, 3]], "A"), ([[4, 7]], "B")


def added(form: str, mentions: int, relations: int, rows: dict[str, bytes]) -> dict[tuple[str, str], tuple[bytes, int, int]]:
    return {(form, kind): (content, mentions, relations) for kind, content in rows.items()}


# What is added to the training file, and how many mentions and relations of that file are read where it is left out.
FAULTS = {
    **added("brat", 2, 1, {
        "malformed-line": b"secretword\n",
        "repeated-id": b"T1\tA 8 13\tthree\n",
        "empty-span": b"T3\tA 9 3\tsecretword\n",
        "outside-text": b"T3\tA 9 300\tsecretword\n",
        "text-mismatch": b"T3\tA 8 13\tsecretword\n",
        "unknown-label": b"R2\tsecretword Arg1:T2 Arg2:T1\n",
        "missing-mention": b"R2\tr Arg1:T2 Arg2:T9\n",
        "self-relation": b"R2\tr Arg1:T2 Arg2:T2\n",
        "unknown-role": b"R2\tr From:T2 From:T1\n",
    }),
    **added("pipe", 1, 0, {
        "malformed-line": b"train|secretword|C1\n",
        "empty-span": f"train|9-3|C1|{SLOTS}\n".encode(),
        "outside-text": f"train|9-300|C1|{SLOTS}\n".encode(),
        "other-document": f"secretword|4-7|C1|{SLOTS}\n".encode(),
    }),
    **added("iob", 1, 0, {
        "malformed-line": b"-DOCSTART- (x)\nsecretword\n",
        "repeated-id": b"-DOCSTART- (train)\nsecretword\tB-A\n",
        "unknown-label": b"-DOCSTART- (x)\nsecretword\tB-C\n",
        "orphan-tag": b"-DOCSTART- (x)\nsecretword\tI-A\n",
    }),
    **added("jsonl", 2, 1, {
        "not-utf8": b'{"id": "\xff"}\n',
        "malformed-line": b'{"id": "secretword"\n',
        "repeated-id": line([A], [], "train"),
    }),
    **added("jsonl", 3, 1, {
        "repeated-annotation": line([A, A], []),
        "empty-span": line([A, ([[5, 2]], "A")], []),
        "outside-text": line([A, ([[5, 200]], "A")], []),
    }),
    **added("jsonl", 4, 1, {
        "unknown-label": line([A, B], [(0, 1, "secretword")]),
    }),
    **added("jsonl", 4, 2, {
        "missing-mention": line([A, B], [(0, 2, "r"), (0, 1, "r")]),
        "self-relation": line([A, B], [(0, 0, "r"), (0, 1, "r")]),
    }),
}  # fmt: skip
# Faults of files, which are no line that is added.
FILES = {("brat", "missing-file"), ("brat", "not-utf8"), ("pipe", "missing-file"), ("pipe", "not-utf8")}
LABELS = {"brat": 'labels = ["r"]\n', "jsonl": 'labels = ["r"]\n', "iob": 'labels = ["A"]\n', "pipe": ""}


def made(folder: Path, form: str, content: bytes = b"", more: str = "", split: str = "train") -> Any:
    for name in SPLITS:
        WRITERS[form](folder / "corpus", name, content if name == split else b"")
    kind = "relations" if form in ("brat", "jsonl") else "mentions"
    path = folder / "mine.toml"
    path.write_text(f'kind = "{kind}"\nformat = "{form}"\nfolder = "corpus"\n{LABELS[form]}{more}', encoding="utf-8")
    return task_from_file(path)


def load(task: Any) -> Corpus:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        return task.load(task.folder)  # type: ignore[no-any-return]


def fault(task: Any) -> str:
    with pytest.raises(DataError) as caught:
        load(task)
    told = str(caught.value)
    assert SECRET not in told.replace(str(task.folder), "")
    return told


def test_every_kind_of_every_format_is_tried_here() -> None:
    kinds = {(form, kind) for form, kinds in BY_FORMAT.items() for kind in kinds}
    assert {(form, kind) for form, kind in kinds if form not in READERS} == FAULTS.keys() | FILES  # others: test_readers.py


@pytest.mark.parametrize(("form", "kind"), FAULTS)
def test_a_line_of_a_kind_is_told_or_left_out_and_counted(form: str, kind: str, tmp_path: Path) -> None:
    content, mentions, relations = FAULTS[form, kind]
    told = fault(made(tmp_path, form, content))
    assert "train" in told
    assert f"--tolerate {kind}" in told
    other = next(name for name in BY_FORMAT[form] if name != kind)
    assert fault(made(tmp_path, form, content, f'tolerate = ["{other}"]\n'))  # nothing is left out unnamed
    for task in (made(tmp_path, form, content, f'tolerate = ["{kind}"]\n'), made(tmp_path, form, content).tolerating([kind])):
        corpus = load(task)
        assert corpus.left_out == {kind: 1}
        assert sum(len(document.mentions) for document in corpus["train"]) == mentions
        assert sum(len(document.relations) for document in corpus["train"]) == relations
    assert load(made(tmp_path, form, b"", f'tolerate = ["{kind}"]\n')).left_out == {}


@pytest.mark.parametrize(("form", "kind"), sorted(FILES))
def test_a_file_of_a_kind_is_told_or_left_out_with_its_document(form: str, kind: str, tmp_path: Path) -> None:
    task = made(tmp_path, form)
    suffix = {"brat": "ann", "pipe": "pipe"}[form]
    (tmp_path / "corpus" / "dev" / f"extra.{suffix}").write_bytes(b"\xff\xfe")
    if kind == "not-utf8":
        (tmp_path / "corpus" / "dev" / ("extra.txt" if form == "brat" else "extra.text")).write_bytes(b"fine")
    assert f"extra.{suffix}" in fault(task)
    corpus = load(task.tolerating([kind]))
    assert (corpus.left_out, [d.id for d in corpus["dev"]]) == ({kind: 1}, ["dev"])


def test_all_faults_are_told_at_once_counted_and_the_first_ten_by_line(tmp_path: Path) -> None:
    """A corpus is not to be mended one start after the other."""
    lines = [f"T{n}\tA 8 13\tsecretword\n" for n in range(10, 33)] + [f"T{n}\tA 9 300\t\n" for n in range(40, 44)]
    task = made(tmp_path, "brat", "".join(lines).encode())
    (tmp_path / "corpus" / "test" / "test.ann").write_bytes(b"nothing\n")
    first, *listed = fault(task).split("\n")
    assert f"{tmp_path / 'corpus'} has 28 faults: text-mismatch 23, outside-text 4, malformed-line 1. The first 10 are" in first
    assert [row.strip().split(":")[0] for row in listed] == ["text-mismatch"] * 10
    assert [int(row.partition("line ")[2].partition(":")[0]) for row in listed] == list(range(4, 14))
    assert "--tolerate text-mismatch --tolerate outside-text --tolerate malformed-line" in listed[-1]
    corpus = load(made(tmp_path, "brat", "".join(lines).encode()).tolerating(["text-mismatch", "outside-text"]))
    assert corpus.left_out == {"text-mismatch": 23, "outside-text": 4}


@pytest.mark.parametrize("form", ["brat", "jsonl"])
def test_relations_of_a_mention_that_was_left_out_go_with_it_and_are_counted(form: str, tmp_path: Path) -> None:
    content = {
        "brat": b"T3\tA 9 300\tx\nR2\tr Arg1:T1 Arg2:T3\nR3\tr Arg1:T3 Arg2:T2\n",
        "jsonl": line([A, ([[9, 300]], "A"), B], [(0, 1, "r"), (1, 2, "r"), (0, 2, "r")]),
    }[form]
    corpus = load(made(tmp_path, form, content, 'tolerate = ["outside-text"]\n'))
    assert corpus.left_out == {"outside-text": 1, DEPENDENT: 2}
    related = [(r.source[0], r.target[0]) for d in corpus["train"] for r in d.relations]
    assert related == [(((0, 3),), ((4, 7),))] * (1 if form == "brat" else 2)
    with pytest.raises(UsageError, match="Unknown kind of faulty line"):
        made(tmp_path, form).tolerating([DEPENDENT])


@pytest.mark.parametrize("form", ["brat", "pipe", "jsonl"])
def test_fragments_in_any_order_are_one_mention_and_counted(form: str, tmp_path: Path) -> None:
    content = {
        "brat": b"T3\tA 14 18;4 7\tfour two\nT4\tA 0 3;8 13\tone three\n",
        "pipe": f"train|14-18,4-7|C1|{SLOTS}\n".encode(),
        "jsonl": line([([[14, 18], [4, 7]], "A"), B], [(0, 1, "r")]),
    }[form]
    corpus = tidied_corpus(load(made(tmp_path, form, content)))
    assert ((4, 7), (14, 18)) in [m.fragments for d in corpus["train"] for m in d.mentions]
    assert corpus.left_out == {}
    assert corpus.adjusted == {"sorted": 1}


def test_concepts_and_slots_are_not_looked_at_where_spans_are_wanted(tmp_path: Path) -> None:
    odd = f"train|4-7|??|{SLOTS.replace('unmarked', 'what', 1)}\n".encode()
    assert len(load(made(tmp_path, "pipe", odd))["train"][0].mentions) == 2


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ('["text-mismach"]', "'text-mismach'. Did you mean 'text-mismatch'?"),
        ('["orphan-tag"]', "Wanted missing-file, not-utf8"),
        ('"text-mismatch"', "'tolerate' is a string; wanted a list"),
        ('["text-mismatch", "text-mismatch"]', "twice"),
    ],
)
def test_a_kind_that_the_format_does_not_have_is_refused_with_those_it_has(value: str, wanted: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        made(tmp_path, "brat", more=f"tolerate = {value}\n")
    assert wanted in str(caught.value)


def test_commands_take_the_flag(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(tmp_path, "brat", b"T3\tA 8 13\tsecretword\n")
    file, gold = str(tmp_path / "mine.toml"), str(tmp_path / "corpus" / "train")
    assert main(["check", file]) == 1
    assert main(["check", file, "--tolerate", "text-mismatch"]) == 0
    assert "faulty lines left out: text-mismatch 1" in capsys.readouterr().out
    for command in (["check", file], ["run", "--task", file], ["score", file, "--gold", gold, "--pred", gold]):
        assert main([*command, "--tolerate", "text-mismach"]) == 2
        assert "'text-mismach'. Did you mean 'text-mismatch'" in capsys.readouterr().err
    (tmp_path / "corpus" / "train" / "train.ann").write_bytes(b"T1\tA 0 3\t\nT2\tB 4 7\t\nT3\tA 9 3\t\nR1\tr Arg1:T1 Arg2:T2\n")
    pred = tmp_path / "pred"
    pred.mkdir()
    (pred / "train.ann").write_bytes(b"T1\tA 0 3\t\nT2\tB 4 7\t\nR1\tr Arg1:T1 Arg2:T2\n")
    assert main(["score", file, "--gold", gold, "--pred", str(pred)]) == 4
    assert main(["score", file, "--gold", gold, "--pred", str(pred), "--tolerate", "empty-span"]) == 0
    out, err = capsys.readouterr()
    assert "warning: Faulty lines of" in err
    assert "empty-span 1" in err
    assert "1.000" in out
    assert main(["score", file, "--gold", str(pred), "--pred", gold, "--tolerate", "empty-span"]) == 4  # a system's own


SCORED = {
    "brat": (b"T3\tA 9 300\t\n", "outside-text"),
    "pipe": (f"train|9-300|C1|{SLOTS}\n".encode(), "outside-text"),
    "iob": (b"-DOCSTART- (x)\n\nlong\tI-A\n", "orphan-tag"),
    "jsonl": (line([A, B], [(0, 9, "r")], "x"), "missing-mention"),
}


@pytest.mark.parametrize("form", SCORED)
def test_scoring_leaves_the_same_lines_of_gold_out_as_a_run(form: str, tmp_path: Path) -> None:
    """Whoever predicts all that a run is trained on is right in everything, in files as in the run."""
    content, kind = SCORED[form]
    task = made(tmp_path, form, content).tolerating([kind])
    corpus = load(task)
    home = task.spec.splits["train"][0]
    task.write(tmp_path / "pred", [d.without_text() for d in corpus["train"]])
    pred = next(p for p in (tmp_path / "pred").iterdir()) if form in ("iob", "jsonl") else tmp_path / "pred"
    with pytest.warns(DataWarning, match=f"Faulty lines of .* were left out: {kind} 1"):
        scores = task.score_files(tmp_path / "corpus" / home, pred)
    assert scores[task.spec.metric.split(".")[0]]["f1"] == 1


FIRST_PARTY: tuple[Task, ...] = (
    SemEval2015T14(), SemEval2014T7(), SemEval2016T12(), Bc5cdr(), GAD(), PubMedQA(), ChemProt(),
)  # fmt: skip
BROKEN = {".pipe": b"x\n", ".xml": b"x\n", ".tsv": b"\none two three\n\nfour\n", ".jsonl": b"{\n[]\n"}


@pytest.mark.parametrize("task", FIRST_PARTY, ids=lambda task: task.name)
def test_loaders_of_official_corpora_tell_all_faults_too_and_leave_out_what_is_named(task: Task, tmp_path: Path) -> None:
    folder = tmp_path / "c"
    task.synthesize(folder, 1, {"train": 40, "dev": 8, "test": 8})
    whole = task.load(folder)
    touched = [path for path in sorted(folder.rglob("*")) if path.suffix in BROKEN and "train" in str(path.relative_to(folder))]
    touched = touched[:2]
    for path in touched:
        path.write_bytes(path.read_bytes() + BROKEN[path.suffix])
    with pytest.raises(DataError) as caught:
        task.load(folder)
    assert "has 2 faults: malformed-line 2. They are" in str(caught.value)
    assert set(task.faults) <= set(KINDS)
    left = task.tolerating(["malformed-line"]).load(folder)
    assert left.left_out == {"malformed-line": 2}
    gone = {path.name.split(".")[0] for path in touched} if task.name == "2016-T12" else set()  # whole documents
    for split in SPLITS:
        assert left[split] == tuple(document for document in whole[split] if document.id not in gone)
    with pytest.raises(UsageError, match="Unknown kind of faulty line"):
        task.tolerating(["unknown-role"])
