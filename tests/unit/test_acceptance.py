"""What relation and classification heads hand over, and from which probability on it is accepted."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("numpy")

from bench.api.data import Document, Judgement, Key, Mention, Relation
from bench.api.task import Task
from bench.evaluation import class_thresholds
from bench.evaluation.thresholds import FEWEST, Group, Thresholds, choose
from bench.heads import bench_heads
from bench.registry import load

A: Key = ((0, 4),), "A"
B: Key = ((5, 9),), "B"


def relation(label: str, sure: float | None = None) -> Relation:
    return Relation(A, B, label, sure)


def pairs(*rows: tuple[str, float, bool, int]) -> tuple[list[Document], list[Document]]:
    """Gold and predictions with so many relations of a label and a probability each, right or wrong."""
    gold, predicted = [], []
    for label, sure, right, count in rows:
        for n in range(count):
            name = f"{label}{sure}{right}{n}"
            predicted.append(Document(name, "", relations=(relation(label, sure),)))
            gold.append(Document(name, "", relations=(relation(label),) if right else ()))
    return gold, predicted


def test_only_the_heads_that_hand_over_improbable_things_have_thresholds() -> None:
    floors = {head.name: head.floor for head in bench_heads()}
    assert {name for name, floor in floors.items() if floor is not None} == {
        "span",
        "bio",
        "bioes",
        "relation",
        "classify",
        "joint",
        "multilabel",
        "pairs",
    }
    assert floors["relation"] == pytest.approx(0.05)


def test_relations_have_a_threshold_for_each_label_and_a_pair_keeps_all_of_its_labels() -> None:
    gold, predicted = pairs(
        ("low", 0.9, True, 60), ("low", 0.3, True, 40), ("low", 0.2, False, 200),
        ("high", 0.9, True, 60), ("high", 0.6, False, 80),
    )  # fmt: skip
    chosen = choose(gold, predicted)
    assert set(chosen.groups) == {Group("low", kind="relation"), Group("high", kind="relation")}
    accept = chosen.as_json()
    assert 0.2 < accept["relation low"] <= 0.3
    assert 0.6 < accept["relation high"] <= 0.61
    both = Document("d", "", relations=(relation("high", 0.7), relation("low", 0.4)))
    one = Document("e", "", relations=(relation("high", 0.55), relation("low", 0.4)))
    assert [[r.label for r in d.relations] for d in chosen.accept([both, one])] == [["high", "low"], ["low"]]
    assert [[r.label for r in d.relations] for d in Thresholds().accept([both, one])] == [["high"], ["high"]]


def test_mentions_and_relations_are_held_to_their_own_f1() -> None:
    gold, predicted = pairs(("r", 0.9, True, 60), ("r", 0.3, True, 40), ("r", 0.2, False, 200))
    alone = choose(gold, predicted)
    mention = Mention(((0, 2),), "r", confidence=0.9)
    more = [replace(d, mentions=(mention,)) for d in predicted]
    found = choose(gold, more)  # every mention is wrong, which says nothing of relations
    assert found.groups[Group("r", kind="relation")] == alone.groups[Group("r", kind="relation")]
    assert set(found.as_json()) == {"r", "relation r"}
    given = [replace(d, mentions=(replace(mention, confidence=None),)) for d in gold]
    assert set(choose(given, predicted).as_json()) == {"relation r"}  # mentions that are given have none


def test_discontiguous_mentions_are_accepted_by_their_own_f1_as_far_as_the_f1_of_all_bears_it() -> None:
    gold: list[Mention] = []
    predicted: list[Mention] = []
    place = 0
    bands = [
        (1, 0.9, 4500, 500),
        (2, 0.4, 20, 20),
        (2, 0.25, 50, 116),
        (2, 0.15, 36, 164),
        (1, None, 500, 0),
        (2, None, 288, 0),
    ]
    for pieces, sure, right, wrong in bands:  # a None was never predicted
        for n in range(right + wrong):
            fragments = tuple((place + 20 * k, place + 20 * k + 4) for k in range(pieces))
            place += 100
            if sure is not None:
                predicted.append(Mention(fragments, "A", confidence=sure))
            if n < right:
                gold.append(Mention(fragments, "A"))
    chosen = choose([Document("d", "", tuple(gold))], [Document("d", "", tuple(predicted))])
    # At .25 the F1 of all loses .004, which it may; at .15 another .009, though their own F1 gains: .233 to .265.
    assert 0.15 < chosen.as_json()["A discontiguous"] <= 0.25


def test_relations_go_with_the_mentions_that_are_left_out() -> None:
    """Their threshold is chosen among those that are left: ends that no threshold accepts say nothing of it."""
    gold, predicted = pairs(("r", 0.9, True, 60), ("r", 0.3, True, 40), ("r", 0.2, False, 200))
    ends = (Mention(*A, confidence=0.9), Mention(*B, confidence=0.9))
    gold = [replace(d, mentions=(Mention(*A), Mention(*B))) for d in gold]
    predicted = [replace(d, mentions=ends) for d in predicted]
    doubtful = replace(ends[0], fragments=((7, 8),), confidence=0.2)
    misled = [
        replace(d, mentions=(*ends, doubtful), relations=(*d.relations, Relation(doubtful.key, B, "r", 0.35)))
        for d in predicted
    ]
    assert choose(gold, misled).as_json() == choose(gold, predicted).as_json()
    accepted = choose(gold, misled).accept(misled)
    assert [d.mentions for d in accepted] == [ends] * 300
    assert [len(d.relations) for d in accepted] == [1] * 100 + [0] * 200


@pytest.mark.parametrize(("floor", "handed"), [(0.05, True), (0.5, False)])
def test_the_relation_head_hands_over_from_its_floor_on(floor: float, handed: bool) -> None:
    torch = pytest.importorskip("torch")
    from bench.api.head import Window
    from bench.heads.relation import RelationExtractionHead

    head = RelationExtractionHead(floor=floor)
    gold = Document("d", "word word", (Mention(*A), Mention(*B)), (relation("r"), relation("s")))
    head.fit([gold])
    window = Window("d", (0, 1, 2, 3), ((0, 4), (5, 9)), (1, 2), (1, 2), 0, 9)
    module = head.module(16)
    torch.nn.init.zeros_(module.label.weight)
    module.label.bias.data[:] = torch.tensor([math.log(0.2 / 0.8), math.log(0.04 / 0.96)])
    places = torch.tensor([[1, 2]])
    batch = {"first": places, "last": places, "word_mask": torch.ones(1, 2)}
    (prediction,) = module.predict(torch.randn(1, 4, 16), batch | dict(head.collate([head.encode(window, gold).columns], 2)))
    assert [(r.label, r.confidence) for r in head.decode(window, prediction)] == [("r", 0.2)] * handed


def task(name: str, metric: str) -> Task:
    found = load().get("tasks", name)
    made = type("Judged", (type(found),), {"metadata": replace(found.metadata, primary_metric=metric, selection_metric="")})()
    assert isinstance(made, Task)
    return made


def classified(name: str, gold: str, **chances: float) -> tuple[Document, Document]:
    best = max(chances, key=lambda key: chances[key])
    return (
        Document(name, "", judgements=tuple(Judgement(key, float(key == gold), key == gold) for key in chances)),
        Document(name, "", judgements=tuple(Judgement(key, sure, key == best) for key, sure in chances.items())),
    )


def binary(*rows: tuple[str, float, int]) -> tuple[list[Document], list[Document]]:
    """Gold and predictions with so many documents of a class that have a probability of class 1 each."""
    made = [
        classified(f"{label}{sure}{n}", label, **{"0": 1 - sure, "1": sure})
        for label, sure, count in rows
        for n in range(count)
    ]
    return [g for g, _ in made], [p for _, p in made]


TIMID = (("1", 0.8, 30), ("1", 0.35, 40), ("0", 0.35, 5), ("0", 0.1, 60))
"""A model that gives away class 1: with one half its F1 is 2·30/(30+70) = 0.6, from 0.35 on 140/145."""


def chosen_of(document: Document) -> list[str]:
    return [j.name for j in document.judgements if j.chosen]


def test_a_class_that_the_metric_names_has_a_threshold() -> None:
    gad = task("gad", "by_class.1.f1")
    gold, predicted = binary(*TIMID)
    found = class_thresholds.choose(gold, predicted, gad)
    assert set(found) == {"1"}
    assert 0.1 < found["1"] <= 0.35
    accepted = Thresholds(classes=found).accept(predicted)
    assert gad.score(gold, predicted)["by_class"]["1"]["f1"] == pytest.approx(0.6)
    assert gad.score(gold, accepted)["by_class"]["1"]["f1"] == pytest.approx(140 / 145)
    assert Thresholds(classes=found).as_json() == {"class 1": found["1"]}
    assert all(len(chosen_of(d)) == 1 for d in accepted)
    assert [[j.score for j in d.judgements] for d in accepted] == [[j.score for j in d.judgements] for d in predicted]


def test_of_two_classes_one_is_chosen_from_its_threshold_on() -> None:
    _, predicted = binary(("1", 0.3, 1), ("1", 0.29, 1))
    assert [chosen_of(d) for d in Thresholds(classes={"1": 0.3}).accept(predicted)] == [["1"], ["0"]]
    assert Thresholds().accept(predicted) == tuple(predicted)


def test_accuracy_few_documents_and_small_gains_leave_the_likeliest_class() -> None:
    assert class_thresholds.choose(*binary(*TIMID), task("gad", "accuracy")) == {}
    few = binary(("1", 0.35, FEWEST - 1), ("0", 0.1, 60))
    assert class_thresholds.choose(*few, task("gad", "by_class.1.f1")) == {}
    small = binary(("1", 0.8, 60), ("1", 0.4, 4), ("0", 0.4, 3), ("0", 0.1, 60))
    assert class_thresholds.choose(*small, task("gad", "by_class.1.f1")) == {"1": 0.5}
    ranked = [replace(d, judgements=()) for d in small[1]]
    assert class_thresholds.choose(small[0], ranked, task("gad", "by_class.1.f1")) == {}


def test_of_several_classes_all_but_the_commonest_have_a_threshold() -> None:
    made = [
        *(classified(f"a{n}", "yes", yes=0.7, no=0.2, maybe=0.1) for n in range(60)),
        *(classified(f"b{n}", "no", yes=0.2, no=0.7, maybe=0.1) for n in range(40)),
        *(classified(f"c{n}", "maybe", yes=0.45, no=0.3, maybe=0.25) for n in range(30)),
    ]
    gold, predicted = [g for g, _ in made], [p for _, p in made]
    qa = task("pubmedqa", "macro_f1")
    found = class_thresholds.choose(gold, predicted, qa)
    assert set(found) == {"no", "maybe"}
    assert found["no"] == 0.5
    assert found["maybe"] < 0.5
    assert qa.score(gold, Thresholds(classes=found).accept(predicted))["macro_f1"] == pytest.approx(1.0)
    assert qa.score(gold, predicted)["macro_f1"] < 0.7


def test_the_jackknife_is_the_standard_deviation_of_what_leaving_one_out_gives() -> None:
    gad = task("gad", "by_class.1.f1")
    gold, predicted = binary(("1", 0.8, 5), ("1", 0.3, 4), ("0", 0.3, 3), ("0", 0.1, 6))
    scored: Any = class_thresholds._Scored(gad, list(zip(gold, predicted, strict=True)), ["0", "1"])
    moved = Thresholds(classes={"1": 0.3}).accept(predicted)
    without = [
        gad.score([*gold[:n], *gold[n + 1 :]], [*one[:n], *one[n + 1 :]])["by_class"]["1"]["f1"]
        for one in (list(moved), predicted)
        for n in range(len(gold))
    ]
    left = [a - b for a, b in zip(without[: len(gold)], without[len(gold) :], strict=True)]
    mean = sum(left) / len(left)
    wanted = math.sqrt(sum((x - mean) ** 2 for x in left) * (len(left) - 1) / len(left))
    picked = [
        scored.rows[[int(chosen_of(d) == ["1"]) for d in documents], range(len(gold))] for documents in (moved, predicted)
    ]
    assert scored._error(*picked) == pytest.approx(wanted)
    assert wanted > 0


def test_thresholds_read_back_as_they_were_written() -> None:
    groups = {Group("Sign"): 0.4, Group("Sign", several=True): 0.2, Group("CONTAINS", kind="relation"): 0.6}
    chosen = Thresholds(groups, {"yes": 0.3})
    assert Thresholds.from_json(chosen.as_json()) == chosen
    assert Thresholds.from_json({}) == Thresholds()
