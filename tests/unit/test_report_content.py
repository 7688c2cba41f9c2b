from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from bench.errors import RunStateError, UsageError
from bench.pages import errors, evaluation, figures, tables
from bench.pages.board import entries, needs_whole
from bench.pages.collect import collect
from bench.pages.content import Column, Mark, Table, difference, front, shown
from bench.pages.curves import read_curves, thin
from bench.pages.files import figure_csv, table_csv
from bench.pages.latex import table_tex, tex
from bench.pages.page import meaning, question
from bench.pages.transfer import OTHER, OWN, TOTAL, transfer
from bench.pages.vega import specifications, style
from bench.pages.verdicts import estimates, statements, summaries
from bench.pages.write import command
from bench.registry import Registry
from bench.results.store import read_result


def change(folder: Path, **values: Any) -> None:
    path = folder / "result.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values, indent=2) + "\n")


def test_arms_are_the_fields_that_differ(made: ModuleType, tmp_path: Path) -> None:
    runs = [made.Made(arch=arch, seed=seed, quant=quant) for arch, quant in (("A1", "none"), ("A2", "rtn")) for seed in (0, 1)]
    made.make(tmp_path, runs)
    evidence = collect((), tmp_path)
    assert evidence.arms == ("A1", "A2 · rtn")
    assert [run.seed for run in evidence.of("ncbi-disease", "A2 · rtn")] == [0, 1]


def test_arms_are_told_apart_by_whatever_may_be_compared_and_older_results_have_the_defaults(
    made: ModuleType, tmp_path: Path
) -> None:
    folders = made.make(tmp_path, [made.Made(seed=seed) for seed in range(3)])
    for folder, more in zip(
        folders, ({}, {"schedule": "joint", "loss_weights": {"a": 2.0}}, {"batch_tokens": 64}), strict=True
    ):
        config = {k: v for k, v in read_result(folder).config.items() if k not in ("schedule", "loss_weights")}
        change(folder, config=config | more)
    assert {*collect((), tmp_path).arms} == {
        "A1 · batch tokens 2048 · loss weights default", "A1 · batch tokens 2048 · loss weights a 2.0",
        "A1 · batch tokens 64 · loss weights default",
    }  # fmt: skip


def test_an_arm_has_the_mean_and_the_t_interval_of_its_runs(made: ModuleType, tmp_path: Path) -> None:
    for folder, value in zip(made.make(tmp_path, made.grid(12)[::4]), (0.50, 0.60, 0.70), strict=True):
        result = json.loads((folder / "result.json").read_text())
        result["scores"]["ncbi-disease"]["trained"]["strict.f1"] = value
        change(folder, scores=result["scores"])
    (found,) = summaries(collect((), tmp_path))
    assert found.mean == pytest.approx(0.6)
    # t(.975, 2) = 4.3027; .1/√3 = .057735
    assert (found.low, found.high) == pytest.approx((0.6 - 0.248414, 0.6 + 0.248414), abs=1e-5)
    assert found.over == "seeds"


def test_a_single_run_keeps_its_interval_over_documents(made: ModuleType, tmp_path: Path) -> None:
    (folder,) = made.make(tmp_path, [made.Made(quant="nf4")])
    (found,) = summaries(collect((), tmp_path))
    ci95 = json.loads((folder / "result.json").read_text())["scores"]["ncbi-disease"]["quantized"]["strict.f1.ci95"]
    assert [found.low, found.high] == ci95
    assert found.over == "documents"
    assert found.spread is None


def test_a_study_speaks_by_its_verdict(made: ModuleType, tmp_path: Path) -> None:
    made.token_control(tmp_path, seeds=2)
    evidence = collect(["made-up"], tmp_path)
    assert evidence.arms == ("multi-task", "alone, equal total", "alone, own share")
    assert [(one.subject, one.verdict, one.tone) for one in statements(evidence)] == [
        ("ncbi-disease", "genuine transfer", "good"),
        ("bc5cdr", "data exposure", "even"),
    ]
    told = [(subject, name, one["difference"]) for subject, name, one in estimates(evidence)]
    assert ("bc5cdr", "against alone, equal total", 0.002) in told
    assert len(told) == 4
    assert collect([str(tmp_path / "studies" / "made-up" / "study.json")], tmp_path / "none") == evidence


