"""ChemProt: what is read, what is refused, and scores that are scikit-learn's."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from bench_tasks.chemprot.corpus import CLASSES, FILES, NAMES
from bench_tasks.chemprot.task import ChemProt

from bench.api.data import SPLITS, Corpus, Document, Mention, Relation
from bench.conformance.workbench import Pieces
from bench.data.cuts import cut, joined
from bench.data.leaks import leaks_of, refuse
from bench.errors import DataError, UsageError

TASK = ChemProt()
REAL = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "chemprot"
TEXT = "Canaryol blocks GENQ1.\nIt is cleaved by canarase."


def entity(name: str, kind: str, word: str) -> dict[str, Any]:
    start = TEXT.index(word)
    return {"id": name, "type": kind, "text": [word], "offsets": [[start, start + len(word)]], "normalized": []}


def relation(kind: str, source: str = "a", target: str = "b") -> dict[str, Any]:
    return {"id": "r", "type": kind, "arg1_id": source, "arg2_id": target, "normalized": []}


def abstract(name: str, **changes: Any) -> dict[str, Any]:
    entities = [entity("a", "CHEMICAL", "Canaryol"), entity("b", "GENE-Y", "GENQ1"), entity("c", "GENE-N", "canarase")]
    passages = [{"id": "p", "type": "t", "text": [TEXT], "offsets": [[0, len(TEXT)]]}]
    made = {
        "id": "0",
        "document_id": name,
        "passages": passages,
        "entities": entities,
        "relations": [relation("Downregulator")],
    }
    return made | changes


def put(folder: Path, split: str, *lines: dict[str, Any]) -> None:
    (folder / FILES[split]).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for split in SPLITS:
        put(tmp_path, split, abstract(f"of-{split}"))
    return tmp_path


def test_an_abstract_becomes_mentions_relations_and_sentences(folder: Path) -> None:
    kinds = ["Upregulator", "INHIBITOR", "agonist-activator", "Antagonist", "CPR:9", "Not", "Part_of", "Undefined"]
    put(
        folder,
        "train",
        abstract("x", relations=[relation(kind) for kind in [*kinds, "activator"]] + [relation("Substrate", "a", "c")]),
    )
    (document,) = TASK.load(folder)["train"]
    assert document.id == "x"
    assert document.text == TEXT
    assert [m.key for m in document.mentions] == [(((0, 8),), "CHEMICAL"), (((16, 21),), "GENE"), (((40, 48),), "GENE")]
    assert [r.label for r in document.relations] == ["CPR:3", "CPR:4", "CPR:5", "CPR:6", "CPR:9", "CPR:9"]
    assert document.relations[-1].target == (((40, 48),), "GENE")
    assert [p.span for p in document.passages] == [(0, 22), (23, 49)]
    assert TASK.load(folder).synthetic is False


def broken(**changes: Any) -> dict[str, Any]:
    return abstract("x", **changes)


ENTITY = entity("a", "CHEMICAL", "Canaryol")
BAD = {
    "an entity outside the text": (broken(entities=[ENTITY | {"offsets": [[0, 80]]}], relations=[]), "outside the text"),
    "an entity before the text": (broken(entities=[ENTITY | {"offsets": [[-1, 8]]}], relations=[]), "before the text"),
    "an end before its start": (broken(entities=[ENTITY | {"offsets": [[8, 8]]}], relations=[]), "end before or where"),
    "offsets that are no pair": (broken(entities=[ENTITY | {"offsets": [[1, 2, 3]]}], relations=[]), "wanted \\[start, end\\]"),
    "no offsets": (broken(entities=[ENTITY | {"offsets": []}], relations=[]), "no offsets"),
    "another text": (broken(entities=[ENTITY | {"text": ["Canarxol"]}], relations=[]), "not what stands"),
    "an unknown entity type": (broken(entities=[ENTITY | {"type": "DRUG"}], relations=[]), "none of the values"),
    "an id twice": (broken(entities=[ENTITY, ENTITY], relations=[]), "id of an earlier entity"),
    "a relation to an unknown entity": (broken(relations=[relation("Agonist", "a", "z")]), "names no entity"),
    "a relation the wrong way round": (broken(relations=[relation("Agonist", "b", "a")]), "wanted a CHEMICAL"),
    "an unknown relation": (broken(relations=[relation("Likes")]), "no type of ChemProt"),
    "a missing field": ({k: v for k, v in broken().items() if k != "relations"}, "no field 'relations'"),
    "no passage": (broken(passages=[], entities=[], relations=[]), "no passage"),
    "a passage that is shorter": (
        broken(passages=[{"text": [TEXT], "offsets": [[0, 9]]}]), "say otherwise",
    ),
    "a passage that starts elsewhere": (
        broken(passages=[{"text": [TEXT], "offsets": [[7, 7 + len(TEXT)]]}]), "starts at 7",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_a_bad_line_is_named_by_file_and_line_and_not_quoted(folder: Path, what: str) -> None:
    line, wanted = BAD[what]
    put(folder, "dev", abstract("fine"), line)
    with pytest.raises(DataError, match=wanted) as raised:
        TASK.load(folder)
    assert f"{FILES['dev']}:2" in str(raised.value)
    assert "anar" not in str(raised.value).replace(str(folder), "")


def test_bad_corpora_are_refused(folder: Path, tmp_path: Path) -> None:
    put(folder, "dev", abstract("of-train"), abstract("other"))
    with pytest.raises(DataError, match=r"'of-train' \(train and dev\)"):
        refuse(folder, leaks_of(TASK.load(folder)))
    put(folder, "dev", abstract("x"), abstract("X"))
    with pytest.raises(DataError, match="earlier line"):
        TASK.load(folder)
    put(folder, "dev", abstract("x", relations=[relation("Not")]))
    with pytest.raises(DataError, match="no relation of CPR:3"):
        TASK.load(folder)
    (folder / FILES["dev"]).unlink()
    with pytest.raises(DataError, match=r"Cannot read .*validation\.jsonl"):
        TASK.load(folder)
    with pytest.raises(DataError, match="no folder"):
        TASK.load(tmp_path / "missing")


def pairs_of(documents: list[Document]) -> list[tuple[str, Mention, Mention]]:
    return [
        (d.id, a, b) for d in documents for a in d.mentions for b in d.mentions if a.label == "CHEMICAL" and b.label == "GENE"
    ]


def sklearn_scores(gold: list[Document], predicted: list[Document]) -> dict[str, tuple[float, float, float]]:
    metrics = pytest.importorskip("sklearn.metrics")
    table = []
    for documents in (gold, predicted):
        said = {(d.id, r.source, r.target, r.label) for d in documents for r in d.relations}
        table.append([[int((n, a.key, b.key, c) in said) for c in CLASSES] for n, a, b in pairs_of(gold)])
    micro = metrics.precision_recall_fscore_support(*table, average="micro", zero_division=0)
    each = metrics.precision_recall_fscore_support(*table, average=None, zero_division=0)
    return {"micro": micro[:3]} | {c: tuple(each[k][i] for k in range(3)) for i, c in enumerate(CLASSES)}


def worse(documents: list[Document]) -> list[Document]:
    """Every third relation gets another class, every fourth is missing, and some pairs are made up."""
    made = []
    for document in documents:
        kept = [r for i, r in enumerate(document.relations) if i % 4]
        kept = [Relation(r.source, r.target, CLASSES[i % 5]) if i % 3 == 0 else r for i, r in enumerate(kept)]
        extra = [Relation(a.key, b.key, "CPR:4") for _, a, b in pairs_of([document])[:2]]
        made.append(Document(document.id, "", document.mentions, tuple(dict.fromkeys([*kept, *extra]))))
    return made


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("chemprot") / "c"
    TASK.synthesize(folder, 0)
    return TASK.load(folder)


def test_scores_are_those_of_scikit_learn(corpus: Corpus) -> None:
    gold, predicted = list(corpus["test"]), worse(list(corpus["test"]))
    wanted, scores = sklearn_scores(gold, predicted), TASK.score(gold, predicted)
    assert 0 < wanted["micro"][2] < 1
    for name, row in (("micro", scores["relations"]), *((c, scores["by_type"][c]) for c in CLASSES)):
        assert (row["precision"], row["recall"], row["f1"]) == pytest.approx(wanted[name], abs=1e-12)


def test_files_score_like_documents(corpus: Corpus, tmp_path: Path) -> None:
    gold, predicted = list(corpus["dev"]), worse(list(corpus["dev"]))
    TASK.write(tmp_path / "gold", [d.without_text() for d in gold])
    TASK.write(tmp_path / "pred", predicted)
    assert TASK.score_files(tmp_path / "gold", tmp_path / "pred") == TASK.score(gold, predicted)
    assert "text" not in (tmp_path / "gold" / "relations.jsonl").read_text(encoding="utf-8")
    with pytest.raises(DataError, match=r"no \.jsonl"):
        TASK.score_files(tmp_path, tmp_path)
    TASK.write(tmp_path / "other", [Document("other", "")])
    with pytest.raises(DataError, match="no document in common"):
        TASK.score_files(tmp_path / "gold", tmp_path / "other")
    assert TASK.score(gold, [])["relations"]["recall"] == 0.0


def oracle(documents: tuple[Document, ...], train: tuple[Document, ...], length: int) -> tuple[dict[str, Any], Counter[str]]:
    head = TASK.head("relation")
    head.fit(train)
    back, lost = [], Counter[str]()
    for document in documents:
        windows, golds, outside = cut(document, Pieces(), length, head.cuts)
        lost += outside
        found = []
        for window, gold in zip(windows, golds, strict=True):
            encoding = head.encode(window, gold)
            lost += encoding.lost
            found += head.decode(window, head.oracle(encoding))
        back.append(joined(document, found))
    return TASK.score(documents, back)["relations"], lost


def test_gold_comes_back_from_the_synthetic_corpus(corpus: Corpus) -> None:
    for split in SPLITS:
        row, lost = oracle(corpus[split], corpus["train"], 128)
        assert row["f1"] == 1.0
        assert not lost


def test_the_synthetic_corpus_is_no_giveaway(corpus: Corpus, tmp_path: Path) -> None:
    assert corpus.synthetic
    names = {split: [d.text[a:b] for d in corpus[split] for m in d.mentions for a, b in m.fragments] for split in SPLITS}
    known = set(names["train"])
    assert sum(name not in known for name in names["test"]) > 0.3 * len(names["test"])
    sentences = {split: {d.text[slice(*p.span)] for d in corpus[split] for p in d.passages} for split in SPLITS}
    assert not sentences["train"] & (sentences["dev"] | sentences["test"])
    labels = Counter(r.label for d in corpus["train"] for r in d.relations)
    assert set(labels) == set(CLASSES)
    assert set(NAMES) == set(CLASSES)
    in_sentence = sum(
        any(p.span[0] <= a.fragments[0][0] < p.span[1] and p.span[0] <= b.fragments[0][0] < p.span[1] for p in d.passages)
        for d in corpus["train"]
        for _, a, b in pairs_of([d])
    )
    assert 0.25 < labels.total() / in_sentence < 0.6  # most candidates of a sentence are negatives
    with pytest.raises(UsageError, match="not empty"):
        TASK.synthesize(Path(__file__).parent, 0)


@pytest.mark.shared
@pytest.mark.skipif(not REAL.is_dir(), reason="ChemProt is not beside the repository")
def test_gold_comes_back_from_the_real_corpus() -> None:
    real = TASK.load(REAL)
    assert {split: (len(real[split]), sum(len(d.relations) for d in real[split])) for split in SPLITS} == {
        "train": (1020, 4157), "dev": (612, 2416), "test": (800, 3458),
    }  # fmt: skip
    assert sum(len({(r.source, r.target) for r in d.relations}) < len(d.relations) for d in real["train"]) > 0
    wanted = {"train": ({"passage": 1}, 4156), "dev": ({}, 2416), "test": ({}, 3458)}
    for split in SPLITS:
        row, lost = oracle(real[split], real["train"], 512)
        assert (dict(lost), row["tp"], row["fp"]) == (*wanted[split], 0)
