"""Which training documents a run with ``--shots K`` takes: by seed and id alone, at most K, nested, in the corpus's order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bench.api.data import Corpus, Document
from bench.data.shots import drawn, facts, few, resampled

documents = st.lists(st.text(min_size=1, max_size=6), min_size=1, max_size=30, unique=True).map(
    lambda names: [Document(name, f"text of {name}") for name in names]
)


@given(documents, st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_a_draw_is_at_most_k_documents_in_their_order(found: list[Document], most: int, seed: int) -> None:
    taken = drawn(found, most, seed)
    assert len(taken) == min(most, len(found))
    assert [d for d in found if d in taken] == [*taken]
    assert drawn(found, most, seed) == taken


@given(documents, st.integers(1, 40), st.integers(0, 2**32 - 1), st.randoms(use_true_random=False))
def test_the_order_of_a_corpus_does_not_matter_and_fewer_are_a_part_of_more(
    found: list[Document], most: int, seed: int, random: object
) -> None:
    taken = {d.id for d in drawn(found, most, seed)}
    shuffled = [*found]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert {d.id for d in drawn(shuffled, most, seed)} == taken
    assert taken <= {d.id for d in drawn(found, most + 1, seed)}


def test_seeds_draw_other_documents_and_dev_and_test_stay_whole() -> None:
    train = tuple(Document(f"{i}", "x") for i in range(100))
    corpus = Corpus({"train": train, "dev": train[:7], "test": train[:9]}, synthetic=False, sha256="a")
    taken = [few(corpus, 10, seed) for seed in range(20)]
    assert len({facts(one)["sha256"] for one in taken}) == 20
    assert {(len(one["dev"]), len(one["test"]), one.sha256) for one in taken} == {(7, 9, "a")}
    assert {(facts(one)["documents"], facts(one)["of"]) for one in taken} == {(10, 100)}
    # Every document is as likely as any other: 200 draws of 10 of 100, each about 20 times.
    counts = [sum(d in drawn(train, 10, seed) for seed in range(200)) for d in train]
    assert min(counts) > 5
    assert max(counts) < 40


@given(documents, st.integers(0, 2**32 - 1))
def test_a_resample_is_a_half_rounded_up_by_its_draw_alone(found: list[Document], draw: int) -> None:
    corpus = Corpus({"train": tuple(found), "dev": (), "test": ()}, synthetic=False, sha256="a")
    taken = resampled(corpus, draw)
    assert taken["train"] == drawn(found, -(-len(found) // 2), draw)
    assert (facts(taken)["documents"], facts(taken)["of"]) == (-(-len(found) // 2), len(found))


def test_a_mean_varies_over_halves_as_it_does_over_whole_training_sets() -> None:
    import numpy as np

    rng = np.random.default_rng(0)
    values = {f"{i}": float(v) for i, v in enumerate(rng.exponential(size=200))}
    corpus = Corpus({"train": tuple(Document(name, "x") for name in values)}, synthetic=False, sha256="a")
    means = [np.mean([values[d.id] for d in resampled(corpus, draw)["train"]]) for draw in range(400)]
    expected = np.std([*values.values()], ddof=1) / np.sqrt(200)
    assert abs(np.std(means, ddof=1) / expected - 1) < 0.15
