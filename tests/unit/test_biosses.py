"""biosses: tables, ratings there and back, and correlations that are scipy's, with intervals."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from bench_tasks.biosses.task import Biosses
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bench.api.data import Document, Judgement
from bench.conformance.workbench import Pieces
from bench.data.cuts import cut, joined
from bench.errors import DataError
from bench.evaluation.statistics import with_intervals
from bench.heads import make_head
from bench.kit import ratings
from bench.kit.faults import Fault
from bench.kit.repeats import repeated_texts

TASK = Biosses()
HEADER = "index\tgenre\tsentence1\tsentence2\tscore\n"


def row(index: int, score: object = 2.0, first: str = "", second: str = "") -> str:
    return f"{index}\tx\t{first or f'First of {index}.'}\t{second or f'Second of {index}.'}\t{score}\n"


def put(folder: Path, **splits: str) -> Path:
    folder.mkdir(exist_ok=True)
    usual = {split: row(n, 0.4) + row(n + 1, 3.8) for n, split in enumerate(("train", "dev", "test"), 5)}
    usual = {split: text.replace("of ", f"{split} ") for split, text in usual.items()}
    for split, text in {**usual, **splits}.items():
        (folder / f"{split}.tsv").write_text(HEADER + text, encoding="utf-8")
    return folder


def rated(name: str, score: float) -> Document:
    return Document(name, "", judgements=(Judgement("sentence2", score, True),))


def test_a_pair_is_a_text_with_its_passage(tmp_path: Path) -> None:
    corpus = TASK.load(put(tmp_path))
    first, _ = corpus["train"]
    assert (first.id, first.text) == ("train-5", "First train 5.\nSecond train 5.")
    assert first.text[slice(*first.passages[0].span)] == "Second train 5."
    assert first.judgements == (Judgement("sentence2", 0.4, True),)


NUMBERS = st.lists(st.tuples(st.integers(0, 40), st.integers(-30, 80)), min_size=3, max_size=40)


@given(NUMBERS)
@settings(max_examples=200, deadline=None)
def test_correlations_are_those_of_scipy(pairs: list[tuple[int, int]]) -> None:
    gold = [rated(str(n), x / 10) for n, (x, _) in enumerate(pairs)]
    predicted = [rated(str(n), y / 10) for n, (_, y) in enumerate(pairs)]
    scores = TASK.score(gold, predicted[::-1])
    if len({x for x, _ in pairs}) == 1 or len({y for _, y in pairs}) == 1:
        assert (scores["pearson"], scores["spearman"]) == (0.0, 0.0)
        return
    xs, ys = zip(*pairs, strict=True)
    assert scores["pearson"] == pytest.approx(stats.pearsonr(xs, ys).statistic, abs=1e-9)
    assert scores["spearman"] == pytest.approx(stats.spearmanr(xs, ys).statistic, abs=1e-9)


def test_intervals_are_those_of_a_bootstrap_over_pairs() -> None:
    rng = random.Random(0)
    truth = [rng.uniform(0, 4) for _ in range(60)]
    answers = [x + rng.gauss(0, 0.8) for x in truth]
    gold, predicted = ([rated(str(n), x) for n, x in enumerate(side)] for side in (truth, answers))
    scores = with_intervals(TASK.statistics(gold, predicted), TASK.summarise, names=("pearson",))
    low, high = scores["pearson.ci95"]  # type: ignore[misc]
    resampled = stats.bootstrap(
        (truth, answers), lambda a, b: stats.pearsonr(a, b).statistic, paired=True, vectorized=False, method="percentile",
        n_resamples=500, random_state=1,
    ).confidence_interval  # fmt: skip
    assert low < scores["pearson"] < high  # type: ignore[operator]
    assert (low, high) == pytest.approx((resampled.low, resampled.high), abs=0.02)


def test_a_missing_prediction_rates_nothing_and_none_at_all_is_no_correlation() -> None:
    gold = [rated("a", 1.0), rated("b", 2.0), rated("c", 4.0)]
    assert TASK.score(gold, gold)["pearson"] == pytest.approx(1.0)
    assert TASK.score(gold, [])["pearson"] == 0.0
    one_missing = stats.pearsonr([1, 2, 4], [1, 0, 4]).statistic
    assert TASK.score(gold, [gold[0], gold[2]])["pearson"] == pytest.approx(one_missing)
    assert ratings.statistics([], []) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (row(1, 4.5), "no number from 0 to 4"),
        (row(1, -1), "no number from 0 to 4"),
        (row(1, "nan"), "no number from 0 to 4"),
        (row(1, "high"), "column 'score' is no number"),
        (row(1, first=" "), "field 'sentence1' is blank"),
        ("1\tx\ty\n", "3 columns; wanted 5"),
    ],
)
def test_bad_rows_are_refused_or_left_out_by_name(text: str, told: str, tmp_path: Path) -> None:
    folder = put(tmp_path, dev=row(8, 1) + text + row(9, 3))
    with pytest.raises(Fault, match=r"dev\.tsv:3: ") as caught:
        TASK.load(folder)
    assert told in caught.value.message
    corpus = TASK.tolerating(["malformed-line"]).load(folder)
    assert [d.id for d in corpus["dev"]] == ["dev-8", "dev-9"]
    assert corpus.left_out == {"malformed-line": 1}


def test_a_split_needs_scores_that_differ_and_indices_of_their_own(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no two scores that differ"):
        TASK.load(put(tmp_path / "a", test=row(1, 2) + row(2, 2.0)))
    with pytest.raises(Fault, match=r"test\.tsv:3: an earlier row"):
        TASK.load(put(tmp_path / "b", test=row(1, 2) + row(1, 3)))


def test_what_write_makes_is_scored_against_the_corpus_s_own_file(tmp_path: Path) -> None:
    corpus = TASK.load(put(tmp_path / "c", test=row(1, 1) + row(2, 3) + row(3, 2)))
    guess = [rated(d.id, score) for d, score in zip(corpus["test"], (0.5, 9.25, -1.0), strict=True)]
    TASK.write(tmp_path / "out", guess)
    assert TASK.score_files(tmp_path / "c" / "test.tsv", tmp_path / "out") == TASK.score(corpus["test"], guess)
    assert "First" not in (tmp_path / "out" / "test.tsv").read_text()
    with pytest.raises(DataError, match="no score"):
        TASK.write(tmp_path / "out", [Document("test-1", "")])
    TASK.write(tmp_path / "other", [rated("a-b", 1.0)])
    with pytest.raises(DataError, match="lacks document"):
        TASK.score_files(tmp_path / "c" / "test.tsv", tmp_path / "other")


def through(head: Any, document: Document) -> Document:
    (window,), (gold,), _ = cut(document, Pieces(), 64, head.cuts)
    return joined(document, head.decode(window, head.oracle(head.encode(window, gold))))


def test_ratings_go_there_and_back(tmp_path: Path) -> None:
    head: Any = make_head("regress")
    corpus = TASK.load(put(tmp_path, train="".join(row(n, n / 5) for n in range(1, 21))))
    head.fit(corpus["train"])
    assert head.state() == {"mean": pytest.approx(2.1), "spread": pytest.approx(1.1533, abs=1e-3)}
    for document in corpus["train"]:
        assert through(head, document).judgements == document.judgements
    (window,), (gold,), _ = cut(corpus["train"][0], Pieces(), 64, head.cuts)
    columns = head.encode(window, gold).columns
    assert window.first.index(columns["passage"][0]) == 4  # first of the second sentence's words: 'First of 1 .' come before
    (window,), _, _ = cut(Document("d", corpus["train"][0].text, passages=corpus["train"][0].passages), Pieces(), 64, head.cuts)
    unrated = head.encode(window, Document("d", ""))
    assert unrated.supervised == 0
    assert head.decode(window, head.oracle(unrated)) == ()
    with pytest.raises(DataError, match="1 value in"):
        make_head("regress").fit([rated("a", 1.0), rated("b", 1.0)])


@pytest.mark.torch
def test_the_module_starts_at_the_mean_and_its_loss_is_in_standard_deviations() -> None:
    torch = pytest.importorskip("torch")
    head: Any = make_head("regress")
    head.fit([rated("a", 1.0), rated("b", 3.0)])
    module = head.module(16).eval()
    with torch.no_grad():
        module.score.weight.zero_()
    batch = {
        "attention_mask": torch.ones(3, 4), "passage": torch.tensor([2, 2, 2]), "rating": torch.tensor([10_000, 40_000, 0]),
        "rated": torch.tensor([1, 1, 0]),
    }  # fmt: skip
    hidden = torch.randn(3, 4, 16)
    assert module.predict(hidden, batch) == [2.0, 2.0, 2.0]
    assert float(module.loss(hidden, batch)) == pytest.approx((1 - 2) ** 2 + (4 - 2) ** 2)
    assert module.choices(hidden, batch) is None


def test_synthetic_pairs_are_whole_and_no_giveaway(tmp_path: Path) -> None:
    TASK.synthesize(tmp_path / "c", 0)
    made = TASK.load(tmp_path / "c")
    assert made.synthetic
    assert [len(made[split]) for split in made] == [200, 40, 60]
    assert repeated_texts(made.splits) == ()
    scores = [d.judgements[0].score for d in made["train"]]
    assert min(scores) < 0.5
    assert max(scores) == 4.0
    shared = []
    for document in made["test"]:
        first, second = (set(text.lower().split()) for text in document.text.split("\n"))
        shared.append(rated(document.id, len(first & second) / len(first | second)))
    assert 0.2 < TASK.score(made["test"], shared)["pearson"] < 0.9  # common words tell much, and not all
