from __future__ import annotations

import pytest

tokenizers = pytest.importorskip("tokenizers")
transformers = pytest.importorskip("transformers")

from typing import Any  # noqa: E402

from bench.api.data import Document, Mention  # noqa: E402
from bench.data.windows import assign, count_words, sentences, special_tokens, windows, words  # noqa: E402
from bench.errors import UsageError  # noqa: E402

NOTE = """DISCHARGE SUMMARY
Chief Complaint:
chest pain for 3.5 hours, seen by Dr. Smith and
nurse Jones. No fever. Pt. was fine
after that. J. Doe took it b.i.d. Then he slept.
Allergies: none known, but
he avoids milk
Medications:
1. Aspirin 81 mg p.o. daily
2. Lasix
- wrapped item
goes on

New paragraph (she said "no.") Then more? Yes
"""


def cut(text: str) -> list[str]:
    spans = words(text)
    return [text[spans[a][0] : spans[b - 1][1]] for a, b in sentences(text)]


@pytest.fixture(scope="module")
def letters() -> Any:
    """One token a character, lower-cased; [CLS] and [SEP] around."""
    chars = "abcdefghijklmnopqrstuvwxyz0123456789.,;:"
    vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *chars, *(f"##{c}" for c in chars)]
    return transformers.BertTokenizerFast(vocab={token: i for i, token in enumerate(vocab)}, do_lower_case=True)


def test_sentences_of_a_note() -> None:
    assert cut(NOTE) == [
        "DISCHARGE SUMMARY",
        "Chief Complaint:",
        "chest pain for 3.5 hours, seen by Dr. Smith and\nnurse Jones.",
        "No fever.",
        "Pt. was fine\nafter that.",
        "J. Doe took it b.i.d. Then he slept.",
        "Allergies: none known, but\nhe avoids milk",
        "Medications:",
        "1. Aspirin 81 mg p.o. daily",
        "2. Lasix",
        "- wrapped item\ngoes on",
        'New paragraph (she said "no.")',
        "Then more?",
        "Yes",
    ]


def texts(document: Document, tokenizer: Any, length: int) -> list[str]:
    return [document.text[w.start : w.end] for w in windows(document, tokenizer, length)]


def test_whole_sentences_are_packed_while_they_fit(letters: Any) -> None:
    document = Document("d", "Ab cd. Ef gh. Ij kl.")
    assert texts(document, letters, 12) == ["Ab cd. Ef gh.", "Ij kl."]
    assert texts(document, letters, 11) == ["Ab cd.", "Ef gh.", "Ij kl."]
    assert texts(document, letters, 17) == ["Ab cd. Ef gh. Ij kl."]


def test_a_long_sentence_is_cut_after_a_clause_else_between_words(letters: Any) -> None:
    assert texts(Document("d", "aaaa bbbb, cccc dddd eeee ffff"), letters, 18) == ["aaaa bbbb,", "cccc dddd eeee ffff"]
    assert texts(Document("d", "aaaa bbbb cccc dddd"), letters, 12) == ["aaaa bbbb", "cccc dddd"]


def test_a_word_longer_than_a_window_keeps_its_first_tokens(letters: Any) -> None:
    made = windows(Document("d", "a " + "b" * 30 + " c"), letters, 10)
    assert [len(w.input_ids) for w in made] == [3, 10, 3]
    assert (made[1].first, made[1].last) == ((1,), (8,))


def test_a_word_without_a_token_points_at_its_neighbour(letters: Any) -> None:
    (window,) = windows(Document("d", "ab \x00 cd"), letters, 16)
    assert window.words == ((0, 2), (3, 4), (5, 7))
    assert window.first == (1, 2, 3)
    assert window.last == (2, 2, 4)
    (only,) = windows(Document("d", "\x00"), letters, 16)
    assert len(only.input_ids) == 2
    assert only.first == only.last == (1,)


def test_empty_texts_have_no_window(letters: Any) -> None:
    assert windows(Document("d", ""), letters, 16) == []
    assert windows(Document("d", " \n\t "), letters, 16) == []


def test_special_tokens_of_each_kind(letters: Any) -> None:
    assert special_tokens(letters) == ([2], [3])
    bare = tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 0, "<s>": 1, "?": 2}, unk_token="?"))
    bare.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    assert special_tokens(transformers.PreTrainedTokenizerFast(tokenizer_object=bare)) == ([], [])
    bare.post_processor = tokenizers.processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    assert special_tokens(transformers.PreTrainedTokenizerFast(tokenizer_object=bare)) == ([1], [])


def test_no_room_beside_the_special_tokens_is_refused(letters: Any) -> None:
    with pytest.raises(UsageError, match="--max-length is 2"):
        windows(Document("d", "a"), letters, 2)


def test_long_documents_bring_no_warning(
    letters: Any, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    letters.model_max_length = 16
    windows(Document("d", "pain. " * 500), letters, 16)
    assert "longer than" not in caplog.text + capsys.readouterr().err


def test_mentions_go_to_the_window_that_holds_them_whole(letters: Any) -> None:
    text = "Ab cd. Ef gh. Ij kl."
    mentions = (Mention(((0, 2),)), Mention(((3, 5), (7, 9))), Mention(((7, 9), (10, 12))), Mention(((14, 19),)))
    document = Document("d", text, mentions)
    found, lost = assign(document, windows(document, letters, 11))
    assert [share.mentions for share in found] == [(mentions[0],), (mentions[2],), (mentions[3],)]
    assert lost == {"window": 1}
    assert assign(document, [])[1] == {"window": 4}


def test_words_of_ascii_are_those_of_any_text() -> None:
    ascii_text = "".join(a + b for a in map(chr, range(128)) for b in ("", "a", " ", "-"))
    other = ascii_text + "é"
    assert words(ascii_text) == words(other)[:-1]
    assert words(other)[-1] == (len(other) - 1, len(other))


@pytest.mark.parametrize("text", ["a bcd-e (f)  g", "é bcd-é (f)  g", "", "word"])
def test_words_that_begin_in_a_stretch_are_counted(text: str) -> None:
    starts = [start for start, _ in words(text)]
    for low in range(len(text) + 1):
        for high in range(low, len(text) + 1):
            assert count_words(text, low, high) == sum(low <= start < high for start in starts)
    assert count_words(text) == len(starts)
