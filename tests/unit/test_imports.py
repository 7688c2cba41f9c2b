"""`bench import-predictions`: every task, any order, hostile files; what is scored is what is kept; whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bench.api.data import Document
from bench.api.task import Task
from bench.cli import main
from bench.errors import BenchError, DataError, DataWarning, RunInUseError, StorageError, UsageError
from bench.kit import brat
from bench.naming import flatten
from bench.registry import load
from bench.results.lock import RunLock
from bench.results.schema import Result
from bench.results.scores import interval_by, interval_of, numbers
from bench.results.store import read_result, write_predictions
from bench.steps import imports
from bench.steps.imports import ImportRequest, import_predictions

pytest.importorskip("numpy")
pytest.importorskip("scipy")
OURS = [entry for entry in load().entries("tasks") if entry.distribution == "bench-suite"]
TASKS = [entry.name for entry in OURS if not entry.part.missing()]
SECRET = "sekretwort"


def told(*words: object) -> tuple[int, str]:
    """Exit code and all that a command printed."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        code = main([str(word) for word in words])
    return code, out.getvalue()


def corpus_of(task: Task, folder: Path) -> Sequence[Document]:
    task.synthesize(folder, 5, {"train": 20, "dev": 5, "test": 12})
    return list(task.load(folder)["test"])


def worse(documents: Sequence[Document]) -> list[Document]:
    """Gold with some of it taken away or turned over, without text, as a system's output."""
    chance = random.Random(0)
    return [
        replace(
            document.without_text(), passages=(), mentions=tuple(m for m in document.mentions if chance.random() < 0.7),
            relations=tuple(r for r in document.relations if chance.random() < 0.6),
            judgements=tuple(replace(j, score=chance.random()) for j in document.judgements),
        )
        for document in documents
    ]  # fmt: skip


def brought(task: str, corpus: Path, *paths: Path, out: Path | None = None, **more: object) -> list[Result]:
    place = out or corpus.parent / "runs"
    request = ImportRequest(task, paths, **{"system": "lab x", "data": corpus, "out": place, **more})  # type: ignore[arg-type]
    return [read_result(folder) for folder in import_predictions(request, load())]


