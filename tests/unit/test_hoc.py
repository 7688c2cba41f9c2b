"""hoc: tables, labels of abstracts, scores held against scikit-learn and BLUE's rules, thresholds and calibration of labels."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench_tasks.hoc.task import CLASSES, HoC

from bench.api.data import Document, Judgement
from bench.api.head import Window
from bench.data.leaks import leaks_of, refuse
from bench.errors import DataError, LeakError
from bench.evaluation.calibration import calibration
from bench.evaluation.thresholds import Group, Thresholds, choose
from bench.heads import make_head
from bench.kit import labels, tables
from bench.kit.repeats import repeated_texts

TASK = HoC()
HEADER = "labels\tsentence\tindex\n"


def row(index: str, *chosen: int, sentence: str | None = None) -> str:
    return ",".join(f"{n}_{int(n in chosen)}" for n in range(10)) + f"\t{sentence or f'Sentence {index}.'}\t{index}\n"


def put(folder: Path, **splits: str) -> Path:
    folder.mkdir(exist_ok=True)
    usual = {"train": row("1_s0", 0) + row("1_s1", 3, 4) + row("2_s0"), "dev": row("3_s0", 1), "test": row("4_s0", 2)}
    for split, text in {**usual, **splits}.items():
        (folder / f"{split}.tsv").write_text(HEADER + text, encoding="utf-8")
    return folder


def said(name: str, chosen: Sequence[str]) -> Document:
    return Document(name, "", judgements=labels.judgements(CLASSES, chosen))


def test_sentences_of_an_abstract_are_one_document_with_all_their_labels(tmp_path: Path) -> None:
    quoted = row("9_s0", 9, sentence='"A ""quoted"" word\nover two lines."')
    corpus = TASK.load(put(tmp_path, test=quoted + row("4_s0", 2)))
    first, second = corpus["train"]
    assert (first.id, first.text) == ("1", "Sentence 1_s0.\nSentence 1_s1.")
    assert labels.chosen_classes(first) == {CLASSES[0], CLASSES[3], CLASSES[4]}
    assert [j.name for j in first.judgements] == list(CLASSES)
    assert labels.chosen_classes(second) == set()
    assert corpus["test"][0].text == 'A "quoted" word\nover two lines.'


def blue(gold: list[set[str]], predicted: list[set[str]]) -> tuple[float, float, float]:
    """Example-based precision, recall and F1 by the rules of BLUE's script: documents without a label in gold are not in it."""
    kept = [(g, p) for g, p in zip(gold, predicted, strict=True) if g]
    precision = sum(len(g & p) / len(p) if p else 0.0 for g, p in kept) / len(kept)
    recall = sum(len(g & p) / len(g) for g, p in kept) / len(kept)
    return precision, recall, 2 * precision * recall / (precision + recall)


@pytest.mark.parametrize("seed", range(4))
def test_scores_are_those_of_scikit_learn_and_of_blue(seed: int, tmp_path: Path) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = random.Random(seed)
    gold = [{c for c in CLASSES if rng.random() < 0.2} for _ in range(50)]
    predicted = [{c for c in CLASSES if rng.random() < (0.7 if c in g else 0.1)} for g in gold]
    wanted = [said(f"{n}", g) for n, g in enumerate(gold)]  # type: ignore[arg-type]
    given = [said(f"{n}", p) for n, p in enumerate(predicted)]  # type: ignore[arg-type]
    scores = TASK.score(wanted, given[::-1])
    table = [[[int(c in row) for c in CLASSES] for row in side] for side in (gold, predicted)]
    names = ("precision", "recall", "f1")
    micro = metrics.precision_recall_fscore_support(*table, average="micro", zero_division=0)
    assert [scores["micro"][name] for name in names] == pytest.approx(micro[:3])
    assert scores["macro_f1"] == pytest.approx(metrics.f1_score(*table, average="macro", zero_division=0))
    each = metrics.precision_recall_fscore_support(*table, average=None, zero_division=0)
    for i, name in enumerate(CLASSES):
        assert [scores["by_class"][name][key] for key in names] == pytest.approx([each[k][i] for k in range(3)])
    assert [scores["example_based"][name] for name in names] == pytest.approx(blue(gold, predicted))
    TASK.write(tmp_path / "gold", wanted)
    TASK.write(tmp_path / "pred", given)
    assert TASK.score_files(tmp_path / "gold", tmp_path / "pred") == scores


def test_a_case_worked_by_hand() -> None:
    a, b, c = CLASSES[:3]
    gold = [said("1", [a, b]), said("2", []), said("3", [c]), said("4", [a])]
    given = [said("1", [a]), said("2", [b]), said("3", [])]  # 4 has no prediction
    scores = TASK.score(gold, given)
    assert [scores["micro"][k] for k in ("tp", "fp", "fn")] == [1, 1, 3]
    assert scores["micro"]["f1"] == pytest.approx(2 / 6)
    assert scores["example_based"]["precision"] == pytest.approx(1 / 3)
    assert scores["example_based"]["recall"] == pytest.approx(0.5 / 3)


