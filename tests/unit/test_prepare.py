"""`bench data prepare`: a release in any archive becomes the folder that the loader reads, or nothing at all."""

from __future__ import annotations

import io
import json
import os
import stat
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from bench_tasks.semeval2015_t14.task import SemEval2015T14

import bench
from bench.cli import main
from bench.errors import DataError, UsageError
from bench.kit import release
from bench.kit.release import Release
from bench.kit.synthetic import is_synthetic

TASK = SemEval2015T14()
SIZES = {"train": 6, "dev": 3, "test": 3}
NAMES = {"train": "train", "dev": "devel", "test": "test"}
Files = dict[str, bytes]


@pytest.fixture(scope="module")
def laid_out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus") / "c"
    TASK.synthesize(folder, 1, SIZES)
    return folder


@pytest.fixture
def files(laid_out: Path) -> Files:
    """Path to content, as the release has them."""
    return {
        f"semeval-2015-task-14-1.0/data/{NAMES[split]}/discharge/{path.name}": path.read_bytes()
        for split in SIZES
        for path in sorted((laid_out / split).iterdir())
    }


def as_zip(path: Path, files: Files) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def as_tar(path: Path, files: Files) -> Path:
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def as_folder(path: Path, files: Files) -> Path:
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def nested(path: Path, files: Files) -> Path:
    """A zip of one tar file a split, whose name alone says which, and of what Macs leave."""
    inner = {}
    for split in NAMES.values():
        part = {name.rpartition("/")[2]: content for name, content in files.items() if f"/{split}/" in name}
        inner[f"release/semeval-{split}.tar.gz"] = as_tar(path.parent / f"{split}.tar.gz", part).read_bytes()
    return as_zip(path, inner | {"__MACOSX/train/._x.text": b"x", "release/train/.DS_Store": b"x", "release/README.txt": b"x"})


RELEASES: Mapping[str, Callable[[Path, Files], Path]] = {
    "r.zip": as_zip, "r.tar": as_tar, "r.tar.gz": as_tar, "r.tgz": as_tar, "folder": as_folder, "nested.zip": nested,
}  # fmt: skip


@pytest.mark.parametrize("name", RELEASES)
def test_a_release_becomes_the_folder_that_the_loader_reads(name: str, files: Files, laid_out: Path, tmp_path: Path) -> None:
    source = RELEASES[name](tmp_path / name, files)
    done = bench.prepare("2015-T14", source, tmp_path / "out")
    assert done.documents == SIZES
    made, wanted = TASK.load(tmp_path / "out"), TASK.load(laid_out)
    assert (made.splits, made.sha256, done.sha256) == (wanted.splits, wanted.sha256, wanted.sha256)
    assert done.mentions == {split: sum(len(d.mentions) for d in wanted[split]) for split in SIZES}
    paths = [tmp_path / "out", *(tmp_path / "out").rglob("*")]
    assert {stat.S_IMODE(p.stat().st_mode) for p in paths} == {0o700, 0o600}


@pytest.mark.parametrize("name", ["r.zip", "r.tgz", "folder"])
def test_generated_text_stays_marked(name: str, files: Files, tmp_path: Path) -> None:
    bench.prepare("2015-T14", RELEASES[name](tmp_path / name, files), tmp_path / "real")
    bench.prepare("2015-T14", RELEASES[name](tmp_path / f"made-{name}", files | {"made/SYNTHETIC": b"x"}), tmp_path / "made")
    assert [is_synthetic(tmp_path / folder) for folder in ("real", "made")] == [False, True]


