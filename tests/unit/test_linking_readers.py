"""Files of concept names: the three forms, and what is said of those that are broken. No message quotes a name."""

from __future__ import annotations

import bz2
import gzip
import stat
import warnings
from pathlib import Path

import pytest

pytest.importorskip("sklearn")

from bench.errors import DataError, DataWarning
from bench.linking.cache import content_hash, open_terminology
from bench.linking.readers import KINDS, Selection, form_of, read

SECRET = "zygomorphic"
OBO = f"""format-version: 1.2

[Term]
id: X:1
name: {SECRET} cell
synonym: "small \\"{SECRET}\\" cell" EXACT [PMID:1]
synonym: "odd cell" RELATED []

[Term]
id: X:2
name: old cell
is_obsolete: true

[Typedef]
id: part_of
name: part of
"""


def rrf(cui: str, name: str, language: str = "ENG", source: str = "MSH", suppressed: str = "N", form: str = "PF") -> str:
    cells = [cui, language, "P", "L1", form, "S1", "Y", "A1", "", "", "", source, "PT", "D1", name, "0", suppressed, ""]
    return "|".join(cells) + "|\n"


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def names(path: Path, selection: Selection | None = None) -> list[tuple[str, str, str]]:
    return [(n.concept, n.text, KINDS[n.kind]) for n in read(path, selection or Selection())]


def test_a_table_with_and_without_kinds(tmp_path: Path) -> None:
    with_kinds = written(tmp_path, "a.tsv", "concept\tname\tkind\nC:1\tred cell\tname\r\nC:1\tRBC\tbroad\n")
    assert names(with_kinds) == [("C:1", "red cell", "name"), ("C:1", "RBC", "broad")]
    assert names(written(tmp_path, "b.txt", "\ufeffconcept\tname\nC:1\tred cell\n")) == [("C:1", "red cell", "name")]


def test_obo_terms_with_synonyms_and_without_what_is_obsolete_or_no_term(tmp_path: Path) -> None:
    path = written(tmp_path, "x.obo", OBO)
    assert names(path) == [
        ("X:1", f"{SECRET} cell", "name"), ("X:1", f'small "{SECRET}" cell', "exact"), ("X:1", "odd cell", "related"),
    ]  # fmt: skip
    assert form_of(written(tmp_path, "unnamed", OBO)) == "obo"


def test_rrf_by_language_source_and_suppression(tmp_path: Path) -> None:
    rows = [
        rrf("C1", "fever"), rrf("C1", "Fieber", language="GER"), rrf("C1", "pyrexia", source="SNOMEDCT_US", form="VO"),
        rrf("C2", "gone", suppressed="O"),
    ]  # fmt: skip
    path = written(tmp_path, "MRCONSO.RRF", "".join(rows))
    assert names(path) == [("C1", "fever", "name"), ("C1", "pyrexia", "exact")]
    assert names(path, Selection("GER")) == [("C1", "Fieber", "name")]
    assert [n for _, n, _ in names(path, Selection("", ("MSH",)))] == ["fever", "Fieber"]
    assert (
        content_hash(path, Selection("GER"))
        != content_hash(path, Selection())
        != content_hash(path, Selection("ENG", ("MSH",)))
    )