def test_predictions_by_sentence_are_joined_to_abstracts(tmp_path: Path) -> None:
    folder = put(tmp_path / "c", test=row("4_s0", 2) + row("4_s1", 5) + row("5_s0"))
    pred = tmp_path / "mine.tsv"
    pred.write_text(HEADER + row("5_s0") + row("4_s1", 2, sentence='""') + row("4_s0", 5), encoding="utf-8")
    assert TASK.score_files(folder / "test.tsv", pred)["micro"]["f1"] == 1.0
    pred.write_text(HEADER + row("4_s0", 5), encoding="utf-8")
    with pytest.raises(DataError, match=r"mine\.tsv lacks document '5'"):
        TASK.score_files(folder / "test.tsv", pred)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (row("1_s0", 0) + row("1_s0", 1), ":3: an earlier row has the same 'index'"),
        (row("1", 0), ":2: column 'index' is no name of a sentence"),
        (row("1_s0", 0).replace("9_0", "9_2"), ":2: column 'labels' is no list of ten labels"),
        (row("1_s0", 0).replace(",9_0", ""), ":2: column 'labels'"),
        (row("1_s0", 0, sentence=" "), ":2: field 'sentence' is blank"),
        ("a\tb\n", ":2: 2 columns; wanted 3"),
        (row("1_s0", 0, sentence='"open'), ":2: unexpected end of data"),
        (row("1_s0", 0, sentence='"open') + row("2_s0", 1) + row("3_s0", sentence='shut"'), ":2: a quote that begins a column"),
        ("", "holds no abstract with a hallmark"),
    ],
)
def test_bad_rows_are_refused_with_their_place(text: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        TASK.load(put(tmp_path, dev=text))
    assert f"dev.tsv{told}" in str(caught.value).replace("dev.tsv holds", "dev.tsvholds") or told in str(caught.value)
    (tmp_path / "dev.tsv").write_text("labels\tindex\n", encoding="utf-8")
    with pytest.raises(DataError, match="no column 'sentence'"):
        TASK.load(tmp_path)


def test_an_abstract_in_two_splits_is_refused(tmp_path: Path) -> None:
    folder = put(tmp_path, test=row("7_s0", 1, sentence="SENTENCE 2_s0."))
    with pytest.raises(LeakError, match="'7 = 2' \\(train and test\\)"):
        refuse(folder, leaks_of(TASK.load(folder)))


def test_tables_read_back_what_was_written(tmp_path: Path) -> None:
    rows = [("1", 'with "quotes"', "x"), ("2", "tab\there", ""), ("3", "line\nbreak", " ")]
    tables.write(tmp_path / "t.tsv", ("a", "b", "c"), rows)
    records = tables.read(tmp_path / "t.tsv", ("c", "a"))
    assert [tuple(r.values[k] for k in "abc") for r in records] == rows
    assert [r.line for r in records] == [2, 3, 4]


def test_synthetic_abstracts_are_whole_and_no_giveaway(tmp_path: Path) -> None:
    linear = pytest.importorskip("sklearn.linear_model")
    text = pytest.importorskip("sklearn.feature_extraction.text")
    multi = pytest.importorskip("sklearn.multiclass")
    TASK.synthesize(tmp_path / "c", 0)
    made = TASK.load(tmp_path / "c")
    assert made.synthetic
    assert [len(made[split]) for split in made] == [300, 60, 80]
    assert repeated_texts(made.splits) == ()
    for split in made:
        assert set().union(*map(labels.chosen_classes, made[split])) == set(CLASSES)
        assert not all(map(labels.chosen_classes, made[split]))
    words = text.CountVectorizer(binary=True)
    truth = [[int(c in labels.chosen_classes(d)) for c in CLASSES] for d in made["train"]]
    model = multi.OneVsRestClassifier(linear.LogisticRegression(max_iter=300, class_weight="balanced"))
    model.fit(words.fit_transform(d.text for d in made["train"]), np.array(truth))
    guessed = model.predict_proba(words.transform(d.text for d in made["test"])) >= 0.2
    given = [
        said(d.id, [c for c, yes in zip(CLASSES, row, strict=True) if yes])
        for d, row in zip(made["test"], guessed, strict=True)
    ]
    assert 0.4 < TASK.score(made["test"], given)["micro"]["f1"] < 0.85  # single words help, and do not do


def window(name: str = "d") -> Window:
    return Window(name, (1, 2), (), (), (), 0, 1)


def test_labels_go_there_and_back_whatever_their_number() -> None:
    head = make_head("multilabel")
    documents = [said("1", CLASSES[:2]), said("2", []), said("3", CLASSES[:1])]
    head.fit(documents)
    for document in documents:
        encoding = head.encode(window(), document)
        assert (encoding.supervised, encoding.lost) == (10, {})
        back = Document(document.id, "", judgements=tuple(head.decode(window(), head.oracle(encoding))))  # type: ignore[arg-type]
        assert labels.chosen_classes(back) == labels.chosen_classes(document)
    strange = Document("4", "", judgements=(Judgement("unheard of", 1.0, True),))
    assert head.encode(window(), strange).lost == {"label": 1}
    with pytest.raises(DataError, match="hold no class"):
        make_head("multilabel").fit([said("1", [])])


@pytest.mark.torch
def test_the_module_starts_at_the_rates_and_decides_each_class_by_itself() -> None:
    torch = pytest.importorskip("torch")
    head: Any = make_head("multilabel")
    head.fit([said("1", CLASSES[:1]), said("2", CLASSES[:1]), said("3", CLASSES[:2]), said("4", [])])
    module = head.module(16).eval()
    with torch.no_grad():
        module.label.weight.zero_()
    batch = {"attention_mask": torch.ones(2, 3), "labels": torch.tensor([[1.0] * 10, [0.0] * 10])}
    hidden = torch.randn(2, 3, 16)
    first, second = module.predict(hidden, batch)
    by_name = dict(zip(head.classes, first, strict=True))
    assert by_name[CLASSES[0]] == pytest.approx(0.7, abs=1e-3)  # three of four, smoothed
    assert by_name[CLASSES[2]] == pytest.approx(0.1, abs=0.1)
    assert sum(first) != pytest.approx(1.0)
    assert first == second
    chance = torch.tensor(first)
    wanted = -(chance.log().sum() + (1 - chance).log().sum())
    assert float(module.loss(hidden, batch)) == pytest.approx(float(wanted), abs=1e-2)
    assert module.choices(hidden, batch) is None


def unsure(name: str, **scores: float) -> Document:
    return Document(name, "", judgements=tuple(Judgement(c, s, s >= 0.5) for c, s in scores.items()))


def test_each_label_has_a_threshold_of_its_own() -> None:
    """Class ``a`` is right from .3 on, ``b`` only from .8 on; at one half one is missed and the other made up."""
    gold, handed = [], []
    for n in range(60):
        yes_a, yes_b = n % 2 == 0, n % 3 == 0
        gold.append(Document(f"{n}", "", judgements=(Judgement("a", float(yes_a), yes_a), Judgement("b", float(yes_b), yes_b))))
        handed.append(unsure(f"{n}", a=0.35 if yes_a else 0.1, b=0.9 if yes_b else 0.7))
    chosen = choose(gold, handed, labels=True)
    by_name = {group.label: value for group, value in chosen.groups.items()}
    assert 0.1 < by_name["a"] <= 0.35
    assert 0.7 < by_name["b"] <= 0.9
    accepted = chosen.accept(handed)
    assert [labels.chosen_classes(d) for d in accepted] == [labels.chosen_classes(d) for d in gold]
    assert Thresholds().accept(handed) == tuple(handed)  # without thresholds the head's own choice stands
    assert Thresholds.from_json(chosen.as_json()) == chosen
    assert set(chosen.as_json()) == {"label a", "label b"}
    assert choose(gold, handed) == Thresholds()  # of one class a document these are not the thresholds


@pytest.mark.parametrize("name", ["label x", "relation x", "class x", "x"])
def test_a_mention_label_that_begins_like_a_kind_is_told_apart(name: str) -> None:
    for group in (Group(name), Group(name, several=True), Group(name, kind="label"), Group(name, kind="relation")):
        assert Group.named(str(group)) == group


def test_calibration_holds_every_label_against_gold() -> None:
    gold = [said("1", CLASSES[:1]), said("2", [])]
    given = [unsure("1", **{CLASSES[0]: 0.9, CLASSES[1]: 0.2}), unsure("2", **{CLASSES[0]: 0.6, CLASSES[1]: 0.1})]
    figures = calibration(gold, given, ("labels",))
    assert list(figures) == ["labels"]
    assert figures["labels"]["predictions"] == 4
    assert figures["labels"]["right"] == pytest.approx(1 / 4)
    assert figures["labels"]["brier"] == pytest.approx((0.1**2 + 0.2**2 + 0.6**2 + 0.1**2) / 4)
    assert figures["labels"]["abstention"]["curve"][-1]["right"] == pytest.approx(3 / 4)  # decided: .6 is a wrong yes
    assert calibration(gold, given, ("ratings",)) == {}
