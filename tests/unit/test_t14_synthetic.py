"""The synthetic corpus keeps its rules: no giveaway, kinds of mentions as promised, and the bytes of a seed."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from bench_tasks.common.pipe import SLOTS
from bench_tasks.semeval2015_t14.synthesis import words
from bench_tasks.semeval2015_t14.synthesis.markup import numbered, render
from bench_tasks.semeval2015_t14.synthesis.phrases import FRAMES, Phrases
from bench_tasks.semeval2015_t14.task import SemEval2015T14

from bench.api.data import Corpus, Document, Mention
from bench.data.concepts import ConceptDictionary, mention_words
from bench.data.windows import sentences
from bench.data.windows import words as words_of
from bench.errors import UsageError

TASK = SemEval2015T14()
SMALL = {"train": 3, "dev": 2, "test": 2}


def bytes_below(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic") / "corpus"
    TASK.synthesize(folder, 0)
    return folder


@pytest.fixture(scope="module")
def corpus(folder: Path) -> Corpus:
    return TASK.load(folder)


@pytest.fixture(scope="module")
def dictionary(corpus: Corpus) -> ConceptDictionary:
    return ConceptDictionary("CUI-less").fit(corpus["train"])


def mentions(corpus: Corpus, split: str) -> list[tuple[Document, Mention]]:
    return [(document, mention) for document in corpus[split] for mention in document.mentions]


def pieces(document: Document, mention: Mention) -> list[str]:
    return [re.sub(r"\s+", " ", document.text[start:end]) for start, end in mention.fragments]


def test_sizes_and_lengths(corpus: Corpus) -> None:
    assert corpus.synthetic
    assert {split: len(corpus[split]) for split in corpus} == {"train": 240, "dev": 60, "test": 60}
    texts = [document.text for split in corpus for document in corpus[split]]
    assert all(150 <= len(text.split()) <= 400 for text in texts)
    assert len(set(texts)) == len(texts)


@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_share_of_discontiguous_mentions(corpus: Corpus, split: str) -> None:
    found = mentions(corpus, split)
    share = sum(mention.discontiguous for _, mention in found) / len(found)
    assert 0.08 <= share <= 0.14
    counts = Counter(len(mention.fragments) for _, mention in found)
    assert set(counts) == {1, 2, 3}
    assert counts[3] >= 10


@pytest.mark.parametrize("split", ["dev", "test"])
def test_it_is_no_giveaway(corpus: Corpus, dictionary: ConceptDictionary, split: str) -> None:
    found = mentions(corpus, split)
    unseen = sum(mention_words(document.text, mention) not in dictionary for document, mention in found)
    assert unseen / len(found) >= 0.30
    guessed = [replace(document, mentions=dictionary.annotate(document)) for document in corpus[split]]
    scores = TASK.score(corpus[split], guessed)["task1"]
    assert scores["span_only"]["f1"] <= 0.60
    assert scores["span_only"]["tp"] > 100  # the dictionary does find what it knows


def test_dictionary_words_also_occur_as_something_else(corpus: Corpus, dictionary: ConceptDictionary) -> None:
    outside = 0
    for document in corpus["test"]:
        taken = {offset for m in document.mentions for start, end in m.fragments for offset in range(start, end)}
        outside += sum(taken.isdisjoint(range(*m.fragments[0])) for m in dictionary.annotate(document))
    assert outside >= 40


def test_splits_share_no_template_and_only_part_of_the_vocabulary() -> None:
    def frames(held: Mapping[str, Mapping[str, Sequence[str]]]) -> set[str]:
        return {frame for table in held.values() for frames in table.values() for frame in frames}

    # A frame that is one place and nothing else has no wording that could give a mention away.
    bare = {frame for held in FRAMES.values() for frame in frames(held) if not re.search(r"[A-Za-z]{3}", strip(frame))}
    train, dev, test = (frames(FRAMES[split]) - bare for split in ("train", "dev", "test"))
    assert not train & dev
    assert not train & test
    assert not dev & test
    assert min(map(len, (train, dev, test))) > 40
    for entries in (words.DISEASES, words.SYMPTOMS, words.FINDINGS, words.ROOTS, words.PAIRED, words.PREDICATES, words.DRUGS):
        lists = [set(entries[split]) for split in entries]
        assert sum(map(len, lists)) == len(set.union(*lists))


def strip(frame: str) -> str:
    return re.sub(r"\{\w+\}|\[[^|\[\]]*\||\]", "", frame)


def test_every_kind_of_slot_is_there_with_a_cue_that_stands_in_the_text(folder: Path, corpus: Corpus) -> None:
    for split in corpus:
        found = Counter((slot, value) for _, m in mentions(corpus, split) for slot in m.slots for value in m.slots[slot])
        for slot in SLOTS:
            assert sum(found[slot.name, value] for value in slot.values) >= 10, (split, slot.name)
    train = Counter((slot, value) for _, m in mentions(corpus, "train") for slot in m.slots for value in m.slots[slot])
    assert {(slot.name, value) for slot in SLOTS for value in slot.values[1:]} <= set(train)
    document = corpus["train"][0]
    cues = set()
    for line in (folder / "train" / f"{document.id}.pipe").read_text(encoding="utf-8").splitlines():
        columns = line.split("|")
        assert len(columns) == 19
        if columns[3] == "yes":
            start, end = map(int, columns[4].split("-"))
            cues.add(re.sub(r"\s+", " ", document.text[start:end]).lower())
    assert cues
    assert cues <= {
        "denies",
        "no",
        "did not show",
        "no evidence of",
        "not",
        "never developed",
        "negative for",
        "ruled out",
        "any",
    }


def test_kinds_of_mentions(corpus: Corpus) -> None:
    joined = {split: {" … ".join(pieces(*pair)).lower() for pair in mentions(corpus, split)} for split in corpus}
    everything = set.union(*joined.values())
    assert any(re.fullmatch(r"left … \w+ enlargement", text) for text in everything)
    assert any(text.endswith("… tender") for text in everything)
    assert any(text.startswith("pain … ") for text in everything)
    assert any(re.fullmatch(r".*(tumor|carcinoma) … .*", text) for text in joined["test"])
    assert {"CHF", "COPD", "MI"} <= {" ".join(pieces(*pair)) for split in corpus for pair in mentions(corpus, split)}
    nested = shared = 0
    for document in corpus["test"]:
        for one in document.mentions:
            for other in document.mentions:
                if one is not other:
                    nested += set(one.fragments) < set(other.fragments)
                    shared += bool(set(one.fragments) & set(other.fragments))
    assert nested >= 1
    assert shared >= 10


def test_mentions_stay_within_sentences_and_fragments_are_short(corpus: Corpus) -> None:
    for split in corpus:
        for document in corpus[split]:
            offsets = words_of(document.text)
            ends = [offsets[end - 1][1] for _, end in sentences(document.text)]
            for mention in document.mentions:
                first, last = mention.fragments[0][0], mention.fragments[-1][1]
                assert not any(first < end < last for end in ends)
                for piece in pieces(document, mention):
                    assert piece == piece.strip()
                    assert 1 <= len(piece.split()) <= 8


def test_some_line_breaks_stand_inside_mentions_and_sentences(corpus: Corpus) -> None:
    texts = [document.text[a:b] for document, mention in mentions(corpus, "test") for a, b in mention.fragments]
    assert sum("\n" in text for text in texts) >= 10


def test_concepts_are_consistent(corpus: Corpus) -> None:
    found: dict[tuple[str, ...], set[str | None]] = {}
    for split in corpus:
        for document, mention in mentions(corpus, split):
            found.setdefault(mention_words(document.text, mention), set()).add(mention.concept)
    # A text is one concept, but for the few that a phrase and a lexeme of its own both can spell.
    assert sum(len(concepts) > 1 for concepts in found.values()) <= 0.01 * len(found)
    linked = [m.concept for split in corpus for _, m in mentions(corpus, split)]
    assert all(c == "CUI-less" or re.fullmatch(r"C9\d{6}", c or "") for c in linked)
    assert 0.03 <= linked.count("CUI-less") / len(linked) <= 0.2
    chf = {m.concept for s in corpus for d, m in mentions(corpus, s) if pieces(d, m)[0] in ("CHF", "congestive heart failure")}
    assert len(chf) == 1


def test_same_seed_same_bytes_and_another_seed_other_ones(tmp_path: Path) -> None:
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        TASK.synthesize(tmp_path / name, seed, SMALL)
    assert bytes_below(tmp_path / "a") == bytes_below(tmp_path / "b")
    assert len(bytes_below(tmp_path / "a")) == 2 * 7 + 2  # the marker and the names of concepts
    assert TASK.load(tmp_path / "a").sha256 != TASK.load(tmp_path / "c").sha256


def test_a_note_does_not_depend_on_the_process_or_on_how_many_there_are(tmp_path: Path) -> None:
    TASK.synthesize(tmp_path / "here", 7, SMALL)
    TASK.synthesize(tmp_path / "more", 7, {"train": 5, "dev": 2, "test": 2})
    code = (
        "import sys; from pathlib import Path; from bench_tasks.semeval2015_t14.task import SemEval2015T14; "
        "SemEval2015T14().synthesize(Path(sys.argv[1]), 7, {'train': 3, 'dev': 2, 'test': 2})"
    )
    environment = {"PYTHONHASHSEED": "123", "PYTHONPATH": ":".join(p for p in sys.path if p)}
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "there")], check=True, env=environment)
    assert bytes_below(tmp_path / "here") == bytes_below(tmp_path / "there")
    texts = {path.name: path.read_bytes() for path in (tmp_path / "more" / "train").glob("*.text")}
    assert all(texts[path.name] == path.read_bytes() for path in (tmp_path / "here" / "train").glob("*.text"))


def test_a_size_of_nothing_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="asked for 0 documents in dev"):
        TASK.synthesize(tmp_path / "x", 0, {"dev": 0})
    assert not (tmp_path / "x").exists()


def test_the_random_stream_is_the_one_that_every_version_of_python_gives() -> None:
    phrases = Phrases(0, "train", 1)
    assert [phrases.number(0, 999) for _ in range(3)] == [747, 451, 31]


def test_markup() -> None:
    sentence = render("[1!NI=yes|No] [a,1b|[=left|left]] and [=x|y] [1b,a|[=site:knee|knee]] [1b|pain].")
    assert sentence.text == "No left and y knee pain."
    by_text = {" … ".join(sentence.text[a:b] for a, b in m.fragments): m for m in sentence.mentions}
    assert set(by_text) == {"left … knee", "left … knee pain"}
    assert by_text["left … knee pain"].slots == {"NI": ("yes", (0, 2))}
    assert by_text["left … knee"].slots == {}
    assert by_text["left … knee pain"].lexemes == ("left", "site:knee")
    assert by_text["left … knee"].places == (("site:knee", (14, 18)),)


def test_numbering_leaves_lexemes_alone() -> None:
    assert numbered("[a,b|x [=site:arm|y]] [a!SV=severe|z]", "2") == "[2a,2b|x [=site:arm|y]] [2a!SV=severe|z]"


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.text").write_text("kept", encoding="utf-8")
    with pytest.raises(UsageError, match="is not empty"):
        TASK.synthesize(tmp_path, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.text"]
