"""Brat standoff: what is read, what is counted, what is refused; roles of relations; leaks and a synthetic corpus's start."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
from bench_tasks.custom.task import task_from_file

from bench.api.data import Corpus, Document, Leak, Mention, Relation
from bench.data.leaks import leaks_of
from bench.errors import DataError, DataWarning, UsageError
from bench.kit import brat
from bench.kit.repeats import repeated_sentences
from bench.kit.roles import declared_in
from bench.kit.synthetic import MARKER, Draws, begin, is_synthetic

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


def task(folder: Path, kind: str = "relations", more: str = "") -> Any:
    path = folder.parent / f"{folder.name}.toml"
    path.write_text(f'kind = "{kind}"\nformat = "brat"\nfolder = "{folder.name}"\n{more}', encoding="utf-8")
    return task_from_file(path)


def load(folder: Path, kind: str = "relations", more: str = "") -> tuple[Corpus, str]:
    """The corpus, and what was said of it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = task(folder, kind, more).load(folder)
    return found, " ".join(str(one.message) for one in caught if issubclass(one.category, DataWarning))


def test_mentions_and_relations_are_read_and_the_rest_is_counted(tmp_path: Path) -> None:
    found, said = load(corpus(tmp_path / "c"))
    (document,) = found["train"]
    drug, swollen, painful = document.mentions
    assert drug == Mention(((0, 9),), "Drug", "DB:1")
    assert swollen == Mention(((17, 24), (37, 42)), "Effect")
    assert [document.text[a:b] for a, b in painful.fragments] == ["painful hands"]
    assert document.relations == (Relation(drug.key, swollen.key, "Causes"), Relation(drug.key, painful.key, "Causes"))
    assert "15 lines of .ann files were not read, by their first character: # 3, * 3, A 3, E 3, R 3." in said
    assert not found.synthetic
    assert (found.left_out, found.adjusted) == ({}, {})


def test_what_repeats_is_one_and_is_counted(tmp_path: Path) -> None:
    again = ANN + "T9\tDrug 0 9\tCisplatin\nR9\tCauses Arg1:T9 Arg2:T2\n"
    found, said = load(corpus(tmp_path / "c", again))
    assert len(found["train"][0].mentions) == 3
    assert len(found["train"][0].relations) == 2
    assert "repeated 2" in said


@pytest.mark.parametrize(("linked", "wanted"), [((9,), "DB:9"), ((1, 9), "DB:1"), ((1,), "DB:1"), ((), None)])
def test_of_a_mention_that_repeats_the_first_concept_stays(linked: tuple[int, ...], wanted: str | None) -> None:
    norms = "".join(f"N{n}\tReference T{n} DB:{n}\t\n" for n in linked)
    (mention,) = brat.parse(f"T1\tDrug 0 9\t\nT9\tDrug 0 9\t\n{norms}", Path("a.ann")).mentions
    assert mention.concept == wanted


TWO = "T1\tDrug 0 9\t\nT2\tEffect 29 42\t\n"
DRUG, PAINFUL = (((0, 9),), "Drug"), (((29, 42),), "Effect")


@pytest.mark.parametrize(
    ("line", "more", "conf"),
    [
        ("R1\tCauses Arg1:T1 Arg2:T2\n", "", ""),
        ("R1\tCauses Arg2:T2 Arg1:T1\n", "", ""),
        ("R1\tCauses From:T1 To:T2\n", '[roles]\nCauses = ["From", "To"]\n', ""),
        ("R1\tCauses To:T2 From:T1\n", '[roles]\nCauses = ["From", "To"]\n', ""),
        ("R1\tCauses To:T2 From:T1\n", '[roles]\nCauses = ["From", "To"]\n', "[relations]\nCauses To:Effect, From:Drug\n"),
        ("R1\tCauses To:T2 From:T1\n", "", "[entities]\nX\n[relations]\nCauses  From:Drug, To:Effect|Drug # so\n"),
        ("R1\tCauses To:T2 From:T1\nR2\tCauses From:T1 To:T2\n", "", "[relations]\nCauses\tFrom:Drug, To:<ANY>\n"),
        ("R1\tCauses Arg2:T2 Arg1:T1\n", '[roles]\nCauses = ["From", "To"]\n', ""),
    ],
)
def test_roles_decide_what_a_relation_leads_from_and_order_means_nothing(
    line: str, more: str, conf: str, tmp_path: Path
) -> None:
    folder = corpus(tmp_path / "c", TWO + line)
    if conf:
        (folder / "annotation.conf").write_text(conf, encoding="utf-8")
    found, said = load(folder, more=more)
    assert found["train"][0].relations == (Relation(DRUG, PAINFUL, "Causes"),)
    assert "direction" not in said
    swapped = line.split(":")[1].startswith("T2")
    assert found.adjusted == ({"swapped": 1} if swapped else {})


