"""ddi-2013: what is read, what is refused, and scores that are scikit-learn's."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest
from bench_tasks.ddi2013.corpus import WITHIN_TEST, ordered
from bench_tasks.ddi2013.task import CLASSES, DDI2013

from bench.api.data import Corpus, Document, Mention, Relation
from bench.errors import DataError
from bench.kit.faults import Fault
from bench.kit.repeats import repeated_texts

TASK = DDI2013()
TEXT = "Melprilol raises tanoxin and low dose or high dose zimolol."


def document(name: str = "DDI-DrugBank.d1", pairs: str = "", entities: str = "", text: str = TEXT) -> str:
    drugs = [("0-8", "drug", "Melprilol"), ("17-23", "brand", "tanoxin"), ("29-36;51-57", "drug_n", "low dose zimolol")]
    made = "".join(
        f'<entity id="{name}.s0.e{n}" charOffset="{at}" type="{kind}" text="{word}"/>\n'
        for n, (at, kind, word) in enumerate(drugs)
    )
    known = pairs or (
        f'<pair id="{name}.s0.p0" e1="{name}.s0.e0" e2="{name}.s0.e1" ddi="true" type="mechanism"/>\n'
        f'<pair id="{name}.s0.p1" e1="{name}.s0.e0" e2="{name}.s0.e2" ddi="false"/>\n'
    )
    return (
        f'<?xml version="1.0"?>\n<document id="{name}">\n<sentence id="{name}.s0" text="{text}">\n'
        f'{entities or made}{known}</sentence>\n<sentence id="{name}.s1" text="Nothing about {name}."/>\n</document>\n'
    )


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, place in enumerate(("Train/DrugBank", "Dev/MedLine", "Test/MedLine")):
        put(tmp_path / place / "a.xml", document(f"DDI-DrugBank.d{number}"))
    return tmp_path


def test_sentences_become_passages_and_offsets_those_of_the_document(folder: Path) -> None:
    text = document("DDI-MedLine.d9").replace("<sentence", '<sentence id="x" text="An &quot;opening&quot;."/>\n<sentence', 1)
    put(folder / "Train" / "MedLine" / "b.xml", text)
    corpus = TASK.load(folder)
    _, made = corpus["train"]
    assert [made.text[slice(*p.span)] for p in made.passages] == ['An "opening".', TEXT, "Nothing about DDI-MedLine.d9."]
    assert [" ".join(made.text[a:b] for a, b in m.fragments) for m in made.mentions] == [
        "Melprilol", "tanoxin", "low dose zimolol"
    ]  # fmt: skip
    assert [m.label for m in made.mentions] == ["drug", "brand", "drug_n"]
    (relation,) = made.relations
    assert (relation.source, relation.target, relation.label) == (made.mentions[0].key, made.mentions[1].key, "mechanism")


def test_the_order_of_the_two_drugs_does_not_count(folder: Path) -> None:
    swapped = document("DDI-DrugBank.d0").replace('.e0" e2="DDI-DrugBank.d0.s0.e1"', '.e1" e2="DDI-DrugBank.d0.s0.e0"')
    put(folder / "Train" / "DrugBank" / "a.xml", swapped)
    (gold,) = TASK.load(folder)["train"]
    (relation,) = gold.relations
    assert relation.source < relation.target
    back = Relation(relation.target, relation.source, relation.label)
    assert ordered(Document("d", "", (), (back,))).relations == (relation,)
    scores = TASK.score([gold], [Document(gold.id, "", gold.mentions, (back, relation))])
    assert [scores["relations"][k] for k in ("tp", "fp", "fn")] == [1, 0, 0]


def test_a_pair_of_drugs_is_one_candidate(corpus: Corpus) -> None:
    pytest.importorskip("torch")
    head = DDI2013().head("relation")
    head.fit(corpus["train"])
    assert head.state()["forward"] is True


def test_of_two_test_sets_the_one_with_pairs_is_read(folder: Path) -> None:
    (folder / "Test" / "MedLine" / "a.xml").unlink()
    put(folder / "Test" / WITHIN_TEST / "DrugBank" / "x.xml", document("DDI-DrugBank.d7"))
    put(folder / "Test" / "Test for DrugNER task" / "DrugBank" / "x.xml", "<other/>")
    assert [d.id for d in TASK.load(folder)["test"]] == ["DDI-DrugBank.d7"]


def test_a_tenth_of_train_is_drawn_from_both_sources(tmp_path: Path) -> None:
    for number in range(60):
        source = "MedLine" if number % 3 == 0 else "DrugBank"
        put(tmp_path / "Train" / source / f"{number}.xml", document(f"DDI-{source}.d{number}"))
    put(tmp_path / "Test" / "a.xml", document("DDI-DrugBank.d99"))
    one, two = TASK.load(tmp_path), TASK.load(tmp_path)
    assert one.splits == two.splits
    assert [len(one[split]) for split in ("train", "dev", "test")] == [54, 6, 1]
    assert sorted(d.id.partition(".")[0] for d in one["dev"]) == ["DDI-DrugBank"] * 4 + ["DDI-MedLine"] * 2


@pytest.mark.parametrize(
    ("before", "after", "kind", "line"),
    [
        ('charOffset="0-8"', 'charOffset="8-0"', "empty-span", 4),
        ('charOffset="0-8"', 'charOffset="0-900"', "outside-text", 4),
        ('charOffset="0-8"', 'charOffset="0:8"', "malformed-line", 4),
        ('charOffset="0-8"', "", "malformed-line", 4),
        ('type="brand"', 'type="Brand"', "unknown-label", 5),
        ("DDI-DrugBank.d0.s0.e2\" charOffset", "DDI-DrugBank.d0.s0.e1\" charOffset", "repeated-id", 6),
        ('e2="DDI-DrugBank.d0.s0.e1"', 'e2="DDI-DrugBank.d0.s0.e9"', "missing-mention", 7),
        ('e2="DDI-DrugBank.d0.s0.e1"', 'e2="DDI-DrugBank.d0.s0.e0"', "self-relation", 7),
        ('type="mechanism"', 'type="cause"', "unknown-label", 7),
        ('ddi="true" type="mechanism"', 'ddi="true"', "malformed-line", 7),
        ('ddi="false"', 'ddi="no"', "malformed-line", 8),
    ],
)  # fmt: skip
def test_faults_are_named_and_leave_out_the_document_on_request(
    before: str, after: str, kind: str, line: int, folder: Path
) -> None:
    path = put(folder / "Train" / "DrugBank" / "a.xml", document("DDI-DrugBank.d0").replace(before, after, 1))
    put(folder / "Train" / "DrugBank" / "b.xml", document("DDI-DrugBank.d5"))
    with pytest.raises(Fault) as caught:
        TASK.load(folder)
    assert caught.value.kind == kind
    assert caught.value.message.startswith(f"{path}:{line}: ")
    assert "elprilol" not in str(caught.value)
    corpus = TASK.tolerating([kind]).load(folder)
    assert corpus.left_out == {kind: 1}
    assert [d.id for d in corpus["train"]] == ["DDI-DrugBank.d5"]


def test_entities_are_never_expanded_and_no_other_file_is_opened(folder: Path) -> None:
    path = folder / "Train" / "DrugBank" / "a.xml"
    bomb = '<!DOCTYPE d [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>\n<document id="&b;"/>'
    for content, told in (
        (bomb, "declares an entity"),
        ('<!DOCTYPE d SYSTEM "file:///etc/passwd"><document id="x"/>', "external DTD"),
        ("<document id='x'>", "not well-formed"),
        ("<sentence/>", "no <document>"),
    ):
        put(path, content)
        with pytest.raises(DataError, match=told):
            TASK.load(folder)


def test_offsets_that_leave_out_the_last_character_are_noticed(folder: Path) -> None:
    put(
        folder / "Train" / "DrugBank" / "a.xml", document("DDI-DrugBank.d0").replace('"0-8"', '"0-9"').replace("17-23", "17-24")
    )
    assert TASK.load(folder)["train"]  # a blank more is neither letter nor digit
    put(folder / "Train" / "DrugBank" / "a.xml", document("DDI-DrugBank.d0").replace('"0-8"', '"0-7"'))
    with pytest.raises(DataError, match="1 of 9 drugs is not what stands"):
        TASK.load(folder)


def test_what_a_folder_must_hold(folder: Path) -> None:
    put(folder / "Train" / "DrugBank" / "b.xml", document("DDI-DrugBank.d0"))
    with pytest.raises(Fault, match=r"b\.xml:2: document 'DDI-DrugBank\.d0' stands in an earlier file"):
        TASK.load(folder)
    put(folder / "Train" / "DrugBank" / "b.xml", document("DDI-DrugBank.d8"))
    text = document("DDI-DrugBank.d2").replace('ddi="true" type="mechanism"', 'ddi="false"')
    put(folder / "Test" / "MedLine" / "a.xml", text)
    with pytest.raises(DataError, match=r"test of .* holds no interaction"):
        TASK.load(folder)
    (folder / "Test" / "MedLine" / "a.xml").unlink()
    with pytest.raises(DataError, match=r"Test holds no \.xml file"):
        TASK.load(folder)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("ddi") / "c"
    TASK.synthesize(folder, 0)
    return TASK.load(folder)


def pairs_of(document: Document) -> list[tuple[Mention, Mention]]:
    """The pairs of drugs of each sentence."""
    inside = [
        [m for m in document.mentions if p.span[0] <= m.fragments[0][0] < p.span[1]] for p in document.passages
    ]  # fmt: skip
    return [pair for mentions in inside for pair in combinations(mentions, 2)]


def worse(documents: list[Document]) -> list[Document]:
    made = []
    for document in documents:
        kept = [r for i, r in enumerate(document.relations) if i % 4 != 1]
        kept = [Relation(r.target, r.source, CLASSES[i % 4]) if i % 3 == 0 else r for i, r in enumerate(kept)]
        extra = [Relation(a.key, b.key, "int") for a, b in pairs_of(document)[:1]]
        made.append(Document(document.id, "", document.mentions, tuple(dict.fromkeys([*kept, *extra]))))
    return made


def test_scores_are_those_of_scikit_learn_over_all_pairs(corpus: Corpus) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    gold = list(corpus["test"])
    predicted = worse(gold)
    table = []
    for documents in (gold, predicted):
        said = {(d.id, frozenset((r.source, r.target)), r.label) for d in documents for r in d.relations}
        table.append(
            [[int((d.id, frozenset((a.key, b.key)), c) in said) for c in CLASSES] for d in gold for a, b in pairs_of(d)]
        )
    scores = TASK.score(gold, predicted)
    micro = metrics.precision_recall_fscore_support(*table, average="micro", zero_division=0)
    each = metrics.precision_recall_fscore_support(*table, average=None, zero_division=0)
    names = ("precision", "recall", "f1")
    assert 0 < micro[2] < 1
    assert [scores["relations"][name] for name in names] == pytest.approx(micro[:3], abs=1e-12)
    for i, label in enumerate(CLASSES):
        assert [scores["by_type"][label][name] for name in names] == pytest.approx([each[k][i] for k in range(3)], abs=1e-12)


def test_files_score_like_documents_and_against_the_corpus_s_own(corpus: Corpus, folder: Path, tmp_path: Path) -> None:
    gold, predicted = list(corpus["dev"]), worse(list(corpus["dev"]))
    TASK.write(tmp_path / "gold", [d.without_text() for d in gold])
    TASK.write(tmp_path / "pred", predicted)
    assert TASK.score_files(tmp_path / "gold", tmp_path / "pred") == TASK.score(gold, predicted)
    (own,) = TASK.load(folder)["test"]
    TASK.write(tmp_path / "own", [Document(own.id, "", (), own.relations)])
    assert "Melprilol" not in (tmp_path / "own" / f"{own.id}.xml").read_text()
    assert TASK.score_files(folder / "Test", tmp_path / "own")["relations"]["f1"] == 1.0
    with pytest.raises(DataError, match="no document in common"):
        TASK.score_files(folder / "Test", tmp_path / "pred")


def test_the_synthetic_corpus_is_whole_and_no_giveaway(corpus: Corpus) -> None:
    assert corpus.synthetic
    assert [len(corpus[split]) for split in ("train", "dev", "test")] == [240, 60, 60]
    assert repeated_texts(corpus.splits) == ()
    assert {r.label for d in corpus["test"] for r in d.relations} == set(CLASSES)
    pairs = sum(len(pairs_of(d)) for d in corpus["test"])
    related = sum(len(d.relations) for d in corpus["test"])
    assert 0.2 < related / pairs < 0.6
    seen = {d.text[slice(*m.fragments[0])].lower() for d in corpus["train"] for m in d.mentions}
    test = [d.text[slice(*m.fragments[0])].lower() for d in corpus["test"] for m in d.mentions]
    assert sum(word not in seen for word in test) / len(test) > 0.3
    everything = [
        Document(d.id, "", (), tuple(Relation(a.key, b.key, "effect") for a, b in pairs_of(d))) for d in corpus["test"]
    ]
    assert TASK.score(corpus["test"], everything)["relations"]["f1"] < 0.4


def test_a_text_from_elsewhere_gets_its_sentences() -> None:
    made = TASK.prepared(Document("x", "One drug. Another one."))
    assert [p.span for p in made.passages] == [(0, 9), (10, 22)]
