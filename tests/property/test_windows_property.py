from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

tokenizers = pytest.importorskip("tokenizers")
transformers = pytest.importorskip("transformers")

from bench.api.data import Document, Mention  # noqa: E402
from bench.data.windows import assign, sentences, windows, words  # noqa: E402

CLINICAL = (
    "pain",
    "Dr.",
    "The",
    "left",
    "3.5",
    "q.d.",
    "HISTORY:",
    "Plan:",
    "- item",
    "1. aspirin",
    "[**Name**]",
    "x" * 40,
    "NO",
)
PIECES = st.sampled_from((*CLINICAL, *"\n \t.?,;()_αé\u0301\x00🙂", "\n\n", "日本語"))
TEXTS = st.one_of(st.lists(PIECES, max_size=60).map(" ".join), st.lists(PIECES, max_size=40).map("".join), st.text(max_size=80))


def wordpiece() -> Any:
    """A BERT-like tokenizer over single characters: lower-cases, strips accents and drops control characters."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789.,;:?!()[]*-_"
    vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *letters, *(f"##{c}" for c in letters), "pain", "the", "left"]
    return transformers.BertTokenizerFast(vocab={token: i for i, token in enumerate(vocab)}, do_lower_case=True)


def byte_level(begin: bool) -> Any:
    """A byte-level BPE without merges but for blanks that cling to what follows; BOS only, or no special token at all."""
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    vocab = {token: i for i, token in enumerate([*alphabet, "Ġp", "Ġpa", "in", "Ġl", ").", "<s>"])}
    made = tokenizers.Tokenizer(
        tokenizers.models.BPE(vocab=vocab, merges=[("Ġ", "p"), ("Ġp", "a"), ("i", "n"), ("Ġ", "l"), (")", ".")])
    )
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not begin)
    if begin:
        made.post_processor = tokenizers.processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", vocab["<s>"])])
    return transformers.PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>")


TOKENIZERS = {"wordpiece": wordpiece(), "bytes": byte_level(False), "bytes-bos": byte_level(True)}


@pytest.mark.parametrize("name", TOKENIZERS)
@settings(max_examples=120, deadline=None)
@given(text=TEXTS, length=st.integers(4, 40))
def test_every_word_is_in_exactly_one_window_in_order(name: str, text: str, length: int) -> None:
    made = windows(Document("d", text), TOKENIZERS[name], length)
    assert sum((w.words for w in made), ()) == words(text)
    for w in made:
        assert 0 < len(w.input_ids) <= length
        assert len(w.words) == len(w.first) == len(w.last) > 0
        assert all(0 <= a <= b < len(w.input_ids) for a, b in zip(w.first, w.last, strict=True))
        assert list(w.first) == sorted(w.first)
        assert list(w.last) == sorted(w.last)
        assert (w.start, w.end) == (w.words[0][0], w.words[-1][1])


@settings(max_examples=120, deadline=None)
@given(text=st.lists(st.sampled_from(["pain", "left", "The", ".", "q3", "x.", "\n\n"]), min_size=1, max_size=50).map(" ".join))
def test_tokens_of_a_word_spell_it(text: str) -> None:
    tokenizer = TOKENIZERS["wordpiece"]
    for w in windows(Document("d", text), tokenizer, 12):
        for (start, end), first, last in zip(w.words, w.first, w.last, strict=True):
            pieces = tokenizer.convert_ids_to_tokens(list(w.input_ids[first : last + 1]))
            assert "".join(piece.removeprefix("##") for piece in pieces) == text[start:end].lower()
        assert w.input_ids[0] == tokenizer.cls_token_id
        assert w.input_ids[-1] == tokenizer.sep_token_id


@settings(max_examples=150, deadline=None)
@given(text=TEXTS)
def test_sentences_cover_the_words_without_gaps(text: str) -> None:
    found = sentences(text)
    assert [i for low, high in found for i in range(low, high)] == list(range(len(words(text))))
    assert all(low < high for low, high in found)


@settings(max_examples=120, deadline=None)
@given(text=TEXTS, length=st.integers(4, 30), data=st.data())
def test_each_mention_is_in_one_window_or_lost(text: str, length: int, data: st.DataObject) -> None:
    spans = words(text)
    made = windows(Document("d", text), TOKENIZERS["wordpiece"], length)
    pairs = data.draw(
        st.lists(st.tuples(st.integers(0, max(len(spans) - 1, 0)), st.integers(0, 6)), max_size=8 if spans else 0)
    )
    mentions = tuple(Mention(((spans[a][0], spans[min(a + n, len(spans) - 1)][1]),)) for a, n in pairs)
    found, lost = assign(Document("d", text, mentions), made)
    held = [(m, w) for w, share in zip(made, found, strict=True) for m in share.mentions]
    assert len(held) + lost["window"] == len(mentions)
    for m, w in held:
        assert w.start <= m.fragments[0][0]
        assert m.fragments[-1][1] <= w.end
    for m in mentions:
        inside = any(w.start <= m.fragments[0][0] and m.fragments[-1][1] <= w.end for w in made)
        assert inside == (m in [h for h, _ in held])
