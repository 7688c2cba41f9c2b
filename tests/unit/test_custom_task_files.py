"""Tasks from TOML files: what is read, what is refused and how, scores of files, `bench check`, and the page's examples."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import corpus_writers
import pytest
from bench_tasks.custom.settings import FORMATS, KEYS, KINDS

from bench.api.data import SPLITS, Document, Judgement, Mention, Relation
from bench.api.task import Task
from bench.cli import main
from bench.conformance.common import flat
from bench.conformance.corpora import worse
from bench.conformance.task_files import check_file
from bench.errors import BenchError, DataError, DataWarning, UsageError
from bench.hooks import hookimpl
from bench.kit import records
from bench.kit.formats import READERS
from bench.kit.jsonl import Record
from bench.registry import Registry, load

WORDS = ("calm", "grey", "loud", "mild", "pale", "quick", "rough", "stiff", "tense", "warm", "young", "zonal")
ENDS = ((0, 2), (0, 1), (2, 1))
CHECKS = ["file", "corpus", "labels", "metric", "oracle-round-trip", "leaks"]


def texts(split: str, count: int = 6) -> list[tuple[str, str, int]]:
    """Id, text and where its first drug begins; no text stands in two splits."""
    made = []
    for number in range(count):
        word = WORDS[(number + 2 * SPLITS.index(split)) % len(WORDS)]
        lead = f"On day {number} of the {split} visit a {word} person took "
        made.append((f"{split}{number}", f"{lead}aspirin and had swollen left hands and feet.", len(lead)))
    return made


def mentions_of(text: str, at: int, labels: tuple[str, ...]) -> list[Mention]:
    """A drug, a symptom, and a discontiguous one that shares its first fragment."""
    swollen, feet = text.index("swollen"), text.index("feet")
    first, second = labels[0], labels[-1]
    return [
        Mention(((at, at + 7),), second),
        Mention(((swollen, swollen + 18),), first),
        Mention(((swollen, swollen + 7), (feet, feet + 4)), first),
    ]


def make(kind: str, form: str, folder: Path, labels: tuple[str, ...] = (), splits: Mapping[str, str] | None = None) -> None:
    """A made-up corpus of any kind in any format that can hold it."""
    for split in SPLITS:
        home = folder / (splits or {}).get(split, FORMATS[form][split][0])
        home.parent.mkdir(parents=True, exist_ok=True)
        WRITERS[form](home, split, kind, labels)


def _brat(home: Path, split: str, kind: str, labels: tuple[str, ...]) -> None:
    home.mkdir()
    related = (labels or ("causes",))[0]
    for name, text, at in texts(split):
        found = mentions_of(text, at, labels if kind == "mentions" and labels else ("Symptom", "Drug"))
        spans = [";".join(f"{a} {b}" for a, b in m.fragments) for m in found]
        under = [" ".join(text[a:b] for a, b in m.fragments) for m in found]
        lines = [f"T{n}\t{m.label} {s}\t{u}" for n, (m, s, u) in enumerate(zip(found, spans, under, strict=True), 1)]
        lines += [*(f"R{n}\t{related} Arg1:T{a + 1} Arg2:T{b + 1}" for n, (a, b) in enumerate(ENDS, 1)), "A1\tNegated T1"]
        (home / f"{name}.txt").write_text(text, encoding="utf-8")
        (home / f"{name}.ann").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _pipe(home: Path, split: str, kind: str, labels: tuple[str, ...]) -> None:
    home.mkdir()
    slots = "no|null|patient|null|no|null|unmarked|null|unmarked|null|false|null|false|null|null|null"
    for name, text, at in texts(split):
        found = mentions_of(text, at, ("Disorder",))
        lines = [f"{name}.text|{','.join(f'{a}-{b}' for a, b in m.fragments)}|C0000001|{slots}\n" for m in found]
        (home / f"{name}.text").write_text(text, encoding="utf-8")
        (home / f"{name}.pipe").write_text("".join(lines), encoding="utf-8")


def _iob(home: Path, split: str, kind: str, labels: tuple[str, ...]) -> None:
    label = (labels or ("Drug",))[0]
    lines = []
    for _, text, _ in texts(split):
        lines += [f"{t}\t{'B-' + label if t == 'aspirin' else 'O'}\n" for t in text.rstrip(".").split()] + ["\n"]
    home.write_text("".join(lines), encoding="utf-8")


def _jsonl(home: Path, split: str, kind: str, labels: tuple[str, ...]) -> None:
    rows: list[dict[str, Any]] = []
    for number, (name, text, at) in enumerate(texts(split)):
        row: dict[str, Any] = {"id": name, "text": text}
        found = mentions_of(text, at, labels if kind == "mentions" and labels else ("Symptom", "Drug"))
        if kind in ("mentions", "relations"):
            row["mentions"] = [{"fragments": [list(f) for f in m.fragments], "label": m.label} for m in found]
        if kind == "relations":
            row["relations"] = [{"source": a, "target": b, "label": (labels or ("causes",))[0]} for a, b in ENDS]
        if kind == "classification":
            row["label"] = (labels or ("0", "1"))[number % 2]
        if kind == "ranking":
            passages = [{"id": f"p{n}", "text": f"Passage {n}.", "relevant": n == number % 3} for n in range(3)]
            row = {"id": name, "query": text, "passages": passages}
        rows.append(row)
    home.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def _of_kit(form: str) -> Callable[[Path, str, str, tuple[str, ...]], None]:
    """A split as a tool of that format writes it; discontiguous mentions only where the format has them."""
    write = next(write for other, _, write in corpus_writers.WRITERS.values() if other == form)

    def made(home: Path, split: str, kind: str, labels: tuple[str, ...]) -> None:
        documents = []
        for number, (name, text, at) in enumerate(texts(split)):
            if form == "pubtator":
                text = text.replace(" took", "\ntook")
            if form == "i2b2":
                text = text.replace(".", " .")
            found = mentions_of(text, at, labels if kind == "mentions" and labels else ("Symptom", "Drug"))
            found[2:] = found[2:] if form in ("bioc", "huggingface") else [Mention(((at - 5, at + 7),), found[0].label)]
            ends = [(a, b) for a, b in ENDS if kind == "relations"]
            related = tuple(Relation(found[a].key, found[b].key, (labels or ("causes",))[0]) for a, b in ends)
            said = (Judgement((labels or ("0", "1"))[number % 2], 1.0, True),) if kind == "classification" else ()
            documents.append(Document(name, text, () if said else tuple(found), related, said))
        if form == "huggingface" and kind == "classification":
            datasets = pytest.importorskip("datasets")
            rows = [{"text": d.text, "label": d.judgements[0].name} for d in documents]
            datasets.Dataset.from_list(rows).save_to_disk(str(home))
        elif form == "huggingface":
            pytest.importorskip("datasets")
            write(home, documents)
        else:
            write(home, documents)

    return made


WRITERS: Mapping[str, Callable[[Path, str, str, tuple[str, ...]], None]] = {
    "brat": _brat, "pipe": _pipe, "iob": _iob, "jsonl": _jsonl, **{form: _of_kit(form) for form in READERS},
}  # fmt: skip
PAIRS = [(kind, form) for kind, (formats, _, _) in KINDS.items() for form in formats]


def written(folder: Path, kind: str, form: str, more: str = "") -> Path:
    path = folder / "mine.toml"
    path.write_text(f'kind = "{kind}"\nformat = "{form}"\nfolder = "corpus"\n{more}', encoding="utf-8")
    return path


def made(folder: Path, kind: str, form: str, more: str = "") -> Task:
    make(kind, form, folder / "corpus")
    return load().get("tasks", str(written(folder, kind, form, more)))


def loaded(task: Task) -> Any:
    assert task.folder is not None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        return task.load(task.folder)


def refused(folder: Path, content: str) -> str:
    path = folder / "mine.toml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        load().get("tasks", str(path))
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(("kind", "form"), PAIRS)
def test_every_kind_in_every_format_passes_every_check(kind: str, form: str, tmp_path: Path) -> None:
    made(tmp_path, kind, form)
    results = check_file(tmp_path / "mine.toml", load())
    assert [r.name for r in results] == CHECKS
    assert [r for r in results if not r.passed] == []
    assert "train 6 documents" in results[1].detail


@pytest.mark.parametrize(("kind", "form"), PAIRS)
def test_files_that_were_written_score_like_the_documents(kind: str, form: str, tmp_path: Path) -> None:
    task = made(tmp_path, kind, form)
    test = loaded(task)["test"]
    partly = worse(test)
    task.write(tmp_path / "gold", [d.without_text() for d in test])
    task.write(tmp_path / "pred", partly)
    direct = flat(task.score(test, partly))
    files = flat(task.score_files(tmp_path / "gold", tmp_path / "pred"))
    assert files == pytest.approx(direct)
    assert 0 < direct[task.metadata.primary_metric] < 1
    assert flat(task.score_files(tmp_path / "gold", tmp_path / "gold"))[task.metadata.primary_metric] == 1


def test_relations_of_a_head_that_is_given_the_mentions_are_written_with_them(tmp_path: Path) -> None:
    task = made(tmp_path, "relations", "brat")
    test = loaded(task)["test"]
    bare = [Document(d.id, "", (), d.relations) for d in test]
    task.write(tmp_path / "gold", [d.without_text() for d in test])
    task.write(tmp_path / "pred", bare)
    assert task.score_files(tmp_path / "gold", tmp_path / "pred")["relations"]["f1"] == 1


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    corpus = loaded(made(tmp_path, "relations", "jsonl"))
    name, text, at = texts("dev")[0]
    found = mentions_of(text, at, ("Symptom", "Drug"))
    related = tuple(Relation(found[a].key, found[b].key, "causes") for a, b in ENDS)
    assert corpus["dev"][0] == Document(name, text, tuple(found), related)
    assert [text[a:b] for a, b in corpus["dev"][0].mentions[2].fragments] == ["swollen", "feet"]
    assert not corpus.synthetic


def test_a_ranking_puts_query_and_passages_into_one_text(tmp_path: Path) -> None:
    document = loaded(made(tmp_path, "ranking", "jsonl"))["train"][1]
    assert [document.text[slice(*p.span)] for p in document.passages] == ["Passage 0.", "Passage 1.", "Passage 2."]
    assert document.text[: document.passages[0].span[0]].rstrip() == texts("train")[1][1]
    assert document.judgements[1] == Judgement("p1", 1.0, True)
    assert not document.judgements[0].chosen


def test_classes_stand_in_every_document_also_where_a_split_lacks_one(tmp_path: Path) -> None:
    task = made(tmp_path, "classification", "jsonl")
    path = tmp_path / "corpus" / "test.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(row | {"label": 0}) + "\n" for row in rows))
    test = loaded(task)["test"]
    assert all(d.judgements == (Judgement("0", 1.0, True), Judgement("1", 0.0, False)) for d in test)
    assert task.score(test, test)["macro_f1"] == 0.5  # class 1 is there, and has nothing to be right about


def test_lines_of_ann_files_that_are_not_read_are_told(tmp_path: Path) -> None:
    task = made(tmp_path, "mentions", "brat")
    assert task.folder is not None
    with pytest.warns(DataWarning, match=r"mine: 72 lines of \.ann files were not read.*A 18, R 54"):
        task.load(task.folder)
    assert "A 18" in check_file(tmp_path / "mine.toml", load())[1].detail


def test_defaults_and_what_is_given(tmp_path: Path) -> None:
    task = made(tmp_path, "mentions", "brat")
    assert (task.name, task.heads, task.metadata.primary_metric) == ("mine", ("span", "bio"), "strict.f1")
    assert (task.folder, task.file) == (tmp_path / "corpus", tmp_path / "mine.toml")
    written(tmp_path, "mentions", "brat", 'name = "other"\nhead = "bio"\nmetric = "discontiguous.f1"\nlicence = "CC0-1.0"\n')
    other = load().get("tasks", str(tmp_path / "mine.toml"))
    assert (other.name, other.heads, other.metadata.primary_metric) == ("other", ("bio", "span"), "discontiguous.f1")
    assert other.licence == "CC0-1.0"
    assert other.version != task.version
    assert other.head("span").name == "span"


def test_no_synthetic_corpus(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no synthetic corpus") as caught:
        made(tmp_path, "mentions", "brat").synthesize(tmp_path / "s", 1)
    assert "--data mine=DIR" in str(caught.value)


BASE = 'kind = "mentions"\nformat = "brat"\nfolder = "corpus"\n'


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ("kind = ", "is no TOML"),
        ("kind = 1e", "is no TOML"),
        ('kind = "mentions"\nformat = "brat"\n', "no key 'folder'"),
        (BASE.replace("kind", "kinds"), "'kinds'. Did you mean 'kind'?"),
        (BASE.replace('"mentions"', '"mention"'), "'mention'. Did you mean 'mentions'"),
        (BASE.replace("brat", "brta"), "'brta'. Did you mean 'brat'"),
        (BASE.replace("brat", "conll"), "It is called 'iob' here, two columns, token and tag"),
        (BASE.replace("brat", "CoNLL-2003"), "It is called 'iob' here"),
        (BASE.replace("brat", "BIO"), "It is called 'iob' here"),
        (BASE.replace("brat", "iob2"), "It is called 'iob' here"),
        (BASE.replace("brat", "tsv"), "It is called 'iob' here"),
        (BASE.replace("brat", "standoff"), "It is called 'brat' here, standoff"),
        (BASE.replace("brat", ".ann"), "It is called 'brat' here"),
        (BASE.replace("brat", "semeval"), "It is called 'pipe' here"),
        (BASE.replace("brat", "json-lines"), "It is called 'jsonl' here"),
        (BASE.replace("brat", "ndjson"), "It is called 'jsonl' here"),
        (BASE.replace("brat", "xlsx"), "Wanted brat, iob, pipe, jsonl, bioc, pubtator"),
        (BASE.replace("brat", "parquet"), "It is called 'huggingface' here, a data set saved to disk, or Parquet"),
        (BASE.replace("brat", "BioC XML"), "It is called 'bioc' here"),
        (BASE.replace("brat", "labelstudio"), "It is called 'label-studio' here"),
        (BASE.replace("brat", "n2c2"), "It is called 'brat' here"),
        (BASE.replace('"mentions"', '"NER"'), "It is called 'mentions' here"),
        (BASE.replace('"mentions"', '"text-classification"'), "It is called 'classification' here"),
        (BASE + '[roles]\na = ["From", "To"]', "'roles' are those of relations in brat or bioc; this file describes mentions"),
        (BASE.replace("mentions", "relations") + '[roles]\na = ["From"]', "'roles.a' holds 1 role; wanted two"),
        (BASE.replace("mentions", "relations") + '[roles]\na = ["From", "From"]', "'From' twice"),
        (BASE.replace("mentions", "relations") + 'roles = "From"', "wanted a table [roles]"),
        (BASE.replace("brat", "iob").replace("mentions", "relations"), "format 'iob' cannot hold relations; wanted 'brat'"),
        (BASE.replace('"corpus"', "3"), "'folder' is or holds a whole number; wanted a string"),
        (BASE.replace('"corpus"', '" "'), "blank"),
        (BASE.replace('"corpus"', '"a\\u0000b"'), "one plain line"),
        (BASE.replace("corpus", "~nobody-at-all/corpus"), "begins with '~'"),
        (BASE.replace("corpus", "a" * 256), "more than 255 bytes"),
        (BASE + 'name = "a/b"', "the name is 'a/b'"),
        (BASE + 'name = "2015-T14"', "has a task named '2015-T14'; wanted a free name"),
        (BASE + 'head = "classify"', "Unknown head for mentions"),
        (BASE + 'metric = "strict.f"', "'strict.f'. Did you mean 'strict.f1'"),
        (BASE + 'metric = "strict.fp"', "'strict.fp'"),
        (BASE + 'labels = ["A"]\nmetric = "by_type.B.f1"', "'by_type.B.f1'. Did you mean 'by_type.A.f1'"),
        (BASE + 'labels = "A"', "'labels' is a string; wanted a list"),
        (BASE + 'labels = ["A", "A"]', "'A' twice"),
        (BASE + "labels = [2020-01-01]", "a date or a time"),
        (BASE + 'splits = "train"', "wanted a table [splits]"),
        (BASE + '[splits]\ntrian = "x"', "'trian'. Did you mean 'train'?"),
        (BASE + '[splits]\ntrain = "dev"', "train and dev are both 'dev'"),
    ],
)  # fmt: skip
def test_a_file_that_means_nothing_is_refused_by_key(content: str, wanted: str, tmp_path: Path) -> None:
    assert wanted in refused(tmp_path, content)


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no task file"):
        load().get("tasks", str(tmp_path / "none.toml"))
    path = tmp_path / "odd name.toml"
    path.write_bytes(BASE.encode())
    with pytest.raises(UsageError, match="the name is 'odd name'"):
        load().get("tasks", str(path))
    path.write_bytes(b"\xff")
    with pytest.raises(UsageError, match="byte 0 is not UTF-8"):
        load().get("tasks", str(path))


def test_a_byte_order_mark_before_the_file_is_let_pass(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xef\xbb\xbf" + BASE.encode())
    assert load().get("tasks", str(path)).name == "mine"


@pytest.mark.parametrize("form", ["brat", "pipe", "iob", "jsonl"])
def test_a_byte_order_mark_before_annotations_is_let_pass(form: str, tmp_path: Path) -> None:
    task = made(tmp_path, "mentions", form)
    whole = loaded(task).splits
    for path in (tmp_path / "corpus").rglob("*"):
        if path.suffix in (".ann", ".pipe", ".tsv", ".jsonl"):
            path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert loaded(task).splits == whole


@pytest.mark.parametrize(("form", "name"), [("pipe", "x.pipe"), ("iob", "x.tsv"), ("jsonl", "x.jsonl")])
def test_files_in_sub_folders_are_never_passed_over(form: str, name: str, tmp_path: Path) -> None:
    """Where a document cannot be named by its path, a sub-folder that holds some is refused, for scoring too."""
    task = made(tmp_path, "mentions", form)
    gold = tmp_path / "corpus" / ("train" if form == "pipe" else "")
    (gold / "more").mkdir()
    (gold / "more" / name).write_text("")
    if form == "pipe":
        assert "more/x.pipe lies in a sub-folder" in fault(task)
    with pytest.raises(DataError, match=rf"more/{name} lies in a sub-folder \(1 such here\)"):
        task.score_files(gold, gold)


def fault(task: Task) -> str:
    with pytest.raises(BenchError) as caught:
        loaded(task)
    return str(caught.value)


def change(path: Path, line: int, **values: Any) -> None:
    rows = [json.loads(row) for row in path.read_text().splitlines()]
    rows[line - 1] |= values
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.mark.parametrize(
    ("kind", "values", "wanted"),
    [
        ("mentions", {"mentions": [{"fragments": [[0, 900]], "label": "Drug"}]}, "fragment 0-900 lies outside the text"),
        ("mentions", {"mentions": [{"fragments": [[4, 2]], "label": "Drug"}]}, "4-2 ends before"),
        ("mentions", {"mentions": [{"fragments": [], "label": "Drug"}]}, "no fragment"),
        ("mentions", {"mentions": [{"fragments": [[0, True]], "label": "Drug"}]}, "wanted [start, end]"),
        ("mentions", {"mentions": [{"fragments": [[0, 2]], "label": "Drug"}] * 2}, "mention 1 repeats"),
        ("mentions", {"mentions": [{"fragments": [[0, 2]], "label": "Strange"}]}, "line 2: document 'dev1' has a label"),
        ("mentions", {"id": "dev0"}, "an earlier line has the same 'id'"),
        ("relations", {"relations": [{"source": 0, "target": 3, "label": "causes"}]}, "'target' is 3, but the document has 3"),
        ("relations", {"relations": [{"source": 1, "target": 1, "label": "causes"}]}, "a mention with itself"),
        ("relations", {"relations": [{"source": 0, "target": -1, "label": "causes"}]}, "below 0"),
        ("relations", {"relations": None}, "field 'relations' is null; wanted a list"),
        ("classification", {"label": "2"}, "line 2: document 'dev1' has a label"),
        ("classification", {"label": True}, "field 'label' is true or false"),
        ("ranking", {"passages": []}, "without passages"),
        ("ranking", {"passages": [{"id": "p", "text": "t", "relevant": 1}]}, "'relevant' of a passage is a whole number"),
        ("ranking", {"passages": [{"id": "p", "text": "t", "relevant": True}] * 2}, "stands in this line twice"),
    ],
)  # fmt: skip
def test_a_bad_line_is_named_and_not_quoted(kind: str, values: Mapping[str, Any], wanted: str, tmp_path: Path) -> None:
    task = made(tmp_path, kind, "jsonl")
    change(tmp_path / "corpus" / "dev.jsonl", 2, **values)
    told = fault(task)
    assert wanted in told
    assert "dev" in told
    assert not any(word in told for word in ("aspirin", "swollen", "Strange", "Passage"))


def test_a_corpus_that_lacks_something_is_refused(tmp_path: Path) -> None:
    task = made(tmp_path, "mentions", "brat", 'labels = ["Drug"]\n')
    assert "36 faults: unknown-label 36." in fault(task)
    assert "lists Drug" in fault(task)
    task = load().get("tasks", str(written(tmp_path, "mentions", "brat", 'metric = "by_type.Durg.f1"\n')))
    assert "Did you mean 'by_type.Drug.f1'" in fault(task)
    task = load().get("tasks", str(written(tmp_path, "mentions", "brat")))
    (tmp_path / "corpus" / "dev" / "dev3.txt").unlink()
    assert "dev3.ann has no dev3.txt beside it" in fault(task)
    for path in (tmp_path / "corpus" / "dev").iterdir():
        path.unlink()
    assert "dev holds no document" in fault(task)
    (tmp_path / "corpus" / "dev").rmdir()
    assert "There is no dev in" in fault(task)
    assert "[splits]" in fault(task)
    task = load().get("tasks", str(written(tmp_path, "mentions", "iob", '[splits]\ntrain = "a.tsv"\n')))
    assert "There is no a.tsv" in fault(task)


def test_a_copied_split_is_a_leak(tmp_path: Path) -> None:
    task = made(tmp_path, "classification", "jsonl")
    path = tmp_path / "corpus" / "test.jsonl"
    rows = [json.loads(line) for line in (tmp_path / "corpus" / "train.jsonl").read_text().splitlines()]
    path.write_text("".join(json.dumps(row | {"id": f"x{row['id']}"}) + "\n" for row in rows))
    assert all(not leak.tolerated for leak in loaded(task).leaks)
    told = {result.name: result for result in check_file(tmp_path / "mine.toml", load())}
    assert [name for name in told if not told[name].passed] == ["leaks"]
    assert f"{len(rows)} documents stand in two splits" in told["leaks"].detail
    assert "--allow-leak" in told["leaks"].detail


def test_files_that_do_not_fit_are_not_scored(tmp_path: Path) -> None:
    task = made(tmp_path, "ranking", "jsonl")
    test = loaded(task)["test"]
    gold = tmp_path / "corpus" / "test.jsonl"
    task.write(tmp_path / "pred", test)
    pred = tmp_path / "pred" / records.FILE
    assert task.score_files(gold, pred)["map"] == 1
    change(pred, 1, passages=[{"id": "p0", "score": 1.0}])
    with pytest.raises(DataError, match="'test0' has other passages"):
        task.score_files(gold, pred)
    change(pred, 1, passages=[{"id": "p0", "score": 10**400}])
    with pytest.raises(DataError, match="wanted a finite number"):
        task.score_files(gold, pred)
    task.write(tmp_path / "pred", test[1:])
    with pytest.raises(DataError, match="lacks document 'test0'"):
        task.score_files(gold, pred)


def test_check_says_what_is_lost_and_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(tmp_path, "mentions", "jsonl", 'labels = ["Symptom", "Drug", "Gene"]\n')
    assert main(["check", str(tmp_path / "mine.toml"), "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    told = {row["name"]: row for row in report["checks"]}
    assert [name for name in told if not told[name]["passed"]] == ["labels"]
    assert "lists Gene" in told["labels"]["detail"]
    # bio can hold neither the discontiguous mention nor, in the same tags, what overlaps it; span holds both.
    assert "span dev 18 of 18, strict.f1 1.000" in told["oracle-round-trip"]["detail"]
    assert "bio dev 12 of 18 (lost: discontiguous 6)" in told["oracle-round-trip"]["detail"]
    (tmp_path / "mine.toml").write_text("kind = 1")
    assert main(["check", str(tmp_path / "mine.toml")]) == 1
    assert "0 passed, 1 failed" in capsys.readouterr().out


def test_labels_of_relations_are_counted_where_documents_lack_some(tmp_path: Path) -> None:
    made(tmp_path, "relations", "jsonl")
    change(tmp_path / "corpus" / "dev.jsonl", 1, relations=[])
    told = {result.name: result for result in check_file(tmp_path / "mine.toml", load())}
    assert told["labels"].detail == "train/dev/test: causes 18/15/18"


def test_commands_take_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(tmp_path, "mentions", "brat")
    file = str(tmp_path / "mine.toml")
    gold = str(tmp_path / "corpus" / "test")
    assert main(["score", file, "--gold", gold, "--pred", gold, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["scores"]["strict"]["tp"] == 18
    assert main(["show", "task", file]) == 0
    assert f"bench run --task {file}" in capsys.readouterr().out
    (tmp_path / "corpus").rename(tmp_path / "moved")
    assert main(["run", "--task", file]) == 2
    told = capsys.readouterr().err
    assert "is no folder" in told
    assert "--data mine=DIR" in told


class Other:
    """A third party's own kind of file."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    @hookimpl
    def bench_task_from_file(self, path: Path) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_third_parties_are_asked_first_and_may_decline(tmp_path: Path) -> None:
    theirs = made(tmp_path, "mentions", "brat")
    path = tmp_path / "theirs.toml"
    path.write_text("anything = 1")
    for answer, told in (
        (theirs, None),
        (None, "Unknown key"),
        (ValueError("secret"), "raised ValueError"),
        (3, "made no task"),
    ):
        registry = load()
        registry.add(Other(answer), "other:files", "other")
        assert not [b for b in registry.broken if b.distribution == "other"]
        if told is None:
            assert registry.get("tasks", str(path)) is theirs
            assert registry.entry("tasks", str(path)).distribution == "other"
            continue
        with pytest.raises(UsageError) as caught:
            registry.get("tasks", str(path))
        assert told in str(caught.value)
        assert "secret" not in str(caught.value)
    with pytest.raises(UsageError, match="No plugin makes a task"):
        Registry().get("tasks", str(path))