def test_the_title_is_a_question_and_the_verdict_has_a_meaning(made: ModuleType, tmp_path: Path) -> None:
    made.token_control(tmp_path / "study", seeds=6)
    evidence = collect(["made-up"], tmp_path / "study")
    assert question(evidence) == "Does training on ncbi-disease and bc5cdr together help, beyond more training tokens?"
    assert meaning(evidence, statements(evidence)).startswith("For ncbi-disease, training with the other tasks is worth more")
    made.make(tmp_path / "two", made.grid(2))
    runs = collect((), tmp_path / "two")
    assert question(runs) == "Do A1 and A2 differ on ncbi-disease?"
    assert meaning(runs, statements(runs)).endswith("they do not show that one arm is better than another.")
    made.make(tmp_path / "one", made.grid(1))
    assert question(collect((), tmp_path / "one")) == "How good is A1 on ncbi-disease?"


@pytest.mark.parametrize(("seeds", "begins"), [(1, "Nothing is shown: fewer than 6 seeds"), (6, "No difference is shown")])
def test_what_few_seeds_mean_is_not_put_down_to_chance(seeds: int, begins: str) -> None:
    pair = SimpleNamespace(estimate=SimpleNamespace(seeds=seeds), better=None)
    runs: Any = SimpleNamespace(kind=None, comparison=SimpleNamespace(result=SimpleNamespace(pairs=[pair])))
    assert meaning(runs, []).startswith(begins)


def test_every_verdict_that_a_kind_colours_has_a_meaning(registry: Registry) -> None:
    told = {entry.name: entry.part for entry in registry.entries("studies")}
    assert all(kind.question for kind in told.values())
    assert {*told["token-control"].meanings} >= {*told["token-control"].tones}


def test_the_command_of_a_page_names_no_folder_of_the_user() -> None:
    assert command(["/home/somebody/runs/r1", "my study"], by=["arch"]) == "bench report r1 'my study' --by arch"


def test_an_unfinished_study_has_no_verdict_and_says_what_is_left(made: ModuleType, tmp_path: Path) -> None:
    made.token_control(tmp_path, seeds=2, unfinished=3)
    evidence = collect(["made-up"], tmp_path)
    assert evidence.unfinished == ("bc5cdr-total-s1", "ncbi-disease-share-s1", "bc5cdr-share-s1")
    assert {one.verdict for one in statements(evidence)} == {"not tested"}


def test_transfer_is_the_mean_together_less_the_mean_alone(made: ModuleType, tmp_path: Path) -> None:
    both = ("ncbi-disease", "bc5cdr")
    made.make(tmp_path, [made.Made(both, gain=0.05, seed=s) for s in range(2)])
    made.make(tmp_path, [made.Made((task,), seed=s) for task in both for s in range(2)])
    evidence = collect((), tmp_path)
    figure = transfer(evidence)
    assert figure is not None
    (mark,) = (m for m in figure.marks if m.x == "bc5cdr")
    together = [run.score("bc5cdr") or 0 for run in evidence.of("bc5cdr") if len(run.tasks) == 2]
    alone = [run.score("bc5cdr") or 0 for run in evidence.of("bc5cdr") if len(run.tasks) == 1]
    assert (mark.y, mark.panel) == ("ncbi-disease", TOTAL)
    assert mark.value == pytest.approx(sum(together) / 2 - sum(alone) / 2)


def test_transfer_of_a_token_control_study_keeps_both_contrasts_apart_with_the_sign_of_each(
    made: ModuleType, tmp_path: Path
) -> None:
    # At equal total the tasks together are worse, on their own share better: an average of the two would show a gain.
    both = ("ncbi-disease", "bc5cdr")
    made.make(tmp_path, [made.Made(both, gain=-0.2, seed=s) for s in range(2)])
    made.make(tmp_path, [made.Made((task,), seed=s) for task in both for s in range(2)])
    made.make(tmp_path, [made.Made((task,), gain=-0.5, seed=s, tokens=30_000) for task in both for s in range(2)])
    figure = transfer(collect((), tmp_path))
    assert figure is not None
    gains = {(m.x, m.panel): m.value or 0 for m in figure.marks}
    assert {contrast: [gains[task, contrast] > 0 for task in both] for contrast in (TOTAL, OWN)} == {
        TOTAL: [False, False], OWN: [True, True],
    }  # fmt: skip
    assert len(gains) == 4
    odd = made.make(tmp_path, [made.Made(("bc5cdr",), tokens=45_000)])
    figure = transfer(collect((), tmp_path))
    assert odd
    assert figure is not None
    assert {m.panel for m in figure.marks if m.x == "bc5cdr"} == {TOTAL, OWN, OTHER}


