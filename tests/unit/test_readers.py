"""Readers of corpora as other tools write them: what is read, every kind of fault in every format, and what is refused."""

from __future__ import annotations

import copy
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bench_tasks.custom.task import task_from_file
from corpus_writers import WRITERS, bioc_xml, knowledge_base

from bench.api.data import SPLITS, Corpus, Document, Judgement, Mention, Relation
from bench.errors import DataError, DataWarning
from bench.kit import bigbio
from bench.kit.bioc import read as read_bioc
from bench.kit.faults import DEPENDENT
from bench.kit.formats import BY_FORMAT, READERS
from bench.kit.jsonl import Record
from bench.kit.reading import Source, documents

TEXT = "one two\nthree four"
SECRET = "secretword"
ONE, TWO = Mention(((0, 3),), "A", "C1"), Mention(((8, 13),), "B")
SPLIT = Mention(((0, 3), (14, 18)), "A")


def document(name: str, text: str = TEXT) -> Document:
    return Document(name, text, (ONE, TWO), (Relation(ONE.key, TWO.key, "r"),))


def read(form: str, path: Path, kind: Any = "mentions") -> list[Document]:
    source = Source(kind)
    found = [f.document for f in documents(form, path, source)]
    source.faults.check(path)
    return found


def corpus(folder: Path, name: str) -> Path:
    """A corpus of one document a split, and its file of the training split (its folder where it is one)."""
    form, suffix, write = WRITERS[name]
    if form == "huggingface":
        pytest.importorskip("datasets")
    for split in SPLITS:
        home = "validation" if (form, split) == ("huggingface", "dev") else split
        (folder / "corpus").mkdir(parents=True, exist_ok=True)
        write(folder / "corpus" / f"{home}{suffix}", [document(split, f"{TEXT} {split}")])
    kind = "mentions" if form == "pubtator" else "relations"
    labels = '["A", "B"]' if kind == "mentions" else '["r"]'
    (folder / "mine.toml").write_text(f'kind = "{kind}"\nformat = "{form}"\nfolder = "corpus"\nlabels = {labels}\n')
    return folder / "corpus" / f"train{suffix}"


def load(folder: Path, *tolerated: str) -> Corpus:
    task = task_from_file(folder / "mine.toml").tolerating(tolerated)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        return task.load(folder / "corpus")


def changed(path: Path, change: Callable[[Any], None]) -> None:
    """Changes the one document of a file of JSON, in place."""
    lines = path.suffix == ".jsonl"
    values = json.loads(path.read_text(encoding="utf-8"))
    rows = [values] if lines else values
    change(rows["documents"] if isinstance(rows, dict) else rows)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) if lines else json.dumps(rows), encoding="utf-8")