@pytest.mark.parametrize("name", TASKS)
def test_scores_are_those_of_the_documents_in_any_order_and_verify(name: str, tmp_path: Path) -> None:
    task: Task = load().get("tasks", name)
    gold = corpus_of(task, tmp_path / "corpus")
    mine = worse(gold)
    random.Random(1).shuffle(mine)
    mine = mine[2:]
    write_predictions(tmp_path / "mine.jsonl", mine)
    (result,) = brought(name, tmp_path / "corpus", tmp_path / "mine.jsonl")
    scored = dict(numbers(result.scores[name].trained))
    assert scored == pytest.approx(flatten(task.score(gold, mine)), rel=1e-12)
    head = result.headline
    trained = result.scores[name].trained
    interval = interval_of(trained, head.metric), interval_by(trained, head.metric)
    assert (head.value, head.ci95, head.ci95_by) == (scored[head.metric], *interval)
    assert result.imported is not None
    assert result.imported.missing == {name: 2}
    assert ("dictionary" in result.scores[name].baselines) == load().head(task).finds_mentions
    code, said = told("verify", tmp_path / "runs" / result.id, "--data", f"{name}={tmp_path / 'corpus'}")
    assert code == 0, said
    assert "scored again: 12 documents" in said


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of ncbi-disease; its first test document is test-000001."""
    folder = tmp_path_factory.mktemp("imports") / "corpus"
    corpus_of(load().get("tasks", "ncbi-disease"), folder)
    return folder


def line(**fields: object) -> bytes:
    return json.dumps({"id": "test-000001", "mentions": [], **fields}).encode()


def mention(**fields: object) -> bytes:
    return line(mentions=[{"fragments": [[0, 2]], "label": "Disease", **fields}])


def judged(**fields: object) -> bytes:
    return line(judgements=[{"name": "yes", "score": 1.0, "chosen": True, **fields}])


BROKEN = {
    "number": b"5", "list": b"[]", "deep": b"[" * 100_000, "half": line()[:-1], "bytes": b"\xff" + line(), "wide": b"\xff\xfe{",
    "blank": line() + b"\n\n", "twice": line() + b"\n" + line(), "field twice": b'{"id": "a", "id": "b", "mentions": []}',
    "id number": line(id=5), "id list": line(id=["a"]), "id missing": b'{"mentions": []}', "strange": line(id=SECRET),
    "mentions number": line(mentions=5), "mentions null": line(mentions=None), "mention text": line(mentions=[SECRET]),
    "no fragment": mention(fragments=[]), "no offsets": mention(fragments=[[]]), "backwards": mention(fragments=[[5, 3]]),
    "before": mention(fragments=[[-5, 3]]), "behind": mention(fragments=[[0, 10**9]]), "text": mention(fragments=[["0", "2"]]),
    "half a character": mention(fragments=[[0, 2.5]]), "endless": mention(fragments=[[0, 1]]).replace(b"[0, 1]", b"[0, 1e999]"),
    "NaN": mention(confidence=float("nan")), "infinite": mention(confidence=1).replace(b": 1}", b": 1e999}"),
    "sure": mention(confidence="x"), "label": mention(label=None), "labels": mention(label=[]), "concept": mention(concept=5),
    "slots": mention(slots=["a"]), "slots null": mention(slots=None), "slot": mention(slots={"NI": "yes"}),
    "slot number": mention(slots={"NI": [3]}), "slot empty": mention(slots={"NI": []}), "relations": line(relations=None),
    "relation": line(relations=[{"source": 5, "target": 6, "label": "x"}]), "ends": line(relations=[SECRET]),
    "related outside": line(relations=[{"source": [[[0, 10**9]], "a"], "target": [[[0, 1]], "b"], "label": "x"}]),
    "judgements": line(judgements=None), "judgement": line(judgements=[SECRET]), "of nothing": judged(),
    "score": judged(score="1"), "score endless": judged().replace(b"1.0", b"1e999"), "chosen": judged(chosen="false"),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
def test_a_line_that_is_no_document_is_told_without_its_content(what: str, corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_bytes(BROKEN[what])
    words = ("import-predictions", "ncbi-disease", tmp_path / "mine.jsonl", "--data", f"ncbi-disease={corpus}", "--system", "x")
    code, said = told(*words, "--out", tmp_path / "runs")
    assert code == DataError.exit_code, said
    assert said.startswith("error: ")
    assert f"{tmp_path / 'mine.jsonl'}" in " ".join(said.split())
    assert SECRET not in said
    assert not (tmp_path / "runs").exists()


def test_a_judgement_is_of_what_gold_judges_once_and_a_number(tmp_path: Path) -> None:
    gold = corpus_of(load().get("tasks", "pubmedqa"), tmp_path / "corpus")
    told_of = "a judgement comes twice, or is of what gold does not judge"
    for more, wrong in (
        ([{"name": "perhaps"}], told_of),
        ([{}, {}], told_of),
        ([{"score": 9.0}], "a score is no number from"),
    ):
        said = [{"name": "yes", "score": 1.0, "chosen": True, **each} for each in more]
        text = json.dumps({"id": gold[0].id, "mentions": [], "judgements": said})
        (tmp_path / "mine.jsonl").write_text(text.replace("9.0", "1e999"))
        with pytest.raises(DataError, match=wrong):
            brought("pubmedqa", tmp_path / "corpus", tmp_path / "mine.jsonl")


def test_predictions_without_the_tasks_own_figure_are_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(
        'kind = "mentions"\nformat = "brat"\nfolder = "corpus"\nname = "mine"\nmetric = "by_type.Rare.f1"\n'
    )
    for split, label in (("train", "Rare"), ("dev", "Rare"), ("test", "Common")):
        for number, kind in enumerate(("Common", label)):
            (tmp_path / "corpus" / split).mkdir(parents=True, exist_ok=True)
            (tmp_path / "corpus" / split / f"{split}-{number}.txt").write_text(f"The failure of {split} {number}.")
            (tmp_path / "corpus" / split / f"{split}-{number}.ann").write_text(f"T1\t{kind} 4 11\tfailure\n")
    with pytest.raises(DataError, match=r"mine gives these predictions no by_type\.Rare\.f1"):
        brought(str(tmp_path / "mine.toml"), tmp_path / "corpus", tmp_path / "corpus" / "test")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("name", TASKS)
def test_texts_in_the_place_of_predictions_are_never_quoted(name: str, tmp_path: Path) -> None:
    gold = corpus_of(load().get("tasks", name), tmp_path / "corpus")
    plain = tmp_path / "notes.txt"
    plain.write_text(f"{SECRET} and more\n" + "\n".join(document.text for document in gold))
    inside = [path for path in (tmp_path / "corpus").rglob("*") if path.is_file() and path.name != "SYNTHETIC"][:3]
    words = {word for document in gold for word in document.text.split() if len(word) > 3}
    for path in (plain, *inside):
        code, said = told(
            "import-predictions",
            name,
            path,
            "--data",
            f"{name}={tmp_path / 'corpus'}",
            "--system",
            "x",
            "--out",
            tmp_path / "r",
        )
        assert code in (0, UsageError.exit_code, DataError.exit_code), said
        assert SECRET not in said
        quoted = [part for part in said.split("'")[1::2] if len(words & set(part.split())) > 1]
        assert not quoted, path.name


def test_names_that_are_read_are_files_and_folders_and_each_once(corpus: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.jsonl"
    mine.write_bytes(line())
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(UsageError, match="There is no file or folder"):
        brought("ncbi-disease", corpus, tmp_path / "none", out=tmp_path)
    with pytest.raises(UsageError, match="neither a file nor a folder"):
        brought("ncbi-disease", corpus, pipe, out=tmp_path)
    with pytest.raises(UsageError, match="is named twice"):
        brought("ncbi-disease", corpus, mine, tmp_path / "." / "mine.jsonl", out=tmp_path)
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes(line())
    with pytest.warns(DataWarning, match="hold the same predictions"):
        results = brought("ncbi-disease", corpus, mine, copy, out=tmp_path / "runs")
    assert [result.config["seed"] for result in results] == [0, 1]
    with pytest.raises(UsageError, match="--seed is 4294967297"):
        brought("ncbi-disease", corpus, mine, out=tmp_path, seed=2**32 + 1)
    for more in (
        {"tokens": -1},
        {"tokens": 10**15 + 1},
        {"parameters": -1},
        {"parameters": 10**400},
        {"system": " "},
        {"system": "a\nb"},
        {"system": "x" * 81},
    ):
        with pytest.raises(UsageError):
            brought("ncbi-disease", corpus, mine, out=tmp_path, **more)
    with pytest.raises(UsageError, match="Which corpus did lab x read"):
        brought("ncbi-disease", corpus, mine, out=tmp_path, data=None)


def test_nothing_is_written_where_one_of_several_cannot_be_read(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "good.jsonl").write_bytes(line())
    (tmp_path / "bad.jsonl").write_bytes(line(id="elsewhere"))
    with pytest.raises(DataError):
        brought("ncbi-disease", corpus, tmp_path / "good.jsonl", tmp_path / "bad.jsonl", out=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("step", ["write_statistics", "write_result", "file_sums", "write_manifest"])
def test_an_import_that_is_killed_leaves_no_result(
    step: str, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.jsonl").write_bytes(line())
    runs = tmp_path / "runs"
    child = os.fork()
    if child == 0:  # as by kill -9: nothing is cleaned up
        monkeypatch.setattr(imports, step, lambda *args: os._exit(9))
        with contextlib.suppress(BaseException):
            brought("ncbi-disease", corpus, tmp_path / "mine.jsonl", out=runs)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert [path.name for path in runs.iterdir()] == [imports.ASIDE]
    assert "holds no run" in told("board", "--out", runs)[1]
    (tmp_path / "other.jsonl").write_bytes(mention())
    brought("ncbi-disease", corpus, tmp_path / "other.jsonl", out=runs)  # another one clears it away as well
    assert [path.name[:9] for path in runs.iterdir()] == ["imported-"]
    (result,) = brought("ncbi-disease", corpus, tmp_path / "mine.jsonl", out=runs)
    assert told("verify", runs / result.id, "--data", f"ncbi-disease={corpus}")[0] == 0


def test_two_imports_at_once_do_not_write_into_each_others_folder(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_bytes(line())
    runs = tmp_path / "runs"
    with RunLock(runs / imports.ASIDE), pytest.raises(RunInUseError, match="is in use by process"):
        brought("ncbi-disease", corpus, tmp_path / "mine.jsonl", out=runs)
    brought("ncbi-disease", corpus, tmp_path / "mine.jsonl", out=runs)


def test_a_folder_that_cannot_be_written_is_told_with_a_move_that_helps(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_bytes(line())
    for out, inside in ((tmp_path / "mine.jsonl", ""), (tmp_path / "mine.jsonl", "runs"), (Path("/proc"), "none")):
        with pytest.raises(StorageError, match="cannot be written") as error:
            brought("ncbi-disease", corpus, tmp_path / "mine.jsonl", out=out / inside)
        assert error.value.hint == "Name another folder, or one that you may write to."


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_disk_that_is_full_leaves_nothing_and_asks_for_room(
    number: int, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.jsonl").write_bytes(line())

    def full(*args: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(imports, "write_statistics", full)
    with pytest.raises(StorageError, match="cannot be written") as error:
        brought("ncbi-disease", corpus, tmp_path / "mine.jsonl", out=tmp_path / "runs")
    assert error.value.hint == "Make room."
    assert not list((tmp_path / "runs").iterdir())


def test_faulty_lines_of_the_corpus_are_recorded_and_make_another_result(tmp_path: Path) -> None:
    gold = corpus_of(load().get("tasks", "2015-T14"), tmp_path / "corpus")
    pipe = next((tmp_path / "corpus" / "test").glob("*.pipe"))
    pipe.write_text(pipe.read_text() + f"{pipe.stem}.text|9-3|CUI-less|no\n")
    write_predictions(tmp_path / "mine.jsonl", worse(gold))
    with pytest.raises(BenchError):
        brought("2015-T14", tmp_path / "corpus", tmp_path / "mine.jsonl")
    kinds = ("malformed-line",)
    (one,) = brought("2015-T14", tmp_path / "corpus", tmp_path / "mine.jsonl", tolerate=kinds)
    (two,) = brought("2015-T14", tmp_path / "corpus", tmp_path / "mine.jsonl", tolerate=(*kinds, "empty-span"))
    assert one.left_out == {"2015-T14": {"malformed-line": 1}}
    assert one.id != two.id
    assert told("verify", tmp_path / "runs" / one.id)[0] == 0


def test_white_space_at_the_ends_of_a_systems_spans_is_treated_as_in_gold(tmp_path: Path) -> None:
    task_file = tmp_path / "mine.toml"
    task_file.write_text('kind = "mentions"\nformat = "brat"\nfolder = "corpus"\nname = "mine"\n')
    for split in ("train", "dev", "test"):
        folder = tmp_path / "corpus" / split
        folder.mkdir(parents=True)
        for number in range(2):
            (folder / f"{split}-{number}.txt").write_text(f"The renal failure of {split} {number} is mild.")
            (folder / f"{split}-{number}.ann").write_text("T1\tDisease 4 18\trenal failure \n")
    (result,) = brought(str(task_file), tmp_path / "corpus", tmp_path / "corpus" / "test")
    assert result.headline.value == 1.0
    wider = [replace(d, text="") for d in brat.read(tmp_path / "corpus" / "test").values()]
    write_predictions(tmp_path / "wider.jsonl", [replace(d, id=f"test-{n}") for n, d in enumerate(wider)])
    (lines,) = brought(str(task_file), tmp_path / "corpus", tmp_path / "wider.jsonl")
    assert lines.headline.value == 1.0


@pytest.mark.parametrize("data", ["", "corpus", "=corpus", "bc5cdr=corpus", "nothing=corpus"])
def test_a_corpus_is_given_for_the_task_that_is_imported(data: str, tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_bytes(line())
    words = ("import-predictions", "ncbi-disease", tmp_path / "mine.jsonl", "--system", "x", "--out", tmp_path / "runs")
    code, said = told(*words, "--data", data)
    assert code == UsageError.exit_code, said
    assert "wanted ncbi-disease=DIR" in said or "Unknown task" in said


def test_another_note_does_not_change_a_result_and_is_told(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    write_predictions(tmp_path / "mine.jsonl", worse(corpus_of(load().get("tasks", TASKS[0]), tmp_path / "corpus")))
    for note, warned in (("a first note", 0), ("a first note", 0), ("", 0), ("quite another one", 1)):
        (result,) = brought(TASKS[0], tmp_path / "corpus", tmp_path / "mine.jsonl", note=note)
        assert result.imported is not None
        assert result.imported.note == "a first note"
        said = [str(w.message) for w in recwarn.list if "was imported before" in str(w.message)]
        assert len(said) == warned
        assert all("another one" not in message for message in said)
