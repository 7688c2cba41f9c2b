"""Scores of related concepts: files and documents agree with a count over sets, whatever the order and the composites."""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench_tasks.bc5cdr_cid.task import Bc5cdrCid
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.api.data import Document, Relation

IDS = st.sampled_from(["D1", "D2", "C9", "-1"])
CONCEPTS = st.lists(IDS, min_size=1, max_size=3).map("|".join)
SIDE = st.dictionaries(st.sampled_from(["1", "2", "3"]), st.lists(st.tuples(CONCEPTS, CONCEPTS), max_size=5), max_size=3)


def triples(side: dict[str, list[tuple[str, str]]]) -> set[tuple[str, str, str]]:
    every = {(name, a, b) for name, related in side.items() for x, y in related for a in x.split("|") for b in y.split("|")}
    return {triple for triple in every if "-1" not in triple}


@given(SIDE, SIDE, st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_files_and_documents_score_as_sets_of_triples(
    gold: dict[str, list[tuple[str, str]]], predicted: dict[str, list[tuple[str, str]]], draws: object
) -> None:
    gold = {name: gold.get(name, []) for name in ("1", "2", "3")}
    right = len(triples(gold) & triples(predicted))
    expected = (right, len(triples(predicted)) - right, len(triples(gold)) - right)
    sides = [
        [Document(n, "", (), tuple(Relation(((), a), ((), b), "CID") for a, b in r)) for n, r in side.items()]
        for side in (gold, predicted)
    ]
    by_document = Bc5cdrCid().score(*sides)["relations"]
    assert tuple(by_document[name] for name in ("tp", "fp", "fn")) == expected
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, "gold.txt"), Path(folder, "pred.txt")]
        for path, side in zip(paths, (gold, predicted), strict=True):
            names = list(side)
            draws.shuffle(names)  # type: ignore[attr-defined]
            blocks = ["".join([f"{n}|t|\n{n}|a|\n", *(f"{n}\tCID\t{a}\t{b}\n" for a, b in side[n])]) for n in names]
            path.write_text("\n".join(blocks) or "1|t|\n", encoding="utf-8")
        assert Bc5cdrCid().score_files(*paths)["relations"] == by_document