def test_curves_of_many_runs_are_means_with_a_band(made: ModuleType, tmp_path: Path) -> None:
    made.make(tmp_path, made.grid(12))
    few = figures.curves(collect((), tmp_path), "loss")
    assert few is not None
    assert len({m.run for m in few.marks}) == 12
    made.make(tmp_path, made.grid(16)[12:])
    evidence = collect((), tmp_path)
    many = figures.curves(evidence, "loss")
    assert many is not None
    assert {m.run for m in many.marks} == {f"mean of 4 runs of {arm}" for arm in evidence.arms}
    for mark in many.marks:
        assert mark.low is not None
        assert mark.high is not None
        assert mark.low < float(mark.y) < mark.high
    ((_, spec),) = specifications(many)
    assert [layer["mark"]["type"] for layer in spec["layer"]] == ["area", "line"]


def test_the_score_of_a_dictionary_is_a_line_in_the_plots(made: ModuleType, tmp_path: Path) -> None:
    (folder, *_) = made.make(tmp_path, made.grid(4))
    value = read_result(folder).scores["ncbi-disease"].baselines["dictionary"]["strict.f1"]
    figure = figures.arms(collect((), tmp_path))
    assert [(mark.panel, mark.x) for mark in figure.references] == [("ncbi-disease", value)]
    assert f"dictionary of training mentions: {shown(value, 'score')}" in figure.says
    ((_, spec),) = specifications(figure)
    drawn = [
        layer for layer in spec["layer"] if layer["data"]["values"] == [{"x": value, "name": "dictionary of training mentions"}]
    ]
    assert [layer["mark"]["type"] for layer in drawn] == ["rule"]


def test_an_interval_of_two_seeds_is_not_estimable(made: ModuleType, tmp_path: Path) -> None:
    made.make(tmp_path, [made.Made(seed=s) for s in range(2)])
    evidence = collect((), tmp_path)
    (found,) = summaries(evidence)
    assert (found.low, found.high, found.over) == (None, None, "not estimable")
    assert found.spread is not None
    estimate = {"difference": -0.395, "low": -5.39, "high": 4.60, "seeds": 2}
    assert difference(estimate) == "−.395 [not estimable from 2 seeds]"
    assert difference(estimate | {"seeds": 3}) == "−.395 [−5.390, +4.600]"
    assert difference(estimate | {"low": None, "high": None}) == "−.395"


def test_curves_leave_out_what_a_resume_repeats(made: ModuleType, tmp_path: Path) -> None:
    (folder,) = made.make(tmp_path, [made.Made(steps=10)])
    whole = read_curves(folder)
    lines = (folder / "journal.jsonl").read_text().splitlines()
    again = [json.loads(line) for line in lines[5:]]
    resume = {"seq": len(lines), "time": 0, "kind": "resume", "step": 4, "values": {"position": 5, "dropped": 9}}
    repeated = [one | {"seq": len(lines) + 1 + i} for i, one in enumerate(again)]
    written = [*lines, *(json.dumps(one, separators=(",", ":")) for one in (resume, *repeated))]
    (folder / "journal.jsonl").write_text("\n".join(written) + '\n{"seq":99,"torn')
    assert read_curves(folder) == whole
    assert [x for x, _ in whole.dev["ncbi-disease"]] == [12_000, 24_000, 36_000, 48_000, 60_000]
    some = read_curves(folder, updates=5)
    assert some.dev == whole.dev
    assert 0 < len(some.loss["ncbi-disease"]) < 10
    assert set(some.loss["ncbi-disease"]) < set(whole.loss["ncbi-disease"])
    (folder / "journal.jsonl").unlink()
    assert read_curves(folder).loss == {}


