"""IOB2 files: what is read, what is refused, what is written, and that figures are seqeval's."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.api.data import Document, Leak, Mention
from bench.data.leaks import leaks_of, refuse
from bench.errors import DataError, DataWarning, LeakError
from bench.kit import iob_write, mentions
from bench.kit.iob_folder import load, scored

TRAIN = (
    "Aspirin\tB-Chemical\ncauses\tO\nmild\tB-Disease\nnausea\tI-Disease\n.\tO\n\nNo\tO\nulcer\tB-Disease\nulcer\tB-Disease\n\n"
)
OTHER = "Renal\tB-Disease\nfailure\tI-Disease\n"


def corpus(folder: Path, train: str = TRAIN, dev: str = OTHER, test: str = OTHER, dev_name: str = "devel.tsv") -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in (("train.tsv", train), (dev_name, dev), ("test.tsv", test)):
        (folder / name).write_bytes(text.encode())
    return folder


def test_a_sentence_is_a_document_of_tokens_joined_by_single_spaces(tmp_path: Path) -> None:
    found = load(corpus(tmp_path))
    assert [d.id for d in found["train"]] == ["train-000001", "train-000002"]
    assert found["train"][0].text == "Aspirin causes mild nausea ."
    assert found["train"][0].mentions == (Mention(((0, 7),), "Chemical"), Mention(((15, 26),), "Disease"))
    assert found["train"][1].mentions == (Mention(((3, 8),), "Disease"), Mention(((9, 14),), "Disease"))
    assert [d.id for d in (*found["dev"], *found["test"])] == ["dev-000001", "test-000001"]
    assert not found.synthetic


def test_crlf_a_mark_and_dev_under_either_name_change_nothing_but_the_hash(tmp_path: Path) -> None:
    plain = load(corpus(tmp_path / "a"))
    crlf = load(corpus(tmp_path / "b", "\ufeff" + TRAIN.replace("\n", "\r\n"), dev_name="dev.tsv"))
    assert crlf.splits == plain.splits
    assert crlf.sha256 != plain.sha256
    assert load(corpus(tmp_path / "c", dev_name="dev.tsv")).sha256 == plain.sha256


def test_docstart_makes_documents_of_several_sentences(tmp_path: Path) -> None:
    text = f"-DOCSTART- (4711)\n\n{TRAIN}-DOCSTART-\tO\n\nFever\tB-Disease\n"
    first, second = load(corpus(tmp_path, text, "Cough\tB-Disease\n"))["train"]
    assert (first.id, second.id) == ("4711", "train-000002")
    assert first.text == "Aspirin causes mild nausea .\n\nNo ulcer ulcer"
    assert [first.text[a:b] for m in first.mentions for a, b in m.fragments] == ["Aspirin", "mild nausea", "ulcer", "ulcer"]


BAD = {
    "three columns": (TRAIN + "a\tNN\tO\n", "line 11", "3 columns"),
    "one column": ("word\n", "line 1", "1 column"),
    "spaces for tabs": ("word O\n", "line 1", "1 column"),
    "an I that starts": ("Pain\tB-Disease\nNo\tO\nsecret\tI-Disease\n", "line 3", "continues no mention"),
    "an I of another label": ("No\tB-Chemical\nsecret\tI-Disease\n", "line 2", "continues no mention"),
    "an I after a sentence's end": ("No\tB-Disease\n\nsecret\tI-Disease\n", "line 3", "continues no mention"),
    "an E after its mention": ("No\tS-Disease\nsecret\tE-Disease\n", "line 2", "continues no mention"),
    "a mention without its E": ("No\tS-Disease\nsecret\tB-Disease\n", "line 2", "no tag for its end, as IOBES wants"),
    "an unknown tag": ("No\tO\nsecret\tX-Disease\n", "line 2", "O, B-Label or I-Label"),
    "a label without a name": ("secret\tB-\n", "line 1", "O, B-Label or I-Label"),
    "a lower-case tag": ("secret\to\n", "line 1", "O, B-Label or I-Label"),
    "a layer's tag": ("a\tB-Disease\nsecret\tF-Disease\n", "line 2", "O, B-Label or I-Label"),
    "an empty token": ("a\tO\n\tB-Disease\n", "line 2", "empty token"),
    "white space in a token": ("a\tO\nse\u00a0cret\tB-Disease\n", "line 2", "white space"),
    "an unknown label": ("a\tO\n\nb\tO\nsecret\tB-Secret\n", "line 3", "none of this corpus"),
    "a name that is none": ("-DOCSTART- secret word!\nx\tB-Disease\n", "line 1", "'(name)'"),
    "a late docstart": (TRAIN + "-DOCSTART-\nx\tO\n", "line 11", "before the first"),
    "an empty document": ("-DOCSTART-\n-DOCSTART-\nx\tB-Disease\n", "line 1", "has no token"),
    "a name twice": ("-DOCSTART- (a)\nx\tB-Disease\n-DOCSTART- (a)\ny\tO\n", "line 3", "second time"),
    "no mention": ("x\tO\n", "train.tsv", "no mention"),
    "nothing": ("", "train.tsv", "no mention"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_files_are_refused_with_file_and_line_and_without_text(tmp_path: Path, what: str) -> None:
    text, where, wanted = BAD[what]
    with pytest.raises(DataError) as error:
        load(corpus(tmp_path, text), ("Chemical", "Disease"))
    message = str(error.value)
    assert "train.tsv" in message
    assert where in message
    assert wanted in message
    assert "secret" not in message.lower()


def test_bytes_that_are_no_text_name_their_line(tmp_path: Path) -> None:
    corpus(tmp_path)
    (tmp_path / "test.tsv").write_bytes(b"a\tO\nb\xff\tO\n")
    with pytest.raises(DataError, match=r"test\.tsv, line 2: byte 5"):
        load(tmp_path)


def test_folders_that_lack_a_file_or_have_two(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no folder"):
        load(tmp_path / "none")
    corpus(tmp_path)
    (tmp_path / "dev.tsv").write_text(OTHER, encoding="utf-8")
    with pytest.raises(DataError, match=r"devel\.tsv and dev\.tsv"):
        load(tmp_path)
    for name in ("devel.tsv", "dev.tsv"):
        (tmp_path / name).unlink()
    with pytest.raises(DataError, match=r"no devel\.tsv or dev\.tsv"):
        load(tmp_path)


def test_labels_that_train_lacks_are_refused_and_a_subset_is_not(tmp_path: Path) -> None:
    assert {m.label for d in load(corpus(tmp_path))["test"] for m in d.mentions} == {"Disease"}
    corpus(tmp_path, test="a\tO\n\nsecret\tB-Gene\n")
    with pytest.raises(DataError, match=r"test\.tsv, line 3: .*4 characters.* none of this corpus"):
        load(tmp_path)


def test_a_named_document_in_two_splits_is_a_leak(tmp_path: Path) -> None:
    twice = "-DOCSTART- (12)\nRenal\tB-Disease\n-DOCSTART- (13)\nfailure\tB-Disease\n"
    found = load(corpus(tmp_path, twice, "-DOCSTART- (7)\nfever\tB-Disease\n", "-DOCSTART- (12)\ncough\tB-Disease\n"))
    assert (found.leaks, leaks_of(found)) == ((), (Leak("12", "test", "train"),))
    found = load(corpus(tmp_path, twice, "-DOCSTART- (7)\nfever\tB-Disease\n", "-DOCSTART- (9)\nfailure\tB-Disease\n"))
    assert found.leaks == leaks_of(found) == (Leak("9", "test", "train", "13"),)


def sentences(word: str, count: int) -> str:
    return "".join("".join(f"{word}{n}{i}\tB-Disease\n" for i in range(8)) + "\n" for n in range(count))


def test_many_repeated_sentences_are_a_leak_and_a_few_are_not(tmp_path: Path) -> None:
    train, test = sentences("a", 120), sentences("b", 100)
    few = load(corpus(tmp_path, train, OTHER, test + sentences("a", 1))).leaks
    assert few == (Leak("test-000101", "test", "train", "train-000001", tolerated=True),)
    refuse(tmp_path, few)
    many = load(corpus(tmp_path, train, OTHER, test + sentences("a", 2))).leaks
    assert [leak.tolerated for leak in many] == [False, False]
    with pytest.raises(LeakError, match=r"2 documents .*'test-000101 = train-000001' \(train and test\)"):
        refuse(tmp_path, many)
    short = "METHODS\tB-Disease\n:\tO\n\n"
    assert load(corpus(tmp_path, train + short, short, test + short)).leaks == ()


def write(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def test_files_are_scored_token_for_token(tmp_path: Path) -> None:
    gold = write(tmp_path, "gold.tsv", TRAIN)
    pred = write(tmp_path, "pred.tsv", TRAIN.replace("mild\tB-Disease", "mild\tO").replace("nausea\tI-", "nausea\tB-"))
    scores = mentions.score(*scored(gold, pred))
    assert {k: scores["strict"][k] for k in ("tp", "fp", "fn")} == {"tp": 3, "fp": 1, "fn": 1}
    assert scores["strict"]["f1"] == pytest.approx(0.75)
    assert scores["by_type"]["Chemical"]["f1"] == 1.0
    assert scores["by_type"]["Disease"] | {} == {
        "tp": 2, "fp": 1, "fn": 1, "precision": pytest.approx(2 / 3), "recall": pytest.approx(2 / 3), "f1": pytest.approx(2 / 3)
    }  # fmt: skip
    assert scores["discontiguous"] == {"tp": 0, "fp": 0, "fn": 0, "precision": 0.0, "recall": 0.0, "f1": 0.0}


def test_a_system_s_tag_that_continues_nothing_is_no_mention(tmp_path: Path) -> None:
    gold, pred = write(tmp_path, "g.tsv", TRAIN), write(tmp_path, "p.tsv", TRAIN.replace("mild\tB-", "mild\tI-"))
    assert mentions.score(*scored(gold, pred))["strict"] | {} == pytest.approx(
        {"tp": 3, "fp": 0, "fn": 1, "precision": 1.0, "recall": 0.75, "f1": 6 / 7}
    )
    with pytest.raises(DataError, match=r"p\.tsv, line 3"):
        scored(pred, gold)


SCHEMES = {
    "IOBES": "S B,I,E O S", "BILOU": "U B,I,L O U", "BMES": "S B,M,E O S", "BMEWO": "W B,M,E O W", "IOB1": "I B,I,I O I",
}  # fmt: skip


@pytest.mark.parametrize("scheme", SCHEMES)
def test_other_schemes_are_read_with_a_word(scheme: str, tmp_path: Path) -> None:
    """Two mentions that touch and, after a word outside, a third, whatever the tags are called."""
    roles = SCHEMES[scheme].replace(",", " ").split()
    text = "".join(f"word\t{role if role == 'O' else role + '-Disease'}\n" for role in roles)
    with pytest.warns(DataWarning, match=rf"train\.tsv: its tags are {scheme}, read as IOB2: "):
        (document,) = load(corpus(tmp_path, text))["train"]
    assert [m.fragments for m in document.mentions] == [((0, 4),), ((5, 19),), ((25, 29),)]
    gold = write(tmp_path, "g.tsv", "word\tB-Disease\n" * 2 + "word\tI-Disease\n" * 2 + "word\tO\nword\tB-Disease\n")
    with pytest.warns(DataWarning, match=rf"p\.tsv: its tags are {scheme}"):
        assert mentions.score(*scored(gold, write(tmp_path, "p.tsv", text)))["strict"]["f1"] == 1


def test_a_system_s_mention_without_its_end_is_none_as_in_seqeval(tmp_path: Path) -> None:
    gold = write(tmp_path, "g.tsv", "a\tS-X\nb\tB-X\nc\tE-X\n")
    pred = write(tmp_path, "p.tsv", "a\tS-X\nb\tB-X\nc\tI-X\n")
    with pytest.warns(DataWarning, match=r"p\.tsv: 1 tag of no mention, the first in line 2"):
        strict = mentions.score(*scored(gold, pred))["strict"]
    assert [strict[count] for count in ("tp", "fp", "fn")] == [1, 0, 1]


def test_columns_divided_by_spaces_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"line 1: 1 column.* divided by spaces, as in CoNLL files"):
        load(corpus(tmp_path, "EU NNP B-NP B-ORG\nrejects VBZ B-VP O\n"))
    with pytest.raises(DataError, match=r"line 1: 1 column.* If it is a comment, take it out"):
        load(corpus(tmp_path / "b", "# sent 1\nEU\tB-ORG\nrejects\tO\n"))


IOB1 = "a\tI-A\nb\tI-A\nc\tO\nd\tI-A\ne\tB-A\nf\tI-A\n"
IOB2 = IOB1.replace("a\tI", "a\tB").replace("d\tI", "d\tB")


@pytest.mark.parametrize("side", ["gold", "pred"])
def test_a_file_of_gold_and_predicted_tags_is_refused_and_not_scored_as_both(side: str, tmp_path: Path) -> None:
    """Token, gold, prediction, as many systems write: the gold column would be found in the prediction."""
    for name in ("gold", "pred"):
        (tmp_path / f"{name}.tsv").write_text("no\tO\nfever\tB-A\n")
    (tmp_path / f"{side}.tsv").write_text("no\tO\tB-A\nfever\tB-A\tO\n")
    with pytest.raises(DataError, match=rf"{side}\.tsv, line 1: 3 columns; wanted 2: .* keep that one alone") as caught:
        scored(tmp_path / "gold.tsv", tmp_path / "pred.tsv")
    assert "fever" not in str(caught.value)


def test_a_system_s_tags_in_iob1_are_read_and_do_not_score_nothing(tmp_path: Path) -> None:
    """Such a file has a B- only right after a mention of the same label, or none at all."""
    gold = write(tmp_path, "gold.tsv", IOB2)
    for text, right in ((IOB1, 3), (IOB1.replace("B-A", "I-A"), 1)):
        with pytest.warns(DataWarning, match=r"iob1\.tsv: its tags are IOB1"):
            assert mentions.score(*scored(gold, write(tmp_path, "iob1.tsv", text)))["strict"]["tp"] == right
    with pytest.warns(DataWarning, match=r"pred\.tsv: 1 tag of no mention, the first in line 4"):
        scored(gold, write(tmp_path, "pred.tsv", IOB2.replace("d\tB", "d\tI")))
    assert mentions.score(*scored(gold, gold))["strict"]["tp"] == 3


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    gold = write(tmp_path / "gold", "test.tsv", TRAIN)
    with pytest.raises(DataError, match=r"has 1 document and .* has 2"):
        scored(gold, write(tmp_path / "a", "test.tsv", OTHER))
    with pytest.raises(DataError, match="its tokens are not those at line 1") as error:
        scored(gold, write(tmp_path / "b", "test.tsv", TRAIN.replace("mild", "secret")))
    assert "secret" not in str(error.value)
    with pytest.raises(DataError, match="folder and a file"):
        scored(tmp_path / "gold", tmp_path / "b" / "test.tsv")
    with pytest.raises(DataError, match=r"has a file for 'test' and .* has none"):
        scored(tmp_path / "gold", write(tmp_path / "c", "train.tsv", TRAIN).parent)
    with pytest.raises(DataError, match=r"no \.tsv file"):
        scored(write(tmp_path / "d", "x.txt", "").parent, tmp_path / "gold")
    with pytest.raises(DataError, match="no file or folder"):
        scored(tmp_path / "none", gold)
    with pytest.raises(DataError, match="document 'test-000009' is not in"):
        scored(gold, write(tmp_path / "e", "test.tsv", "-DOCSTART- (test-000009)\n_\tO\n"))


def test_written_files_are_scored_against_the_corpus_by_characters(tmp_path: Path) -> None:
    (tmp_path / "test.tsv").write_text(TRAIN, encoding="utf-8")
    found = [Mention(((0, 7),), "Chemical"), Mention(((15, 26),), "Disease"), Mention(((20, 26),), "Disease")]
    discontiguous = Mention(((0, 2), (3, 8)), "Disease")
    iob_write.write(
        tmp_path / "pred", [Document("test-000001", "", tuple(found)), Document("test-000002", "", (discontiguous,))]
    )
    scores = mentions.score(*scored(tmp_path / "test.tsv", tmp_path / "pred" / "test.tsv"))
    assert {k: scores["strict"][k] for k in ("tp", "fp", "fn")} == {"tp": 2, "fp": 2, "fn": 2}
    assert scores["discontiguous"]["fp"] == 1
    written = (tmp_path / "pred" / "test.tsv").read_text(encoding="utf-8")
    assert set(written.split("\n")[1]) <= set("_\tB-ChemicalO")
    iob_write.write(tmp_path / "some", [Document("test-000001", "", tuple(found[:2]))])
    partly = mentions.score(*scored(tmp_path / "test.tsv", tmp_path / "some" / "test.tsv"))
    assert {k: partly["strict"][k] for k in ("tp", "fp", "fn")} == {"tp": 2, "fp": 0, "fn": 2}


def test_names_and_labels_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Document name"):
        iob_write.write(tmp_path, [Document("a b", "")])
    with pytest.raises(DataError, match="cannot be written as a tag"):
        iob_write.write(tmp_path, [Document("a", "", (Mention(((0, 1),), "two words"),))])
