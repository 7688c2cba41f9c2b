"""2016-T12: Anafora files read strictly, and scores that are those of anaforatools run on the same folders."""

from __future__ import annotations

import shutil
from collections import Counter, defaultdict
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("anafora")

from bench_tasks.semeval2016_t12.scorer import row_name
from bench_tasks.semeval2016_t12.task import SemEval2016T12

from bench.api.data import SPLITS, Corpus, Document, Mention, Relation
from bench.conformance.workbench import Pieces
from bench.data.cuts import cut, joined
from bench.data.leaks import leaks_of, refuse
from bench.errors import DataError

TASK = SemEval2016T12()
TEXT = "In May the canary sang\r\nand fell ill."
FINE = """<?xml version="1.0" encoding="UTF-8"?>
<data>
  <info><savetime>now</savetime></info>
  <annotations>
    <entity><id>1@e</id><span>3,6</span><type>TIMEX3</type><properties><Class>DATE</Class></properties></entity>
    <entity><id>2@e</id><span>18,22</span><type>EVENT</type>
      <properties><DocTimeRel>BEFORE/OVERLAP</DocTimeRel><Polarity>POS</Polarity><Degree></Degree></properties></entity>
    <entity><id>3@e</id><span>33,36;28,32</span><type>EVENT</type><properties><DocTimeRel>AFTER</DocTimeRel></properties></entity>
    <entity><id>4@e</id><span>0,2</span><type>SECTIONTIME</type><properties></properties></entity>
    <relation><id>1@r</id><type>TLINK</type>
      <properties><Source>1@e</Source><Type>CONTAINS</Type><Target>2@e</Target></properties></relation>
    <relation><id>2@r</id><type>TLINK</type>
      <properties><Source>2@e</Source><Type>BEFORE</Type><Target>3@e</Target></properties></relation>
    <relation><id>3@r</id><type>TLINK</type>
      <properties><Source>4@e</Source><Type>CONTAINS</Type><Target>3@e</Target></properties></relation>
    <relation><id>4@r</id><type>ALINK</type>
      <properties><Source>2@e</Source><Type>CONTINUES</Type><Target>3@e</Target></properties></relation>
  </annotations>
</data>
"""
SUFFIX = ".Temporal-Relation.gold.completed.xml"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for split in SPLITS:
        home = tmp_path / split / f"{split}1"
        home.mkdir(parents=True)
        (home / f"{split}1").write_bytes(TEXT.encode())
        (home / f"{split}1{SUFFIX}").write_text(FINE, encoding="utf-8")
    return tmp_path


def gold_of(folder: Path) -> Path:
    return folder / "dev" / "dev1" / f"dev1{SUFFIX}"


def test_a_file_becomes_mentions_with_slots_and_containers(folder: Path) -> None:
    (document,) = TASK.load(folder)["train"]
    assert (document.id, document.text) == ("train1", TEXT)
    time, sang, fell = document.mentions
    assert (time.key, time.slots) == ((((3, 6),), "TIMEX3"), {"Class": ("DATE",)})
    assert (sang.key, sang.slots) == ((((18, 22),), "EVENT"), {"DocTimeRel": ("BEFORE/OVERLAP",), "Polarity": ("POS",)})
    assert fell.fragments == ((28, 32), (33, 36))
    assert document.relations == (Relation(time.key, sang.key, "CONTAINS"),)


def test_other_layouts_are_read(folder: Path) -> None:
    before = TASK.load(folder)["dev"]
    home = folder / "dev"
    shutil.move(home / "dev1" / "dev1", home / "dev1.txt")
    (home / f"dev1{SUFFIX}").write_text(FINE, encoding="utf-8")
    shutil.rmtree(home / "dev1")
    assert TASK.load(folder)["dev"] == before
    entities = home / "dev1.Temporal-Entity.gold.completed.xml"
    entities.write_text(FINE, encoding="utf-8")
    assert TASK.load(folder)["dev"] == before
    shutil.copy(entities, home / "dev1.Temporal-Relation.other.completed.xml")
    with pytest.raises(DataError, match="'dev1' has 3 annotation files"):
        TASK.load(folder)