def written(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def copied(rows: Any) -> None:
    rows.append(copy.deepcopy(rows[0]))


def bioc(path: Path) -> dict[str, Callable[[], None]]:
    def passage(change: Callable[[Any], None]) -> Callable[[], None]:
        return lambda: changed(path, lambda rows: change(rows[0]["passages"][-1]))

    def annotation(**values: Any) -> Callable[[], None]:
        more = {"id": "T9", "infons": {"type": "A"}, "text": "", "locations": [{"offset": 4, "length": 3}]} | values
        return passage(lambda p: p["annotations"].append(more))

    def relation(first: str, second: str, label: str = "r", roles: tuple[str, str] = ("Arg1", "Arg2")) -> Callable[[], None]:
        nodes = [{"refid": name, "role": role} for name, role in zip((first, second), roles, strict=True)]
        return lambda: changed(path, lambda rows: rows[0]["relations"].append({"infons": {"type": label}, "nodes": nodes}))

    return {
        "malformed-line": annotation(locations=[{"offset": SECRET, "length": 3}]),
        "repeated-id": lambda: changed(path, copied),
        "empty-span": annotation(locations=[{"offset": 4, "length": 0}]),
        "outside-text": annotation(locations=[{"offset": 4, "length": 300}]),
        "text-mismatch": annotation(text=SECRET),
        "missing-mention": relation("T1", "T77"),
        "self-relation": relation("T1", "T1"),
        "unknown-role": relation("T1", "T2", "q", ("Same", "Same")),
        "unknown-label": relation("T2", "T1", SECRET),
    }


def lines(path: Path, rows: dict[str, bytes]) -> dict[str, Callable[[], None]]:
    def added(content: bytes) -> Callable[[], None]:
        return lambda: written(path, path.read_bytes().rstrip(b"\n") + b"\n" + content)

    return {kind: added(content) for kind, content in rows.items()}


def pubtator(path: Path) -> dict[str, Callable[[], None]]:
    return lines(path, {
        "malformed-line": b"train\t4\tsecretword\n",
        "repeated-id": b"\ntrain|t|one\ntrain|a|two\n",
        "empty-span": b"train\t7\t4\tsecretword\tA\n",
        "outside-text": b"train\t4\t700\tsecretword\tA\n",
        "text-mismatch": b"train\t4\t7\tsecretword\tA\n",
        "other-document": b"secretword\t4\t7\ttwo\tA\n",
        "unknown-label": b"train\t4\t7\ttwo\tsecretword\n",
    })  # fmt: skip


def i2b2(path: Path) -> dict[str, Callable[[], None]]:
    concepts, relations = path / "beth" / "concept" / "train.con", path / "beth" / "rel" / "train.rel"
    first, second = b'c="one" 1:0 1:0', b'c="three" 2:0 2:0'

    def bad_bytes() -> None:
        written(path / "beth" / "txt" / "more.txt", b"\xff")
        written(path / "beth" / "concept" / "more.con", b"")

    return {
        "missing-file": lambda: written(path / "beth" / "txt" / "more.txt", b"secretword"),
        "not-utf8": bad_bytes,
        **lines(concepts, {
            "malformed-line": b'c="secretword" 1:1||t="A"\n',
            "empty-span": b'c="secretword" 1:1 1:0||t="A"\n',
            "outside-text": b'c="secretword" 1:1 9:1||t="A"\n',
            "text-mismatch": b'c="secretword" 1:1 1:1||t="A"\n',
        }),
        **lines(relations, {
            "missing-mention": first + b'||r="r"||c="secretword" 1:1 1:1\n',
            "self-relation": first + b'||r="r"||' + first + b"\n",
            "unknown-label": second + b'||r="secretword"||' + first + b"\n",
        }),
    }  # fmt: skip


def huggingface(path: Path) -> dict[str, Callable[[], None]]:
    def row(change: Callable[[dict[str, Any]], None], name: str = "more") -> Callable[[], None]:
        def write() -> None:
            from corpus_writers import kb_features
            from datasets import Dataset

            more = knowledge_base(document(name, f"{TEXT} more"))
            change(more)
            rows = [knowledge_base(document("train", f"{TEXT} train")), more]
            (path / "state.json").unlink()
            for file in path.glob("*.arrow"):
                file.unlink()
            Dataset.from_list(rows, features=kb_features()).save_to_disk(str(path))

        return write

    def entity(**values: Any) -> Callable[[], None]:
        more = {"id": "T9", "type": "A", "text": [], "offsets": [[4, 7]], "normalized": []} | values
        return row(lambda r: r["entities"].append(more))

    def relation(first: str, second: str, label: str = "r") -> Callable[[], None]:
        return row(lambda r: r["relations"].append(
            {"id": "R9", "type": label, "arg1_id": first, "arg2_id": second, "normalized": []}
        ))  # fmt: skip

    return {
        "malformed-line": entity(type=" "),
        "repeated-id": row(lambda r: None, "train"),
        "empty-span": entity(offsets=[[7, 4]]),
        "outside-text": entity(offsets=[[4, 700]]),
        "text-mismatch": entity(text=[SECRET]),
        "missing-mention": relation("T1", "T77"),
        "self-relation": relation("T1", "T1"),
        "unknown-label": relation("T2", "T1", SECRET),
    }


def doccano(path: Path) -> dict[str, Callable[[], None]]:
    def span(**values: Any) -> Callable[[], None]:
        more = {"id": 9, "label": "A", "start_offset": 4, "end_offset": 7} | values
        return lambda: changed(path, lambda rows: rows[0]["entities"].append(more))

    def relation(first: int, second: int, label: str = "r") -> Callable[[], None]:
        more = {"id": 9, "from_id": first, "to_id": second, "type": label}
        return lambda: changed(path, lambda rows: rows[0]["relations"].append(more))

    return {
        "not-utf8": lambda: written(path, path.read_bytes() + b"\xff\n"),
        "malformed-line": span(label=[SECRET]),
        "repeated-id": lambda: changed(path, copied),
        "empty-span": span(end_offset=4),
        "outside-text": span(end_offset=400),
        "missing-mention": relation(1, 77),
        "self-relation": relation(1, 1),
        "unknown-label": relation(2, 1, SECRET),
    }


def label_studio(path: Path) -> dict[str, Callable[[], None]]:
    def result(more: dict[str, Any]) -> Callable[[], None]:
        return lambda: changed(path, lambda rows: rows[0]["annotations"][1]["result"].append(more))

    def span(**values: Any) -> Callable[[], None]:
        return result({"id": "T9", "type": "labels", "value": {"start": 4, "end": 7, "labels": ["A"]} | values})

    def relation(first: str, second: str, label: str = "r") -> Callable[[], None]:
        return result({"type": "relation", "from_id": first, "to_id": second, "direction": "right", "labels": [label]})

    return {
        "malformed-line": lambda: changed(path, lambda rows: rows.append(SECRET)),
        "repeated-id": lambda: changed(path, copied),
        "empty-span": span(end=4),
        "outside-text": span(end=400),
        "text-mismatch": span(text=SECRET),
        "missing-mention": relation("T1", "T77"),
        "self-relation": relation("T1", "T1"),
        "unknown-label": relation("T2", "T1", SECRET),
    }


FAULTS: dict[str, Callable[[Path], dict[str, Callable[[], None]]]] = {
    "bioc-json": bioc, "pubtator": pubtator, "i2b2": i2b2, "huggingface": huggingface, "doccano": doccano,
    "label-studio": label_studio,
}  # fmt: skip
ELSEWHERE = {("label-studio", "not-utf8"), ("huggingface", "orphan-tag")}
TRIED = [(name, kind) for name, faults in FAULTS.items() for kind in faults(Path("x"))]


def test_every_kind_of_every_format_is_tried_here() -> None:
    tried = {(WRITERS[name][0], kind) for name, kind in TRIED}
    assert {(form, kind) for form in READERS for kind in BY_FORMAT[form]} == tried | ELSEWHERE


@pytest.mark.parametrize(("name", "kind"), TRIED)
def test_a_fault_of_a_kind_is_told_or_left_out_and_counted(name: str, kind: str, tmp_path: Path) -> None:
    path = corpus(tmp_path, name)
    whole = load(tmp_path)
    assert whole["train"][0].mentions
    FAULTS[name](path)[kind]()
    with pytest.raises(DataError) as caught:
        load(tmp_path)
    told = str(caught.value)
    assert "train" in told
    assert f"--tolerate {kind}" in told
    assert SECRET not in told
    with pytest.raises(DataError):
        load(tmp_path, *(other for other in BY_FORMAT[WRITERS[name][0]] if other != kind))  # nothing is left out unnamed
    left = load(tmp_path, kind)
    assert dict(left.left_out) == {kind: 1}
    assert left["train"][0] == whole["train"][0]
    assert left.sha256 != whole.sha256 or kind == "missing-file"  # of which no byte was read


@pytest.mark.parametrize("name", WRITERS)
def test_what_is_read_of_every_format_and_errors_elsewhere(name: str, tmp_path: Path) -> None:
    path = corpus(tmp_path, name)
    (found,) = load(tmp_path)["train"]
    assert found.id == ("beth/train" if name == "i2b2" else "train")
    assert found.text == f"{TEXT} train"
    assert {m.key for m in found.mentions} == {ONE.key, TWO.key}
    linked = name in ("bioc-xml", "bioc-json", "pubtator", "huggingface")
    assert found.mentions[0].concept == ("C1" if linked else None)
    assert found.relations == (() if name == "pubtator" else (Relation(ONE.key, TWO.key, "r"),))
    if path.is_file():
        path.write_bytes(b"\xff" + path.read_bytes())
        with pytest.raises(DataError, match="train"):
            load(tmp_path)
        path.unlink()
    with pytest.raises(DataError, match="There is no train" if path.suffix else "train"):
        load(tmp_path) if path.suffix else read(WRITERS[name][0], tmp_path / "none" / "train")


def test_a_relation_of_a_mention_that_was_left_out_goes_with_it(tmp_path: Path) -> None:
    path = corpus(tmp_path, "bioc-json")
    changed(path, lambda rows: rows[0]["passages"][-1]["annotations"][1].update(text=SECRET))
    source = Source("relations")
    source.faults.tolerated = ["text-mismatch"]
    (found,) = documents("bioc", path, source)
    assert dict(source.faults.left_out) == {"text-mismatch": 1, DEPENDENT: 1}
    assert found.document.relations == ()


@pytest.mark.parametrize("name", ["bioc-xml", "bioc-json", "pubtator", "huggingface"])
def test_what_stands_for_no_concept_is_none(name: str, tmp_path: Path) -> None:
    form, suffix, write = WRITERS[name]
    marks = [Mention(((0, 3),), "A", "-1"), Mention(((4, 7),), "A", "-"), Mention(((8, 13),), "A", "D1|-1")]
    made = Document("1", TEXT, tuple(marks))
    if form == "huggingface":
        found = bigbio.document(Record(tmp_path, 1, knowledge_base(made)), Source("mentions"))
    else:
        write(tmp_path / f"a{suffix}", [made])
        (found,) = read(form, tmp_path / f"a{suffix}")
    assert [m.concept for m in found.mentions] == [None, None, "D1|-1"]


# PubTator


def test_pubtator_s_repeats_and_relations_are_counted_and_the_first_mention_stays(tmp_path: Path) -> None:
    line = "1\t0\t3\tone\tA\t"
    (tmp_path / "a.txt").write_text(f"1|t|one\n1|a|two\n{line}D1\n{line}D2\n{line[:-2]}B\tD1\n1\tCID\tD1\tD2\n")
    source = Source("mentions")
    (found,) = documents("pubtator", tmp_path / "a.txt", source)
    assert [(m.label, m.concept) for m in found.document.mentions] == [("A", "D1"), ("B", "D1")]
    assert dict(source.passed) == {"repeated": 1, "relation": 1}


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        (f"1 0 3 one {SECRET}", "line 3: no tab; wanted ID, start"),
        (f"1|b|{SECRET}", "line 3: no tab"),
        (f"1\t0\t3\tone\t{SECRET * 9}\tD1", r"line 3: a label \(90 characters\)"),
        ("1\t0\t3\tone\t \tD1", r"line 3: a label \(0 characters\)"),
    ],
)
def test_lines_of_pubtator_that_are_none_are_told_for_what_they_are(line: str, wanted: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(f"1|t|one\n1|a|two\n{line}\n")
    with pytest.raises(DataError, match=wanted) as caught:
        read("pubtator", tmp_path / "a.txt")
    assert SECRET not in str(caught.value)


# BioC


def bioc_file(folder: Path, content: str, head: str = '<!DOCTYPE collection SYSTEM "BioC.dtd">') -> Path:
    path = folder / "a.xml"
    path.write_text(f"<?xml version='1.0'?>{head}<collection>{content}</collection>", encoding="utf-8")
    return path


PASSAGE = "<passage><offset>0</offset><text>one {}</text></passage>"


@pytest.mark.parametrize(
    ("head", "wanted"),
    [
        ('<!DOCTYPE collection [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>', "declares an entity"),
        ('<!DOCTYPE collection [<!ENTITY b SYSTEM "file:///etc/passwd">]>', "declares an entity"),
        ('<!DOCTYPE collection [<!ENTITY % b SYSTEM "http://localhost/b.dtd"> %b;]>', "declares an entity"),
        ('<!DOCTYPE collection SYSTEM "http://localhost/BioC.dtd">', "refers to another file"),
        ("", "undefined entity"),
    ],
)
def test_entities_are_refused(head: str, wanted: str, tmp_path: Path) -> None:
    path = bioc_file(tmp_path, f"<document><id>1</id>{PASSAGE.format('&b;')}</document>", head)
    with pytest.raises(DataError, match=wanted):
        read("bioc", path)


def test_the_dtd_that_every_bioc_file_names_is_not_read(tmp_path: Path) -> None:
    path = bioc_file(tmp_path, f"<document><id>1</id>{PASSAGE.format('&amp; &#233;')}</document>")
    assert read("bioc", path) == [Document("1", "one & é")]


def test_sentences_gaps_and_annotations_of_a_document(tmp_path: Path) -> None:
    sentence = "<sentence><offset>{}</offset><text>{}</text>{}</sentence>"
    mark = (
        '<annotation id="1"><infon key="type">A</infon><infon key="MESH">D1</infon><location offset="10" length="3"/>'
        '<location offset="4" length="3"/><text>two ... six</text></annotation>'
    )
    whole = '<annotation id="2"><infon key="type">A</infon><text>x</text></annotation>'
    inner = sentence.format(0, "one two", "") + sentence.format(9, "4six", mark)
    path = bioc_file(tmp_path, f"<document><id>1</id><passage><offset>0</offset>{inner}</passage>{whole}</document>")
    source = Source("mentions")
    (found,) = documents("bioc", path, source)
    source.faults.check(path)
    assert found.document.text == "one two\n\n4six"
    assert found.document.mentions == (Mention(((4, 7), (10, 13)), "A", "D1"),)
    assert found.document.mentions[0].written == ((10, 13), (4, 7))
    assert source.passed == {"annotation without location": 1}


def test_identifiers_of_annotations_count_where_relations_are_read(tmp_path: Path) -> None:
    mark = '<annotation id="1"><infon key="type">{}</infon><location offset="0" length="3"/></annotation>'
    inner = "<passage><offset>0</offset><text>one</text>" + mark.format("A") + mark.format("B") + "</passage>"
    path = bioc_file(tmp_path, f"<document><id>1</id>{inner}</document>")
    assert len(read("bioc", path)[0].mentions) == 2
    with pytest.raises(DataError, match="an identifier that an earlier mention has"):
        read("bioc", path, "relations")


@pytest.mark.parametrize(
    ("second", "wanted"), [("2", "a passage starts at 2, and what stands before it ends at 7"), ("900000", "starts at 900000")]
)
def test_passages_out_of_place_are_a_fault(second: str, wanted: str, tmp_path: Path) -> None:
    more = PASSAGE.format("two") + PASSAGE.replace(">0<", f">{second}<").format(SECRET)
    path = bioc_file(tmp_path, f"<document><id>1</id>{more}</document>")
    with pytest.raises(DataError, match=wanted) as caught:
        read("bioc", path)
    assert SECRET not in str(caught.value)


def test_json_of_pubtator_s_service_and_a_document_alone(tmp_path: Path) -> None:
    row = {"id": "1", "passages": [{"offset": 0, "text": "one"}]}
    for values in ({"PubTator3": [row]}, {"documents": [row]}, row, [row], [{"documents": [row]}]):
        (tmp_path / "a.json").write_text(json.dumps(values))
        assert read("bioc", tmp_path / "a.json") == [Document("1", "one")]


def test_memory_does_not_grow_with_the_number_of_documents(tmp_path: Path) -> None:
    import tracemalloc

    def peak(count: int) -> int:
        bioc_xml(tmp_path / "a.xml", [document(f"d{n}", f"{TEXT} {'x' * 200}") for n in range(count)])
        tracemalloc.start()
        assert sum(1 for _ in read_bioc(tmp_path / "a.xml", Source("mentions"))) == count
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    few, many = peak(2_000), peak(6_000)
    assert many < 1.5 * few


# i2b2


def test_i2b2_files_beside_each_other_two_lines_and_words_in_any_case(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"Severe  PAIN\r\nin  chest .\r\n")
    (tmp_path / "a.con").write_bytes(b'c="pain in" 1:1 2:0||t="problem"\r\nc="pain in" 1:1 2:0||t="test"\r\n')
    (found,) = read("i2b2", tmp_path)
    assert [(m.fragments, m.label) for m in found.mentions] == [(((8, 16),), "problem"), (((8, 16),), "test")]
    (tmp_path / "txt").mkdir()
    (tmp_path / "txt" / "a.txt").write_bytes(b"x")
    with pytest.raises(DataError, match=r"are both document 'a'"):
        read("i2b2", tmp_path)


def test_a_byte_order_mark_is_no_part_of_i2b2_s_first_token(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\ufeffpain here\n", encoding="utf-8")
    (tmp_path / "a.con").write_text('\ufeffc="pain" 1:0 1:0||t="problem"\n', encoding="utf-8")
    (found,) = read("i2b2", tmp_path)
    assert [(m.fragments, found.text[1:5]) for m in found.mentions] == [(((1, 5),), "pain")]


def test_i2b2_s_test_texts_and_concepts_in_folders_of_their_own(tmp_path: Path) -> None:
    for place, content in (("test_data/1.txt", b"pain"), ("reference/concepts/1.con", b'c="pain" 1:0 1:0||t="problem"\n')):
        (tmp_path / place).parent.mkdir(parents=True)
        (tmp_path / place).write_bytes(content)
    assert read("i2b2", tmp_path) == [Document("test_data/1", "pain", (Mention(((0, 4),), "problem"),))]


# Hugging Face


@pytest.fixture
def datasets() -> Any:
    return pytest.importorskip("datasets")


def tagged(datasets: Any, rows: list[list[str]], names: list[str] | None) -> Any:
    tag = datasets.ClassLabel(names=names) if names else datasets.Value("string")
    features = {"tokens": datasets.List(datasets.Value("string")), "ner_tags": datasets.List(tag)}
    table = [{"tokens": [f"w{n}" for n in range(len(row))], "ner_tags": row} for row in rows]
    return datasets.Dataset.from_list(table, features=datasets.Features(features))


@pytest.mark.parametrize("names", [["O", "S-A", "B-A", "E-A"], None])
def test_tokens_and_tags_saved_to_disk_or_in_parquet(datasets: Any, names: Any, tmp_path: Path) -> None:
    rows = [["S-A", "O", "B-A", "E-A"], ["O"], []]
    saved = datasets.DatasetDict({s: tagged(datasets, rows, names) for s in ("train", "validation", "test")})
    saved.save_to_disk(str(tmp_path / "saved"))
    datasets.load_from_disk(str(tmp_path / "saved"))["train"].map(lambda row: {"more": 1})  # leaves a cache beside the data
    assert len(list((tmp_path / "saved" / "train").glob("*.arrow"))) == 2
    (tmp_path / "hub" / "data").mkdir(parents=True)
    for split, table in saved.items():
        table.to_parquet(str(tmp_path / "hub" / "data" / f"{split}-00000-of-00001.parquet"))
    wanted = [Document("train-000001", "w0 w1 w2 w3", (Mention(((0, 2),), "A"), Mention(((6, 11),), "A")))]
    for folder in ("saved", "hub"):
        (tmp_path / "mine.toml").write_text(f'kind = "mentions"\nformat = "huggingface"\nfolder = "{folder}"\n')
        task = task_from_file(tmp_path / "mine.toml")
        with pytest.warns(DataWarning, match="its tags are IOBES, read as IOB2"), pytest.warns(DataWarning, match="text 3"):
            corpus_ = task.load(tmp_path / folder)
        assert list(corpus_["train"]) == [*wanted, Document("train-000002", "w0")]
        assert [d.id for d in corpus_["dev"]] == ["dev-000001", "dev-000002"]


def test_numbers_without_names_and_rows_that_do_not_fit_are_told(datasets: Any, tmp_path: Path) -> None:
    def told(table: list[dict[str, Any]], kind: str = "mentions") -> str:
        datasets.Dataset.from_list(table).to_parquet(str(tmp_path / "a.parquet"))
        with pytest.raises(DataError) as caught:
            read("huggingface", tmp_path / "a.parquet", kind)
        assert SECRET not in str(caught.value)
        return str(caught.value)

    assert "column 'ner_tags' holds numbers; the file has 0 names" in told([{"tokens": ["a"], "ner_tags": [1]}])
    assert "row 1: the row has 1 token and 2 tags" in told([{"tokens": ["a"], "ner_tags": ["O", "O"]}])
    assert "token 1 is empty or has white space" in told([{"tokens": ["a", SECRET + " b"], "ner_tags": ["O", "O"]}])
    assert "tag 0 (10 characters) is none" in told([{"tokens": ["a"], "ner_tags": [SECRET]}])
    bad = [{"tokens": ["a", "b"], "ner_tags": ["B-A", "I-B"]}, {"tokens": ["a"], "ner_tags": ["B-A"]}]
    assert "row 1: tag 1: a tag I- continues no mention" in told(bad)
    assert "has the columns a, b; wanted tokens with ner_tags" in told([{"a": 1, "b": SECRET}])
    tokens = [{"tokens": ["a"], "ner_tags": ["O"]}]
    assert "has the columns tokens, ner_tags; wanted text and label" in told(tokens, "classification")
    (tmp_path / "a.parquet").write_bytes(b"PAR1 secretword")
    with pytest.raises(DataError, match=r"a\.parquet cannot be read as Parquet"):
        read("huggingface", tmp_path / "a.parquet")


def test_a_tag_that_continues_nothing_can_be_left_out(datasets: Any, tmp_path: Path) -> None:
    tagged(datasets, [["B-A", "I-A"], ["B-A", "O", "I-A"]], None).to_parquet(str(tmp_path / "a.parquet"))
    source = Source("mentions")
    source.faults.tolerated = ["orphan-tag"]
    assert [f.document.id for f in documents("huggingface", tmp_path / "a.parquet", source)] == ["document-000001"]
    assert dict(source.faults.left_out) == {"orphan-tag": 1}


def test_classes_of_texts_by_name_or_number(datasets: Any, tmp_path: Path) -> None:
    named = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])})
    for features, wanted in ((named, ["yes", "no"]), (None, ["1", "0"])):
        rows = [{"text": "a", "label": 1}, {"text": "b", "label": 0}]
        datasets.Dataset.from_list(rows, features=features).to_parquet(str(tmp_path / "a.parquet"))
        found = read("huggingface", tmp_path / "a.parquet", "classification")
        assert [d.judgements for d in found] == [(Judgement(name, 1.0, True),) for name in wanted]
        assert [d.text for d in read("huggingface", tmp_path / "a.parquet", "text")] == ["a", "b"]