@pytest.fixture(scope="module")
def page(root: Path) -> str:
    return (root / "docs" / "tasks-without-code.md").read_text(encoding="utf-8")


def test_every_example_of_the_page_is_a_task(page: str, tmp_path: Path) -> None:
    blocks = re.findall(r"```toml\n# (\S+)\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == page.count("```toml") == 14
    seen = set()
    for name, content in blocks:
        path = tmp_path / name
        path.write_text(content, encoding="utf-8")
        task: Any = load().get("tasks", str(path))
        spec = task.spec
        splits = {split: names[0] for split, names in spec.splits.items()}
        make(spec.kind, spec.format, spec.folder, spec.labels, splits)
        seen.add((spec.kind, spec.format))
        results = check_file(path, load())
        assert [r for r in results if not r.passed] == [], name
        assert len(results) == len(CHECKS)
    assert {form for _, form in seen} == set(FORMATS)
    assert {kind for kind, _ in seen} == set(KINDS)
    assert {pair for pair in PAIRS if pair[1] not in READERS} <= seen


def test_every_line_of_the_page_is_a_document(page: str) -> None:
    lines = re.findall(r"```json\n(.*?)\n```", page, re.DOTALL)
    kinds = ["mentions", "relations", "classification", "ranking"]
    for kind, line in zip(kinds, lines, strict=True):
        (document,) = records.documents([Record(Path("page"), 1, json.loads(line))], kind)
        texts = [[document.text[a:b] for a, b in m.fragments] for m in document.mentions]
        assert texts in ([], [["Swelling of hands"], ["Swelling of", "feet"]], [["Cisplatin"], ["hands swell"]]), kind


def test_every_key_check_and_head_is_on_the_page(page: str) -> None:
    for key in (*KEYS, *CHECKS, *KINDS, *FORMATS):
        assert f"`{key}`" in page or f"`[{key}]`" in page, key
    for kind, (_, heads, metric) in KINDS.items():
        (row,) = re.findall(rf"^\| `{kind}` \|(.*)$", page, re.MULTILINE)
        assert all(f"`{word}`" in row for word in (*heads, metric)), kind
