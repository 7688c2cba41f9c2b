"""`bench predict` without a model: the readers of texts, the writers, chunks, and what is refused."""

from __future__ import annotations

import json
import os
import re
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import corpus_writers
import pytest

from bench.api.data import Document, Mention, Passage, Relation
from bench.cli import main
from bench.errors import BenchError, DataError, UsageError
from bench.kit import brat, texts
from bench.registry import load
from bench.reporting import SilentReporter
from bench.results.layout import JOURNAL
from bench.results.store import read_predictions
from bench.steps import predicting
from bench.steps.predicting import CHUNK, Request, Written, warn_of_labels

PUBTATOR = "7|t|Torsade\n7|a|with cisplatin\n7\t13\t22\tcisplatin\tChemical\tD002945\n"


def test_texts_come_from_files_folders_lines_and_pubtator(tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    (folder / "b" / "c").mkdir(parents=True)
    (folder / "b" / "c" / "2.text").write_bytes(b"two\r\n")
    (folder / "a.txt").write_bytes("\ufeffé".encode())
    (folder / "a.ann").write_bytes(b"no annotations at all")  # not looked at
    (folder / ".hidden.txt").write_bytes(b"\xff")
    (folder / "readme.md").write_bytes(b"\xff")
    (folder / "p.txt").write_text(PUBTATOR, encoding="utf-8")
    found = list(texts.read(folder))
    assert found == [Document("a", "\ufeffé"), Document("b/c/2", "two\r\n"), Document("7", "Torsade\nwith cisplatin")]
    assert list(texts.read(folder / "a.txt")) == [found[0]]
    lines = tmp_path / "n.jsonl"
    lines.write_text('{"id": 5, "text": "x"}\n{"text": "", "more": []}\n', encoding="utf-8-sig")
    assert list(texts.read(lines)) == [Document("5", "x"), Document("n-2", "")]


def test_what_a_task_is_given_comes_along(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("no fever", encoding="utf-8")
    (tmp_path / "a.ann").write_text("T1\tX 3 8\tfever\nR1\tRel Arg1:T1 Arg2:T9\n", encoding="utf-8")
    fever = Mention(((3, 8),), "X")
    assert list(texts.read(tmp_path, "mentions")) == [Document("a", "no fever", (fever,))]
    (tmp_path / "p.pubtator").write_text(PUBTATOR, encoding="utf-8")
    ((mention,),) = [d.mentions for d in texts.read(tmp_path / "p.pubtator", "mentions")]
    assert (mention.key, mention.concept) == ((((13, 22),), "Chemical"), "D002945")
    lines = tmp_path / "n.jsonl"
    lines.write_text('{"text": "no fever", "mentions": [{"fragments": [[3, 8]], "label": "X"}]}\n', encoding="utf-8")
    assert list(texts.read(lines, "mentions")) == [Document("n-1", "no fever", (fever,))]
    lines.write_text('{"query": "q", "passages": [{"id": "p", "text": "yes"}]}\n', encoding="utf-8")
    (document,) = texts.read(lines, "passages")
    assert (document.text, document.passages) == ("q\n\nyes", (Passage("p", (3, 6)),))


@pytest.mark.parametrize(
    ("name", "content", "given", "error", "says"),
    [
        ("a.txt", b"secret \xe9", None, DataError, "cannot be read as UTF-8"),
        ("a.csv", b"secret", None, UsageError, "ends in none of .txt, .text, .jsonl, .ndjson, .xml, .json, .parquet, .arrow"),
        ("a.txt", b"secret", "mentions", UsageError, "has no a.ann beside it"),
        ("a.txt", b"secret", "passages", UsageError, "ranks passages"),
        ("a.jsonl", b'{"text": "secret"}', "mentions", DataError, "no field 'mentions'"),
        ("a.jsonl", b'{"text": "secret"}', "passages", DataError, "no field 'passages'"),
        ("a.jsonl", b'{"secret": 1}', None, DataError, "no field 'text'"),
        ("a.jsonl", b"", None, DataError, "is empty"),
        ("a.jsonl", b"secret", None, DataError, "no JSON"),
        ("a.pubtator", b"1|t|x\n1\t0\t1\tsecret\tD\n", "mentions", DataError, "line 2: the text column"),
        ("a.pubtator", b"1|t|x\n2|a|secret\n", None, DataError, "line 2: it does not name the article"),
        ("a.xml", b"<html><p>secret</p></html>", None, DataError, "a.xml, read as bioc, holds no document"),
        ("a.json", b'{"documents": []}', None, DataError, "a.json, read as bioc, holds no document"),
        ("a.json", b'{"secret', None, DataError, "wanted one JSON value"),
    ],
)
def test_what_cannot_be_read_is_named_without_its_text(
    tmp_path: Path, name: str, content: bytes, given: Any, error: type[BenchError], says: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(error) as raised:
        list(texts.read(tmp_path / name, given))
    assert says in raised.value.message
    assert str(tmp_path / name) in raised.value.message
    assert "secret" not in str(raised.value)


def test_pubtator_is_known_after_blank_lines_and_relations_may_say_whether_they_are_new(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\ufeff\n \n7|t|A b\n7|a|C\n7\t0\t1\tA\tD\n7\tAssociation\tD1\tD2\tNovel\n", "utf-8")
    (only,) = texts.read(tmp_path / "a.txt", "mentions")
    assert (only.id, only.text, [m.fragments for m in only.mentions]) == ("7", "A b\nC", [((0, 1),)])


@pytest.mark.parametrize("name", ["bioc-xml", "bioc-json", "doccano", "label-studio", "huggingface"])
def test_corpora_of_other_tools_are_texts_too(tmp_path: Path, name: str) -> None:
    if name == "huggingface":
        pytest.importorskip("datasets")
    _, suffix, write = corpus_writers.WRITERS[name]
    documents = [Document("1", "no fever", (Mention(((3, 8),), "X"),)), Document("2", "none", ())]
    path = tmp_path / "in" / f"notes{suffix if name != 'doccano' else '.json'}"
    path.parent.mkdir()
    write(path, documents)
    for place in {path, path if path.is_dir() else path.parent}:
        assert list(texts.read(place)) == [replace(d, mentions=()) for d in documents]
        assert list(texts.read(place, "mentions")) == documents
    with pytest.raises(UsageError, match="has no passages"):
        list(texts.read(path, "passages"))


@pytest.mark.parametrize(
    "content",
    [
        '{"id": 1, "text": "no fever", "label": []}\n{"id": 2, "text": "none", "label": []}\n',
        '[{"id": 1, "data": {"text": "no fever"}}, {"id": 2, "data": {"text": "none"}, "predictions": []}]',
    ],
    ids=["lines of doccano", "tasks of Label Studio before annotation"],
)
def test_json_that_a_corpus_may_be_is_texts_too(content: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(content)
    assert list(texts.read(tmp_path / "a.json")) == [Document("1", "no fever"), Document("2", "none")]


def test_one_line_of_json_is_one_text(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"id": 1, "text": "no fever", "label": []}\n')
    assert list(texts.read(tmp_path / "a.json")) == [Document("1", "no fever")]


def test_a_faulty_corpus_of_texts_is_named_without_its_text(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"documents": [{"id": "1", "passages": [{"offset": -1, "text": "secret"}]}]}')
    with pytest.raises(DataError, match=r"a\.json, document 1: field 'offset' is below 0") as raised:
        list(texts.read(tmp_path))
    assert "secret" not in str(raised.value)


def test_a_folder_without_texts_is_read_for_lines(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.jsonl").write_text('{"id": "one", "text": "x"}\n{"id": "two", "text": "y"}\n')
    assert [document.id for document in texts.read(tmp_path)] == ["one", "two"]
    (tmp_path / "b.txt").write_text("text")
    assert [document.id for document in texts.read(tmp_path)] == ["b"]


def test_mentions_of_labels_that_a_run_relates_nowhere_are_told_of() -> None:
    class Console(SilentReporter):
        said = ""

        def warn(self, message: str) -> None:
            self.said += message

    console = Console()
    warn_of_labels(Counter({"Drug": 3, "drug": 2}), ("brand", "drug"), console)
    assert console.said.startswith("No relation for 3 of 5 mentions, whose labels the run knows in none: Drug 3.")
    assert "It knows brand, drug." in console.said
    console = Console()
    warn_of_labels(Counter({"drug": 2}), ("brand", "drug"), console)
    warn_of_labels(Counter({"Drug": 2}), None, console)
    assert console.said == ""


@pytest.mark.parametrize(
    ("head", "counts", "says"),
    [
        ("multilabel", {"judgements": 2}, "1 document judged: 2 labels given"),
        ("classify", {"documents": 3, "judgements": 3}, "3 documents judged: 3 labels given"),
        ("multilabel", {}, "1 document judged: 0 labels given"),
        ("ranking", {"judgements": 1}, "1 document judged: 1 passage chosen"),
        ("regress", {"documents": 2, "judgements": 2}, "2 documents judged: 2 ratings given"),
        ("joint", {"documents": 1200, "mentions": 1, "relations": 4}, "1,200 documents: 1 mention, 4 relations"),
        ("span", {}, "1 document: nothing found"),
    ],
)
def test_what_is_said_of_what_was_found(head: str, counts: dict[str, int], says: str) -> None:
    found: Any = {"documents": 1} | counts
    written = Written("run", "task", "trained", False, (), judged=predicting._judged(load().get("heads", head)), **found)
    assert written.summary == says


def test_an_empty_folder_and_a_path_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no \.txt, \.text, \.jsonl, \.ndjson, \.xml, \.json, \.parquet or \.arrow file"):
        list(texts.read(tmp_path))
    with pytest.raises(DataError, match="No such file"):
        list(texts.read(tmp_path / "none.txt"))


def test_brat_holds_notes_and_text_where_they_are_asked_for(tmp_path: Path) -> None:
    first, second = Mention(((0, 5), (8, 17)), "X", "C1", confidence=0.934), Mention(((0, 1),), "Y", confidence=1.0)
    document = Document("d/e", "swell\n  the\nhands", (first, second), (Relation(first.key, second.key, "r", 0.5),))
    brat.write(tmp_path / "plain", [document])
    assert not list((tmp_path / "plain").rglob("*.txt"))
    plain = (tmp_path / "plain" / "d" / "e.ann").read_text()
    assert plain == "T1\tX 0 5;8 17\t\nT2\tY 0 1\t\nN1\tReference T1 C1\t\nR1\tr Arg1:T1 Arg2:T2\n"
    brat.write(tmp_path / "whole", [document], notes=True, text=True)
    assert (tmp_path / "whole" / "d" / "e.ann").read_text().splitlines() == [
        "T1\tX 0 5;8 11;12 17\tswell the hands",
        "T2\tY 0 1\ts",
        "N1\tReference T1 C1\t",
        "R1\tr Arg1:T1 Arg2:T2",
        "#1\tAnnotatorNotes T1\t.93",
        "#2\tAnnotatorNotes T2\t1.00",
        "#3\tAnnotatorNotes R1\t.50",
    ]
    ((found, _),) = [d.mentions for d in brat.read(tmp_path / "whole").values()]
    assert found.fragments == ((0, 5), (8, 11), (12, 17))


def test_brat_gets_the_given_mentions_and_types_without_its_own_signs(tmp_path: Path) -> None:
    source, target = Mention(((0, 1),), "A B"), Mention(((2, 3),), "C")
    before = Document("d", "x y", (source, target))
    after = Document("d", "x y", relations=(Relation(source.key, target.key, "CPR:4", 0.5),))
    brat.write(tmp_path, [predicting._for_brat(before, after)])
    assert (tmp_path / "d.ann").read_text() == "T1\tA_B 0 1\t\nT2\tC 2 3\t\nR1\tCPR_4 Arg1:T1 Arg2:T2\n"
    found = Document("d", "x y", (target,))
    assert predicting._for_brat(before, found) == found


class Model:
    """Finds the first letter of every text, and remembers how much it was given at once."""

    def __init__(self) -> None:
        self.chunks: list[int] = []

    def predict(self, documents: Sequence[Document], task: str) -> tuple[Document, ...]:
        self.chunks.append(len(documents))
        mention = Mention(((0, 1),), "Disorder", "C1", confidence=0.75)
        return tuple(replace(d, mentions=(mention,) if d.text else ()) for d in documents)


@pytest.fixture
def predict(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Any]:
    """`predict_files` with the head and the writer of 2015-T14, and `Model` in the place of a run's."""
    task = load().get("tasks", "2015-T14")
    parts = SimpleNamespace(tasks={task.name: task}, fresh_head=lambda name: task.head("span"))
    run = SimpleNamespace(result=SimpleNamespace(id="a1", synthetic=True), parts=parts)
    monkeypatch.setattr(predicting, "finished_run", lambda folder, registry: run)

    def go(*inputs: Path, model: Any = None, out: Path = tmp_path / "out", **request: Any) -> Any:
        monkeypatch.setattr(predicting, "load_trained", lambda *a: model or Model())
        wanted = Request(inputs, out, **request)
        return predicting.predict_files(tmp_path, load(), wanted, SilentReporter())

    return go


def test_memory_holds_a_chunk_whatever_the_number(
    predict: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = tmp_path / "n.jsonl"
    lines.write_text("".join(json.dumps({"id": f"d{n}", "text": f"note {n}"}) + "\n" for n in range(2000)), encoding="utf-8")
    model, ahead, whole = Model(), [], texts.located

    def located(path: Path, given: Any) -> Iterator[tuple[Path, Document]]:
        for number, document in enumerate(whole(path, given), 1):
            ahead.append(number - sum(model.chunks))
            yield document

    monkeypatch.setattr(predicting.texts, "located", located)
    done = predict(lines, model=model, formats=("jsonl", "official"), chunk=64)
    assert (done.documents, done.mentions, done.synthetic) == (2000, 2000, True)
    assert model.chunks == [64] * 31 + [16]
    assert max(ahead[2000:]) == 64  # the first 2,000 are those of the check
    found = read_predictions(tmp_path / "out" / "predictions.jsonl")
    assert [d.id for d in found] == [f"d{n}" for n in range(2000)]
    assert len(list((tmp_path / "out" / "official").iterdir())) == 2000
    assert json.loads((tmp_path / "out" / "about.json").read_bytes())["documents"] == 2000


def test_the_folder_appears_whole_or_not_at_all(predict: Callable[..., Any], tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    for name in "abc":
        (notes / f"{name}.txt").write_text(f"Secret{name}", encoding="utf-8")

    class Stopped(Model):
        def predict(self, documents: Sequence[Document], task: str) -> tuple[Document, ...]:
            if len(self.chunks) == 2:
                raise KeyboardInterrupt
            return super().predict(documents, task)

    with pytest.raises(KeyboardInterrupt):
        predict(notes, model=Stopped(), chunk=1)
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]
    (tmp_path / "out").mkdir()  # an empty one may be there
    predict(notes, chunk=1, formats=("jsonl", "official", "brat"))
    assert (tmp_path / "out" / "official" / "b.pipe").read_text().startswith("b.text|0-1|C1|")
    files = sorted(str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*") if p.is_file())
    assert files == [
        "about.json",
        *(f"brat/{n}.ann" for n in "abc"),
        *(f"official/{n}.pipe" for n in "abc"),
        "predictions.jsonl",
    ]
    assert not any(b"Secret" in (tmp_path / "out" / name).read_bytes() for name in files)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes", "out"]
    with pytest.raises(UsageError, match="holds files already"):
        predict(notes)


def test_sigterm_ends_the_command_as_an_interruption_and_leaves_nothing(
    predict: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminated(Model):
        def predict(self, documents: Sequence[Document], task: str) -> tuple[Document, ...]:
            if self.chunks:
                os.kill(os.getpid(), signal.SIGTERM)
            return super().predict(documents, task)

    (tmp_path / "run").mkdir()
    (tmp_path / "run" / JOURNAL).touch()
    (tmp_path / "many.jsonl").write_text("".join(f'{{"id": "{n}", "text": "x"}}\n' for n in range(CHUNK + 1)))
    monkeypatch.setattr(predicting, "load_trained", lambda *a: Terminated())
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        code = main(["predict", str(tmp_path / "run"), str(tmp_path / "many.jsonl"), "--out", str(tmp_path / "out")])
    finally:
        signal.signal(signal.SIGTERM, before)
    assert code == 130
    assert sorted(path.name for path in tmp_path.iterdir()) == ["many.jsonl", "run"]


def test_the_working_folder_is_no_place_for_it(
    predict: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.txt").write_text("x", encoding="utf-8")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    with pytest.raises(UsageError, match="working folder"):
        predict(tmp_path / "a.txt", out=Path())


def test_mistakes_are_told_before_anything_is_predicted(predict: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x", encoding="utf-8")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "A.txt").write_text("x", encoding="utf-8")
    model = Model()
    where = f"'A', one in {tmp_path / 'a.txt'}, one in {tmp_path / 'b' / 'A.txt'}; wanted names that differ"
    with pytest.raises(DataError, match=f"Two documents are named {re.escape(where)}"):
        predict(tmp_path / "a.txt", tmp_path / "b", model=model)
    (tmp_path / "twice.jsonl").write_text('{"id": "d", "text": "x"}\n' * 2, encoding="utf-8")
    with pytest.raises(DataError, match=f"'d', both in {re.escape(str(tmp_path / 'twice.jsonl'))};"):
        predict(tmp_path / "twice.jsonl", model=model)
    for words, says in (
        ({"formats": ("bart",)}, "Did you mean 'brat'"),
        ({"task": "2015-T15"}, "Unknown task"),
        ({"with_text": True}, "--with-text is for brat alone"),
        ({"chunk": 0}, "at least one"),
    ):
        with pytest.raises(UsageError, match=says):
            predict(tmp_path / "a.txt", model=model, **words)
    with pytest.raises(UsageError, match="0 inputs"):
        predict(model=model)
    (tmp_path / "n.jsonl").write_text('{"id": "a/../b", "text": ""}\n', encoding="utf-8")
    for kind in ("official", "brat"):
        with pytest.raises(DataError, match="cannot be a file name"):
            predict(tmp_path / "n.jsonl", model=model, formats=(kind,))
    (tmp_path / "out").write_text("", encoding="utf-8")
    with pytest.raises(UsageError, match="is a file"):
        predict(tmp_path / "a.txt", model=model)
    assert model.chunks == []