def test_undeclared_roles_are_those_of_the_first_relation_of_the_type_and_said_once(tmp_path: Path) -> None:
    """The order in which a file happens to write the second one decides nothing."""
    lines = "R1\tCauses To:T2 From:T1\nR2\tCauses From:T1 To:T2\n"
    folder = corpus(tmp_path / "c", TWO + lines)
    found, said = load(folder)
    assert found["train"][0].relations == (Relation(PAINFUL, DRUG, "Causes"),)
    assert said.count("Causes from To to From") == 1
    with pytest.raises(DataError, match=r"a\.ann, line 4: the roles of this relation are not those of its type") as error:
        load(corpus(tmp_path / "d", TWO + "R1\tCauses From:T1 To:T2\nR2\tCauses Why:T1 To:T2\n"))
    assert "[roles]" in str(error.value)


def test_a_configuration_that_decides_is_part_of_the_corpus(tmp_path: Path) -> None:
    lines = TWO + "R1\tCauses To:T2 From:T1\n"
    hashes = set()
    for conf in ("[relations]\nCauses From:Drug, To:Effect\n", "[relations]\nCauses To:Effect, From:Drug\n"):
        folder = corpus(tmp_path / "c", lines)
        (folder / "annotation.conf").write_text(conf, encoding="utf-8")
        hashes.add(load(folder)[0].sha256)
        usual = corpus(tmp_path / "u")
        (usual / "annotation.conf").write_text(conf, encoding="utf-8")
        hashes.add(load(usual)[0].sha256)
    assert len(hashes) == 3  # of the second corpus it decides nothing


def test_configurations_are_read_as_brat_writes_them(tmp_path: Path) -> None:
    text = "[relations]\n# a comment\n<X>=A|B\nTo\tArg1:<X>, Arg2:<X>, <REL-TYPE>:symmetric\n\tIn From?:A,  To*:B\n"
    text += "[events]\nE T:A, U:B\n"
    (tmp_path / "annotation.conf").write_text(text, encoding="utf-8")
    assert declared_in([tmp_path, tmp_path])[0] == {"To": ("Arg1", "Arg2"), "In": ("From", "To")}


def test_gold_decides_the_roles_of_predictions(tmp_path: Path) -> None:
    for side, line in (("gold", "From:T1 To:T2"), ("pred", "To:T2 From:T1")):
        (tmp_path / side).mkdir()
        (tmp_path / side / "a.ann").write_text(TWO + f"R1\tCauses {line}\n", encoding="utf-8")
    with pytest.warns(DataWarning, match="Causes from From to To"):
        scores = task(corpus(tmp_path / "c")).score_files(tmp_path / "gold", tmp_path / "pred")
    assert scores["relations"]["f1"] == 1
    (tmp_path / "pred" / "a.ann").write_text(TWO + "R1\tCauses From:T2 To:T1\n", encoding="utf-8")
    with pytest.warns(DataWarning):
        assert task(tmp_path / "c").score_files(tmp_path / "gold", tmp_path / "pred")["relations"]["tp"] == 0


