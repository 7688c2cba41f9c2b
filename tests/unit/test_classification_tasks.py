"""gad and pubmedqa: files, splits drawn here, scores held against scikit-learn, synthetic corpora."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from bench_tasks.gad.task import GAD
from bench_tasks.pubmedqa.task import PubMedQA

from bench.api.data import Document, Judgement
from bench.data.leaks import as_json, leaks_of, refuse
from bench.errors import DataError, LeakError
from bench.kit import classes
from bench.kit.class_task import ClassTask
from bench.kit.jsonl import Record, read
from bench.kit.repeats import repeated_texts

TASKS = (GAD, PubMedQA)
DATA = Path(__file__).parents[2].parent / "shared" / "data"


def lines(path: Path, *records: Any) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def gad(number: int, label: str, text: str = "") -> dict[str, Any]:
    return {"id": str(number), "text": text or f"Sentence {number} of its own.", "labels": [label]}


def question(number: int, label: str, **other: Any) -> dict[str, Any]:
    context = {"contexts": [f"Background {number}.", "Results."], "labels": ["A", "B"]}
    return {"pubid": number, "question": f"Is it {number}?", "context": context, "final_decision": label, **other}


def said(task: ClassTask, name: str, label: str) -> Document:
    return Document(name, "", judgements=classes.judgements(task.classes, label))


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("seed", range(4))
def test_scores_are_those_of_scikit_learn(task: type[ClassTask], seed: int, tmp_path: Path) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    one, rng = task(), random.Random(seed)
    pool = one.classes if seed else one.classes[:2]  # once with a class that never occurs
    gold = [rng.choice(pool) for _ in range(60)]
    pred = [label if rng.random() < 0.6 else rng.choice(pool) for label in gold]
    names = [f"test-{i}" if task is GAD else str(i) for i in range(60)]
    wanted = [said(one, n, label) for n, label in zip(names, gold, strict=True)]
    given = [said(one, n, label) for n, label in zip(names, pred, strict=True)]
    scores = one.score(wanted, given[::-1])
    labels = list(one.classes)
    assert scores["accuracy"] == pytest.approx(metrics.accuracy_score(gold, pred))
    assert scores["macro_f1"] == pytest.approx(metrics.f1_score(gold, pred, average="macro", labels=labels, zero_division=0))
    table = metrics.precision_recall_fscore_support(gold, pred, labels=labels, zero_division=0)
    for i, name in enumerate(labels):
        row = scores["by_class"][name]
        assert [row["precision"], row["recall"], row["f1"]] == pytest.approx([table[0][i], table[1][i], table[2][i]])
    one.write(tmp_path / "gold", wanted)
    one.write(tmp_path / "pred", given)
    assert one.score_files(tmp_path / "gold", tmp_path / "pred") == scores


def test_a_document_without_a_prediction_is_missed_and_the_likeliest_of_several_counts() -> None:
    task = PubMedQA()
    gold = [said(task, "1", "yes"), said(task, "2", "no")]
    both = Document("2", "", judgements=(Judgement("yes", 0.4, True), Judgement("no", 0.6, True)))
    scores = task.score(gold, [both])
    assert scores["accuracy"] == 0.5
    assert [scores["by_class"]["yes"][k] for k in ("tp", "fp", "fn")] == [0, 0, 1]
    assert task.score(gold, [])["accuracy"] == 0.0


def test_official_files_are_scored_by_the_names_in_them(tmp_path: Path) -> None:
    gold = lines(tmp_path / "test.jsonl", gad(0, "1"), gad(1, "0"), gad(2, "1"))
    pred = lines(
        tmp_path / "mine.jsonl", {"id": 2, "labels": ["1"]}, {"id": "0", "labels": ["0"]}, {"id": "1", "labels": ["0"]}
    )
    assert GAD().score_files(gold, pred)["accuracy"] == pytest.approx(2 / 3)
    lines(pred, {"id": "0", "labels": ["0"]}, {"id": "1", "labels": ["0"]})
    with pytest.raises(DataError, match=r"mine\.jsonl lacks document '2'"):
        GAD().score_files(gold, pred)
    lines(pred, *(gad(i, "1") for i in range(4)))
    with pytest.raises(DataError, match=r"test\.jsonl lacks document '3'"):
        GAD().score_files(gold, pred)


def test_what_write_makes_names_documents_as_the_official_files_do(tmp_path: Path) -> None:
    for split, first in (("train", 10), ("test", 0)):
        lines(tmp_path / f"{split}.jsonl", *(gad(i, str(i % 2), f"{split} {i}") for i in range(first, first + 20)))
    made = GAD().load(tmp_path)
    GAD().write(tmp_path / "out", made["test"])
    assert GAD().score_files(tmp_path / "test.jsonl", tmp_path / "out")["macro_f1"] == 1.0
    with pytest.raises(DataError, match="no class"):
        GAD().write(tmp_path / "out", [Document("test-1", "")])


def test_a_tenth_of_train_is_drawn_whole_texts_and_always_alike(tmp_path: Path) -> None:
    texts = [f"Text {i // 2}" for i in range(200)]  # every text twice
    lines(tmp_path / "train.jsonl", *(gad(i, str(i // 2 % 2), text) for i, text in enumerate(texts)))
    lines(tmp_path / "test.jsonl", gad(0, "1"), gad(1, "0"))
    one, two = GAD().load(tmp_path), GAD().load(tmp_path)
    assert one.splits == two.splits
    assert [len(one[split]) for split in one] == [180, 20, 2]
    assert Counter(map(classes.chosen_class, one["dev"])) == {"0": 10, "1": 10}
    assert repeated_texts(one.splits) == ()
    lines(tmp_path / "dev.jsonl", gad(0, "1", "Another"), gad(1, "0", "And another"))
    assert [len(GAD().load(tmp_path)[split]) for split in one] == [200, 2, 2]


def test_a_text_in_two_splits_is_refused_by_name(tmp_path: Path) -> None:
    lines(tmp_path / "train.jsonl", *(gad(i, str(i % 2)) for i in range(40)))
    lines(tmp_path / "test.jsonl", gad(0, "1", "Fresh."), gad(7, "1", "Sentence  3 of its OWN."), gad(9, "0", "New."))
    with pytest.raises(LeakError, match="'test-7 = train-3' \\(train and test\\)") as caught:
        refuse(tmp_path, leaks_of(GAD().load(tmp_path)))
    assert "its own" not in str(caught.value).lower()
    folder = tmp_path / "qa"
    folder.mkdir()
    for split, numbers in (("train", (1, 2, 3)), ("dev", (4, 5)), ("test", (6, 2))):
        lines(folder / f"{split}.jsonl", *(question(n, ("yes", "no")[n % 2]) for n in numbers))
    with pytest.raises(LeakError, match=r"1 document .*'2' \(train and test\)"):
        refuse(folder, leaks_of(PubMedQA().load(folder)))


def test_drawn_parts_have_their_share_of_every_class(tmp_path: Path) -> None:
    decisions = ["yes"] * 55 + ["no"] * 34 + ["maybe"] * 11
    lines(tmp_path / "all.jsonl", *(question(i, label) for i, label in enumerate(decisions)))
    made = PubMedQA().load(tmp_path)
    counts = {split: Counter(map(classes.chosen_class, made[split])) for split in made}
    assert counts["test"] == {"yes": 28, "no": 17, "maybe": 6} or counts["test"] == {"yes": 27, "no": 17, "maybe": 5}
    assert sum(len(made[split]) for split in made) == 100
    assert 4 <= len(made["dev"]) <= 6
    first = made["train"][0]
    assert first.text == f"Is it {first.id}?\n\nBackground {first.id}.\nResults."
    lines(tmp_path / "dev.jsonl", question(200, "yes"))
    with pytest.raises(DataError, match="one or the other"):
        PubMedQA().load(tmp_path)


@pytest.mark.parametrize(
    ("task", "record", "told"),
    [
        (GAD, {"id": "1", "labels": ["1"]}, "no field 'text'"),
        (GAD, gad(1, "2"), "not one class"),
        (GAD, {**gad(1, "1"), "labels": ["0", "1"]}, "not one class"),
        (GAD, {**gad(1, "1"), "labels": "1"}, "a string; wanted a list"),
        (GAD, {**gad(1, "1"), "id": 1.5}, "a number"),
        (GAD, {**gad(1, "1"), "id": True}, "true or false"),
        (GAD, {**gad(1, "1"), "id": " 1"}, "blanks"),
        (GAD, gad(1, "1", " "), "blank"),
        (GAD, gad(0, "1"), "'train-0' occurs twice"),
        (GAD, gad(1, "1", "\ud800"), "surrogate"),
        (GAD, ["id"], "a list; wanted an object"),
        (PubMedQA, question(1, "Yes"), "wanted 'yes', 'no', 'maybe'"),
        (PubMedQA, question(1, "yes", context={"contexts": []}), "empty list"),
        (PubMedQA, question(1, "yes", context={"contexts": ["a", 1]}), "item 2 of field 'contexts' is a whole number"),
        (PubMedQA, question(1, "yes", context=["a"]), "wanted an object"),
        (PubMedQA, question(-1, "yes"), "below 0"),
        (PubMedQA, question(0, "yes"), "'0' occurs twice"),
    ],
)
def test_bad_lines_are_refused_with_their_place(task: type[ClassTask], record: Any, told: str, tmp_path: Path) -> None:
    good = gad(0, "1") if task is GAD else question(0, "no")
    name = "train.jsonl" if task is GAD else "all.jsonl"
    lines(tmp_path / name, good, record)
    with pytest.raises(DataError, match=rf"{name}:2: ") as caught:
        task().load(tmp_path)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b'{"a": 1}\n\n{"a": 2}\n', ":2: the line is blank"),
        (b'{"a": 1, "a": 2}', ":1: the line holds a field twice"),
        (b'{"a": NaN}', ":1: the line holds a number that is not finite"),
        (b'{"a": ' + b"9" * 5000 + b"}", ":1: the line holds a number that is too long"),
        (b'{"a": "\xff"}', ":1: byte 8 of the line is not UTF-8"),
        (b"[" * 100_000, ":1: "),
        (b'{"a": 1', ":1: no JSON from character 8 on"),
        (b'{"a": 1}\n\xef\xbb\xbf{"a": 1}', ":2: no JSON"),
        (b"", "is empty"),
    ],
)
def test_json_lines_are_read_strictly(content: bytes, told: str, tmp_path: Path) -> None:
    (tmp_path / "f.jsonl").write_bytes(content)
    with pytest.raises(DataError) as caught:
        read(tmp_path / "f.jsonl")
    assert told in str(caught.value)


def test_json_lines_keep_what_stands_in_them(tmp_path: Path) -> None:
    (tmp_path / "f.jsonl").write_bytes('\ufeff{"a": "x\u2028y", "b": 7}\r\n{"o": [{"n": 0}]}'.encode())
    one, two = read(tmp_path / "f.jsonl")
    assert (one.text("a"), one.integer("b"), one.identifier("b"), two.line) == ("x\u2028y", 7, "7", 2)
    assert [inner.integer("n") for inner in two.objects("o")] == [0]
    assert "y" not in repr(Record(Path("f"), 1, {"a": "y"}))


@pytest.mark.parametrize("task", TASKS)
def test_synthetic_corpora_are_no_giveaway(task: type[ClassTask], tmp_path: Path) -> None:
    linear = pytest.importorskip("sklearn.linear_model")
    text = pytest.importorskip("sklearn.feature_extraction.text")
    one = task()
    one.synthesize(tmp_path / "c", 0)
    made = one.load(tmp_path / "c")
    assert made.synthetic
    assert repeated_texts(made.splits) == ()
    words = text.CountVectorizer(binary=True)
    model = linear.LogisticRegression(max_iter=300).fit(
        words.fit_transform(d.text for d in made["train"]), [classes.chosen_class(d) for d in made["train"]]
    )
    guessed = model.predict(words.transform(d.text for d in made["test"]))
    scores = one.score(made["test"], [said(one, d.id, label) for d, label in zip(made["test"], guessed, strict=True)])
    largest = max(Counter(map(classes.chosen_class, made["test"])).values()) / len(made["test"])
    assert largest < scores["accuracy"] <= 0.85  # single words help, and do not do


@pytest.mark.shared
@pytest.mark.parametrize(
    ("task", "sizes"), [(GAD, {"train": 4316, "dev": 480, "test": 534}), (PubMedQA, {"train": 450, "dev": 50, "test": 500})]
)
def test_the_real_corpora(task: type[ClassTask], sizes: dict[str, int]) -> None:
    one = task()
    if not (DATA / one.name).is_dir():
        pytest.skip("the corpus is not beside the repository")
    made = one.load(DATA / one.name)
    assert {split: len(made[split]) for split in made} == sizes
    assert not made.synthetic
    from bench.conformance.workbench import Pieces
    from bench.data.cuts import cut, joined

    head = one.head("classify")
    head.fit(made["train"])
    back = []
    for document in made["test"]:
        (window,), (gold,), _ = cut(document, Pieces(), 128, head.cuts)
        back.append(joined(document, head.decode(window, head.oracle(head.encode(window, gold)))))
    scores = one.score(made["test"], back)
    assert (scores["accuracy"], scores["macro_f1"]) == (1.0, 1.0)
    # The five texts that GAD is published with, in eight lines of test; nothing else stands in two splits.
    assert {name: as_json(leaks_of(made))[name] for name in ("allowed", "tolerated")} == {
        "allowed": 0, "tolerated": 8 if task is GAD else 0
    }  # fmt: skip
    assert len({leak.twin for leak in made.leaks}) == (5 if task is GAD else 0)