BAD = {
    "a document type": ("<data>", "<!DOCTYPE data><data>", "DOCTYPE", 2),
    "an external entity": (
        "<data>\n  <info><savetime>now",
        '<!DOCTYPE data [<!ENTITY x SYSTEM "file:///etc/hostname">]><data>\n  <info><savetime>&x;', "DOCTYPE", 2,
    ),
    "broken XML": ("</entity>", "", "mismatched tag", 18),
    "no Anafora file": (FINE, "<html/>", "no Anafora file", 1),
    "a strange annotation": ("<annotations>", "<annotations><note/>", "neither", 4),
    "an id twice": ("2@e</id>", "1@e</id>", "id of an earlier", 6),
    "no id": ("<id>2@e</id>", "", "0 <id>", 6),
    "a span that is none": ("18,22", "18-22", "no span", 6),
    "an end before its start": ("18,22", "22,18", "ends before", 6),
    "a span outside the text": ("18,22", "18,99", "outside the text of 37", 6),
    "an unknown type": ("<type>EVENT", "<type>CANARY", "EVENT, TIMEX3, SECTIONTIME", 6),
    "an unknown value": ("BEFORE/OVERLAP", "CANARY", "<DocTimeRel> holds no known value", 6),
    "a relation to an unknown entity": ("<Target>2@e", "<Target>9@e", "<Target> of this TLINK", 10),
    "a relation without a source": ("<Source>1@e</Source>", "", "<Source> of this TLINK", 10),
    "a relation to a relation": ("<Target>2@e", "<Target>2@r", "may not refer", 10),
    "a relation of three": ("<Target>2@e", "<Other>3@e</Other><Target>2@e", "beside Source and Target", 10),
    "an unknown relation": ("<type>ALINK", "<type>CANARY", "no known type", 16),
    "a link of no known type": ("<Type>BEFORE", "<Type>CANARY", "no known type", 12),
    "a property twice": ("<Polarity>", "<DocTimeRel>AFTER</DocTimeRel><Polarity>", "twice", 6),
    "an entity that refers": ("<Class>DATE", "<Class>2@e", "may not refer", 5),
    "an unknown encoding": ("UTF-8", "canary", "encoding", 1),
}  # fmt: skip
"""What is replaced in `FINE`, where it stands first, and by what; what the error says, and its line."""


@pytest.mark.parametrize("what", BAD)
def test_a_bad_file_is_named_with_its_line_and_not_quoted(folder: Path, what: str) -> None:
    old, new, wanted, line = BAD[what]
    content = FINE.replace(old, new, 1)
    assert content != FINE
    gold_of(folder).write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=wanted) as raised:
        TASK.load(folder)
    assert f"{gold_of(folder)}, line {line}" in str(raised.value)
    assert "canary" not in str(raised.value).lower()


def test_bad_corpora_are_refused(folder: Path, tmp_path: Path) -> None:
    gold = gold_of(folder)
    gold.rename(gold.with_name("gone"))
    with pytest.raises(DataError, match=r"holds no \.xml file"):
        TASK.load(folder)
    gold.with_name("gone").rename(gold)
    shutil.copytree(gold.parent, folder / "dev" / "dev2")
    with pytest.raises(DataError, match="two texts of document 'dev1'"):
        TASK.load(folder)
    (folder / "dev" / "dev2" / "dev1").rename(folder / "dev" / "dev2" / "dev2")
    (folder / "dev" / "dev2" / f"dev1{SUFFIX}").unlink()
    with pytest.raises(DataError, match="dev2 has no annotation file"):
        TASK.load(folder)
    (folder / "dev" / "dev2" / "dev2").rename(folder / "dev" / "dev2" / f"dev2{SUFFIX}")
    with pytest.raises(DataError, match="has no text beside it"):
        TASK.load(folder)
    shutil.rmtree(folder / "dev" / "dev2")
    (gold.parent / "dev1").write_bytes(b"\xff" + TEXT.encode())
    with pytest.raises(DataError, match="UTF-8"):
        TASK.load(folder)
    (gold.parent / "dev1").write_bytes(TEXT.encode())
    shutil.copytree(folder / "train" / "train1", folder / "test" / "train1")
    with pytest.raises(DataError, match=r"'train1' \(train and test\)"):
        refuse(folder, leaks_of(TASK.load(folder)))
    shutil.rmtree(folder / "test" / "train1")
    gold.write_text(FINE.replace("<Type>CONTAINS", "<Type>OVERLAP"), encoding="utf-8")
    with pytest.raises(DataError, match="holds no CONTAINS"):
        TASK.load(folder)


