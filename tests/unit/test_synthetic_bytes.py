"""Synthetic corpora stay what they are to the last byte: results on them are told apart by the hash of their files."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from bench_tasks import bench_tasks

from bench.api.task import Task

SEED = 2015
KNOWN = {
    "2015-T14": "d6926d07d89437d7",
    "2014-T7": "a046538ae2debb74",
    "2016-T12": "d89cc9d56031d23b",
    "2017-T3-A": "e4ff3d54be662898",
    "2017-T3-B": "884614323b3dcfdf",
    "2017-T3-C": "36cc0d721cbf26ed",
    "ncbi-disease": "dbadf2e10b3a02d4",
    "bc5cdr": "8346885ebafd3286",
    "bc2gm": "1ac5de0a402738c1",
    "jnlpba": "642c510f504b7294",
    "chemprot": "72fb40635d2c9fa8",
    "ddi-2013": "24e9114fff386fa6",
    "bc5cdr-cid": "59bdf348620f94c6",
    "gad": "66e0cd29645d918a",
    "hoc": "65fa78c0ec8e5117",
    "pubmedqa": "85f5974eb9c4774a",
    "biosses": "8c9b2b564090d20e",
}
"""Beginning of the SHA-256 over names and checksums of a corpus's files, for one seed and the usual sizes."""


@pytest.mark.parametrize("task", bench_tasks(), ids=lambda task: task.name)
def test_the_files_are_those_of_the_first_release(task: Task, tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    task.synthesize(folder, SEED)
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(folder).as_posix()}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    assert digest.hexdigest()[:16] == KNOWN[task.name]
