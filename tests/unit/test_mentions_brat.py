"""Brat standoff: what is read, what is counted, what is refused; and leaks and the start of a synthetic corpus."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from bench_tasks.common import brat
from bench_tasks.common.repeats import repeated_sentences
from bench_tasks.common.synthetic import MARKER, Draws, begin, is_synthetic

from bench.api.data import Document, Leak, Mention, Relation
from bench.data.leaks import leaks_of
from bench.errors import DataError, UsageError

TEXT = "Cisplatin led to swollen and painful hands.\r\nNo fever."
ANN = """\
T1	Drug 0 9	Cisplatin
T2	Effect 17 24;37 42	swollen hands
T3	Effect 29 42	painful hands
R1	Causes Arg1:T1 Arg2:T2
R2	Causes Arg1:T1 Arg2:T3
A1	Negated T3
E1	Event:T1 Theme:T2
N1	Reference T1 DB:1	cisplatin
#1	AnnotatorNotes T1	a note
*	Equiv T2 T3
R3	Causes Arg1:E1 Arg2:T2
"""


def corpus(folder: Path, ann: str = ANN, text: str = TEXT) -> Path:
    for split, name in (("train", "a"), ("dev", "b"), ("test", "c")):
        (folder / split).mkdir(parents=True, exist_ok=True)
        (folder / split / f"{name}.txt").write_bytes((text if split == "train" else TEXT).encode())
        (folder / split / f"{name}.ann").write_bytes((ann if split == "train" else ANN).encode())
    return folder


def test_mentions_and_relations_are_read_and_the_rest_is_counted(tmp_path: Path) -> None:
    found, passed = brat.load(corpus(tmp_path))
    (document,) = found["train"]
    drug, swollen, painful = document.mentions
    assert drug == Mention(((0, 9),), "Drug", "DB:1")
    assert swollen == Mention(((17, 24), (37, 42)), "Effect")
    assert [document.text[a:b] for a, b in painful.fragments] == ["painful hands"]
    assert document.relations == (Relation(drug.key, swollen.key, "Causes"), Relation(drug.key, painful.key, "Causes"))
    assert passed == Counter({"A": 3, "E": 3, "#": 3, "*": 3, "R": 3})
    assert not found.synthetic


def test_what_repeats_is_one_and_is_counted(tmp_path: Path) -> None:
    again = ANN + "T9\tDrug 0 9\tCisplatin\nR9\tCauses Arg1:T9 Arg2:T2\n"
    found, passed = brat.load(corpus(tmp_path, again))
    assert len(found["train"][0].mentions) == 3
    assert len(found["train"][0].relations) == 2
    assert passed["repeated"] == 2


def test_folders_may_have_other_names(tmp_path: Path) -> None:
    corpus(tmp_path)
    (tmp_path / "dev").rename(tmp_path / "validation")
    with pytest.raises(DataError, match="no split folder"):
        brat.load(tmp_path)
    found, _ = brat.load(tmp_path, {"dev": "validation"}, labels=("Drug", "Effect"))
    assert [d.id for d in found["dev"]] == ["b"]


BAD = {
    "outside the text": ("T1\tDrug 0 900\tx\n", "line 1", "lies outside the text, which has 54"),
    "an end before its start": ("\nT1\tDrug 9 3\tx\n", "line 2", "ends before or where it starts"),
    "an empty span": ("T1\tDrug 9 9\tx\n", "line 1", "ends before or where it starts"),
    "descending fragments": ("T1\tDrug 17 24;0 9\tx\n", "line 1", "wanted ascending ones"),
    "overlapping fragments": ("T1\tDrug 0 9;5 12\tx\n", "line 1", "wanted ascending ones"),
    "other words than its text column": ("T1\tDrug 0 8\tsecret\n", "line 1", "the text column is not what stands"),
    "an identifier twice": ("T1\tDrug 0 9\tCisplatin\nT1\tDrug 17 24\tswollen\n", "line 2", "already"),
    "a relation of nothing": ("T1\tDrug 0 9\t\nR1\tCauses Arg1:T1 Arg2:T7\n", "line 2", "does not have"),
    "a relation of one": ("T1\tDrug 0 9\t\nR1\tCauses Arg1:T1\n", "line 2", "that are no relation"),
    "words for offsets": ("T1\tDrug secret 9\tx\n", "line 1", "that are no mention"),
    "spaces for tabs": ("T1 Drug 0 9 secret\n", "line 1", "that are no mention"),
    "a line that is none": ("T1\tDrug 0 9\t\nsecret words\n", "line 2", "that are no annotation"),
    "a note without a tab": ("#secret\n", "line 1", "that are no annotation"),
    "nothing": ("", "train", "no mention at all"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_files_are_refused_with_file_and_line_and_without_text(tmp_path: Path, what: str) -> None:
    ann, where, wanted = BAD[what]
    with pytest.raises(DataError) as error:
        brat.load(corpus(tmp_path, ann))
    assert where in str(error.value)
    assert wanted in str(error.value)
    assert "secret" not in str(error.value)
    if what != "nothing":
        assert "a.ann" in str(error.value)


def test_types_that_train_lacks_or_that_are_not_wanted(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"b\.ann: its mentions have 1 types"):
        brat.load(corpus(tmp_path / "1", "T1\tEffect 0 9\t\nT2\tEffect 17 24\t\nR1\tCauses Arg1:T1 Arg2:T2\n"))
    with pytest.raises(DataError, match=r"b\.ann: its relations have 1 types"):
        brat.load(corpus(tmp_path / "2", "T1\tEffect 0 9\t\nT2\tDrug 17 24\t\n"))
    with pytest.raises(DataError, match=r"a\.ann: its mentions have 1 types .*Wanted Drug\."):
        brat.load(corpus(tmp_path / "3"), labels=("Drug",))
    with pytest.raises(DataError, match=r"a\.ann: its relations have 1 types .*Wanted Treats\."):
        brat.load(corpus(tmp_path / "4"), relations=("Treats",))


def test_files_without_their_other_half_and_documents_in_two_splits(tmp_path: Path) -> None:
    (corpus(tmp_path / "1") / "dev" / "b.txt").unlink()
    with pytest.raises(DataError, match=r"b\.ann has no b\.txt"):
        brat.load(tmp_path / "1")
    (corpus(tmp_path / "2") / "dev" / "x.txt").write_text("x", encoding="utf-8")
    with pytest.raises(DataError, match=r"x\.txt has no x\.ann"):
        brat.load(tmp_path / "2")
    for suffix in ("txt", "ann"):
        (corpus(tmp_path / "3") / "test" / f"A.{suffix}").write_bytes(b"")
    found, _ = brat.load(tmp_path / "3")
    assert leaks_of(found) == (Leak("A", "test", "train"),)


def scored(tmp_path: Path, gold: str, pred: str) -> dict[str, dict[str, dict[str, float]]]:
    for name, text in (("gold", gold), ("pred", pred)):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "d.ann").write_text(text, encoding="utf-8")
    return brat.score_files(tmp_path / "gold", tmp_path / "pred")


def test_scores(tmp_path: Path) -> None:
    pred = "T1\tDrug 0 9\nT2\tEffect 17 24;37 42\t\nT3\tDrug 29 42\tpainful hands\nT4\tEffect 1 2;3 4\tx\n"
    found = scored(tmp_path, ANN, pred)
    assert {k: found["strict"][k] for k in ("tp", "fp", "fn")} == {"tp": 2, "fp": 2, "fn": 1}
    assert found["discontiguous"] == {
        "tp": 1, "fp": 1, "fn": 0, "precision": 0.5, "recall": 1.0, "f1": pytest.approx(2 / 3)
    }  # fmt: skip
    assert found["by_type"]["Drug"]["fp"] == 1
    assert found["by_type"]["Effect"]["f1"] == 0.5
    assert brat.score_files(tmp_path / "gold" / "d.ann", tmp_path / "pred" / "d.ann") == found
    (tmp_path / "pred" / "other.ann").write_text("T1\tDrug 0 9\t\n", encoding="utf-8")
    assert brat.score_files(tmp_path / "gold", tmp_path / "pred")["strict"]["fp"] == 3
    with pytest.raises(DataError, match="no file or folder"):
        brat.score_files(tmp_path / "gold", tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no \.ann file"):
        brat.score_files(tmp_path / "gold", tmp_path / "empty")


def test_written_files_hold_no_text(tmp_path: Path) -> None:
    found, _ = brat.load(corpus(tmp_path))
    brat.write(tmp_path / "out", found["train"])
    written = (tmp_path / "out" / "a.ann").read_text(encoding="utf-8")
    assert written == (
        "T1\tDrug 0 9\t\nT2\tEffect 17 24;37 42\t\nT3\tEffect 29 42\t\nR1\tCauses Arg1:T1 Arg2:T2\nR2\tCauses Arg1:T1 Arg2:T3\n"
    )
    a = Mention(((0, 1),), "A")
    with pytest.raises(DataError, match="cannot be a file name"):
        brat.write(tmp_path / "out", [Document("../x", "")])
    with pytest.raises(DataError, match="cannot be a type"):
        brat.write(tmp_path / "out", [Document("x", "", (Mention(((0, 1),), "two words"),))])
    with pytest.raises(DataError, match="does not have"):
        brat.write(tmp_path / "out", [Document("x", "", (a,), (Relation(a.key, (((1, 2),), "A"), "R"),))])


def test_repeats_are_those_of_earlier_splits_only() -> None:
    one, two = Document("a", "x y"), Document("b", "x y")
    assert repeated_sentences({"train": [one, two], "test": [Document("c", "z")]}, words=1, share=0.0) == ()
    assert repeated_sentences({"train": [one], "test": [two]}, words=3, share=0.0) == ()
    found = repeated_sentences({"train": [one], "test": [two]}, words=2, share=0.0)
    assert found == (Leak("b", "test", "train", "a"),)


def test_a_synthetic_corpus_begins_with_its_marker(tmp_path: Path) -> None:
    usual = {"train": 3, "dev": 2, "test": 1}
    assert begin(tmp_path / "a", {"dev": 5}, usual) == {"train": 3, "dev": 5, "test": 1}
    assert is_synthetic(tmp_path / "a")
    assert not is_synthetic(tmp_path)
    for folder in (tmp_path / "a", tmp_path / "a" / MARKER):
        with pytest.raises(UsageError, match="is not empty"):
            begin(folder, None, usual)
    with pytest.raises(UsageError, match="no split 'validation'"):
        begin(tmp_path / "b", {"validation": 5}, usual)
    with pytest.raises(UsageError, match="asked for -1 documents in dev"):
        begin(tmp_path / "b", {"dev": -1}, usual)
    assert not (tmp_path / "b").exists()


def test_draws_are_what_they_were() -> None:
    """A change here changes every synthetic corpus."""
    draws = Draws(7, "train", 1)
    assert [draws.number(1, 100) for _ in range(6)] == [85, 2, 60, 61, 22, 19]
    assert draws.shuffled(range(6)) == [1, 4, 2, 3, 5, 0]
    assert {Draws(n).choose("ab") for n in range(20)} == {"a", "b"}
    assert 0.4 < sum(Draws(n).chance(0.5) for n in range(400)) / 400 < 0.6
