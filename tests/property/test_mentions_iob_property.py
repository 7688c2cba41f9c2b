"""Mentions in tags: our counts are seqeval's, written files score as documents do, and no bytes bring the loader down."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bench.api.data import Corpus, Document, Mention
from bench.errors import DataError, DataWarning
from bench.kit import iob, iob_write, mentions
from bench.kit.iob_folder import load, scored

TAGS = ("O", "B-A", "I-A", "B-B", "I-B")
LENGTH = 30
ROWS = st.lists(st.lists(st.sampled_from(TAGS), min_size=1, max_size=12), min_size=1, max_size=6)


def as_file(path: Path, rows: list[list[str]]) -> Path:
    path.write_text("\n".join("".join(f"w{i}\t{tag}\n" for i, tag in enumerate(row)) for row in rows), encoding="utf-8")
    return path


def valid(rows: list[list[str]]) -> list[list[str]]:
    """The same rows with every tag that continues nothing turned into O."""
    made = []
    for row in rows:
        clean, before = [], "O"
        for tag in row:
            before = "O" if tag[0] == "I" and before[1:] != tag[1:] else tag
            clean.append(before)
        made.append(clean)
    return made


@given(ROWS, st.randoms(use_true_random=False))
@settings(max_examples=150)
def test_counts_are_those_of_seqeval_in_strict_mode(rows: list[list[str]], rng: Any) -> None:
    seqeval = pytest.importorskip("seqeval.metrics")
    scheme = pytest.importorskip("seqeval.scheme").IOB2
    gold = valid(rows)
    pred = [[tag if rng.random() < 0.6 else rng.choice(TAGS) for tag in row] for row in gold]
    # Without a mention that begins with B- where none ends before it a file is taken for IOB1.
    assume(any(tag[0] == "B" and before[1:] != tag[1:] for row in pred for before, tag in zip(["O", *row], row, strict=False)))
    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        documents = scored(as_file(Path(name) / "gold.tsv", gold), as_file(Path(name) / "pred.tsv", pred))
    scores = mentions.score(*documents)
    report = seqeval.classification_report(gold, pred, scheme=scheme, mode="strict", output_dict=True, zero_division=0)
    names = {"precision": "precision", "recall": "recall", "f1": "f1-score"}
    for ours, theirs in names.items():
        if any(tag != "O" for row in gold for tag in row) or any(tag[0] == "B" for row in pred for tag in row):
            assert scores["strict"][ours] == pytest.approx(report["micro avg"][theirs])
    assert set(scores["by_type"]) == set(report) - {"micro avg", "macro avg", "weighted avg"}
    for label, row in scores["by_type"].items():
        assert [row[k] for k in names] == pytest.approx([report[label][k] for k in names.values()])
        assert row["tp"] + row["fn"] == report[label]["support"]
    assert not any(scores["discontiguous"].values())


SCHEMES = {"IOBES": "BIES", "BILOU": "BILU", "IOB1": "BI"}


@pytest.mark.parametrize("scheme", SCHEMES)
@given(rows=ROWS, rng=st.randoms(use_true_random=False))
@settings(max_examples=100)
def test_other_schemes_are_the_same_mentions_and_count_as_seqeval_does(scheme: str, rows: list[list[str]], rng: Any) -> None:
    """Gold in a scheme is what it is in IOB2; of a system's tags, right or wrong, exactly seqeval's mentions are counted."""
    seqeval = pytest.importorskip("seqeval.metrics")
    # A system's B- that begins a mention makes its file IOB2, which seqeval is told is IOB1.
    known = getattr(pytest.importorskip("seqeval.scheme"), scheme) if scheme != "IOB1" else None
    plain = valid(rows)
    gold = [in_scheme(row, scheme) for row in plain]
    tags = ["O", *(f"{role}-{label}" for role in SCHEMES[scheme] for label in "AB")]
    pred = [[tag if rng.random() < 0.7 else rng.choice(tags) for tag in row] for row in gold]
    # What tells a scheme from IOB2 has to be in the file: a tag of its own, or in IOB1 a mention.
    shown = [any(tag[0] in "ESLU" or (scheme == "IOB1" and tag != "O") for row in rows for tag in row) for rows in (gold, pred)]
    assume(all(shown))
    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        paths = [as_file(Path(name) / f"{n}.tsv", rows) for n, rows in enumerate((plain, gold, pred))]
        reference, same = scored(paths[0], paths[1])
        assert reference == same
        scores = mentions.score(*scored(paths[1], paths[2]))["strict"] if known else None
    if scores is not None:
        report = seqeval.classification_report(gold, pred, scheme=known, mode="strict", output_dict=True, zero_division=0)
        assert scores["f1"] == pytest.approx(report["micro avg"]["f1-score"])


def in_scheme(row: list[str], scheme: str) -> list[str]:
    """A sentence in IOB2 in another scheme."""
    last, single = {"IOBES": "ES", "BILOU": "LU", "IOB1": "IB"}[scheme]
    made = []
    for before, tag, after in zip(["O", *row], row, [*row[1:], "O"], strict=False):
        goes_on = after[0] == "I"
        if tag == "O":
            made.append(tag)
        elif scheme == "IOB1":
            made.append(("B" if tag[0] == "B" and before[1:] == tag[1:] else "I") + tag[1:])
        elif tag[0] == "B":
            made.append(("B" if goes_on else single) + tag[1:])
        else:
            made.append(("I" if goes_on else last) + tag[1:])
    return made


@st.composite
def documents(draw: st.DrawFn, name: str) -> Document:
    found = []
    for _ in range(draw(st.integers(0, 6))):
        cuts = sorted(draw(st.sets(st.integers(0, LENGTH), min_size=2, max_size=6)))
        # Fragments that touch are one in any row of tags.
        pieces = tuple(zip(cuts[::2], cuts[1::2], strict=False))
        found.append(Mention(pieces, draw(st.sampled_from(["A", "B"]))))
    return Document(name, "", tuple(found))


@st.composite
def corpora(draw: st.DrawFn) -> list[Document]:
    return [draw(documents(f"test-{n:06d}")) for n in range(1, 4)]


@given(corpora(), corpora())
@settings(max_examples=150)
def test_files_that_are_written_score_as_the_documents_do(gold: list[Document], pred: list[Document]) -> None:
    with tempfile.TemporaryDirectory() as name:
        iob_write.write(Path(name) / "gold", gold)
        iob_write.write(Path(name) / "pred", pred)
        read = [e.document for e in iob.read(Path(name) / "gold" / "test.tsv", "test", layers=True)]
        assert [{m.key for m in d.mentions} for d in read] == [{m.key for m in d.mentions} for d in gold]
        assert mentions.score(*scored(Path(name) / "gold", Path(name) / "pred")) == mentions.score(gold, pred)


@given(corpora(), corpora())
@settings(max_examples=60)
def test_sums_over_documents_are_the_scores(gold: list[Document], pred: list[Document]) -> None:
    import numpy as np

    rows = mentions.statistics(gold, pred)
    sums = {key: sum(row.get(key, 0.0) for row in rows) for row in rows for key in row}
    one = mentions.summarise(sums)
    many = mentions.summarise({key: np.array([value, 3 * value]) for key, value in sums.items()})
    assert many["strict"]["f1"].tolist() == pytest.approx([one["strict"]["f1"]] * 2)
    assert one["strict"]["tp"] + one["strict"]["fn"] == sum(len({m.key for m in d.mentions}) for d in gold)
    assert sum(row["fp"] for row in one["by_type"].values()) == one["strict"]["fp"]


WHOLE = b"-DOCSTART- (a1)\n\nAspirin\tB-A\ncauses\tO\n\nmild\tB-B\nnausea\tI-B\n\n-DOCSTART-\nend\tB-A\n"
PIECES = [b"\t", b"\n", b"\r", b"\x0c", b"\xc2\x85", b"I-A", b"\nB-B", b"-DOCSTART-"]


@given(st.data(), st.sampled_from(["train.tsv", "devel.tsv", "test.tsv"]))
@settings(max_examples=300)
def test_any_bytes_are_a_corpus_or_a_data_error(damaged: Any, drawn: st.DataObject, where: str) -> None:
    data = drawn.draw(st.one_of(st.binary(max_size=80), damaged(WHOLE, PIECES, most=6)))
    with tempfile.TemporaryDirectory() as name:
        for number, file in enumerate(("train.tsv", "devel.tsv", "test.tsv")):
            text = f"left{number}\tB-A\nright{number}\tI-A\n\nother{number}\tB-B\n"
            (Path(name) / file).write_text(text, encoding="utf-8")
        (Path(name) / where).write_bytes(data)
        try:
            corpus = load(Path(name))
        except DataError:
            return
        assert isinstance(corpus, Corpus)
        for split in corpus:
            for document in corpus[split]:
                for mention in document.mentions:
                    start, end = mention.fragments[0]
                    assert document.text[start:end].strip() == document.text[start:end] != ""