def test_documents_of_sub_folders_are_read_written_and_scored_by_their_path(tmp_path: Path) -> None:
    folder = corpus(tmp_path / "c")
    (folder / "train" / "ward" / "2").mkdir(parents=True)
    for suffix in ("txt", "ann"):
        (folder / "train" / f"a.{suffix}").rename(folder / "train" / "ward" / "2" / f"a.{suffix}")
    found, _ = load(folder, "mentions")
    assert [document.id for document in found["train"]] == ["ward/2/a"]
    brat.write(tmp_path / "out", [document.without_text() for document in found["train"]])
    assert brat.read(tmp_path / "out")["ward/2/a"].mentions == found["train"][0].mentions
    assert task(folder, "mentions").score_files(folder / "train", tmp_path / "out")["strict"]["f1"] == 1


def test_relations_are_not_looked_at_where_mentions_are_wanted(tmp_path: Path) -> None:
    bad = ANN + "R8\tCauses Arg1:T1 Arg2:T77\nR9 no relation at all\n"
    found, said = load(corpus(tmp_path / "c", bad), "mentions")
    assert len(found["train"][0].mentions) == 3
    assert found["train"][0].relations == ()
    assert "R 11" in said
    with pytest.raises(DataError, match="2 faults: "):
        load(tmp_path / "c")


BAD = {
    "outside the text": ("T1\tDrug 0 900\tx\n", "line 1", "lies outside the text, which has 54"),
    "an end before its start": ("\nT1\tDrug 9 3\tx\n", "line 2", "ends before or where it starts"),
    "an empty span": ("T1\tDrug 9 9\tx\n", "line 1", "ends before or where it starts"),
    "two ids of one span": (
        "T1\tDrug 0 9\t\nT2\tDrug 0 9\t\nR1\tIs Arg1:T1 Arg2:T2\n", "line 3", "Two identifiers of one span and type",
    ),
    "one role twice": ("T1\tA 0 9\t\nT2\tB 0 9\t\nR1\tIs X:T1 X:T2\n", "line 3", "both roles of this relation"),
    "other words than its text column": ("T1\tDrug 0 8\tsecret\n", "line 1", "the text column is not what stands"),
    "an identifier twice": ("T1\tDrug 0 9\tCisplatin\nT1\tDrug 17 24\tswollen\n", "line 2", "an earlier line has"),
    "a relation of nothing": ("T1\tDrug 0 9\t\nR1\tCauses Arg1:T1 Arg2:T7\n", "line 2", "does not have"),
    "a relation of one": ("T1\tDrug 0 9\t\nR1\tCauses Arg1:T1\n", "line 2", ", no relation"),
    "words for offsets": ("T1\tDrug secret 9\tx\n", "line 1", ", no mention"),
    "spaces for tabs": ("T1 Drug 0 9 secret\n", "line 1", ", no mention"),
    "a line that is none": ("T1\tDrug 0 9\t\nsecret words\n", "line 2", ", no annotation"),
    "a note without a tab": ("#secret\n", "line 1", ", no annotation"),
    "nothing": ("", "train", "no relation at all"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_bad_files_are_refused_with_file_and_line_and_without_text(tmp_path: Path, what: str) -> None:
    ann, where, wanted = BAD[what]
    with pytest.raises(DataError) as error:
        load(corpus(tmp_path / "c", ann))
    assert where in str(error.value)
    assert wanted in str(error.value)
    assert "secret" not in str(error.value)
    if what != "nothing":
        assert "a.ann" in str(error.value)


def test_types_that_train_lacks_or_that_are_not_wanted_are_named_by_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"b\.ann, line 1: document 'b' has a label of a mention that the corpus") as error:
        load(corpus(tmp_path / "1", "T1\tEffect 0 9\t\nT2\tEffect 17 24\t\n"), "mentions")
    assert "unknown-label 2" in str(error.value)
    with pytest.raises(DataError, match=r"b\.ann, line 4: document 'b' has a label of a relation"):
        load(corpus(tmp_path / "2", TWO + "R1\tTreats Arg1:T1 Arg2:T2\n"))
    with pytest.raises(DataError, match=r"(?s)a\.ann, line 2: .* lists Drug\."):
        load(corpus(tmp_path / "3"), "mentions", 'labels = ["Drug"]\n')
    found, _ = load(tmp_path / "3", "mentions", 'labels = ["Drug"]\ntolerate = ["unknown-label"]\n')
    assert found.left_out == {"unknown-label": 6}
    assert {m.label for split in found for d in found[split] for m in d.mentions} == {"Drug"}


def test_files_without_their_other_half_and_documents_in_two_splits(tmp_path: Path) -> None:
    (corpus(tmp_path / "1") / "dev" / "b.txt").unlink()
    with pytest.raises(DataError, match=r"b\.ann has no b\.txt"):
        load(tmp_path / "1")
    (corpus(tmp_path / "2") / "dev" / "x.txt").write_text("x", encoding="utf-8")
    with pytest.raises(DataError, match=r"x\.txt has no x\.ann"):
        load(tmp_path / "2")
    found, _ = load(tmp_path / "2", more='tolerate = ["missing-file"]\n')
    assert ([d.id for d in found["dev"]], found.left_out) == (["b"], {"missing-file": 1})
    for suffix in ("txt", "ann"):
        (corpus(tmp_path / "3") / "test" / f"A.{suffix}").write_bytes(b"")
    assert leaks_of(load(tmp_path / "3")[0])[0] == Leak("A", "test", "train")


def scored(tmp_path: Path, gold: str, pred: str) -> dict[str, dict[str, dict[str, float]]]:
    for name, text in (("gold", gold), ("pred", pred)):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "d.ann").write_text(text, encoding="utf-8")
    return task(tmp_path / "c", "mentions").score_files(tmp_path / "gold", tmp_path / "pred")