def organisers(gold: Path, pred: Path, **options: Any) -> dict[str, tuple[float, float, float]]:
    """What `python -m anafora.evaluate` prints."""
    import anafora.evaluate

    kind = options.get("scores_type", anafora.evaluate.Scores)
    merged: dict[Any, Any] = defaultdict(kind)
    for _, named in anafora.evaluate.score_dirs(str(gold), str(pred), **options):
        for name, scores in named.items():
            merged[name].update(scores)
    return {row_name(name): (s.precision(), s.recall(), s.f1()) for name, s in merged.items()}


def figures(rows: dict[str, Any]) -> dict[str, tuple[float, float, float]]:
    return {name: (row["precision"], row["recall"], row["f1"]) for name, row in rows.items() if name != "closure"}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("t12") / "c"
    TASK.synthesize(folder, 0)
    return TASK.load(folder)


def worse(documents: tuple[Document, ...]) -> list[Document]:
    """Mentions missing, slots wrong, containers turned round, left out, and implied by others."""
    made = []
    for document in documents[:-1]:
        kept = [m for i, m in enumerate(document.mentions) if i % 7 != 6]
        slots = [
            replace(m, slots={"DocTimeRel": ("AFTER",)}) if m.label == "EVENT" and i % 3 == 0 else m for i, m in enumerate(kept)
        ]
        keys = [m.key for m in kept]
        relations = [r for i, r in enumerate(document.relations) if i % 5 and r.source in keys and r.target in keys]
        relations = [r for r in relations if (r.source, r.target) != (keys[0], keys[2])]
        chain = [Relation(a, b, "CONTAINS") for a, b in pairwise(keys[:5])]
        made.append(Document(document.id, "", tuple(slots), tuple(dict.fromkeys([*relations, *chain]))))
    return made


def test_rows_are_those_of_anaforatools(corpus: Corpus, tmp_path: Path) -> None:
    import anafora.evaluate

    gold, predicted = corpus["test"], worse(corpus["test"])
    TASK.write(tmp_path / "gold", gold)
    TASK.write(tmp_path / "pred", predicted)
    scores = TASK.score_files(tmp_path / "gold", tmp_path / "pred")
    assert scores == TASK.score(gold, predicted)
    assert figures(scores) == organisers(tmp_path / "gold", tmp_path / "pred")
    closed = organisers(
        tmp_path / "gold",
        tmp_path / "pred",
        include=[("TLINK", "Type", "CONTAINS")],
        scores_type=anafora.evaluate.TemporalClosureScores,
    )
    assert figures(scores["closure"]) == closed
    assert set(closed) == {"TLINK:Type:CONTAINS"}
    plain, closure = scores["TLINK:Type:CONTAINS"], scores["closure"]["TLINK:Type:CONTAINS"]
    assert 0 < plain["f1"] < 1
    assert 0 < closure["f1"] < 1
    assert plain["f1"] != closure["f1"]
    assert 0 < scores["EVENT:DocTimeRel"]["f1"] < scores["EVENT:<span>"]["f1"] < 1


