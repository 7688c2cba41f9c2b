"""Plain IOB2 files are read without a look at each line; what comes out, errors included, is what looking would give."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("hypothesis")
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import DataError
from bench.kit import iob

TOKENS = st.sampled_from(["a", "renal", "γ", "-", "B-X", "O", "x\u00a0y", "two words", "", "\u2028", "-DOCSTART-"])
TAGS = st.sampled_from(["O", "O", "O", "B-X", "I-X", "I-X", "B-Y_1.z", "I-Y_1.z", "F-X", "B-", "", "o", "O\tO", "B-X "])
GOOD_TOKENS = st.sampled_from(["a", "renal", "γ", "-", "B-X", "O", "…"])
GOOD_TAGS = st.sampled_from([["O"], ["O"], ["B-X"], ["B-X", "I-X"], ["B-Y_1.z", "I-Y_1.z", "I-Y_1.z"], ["B-X", "B-X"]])
BREAKS = st.sampled_from(["\n", "\n", "\n", "\n\n", "\n\n", "\n\n\n", "\r\n", "\n \n"])


def read(text: str, **how: bool) -> tuple[object, ...]:
    """Documents with the lines where they start, or the error."""
    try:
        return tuple((e.document, e.document.text, e.line, e.named) for e in iob.parse(text, Path("a.tsv"), "train", **how))
    except DataError as error:
        return (str(error),)


def written(lines: list[tuple[str, str]], head: str) -> str:
    return head + "".join(f"{line}{end}" for line, end in lines)


@given(
    st.lists(st.tuples(st.builds(lambda a, b: f"{a}\t{b}", TOKENS, TAGS), BREAKS), max_size=8),
    st.sampled_from(["", "\n", "\n\n"]),
)
def test_whatever_stands_in_the_file(lines: list[tuple[str, str]], head: str) -> None:
    text = written(lines, head)
    found = iob._plain(text.replace("\r\n", "\n"), "train")
    assert read(text) == read(text, layers=True) or "F-" in text or "\tO\tO" in text or "\t\n" in text
    if found:
        assert tuple((e.document, e.document.text, e.line, e.named) for e in found) == read(text, layers=True)


@given(
    st.lists(
        st.tuples(st.lists(st.tuples(GOOD_TOKENS, GOOD_TAGS), min_size=1, max_size=6), st.sampled_from(["\n", "\n\n"])),
        min_size=1,
    )
)
def test_plain_files_are_read_at_once(sentences: list[tuple[list[tuple[str, list[str]]], str]]) -> None:
    text = "".join(
        "".join(f"{token}\t{tag}\n" for token, tags in sentence for tag in tags) + gap for sentence, gap in sentences
    )
    found = iob._plain(text, "train")
    assert len(found) == len(sentences)
    assert tuple((e.document, e.document.text, e.line, e.named) for e in found) == read(text, layers=True)


@pytest.mark.parametrize(
    "text",
    ["a\tO\nb\n", "a\tO\nb", "\tO\n", "a\tO\n\tB-X\n", "a b\tO\n", "a\tO\tO\n", "a\tI-X\n", "a\tB-X\nb\tO\nc\tI-X\n",
     "a\tB-X\n\nb\tI-X\n", "a\tB-X\nb\tI-Y\n", "a\tE-X\n", "a\tB-X\n \nb\tO\n", "\t\n", "-DOCSTART-\n\na\tO\n", "", "\n\n"],
)  # fmt: skip
def test_what_is_not_plain_is_left_to_whoever_looks(text: str) -> None:
    assert iob._plain(text, "train") == []