def test_scores(tmp_path: Path) -> None:
    pred = "T1\tDrug 0 9\nT2\tEffect 17 24;37 42\t\nT3\tDrug 29 42\tpainful hands\nT4\tEffect 1 2;3 4\tx\n"
    found = scored(tmp_path, ANN, pred)
    assert {k: found["strict"][k] for k in ("tp", "fp", "fn")} == {"tp": 2, "fp": 2, "fn": 1}
    assert found["discontiguous"] == {
        "tp": 1, "fp": 1, "fn": 0, "precision": 0.5, "recall": 1.0, "f1": pytest.approx(2 / 3)
    }  # fmt: skip
    assert found["by_type"]["Drug"]["fp"] == 1
    assert found["by_type"]["Effect"]["f1"] == 0.5
    mine = task(tmp_path / "c", "mentions")
    assert mine.score_files(tmp_path / "gold" / "d.ann", tmp_path / "pred" / "d.ann") == found
    (tmp_path / "pred" / "other.ann").write_text("T1\tDrug 0 9\t\n", encoding="utf-8")
    assert mine.score_files(tmp_path / "gold", tmp_path / "pred")["strict"]["fp"] == 3
    with pytest.raises(DataError, match="no file or folder"):
        mine.score_files(tmp_path / "gold", tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no \.ann file"):
        mine.score_files(tmp_path / "gold", tmp_path / "empty")
    (tmp_path / "pred" / "d.ann").unlink()
    with pytest.raises(DataError, match="no document in common: 'other' is in the first, 'd' in the second"):
        mine.score_files(tmp_path / "gold", tmp_path / "pred")


def test_written_files_hold_no_text(tmp_path: Path) -> None:
    found, _ = load(corpus(tmp_path / "c"))
    brat.write(tmp_path / "out", found["train"])
    written = (tmp_path / "out" / "a.ann").read_text(encoding="utf-8")
    assert written == (
        "T1\tDrug 0 9\t\nT2\tEffect 17 24;37 42\t\nT3\tEffect 29 42\t\nN1\tReference T1 DB:1\t\n"
        "R1\tCauses Arg1:T1 Arg2:T2\nR2\tCauses Arg1:T1 Arg2:T3\n"
    )
    a = Mention(((0, 1),), "A")
    with pytest.raises(DataError, match="cannot be a file name"):
        brat.write(tmp_path / "out", [Document("../x", "")])
    with pytest.raises(DataError, match="cannot be a type"):
        brat.write(tmp_path / "out", [Document("x", "", (Mention(((0, 1),), "two words"),))])
    with pytest.raises(DataError, match="A concept of document 'x'"):
        brat.write(tmp_path / "out", [Document("x", "", (Mention(((0, 1),), "A", "two words"),))])
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
