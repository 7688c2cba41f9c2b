"""The linker: what meets by key, abbreviations, cross-fitting, the threshold, and what is said of how concepts come out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn")

from bench.api.data import Corpus, Document, Mention
from bench.data.concepts import ConceptDictionary
from bench.evaluation.linking import Seen, accuracies
from bench.evaluation.small_counts import wilson
from bench.linking.abbreviations import definitions, expanded, initials
from bench.linking.candidates import Finder, Query, learn
from bench.linking.columns import Columns
from bench.linking.linker import Linker
from bench.linking.meanings import Meanings, is_sentence_encoder
from bench.linking.normalise import head, keys
from bench.linking.rerank import Choice, fit, threshold
from bench.linking.table import Name, NameTable, write

PARTS = ("kidney", "liver", "heart", "lung", "spleen", "bladder", "stomach", "colon")
FINDINGS = ("pain", "cyst", "tumor", "stenosis", "infection")
NONE = "CUI-less"


def terminology() -> NameTable:
    found = []
    for p, part in enumerate(PARTS):
        for f, finding in enumerate(FINDINGS):
            found += [Name(f"C{p}{f}", f"{part} {finding}", 0), Name(f"C{p}{f}", f"{finding} of the {part}", 1)]
    return write([*found, Name("C99", "retinal rod cell", 0)], Columns())


def document(name: str, *pairs: tuple[str, str | None]) -> Document:
    text, mentions = "", []
    for words, concept in pairs:
        fragments = []
        for piece in words.split(" … "):
            text += "and "
            fragments.append((len(text), len(text) + len(piece)))
            text += f"{piece} "
        mentions.append(Mention(tuple(fragments), concept=concept))
    return Document(name, text, tuple(mentions))


def training() -> list[Document]:
    return [
        document(
            f"d{n}",
            (f"{PARTS[n % 6]} {FINDINGS[n % 4]}s", f"C{n % 6}{n % 4}"),
            (f"{FINDINGS[(n + 1) % 4]} of {PARTS[(n + 2) % 6]}", f"C{(n + 2) % 6}{(n + 1) % 4}"),
            ("thing", NONE),
        )
        for n in range(20)
    ]


@pytest.fixture(scope="module")
def table() -> NameTable:
    return terminology()


@pytest.fixture(scope="module")
def linker(table: NameTable) -> Linker:
    dev = [document("v", ("bladder pain", "C50"), ("unheard of", NONE), ("colon cysts", "C71"))]
    return Linker(table, training(), dev, NONE)


@pytest.mark.parametrize(
    ("one", "other", "level"),
    [
        ("Germ-cell", "germ cell", 0), ("naïve cell", "NAIVE CELL", 0), ("β-cell", "beta cell", 0),
        ("Crohn's disease", "Crohn disease", 0), ("slow fibres", "slow fiber", 1), ("type II cells", "Type 2 cell", 1),
        ("anaemia", "anemia", 1), ("tumours", "tumor", 1), ("biopsies", "biopsy", 1), ("striatal cells", "striatum cell", 2),
        ("epithelial cells of the intestine", "intestinal epithelial cell", 2), ("lymphocytic", "lymphocyte", 2),
    ],
)  # fmt: skip
def test_spellings_meet_at_the_level_they_should_and_at_none_before(one: str, other: str, level: int) -> None:
    same = [a == b for a, b in zip(keys(one), keys(other), strict=True)]
    assert same == [place >= level for place in range(3)]


@pytest.mark.parametrize(("one", "other"), [("left arm", "right arm"), ("type 1", "type 2"), ("T cell", "B cell")])
def test_names_of_two_things_never_meet(one: str, other: str) -> None:
    assert not set(keys(one)) & set(keys(other))


def test_the_head_is_the_last_word_or_the_one_before_of() -> None:
    assert head("epithelial cells of the intestine") == head("intestinal epithelial cell")
    assert head("kidney cyst") != head("cyst of kidney") or head("kidney cyst") == "cyst"


def test_abbreviations_are_those_that_the_text_defines() -> None:
    text = "Alveolar epithelial cells (AECs) line it; CHF (congestive heart failure) too. We see (Fig) and rats (n = 3)."
    assert definitions(text) == {"AEC": "Alveolar epithelial cells", "CHF": "congestive heart failure"}
    assert expanded("type I AECs", definitions(text)) == "type I Alveolar epithelial cells"
    assert expanded("CHFs CHF", {}) == "CHFs CHF"
    assert initials(["IHC", "inner hair cells", "XYZ", "s"]) == {"IHC": "inner hair cells"}


def test_nearest_names_are_exact_cosines(table: NameTable) -> None:
    (found,) = table.nearest(["kidney pains"], 3)
    assert table.texts[found[0][0]] in ("kidney pain", "pain of the kidney")
    rows = table.vectors([table.texts[i] for i in range(len(table))])
    every = np.asarray((rows @ table.vectors(["kidney pains"]).T).todense()).ravel()
    assert [score for _, score in found] == pytest.approx(sorted(every, reverse=True)[:3], abs=1e-5)
    assert table.nearest(["zzzz"], 3) == [[]]


def test_a_table_on_disk_says_what_one_in_memory_says(
    tmp_path: Path, table: NameTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.linking.table.CHUNK", 7)  # several chunks, the last one short
    stored = write([Name(table.concept(i), table.texts[i], int(table.kinds[i])) for i in range(len(table))], Columns(tmp_path))
    assert [stored.texts[i] for i in range(len(stored))] == [table.texts[i] for i in range(len(table))]
    assert stored.concepts == table.concepts == 41
    assert stored.of_concept("C23", 9) == table.of_concept("C23", 9) != []
    texts = ["liver cyst", "tumour of spleen"]
    for one, other in zip(stored.nearest(texts, 4), table.nearest(texts, 4), strict=True):
        assert [i for i, _ in one] == [i for i, _ in other]
        assert [s for _, s in one] == pytest.approx([s for _, s in other], abs=1e-6)


def test_a_mention_is_not_found_by_its_own_fold(table: NameTable) -> None:
    trained = learn([document("a", ("odd thing", "C00")), document("b", ("kidney pain", "C00"))], 2, NONE)
    finder = Finder(table, trained)
    query = Query("odd thing", "odd thing", "Disorder")
    finder.prepare([query])
    assert any(evidence.by_key for evidence in finder.find(query).values())
    assert not any(evidence.by_key for evidence in finder.find(query, without=0).values())
    assert any(evidence.by_key for evidence in finder.find(query, without=1).values())
    assert [trained.prior("C00", fold) for fold in (None, 0, 1)] == [2, 1, 1]
    other = Query("odd thing", "odd thing", "Drug")
    finder.prepare([other])
    assert not any(evidence.trained for evidence in finder.find(other).values())


def test_concepts_that_no_training_mention_has_are_found(linker: Linker) -> None:
    found = document("t", ("colon infections", "C74"), ("infection … stomach", "C64"), ("heart stenosis", "C23"))
    assert [mention.concept for mention in linker.link(found, found.mentions)] == ["C74", "C64", "C23"]
    assert [m.fragments for m in linker.link(found, found.mentions)] == [m.fragments for m in found.mentions]


def test_what_nothing_is_like_has_no_concept_and_what_training_says_stays(linker: Linker) -> None:
    found = document("t", ("qqqq wwww", NONE), ("thing", NONE))
    assert [mention.concept for mention in linker.link(found, found.mentions)] == [NONE, NONE]
    assert np.isfinite(linker.threshold)


def test_the_same_input_gives_the_same_output(table: NameTable, linker: Linker) -> None:
    dev = [document("v", ("bladder pain", "C50"), ("unheard of", NONE), ("colon cysts", "C71"))]
    again = Linker(table, training(), dev, NONE)
    target = document("t", ("pain of stomach", "C60"), ("liver cyst", "C11"), ("lungs", NONE))
    assert again.threshold == linker.threshold
    assert again.rank(target, target.mentions) == linker.rank(target, target.mentions)


def test_what_was_found_of_many_texts_is_forgotten_and_found_again(
    table: NameTable, linker: Linker, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = document("t", ("pain of stomach", "C60"), ("liver cyst", "C11"), ("lungs", NONE))
    before = linker.rank(target, target.mentions)
    linker.forget()
    assert len(linker._finder._near) > 2  # they are few
    monkeypatch.setattr("bench.linking.candidates.KEPT", 2)
    linker.forget()
    assert linker._finder._near == {}
    assert linker.rank(target, target.mentions) == before


@pytest.mark.parametrize("kept", [0, 4, 1000])
def test_a_ranking_that_is_kept_is_the_one_of_these_mentions_in_this_note(
    table: NameTable, linker: Linker, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    monkeypatch.setattr("bench.linking.linker.RECENT", kept)
    dev = [document("v", ("bladder pain", "C50"), ("unheard of", NONE), ("colon cysts", "C71"))]
    fresh = [document("n", ("kidney pain", None), ("pain", None), ("spleen cyst", None)), document("m", ("pain", None))]
    asked = [(fresh[0], part) for part in (fresh[0].mentions, fresh[0].mentions[1:], fresh[0].mentions[::-1], ())]
    asked += [(fresh[1], fresh[1].mentions), (fresh[0], fresh[0].mentions)]
    wanted = [Linker(table, training(), dev, NONE).rank(text, mentions) for text, mentions in asked]
    for _ in range(2):
        assert [linker.rank(text, mentions) for text, mentions in asked] == wanted


def test_dev_notes_are_looked_up_together(table: NameTable, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once through the terminology for them all: of ten million names that is several seconds."""
    asked: list[int] = []
    nearest = NameTable.nearest

    def counted(self: NameTable, texts: Sequence[str], count: int) -> list[list[tuple[int, float]]]:
        asked.extend([len(texts)] if self is table else [])
        return nearest(self, texts, count)

    monkeypatch.setattr(NameTable, "nearest", counted)
    dev = [document(f"v{n}", (f"unheard of {n}", "C50")) for n in range(40)]
    Linker(table, training(), dev, NONE)
    assert asked[-1] == 40
    assert len(asked) == 2  # the training notes, and those of dev


