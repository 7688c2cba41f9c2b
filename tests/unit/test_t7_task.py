"""2014-T7: the organisers' worked case, what the loader refuses, files and documents that score alike."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bench_tasks.semeval2014_t7.pipe import lines_of, read_documents
from bench_tasks.semeval2014_t7.task import SemEval2014T7

from bench.api.data import SPLITS, Corpus, Document, Leak, Mention
from bench.conformance.workbench import Pieces
from bench.data.cuts import cut
from bench.data.leaks import leaks_of
from bench.errors import DataError, UsageError

TASK = SemEval2014T7()
CRAFT = Path(__file__).parents[2].parent / "shared" / "data" / "craft-mondo"

GOLD = """\
d1.text||Disease_Disorder||C0000001||10||20||30||35
d1.text||Disease_Disorder||C0000002||40||50
d1.text||Disease_Disorder||CUI-less||60||70
d1.text||Disease_Disorder||C0000004||80||90
d1.text||Disease_Disorder||C0000005||100||110
"""
PRED = """\
d1.text||Disease_Disorder||C0000001||10||20||30||35
d1.text||Disease_Disorder||C0000009||40||50
d1.text||Disease_Disorder||CUI-less||62||70
d1.text||Disease_Disorder||C0000004||90||95
d1.text||Disease_Disorder||C0000006||200||210
"""


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return path


def scores(tmp_path: Path, gold: str, pred: str) -> dict[str, dict[str, dict[str, float]]]:
    return TASK.score_files(write(tmp_path / "g" / "gold.pipe", gold), write(tmp_path / "p" / "pred.pipe", pred))


def test_worked_case_a(tmp_path: Path) -> None:
    found = scores(tmp_path, GOLD, PRED)
    strict, relaxed = found["task_a"]["strict"], found["task_a"]["relaxed"]
    assert (strict["tp"], strict["fp"], strict["fn"]) == (2, 3, 3)
    assert (relaxed["tp"], relaxed["fp"], relaxed["fn"]) == (3, 2, 2)
    assert strict["f1"] == pytest.approx(0.4)
    assert relaxed["f1"] == pytest.approx(0.6)
    assert found["task_b"] == {"strict": pytest.approx(0.2), "relaxed": pytest.approx(0.5)}
    folders = TASK.score_files(tmp_path / "g", tmp_path / "p")
    assert folders == found
    json.dumps(found)


def test_relaxed_pairs_many_to_many_and_ends_are_exclusive(tmp_path: Path) -> None:
    gold = "d||Disease_Disorder||C1||0||10||20||30\nd||Disease_Disorder||C2||25||40\n"
    pred = "d||Disease_Disorder||C1||0||5\nd||Disease_Disorder||C1||5||12\nd||Disease_Disorder||C1||10||20\n"
    relaxed = scores(tmp_path, gold, pred)["task_a"]["relaxed"]
    assert (relaxed["tp"], relaxed["fp"], relaxed["fn"]) == (2, 1, 1)
    assert relaxed["precision"] == pytest.approx(2 / 3)
    assert relaxed["recall"] == pytest.approx(2 / 3)


def test_other_documents_count_as_false_positives(tmp_path: Path) -> None:
    extra = "other.text||Disease_Disorder||C1||1||2\n"
    assert scores(tmp_path, GOLD, GOLD)["task_a"]["strict"]["f1"] == 1.0
    found = scores(tmp_path, GOLD, GOLD + extra)["task_a"]
    assert (found["strict"]["tp"], found["strict"]["fp"]) == (5, 1)
    assert (found["relaxed"]["tp"], found["relaxed"]["fp"]) == (5, 1)
    here = TASK.score([Document("d", "")], [Document("e", "", (Mention(((0, 1),)),))])
    assert here["task_a"]["strict"]["fp"] == 1


def test_nothing_predicted_and_nothing_there(tmp_path: Path) -> None:
    found = scores(tmp_path, GOLD, "\n")
    assert found["task_a"]["strict"]["fn"] == 5
    assert found["task_b"] == {"strict": 0.0, "relaxed": 0.0}
    assert scores(tmp_path, "", "")["task_a"]["strict"]["f1"] == 0.0


def test_reading_is_told_names_crlf_and_marks(tmp_path: Path) -> None:
    text = "\ufeff" + GOLD.replace("\n", "\r\n").replace("d1.text", "d1.txt").replace("CUI-less", "cui-LESS")
    assert scores(tmp_path, text, GOLD)["task_b"]["strict"] == 1.0


BAD_LINES = {
    "decreasing offsets": ("d||Disease_Disorder||C1||20||10", "the offset 10 in column 5 follows 20"),
    "decreasing fragments": ("d||Disease_Disorder||C1||30||35||10||20", "the offset 10 in column 6 follows 35"),
    "overlapping fragments": ("d||Disease_Disorder||C1||10||20||15||30", "the offset 15 in column 6 follows 20"),
    "an odd number of offsets": ("d||Disease_Disorder||C1||10||20||30", "6 columns"),
    "no offset": ("d||Disease_Disorder||C1", "3 columns"),
    "single bars": ("d|Disease_Disorder|C1|10|20", "1 column;"),
    "a word for an offset": ("d||Disease_Disorder||C1||secret||20", "column 4 (6 characters)"),
    "a negative offset": ("d||Disease_Disorder||C1||-1||20", "column 4"),
    "a number of another script": ("d||Disease_Disorder||C1||\u0661||20", "column 4"),
    "no concept": ("d||Disease_Disorder||a secret||1||20", "column 3"),
}


@pytest.mark.parametrize("what", BAD_LINES)
def test_lines_that_the_scorer_refuses(tmp_path: Path, what: str) -> None:
    line, wanted = BAD_LINES[what]
    with pytest.raises(DataError) as error:
        scores(tmp_path, GOLD, f"{PRED}\n{line}\n")
    assert "pred.pipe, line 7" in str(error.value)
    assert wanted in str(error.value)
    assert "secret" not in str(error.value)


def test_paths_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no file or folder"):
        read_documents(tmp_path / "none")
    with pytest.raises(DataError, match=r"no \.pipe file"):
        read_documents(write(tmp_path / "a" / "x.txt", "").parent)


TEXT = "Fever and pain of the left arm. " * 4


def corpus(folder: Path, line: str = "a.text||Disease_Disorder||C1||0||5\n", text: str = TEXT) -> Path:
    write(folder / "train" / "a.pipe", line)
    write(folder / "train" / "a.text", text)
    for split, name in (("dev", "b"), ("test", "c")):
        write(folder / split / f"{name}.pipe", f"{name}.text||Disease_Disorder||CUI-less||10||14||22||30\n")
        write(folder / split / f"{name}.text", TEXT)
    return folder


def test_a_corpus_is_read(tmp_path: Path) -> None:
    found = TASK.load(corpus(tmp_path))
    assert not found.synthetic
    assert found["train"][0].mentions == (Mention(((0, 5),), "Disease_Disorder", "C1"),)
    assert found["test"][0].mentions[0].fragments == ((10, 14), (22, 30))
    twice = corpus(tmp_path, "a||Disease_Disorder||C1||0||5\na.txt||Disease_Disorder||C2||0||5\n")
    assert [m.concept for m in TASK.load(twice)["train"][0].mentions] == ["C2"]


BAD_CORPUS = {
    "outside the text": ("a||Disease_Disorder||C1||0||5000\n", "line 1: span 0-5000 lies outside the text, which has 128"),
    "an empty span": ("a||Disease_Disorder||C1||5||5\n", "line 1: span 5-5 ends where it starts"),
    "another document": ("z||Disease_Disorder||C1||0||5\n", "line 1: column 1 names another document"),
    "another type": ("a||Secret||C1||0||5\n", "line 1: column 2 (6 characters)"),
    "decreasing offsets": ("\na||Disease_Disorder||C1||9||5\n", "line 2: the offset 5 in column 5 follows 9"),
    "no mention": ("", "holds no mention"),
}


@pytest.mark.parametrize("what", BAD_CORPUS)
def test_bad_annotations_are_refused(tmp_path: Path, what: str) -> None:
    line, wanted = BAD_CORPUS[what]
    with pytest.raises(DataError) as error:
        TASK.load(corpus(tmp_path, line))
    assert wanted in str(error.value)
    assert "train" in str(error.value)
    assert "Secret" not in str(error.value)


def test_files_that_are_missing_or_no_text_or_in_two_splits(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no folder"):
        TASK.load(tmp_path / "none")
    (corpus(tmp_path / "1") / "train" / "a.text").unlink()
    with pytest.raises(DataError, match=r"a\.pipe has no a\.text"):
        TASK.load(tmp_path / "1")
    (corpus(tmp_path / "2") / "dev" / "b.pipe").unlink()
    with pytest.raises(DataError, match=r"b\.text has no b\.pipe"):
        TASK.load(tmp_path / "2")
    (corpus(tmp_path / "3") / "test" / "c.text").write_bytes(b"one\ntwo \xff")
    with pytest.raises(DataError, match=r"c\.text, line 2: byte 8"):
        TASK.load(tmp_path / "3")
    write(corpus(tmp_path / "4") / "test" / "A.text", TEXT)
    write(tmp_path / "4" / "test" / "A.pipe", "")
    assert leaks_of(TASK.load(tmp_path / "4")) == (Leak("A", "test", "train"),)
    for path in (corpus(tmp_path / "5") / "dev").iterdir():
        path.unlink()
    with pytest.raises(DataError, match="holds no document"):
        TASK.load(tmp_path / "5")


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("t7") / "corpus"
    TASK.synthesize(folder, 0, {"train": 40, "dev": 5, "test": 20})
    return TASK.load(folder)


def test_synthetic_notes_are_marked_seeded_and_not_those_of_2015(synthetic: Corpus, tmp_path: Path) -> None:
    from bench_tasks.semeval2015_t14.task import SemEval2015T14

    assert synthetic.synthetic
    assert {split: len(synthetic[split]) for split in SPLITS} == {"train": 40, "dev": 5, "test": 20}
    sizes = {"train": 3, "dev": 2, "test": 2}
    made = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        TASK.synthesize(tmp_path / name, seed, sizes)
        made.append({str(p.relative_to(tmp_path / name)): p.read_bytes() for p in (tmp_path / name).rglob("*") if p.is_file()})
    assert made[0] == made[1] != made[2]
    SemEval2015T14().synthesize(tmp_path / "2015", 1, sizes)
    texts = {p.read_bytes() for p in (tmp_path / "2015").rglob("*.text")}
    assert not texts & set(made[0].values())
    with pytest.raises(UsageError, match="is not empty"):
        TASK.synthesize(tmp_path / "a", 1, sizes)
    seen = {d.text[a:b].lower() for d in synthetic["train"] for m in d.mentions for a, b in m.fragments}
    test = [d.text[a:b].lower() for d in synthetic["test"] for m in d.mentions for a, b in m.fragments]
    assert sum(text not in seen for text in test) >= 0.3 * len(test)


def back(corpus: Corpus, name: str, split: str = "test", length: int = 512) -> tuple[list[Document], int]:
    head = TASK.head(name)
    head.fit(corpus["train"])
    found, lost = [], 0
    for document in corpus[split]:
        windows, golds, missed = cut(document, Pieces(), length, head.cuts)
        lost += sum(missed.values())
        mentions = []
        concepts = {m.fragments: m.concept for m in document.mentions}
        for window, gold in zip(windows, golds, strict=True):
            encoding = head.encode(window, gold)
            lost += sum(encoding.lost.values())
            for mention in head.decode(window, head.oracle(encoding)):
                assert isinstance(mention, Mention)
                # Concepts are no head's business.
                mentions.append(Mention(mention.fragments, mention.label, concepts[mention.fragments]))
        found.append(Document(document.id, "", tuple(mentions)))
    return found, lost


def test_gold_comes_back_whole_through_spans_and_without_discontiguous_ones_through_tags(synthetic: Corpus) -> None:
    found, lost = back(synthetic, "span")
    assert lost == 0
    scores = TASK.score(synthetic["test"], found)
    assert scores["task_a"]["strict"]["f1"] == scores["task_b"]["strict"] == scores["task_b"]["relaxed"] == 1.0
    found, lost = back(synthetic, "bio")
    scores = TASK.score(synthetic["test"], found)
    assert lost == scores["task_a"]["strict"]["fn"] > 0
    assert scores["task_a"]["strict"]["fp"] == 0


@pytest.mark.shared
@pytest.mark.skipif(not CRAFT.is_dir(), reason="the CRAFT corpus is not beside the repository")
def test_craft_written_in_this_format_comes_back_but_for_what_is_counted(tmp_path: Path) -> None:
    """No file of this task is open; CRAFT's mentions, discontiguous ones included, stand in."""
    from bench_tasks.semeval2014_t7.pipe import write_mentions
    from bench_tasks.semeval2015_t14 import corpus as t14

    source = t14.load(CRAFT)
    for split in SPLITS:
        for d in source[split]:
            write(tmp_path / split / f"{d.id}.text", d.text)
            write(tmp_path / split / f"{d.id}.pipe", write_mentions(d))
    found = TASK.load(tmp_path)
    for split in SPLITS:
        assert [d.text for d in found[split]] == [d.text for d in source[split]]
        for ours, theirs in zip(found[split], source[split], strict=True):
            assert [(m.fragments, m.concept) for m in ours.mentions] == [(m.fragments, m.concept) for m in theirs.mentions]
    missed = []
    for split in SPLITS:
        predicted, lost = back(found, "span", split)
        scores = TASK.score(found[split], predicted)
        assert scores["task_a"]["strict"]["fp"] == 0
        assert scores["task_a"]["strict"]["fn"] == lost
        missed.append(lost)
    # All for a fragment that starts or ends inside a word.
    assert missed == [13, 8, 0]


def test_a_line_that_is_read_says_where_it_stood() -> None:
    ((where, name, mention),) = lines_of("\nnote.TXT||X||C1||1||2\n", Path("f.pipe"))
    assert (where, name, mention.label) == ("f.pipe, line 2", "note", "X")
