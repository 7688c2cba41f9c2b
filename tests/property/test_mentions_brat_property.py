"""Brat standoff: what is written reads back, and bytes of any kind are a corpus or a data error."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Any

from bench_tasks.custom.task import task_from_file
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.api.data import Document, Mention, Relation
from bench.errors import DataError, DataWarning
from bench.kit import brat, mentions
from bench.kit.faults import KINDS, Faults

LENGTH = 40


@st.composite
def documents(draw: st.DrawFn, name: str = "d") -> Document:
    found: dict[object, Mention] = {}
    for _ in range(draw(st.integers(0, 6))):
        cuts = sorted(draw(st.sets(st.integers(0, LENGTH), min_size=2, max_size=6)))
        mention = Mention(tuple(zip(cuts[::2], cuts[1::2], strict=False)), draw(st.sampled_from(["A", "B-1"])))
        found[mention.key] = mention
    keys = [mention.key for mention in found.values()]
    pairs = st.tuples(st.sampled_from(keys), st.sampled_from(keys), st.sampled_from(["R", "CPR_4"])) if keys else st.nothing()
    relations = draw(st.lists(pairs, unique=True, max_size=4)) if keys else []
    return Document(name, "", tuple(found.values()), tuple(Relation(*relation) for relation in relations))


def task(folder: Path, kind: str = "mentions") -> Any:
    (folder / "mine.toml").write_text(f'kind = "{kind}"\nformat = "brat"\nfolder = "."\n', encoding="utf-8")
    return task_from_file(folder / "mine.toml")


@given(documents(), documents())
@settings(max_examples=150)
def test_what_is_written_reads_back_and_scores_alike(gold: Document, pred: Document) -> None:
    with tempfile.TemporaryDirectory() as name:
        brat.write(Path(name) / "gold", [gold])
        brat.write(Path(name) / "pred", [pred])
        assert brat.read(Path(name) / "gold") == {"d": gold}
        assert task(Path(name)).score_files(Path(name) / "gold", Path(name) / "pred") == mentions.score([gold], [pred])


WHOLE = b"T1\tDrug 0 2\tno\nT2\tEffect 3 8;10 12\tfever no\nR1\tCauses Arg1:T1 Arg2:T2\nA1\tX T1\n"
PIECES = [b"\t", b"\n", b";", b" ", b"R2", b"T1", b"99", b"#"]


@given(st.data(), st.sampled_from(["a.ann", "a.txt"]))
@settings(max_examples=250)
def test_any_bytes_are_a_corpus_or_a_data_error(damaged: Any, drawn: st.DataObject, where: str) -> None:
    data = drawn.draw(st.one_of(st.binary(max_size=60), damaged(WHOLE, PIECES)))
    with tempfile.TemporaryDirectory() as name:
        for split, document in (("train", "a"), ("dev", "b"), ("test", "c")):
            (Path(name) / split).mkdir()
            (Path(name) / split / f"{document}.txt").write_bytes(b"no fever, no pain")
            (Path(name) / split / f"{document}.ann").write_bytes(WHOLE)
        (Path(name) / "train" / where).write_bytes(data)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DataWarning)
                corpus = task(Path(name), "relations").load(Path(name))
        except DataError:
            return
        (document_,) = corpus["train"]
        keys = {mention.key for mention in document_.mentions}
        assert all(r.source in keys and r.target in keys for r in document_.relations)
        assert all(0 <= a < b <= len(document_.text) for m in document_.mentions for a, b in m.fragments)
        if where == "a.ann":
            text = data.decode().removeprefix("\ufeff")
            found = brat.parse(text, Path("a.ann"), document_.text)
            lines = sum(bool(line.strip()) for line in text.split("\n"))
            assert len(found.mentions) + len(found.relations) + sum(found.passed.values()) == lines


@given(st.data())
@settings(max_examples=150)
def test_with_every_kind_tolerated_whatever_is_wrong_is_left_out_and_counted(damaged: Any, drawn: st.DataObject) -> None:
    """Each line that holds something is read, passed over by its first character, or counted under a kind."""
    data = drawn.draw(st.one_of(st.binary(max_size=60), damaged(WHOLE, PIECES)))
    document = "no fever, no pain"
    try:
        text = data.decode().removeprefix("\ufeff")
    except UnicodeDecodeError:
        return
    faults = Faults(tuple(KINDS))
    found = brat.parse(text, Path("a.ann"), document, faults=faults)
    faults.check(Path("a.ann"))
    lines = sum(bool(line.strip()) for line in text.split("\n"))
    counted = sum(found.passed.values()) + sum(faults.left_out.values())
    assert len(found.mentions) + len(found.relations) + counted == lines
    keys = {mention.key for mention in found.mentions}
    assert all(r.source in keys and r.target in keys and r.source != r.target for r in found.relations)
    assert all(0 <= a < b <= len(document) for m in found.mentions for a, b in m.fragments)
    assert all(sorted(m.fragments) == list(m.fragments) for m in found.mentions)
