"""Any text has keys that do not depend on case, blanks or order of words; any bytes are names or one clear error."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("sklearn")

from bench.errors import DataError
from bench.linking.abbreviations import definitions
from bench.linking.normalise import keys, stems, unbracketed, words
from bench.linking.readers import KINDS, Selection, read

WORDS = st.lists(st.text("abcdefgnostuxy", min_size=1, max_size=9), min_size=1, max_size=6)


@given(st.text(max_size=60))
def test_keys_of_any_text_stay_the_same_when_made_again(text: str) -> None:
    plain, lemmas, stemmed = keys(text)
    assert keys(text.upper().lower()) == keys(text.lower())
    assert bool(plain) == bool(lemmas) == bool(stemmed) == bool(words(text))
    assert keys(f"  {text}\n") == (plain, lemmas, stemmed)
    assert unbracketed(text) is not None


@given(WORDS)
def test_case_and_punctuation_do_not_move_a_key_and_order_moves_no_stem(parts: list[str]) -> None:
    text = " ".join(parts)
    assert keys(text) == keys("-".join(parts).upper()) == keys(f"({', '.join(parts)}")
    assert stems(text) == stems(" ".join(reversed(parts)))
    assert stems(text) == stems(" ".join([*parts, *parts]))


@given(st.text("abAB ().,;s\n", max_size=200))
def test_definitions_are_of_the_text(text: str) -> None:
    flat = " ".join(text.split())
    for short, long in definitions(text).items():
        assert short in text
        assert long in flat
        assert len(long) > len(short)


ROWS = st.lists(st.tuples(st.text("CL:01", min_size=1, max_size=5), WORDS.map(" ".join), st.sampled_from(KINDS)), max_size=8)


@given(ROWS)
def test_a_table_is_read_back(rows: list[tuple[str, str, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.tsv"
        path.write_text("concept\tname\tkind\n" + "".join(f"{c}\t{n}\t{k}\n" for c, n, k in rows), encoding="utf-8")
        assert [(n.concept, n.text, KINDS[n.kind]) for n in read(path, Selection())] == rows


HEADS = st.sampled_from(
    [b"", b"concept\tname\n", b"concept\tname\tkind\n", b"[Term]\n", b"format-version: 1\n", b"C1|ENG|P|L|PF|"]
)


@settings(max_examples=200)
@given(HEADS, st.binary(max_size=120), st.sampled_from(["a.tsv", "a.obo", "MRCONSO.RRF"]))
def test_any_bytes_are_names_or_one_error_that_names_the_file(first: bytes, rest: bytes, name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(first + rest)
        found, told = [], f"{path}"
        try:
            found = list(read(path, Selection()))
        except DataError as error:
            told = str(error)
        assert str(path) in told
        assert "\n" not in told
        assert all(name.concept and name.text.strip() for name in found)
