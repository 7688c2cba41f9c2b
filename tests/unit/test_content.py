"""Digests of documents and of code, and hashes of files that outlive a process."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.api.data import Document, Judgement, Mention, Passage, Relation
from bench.api.spool import Spool
from bench.data.content import code_digest, documents_digest
from bench.modeling import files

MENTION = Mention(((0, 4), (6, 9)), "Disorder", "C1", {"negation": ("yes", (0, 2))}, 0.5)
DOCUMENT = Document(
    "a", "left atrial x", (MENTION,), (Relation((((0, 4),), "A"), (((6, 9),), "B"), "of"),), (Judgement("p", 0.5, True),),
    (Passage("p", (0, 4)),),
)  # fmt: skip


def test_documents_have_the_same_digest_in_memory_and_on_disk() -> None:
    documents = [DOCUMENT, replace(DOCUMENT, id="b"), Document("c", "")]
    spool = Spool()
    spool.extend(documents)
    assert documents_digest(spool) == documents_digest(documents) == documents_digest(list(spool))


@pytest.mark.parametrize(
    "change",
    [
        {"id": "b"}, {"text": "left atrial y"}, {"mentions": ()}, {"relations": ()}, {"judgements": ()}, {"passages": ()},
        {"mentions": (replace(MENTION, concept=None),)}, {"mentions": (replace(MENTION, fragments=((0, 4), (6, 8))),)},
        {"mentions": (replace(MENTION, slots={}),)}, {"mentions": (replace(MENTION, label="Finding"),)},
    ],
)  # fmt: skip
def test_whatever_changes_in_a_document_changes_the_digest(change: dict[str, Any]) -> None:
    assert documents_digest([replace(DOCUMENT, **change)]) != documents_digest([DOCUMENT])


def test_documents_in_another_order_or_cut_otherwise_are_others() -> None:
    other = replace(DOCUMENT, id="b")
    assert len({documents_digest(d) for d in ([DOCUMENT, other], [other, DOCUMENT], [DOCUMENT], [])}) == 4


def test_the_code_of_a_plugin_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    package = tmp_path / "some_plugin"
    package.mkdir()
    (package / "__init__.py").write_text("from some_plugin.part import Part\n")
    (package / "part.py").write_text("class Part: ...\n")
    import some_plugin  # type: ignore[import-not-found]

    from bench.data import content

    found = code_digest(some_plugin.Part())
    assert found != code_digest() == code_digest("strings are of the standard library")
    content._sources.cache_clear()
    assert code_digest(some_plugin.Part()) == found
    (package / "part.py").write_text("class Part: ...  # changed\n")
    content._sources.cache_clear()
    assert code_digest(some_plugin.Part()) != found
    content._sources.cache_clear()


def test_the_hash_of_a_large_file_outlives_the_process(
    tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "REMEMBERED", 8)
    read: list[Path] = []
    whole = files.read_sha256
    monkeypatch.setattr(files, "read_sha256", lambda path: (read.append(path), whole(path))[1])
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"0123456789")
    first = files.sha256_file(path)
    files._sha256.cache_clear()
    assert files.sha256_file(path) == first
    assert len(read) == 1
    stamp = path.stat()
    path.write_bytes(b"9876543210")
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))  # as if nothing had happened
    assert files.sha256_file(path) != first
    assert len(read) == 2
    second = files.sha256_file(path)
    (kept,) = [p for p in (own_cache / "hashes").iterdir() if second in p.read_text()]
    kept.write_text(kept.read_text().replace(second[:8], "00000000"))  # damaged
    files._sha256.cache_clear()
    assert files.sha256_file(path) == second
    assert (own_cache / "hashes").stat().st_mode & 0o077 == 0


def test_a_cache_that_cannot_be_written_costs_time_and_no_run(
    tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "REMEMBERED", 8)
    (own_cache / "hashes").write_text("a file where a folder is wanted")
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"0123456789")
    assert len(files.sha256_file(path)) == 64