def test_the_command_prints_counts_and_no_text(files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = as_zip(tmp_path / "r.zip", files)
    assert main(["data", "prepare", "2015-T14", str(source), str(tmp_path / "out")]) == 0
    out = capsys.readouterr().out
    assert [row.split()[:2] for row in out.splitlines()[1:4]] == [["train", "6"], ["dev", "3"], ["test", "3"]]
    assert f"--data 2015-T14={tmp_path / 'out'}" in out
    assert main(["data", "prepare", "2015-T14", str(source), str(tmp_path / "out")]) == 2
    assert "holds something" in capsys.readouterr().err
    assert main(["data", "prepare", "2015-T14", str(source), str(tmp_path / "more"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["documents"] == SIZES
    assert main(["data", "prepare", "2015-T14", str(source), str(tmp_path / "my notes")]) == 0
    assert f"--data '2015-T14={tmp_path / 'my notes'}'" in capsys.readouterr().out
    assert main(["data", "prepare", "gad", str(source), str(tmp_path / "gad")]) == 2
    assert "does not know how its corpus is published" in capsys.readouterr().err
    assert main(["data", "prepair", "2015-T14", str(source), str(tmp_path / "x")]) == 2
    assert "prepare" in capsys.readouterr().err


def test_marked_annotations_are_taken_and_names_of_files_vary(files: Files, tmp_path: Path, laid_out: Path) -> None:
    renamed: Files = {}
    for name, content in files.items():
        place = name.replace(".pipe", ".mapped.pipe") if "/train/" in name else name.replace(".pipe", ".pipe.txt")
        renamed[place.replace("/discharge/", "/text/" if place.endswith(".text") else "/pipes/")] = content
        if name.endswith(".pipe") and "/train/" in name:
            renamed[name] = b"not mapped"
            renamed[name.replace("/discharge/", "/again/").replace(".pipe", ".pipe-cui")] = content  # the same once more
    bench.prepare("2015-T14", as_zip(tmp_path / "r.zip", renamed), tmp_path / "out")
    assert TASK.load(tmp_path / "out").sha256 == TASK.load(laid_out).sha256


def first(files: Files, split: str, suffix: str) -> str:
    return next(name for name in files if f"/{split}/" in name and name.endswith(suffix))


def refused(files: Files, tmp_path: Path, tolerate: tuple[str, ...] = ()) -> str:
    """What is said where nothing comes of a release; nothing is left behind."""
    before = {p.name for p in tmp_path.iterdir()} | {"r.zip"}
    with pytest.raises(DataError) as caught:
        bench.prepare("2015-T14", as_zip(tmp_path / "r.zip", files), tmp_path / "out", tolerate)
    assert {p.name for p in tmp_path.iterdir()} == before
    assert "secretword" not in str(caught.value)
    assert "r.zip" in str(caught.value)
    return str(caught.value)


def test_what_the_loader_refuses_leaves_no_folder(files: Files, tmp_path: Path) -> None:
    pipe = first(files, "train", ".pipe")
    name = pipe.rpartition("/")[2]
    told = refused(files | {pipe: files[pipe] + b"secretword|1-2\n"}, tmp_path)
    assert f"r.zip: train/{name}, line " in told
    assert ": 2 columns; wanted 19" in told
    done = bench.prepare("2015-T14", tmp_path / "r.zip", tmp_path / "out", ("malformed-line",))
    assert dict(done.left_out) == {"malformed-line": 1}


def test_splits_and_documents_that_lack_something(files: Files, tmp_path: Path) -> None:
    pipe, text = first(files, "train", ".pipe"), first(files, "devel", ".text")
    told = refused({n: c for n, c in files.items() if n != pipe}, tmp_path)
    assert "1 document without a .pipe file" in told
    assert "needs an empty .pipe file" in told
    assert "1 document without a .text file" in refused({n: c for n, c in files.items() if n != text}, tmp_path)
    blind = {n: c for n, c in files.items() if not ("/test/" in n and n.endswith(".pipe"))}
    assert "holds 3 .text or .txt and 0 .pipe files of the test split" in refused(blind, tmp_path)
    strange = {f"notes/{n}.csv": b"secretword" for n in range(3)}
    assert "is not the release: of its 3 files none is a DOC.text, DOC.txt or DOC.pipe in a folder" in refused(
        strange, tmp_path
    )
    assert "two different files of document" in refused(files | {text.replace("discharge", "more"): b"secretword"}, tmp_path)
    pair = (text, text.replace(".text", ".pipe"))
    both = files | {name.replace("/devel/", "/train/"): files[name] for name in pair}
    assert "1 document stands in two splits" in refused(both, tmp_path)


EVIL = ["../../evil.text", "/tmp/evil.text", "train/../../evil.text", "C:\\evil.text", "..\\evil.text", "."]


@pytest.mark.parametrize("name", EVIL)
def test_names_that_lead_out_of_an_archive_are_refused(name: str, files: Files, tmp_path: Path) -> None:
    assert "leads out of it" in refused(files | {name: b"secretword"}, tmp_path)
    for kind in (tarfile.REGTYPE, tarfile.SYMTYPE):
        with tarfile.open(tmp_path / "r.tar", "w") as archive:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
        with pytest.raises(DataError, match="leads out of it"):
            list(Release(tmp_path / "r.tar").files())


def test_links_in_an_archive_or_a_folder_are_not_followed(files: Files, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secretword")
    with tarfile.open(tmp_path / "r.tar", "w") as archive:
        info = tarfile.TarInfo("train/x.text")
        info.type, info.linkname = tarfile.SYMTYPE, str(tmp_path / "secret")
        archive.addfile(info)
    assert list(Release(tmp_path / "r.tar").files()) == []
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "x.text").symlink_to(tmp_path / "secret")
    assert list(Release(tmp_path / "folder").files()) == []


def test_archives_that_are_damaged_encrypted_or_too_large(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = as_zip(tmp_path / "good.zip", files).read_bytes()
    for name, content in (("a.zip", good[: len(good) // 2]), ("b.tar.gz", b"secretword"), ("c.zip", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=f"{name} cannot be read as an archive"):
            bench.prepare("2015-T14", tmp_path / name, tmp_path / "out")
    at = good.index(b"PK\x01\x02")
    locked = bytearray(good)
    locked[at + 8] |= 1
    (tmp_path / "d.zip").write_bytes(locked)
    with pytest.raises(DataError, match=r"d\.zip is encrypted"):
        bench.prepare("2015-T14", tmp_path / "d.zip", tmp_path / "out")
    (tmp_path / "e.rar").write_bytes(b"x")
    with pytest.raises(DataError, match=r"e\.rar is no archive; wanted a folder, or a file that ends in \.zip"):
        bench.prepare("2015-T14", tmp_path / "e.rar", tmp_path / "out")
    damaged = bytearray(good)
    damaged[60:90] = b"\xff" * 30
    (tmp_path / "f.zip").write_bytes(damaged)
    with pytest.raises(DataError):
        bench.prepare("2015-T14", tmp_path / "f.zip", tmp_path / "out")
    monkeypatch.setattr(release, "LARGEST", 100)
    with pytest.raises(DataError, match="holds more than is read of a release"):
        bench.prepare("2015-T14", tmp_path / "good.zip", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_release_that_is_not_there_or_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.zip")
    for name in ("none.zip", "none", "pipe.zip"):
        with pytest.raises(UsageError, match=f"There is no file or folder {tmp_path / name}"):
            bench.prepare("2015-T14", tmp_path / name, tmp_path / "out")


def test_archives_are_read_one_level_deep(files: Files, tmp_path: Path) -> None:
    inner = as_zip(tmp_path / "inner.zip", files).read_bytes()
    middle = as_zip(tmp_path / "middle.zip", {"inner.zip": inner}).read_bytes()
    assert "holds an archive in an archive in it; wanted one level" in refused({"middle.zip": middle}, tmp_path)
