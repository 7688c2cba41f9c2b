"""What a task's page says of its synthetic corpus, held against what bench computes on the corpus that a run writes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from bench.api.data import Corpus, Document, Judgement
from bench.api.task import Task
from bench.data.concepts import ConceptDictionary, mention_words
from bench.kit import classes
from bench.naming import flatten
from bench.registry import Registry
from bench.results.display import score
from bench.steps.corpora import SEED

ROOT = Path(__file__).parents[2]
PAGES = {path.parent.name: path for path in sorted((ROOT / "tasks" / "bench_tasks").glob("*/README.md"))}
NUMBER = re.compile(r"(?<![\w.,])\.\d{2,3}(?![\d.])|\b\d+%")
"""Scores such as ``.477``, and shares such as ``66%``."""
MENTIONS = {
    "2015-T14": "semeval2015_t14", "bc2gm": "bc2gm", "bc5cdr": "bc5cdr", "ncbi-disease": "ncbi_disease",
}  # fmt: skip
CLASSES = {"gad": "gad", "pubmedqa": "pubmedqa"}
RANKED = "2017-T3-A"


def synthetic_section(page: str) -> str:
    """The section of a page on the synthetic corpus, on one line."""
    text = PAGES[page].read_text(encoding="utf-8")
    return " ".join(text.partition("ynthetic corpus\n")[2].partition("\n## ")[0].split())


def written(task: Task, folder: Path) -> Corpus:
    """The corpus that a run without --data writes."""
    task.synthesize(folder / "corpus", SEED)
    return task.load(folder / "corpus")


def by_the_dictionary(task: Task, corpus: Corpus) -> str:
    """The score of the dictionary of training mentions that every result holds, as it is printed."""
    dictionary = ConceptDictionary(task.unlinked).fit(corpus["train"])
    found = [Document(d.id, "", dictionary.annotate(d)) for d in corpus["test"]]
    return score(flatten(task.score(corpus["test"], found))[task.metadata.primary_metric])


@pytest.mark.parametrize("name", MENTIONS)
def test_a_page_has_the_figures_of_the_corpus_that_a_run_writes(name: str, registry: Registry, tmp_path: Path) -> None:
    task = registry.get("tasks", name)
    corpus = written(task, tmp_path)
    known = ConceptDictionary(task.unlinked).fit(corpus["train"])
    mentions = [(d, m) for d in corpus["test"] for m in d.mentions]
    new = sum(mention_words(d.text, m) not in known for d, m in mentions) / len(mentions)
    apart = sum(m.discontiguous for _, m in mentions) / len(mentions)
    figures = {f"{new:.0%}": "of the test mentions never occur in training", by_the_dictionary(task, corpus): "by the primary"}
    figures |= {f"{apart:.0%}": "are discontiguous"} if apart else {}
    said = synthetic_section(MENTIONS[name])
    for figure, words in figures.items():
        assert f"{figure} {words}" in said
    assert set(NUMBER.findall(said)) == set(figures)


def test_the_main_job_has_the_dictionary_of_the_task_s_page(registry: Registry, tmp_path: Path) -> None:
    task = registry.get("tasks", "2015-T14")
    said = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"   {by_the_dictionary(task, written(task, tmp_path))}  a dictionary of the training mentions" in said


@pytest.mark.parametrize("name", CLASSES)
def test_a_linear_model_over_single_words_gets_what_the_page_says(name: str, registry: Registry, tmp_path: Path) -> None:
    linear = pytest.importorskip("sklearn.linear_model")
    words = pytest.importorskip("sklearn.feature_extraction.text").CountVectorizer(binary=True)
    corpus = written(registry.get("tasks", name), tmp_path)
    gold: Mapping[str, list[str]] = {split: [classes.chosen_class(d) for d in corpus[split]] for split in corpus}
    model = linear.LogisticRegression(max_iter=300).fit(words.fit_transform(d.text for d in corpus["train"]), gold["train"])
    guessed = model.predict(words.transform(d.text for d in corpus["test"]))
    right = sum(a == b for a, b in zip(guessed, gold["test"], strict=True)) / len(guessed)
    said = synthetic_section(CLASSES[name])
    assert NUMBER.findall(said) == [f"{right:.2f}".removeprefix("0")]


def by_words_in_common(document: Document) -> Document:
    """Ranks by the share of a candidate's words that stand in the question."""
    words = lambda text: set(re.findall(r"\w+", text.lower()))  # noqa: E731
    asked = words(document.text[: document.passages[0].span[0]])
    own = {passage.id: words(document.text[slice(*passage.span)]) for passage in document.passages}
    judged = tuple(Judgement(key, len(found & asked) / max(len(found), 1), True) for key, found in own.items())
    return Document(document.id, "", judgements=judged)


def test_ranking_by_words_in_common_gets_what_the_page_says(registry: Registry, tmp_path: Path) -> None:
    task = registry.get("tasks", RANKED)
    corpus = written(task, tmp_path)
    ranked = task.score(corpus["test"], [by_words_in_common(d) for d in corpus["test"]])
    assert NUMBER.findall(synthetic_section("semeval2017_t3")) == [f"{ranked['map']:.2f}".removeprefix("0")]


@pytest.mark.parametrize("page", sorted(set(PAGES) - {*MENTIONS.values(), *CLASSES.values(), "semeval2017_t3"}))
def test_no_other_page_has_figures_of_its_synthetic_corpus(page: str) -> None:
    assert not NUMBER.findall(synthetic_section(page)), "hold it against what bench computes, in this file"
