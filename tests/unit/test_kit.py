"""`bench.kit`, what a third party's task needs: light to import, and listed on its page."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import bench.kit
from bench.api.data import SPLITS, Document, Judgement, Passage
from bench.errors import DataError, UsageError
from bench.kit import classes, corpora, rankings, scores
from bench.kit.corpus_task import CorpusTask
from bench.kit.faults import Faults
from bench.kit.jsonl import Record
from bench.kit.synthetic import MARKER, read_words

MODULES = sorted(path.stem for path in Path(bench.kit.__file__).parent.glob("*.py") if path.stem != "__init__")


def test_importing_all_of_it_loads_nothing_heavy() -> None:
    code = (
        f"import sys, importlib; [importlib.import_module('bench.kit.' + name) for name in {MODULES}];"
        "print(sorted({'torch', 'transformers', 'numpy', 'scipy'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": ":".join(sys.path)})
    assert ran.stdout.strip() == "[]", ran.stderr


def test_every_module_stands_on_the_page_and_in_the_package_s_own_docstring(root: Path) -> None:
    page = (root / "docs" / "plugins.md").read_text(encoding="utf-8").partition("## The kit")[2].partition("\n## ")[0]
    assert {name for name in MODULES if f"`{name}`" not in page} == set()
    assert {name for name in MODULES if name not in (bench.kit.__doc__ or "")} == set()


def test_no_task_imports_another_and_a_task_s_file_imports_none(root: Path) -> None:
    """But 2014-T7, whose synthetic corpus is that of 2015-T14 in another format."""
    folder = root / "tasks" / "bench_tasks"
    packages = {path.parent.name for path in folder.glob("*/task.py")} - {"custom"}
    found = set()
    for path in folder.glob("*/**/*.py"):
        home = path.relative_to(folder).parts[0]
        imported = re.findall(r"from bench_tasks\.(\w+)", path.read_text(encoding="utf-8"))
        found |= {(home, name) for name in imported if name in packages and name != home}
    assert found == {("semeval2014_t7", "semeval2015_t14")}


def lined(folder: Path, **splits: list[dict[str, str]]) -> Path:
    for split, rows in splits.items():
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def document(record: Record) -> Document:
    return Document(record.identifier("id"), record.text("text"))


def test_a_corpus_of_one_file_a_split(tmp_path: Path) -> None:
    rows = {split: [{"id": f"{split}1", "text": f"One {split}."}, {"id": f"{split}2", "text": "The same."}] for split in SPLITS}
    found = corpora.load(lined(tmp_path, **rows), document, "FOLDER/{train,dev,test}.jsonl")
    assert [d.id for split in SPLITS for d in found[split]] == ["train1", "train2", "dev1", "dev2", "test1", "test2"]
    assert [(leak.document, leak.split, leak.other) for leak in found.leaks] == [
        ("dev2", "dev", "train"),
        ("test2", "test", "train"),
    ]
    digest = hashlib.sha256()
    for split in SPLITS:
        data = (tmp_path / f"{split}.jsonl").read_bytes()
        digest.update(f"{split}.jsonl\0{len(data)}\0".encode() + data)
    assert (found.synthetic, found.sha256) == (False, digest.hexdigest())
    (tmp_path / MARKER).write_text("made up")
    assert corpora.load(tmp_path, document, "").synthetic


def test_all_faults_of_a_corpus_are_told_at_once_or_left_out(tmp_path: Path) -> None:
    good = [{"id": "a", "text": "Words."}]
    lined(tmp_path, train=[*good, {"id": "a", "text": "Again."}], dev=[{"id": "b"}], test=good)  # type: ignore[list-item]
    with pytest.raises(DataError, match="2 faults: repeated-id 1, malformed-line 1") as caught:
        corpora.load(tmp_path, document, "FOLDER")
    assert "train.jsonl:2: document 'a' occurs twice" in str(caught.value)
    assert "dev.jsonl:1: there is no field 'text'" in str(caught.value)
    left = corpora.load(tmp_path, document, "FOLDER", Faults(("repeated-id", "malformed-line")))
    assert (len(left["train"]), len(left["dev"]), dict(left.left_out)) == (1, 0, {"repeated-id": 1, "malformed-line": 1})
    with pytest.raises(DataError, match="There is no folder"):
        corpora.load(tmp_path / "none", document, "FOLDER")


def test_counts_add_up_and_arrays_of_sums_give_arrays_of_scores() -> None:
    rows = [{"all.tp": 1.0, "all.fp": 1.0}, {"all.tp": 2.0, "all.fn": 1.0}]
    total = scores.summed(rows)
    assert total == {"all.tp": 3.0, "all.fp": 1.0, "all.fn": 1.0}
    found = scores.prf(total, "all")
    assert (found["tp"], found["precision"], found["recall"], found["f1"]) == (3, 0.75, 0.75, 0.75)
    many = scores.prf({name: np.array([value, 0.0]) for name, value in total.items()}, "all")
    assert many["f1"].tolist() == [0.75, 0.0]


def test_scorers_match_documents_by_id() -> None:
    gold = [Document(n, "", judgements=classes.judgements(("x", "y"), c)) for n, c in (("1", "x"), ("2", "y"), ("3", "y"))]
    pred = [Document("2", "", judgements=classes.judgements(("x", "y"), "y")), *gold[:1]]
    found = classes.summarise(("x", "y"), scores.summed(classes.statistics(("x", "y"), gold, pred)))
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert found["by_class"]["y"]["fn"] == 1
    query = Document(
        "q",
        "",
        judgements=(Judgement("p", 1.0, True), Judgement("o", 0.0, False)),
        passages=(Passage("o", (0, 1)), Passage("p", (1, 2))),
    )
    said = Document("q", "", judgements=(Judgement("o", 0.9, True), Judgement("p", 0.1, False)))
    ranked = rankings.summarise(scores.summed(rankings.statistics([query], [said])))
    assert (ranked["map"], ranked["mrr"]) == (0.5, 50.0)


def test_words_are_frozen(tmp_path: Path) -> None:
    path = tmp_path / "words.json"
    path.write_text('{"frames": [["On {d}", ["a>b"]]], "é": 1}', encoding="utf-8")
    assert read_words(path) == {"frames": (("On {d}", ("a>b",)),), "é": 1}


def test_a_task_without_a_writer_has_no_synthetic_corpus(tmp_path: Path, registry: object) -> None:
    from bench_tasks.gad.task import GAD

    class Bare(GAD):
        writer = None

    task: CorpusTask = Bare()
    assert (task.synthesizes, task.needs_data, GAD().synthesizes, GAD().needs_data) == (False, True, True, False)
    with pytest.raises(UsageError, match="has no synthetic corpus") as caught:
        task.synthesize(tmp_path / "c", 1)
    assert "--data gad=DIR" in str(caught.value)
    assert not (tmp_path / "c").exists()
