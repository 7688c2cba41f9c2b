from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bench.api.data import Document
from bench.evaluation.overlap import overlap


def text(first: int, count: int) -> str:
    return " ".join(f"w{n}" for n in range(first, first + count))


def test_shared_documents_and_runs_are_counted() -> None:
    train = [Document("a", text(0, 40)), Document("b", "Short  Note.")]
    test = [
        Document("c", text(0, 40)),  # the whole of a: 28 runs
        Document("d", f"{text(900, 5)} {text(10, 14)}"),  # 14 words of a in a row: 2 of 7 runs, which c has too
        Document("e", f"{text(600, 5)} {text(10, 12)}"),  # 12 are no run
        Document("f", "short\nnote"),  # whole, though too short for a run
        Document("g", text(500, 20)),
    ]
    found = overlap({"train": train, "test": test})
    assert set(found) == {"test-train"}
    assert found["test-train"] == {"documents": 5, "exact": 2, "touched": 3, "grams": 28 + 5 + 5 + 8, "shared": 28}


def test_order_of_words_counts() -> None:
    words = text(0, 13).split()
    found = overlap(
        {"train": [Document("a", " ".join(words))], "dev": [Document("b", " ".join([words[1], words[0], *words[2:]]))]}
    )
    assert found["dev-train"]["shared"] == 0


def test_splits_without_documents_share_nothing() -> None:
    assert overlap({"train": [], "test": []})["test-train"]["shared"] == 0


@given(
    st.lists(st.lists(st.integers(0, 2), max_size=12), max_size=6),
    st.lists(st.lists(st.integers(0, 2), max_size=12), max_size=6),
)
def test_hashes_agree_with_the_words_themselves(train: list[list[int]], test: list[list[int]]) -> None:
    splits = {
        name: [Document(str(i), " ".join(map(str, words))) for i, words in enumerate(texts)]
        for name, texts in (("train", train), ("test", test))
    }
    found = overlap(splits, gram=3)["test-train"]
    runs = {
        name: {tuple(w[i : i + 3]) for w in texts for i in range(len(w) - 2)} for name, texts in (("a", train), ("b", test))
    }
    assert found["grams"] == len(runs["b"])
    assert found["shared"] == len(runs["a"] & runs["b"])
    assert found["exact"] == sum(words in train for words in test)
    mine = [{tuple(w[i : i + 3]) for i in range(len(w) - 2)} for w in test]
    assert found["touched"] == sum(bool(own & runs["a"]) or words in train for own, words in zip(mine, test, strict=True))
