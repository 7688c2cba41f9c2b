"""White space in mentions: trimmed, joined and counted in gold, alike in predictions; official scorers keep their spans."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from bench_tasks.custom.task import task_from_file
from bench_tasks.semeval2014_t7.task import SemEval2014T7
from bench_tasks.semeval2015_t14.task import SemEval2015T14
from bench_tasks.semeval2016_t12.task import SemEval2016T12
from hypothesis import given
from hypothesis import strategies as st

from bench.api.data import Corpus, Document, Mention, Relation, tidy
from bench.api.task import Task
from bench.data.cuts import joined
from bench.data.spans import tidied_corpus

TEXT = "glim and\n  swollen hands \t x"


@pytest.mark.parametrize(
    ("fragments", "wanted"),
    [
        ([(0, 4)], ((0, 4),)),
        ([(0, 5)], ((0, 4),)),
        ([(4, 8)], ((5, 8),)),
        ([(5, 8), (11, 18)], ((5, 18),)),
        ([(5, 9), (10, 18)], ((5, 18),)),
        ([(11, 18), (5, 8)], ((5, 18),)),
        ([(5, 7), (7, 8)], ((5, 8),)),
        ([(0, 4), (5, 8), (11, 18)], ((0, 18),)),
        ([(0, 4), (11, 18)], ((0, 4), (11, 18))),
        ([(0, 4), (8, 11), (19, 24)], ((0, 4), (19, 24))),
        ([(8, 11)], ((8, 11),)),
        ([(0, 4), (2, 8)], ((0, 8),)),
        ([(2, 8), (0, 12), (19, 24)], ((0, 12), (19, 24))),
        ([(0, 5), (20, 99)], ((0, 5), (20, 99))),
    ],
)
def test_fragments_are_ascending_bare_and_apart(fragments: list[tuple[int, int]], wanted: tuple[tuple[int, int], ...]) -> None:
    assert tidy(fragments, TEXT) == wanted


@given(
    st.text(alphabet="ab \n\t\u00a0", min_size=1, max_size=20),
    st.sets(st.integers(0, 20), min_size=2, max_size=8),
    st.randoms(),
)
def test_the_words_stay_and_nothing_is_left_to_put_right(text: str, cuts: set[int], rng: object) -> None:
    places = sorted(cut for cut in cuts if cut <= len(text))
    fragments = list(zip(places[::2], places[1::2], strict=False))
    if not fragments:
        return
    rng.shuffle(fragments)  # type: ignore[attr-defined]
    found = tidy(fragments, text)
    assert tidy(found, text) == found
    assert "".join("".join(text[a:b].split()) for a, b in found) == "".join(
        "".join(text[a:b].split()) for a, b in sorted(fragments)
    )
    if any(text[a:b].strip() for a, b in fragments):
        assert all(text[a:b] == text[a:b].strip() != "" for a, b in found)
        assert all(text[end:start].strip() for (_, end), (start, _) in pairwise(found))


def corpus(*mentions: Mention, relations: tuple[Relation, ...] = ()) -> Corpus:
    document = Document("d", TEXT, mentions, relations)
    return Corpus({"train": (document,), "dev": (), "test": ()}, False, "0" * 64)


def test_gold_is_put_right_counted_and_keeps_what_was_written() -> None:
    wrapped, loose, fine = Mention(((5, 8), (11, 18)), "A"), Mention(((0, 5),), "A"), Mention(((19, 24),), "A")
    again, turned = Mention(((0, 4),), "A"), Mention(((0, 4), (19, 24)), "A", written=((19, 24), (0, 4)))
    found = tidied_corpus(corpus(wrapped, loose, fine, again, turned, relations=(Relation(wrapped.key, loose.key, "r"),)))
    one, two, three, four = found["train"][0].mentions
    assert [m.fragments for m in (one, two, three, four)] == [((5, 18),), ((0, 4),), ((19, 24),), ((0, 4), (19, 24))]
    assert [m.as_written for m in (one, two, three)] == [wrapped.fragments, loose.fragments, fine.fragments]
    assert found["train"][0].relations == (Relation(one.key, two.key, "r"),)
    assert found.adjusted == {"joined": 1, "sorted": 1, "trimmed": 1}
    assert tidied_corpus(found).splits == found.splits
    assert tidied_corpus(corpus(fine)).adjusted == {}


def test_predictions_are_put_right_in_the_same_way() -> None:
    document = corpus()["train"][0]
    wrapped, fine = Mention(((5, 8), (11, 18)), "A", confidence=0.5), Mention(((19, 24),), "A")
    found = joined(document, [wrapped, fine, Relation(wrapped.key, fine.key, "r", 0.25)])
    assert [(m.fragments, m.confidence) for m in found.mentions] == [(((5, 18),), 0.5), (((19, 24),), None)]
    assert found.relations[0].source == (((5, 18),), "A")
    assert found.relations[0].confidence == 0.25


OFFICIAL: dict[str, tuple[Task, str, str]] = {
    "2015-T14": (SemEval2015T14(), "Disorder", "task1.span_only"),
    "2014-T7": (SemEval2014T7(), "Disease_Disorder", "task_a.strict"),
    "2016-T12": (SemEval2016T12(), "EVENT", "EVENT:<span>"),
}


@pytest.mark.parametrize("name", OFFICIAL)
def test_official_gold_stays_as_written_and_whoever_finds_the_words_is_right(name: str, tmp_path: Path) -> None:
    """Gold as the file has it; a prediction of the plain span counts as the file's way of writing it; another one does not."""
    task, label, row = OFFICIAL[name]
    if name == "2016-T12":
        pytest.importorskip("anafora")
    raw = corpus(Mention(((5, 8), (11, 18)), label), Mention(((0, 5),), label), Mention(((19, 24),), label))["train"]
    gold = tidied_corpus(Corpus({"train": raw}, False, ""))["train"]
    right = [Document("d", "", tuple(Mention(m.fragments, label) for m in gold[0].mentions))]
    wrong = [Document("d", "", (Mention(((5, 8),), label), Mention(((0, 3),), label), Mention(((19, 24),), label)))]

    def f1(gold: object, predicted: object) -> float:
        scores = task.score(gold, predicted)  # type: ignore[arg-type]
        for part in row.split("."):
            scores = scores[part]
        return float(scores["f1"])  # type: ignore[arg-type]

    assert f1(gold, right) == 1
    assert f1(gold, wrong) == pytest.approx(1 / 3)
    assert f1(gold, raw) == pytest.approx(1 / 3) or f1(gold, raw) == 1
    task.write(tmp_path / "new", [d.without_text() for d in gold])
    task.write(tmp_path / "old", [d.without_text() for d in raw])
    assert task.score_files(tmp_path / "old", tmp_path / "new") == task.score(raw, raw)
    if name == "2015-T14":
        assert task.score(gold, right)["task1"]["discontiguous"] | {} == {
            "tp": 0, "fp": 0, "fn": 0, "precision": 0.0, "recall": 0.0, "f1": 0.0
        }  # fmt: skip


