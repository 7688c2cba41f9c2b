"""SemEval-2017 Task 3: scores, held against worked cases and, for trec's MAP, against pytrec_eval."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from bench_tasks.semeval2017_t3.task import SubtaskA, SubtaskC

from bench.api.data import Document, Judgement, Passage
from bench.errors import DataError
from bench.kit.rankings import query_statistics, summarise, trec_average_precision

GOLD = "q1 a 1 0 true\nq1 b 2 0 false\nq1 c 3 0 true\nq2 a 1 0 false\nq2 b 2 0 false\n"


def scored(pairs: list[tuple[dict[str, bool], dict[str, float]]]) -> dict[str, float]:
    rows = [query_statistics(gold, scores) for gold, scores in pairs]
    return summarise({key: sum(row[key] for row in rows) for key in rows[0]})


def files(tmp_path: Path, gold: str, pred: str) -> tuple[Path, Path]:
    (tmp_path / "gold").write_text(gold)
    (tmp_path / "pred").write_text(pred)
    return tmp_path / "gold", tmp_path / "pred"


def test_map_divides_by_what_was_found_in_the_top_ten_and_counts_queries_without_an_answer() -> None:
    names = [f"c{i}" for i in range(12)]
    gold = {name: i in (1, 3, 11) for i, name in enumerate(names)}
    down = {name: -float(i) for i, name in enumerate(names)}
    scores = scored([(gold, down), (dict.fromkeys(names, False), down)])
    # Relevant at 2, 4 and 12: the task sees (1/2 + 2/4) / 2, trec (1/2 + 2/4 + 3/12) / 3.
    assert scores["map"] == pytest.approx(0.5 / 2)
    assert scores["trec_map"] == pytest.approx(1.25 / 3 / 2)
    assert scores["mrr"] == pytest.approx(100 * 0.5 / 2)
    # Found at 1..10: 0 1 1 2 2 2 2 2 2 2; possible: 1 2 3 3 3 3 3 3 3 3.
    assert scores["avg_rec"] == pytest.approx((0 + 1 / 2 + 1 / 3 + 7 * 2 / 3) / 10)


def test_equal_scores_keep_the_order_of_the_file() -> None:
    gold = {"b": False, "a": True, "c": False}
    assert scored([(gold, dict.fromkeys(gold, 1.0))])["map"] == pytest.approx(1 / 2)
    assert scored([(gold, {"b": 1.0, "c": 1.0, "a": 1.0})])["map"] == pytest.approx(1 / 2)


def test_nothing_ranked_scores_nothing() -> None:
    assert scored([({"a": True, "b": False}, {})]) == {"map": 0.0, "avg_rec": 0.0, "mrr": 0.0, "trec_map": 0.0}
    assert scored([({"a": False}, {"a": 1.0})]) == {"map": 0.0, "avg_rec": 0.0, "mrr": 0.0, "trec_map": 0.0}


def by_hand(queries: list[tuple[dict[str, bool], dict[str, float]]]) -> dict[str, float]:
    """The task's rules once more, the slow way."""
    precision = reciprocal = 0.0
    found, most = [0] * 10, [0] * 10
    for gold, scores in queries:
        labels = [gold[name] for name in sorted(gold, key=lambda n: scores[n], reverse=True)]
        at = [i + 1 for i, label in enumerate(labels[:10]) if label]
        precision += sum((n + 1) / place for n, place in enumerate(at)) / len(at) if at else 0
        reciprocal += 1 / at[0] if at else 0
        for i in range(10):
            found[i] += sum(labels[: i + 1])
            most[i] += min(i + 1, sum(labels))
    return {
        "map": precision / len(queries),
        "avg_rec": sum(f / m for f, m in zip(found, most, strict=True)) / 10,
        "mrr": 100 * reciprocal / len(queries),
    }


def draw(seed: int) -> list[tuple[dict[str, bool], dict[str, float]]]:
    rng = random.Random(seed)
    made = []
    for _ in range(20):
        names = [f"{rng.choice('aZé')}{i}" for i in range(rng.randint(1, 30))]
        gold = {name: rng.random() < 0.3 for name in names}
        kind = rng.randint(0, 2)
        scores = {n: (rng.random(), float(rng.randint(0, 3)), 1 + rng.random() * 1e-7)[kind] for n in names}
        made.append((gold, scores))
    return made