def test_thinning_keeps_means() -> None:
    assert thin([(1.0, 2.0), (3.0, 4.0), (5.0, 0.0), (7.0, 8.0)], 2) == ((2.0, 3.0), (6.0, 4.0))


def test_nothing_beats_what_is_on_the_front() -> None:
    points = [Mark(54, 0.7, run="a"), Mark(91, 0.8, run="b"), Mark(60, 0.6, run="c"), Mark(54, 0.65, run="d")]
    assert [mark.run for mark in front(points)] == ["a", "b"]
    assert front([*points, Mark(50, 0.5), Mark(70, 0.4)]) == [Mark(50, 0.5)]  # of means, where there are any


def test_what_overlaps_in_x_dominates_nothing() -> None:
    fast, slow, apart = (Mark(x, y, low=low, high=high) for x, y, low, high in (
        (57.6, 0.7, 55.0, 63.0), (61.8, 0.6, 58.0, 65.0), (80.0, 0.65, 75.0, 85.0)
    ))  # fmt: skip
    assert front([fast, slow, apart]) == [fast, slow]


def test_every_synthetic_table_and_figure_says_so(made: ModuleType, tmp_path: Path) -> None:
    made.make(tmp_path, [made.Made(seed=0), made.Made(seed=1, synthetic=False)])
    evidence = collect((), tmp_path)
    arms = tables.arms(evidence)
    assert r"\textbf{Synthetic data.}" in table_tex(arms)
    assert {row["synthetic"] for row in csv.DictReader(io.StringIO(table_csv(arms)))} == {"yes"}
    assert {row["synthetic"] for row in csv.DictReader(io.StringIO(figure_csv(figures.arms(evidence))))} == {"yes"}
    runs = [*csv.DictReader(io.StringIO(table_csv(tables.runs(evidence))))]
    assert sorted(row["synthetic"] for row in runs) == ["no", "yes"]
    real = collect([runs[0]["run"] if runs[0]["synthetic"] == "no" else runs[1]["run"]], tmp_path)
    assert "Synthetic" not in table_tex(tables.arms(real))


def test_latex_is_booktabs_with_everything_escaped() -> None:
    table = Table(
        "t", "A & B", "50% of it", (Column("a", "run_id"), Column("b", "Δ", "change")), (("x_y", -0.25),), ("r",), False
    )
    text = table_tex(table)
    assert r"\caption{A \& B. 50\% of it}" in text
    assert r"x\_\allowbreak{}y & $-$.250 \\" in text
    assert text.index(r"\toprule") < text.index(r"\midrule") < text.index(r"\bottomrule")
    assert r"\begin{tabular}{lr}" in text
    assert tex("\\{") == r"\textbackslash{}\{"


@pytest.mark.parametrize(
    ("value", "kind", "reads"),
    [(0.5, "score", ".500"), (1.0, "score", "1.000"), (-0.0123, "change", "−.012"), (0.0001, "change", ".000"),
     (None, "score", ""), (1234567, "count", "1,234,567"), (54_000_000, "bytes", "51.5 MiB"), (12.34, "seconds", "12 s"),
     (7200, "seconds", "2:00 h"),
     (0.0312, "p", ".031"), (0.0004, "p", "<.001"), (1.0, "p", "1.000"), (1143.4, "ratio", "1,143"),
     (True, "flag", "yes"), (float("nan"), "score", "")],
)  # fmt: skip
def test_cells_read_well(value: Any, kind: Any, reads: str) -> None:
    assert shown(value, kind) == reads


def test_forty_groups_look_apart() -> None:
    assert len({style(i)[:2] for i in range(40)}) == 40


def test_specifications_hold_every_mark(made: ModuleType, tmp_path: Path) -> None:
    made.make(tmp_path, made.grid(8))
    figure = figures.curves(collect((), tmp_path), "dev")
    assert figure is not None
    ((title, spec),) = specifications(figure)
    assert title == "ncbi-disease"
    assert len(spec["data"]["values"]) == len(figure.marks) == 8 * 5
    assert json.loads(json.dumps(spec)) == spec


