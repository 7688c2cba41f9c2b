"""The synthetic notes' own terminology: it names every concept, some that training never has, and text stays what it was."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench_tasks.common.pipe import CUI_LESS
from bench_tasks.semeval2014_t7.task import SemEval2014T7
from bench_tasks.semeval2015_t14.synthesis.ontology import names, neighbour
from bench_tasks.semeval2015_t14.task import SemEval2015T14

from bench.api.task import Task

SMALL = {"train": 12, "dev": 4, "test": 6}


def test_names_follow_from_lexemes() -> None:
    assert names(("acute", "left", "site:kidney", "stenosis")) == [
        ("acute left renal stenosis", "name"), ("acute stenosis of the left kidney", "exact"),
    ]  # fmt: skip
    assert names(("pulmonary embolism",)) == [("pulmonary embolism", "name"), ("PE", "exact")]
    assert names(("fever",)) == [("fever", "name")]
    assert neighbour(("fever",)) is None
    assert neighbour(("pain", "site:knee")) == ("pain", "site:larynx")


@pytest.mark.parametrize("task", [SemEval2015T14(), SemEval2014T7()], ids=lambda task: task.name)
def test_every_concept_has_a_name_and_some_names_have_no_training_mention(task: Task, tmp_path: Path) -> None:
    task.synthesize(tmp_path / "corpus", 5, SMALL)
    header, *rows = (tmp_path / "corpus" / "concepts.tsv").read_text(encoding="utf-8").splitlines()
    assert header == "concept\tname\tkind"
    assert len(rows) == len(set(rows))
    named = {row.split("\t")[0] for row in rows}
    corpus = task.load(tmp_path / "corpus")
    used = {s: {m.concept for d in corpus[s] for m in d.mentions} - {CUI_LESS} for s in corpus}
    assert CUI_LESS not in named
    assert set().union(*used.values()) <= named
    assert len(used["test"] - used["train"]) > 10
    assert len(named - set().union(*used.values())) > 20