def test_closure_credits_what_is_implied(tmp_path: Path) -> None:
    events = [Mention(((i, i + 1),), "EVENT") for i in range(0, 6, 2)]
    a, b, c = (m.key for m in events)
    gold = Document("d", "", tuple(events), (Relation(a, b, "CONTAINS"), Relation(b, c, "CONTAINS")))
    implied = replace(gold, relations=(*gold.relations, Relation(a, c, "CONTAINS")))
    scores = TASK.score([gold], [implied])
    assert scores["TLINK:Type:CONTAINS"]["precision"] == pytest.approx(2 / 3)
    assert scores["closure"]["TLINK:Type:CONTAINS"]["precision"] == 1.0
    assert scores["closure"]["TLINK:Type:CONTAINS"]["recall"] == 1.0


def test_missing_predictions_are_empty_and_kinds_of_paths_must_agree(folder: Path, tmp_path: Path) -> None:
    gold = folder / "dev"
    other = tmp_path / "other" / "x"
    other.mkdir(parents=True)
    (other / "x.xml").write_text(FINE, encoding="utf-8")
    with pytest.raises(DataError, match="no document in common: 'x' is in the first, 'dev1' in the second"):
        TASK.score_files(gold, other.parent)
    empty = other.parent / "dev1" / "dev1.xml"
    empty.parent.mkdir()
    empty.write_text("<data><annotations></annotations></data>", encoding="utf-8")
    scores = TASK.score_files(gold, other.parent)
    assert (scores["EVENT:<span>"]["recall"], scores["EVENT:<span>"]["precision"]) == (0.0, 1.0)
    assert TASK.score_files(gold_of(folder), other / "x.xml")["*"]["f1"] == 1.0
    with pytest.raises(DataError, match="a file and a folder"):
        TASK.score_files(gold, other / "x.xml")
    with pytest.raises(DataError, match="no file or folder"):
        TASK.score_files(gold, tmp_path / "nowhere")


def test_gold_comes_back_with_its_relation_to_the_document(corpus: Corpus) -> None:
    head = TASK.head("temporal")
    head.fit(corpus["train"])
    lost: Counter[str] = Counter()
    back = []
    for document in corpus["test"]:
        windows, golds, outside = cut(document, Pieces(), 256, head.cuts)
        lost += outside
        found: list[Any] = []
        for window, gold in zip(windows, golds, strict=True):
            encoding = head.encode(window, gold)
            lost += encoding.lost
            found += head.decode(window, head.oracle(encoding))
        back.append(joined(document, found))
    missed = sum(len(d.relations) for d in corpus["test"]) - sum(len(d.relations) for d in back)
    assert missed == lost["distance"] + lost["window"] == lost.total()
    scores = TASK.score(corpus["test"], back)
    for row in ("EVENT:<span>", "TIMEX3:<span>", "EVENT:DocTimeRel", "EVENT:DocTimeRel:BEFORE/OVERLAP"):
        assert scores[row]["f1"] == 1.0
    assert scores["TLINK:Type:CONTAINS"]["correct"] == scores["TLINK:Type:CONTAINS"]["reference"] - missed
    assert missed <= 0.01 * scores["TLINK:Type:CONTAINS"]["reference"]
    assert scores["EVENT:Polarity"]["recall"] == 0.0  # not predicted, and said so


def test_the_synthetic_corpus_is_no_giveaway(corpus: Corpus) -> None:
    assert corpus.synthetic
    words = {
        split: [d.text[a:b].lower() for d in corpus[split] for m in d.mentions for a, b in m.fragments] for split in SPLITS
    }
    known = set(words["train"])
    assert sum(word not in known for word in words["test"]) > 0.3 * len(words["test"])
    rels = Counter(m.slots["DocTimeRel"][0] for d in corpus["train"] for m in d.mentions if m.label == "EVENT")
    assert set(rels) == {"BEFORE", "OVERLAP", "BEFORE/OVERLAP", "AFTER"}
    for document in corpus["train"]:
        for mention in document.mentions:
            assert document.text[slice(*mention.fragments[0])].strip() == document.text[slice(*mention.fragments[0])] != ""
