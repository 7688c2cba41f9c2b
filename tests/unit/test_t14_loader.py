"""The official layout, read strictly: every broken file is named by file and line, and none of its text is shown."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from bench_tasks.semeval2015_t14.task import SemEval2015T14

from bench.api.data import Leak
from bench.data.leaks import leaks_of
from bench.data.spans import tidied_corpus
from bench.errors import DataError, DataWarning

TASK = SemEval2015T14()
REST = "no|null|patient|null|no|null|unmarked|null|unmarked|null|false|null|false|null|null|null"
CRAFT = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "craft-mondo"


def row(spans: str, document: str = "a", cui: str = "C0000001", rest: str = REST) -> str:
    return f"{document}|{spans}|{cui}|{rest}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for split, name in (("train", "a"), ("dev", "b"), ("test", "c")):
        (tmp_path / split).mkdir()
        (tmp_path / split / f"{name}.text").write_bytes(b"a canary sang of fever\r\nand of pain\n")
        (tmp_path / split / f"{name}.pipe").write_text(row("17-22", name), encoding="utf-8")
    return tmp_path


def test_offsets_survive_line_breaks_and_characters_of_several_bytes(folder: Path) -> None:
    text = "\ufeffnaïve\r\nα–fever\x0c\x85\r\n"
    (folder / "train" / "a.text").write_bytes(text.encode())
    start = text.index("fever")
    (folder / "train" / "a.pipe").write_text(row(f"{start}-{start + 5}"), encoding="utf-8")
    (document,) = TASK.load(folder)["train"]
    assert document.text == text
    ((found,),) = [m.fragments for m in document.mentions]
    assert document.text[slice(*found)] == "fever"


def test_every_spelling_of_a_line_is_read(folder: Path) -> None:
    other = REST.replace("patient", "doner_other").replace("no|null", "YES|null", 1)
    place = REST.removesuffix("null|null")
    lines = [
        row("2-8", "a.text").replace("\n", "|\r\n"),
        "\r\n",
        row("17-22", rest=f"{REST}|null|null|null"),
        row("17-22,31-35", rest=other, cui="cui-less"),
        row("26-29", rest=f"{place}C0000007|30-32"),
        row("26-29", rest=f"{place}C0000008|30-32"),
    ]
    (folder / "train" / "a.pipe").write_bytes("".join(lines).encode())
    (document,) = TASK.load(folder)["train"]
    assert [m.fragments for m in document.mentions] == [((2, 8),), ((17, 22),), ((17, 22), (31, 35)), ((26, 29),)]
    assert document.mentions[0].slots == {}
    assert document.mentions[2].slots == {"NI": ("yes",), "SC": ("donor_other",)}
    assert document.mentions[2].concept == "CUI-less"
    assert document.mentions[3].slots == {"BL": ("C0000007", "C0000008")}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (row("17-99"), "span 17-99 lies outside the text, which has 36 characters"),
        (row("22-17"), "span 22-17 ends before or where it starts"),
        (row("17-17"), "span 17-17 ends before or where it starts"),
        (row("canary"), r"column 2 \(6 characters\) is no span"),
        (row("17-22", rest=REST + "|canary"), "20 columns; wanted 19"),
        ("a|17-22|C1\n", "3 columns; wanted 19"),
        (
            row("17-22", rest=REST.replace("unmarked", "canary", 1)),
            r"column 10 \(CC\) holds no known value; wanted one of unmarked",
        ),
        (row("17-22", rest=REST.removesuffix("null|null") + "the canary|null"), r"column 18 \(BL\) holds no known value"),
        (row("17-22", cui="the canary"), "column 3 holds no concept"),
        (row("17-22", document="canary"), "column 1 names another document; wanted 'a'"),
    ],
)
def test_a_broken_line_is_named_and_not_shown(folder: Path, content: str, message: str) -> None:
    path = folder / "train" / "a.pipe"
    path.write_text(row("2-8") + "\n" + content, encoding="utf-8")
    with pytest.raises(DataError, match=f"line 3: {message}") as caught:
        TASK.load(folder)
    assert str(path) in str(caught.value)
    assert "canary" not in str(caught.value).replace(str(folder), "")
    assert caught.value.exit_code == 4


def test_fragments_in_any_order_are_one_mention_and_keep_what_was_written(folder: Path) -> None:
    (folder / "train" / "a.pipe").write_text(row("17-22,2-8"), encoding="utf-8")
    (mention,) = TASK.load(folder)["train"][0].mentions
    assert mention.fragments == ((2, 8), (17, 22))
    assert mention.as_written == ((17, 22), (2, 8))


def test_overlapping_fragments_are_one_and_keep_what_was_written(folder: Path) -> None:
    (folder / "train" / "a.pipe").write_text(row("2-8,6-12,17-22"), encoding="utf-8")
    (mention,) = TASK.load(folder)["train"][0].mentions
    assert mention.fragments == ((2, 12), (17, 22))
    assert mention.as_written == ((2, 8), (6, 12), (17, 22))


@pytest.mark.parametrize("suffix", [".text", ".pipe"])
def test_an_unreadable_encoding(folder: Path, suffix: str) -> None:
    (folder / "dev" / f"b{suffix}").write_bytes(b"fine\nfi\xe8vre")
    with pytest.raises(DataError, match=rf"b\{suffix}, line 2: byte 7 cannot be read as UTF-8"):
        TASK.load(folder)


def test_files_that_stand_alone(folder: Path) -> None:
    (folder / "dev" / "lone.pipe").write_text("", encoding="utf-8")
    with pytest.raises(DataError, match=r"lone\.pipe has no lone\.text"):
        TASK.load(folder)
    (folder / "dev" / "lone.pipe").rename(folder / "dev" / "lone.text")
    with pytest.raises(DataError, match=r"lone\.text has no lone\.pipe.*empty \.pipe"):
        TASK.load(folder)


def test_a_document_without_mentions_has_an_empty_pipe_file(folder: Path) -> None:
    for suffix in (".text", ".pipe"):
        (folder / "dev" / f"quiet{suffix}").write_text("", encoding="utf-8")
    assert [(d.id, len(d.mentions)) for d in TASK.load(folder)["dev"]] == [("b", 1), ("quiet", 0)]


def test_a_document_in_two_splits(folder: Path) -> None:
    for suffix in (".text", ".pipe"):
        shutil.copy(folder / "train" / f"a{suffix}", folder / "test" / f"a{suffix}")
    assert leaks_of(TASK.load(folder)) == (Leak("a", "test", "train"),)


def test_missing_and_empty_splits(folder: Path) -> None:
    for path in (folder / "test").iterdir():
        path.unlink()
    with pytest.raises(DataError, match="test holds no document"):
        TASK.load(folder)
    (folder / "test").rmdir()
    with pytest.raises(DataError, match="no split folder"):
        TASK.load(folder)
    with pytest.raises(DataError, match="no folder"):
        TASK.load(folder / "nowhere")


@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_a_split_with_no_mention_at_all(folder: Path, split: str) -> None:
    for path in (folder / split).glob("*.pipe"):
        path.write_text("\n", encoding="utf-8")
    with pytest.raises(DataError, match=f"{split} holds no mention at all"):
        TASK.load(folder)


def test_the_hash_is_of_every_byte(folder: Path) -> None:
    before = TASK.load(folder).sha256
    assert TASK.load(folder).sha256 == before
    path = folder / "test" / "c.text"
    path.write_bytes(path.read_bytes() + b" ")
    assert TASK.load(folder).sha256 != before


@pytest.mark.shared
@pytest.mark.parametrize(("name", "mentions", "joined"), [("craft-cl", 5792, {}), ("craft-gobp", 12961, {"joined": 1})])
def test_other_layers_of_craft_are_read_whole_too(name: str, mentions: int, joined: dict[str, int]) -> None:
    if not (CRAFT.parent / name).is_dir():
        pytest.skip("the real corpora are not here")
    corpus = tidied_corpus(TASK.load(CRAFT.parent / name))
    assert sum(len(d.mentions) for split in corpus for d in corpus[split]) == mentions
    assert corpus.adjusted == joined
    dev = CRAFT.parent / name / "dev"
    assert TASK.score_files(dev, dev) == TASK.score(corpus["dev"], corpus["dev"])


@pytest.mark.shared
@pytest.mark.skipif(not CRAFT.is_dir(), reason="the real corpora are not here")
def test_craft_is_read_whole_and_scores_one_against_itself() -> None:
    corpus = TASK.load(CRAFT)
    assert {split: len(corpus[split]) for split in corpus} == {"train": 58, "dev": 20, "test": 19}
    mentions = {split: [m for d in corpus[split] for m in d.mentions] for split in corpus}
    assert {split: len(found) for split, found in mentions.items()} == {"train": 1882, "dev": 562, "test": 636}
    assert {split: sum(m.discontiguous for m in found) for split, found in mentions.items()} == {
        "train": 42,
        "dev": 12,
        "test": 14,
    }
    assert not corpus.synthetic
    for split in corpus:
        in_files = TASK.score_files(CRAFT / split, CRAFT / split)
        assert in_files == TASK.score(corpus[split], corpus[split])
        assert {row["f1"] for row in in_files["task1"].values()} == {1.0}
        assert in_files["task2"]["weighted_accuracy"] == 1.0


def test_an_offset_of_five_thousand_digits_is_an_error_like_any_other(folder: Path) -> None:
    (folder / "train" / "a.pipe").write_text(row(f"1-{'9' * 5000}"), encoding="utf-8")
    with pytest.raises(DataError, match=r"line 1: column 2 \(5,002 characters\) is no span"):
        TASK.load(folder)


def test_predictions_of_other_documents_are_told(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "x.pipe").write_text("other|0-3|C1\n", encoding="utf-8")
    with pytest.warns(DataWarning, match="no document in common: 'other' is in the first, 'a' in the second"):
        assert TASK.score_files(folder / "train", tmp_path / "x.pipe")["task1"]["strict"]["tp"] == 0


def test_documents_in_a_sub_folder_are_never_passed_over(folder: Path) -> None:
    (folder / "train" / "more").mkdir()
    (folder / "train" / "a.pipe").rename(folder / "train" / "more" / "a.pipe")
    (folder / "train" / "a.text").rename(folder / "train" / "more" / "a.text")
    with pytest.raises(DataError, match=r"more/a\.pipe lies in a sub-folder \(1 such here\)"):
        TASK.load(folder)