@pytest.mark.parametrize(
    ("name", "content", "line", "says"),
    [
        ("a.tsv", f"concept\tname\tkind\nC:1\t{SECRET}\tname\nC:2 {SECRET}\n", 3, "1 column; wanted 3"),
        ("a.tsv", f"concept\tname\tkind\nC:1\t{SECRET}\t{SECRET}\n", 2, "the kind is none that is known"),
        ("a.tsv", "concept\tname\nC:1\t \n", 2, "a concept with an empty name"),
        ("a.tsv", f"concept\tname\n{SECRET} x\tname\n", 2, "is empty or no single word"),
        ("a.tsv", f"concept\tname\n\t{SECRET}\n", 2, "is empty or no single word"),
        ("a.tsv", f"{SECRET}\tfever\n", 1, "no known first line"),
        ("a.tsv", f"\n\nname\tconcept\n{SECRET}\tC:1\n", 3, "no known first line"),
        ("a.tsv", f"concept\tname\tkind\tsource\nC:1\t{SECRET}\tname\tx\n", 1, "4 columns of other names"),
        ("a.tsv", f"\n\nconcept\tname\nC:1 {SECRET}\n", 4, "1 column; wanted 2, as in line 3"),
        ("a.tsv", f"concept\tname\nC:1\t{SECRET}\n".encode("utf-16"), 1, "UTF-16; wanted UTF-8 text"),
        ("a.tsv", f"concept\tname\nC:1\t{SECRET}\n".encode("utf-16-le"), 1, "a zero byte"),
        ("a.tsv.gz", gzip.compress(f"concept\tname\nC:1\t{SECRET}\n".encode(), mtime=0), 1, "a gzip file; wanted UTF-8 text"),
        ("MRCONSO.RRF", gzip.compress(rrf("C1", SECRET).encode(), mtime=0), 1, "a gzip file; wanted UTF-8 text"),
        ("a.obo", bz2.compress(OBO.encode()), 1, "a bzip2 file; wanted UTF-8 text"),
        ("a.tsv", f"concept\tname\nC:1\t{SECRET * 200_000}\n", 2, "at least 1,048,576 bytes; wanted a name a line"),
        ("a.obo", f"[Term]\nid: X:1\ncomment: {SECRET * 200_000}\n", 3, "at least 1,048,576 bytes; wanted a name a line"),
        ("MRCONSO.RRF", (rrf("C1", "fever") + rrf("C1", SECRET)).encode() + b"caf\xe9", 3, "byte 3 is not UTF-8"),
        ("a.obo", OBO.encode() + b"name: caf\xe9\n", 17, "byte 9 is not UTF-8"),
        ("a.tsv", b"concept\tname\nC:1\tcaf\xe9\n", 2, "byte 7 is not UTF-8"),
        ("a.tsv", "concept\tname\nC:1\ta\0b\n", 2, "a zero byte"),
        ("MRCONSO.RRF", rrf("C1", SECRET) + rrf("C2", SECRET).replace("|MSH|", "|"), 2, "17 columns; wanted 18"),
        ("MRCONSO.RRF", rrf("C1", SECRET).replace(SECRET, f"{SECRET}|x"), 1, "19 columns; wanted 18"),
        ("MRCONSO.RRF", rrf("", SECRET), 1, "is empty or no single word"),
        ("a.obo", f"[Term]\nname: {SECRET}\n", 1, "a [Term] without an id"),
        ("a.obo", f"[Term]\nid: X:1\nsynonym: {SECRET} EXACT\n", 3, "a synonym that is not in the form"),
        ("a.obo", f"[Term\nid: X:1\nname: {SECRET}\n", 1, "without its ']'"),
        ("a.obo", f"[Term]\nid: X:1\n{SECRET}\n", 3, "no 'tag: value'"),
    ],
)
def test_what_is_broken_is_told_by_file_and_line_without_the_name(
    tmp_path: Path, name: str, content: str | bytes, line: int, says: str
) -> None:
    path = written(tmp_path, name, content)
    with pytest.raises(DataError) as error:
        open_terminology(path, Selection(), tmp_path / "cache")
    told = str(error.value)
    assert f"{path}, line {line}: " in told
    assert says in told
    assert SECRET not in told
    assert not [p for p in (tmp_path / "cache").rglob("*") if p.is_file()]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.tsv", "concept\tname\n"),
        ("a.obo", "format-version: 1.2\n[Term]\nid: X:1\n"),
        ("MRCONSO.RRF", rrf("C1", "x", "GER")),
    ],
)  # fmt: skip
def test_a_file_without_names_is_refused(tmp_path: Path, name: str, content: str) -> None:
    with pytest.raises(DataError, match="holds no name of a concept"):
        open_terminology(written(tmp_path, name, content), Selection(), tmp_path / "cache")


@pytest.mark.parametrize("name", ["a.tsv", "a.obo", "MRCONSO.RRF"])
def test_an_empty_file_and_one_that_is_not_there_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="is empty; wanted names of concepts"):
        open_terminology(written(tmp_path, name, ""), Selection(), tmp_path / "cache")
    with pytest.raises(DataError, match="cannot be read: No such file"):
        open_terminology(tmp_path / f"no-{name}", Selection(), tmp_path / "cache")


def test_a_name_that_stands_twice_is_told_by_line_and_changes_nothing(tmp_path: Path) -> None:
    path = written(tmp_path, "a.tsv", f"concept\tname\nC:1\t{SECRET}\nC:2\tother\nC:1\t{SECRET}\nC:2\t{SECRET}\n")
    with pytest.warns(DataWarning) as told:
        found = open_terminology(path, Selection(), tmp_path / "cache")
    assert f"{path}, line 4: the concept has this name already; 1 such line" in str(told[0].message)
    assert SECRET not in str(told[0].message)
    assert found.concepts == 2
    once = written(tmp_path, "MRCONSO.RRF", rrf("C1", "fever") + rrf("C1", "fever", source="SNOMEDCT_US"))
    with warnings.catch_warnings():
        warnings.simplefilter("error", DataWarning)
        assert len(open_terminology(once, Selection(), tmp_path / "cache").table) == 1


def test_names_are_read_once_into_a_private_folder(tmp_path: Path) -> None:
    path = written(tmp_path, "a.tsv", "concept\tname\nC:1\tred cells\nC:2\tfever\n")
    first = open_terminology(path, Selection(), tmp_path / "cache")
    assert stat.S_IMODE(first.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "cache").stat().st_mode) == 0o700
    times = {p: p.stat().st_mtime_ns for p in first.folder.iterdir()}
    again = open_terminology(written(tmp_path, "copy.tsv", path.read_bytes()), Selection(), tmp_path / "cache")
    assert again.folder == first.folder
    assert {p: p.stat().st_mtime_ns for p in again.folder.iterdir()} == times
    assert [again.table.texts[i] for i in again.table.with_key("lemmas", "redcell")] == ["red cells"]
    other = open_terminology(written(tmp_path, "a.tsv", "concept\tname\nC:1\tred\n"), Selection(), tmp_path / "cache")
    assert other.folder != first.folder
