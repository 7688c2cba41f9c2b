"""The window length that a task's own documents ask for, by how they are cut."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.api.data import Document, Passage
from bench.api.head import Cut
from bench.data.cuts import cut
from bench.data.lengths import PACKED, SAMPLE, choose_length, kept_length, needs
from bench.data.windows import words


class WordTokenizer:
    """One token a word, framed as BERT's; `sep_token_id` is the second of the frame."""

    sep_token_id = 2

    def __call__(self, text: str, add_special_tokens: bool = True, **ignored: Any) -> dict[str, Any]:
        spans = list(words(text))
        ids = [10 + at for at in range(len(spans))]
        return {"input_ids": [1, *ids, 2] if add_special_tokens else ids, "offset_mapping": spans}


TOKENIZER = WordTokenizer()
CUTS: tuple[Cut, ...] = ("sentences", "whole", "passages")


def document(*sentences: int, name: str = "d") -> Document:
    """Sentences of so many tokens each, the full stop included."""
    return Document(name, " ".join(" ".join(["Word"] * (n - 1)) + "." for n in sentences))


def ranked(query: int, *passages: int) -> Document:
    """A query of so many words and passages of so many."""
    text, places = " ".join(["query"] * query) + "\n", []
    for at, count in enumerate(passages):
        start = len(text)
        text += " ".join(["word"] * count) + "\n"
        places.append(Passage(f"p{at}", (start, len(text) - 1)))
    return Document("q", text, passages=tuple(places))


def test_what_each_unit_needs() -> None:
    assert needs(document(5, 9, 3), TOKENIZER, "sentences") == [7, 11, 5]
    assert needs(document(5, 9, 3), TOKENIZER, "whole") == [19]
    assert needs(ranked(4, 6, 2), TOKENIZER, "passages") == [4 + 6 + 3, 4 + 2 + 3]
    assert all(needs(Document("empty", " \n"), TOKENIZER, how) == [] for how in CUTS)


@pytest.mark.parametrize("how", CUTS)
def test_a_unit_fits_a_window_of_what_it_needs_and_no_shorter_one(how: Cut) -> None:
    one = ranked(7, 30) if how == "passages" else document(37)
    (need,) = needs(one, TOKENIZER, how)
    for length, whole in ((need, True), (need - 1, False)):
        made, _, lost = cut(one, TOKENIZER, length, how)
        assert (len(made) == 1 and not lost["truncated"]) == whole
        assert max(len(window.input_ids) for window in made) <= length


def test_sentences_keep_the_usual_length_until_they_need_more() -> None:
    short = choose_length([document(20, 30, 40)] * 10, TOKENIZER, "sentences", 512)
    assert (short.tokens, short.needed, short.longest, short.over, short.units) == (PACKED, 42, 42, 0.0, 30)
    long = choose_length([document(20, 150)], TOKENIZER, "sentences", 512)
    assert (long.tokens, long.needed) == (152, 152)
    assert choose_length([document(20, 149)], TOKENIZER, "sentences", 512).tokens == 152
    assert choose_length([document(20, 151)], TOKENIZER, "sentences", 512).tokens == 160


def test_whole_documents_get_what_they_need_rounded_up_and_capped_by_the_model() -> None:
    found = choose_length([document(27)] * 50, TOKENIZER, "whole", 512)
    assert (found.tokens, found.needed) == (32, 29)
    capped = choose_length([document(900, 50)], TOKENIZER, "whole", 512)
    assert (capped.tokens, capped.needed, capped.over) == (512, 952, 1.0)
    assert choose_length([document(2)], TOKENIZER, "whole", 512).tokens == 16
    assert choose_length([document(300)], TOKENIZER, "sentences", 64).tokens == 64


def test_one_in_two_hundred_is_left_out_and_one_in_fifty_is_not() -> None:
    usual = [document(30)] * 199
    rare = choose_length([*usual, document(300)], TOKENIZER, "whole", 512)
    assert (rare.tokens, rare.needed, rare.longest) == (32, 32, 302)
    assert rare.over == pytest.approx(1 / 200)
    assert choose_length([*usual, *[document(300)] * 4], TOKENIZER, "whole", 512).tokens == 304


def test_passages_count_with_their_query() -> None:
    assert choose_length([ranked(20, 50, 60)], TOKENIZER, "passages", 512).tokens == 88
    assert choose_length([ranked(20)], TOKENIZER, "passages", 512).units == 0


def test_of_many_documents_a_fixed_sample_is_looked_at() -> None:
    class Counted(WordTokenizer):
        texts = 0

        def __call__(self, text: str, add_special_tokens: bool = True, **ignored: Any) -> dict[str, Any]:
            self.texts += len(text) > 1
            return super().__call__(text, add_special_tokens, **ignored)

    tokenizer = Counted()
    many = [document(5 + at % 40, name=str(at)) for at in range(3 * SAMPLE)]
    found = choose_length(many, tokenizer, "whole", 512)
    assert tokenizer.texts == found.units == SAMPLE
    assert found == choose_length(many, TOKENIZER, "whole", 512)
    assert found.tokens == choose_length(many[: 3 * SAMPLE // 2], TOKENIZER, "whole", 512).tokens == 48


def test_what_was_chosen_is_kept_and_not_chosen_again(tmp_path: Path) -> None:
    path = tmp_path / "cache" / "toy.length.0.json"
    found = kept_length(path, [document(300)] * 3, TOKENIZER, "whole", 512)
    assert found == choose_length([document(300)] * 3, TOKENIZER, "whole", 512)
    assert kept_length(path, [], None, "whole", 512) == found
    assert [one.name for one in path.parent.iterdir()] == [path.name]
    assert json.loads(path.read_text())["tokens"] == 304


def every(sizes: list[int]) -> Iterator[Document]:
    return (document(n) for n in sizes)


@given(st.lists(st.integers(2, 400), min_size=1, max_size=40), st.sampled_from(["sentences", "whole"]), st.integers(16, 512))
def test_never_past_the_model_and_at_most_one_in_a_hundred_cut_below_it(sizes: list[int], how: Cut, most: int) -> None:
    found = choose_length(list(every(sizes)), TOKENIZER, how, most)
    assert found.tokens <= most
    assert found.tokens == most or found.tokens % 8 == 0
    need = np.array(sizes) + 2
    assert found.over == pytest.approx((need > found.tokens).mean())
    if found.tokens < most:
        assert found.over <= 0.01
        assert found.tokens - found.needed < 8 or found.tokens == (PACKED if how == "sentences" else 16)
