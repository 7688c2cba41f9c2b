"""Corpora as other tools write them: whatever is written in a format is read back equal, and no bytes bring a reader down."""

from __future__ import annotations

import json
import tempfile
import warnings
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("hypothesis")
from corpus_writers import WRITERS, bioc_xml
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.api.data import Document, Judgement, Mention, Relation
from bench.errors import DataError, DataWarning
from bench.kit.reading import Source, documents

CONTIGUOUS = {"pubtator", "i2b2", "doccano", "label-studio"}
LINKED = {"bioc-xml", "bioc-json", "pubtator", "huggingface"}
RELATED = set(WRITERS) - {"pubtator"}
TEXT = st.text("ab é😀\n\r\t<&\"'|β-", min_size=1, max_size=40)
PLAIN = st.lists(st.text("abé😀<&\"'|-", min_size=1, max_size=4), min_size=1, max_size=8).map(" ".join)
"""Of formats that a tab or a line break means something in."""
LABELS = st.sampled_from(["Drug", "Adverse event", "B-1", "é&<"])


@st.composite
def made(draw: st.DrawFn, name: str) -> Document:
    """A document that a format can hold: any mentions where offsets are characters, whole tokens in i2b2."""
    text = f"{draw(PLAIN)}\n{draw(PLAIN)}" if name in ("pubtator", "i2b2") else draw(TEXT)
    places = list(range(len(text) + 1))
    if name == "i2b2":
        places = sorted({0, len(text), *(n + d for n, c in enumerate(text) if c in " \n" for d in (0, 1))})
    mentions: dict[object, Mention] = {}
    for _ in range(draw(st.integers(0, 4))):
        most = 2 if name in CONTIGUOUS else 6
        cuts = sorted(draw(st.sets(st.sampled_from(places), min_size=2, max_size=most)))
        fragments = tuple((a, b) for a, b in zip(cuts[::2], cuts[1::2], strict=False))
        if name == "i2b2":
            fragments = tuple((a + (text[a] in " \n"), b - (text[b - 1] in " \n")) for a, b in fragments)
        if not all(a < b and text[a:b].strip() for a, b in fragments):
            continue
        label = draw(LABELS)
        concept = draw(st.sampled_from([None, "D1", "MESH:D2"])) if name in LINKED else None
        mention = Mention(fragments, label, concept)
        if name == "i2b2" and mention.fragments in {m.fragments for m in mentions.values()}:
            continue  # a relation is of the first concept at a place
        mentions.setdefault(mention.key, mention)
    keys = [m.key for m in mentions.values()]
    relations = ()
    if name in RELATED and len(keys) > 1:
        pairs = st.lists(st.tuples(st.sampled_from(keys), st.sampled_from(keys)).filter(lambda p: p[0] != p[1]), max_size=3)
        relations = tuple(dict.fromkeys(Relation(a, b, "causes") for a, b in draw(pairs)))
    return Document("beth/d" if name == "i2b2" else "d", text, tuple(mentions.values()), relations)


def read(form: str, path: Path, kind: Any = "relations") -> list[Document]:
    source = Source(kind)
    found = [f.document for f in documents(form, path, source)]
    source.faults.check(path)
    return found


@pytest.mark.parametrize("name", WRITERS)
@given(drawn=st.data())
@settings(max_examples=60, deadline=None)
def test_what_is_written_is_read_back(name: str, drawn: st.DataObject) -> None:
    if name == "huggingface":
        pytest.importorskip("datasets")
    form, suffix, write = WRITERS[name]
    document = drawn.draw(made(name))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"train{suffix}"
        write(path, [document])
        assert read(form, path, "relations" if document.relations else "mentions") == [document]
        assert read(form, path, "text") == [Document(document.id, document.text)]


@given(cut=st.integers(0, 40), document=made("bioc-xml"))
@settings(max_examples=60, deadline=None)
def test_passages_of_bioc_stand_where_their_offsets_say(cut: int, document: Document) -> None:
    with tempfile.TemporaryDirectory() as folder:
        bioc_xml(Path(folder) / "a.xml", [document], cut)
        assert read("bioc", Path(folder) / "a.xml") == [document]


