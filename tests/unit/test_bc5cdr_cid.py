"""bc5cdr-cid: pairs of concepts from the release's files, what is left out of them, and scores against a count by hand."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from bench_tasks.bc5cdr.task import Bc5cdr
from bench_tasks.bc5cdr_cid.corpus import pairs
from bench_tasks.bc5cdr_cid.task import Bc5cdrCid
from bench_tasks.common.abstract_task import CDR_FILES

from bench.api.data import Document, Mention, Relation
from bench.cli import main
from bench.errors import DataError
from bench.kit.faults import Fault
from bench.kit.repeats import repeated_texts

TASK = Bc5cdrCid()


def article(number: int, *related: str, more: str = "") -> str:
    """Two chemicals and three diseases, one of these composite and one without a concept."""
    lines = [
        f"{number}|t|Melpri, tanol and gout {number}.",
        f"{number}|a|Renal or hepatic failure and chills.",
        f"{number}\t0\t6\tMelpri\tChemical\tD001",
        f"{number}\t8\t13\ttanol\tChemical\tD002",
        f"{number}\t18\t22\tgout\tDisease\tD101",
        f"{number}\t{22 + 3 + len(str(number))}\t{46 + 3 + len(str(number))}\tRenal or hepatic failure\tDisease\tD102|D103",
        f"{number}\t{51 + 3 + len(str(number))}\t{57 + 3 + len(str(number))}\tchills\tDisease\t-1",
        *(f"{number}\tCID\t{pair.replace(' ', chr(9))}" for pair in related),
    ]
    return "\n".join(lines) + f"\n{more}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, name in enumerate(CDR_FILES.values(), 10):
        (tmp_path / name).write_text(article(number, "D001 D101", "D002 D103", "D001 D999"), encoding="utf-8")
    return tmp_path


def document(name: str, *related: tuple[str, str], label: str = "CID") -> Document:
    return Document(name, "", (), tuple(Relation(((), a), ((), b), label) for a, b in related))


def test_relations_join_concepts_and_a_pair_without_mentions_stays(folder: Path) -> None:
    corpus = TASK.load(folder)
    (train,) = corpus["train"]
    assert pairs(train) == {("D001", "D101"), ("D002", "D103"), ("D001", "D999")}
    assert [m.concepts for m in train.mentions] == [("D001",), ("D002",), ("D101",), ("D102", "D103"), ()]
    assert [train.text[slice(*m.fragments[0])] for m in train.mentions][3:] == ["Renal or hepatic failure", "chills"]
    # The task of mentions reads the same files, and no relations of them.
    assert [d.relations for d in Bc5cdr().load(folder)["train"]] == [()]
    row = TASK.statistics([train], [document(train.id, ("D001", "D101"), ("D001", "D103"))])[0]
    assert row == {"relations.tp": 1.0, "relations.fp": 1.0, "relations.fn": 2.0}


@pytest.mark.parametrize(
    ("gold", "predicted", "expected"),
    [
        ([("C", "D")], [("C", "D"), ("C", "D")], (1, 0, 0)),  # a set
        ([("C", "D")], [("D", "C")], (0, 1, 1)),  # the chemical comes first
        ([("C", "D|E")], [("C", "E"), ("C", "D")], (2, 0, 0)),  # a composite counts as each of its concepts
        ([("C", "D"), ("C", "-1")], [("-1", "D"), ("C", "D|-1")], (1, 0, 0)),  # -1 takes part in no pair
        ([("C", "D"), ("B", "D")], [], (0, 0, 2)),
        ([], [("C", "D")], (0, 1, 0)),
    ],
)
def test_worked_cases(
    gold: list[tuple[str, str]], predicted: list[tuple[str, str]], expected: tuple[int, int, int], tmp_path: Path
) -> None:
    scores = TASK.score([document("1", *gold)], [document("1", *predicted)])["relations"]
    assert tuple(scores[name] for name in ("tp", "fp", "fn")) == expected
    for side, related in (("gold", gold), ("pred", predicted)):
        lines = ["1|t|x", "1|a|y", *(f"1\tCID\t{a}\t{b}" for a, b in related)]
        (tmp_path / side).write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert TASK.score_files(tmp_path / "gold", tmp_path / "pred")["relations"] == scores


def test_scores_are_those_of_a_count_over_lines() -> None:
    draws = random.Random(3)

    def drawn() -> list[Document]:
        return [
            document(str(n), *{(draws.choice("ABC"), draws.choice("XYZ")) for _ in range(draws.randint(0, 4))})
            for n in range(40)
        ]

    gold, predicted = drawn(), drawn()
    lines = [{f"{d.id}/{r.source[1]}/{r.target[1]}" for d in side for r in d.relations} for side in (gold, predicted)]
    right = sum(line in lines[0] for line in lines[1])
    precision, recall = right / len(lines[1]), right / len(lines[0])
    scores = TASK.score(gold, predicted[::-1])["relations"]
    assert 0 < right < min(map(len, lines))
    expected = (precision, recall, 2 * precision * recall / (precision + recall))
    assert [scores[name] for name in ("precision", "recall", "f1")] == pytest.approx(expected, abs=1e-12)


def test_files_of_the_release_are_scored_and_strange_ones_are_told(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gold = folder / CDR_FILES["test"]
    (loaded,) = TASK.load(folder)["test"]
    TASK.write(tmp_path / "own", [document(loaded.id, ("D001", "D101"))])
    assert main(["score", "bc5cdr-cid", "--gold", str(gold), "--pred", str(tmp_path / "own")]) == 0
    assert capsys.readouterr().out.split()[-1] == ".500"
    TASK.write(tmp_path / "gold", [loaded.without_text()])
    assert TASK.score_files(gold, tmp_path / "gold")["relations"]["f1"] == 1.0
    assert "gout" not in (tmp_path / "gold" / "documents.PubTator.txt").read_text()
    TASK.write(tmp_path / "other", [document("77", ("D001", "D101"))])
    with pytest.raises(DataError, match="has an article '77' that is not in"):
        TASK.score_files(gold, tmp_path / "other")
    (tmp_path / "none.txt").write_text("gout\n")
    with pytest.raises(DataError, match="holds no PubTator"):
        TASK.score_files(gold, tmp_path / "none.txt")
    with pytest.raises(DataError, match="cannot be in a PubTator file"):
        TASK.write(tmp_path / "bad", [document("1", ("a\tb", "c"))])


@pytest.mark.parametrize(
    ("damage", "kind", "told"),
    [
        (("CID\tD001", "GDA\tD001"), "unknown-label", "article 10"),
        (("CID\tD001\tD101", "CID\t\tD101"), "malformed-line", "line 8: an empty column"),
        (("CID\tD001\tD101", "CID\tD001"), "malformed-line", "line 8: 3 columns"),
        (("10\tCID\tD001\tD101", "11\tCID\tD001\tD101"), "other-document", "line 8"),
    ],
)
def test_faulty_relations_are_named_and_left_out_on_request(
    damage: tuple[str, str], kind: str, told: str, folder: Path
) -> None:
    path = folder / CDR_FILES["train"]
    path.write_text(path.read_text().replace(*damage, 1))
    with pytest.raises(Fault) as caught:
        TASK.load(folder)
    assert (caught.value.kind, told in caught.value.message) == (kind, True)
    corpus = TASK.tolerating([kind]).load(folder)
    assert corpus.left_out == {kind: 1 if kind != "unknown-label" else corpus.left_out[kind]}
    assert len(corpus["train"][0].relations) in (1, 2)


def test_what_a_folder_must_hold(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"holds no CDR_TrainingSet\.PubTator\.txt"):
        TASK.load(tmp_path / "empty")
    (folder / CDR_FILES["dev"]).write_text(article(11))
    with pytest.raises(DataError, match="holds no CID line"):
        TASK.load(folder)


def test_a_text_from_elsewhere_has_no_concept_where_the_release_writes_minus_one() -> None:
    mentions = (Mention(((0, 1),), "Disease", "-1"), Mention(((2, 3),), "Disease", "-1|D1|D1"))
    assert [m.concept for m in TASK.prepared(Document("x", "a b", mentions)).mentions] == [None, "D1"]


def test_the_synthetic_corpus_is_whole_and_no_giveaway(tmp_path: Path) -> None:
    TASK.synthesize(tmp_path / "c", 0)
    corpus = TASK.load(tmp_path / "c")
    assert corpus.synthetic
    assert [len(corpus[split]) for split in CDR_FILES] == [300, 80, 80]
    assert repeated_texts(corpus.splits) == ()
    everything = [
        document(d.id, *{(a.concepts[0], b.concepts[0]) for a in d.mentions for b in d.mentions if a.label < b.label})
        for d in corpus["test"]
    ]
    scores = TASK.score(corpus["test"], everything)["relations"]
    assert scores["recall"] == 1.0
    assert scores["precision"] < 0.4
    seen, test = (
        {(m.label, d.text[slice(*m.fragments[0])].lower()) for d in corpus[s] for m in d.mentions} for s in ("train", "test")
    )
    assert len(test - seen) / len(test) > 0.3
    # Pairs across sentences, and names beside the full one.
    assert any(
        len({m.fragments for m in d.mentions if m.concept == r.source[1]}) > 1 for d in corpus["test"] for r in d.relations
    )
