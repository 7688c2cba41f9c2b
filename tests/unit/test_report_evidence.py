"""What a report says beside scores: cost, overlap, abstention, sorts of mentions, similarity, and comparisons of its own."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from bench_plugins.studies.transfer import NONE

from bench.pages import cost, errors, evaluation, funnel
from bench.pages.collect import Evidence, collect
from bench.pages.comparison import with_comparison
from bench.pages.content import Cell, Column, Table, front
from bench.pages.latex import LONG, table_tex, tex
from bench.pages.linking import concepts
from bench.pages.overlap import flagged, overlap
from bench.pages.page import basis, notices
from bench.pages.vega import specifications
from bench.pages.verdicts import differences, statements
from bench.pages.verdicts import tested as judged
from bench.pages.write import sections
from bench.registry import Registry
from bench.results.evidence import ConceptAccuracy, Concepts
from bench.results.store import read_result, write_result

TASK = "ncbi-disease"


def told(table: Table | None) -> list[dict[str, Cell]]:
    """The rows of a table by the names of its columns."""
    assert table is not None
    return [dict(zip([c.name for c in table.columns], row, strict=True)) for row in table.rows]


def arms(made: ModuleType, tmp_path: Path, seeds: int, gain: float, **second: Any) -> Evidence:
    """Two architectures on the same documents."""
    runs = [made.Made(arch="A1", seed=s, documents=40) for s in range(seeds)]
    made.make(tmp_path, [*runs, *(made.Made(arch="A2", seed=s, gain=gain, documents=40, **second) for s in range(seeds))])
    return collect((), tmp_path)


def test_quality_against_size_holds_the_unquantized_model(made: ModuleType, tmp_path: Path) -> None:
    made.make(tmp_path, [made.Made(quant="rtn"), made.Made(quant="nf4")])
    evidence = collect((), tmp_path)
    figure = cost.pareto(evidence)
    assert figure is not None
    assert figure.front
    # What was trained on the quantized base is another model than what was trained on the plain one.
    assert figure.groups == ("A1 · nf4", "A1 · rtn", "A1 · nf4, unquantized", "unquantized")
    before = [mark for mark in figure.marks if mark.group.endswith("unquantized")]
    assert {mark.x for mark in before} == {made.PARAMETERS * 4 / 1e6}
    by_quantizer = {run.result.config["quant"]: run.result.scores[TASK] for run in evidence.runs}
    # rtn comes after training: its trained stage is the model before. nf4 comes before: only the baseline is unquantized.
    wanted = {by_quantizer["rtn"].trained["strict.f1"], by_quantizer["nf4"].baselines["unquantized"]["strict.f1"]}
    assert {mark.y for mark in before} == wanted
    for row in told(cost.quantization(evidence)):
        assert row["before"] in wanted
        assert row["change"] == pytest.approx(row["after"] - row["before"])  # type: ignore[operator]
        assert row["plain_bytes"] == made.PARAMETERS * 4
    latency = cost.speed(evidence)
    assert latency is not None
    # Latency at the trained stage of nf4 is that of the quantized model.
    assert latency.groups == ("A1 · nf4", "A1 · rtn", "unquantized")
    (rtn,) = (run for run in evidence.runs if run.result.config["quant"] == "rtn")
    (mark,) = (mark for mark in latency.marks if mark.group == "unquantized")
    assert mark.x == pytest.approx(1e3 * rtn.result.efficiency["trained"].latency[TASK].p50)


def test_models_of_one_size_make_no_plot_of_sizes(made: ModuleType, tmp_path: Path) -> None:
    made.make(tmp_path, made.grid(4))
    assert cost.pareto(collect((), tmp_path)) is None


def test_an_unquantized_run_is_not_drawn_twice(made: ModuleType, tmp_path: Path) -> None:
    plain, quantized = made.make(tmp_path, [made.Made(), made.Made(quant="rtn")])
    result = read_result(quantized)
    scores = replace(result.scores[TASK], trained=read_result(plain).scores[TASK].trained)
    write_result(quantized, replace(result, scores={TASK: scores}))
    figure = cost.pareto(collect((), tmp_path))
    assert figure is not None
    assert sorted(mark.group for mark in figure.marks) == ["A1", "A1 · rtn"]


def test_efficiency_is_the_mean_of_an_arm(made: ModuleType, tmp_path: Path) -> None:
    def spent(p50: float, peak: int) -> dict[str, Any]:
        latency = {TASK: {"p50": p50, "p95": None, "windows": 9, "tokens": 30.0}}
        energy = {"source": "nvml", "joules": 5.0, "tokens": 500, "joules_per_1000_tokens": 10.0}
        return {"efficiency": {"trained": {"latency": latency, "energy": energy}},
                "training": {"evaluation_tokens_per_second": {"trained": 1e5 * p50}}}  # fmt: skip

    folders = made.make(tmp_path, [made.Made(seed=s, extra=spent(p50, 0)) for s, p50 in ((0, 0.004), (1, 0.008))])
    for folder, peak in zip(folders, (5, 7), strict=True):
        result = read_result(folder)
        hardware = {"gpu": {"name": "H", "memory": 1}, "cpu": "c"}
        write_result(folder, replace(result, memory={"peak_rss": 3, "peak_device": peak}, hardware=hardware))
    (row,) = told(cost.efficiency(collect((), tmp_path)))
    assert row["p50"] == pytest.approx(6.0)
    assert row["p95"] is None
    assert (row["runs"], row["throughput"], row["energy"], row["counter"]) == (2, pytest.approx(600.0), 10.0, "nvml")
    assert (row["memory"], row["device_memory"], row["hardware"]) == (3, 7, "H")


def timed(made: ModuleType, folder: Path, seconds: dict[str, tuple[float, ...]]) -> Evidence:
    """Runs of architectures with these latencies, whose scores fall with each further architecture."""
    for place, (arch, latencies) in enumerate(seconds.items()):
        for seed, p50 in enumerate(latencies):
            latency = {TASK: {"p50": p50, "p95": None, "windows": 9, "tokens": 30.0}}
            extra = {"efficiency": {"trained": {"latency": latency, "energy": None}}}
            made.make(folder, [made.Made(arch=arch, seed=seed, gain=-0.2 * place, extra=extra)])
    return collect((), folder)


def test_models_whose_latency_overlaps_are_not_told_apart(made: ModuleType, tmp_path: Path) -> None:
    evidence = timed(made, tmp_path, {"A1": (0.054, 0.063), "A2": (0.058, 0.065), "A3": (0.080,)})
    figure = cost.speed(evidence)
    assert figure is not None
    means = {mark.group: mark for mark in figure.marks if not mark.run}
    assert (means["A1"].low, means["A1"].high) == pytest.approx((54, 63))
    # A single run varies as much as the others do.
    assert (means["A3"].low, means["A3"].high) == pytest.approx((80 * 54 / 63, 80 * 63 / 54))
    assert [mark.group for mark in front(figure.marks)] == ["A1", "A2"]  # A1 is faster by its mean alone
    ((_, spec),) = specifications(figure)
    drawn = [layer["mark"]["type"] for layer in spec["layer"]]
    assert "line" not in drawn  # which would say that A1 is better at a lower latency
    assert "rule" in drawn
    assert "54.0 to 63.0 over runs" in figure.says
    rows = {row["arm"]: row for row in told(cost.efficiency(evidence))}
    assert (rows["A1"]["p50_low"], rows["A1"]["p50_high"]) == pytest.approx((54, 63))
    assert rows["A3"]["p50_low"] is None


def test_runs_that_timed_a_window_or_two_are_left_out_of_mean_latencies(made: ModuleType, tmp_path: Path) -> None:
    evidence = timed(made, tmp_path, {"A1": (0.040, 0.430)})

    def timing(run: Any, p95: float | None, windows: int) -> Any:
        of_stage = {
            stage: replace(each, latency={t: replace(k, p95=p95, windows=windows) for t, k in each.latency.items()})
            for stage, each in run.result.efficiency.items()
        }
        return replace(run, result=replace(run.result, efficiency=of_stage))

    one, hasty = timing(evidence.runs[0], 0.05, 20), timing(evidence.runs[1], None, 1)
    (row,) = told(cost.efficiency(replace(evidence, runs=[one, hasty])))
    assert row["p50"] == pytest.approx(40)
    (row,) = told(cost.efficiency(replace(evidence, runs=[hasty])))
    assert row["p50"] == pytest.approx(430)  # where there is nothing else


def test_the_plot_of_latencies_leaves_out_the_same_runs_as_the_table(made: ModuleType, tmp_path: Path) -> None:
    evidence = timed(made, tmp_path, {"A1": (0.040, 0.430), "A2": (0.060,)})

    def enough(run: Any) -> Any:
        trained = run.result.efficiency["trained"]
        latency = {task: replace(known, p95=0.05, windows=20) for task, known in trained.latency.items()}
        return replace(run, result=replace(run.result, efficiency={"trained": replace(trained, latency=latency)}))

    first, *others = evidence.runs
    figure = cost.speed(replace(evidence, runs=[enough(first), *others]))
    assert figure is not None
    assert [mark.x for mark in figure.marks if mark.group == "A1"] == pytest.approx([40])


def test_a_page_says_where_a_dictionary_is_better_than_every_run(made: ModuleType, tmp_path: Path) -> None:
    made.make(tmp_path, made.grid(2))
    evidence = collect((), tmp_path)
    (task,) = evidence.tasks

    def dictionary(value: float, only: int | None = None) -> Evidence:
        runs = []
        for place, run in enumerate(evidence.runs):
            scores, metric = run.result.scores[task], run.result.metric(task)
            reached = 1.0 if place == only else 0.5
            told = replace(scores, trained={**(scores.trained or {}), metric: reached}, quantized=None,
                           baselines={"dictionary": {metric: value}})  # fmt: skip
            runs.append(replace(run, result=replace(run.result, scores={task: told})))
        return replace(evidence, runs=runs)

    def words(evidence: Evidence) -> list[str]:
        return [notice.text for notice in notices(evidence) if notice.word == "Below a dictionary"]

    (said,) = words(dictionary(0.6))
    assert f"on {task} (.500 at most, the dictionary .600)" in said
    assert words(dictionary(0.5)) == words(dictionary(0.6, only=1)) == []


def test_with_one_run_of_each_no_model_is_called_faster(made: ModuleType, tmp_path: Path) -> None:
    figure = cost.speed(timed(made, tmp_path, {"A1": (0.054,), "A2": (0.058,)}))
    assert figure is not None
    assert not figure.front
    assert "no model is called faster" in figure.caption


def test_a_front_of_clearly_different_latencies_is_drawn(made: ModuleType, tmp_path: Path) -> None:
    figure = cost.speed(timed(made, tmp_path, {"A1": (0.090, 0.091), "A2": (0.050, 0.051)}))
    assert figure is not None
    assert [mark.group for mark in front(figure.marks)] == ["A2", "A1"]
    ((_, spec),) = specifications(figure)
    assert "line" in [layer["mark"]["type"] for layer in spec["layer"]]


def test_overlap_is_told_once_a_corpus_and_flagged(made: ModuleType, tmp_path: Path) -> None:
    made.make(tmp_path, [made.Made(seed=s) for s in range(3)])
    evidence = collect((), tmp_path)
    rows = told(overlap(evidence))
    assert [(row["split"], row["other"], row["flag"]) for row in rows] == [
        ("dev", "train", ""), ("test", "train", "whole documents"), ("test", "dev", ""),
    ]  # fmt: skip
    assert rows[1]["shared_share"] == pytest.approx(260 / 20_000)
    ((task, words),) = flagged(evidence)
    assert task == TASK
    assert words == "2 of 100 documents word for word, 5 in whole or in part, .013 of its 13-grams"
    assert any(notice.word == "Overlap" and words in notice.text for notice in notices(evidence))


@pytest.mark.parametrize(("shared", "flag"), [(199, ""), (200, "13-grams")])
def test_thirteen_grams_are_flagged_from_a_hundredth_on(made: ModuleType, tmp_path: Path, shared: int, flag: str) -> None:
    pair = {"documents": 10, "exact": 0, "touched": 1, "grams": 20_000, "shared": shared}
    made.make(tmp_path, [made.Made(extra={"overlap": {TASK: {"test-train": pair}}})])
    assert [row["flag"] for row in told(overlap(collect((), tmp_path)))] == [flag]


def test_allowed_leaks_stand_above_the_verdict(made: ModuleType, tmp_path: Path) -> None:
    (folder,) = made.make(tmp_path, [made.Made()])
    write_result(folder, replace(read_result(folder), leaks={TASK: {"allowed": 4, "tolerated": 0, "documents": []}}))
    assert any(n.word == "Leaks allowed" and f"{TASK} 4" in n.text for n in notices(collect((), tmp_path)))


def test_the_abstention_curve_is_the_mean_over_runs(made: ModuleType, tmp_path: Path) -> None:
    def curve(*points: tuple[float, float]) -> dict[str, Any]:
        told = {"curve": [{"coverage": x, "right": y} for x, y in points], "risk_area": 0.25}
        kind = {"ece": {"equal_width": 0.1}, "reliability": {"equal_width": []}, "abstention": told}
        return {"calibration": {TASK: {"trained": {"mentions": kind}}}}

    lines = (curve((0.5, 1.0), (1.0, 0.6)), curve((0.25, 0.9), (1.0, 0.4)))
    made.make(tmp_path, [made.Made(seed=s, extra=extra) for s, extra in enumerate(lines)])
    evidence = collect((), tmp_path)
    figure = evaluation.abstention(evidence)
    assert figure is not None
    points = [(mark.x, mark.y) for mark in figure.marks]
    # At .5, where both begin: 1.0, and .9 less a third of the way to .4.
    assert points[0] == (pytest.approx(0.5), pytest.approx((1.0 + 0.9 - 0.5 / 3) / 2))
    assert points[-1] == (pytest.approx(1.0), pytest.approx(0.5))
    assert [row["risk_area"] for row in told(evaluation.calibration(evidence))] == [0.25, 0.25]


def test_errors_by_sort_are_shares_of_an_arm(made: ModuleType, tmp_path: Path) -> None:
    def by(correct: int) -> dict[str, Any]:
        group = {
            "gold": {"correct": correct, "link": 1, "missed": 9 - correct},
            "predicted": {"correct": correct, "spurious": 2},
        }
        empty: dict[str, Any] = {"gold": {}, "predicted": {}}
        return {"errors": {TASK: {"trained": {"gold": {}, "predicted": {}, "by": {"fragments": {"2+": group, "1": empty}}}}}}

    made.make(tmp_path, [made.Made(seed=s, extra=by(n)) for s, n in enumerate((2, 6))])
    evidence = collect((), tmp_path)
    row, empty = told(errors.sort_table(evidence))
    assert (row["sort"], row["group"], row["runs"], row["gold"]) == ("pieces", "2+", 2, 10.0)
    assert (row["found"], row["missed"], row["otherwise"]) == (pytest.approx(0.4), pytest.approx(0.5), pytest.approx(0.1))
    assert row["right"] == pytest.approx((2 / 4 + 6 / 8) / 2)
    assert row["spurious"] == pytest.approx((2 / 4 + 2 / 8) / 2)
    assert (empty["gold"], empty["found"], empty["right"]) == (0.0, None, None)
    assert errors.sorts(evidence) is None  # one group alone is all mentions

    groups = {"1": {"gold": {"correct": 1, "missed": 3}, "predicted": {}}, "2+": {"gold": {"correct": 2}, "predicted": {}}}
    told_by = {"gold": {}, "predicted": {}, "by": {"fragments": groups}}
    made.make(tmp_path / "more", [made.Made(extra={"errors": {TASK: {"trained": told_by}}})])
    figure = errors.sorts(collect((), tmp_path / "more"))
    assert figure is not None
    assert [(m.panel, m.y, m.x) for m in figure.marks] == [(TASK, "pieces: 1", 0.25), (TASK, "pieces: 2+", 1.0)]


def test_the_funnel_of_gold_is_told_in_shares_and_counts(made: ModuleType, tmp_path: Path) -> None:
    def stages(*counts: tuple[int, int]) -> dict[str, Any]:
        names = ("fragments", "links", "candidates", "accepted")
        return {name: {"gold": gold, "reached": n} for name, (gold, n) in zip(names, counts, strict=True)}

    def told_by(accepted: int) -> dict[str, Any]:
        one, several = stages((8, 8), (0, 0), (8, 8), (8, accepted)), stages((4, 3), (2, 1), (2, 1), (2, 0))
        none = stages(*[(0, 0)] * 4)
        total = stages((12, 11), (2, 1), (10, 9), (10, accepted))
        by = {"fragments": {"1": one, "2+": several}, "length": {"1": none, "2": total}}
        return {"funnel": {TASK: {"trained": {**total, "by": by}, "untold": {}}}}

    made.make(tmp_path, [made.Made(seed=s, extra=told_by(n)) for s, n in enumerate((4, 6))])
    evidence = collect((), tmp_path)
    rows = told(funnel.funnel_table(evidence))
    assert [(row["sort"], row["group"]) for row in rows[:4]] == [
        ("all", ""), ("pieces", "1"), ("pieces", "2+"), ("words", "2"),
    ]  # fmt: skip
    assert len(rows) == 8
    assert [rows[2][f"{name}_reached"] for name in ("fragments", "links", "candidates", "accepted")] == [3, 1, 1, 0]
    assert (rows[2]["fragments"], rows[2]["links"], rows[2]["mentions"]) == (4, 2, 2)
    assert (rows[2]["fragments_share"], rows[2]["links_share"], rows[2]["candidates_share"]) == (0.75, 0.5, 0.5)
    assert [row["accepted_share"] for row in rows] == [0.4, 0.5, 0.0, 0.4, 0.6, 0.75, 0.0, 0.6]
    assert (rows[1]["links"], rows[1]["links_share"]) == (0, None)
    figure = funnel.funnel(evidence)
    assert figure is not None
    assert [(mark.y, pytest.approx(mark.x)) for mark in figure.marks] == [
        ("1 piece: fragments proposed", 1.0), ("1 piece: candidate built", 1.0), ("1 piece: accepted", (0.5 + 0.75) / 2),
        ("2+ pieces: fragments proposed", 0.75), ("2+ pieces: links proposed", 0.5), ("2+ pieces: candidate built", 0.5),
        ("2+ pieces: accepted", 0.0),
    ]  # fmt: skip
    made.make(tmp_path / "without", [made.Made(extra={"funnel": {}})])
    assert funnel.funnel(collect((), tmp_path / "without")) is None
    assert funnel.funnel_table(collect((), tmp_path / "without")) is None


def test_transfer_is_held_against_similarity(made: ModuleType, tmp_path: Path) -> None:
    study = made.transfer(tmp_path)
    evidence = collect([study.name], tmp_path)
    section = next(section for section in sections(evidence) if section.name == "transfer")
    assert section.title == "Transfer"
    spearman, matrix = section.tables
    labels, vocabulary = told(spearman)
    assert (labels["rho"], labels["n"], labels["note"]) == (0.9, 6, "")
    assert (vocabulary["rho"], vocabulary["note"]) == (None, NONE)
    heat, figure = section.figures
    assert [mark.value for mark in heat.marks][:6] == [one["at_total"]["difference"] for one in study.verdict["pairs"]]
    assert all(part.runs == tuple(run.id for run in evidence.runs) for part in (heat, figure, spearman, matrix))
    assert all(part.synthetic for part in (heat, figure, spearman, matrix))
    assert figure.zero
    assert len(figure.panels) == 2
    assert len(figure.marks) == 12
    pair = study.verdict["pairs"][3]
    assert (pair["similarity"]["labels"], pair["at_own"]["difference"]) in {(m.x, m.y) for m in figure.marks}
    assert "ρ +.900, p .167, 6 pairs" in figure.caption
    assert len(told(matrix)) == 6
    assert judged(evidence)


def test_fewer_seeds_than_a_verdict_takes_leave_every_pair_of_tasks_open(made: ModuleType, tmp_path: Path) -> None:
    for seeds, words in ((5, {"unresolved"}), (6, {"gain", "harm"})):
        study = made.transfer(tmp_path / str(seeds), seeds=seeds)
        cards = statements(collect([study.name], tmp_path / str(seeds)))
        assert {card.verdict for card in cards} == words
        assert all(("A verdict needs at least 6 seeds." in card.reason) == (seeds < 6) for card in cards)


def test_runs_that_may_be_compared_have_a_verdict(made: ModuleType, tmp_path: Path, registry: Registry) -> None:
    pytest.importorskip("statsmodels")
    evidence = with_comparison(arms(made, tmp_path, seeds=6, gain=0.15), registry)
    assert judged(evidence)
    (card,) = statements(evidence)
    assert (card.subject, card.verdict, card.tone) == (f"{TASK}: A2 − A1", "A2 is better", "good")
    assert "6 seeds and 40 documents" in card.reason
    assert evidence.comparison is not None
    assert evidence.comparison.result is not None
    compared = evidence.comparison.result
    sentences = tuple(replace(pair, estimate=replace(pair.estimate, unit="sentences")) for pair in compared.pairs)
    of_sentences = replace(evidence.comparison, result=replace(compared, pairs=sentences))
    assert "6 seeds and 40 sentences" in statements(replace(evidence, comparison=of_sentences))[0].reason
    assert "Compared by arch, on test" in " ".join(basis(evidence))
    (figure,), tables = differences(evidence)
    assert figure.zero
    assert [table.name for table in tables] == ["differences", "documents"]
    (row,), (documents,) = told(tables[0]), told(tables[1])
    (pair,) = compared.pairs
    assert (row["difference"], row["low"]) == (pair.estimate.difference, pair.estimate.low)
    assert (documents["p"], documents["conclusion"]) == (pair.documents.p, "A2 is better")


def test_three_tasks_have_a_section_of_their_own(made: ModuleType, tmp_path: Path, registry: Registry) -> None:
    pytest.importorskip("statsmodels")
    three = (TASK, "bc5cdr", "bc2gm")
    runs = [
        made.Made(three, arch, seed, gain=gain, documents=40) for arch, gain in (("A1", 0), ("A2", 0.15)) for seed in range(6)
    ]
    made.make(tmp_path, runs)
    evidence = with_comparison(collect((), tmp_path), registry)
    assert "For this training set" in " ".join(basis(evidence))
    (section,) = (section for section in sections(evidence) if section.name == "across")
    ((row,),) = (told(table) for table in section.tables)
    assert evidence.comparison is not None
    assert evidence.comparison.result is not None
    whole = evidence.comparison.result.tasks[0].across
    assert whole is not None
    assert (row["second"], row["first"], row["tasks"], row["better"], row["worse"]) == ("A2", "A1", 3, 3, 0)
    assert (row["difference"], row["low"]) == (whole.aggregate.difference.value, whole.aggregate.difference.low)
    assert whole.posterior is not None
    assert row["right"] == whole.posterior.right
    assert section.tables[0].caption.startswith("What this means: A2 is better on at least 3 of 3 tasks")
    assert evidence.comparison.names == {"A1": "A1", "A2": "A2"}


def test_few_seeds_resolve_nothing_and_say_so(made: ModuleType, tmp_path: Path, registry: Registry) -> None:
    (card,) = statements(with_comparison(arms(made, tmp_path, seeds=2, gain=0.15), registry))
    assert (card.verdict, card.tone) == ("not resolved at this number of seeds", "open")
    assert "A verdict needs at least 6 seeds" in card.reason


def test_runs_that_differ_in_more_are_refused_by_name(made: ModuleType, tmp_path: Path, registry: Registry) -> None:
    plain = arms(made, tmp_path, seeds=2, gain=0.15, tokens=90_000)
    evidence = with_comparison(plain, registry)
    assert not judged(evidence)
    card, described = statements(evidence)
    assert (card.verdict, card.tone) == ("refused", "bad")
    assert "tokens: 60,000 in 2 runs, 90,000 in 2 runs" in card.reason
    assert "--allow tokens" in card.reason
    assert described.verdict == "not tested"
    figures, (table,) = differences(evidence)
    assert not figures
    assert [(row["field"], row["allowed"]) for row in told(table)] == [("tokens", False)]
    allowed = with_comparison(plain, registry, allow=["tokens"])
    assert judged(allowed)
    assert any(notice.word == "Differs" and "tokens" in notice.text for notice in notices(allowed))


def test_what_cannot_be_compared_says_why(made: ModuleType, tmp_path: Path, registry: Registry) -> None:
    made.make(tmp_path, made.grid(4))
    evidence = with_comparison(collect((), tmp_path), registry)
    assert not judged(evidence)
    assert "has no statistics of ncbi-disease" in " ".join(basis(evidence))
    assert {one.verdict for one in statements(evidence)} == {"not tested"}


def test_a_study_that_judges_is_not_judged_again(made: ModuleType, tmp_path: Path, registry: Registry) -> None:
    made.token_control(tmp_path, seeds=2)
    evidence = collect(["made-up"], tmp_path)
    assert with_comparison(evidence, registry) == evidence


SIGNS = '50% of a_b & #1 {x} ~^\\ $5 ± ∞ ≥ ≤ − – × → ρ Δ µ <a|b> "q" `c` -- --allow … ’ é ﬁ 中 \t+/'


def test_every_sign_is_escaped_or_replaced() -> None:
    found = tex(SIGNS)
    assert all(" " <= sign <= "~" or sign == "é" for sign in found)
    for wanted in (r"50\% of a\_", r"\& \#1 \{x\}", r"$\pm$ $\infty$ $\geq$ $\leq$ $-$", r"-{}- -{}-allow", "fi [U+4E2D]"):
        assert wanted in found


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no LaTeX")
@pytest.mark.parametrize("rows", [3, LONG + 30])
def test_tables_compile(tmp_path: Path, rows: int) -> None:
    columns = (Column("a", SIGNS), Column("b", "ratio ≥ .95", "ratio"), Column("c", "change", "change"), Column("d", "d"))
    line = ("ncbi-disease+bc5cdr_a1_none_5b9a5d651a77", 0.123, -0.01, SIGNS)
    starts: list[tuple[Cell, ...]] = [("[1]", None, None, "*"), ("*", float("inf"), 0.0, "[x]")]
    table = Table("t", SIGNS, SIGNS, columns, (*starts, *[line] * rows), ("run_1%",), True)
    text = table_tex(table)
    assert ("longtable" in text) is (rows > LONG)
    (tmp_path / "t.tex").write_text(text, encoding="utf-8")
    packages = "\\usepackage{booktabs,graphicx,longtable}"
    whole = f"\\documentclass{{article}}{packages}\\begin{{document}}\\input{{t}}\\end{{document}}"
    (tmp_path / "whole.tex").write_text(whole)
    words = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "whole.tex"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False, timeout=300)
    assert done.returncode == 0, [line for line in done.stdout.splitlines() if line.startswith(("!", "l."))]
    assert (tmp_path / "whole.pdf").stat().st_size > 1000


def test_concepts_are_told_of_gold_and_of_found_mentions(made: ModuleType, tmp_path: Path) -> None:
    made.make(tmp_path, [made.Made()])
    folder = next(path.parent for path in tmp_path.rglob("result.json"))
    result = read_result(folder)
    assert concepts(collect((), tmp_path)) is None
    shares = dict.fromkeys(("accuracy_seen", "accuracy_new", "recall_at_1", "recall_at_5", "recall_at_20"), 0.5)
    gold = {"mentions": 9, "unseen": 4, "new": 2, "accuracy": 0.75, "accuracy_unseen": 0.25, **shares}
    found = gold | {"mentions": 3, "accuracy": None}
    linked = Concepts("re-ranked", ConceptAccuracy(**gold), ConceptAccuracy(**found))
    write_result(folder, replace(result, concepts={TASK: linked}))
    first, second = told(concepts(collect((), tmp_path)))
    assert (first["of"], first["mentions"], first["accuracy"], first["accuracy_unseen"]) == ("gold", 9, 0.75, 0.25)
    assert (second["of"], second["mentions"], second["accuracy"]) == ("found", 3, None)
    assert first["linker"] == "re-ranked"