@pytest.mark.parametrize(("form", "end"), [("doccano", ".jsonl"), ("doccano", ".json"), ("label-studio", ".json")])
@given(text=TEXT, chosen=LABELS)
@settings(max_examples=20, deadline=None)
def test_classes_are_read_back(form: str, end: str, text: str, chosen: str) -> None:
    document = Document("7", text, judgements=(Judgement(chosen, 1.0, True),))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"train{end}"
        WRITERS[form][2](path, [document])
        assert read(form, path, "classification") == [document]


@given(rows=st.lists(st.lists(st.sampled_from(["O", "B-A", "I-A", "B-B"]), min_size=1, max_size=8), min_size=1, max_size=4))
@settings(max_examples=40, deadline=None)
def test_tags_in_parquet_are_those_of_a_file_of_tags(rows: list[list[str]]) -> None:
    datasets = pytest.importorskip("datasets")
    from bench.kit import iob

    names = sorted({tag for row in rows for tag in row} | {"O"})
    features = datasets.Features({
        "id": datasets.Value("string"),
        "tokens": datasets.List(datasets.Value("string")),
        "ner_tags": datasets.List(datasets.ClassLabel(names=names)),
    })  # fmt: skip
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        table = [{"id": "0", "tokens": [f"w{n}" for n in range(len(row))], "ner_tags": row} for row in rows]
        saved = datasets.Dataset.from_list(table, features=features)
        saved.to_parquet(str(Path(folder) / "train-00000-of-00001.parquet"))
        plain = "\n".join("".join(f"w{n}\t{tag}\n" for n, tag in enumerate(row)) for row in rows)
        try:
            wanted = [entry.document for entry in iob.parse(plain, Path("a.tsv"), "document")]
        except DataError:
            wanted = None
        try:
            found = read("huggingface", Path(folder) / "train-*.parquet", "mentions")
        except DataError:
            found = None
        assert found == wanted


PIECES = [b'"', b"{", b"]", b"<", b"&", b"\t", b"|", b"\n", b"99", b"-1", b"null", b"</text>", b'"id"', b"\xff"]


@pytest.mark.parametrize("name", [n for n in WRITERS if n != "huggingface"])
@given(drawn=st.data())
@settings(max_examples=120, deadline=None)
def test_any_bytes_are_documents_or_a_data_error(name: str, damaged: Any, drawn: st.DataObject) -> None:
    form, suffix, write = WRITERS[name]
    first, second = Mention(((0, 5),), "Drug"), Mention(((6, 11),), "Symptom")
    ident = "beth/d" if name == "i2b2" else "d"
    whole = Document(ident, "alpha\ngamma delta", (first, second), (Relation(first.key, second.key, "causes"),))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"train{suffix}"
        write(path, [whole])
        files = [file for file in sorted(path.rglob("*")) if file.is_file()] if path.is_dir() else [path]
        file = drawn.draw(st.sampled_from(files))
        file.write_bytes(drawn.draw(damaged(file.read_bytes(), PIECES)))
        try:
            found = read(form, path)
        except DataError as error:
            told = str(error)
            assert not any(word in told.replace(folder, "") for word in ("alpha", "gamma", "delta"))
            return
        for document in found:
            assert all(0 <= a < b <= len(document.text) for m in document.mentions for a, b in m.fragments)
            keys = {m.key for m in document.mentions}
            assert all({r.source, r.target} <= keys for r in document.relations)


LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=5)


@given(values=st.recursive(LEAVES, lambda v: st.lists(v, max_size=3), max_leaves=5).filter(lambda v: v != []))
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("form", ["bioc", "doccano", "label-studio"])
def test_any_json_is_refused_in_words(form: str, values: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.json"
        path.write_text(json.dumps(values), encoding="utf-8")
        with pytest.raises(DataError, match=r"a\.json"):
            read(form, path)
