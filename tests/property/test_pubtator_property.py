"""PubTator: what is written reads back, and bytes of any kind are articles or a data error."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bench.api.data import Document, Mention
from bench.errors import DataError
from bench.kit import pubtator
from bench.kit.faults import KINDS, Fault

WORDS = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1, max_size=30)


@st.composite
def articles(draw: st.DrawFn) -> list[Document]:
    made = []
    for number in range(draw(st.integers(1, 4))):
        title, abstract = draw(WORDS), draw(st.none() | st.just("") | WORDS)
        text = title if abstract is None else f"{title}\n{abstract}"
        mentions: dict[object, Mention] = {}
        for _ in range(draw(st.integers(0, 4))):
            start = draw(st.integers(0, len(title) - 1))
            label, concept = draw(st.sampled_from(["Disease", "Chemical"])), draw(st.none() | st.just("D1|D2"))
            mention = Mention(((start, draw(st.integers(start + 1, len(title)))),), label, concept)
            mentions.setdefault(mention.key, mention)
        made.append(Document(str(1000 + number), text, tuple(mentions.values())))
    return made


def written(document: Document, end: str) -> str:
    title, line_feed, abstract = document.text.partition("\n")
    lines = [f"{document.id}|t|{title}", *([f"{document.id}|a|{abstract}"] if line_feed else [])]
    for mention in document.mentions:
        ((low, high),) = mention.fragments
        last = [] if mention.concept is None else [mention.concept]
        lines.append("\t".join([document.id, str(low), str(high), document.text[low:high], mention.label, *last]))
    return "".join(f"{line}{end}" for line in [*lines, f"{document.id}\tCID\tD1\tD2"])


@given(articles(), st.sampled_from(["\n", "\r\n"]), st.booleans(), st.sampled_from(["", "\ufeff", "\n"]))
@settings(max_examples=100)
def test_what_is_written_reads_back(made: list[Document], end: str, apart: bool, before: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "articles.txt"
        path.write_bytes((before + (end if apart else "").join(written(document, end) for document in made)).encode())
        assert pubtator.is_pubtator(path) or before == "\n"
        found = list(pubtator.read(path))
        assert found == made
        assert [[m.concept for m in d.mentions] for d in found] == [[m.concept for m in d.mentions] for d in made]
        assert [d.text for d in pubtator.read(path, annotated=False)] == [d.text for d in made]


WHOLE = b"1|t|Torsade with cisplatin\n1|a|A case.\n1\t0\t7\tTorsade\tDisease\tD016171\n1\tCID\tD1\tD2\n\n2|t|x\n"
PIECES = [b"\t", b"\n", b"|", b"99", b"1|t|", b"2|a|", b"-1"]


@given(st.data())
@settings(max_examples=200)
def test_any_bytes_are_articles_or_a_data_error(damaged: Any, drawn: st.DataObject) -> None:
    data = drawn.draw(st.one_of(st.binary(max_size=60), damaged(WHOLE, PIECES)))
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "a.txt"
        path.write_bytes(data)
        fault: DataError | None = None
        try:
            for document in pubtator.read(path):
                assert all(0 <= low < high <= len(document.text) for m in document.mentions for low, high in m.fragments)
        except DataError as error:
            fault = error
        if fault is not None:
            assert isinstance(fault, Fault)
            assert fault.kind in KINDS
            assert f"{path}, line " in fault.message
