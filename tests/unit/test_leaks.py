"""Documents in two splits: found by id whatever a loader says, refused by name, allowed and counted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.api.data import SPLITS, Corpus, Document, Leak
from bench.data.leaks import NAMED, as_json, leaks_of, notice, refuse
from bench.errors import DataError, LeakError
from bench.steps.start import repeated


def corpus(*leaks: Leak, **splits: list[str]) -> Corpus:
    return Corpus({split: tuple(Document(i, "SECRET") for i in ids) for split, ids in splits.items()}, False, "0", leaks)


def test_ids_are_named_and_not_all_of_them() -> None:
    refuse("here", leaks_of(corpus(train=["a", "a"], test=["b"])))
    many = corpus(train=[f"d{n}" for n in range(9)], dev=["x"], test=[f"D{n}" for n in range(8)])
    with pytest.raises(LeakError) as error:
        refuse("here", leaks_of(many))
    assert isinstance(error.value, DataError)
    assert error.value.leaks[0] == ("D0", "train", "test")
    assert len(error.value.leaks) == 8
    assert error.value.message.startswith("8 documents stand in two splits of here: 'D0' (train and test), ")
    assert "and 3 more; wanted each in one split only." in error.value.message
    assert "'D5'" not in error.value.message
    assert "--allow-leak" in str(error.value.hint)
    assert "SECRET" not in str(error.value)


def test_what_the_loader_reports_counts_once_and_what_it_tolerates_is_let_through() -> None:
    reported = (Leak("a", "dev", "train", "a"), Leak("t", "test", "train", "b"), Leak("u", "test", "dev", "a", tolerated=True))
    found = leaks_of(corpus(*reported, train=["a", "b"], dev=["a"], test=["t", "u"]))
    assert found == (Leak("a", "dev", "train"), *reported[1:])
    assert leaks_of(Corpus({}, False, "0", found)) == found
    with pytest.raises(LeakError, match=r"'a' \(train and dev\), 't = b' \(train and test\)"):
        refuse("here", found)
    refuse("here", found[2:])
    assert as_json(found) == {
        "allowed": 2,
        "tolerated": 1,
        "documents": [
            {"document": "a", "split": "dev", "twin": "a", "other": "train"},
            {"document": "t", "split": "test", "twin": "b", "other": "train"},
            {"document": "u", "split": "test", "twin": "a", "other": "dev"},
        ],
    }
    assert notice("toy", found[2:]) is None
    assert "2 documents stand in two splits of toy: allowed by --allow-leak" in str(notice("toy", found))


def test_a_result_counts_all_and_names_the_first() -> None:
    many = tuple(Leak(f"{n}", "test", "train", tolerated=n < 5) for n in range(3 * NAMED))
    found = as_json(many)
    assert (found["allowed"], found["tolerated"], len(found["documents"])) == (3 * NAMED - 5, 5, NAMED)
    assert found["documents"][0]["document"] == "5"


@given(st.lists(st.tuples(st.sampled_from(SPLITS), st.sampled_from("abcdeABCDE")), max_size=20))
def test_an_id_leaks_exactly_where_an_earlier_split_has_it(places: list[tuple[str, str]]) -> None:
    ids = {split: [name for home, name in places if home == split] for split in SPLITS}
    expected = {
        (name, split)
        for at, split in enumerate(SPLITS)
        for name in ids[split]
        if any(name.casefold() == other.casefold() for earlier in SPLITS[:at] for other in ids[earlier])
    }
    assert {(leak.document, leak.split) for leak in leaks_of(corpus(**ids))} == expected


def test_text_that_another_run_was_trained_on_is_found_and_a_few_sentences_are_tolerated() -> None:
    sentence, abstract = "the quick brown fox jumps over one dog", " ".join(f"word{n}" for n in range(80))
    seen = [Document("s", sentence.upper()), Document("a", abstract), Document("h", "METHODS :")]
    other = [Document(f"{n}", f"text number {n} that nobody has seen before today") for n in range(150)]

    def found(*texts: str) -> list[tuple[str, str, str, bool]]:
        test = [*other, *(Document(f"t{n}", text) for n, text in enumerate(texts))]
        leaks = repeated("first", seen, Corpus({"train": (), "dev": (), "test": test}, False, "0"))
        assert {(leak.split, leak.other) for leak in leaks} <= {("test", "train of first")}
        return [(leak.document, leak.split, leak.twin, leak.tolerated) for leak in leaks]

    assert found(f" {sentence}\n", "METHODS :") == [("t0", "test", "s", True)]
    assert found(abstract) == [("t0", "test", "a", False)]  # no sentence, however few there are
    assert found(sentence, sentence, sentence) == [(f"t{n}", "test", "s", False) for n in range(3)]  # too many