def test_notes_of_a_pass_are_looked_up_together(linker: Linker, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    nearest = NameTable.nearest

    def counted(self: NameTable, texts: Sequence[str], count: int) -> list[list[tuple[int, float]]]:
        asked.append(len(texts))
        return nearest(self, texts, count)

    notes = [document(f"n{n}", (f"quite unheard of {n}", "C50"), ("liver cyst", "C11")) for n in range(30)]
    alone = [linker.link(note, note.mentions) for note in notes]
    monkeypatch.setattr(NameTable, "nearest", counted)
    again = [document(f"m{n}", (f"never heard of {n}", "C50")) for n in range(30)]
    linker.prepare(again)
    assert asked == [30, 30]  # once among the names, once among the training mentions
    assert [linker.link(note, note.mentions) for note in again]
    assert [linker.link(note, note.mentions) for note in notes] == alone
    assert asked == [30, 30]


def test_an_abbreviation_is_linked_by_what_the_note_says(linker: Linker) -> None:
    text = "He has a retinal rod cell (RRC) defect. RRC again."
    found = Document("t", text, (Mention(((text.rindex("RRC"), text.rindex("RRC") + 3),)),))
    assert linker.link(found, found.mentions)[0].concept == "C99"


def test_the_logit_learns_what_decides_and_agrees_with_its_closed_form() -> None:
    rng = np.random.default_rng(0)
    choices = []
    for _ in range(200):
        rows = rng.normal(size=(4, 3)).astype(np.float32)
        choices.append(Choice(rows, int((2 * rows[:, 0] - rows[:, 2]).argmax()), 1.0))
    ranker = fit(choices)
    assert ranker.weights[0] > 0 > ranker.weights[2]
    assert abs(ranker.weights[1]) < 0.3 * ranker.weights[0]
    assert np.mean([ranker(c.rows).argmax() == c.right for c in choices]) > 0.95


def test_the_threshold_has_the_most_mentions_right() -> None:
    best, right, unlinked = [1.0, 2.0, 3.0, 4.0], [False, False, True, True], [True, True, False, False]
    assert 2.0 < threshold(best, right, unlinked) < 3.0
    assert threshold(best, right, [False] * 4) == float("-inf")
    assert threshold(best, [False] * 4, [True] * 4) == float("inf")
    assert threshold([1.0, 2.0], [True, False], [False, True]) == float("-inf")  # a tie: the lowest


def test_meanings_find_what_letters_do_not() -> None:
    names = write([Name("A", "renal stone", 0), Name("B", "heart attack", 0)], Columns())
    trained = write([Name("A", "kidney pebble", 5)], Columns())

    def encode(texts: list[str]) -> np.ndarray:  # type: ignore[type-arg]
        return np.array(
            [[1.0, 0.0] if {"renal", "kidney", "nephrolith"} & {*t.split()} else [0.0, 1.0] for t in texts], np.float32
        )

    meanings = Meanings(encode, names, trained)  # type: ignore[arg-type]
    meanings.prepare(["nephrolith"], [])
    assert meanings.nearest("nephrolith", 1) == [0]
    assert meanings.to_names(["nephrolith"], [0, 1]) == {0: 1.0, 1: 0.0}
    assert meanings.to_trained(["nephrolith"], [0]) == {0: 1.0}


def test_a_sentence_encoder_is_one_that_says_so(tmp_path: Path) -> None:
    assert not is_sentence_encoder(tmp_path)
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text('{"pooling_mode_mean_tokens": true}')
    assert not is_sentence_encoder(tmp_path)
    (tmp_path / "modules.json").write_text("[]")
    assert is_sentence_encoder(tmp_path)
    (tmp_path / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}')
    assert not is_sentence_encoder(tmp_path)


def test_accuracies_count_what_they_say() -> None:
    train = [document("a", ("fever", "C1"), ("cough", "C2"))]
    gold = [document("t", ("fever", "C1"), ("cough", "C1"), ("pyrexia", "C1"), ("rash", "C3"), ("odd", None))]

    class Fixed:
        def prepare(self, documents: Sequence[Document]) -> None:
            pass

        def rank(self, document: Document, mentions: tuple[Mention, ...]) -> list[tuple[str, ...]]:
            lists = {"fever": ("C1",), "cough": ("C2", "C1"), "pyrexia": ("C1",), "rash": (*"123456", "C3"), "odd": ("C9",)}
            return [lists[document.text[slice(*m.fragments[0])]] for m in mentions]

        def link(self, document: Document, mentions: tuple[Mention, ...]) -> tuple[Mention, ...]:
            return mentions

    seen = Seen.of(train)
    counted = asdict(accuracies(gold, Fixed(), seen))
    intervals = counted.pop("ci95")
    assert (intervals["accuracy"], intervals["accuracy_new"]) == (wilson(2, 4), wilson(0, 1))
    assert counted == {
        "mentions": 4, "unseen": 2, "new": 1, "accuracy": 0.5,
        "accuracy_seen": 0.5, "accuracy_unseen": 0.5, "accuracy_new": 0.0,
        "recall_at_1": 0.5, "recall_at_5": 0.75, "recall_at_20": 1.0,
    }  # fmt: skip
    predicted = [Document("t", "", (gold[0].mentions[0], Mention(((0, 1),)), gold[0].mentions[3]))]

    class Blank(Fixed):
        def rank(self, document: Document, mentions: tuple[Mention, ...]) -> list[tuple[str, ...]]:
            return [("C1",) for _ in mentions]

    found = accuracies(gold, Blank(), seen, predicted)
    assert (found.mentions, found.accuracy, found.accuracy_new) == (2, 0.5, 0.0)
    nothing = accuracies(gold, Blank(), seen, [Document("t", "")])
    assert nothing.mentions == 0
    assert nothing.accuracy is nothing.recall_at_20 is None
    assert nothing.ci95 == {}


def test_the_ranker_is_the_same_on_any_number_of_threads() -> None:
    from threadpoolctl import threadpool_limits

    random = np.random.default_rng(0)
    choices = [Choice(random.normal(size=(33, 47)).astype(np.float32), int(random.integers(33)), 1.0) for _ in range(1203)]
    made = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            made.append(fit(choices))
    assert np.array_equal(made[0].weights, made[1].weights)


def test_the_dictionary_ranks_by_frequency() -> None:
    train = [document("a", ("fever", "C1"), ("fever", "C2"), ("fever", "C2"), ("fever", None))]
    target = document("t", ("fever", "C1"), ("odd", "C1"))
    assert ConceptDictionary(NONE).fit(train).rank(target, target.mentions) == [("C2", "C1"), (NONE,)]
    corpus = Corpus({"train": tuple(train)}, False, "")
    assert corpus["train"]