@pytest.mark.parametrize("form", ["brat", "jsonl", "pipe"])
def test_files_are_scored_alike_where_gold_has_its_text(form: str, tmp_path: Path) -> None:
    slots = "no|null|patient|null|no|null|unmarked|null|unmarked|null|false|null|false|null|null|null"
    for side, spans in (("gold", "5-8,11-18"), ("pred", "5-18")):
        home = tmp_path / side
        home.mkdir()
        pairs = [tuple(map(int, pair.split("-"))) for pair in spans.split(",")]
        if form == "brat":
            (home / "d.ann").write_text(f"T1\tDisorder {';'.join(f'{a} {b}' for a, b in pairs)}\n")
        elif form == "pipe":
            (home / "d.pipe").write_text(f"d|{spans}|C1|{slots}\n")
        else:
            text = f'"text": "{TEXT[:18]}", '.replace("\n", "\\n") if side == "gold" else ""
            marks = [[a, b] for a, b in pairs]
            (home / "d.jsonl").write_text(f'{{"id": "d", {text}"mentions": [{{"fragments": {marks}, "label": "Disorder"}}]}}\n')
    (tmp_path / "mine.toml").write_text(f'kind = "mentions"\nformat = "{form}"\nfolder = "."\n')
    task = task_from_file(tmp_path / "mine.toml")
    if form != "jsonl":
        assert task.score_files(tmp_path / "gold", tmp_path / "pred")["strict"]["tp"] == 0  # without text nobody can know
        (tmp_path / "gold" / ("d.txt" if form == "brat" else "d.text")).write_text(TEXT)
    scores = task.score_files(tmp_path / "gold", tmp_path / "pred")
    assert (scores["strict"]["f1"], scores["discontiguous"]["fn"]) == (1, 0)