def test_strings_that_are_no_utf_8_name_their_file(tmp_path: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    ends = arrow.array([0, 1, 3], arrow.int32()).buffers()[1]
    words = arrow.Array.from_buffers(arrow.string(), 2, [None, ends, arrow.py_buffer(b"a\xff\xfe")])
    parquet.write_table(arrow.table({"text": words, "label": ["x", "y"]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"a\.parquet has a column of strings with bytes that are not UTF-8"):
        read("huggingface", tmp_path / "a.parquet", "classification")


def test_bigbio_s_discontiguous_offsets_and_gaps_of_passages_are_kept(datasets: Any, tmp_path: Path) -> None:
    row = knowledge_base(Document("d", TEXT, (SPLIT,)))
    row["passages"] = [
        {"id": "p", "type": "x", "text": [text], "offsets": [[at, at + len(text)]]}
        for text, at in (("one two", 0), ("three four", 8))
    ]
    datasets.Dataset.from_list([row]).to_parquet(str(tmp_path / "a.parquet"))
    assert read("huggingface", tmp_path / "a.parquet") == [Document("d", TEXT.replace("\n", " "), (SPLIT,))]


def test_lists_by_field_as_the_package_stores_some(datasets: Any, tmp_path: Path) -> None:
    row = knowledge_base(Document("d", TEXT, (SPLIT, TWO), (Relation(TWO.key, SPLIT.key, "r"),)))
    for name in ("passages", "entities", "relations"):
        fields = [key for key in row[name][0] if key != "normalized"]
        row[name] = {key: [item[key] for item in row[name]] for key in fields}
    datasets.Dataset.from_list([row]).to_parquet(str(tmp_path / "a.parquet"))
    (found,) = read("huggingface", tmp_path / "a.parquet", "relations")
    assert found == Document("d", TEXT, (SPLIT, TWO), (Relation(TWO.key, SPLIT.key, "r"),))


@pytest.mark.parametrize("kind", ["Sequence", "List", "LargeList"])
def test_names_of_tags_as_older_and_newer_versions_write_them(kind: str, tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    tag = {"num_classes": 2, "names": ["O", "B-A"], "id": None, "_type": "ClassLabel"}
    features = {"ner_tags": {"feature": tag, "length": -1, "_type": kind}, "tokens": {"feature": {"dtype": "string"}}}
    table = pyarrow.table({"tokens": [["a", "b"]], "ner_tags": [[0, 1]]})
    described = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    parquet.write_table(described, tmp_path / "a.parquet")
    assert [m.fragments for m in read("huggingface", tmp_path / "a.parquet")[0].mentions] == [((2, 3),)]
    parquet.write_table(table.replace_schema_metadata({"huggingface": "[1"}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="the file has 0 names of classes"):
        read("huggingface", tmp_path / "a.parquet")


# doccano and Label Studio


def test_doccano_s_other_forms(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"data": "one two", "labels": [[0, 3, "A"]]}\n{"id": 4, "text": "", "label": []}\n')
    assert read("doccano", tmp_path / "a.jsonl") == [Document("a-1", "one two", (Mention(((0, 3),), "A"),)), Document("4", "")]
    (tmp_path / "a.jsonl").rename(tmp_path / "a.json")  # as older versions called lines
    assert len(read("doccano", tmp_path / "a.json")) == 2
    (tmp_path / "a.jsonl").write_text('{"id": 1, "text": "x", "label": ["a", "b"]}\n')
    with pytest.raises(DataError, match="'label' holds 2 classes; wanted one"):
        read("doccano", tmp_path / "a.jsonl", "classification")


def test_label_studio_s_short_form_and_several_annotators(tmp_path: Path) -> None:
    span = {"start": 0, "end": 3, "text": "one", "labels": ["A", "B"]}
    (tmp_path / "a.json").write_text(json.dumps([{"id": 1, "note": "one two", "ner": [span], "annotator": 3}]))
    (found,) = read("label-studio", tmp_path / "a.json")
    assert [(m.fragments, m.label) for m in found.mentions] == [(((0, 3),), "A"), (((0, 3),), "B")]
    (tmp_path / "a.json").write_text(json.dumps([{"id": 1, "text": "one", "sentiment": "good"}]))
    (found,) = read("label-studio", tmp_path / "a.json", "classification")
    assert found.judgements == (Judgement("good", 1.0, True),)
    result = [{"id": "a", "type": "labels", "value": span}]
    two: list[dict[str, Any]] = [{"result": result}, {"result": []}]
    (tmp_path / "a.json").write_text(json.dumps([{"id": 1, "data": {"text": "one"}, "annotations": two}]))
    with pytest.raises(DataError, match="of 2 annotations 0 count; wanted one"):
        read("label-studio", tmp_path / "a.json")
    two[0]["ground_truth"] = True
    (tmp_path / "a.json").write_text(json.dumps([{"id": 1, "data": {"text": "one"}, "annotations": two}]))
    assert len(read("label-studio", tmp_path / "a.json")[0].mentions) == 2


def test_a_line_of_label_studio_that_is_no_utf_8_can_be_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"id": 1, "text": "one", "ner": []}\n{"id": 2, "text": "\xff"}\n')
    with pytest.raises(DataError, match=r"a\.jsonl:2: byte 20 of the line is not UTF-8"):
        read("label-studio", tmp_path / "a.jsonl")
    source = Source("mentions")
    source.faults.tolerated = ["not-utf8"]
    assert [f.document.id for f in documents("label-studio", tmp_path / "a.jsonl", source)] == ["1"]
    assert dict(source.faults.left_out) == {"not-utf8": 1}