def test_errors_count_gold_once_and_what_is_spurious(made: ModuleType, tmp_path: Path) -> None:
    counts = {
        "trained": {"gold": {"correct": 5, "missed": 3, "merged": 2}, "predicted": {"correct": 5, "spurious": 4, "merged": 1}}
    }
    made.make(tmp_path, [made.Made(extra={"errors": {"ncbi-disease": counts}})])
    table = errors.error_table(collect((), tmp_path))
    assert table is not None
    told = dict(zip([c.name for c in table.columns], table.rows[0], strict=True))
    assert {kind: told[kind] for kind in ("missed", "spurious", "merged")} == {"missed": 3, "spurious": 4, "merged": 2}
    assert "correct" not in told


def test_reliability_pools_the_runs_of_an_arm(made: ModuleType, tmp_path: Path) -> None:
    def one(count: int, right: float) -> dict[str, Any]:
        bins = [{"low": 0.5, "high": 0.6, "count": count, "confidence": 0.55, "right": right}]
        return {"ncbi-disease": {"trained": {"mentions": {"ece": {"equal_width": 0.1}, "reliability": {"equal_width": bins}}}}}

    made.make(tmp_path, [made.Made(seed=s, extra={"calibration": one(n, r)}) for s, n, r in ((0, 10, 1.0), (1, 30, 0.2))])
    figure = evaluation.reliability(collect((), tmp_path))
    assert figure is not None
    assert [(m.x, m.y) for m in figure.marks] == [(pytest.approx(0.55), pytest.approx((10 * 1.0 + 30 * 0.2) / 40))]


def test_bad_input_is_one_clear_message(made: ModuleType, tmp_path: Path) -> None:
    first, second = made.make(tmp_path, made.grid(2))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no run"):
        collect([str(tmp_path / "empty")], tmp_path)
    with pytest.raises(UsageError, match="is no folder of runs"):
        collect((), tmp_path / "nowhere")
    (gad,) = made.make(tmp_path, [made.Made(("gad",))])
    with pytest.raises(UsageError, match=r"different tasks.* gad, 1 of them; ncbi-disease, 2 of them"):
        collect((), tmp_path)
    assert collect((), tmp_path, ["gad"]).tasks == ("gad",)
    with pytest.raises(UsageError, match="no finished run of chemprot"):
        collect((), tmp_path, ["chemprot"])
    change(first, schema_version=99)
    with pytest.raises(RunStateError, match="schema version 99; this bench reads 1 and 2"):
        collect((), tmp_path)
    whole = (second / "result.json").read_bytes()
    (second / "result.json").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RunStateError, match="truncated"):
        collect([second.name, gad.name], tmp_path)


def test_the_board_reads_heads_and_sees_damage(made: ModuleType, tmp_path: Path) -> None:
    folders = made.make(tmp_path, made.grid(5))
    (folders[0] / "result.json").unlink()
    whole = (folders[1] / "result.json").read_bytes()
    (folders[1] / "result.json").write_bytes(whole[:-40])
    (folders[2] / "result.json").write_bytes(whole[:900])
    change(folders[3], schema_version=99)
    states = {tmp_path / entry.id: entry for entry in entries(tmp_path)}
    assert [states[folder].state for folder in folders] == ["unfinished", "damaged", "damaged", "other schema", "finished"]
    assert states[folders[0]].field("arch") == "A1"
    last = states[folders[4]]
    assert "scores" not in last.known
    assert (last.field("seed"), last.field("config.seed"), last.tasks) == (1, 1, ("ncbi-disease",))
    assert needs_whole(["seed", "invariants.tokens.total"])
    assert not needs_whole(["seed", "value", "config.lr"])
    (far,) = (entry for entry in entries(tmp_path, whole=True) if entry.state == "finished")
    assert far.field("invariants.tokens.total") == 60_000


def test_a_long_configuration_is_still_read(made: ModuleType, tmp_path: Path) -> None:
    (folder,) = made.make(tmp_path, [made.Made()])
    value = json.loads((folder / "result.json").read_text())
    change(folder, config=value["config"] | {"name": "x" * 9_000})
    (entry,) = entries(tmp_path)
    assert entry.state == "finished"
    assert entry.field("arch") == "A1"