@pytest.mark.parametrize("seed", range(8))
def test_random_rankings_agree_with_the_rules_by_hand(seed: int) -> None:
    queries = draw(seed)
    scores = scored(queries)
    assert {k: scores[k] for k in ("map", "avg_rec", "mrr")} == pytest.approx(by_hand(queries))


@pytest.mark.parametrize("seed", range(8))
def test_trec_map_is_that_of_pytrec_eval(seed: int) -> None:
    pytrec_eval = pytest.importorskip("pytrec_eval")
    queries = draw(seed)
    qrels = {str(i): {n: int(v) for n, v in gold.items()} for i, (gold, _) in enumerate(queries)}
    run = {str(i): scores for i, (_, scores) in enumerate(queries)}
    found = pytrec_eval.RelevanceEvaluator(qrels, {"map"}).evaluate(run)
    assert [trec_average_precision(gold, scores) for gold, scores in queries] == pytest.approx(
        [found[str(i)]["map"] for i in range(len(queries))]
    )
    assert scored(queries)["trec_map"] == pytest.approx(sum(f["map"] for f in found.values()) / len(queries))


def test_files_of_the_official_scorer(tmp_path: Path) -> None:
    pred = "q1 a 0 0.2 false\nq1 b 0 0.9 true\r\nq1 c 0 0.2 true\nq2\ta\t0\t1e-3 false\nq2 b 0 -5 true\n\n"
    scores = SubtaskA().score_files(*files(tmp_path, GOLD, pred))
    # q1 ranks b, a, c: (1/2 + 2/3) / 2 with the tie in file order; trec breaks it the other way, with the same labels.
    assert scores["map"] == pytest.approx((1 / 2 + 2 / 3) / 2 / 2)
    assert scores["mrr"] == pytest.approx(25)
    assert scores["trec_map"] == pytest.approx((1 / 2 + 2 / 3) / 2 / 2)


@pytest.mark.parametrize(
    ("pred", "told"),
    [
        ("q1 a 0 1 true\n", "5"),
        ("q1 b 0 1 true\n" * 5, "line 1"),
        (GOLD.replace("q1 b", "q1 x"), "line 2"),
        (GOLD.replace("2 0 false", "2 nan false"), ":2:"),
        (GOLD.replace("2 0 false", "2 inf false"), ":2:"),
        (GOLD.replace("2 0 false", "2 high false"), ":2:"),
        (GOLD.replace("0 true", "0 yes"), ":1:"),
        (GOLD.replace("q1 b 2", "q1 b"), ":2:"),
        (GOLD + GOLD, "6"),
        ("\n\n", "empty"),
        ("", "empty"),
    ],
)
def test_what_the_official_scorer_refuses_is_refused(tmp_path: Path, pred: str, told: str) -> None:
    with pytest.raises(DataError, match=told):
        SubtaskC().score_files(*files(tmp_path, GOLD, pred))


def test_a_folder_holds_one_file(tmp_path: Path) -> None:
    gold, pred = files(tmp_path, GOLD, GOLD)
    with pytest.raises(DataError, match="2 files"):
        SubtaskA().score_files(tmp_path, pred)
    folder = tmp_path / "one"
    folder.mkdir()
    (folder / "r.txt").write_text(GOLD)
    assert SubtaskA().score_files(folder, gold)["map"] == pytest.approx((1 + 2 / 3) / 2 / 2)
    with pytest.raises(DataError, match="Cannot read"):
        SubtaskA().score_files(tmp_path / "nowhere", pred)


def test_predictions_without_passages_are_written_in_the_order_of_official_ids(tmp_path: Path) -> None:
    names = [f"Q1_R{r}_C{c}" for r in (2, 11) for c in (1, 2, 10)]
    gold = Document(
        "Q1", "", judgements=tuple(Judgement(n, float(n.endswith("C2")), n.endswith("C2")) for n in names),
        passages=tuple(Passage(n, (0, 0)) for n in names),
    )  # fmt: skip
    said = Document("Q1", "", judgements=tuple(Judgement(n, float(i % 3), i % 3 > 0) for i, n in enumerate(sorted(names))))
    task = SubtaskC()
    task.write(tmp_path / "gold", [gold])
    task.write(tmp_path / "pred", [said])
    lines = [line.split("\t") for line in (tmp_path / "pred" / "ranking.tsv").read_text().splitlines()]
    assert [line[1] for line in lines] == names
    assert sorted(int(line[2]) for line in lines) == [1, 2, 3, 4, 5, 6]
    assert task.score_files(tmp_path / "gold", tmp_path / "pred") == pytest.approx(task.score([gold], [said]))
