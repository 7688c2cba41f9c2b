"""The worked cases of the official rules, and the rows that are ours."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from bench_tasks.common.pipe import SLOTS
from bench_tasks.semeval2015_t14.task import SemEval2015T14

from bench.api.data import Document, Mention
from bench.errors import DataError

TASK = SemEval2015T14()


def line(spans: str, cui: str, document: str = "d1", **slots: str) -> str:
    columns = [document, spans, cui]
    for slot in SLOTS:
        columns += [slots.get(slot.name, slot.default), "null"]
    return "|".join([*columns, slots.get("BL", "null"), "null"]) + "\n"


def write(folder: Path, name: str, *lines: str) -> Path:
    path = folder / f"{name}.pipe"
    path.write_text("".join(lines), encoding="utf-8")
    return path


def counts(row: dict[str, int]) -> tuple[int, int, int]:
    return row["tp"], row["fp"], row["fn"]


@pytest.fixture
def case_a(tmp_path: Path) -> tuple[Path, Path]:
    gold = [
        ("10-20,30-35", "C0000001"),
        ("40-50", "C0000002"),
        ("60-70", "CUI-less"),
        ("80-90", "C0000004"),
        ("100-110", "C0000005"),
    ]
    pred = [
        ("10-20,30-35", "C0000001"),
        ("40-50", "C0000009"),
        ("62-70", "CUI-less"),
        ("90-95", "C0000004"),
        ("200-210", "C0000006"),
    ]
    return write(tmp_path, "gold", *(line(*g) for g in gold)), write(tmp_path, "pred", *(line(*p) for p in pred))


def test_case_a(case_a: tuple[Path, Path]) -> None:
    scores = TASK.score_files(*case_a)
    assert counts(scores["task1"]["strict"]) == (1, 4, 4)
    assert scores["task1"]["strict"]["f1"] == pytest.approx(0.2)
    assert counts(scores["task1"]["relaxed"]) == (3, 2, 2)
    assert scores["task1"]["relaxed"]["f1"] == pytest.approx(0.6)
    assert counts(scores["task1"]["span_only"]) == (2, 3, 3)
    assert counts(scores["task1"]["discontiguous"]) == (1, 0, 0)
    task2 = scores["task2"]
    assert counts(task2) == (4, 1, 1)
    rounded = [round(task2[k], 3) for k in ("f1", "accuracy", "f1_accuracy", "weighted_accuracy", "f1_weighted_accuracy")]
    assert rounded == [0.8, 0.972, 0.778, 0.88, 0.704]


def test_case_g(tmp_path: Path) -> None:
    gold = write(
        tmp_path, "g", line("10-20", "C1", NI="yes", SV="severe", BL="C0000010"), line("30-40", "CUI-less", SC="family_member")
    )
    pred = write(tmp_path, "p", line("10-20", "C1", NI="yes", SV="moderate", BL="C0000010"), line("30-40", "C7"))
    scores = TASK.score_files(gold, pred)
    assert counts(scores["task1"]["strict"]) == (1, 1, 1)
    task2 = scores["task2"]
    assert [round(task2[k], 3) for k in ("f1", "accuracy", "weighted_accuracy")] == [1.0, 0.833, 0.537]
    assert {k: round(task2["slots"][k], 3) for k in ("CUI", "SV", "SC", "NI", "BL")} == {
        "CUI": 0.5,
        "SV": 0.078,
        "SC": 0.05,
        "NI": 1,
        "BL": 1,
    }


def test_case_i(tmp_path: Path) -> None:
    gold = write(tmp_path, "g", line("10-20", "C1", NI="yes"))
    pred = write(tmp_path, "p", line("10-20", "C1", NI="yes"), line("15-25", "C1"))
    scores = TASK.score_files(gold, pred)
    assert counts(scores["task1"]["relaxed"]) == (1, 1, 0)
    assert counts(scores["task2"]) == (1, 0, 0)
    assert [round(scores["task2"][k], 3) for k in ("accuracy", "weighted_accuracy")] == [0.889, 0.703]


def test_a_gold_mention_spelt_like_a_consumed_prediction_is_missed(tmp_path: Path) -> None:
    gold = write(tmp_path, "g", line("10-20", "C1"), line("15-25", "C2"))
    pred = write(tmp_path, "p", line("15-25", "C1"), line("24-30", "C2"))
    assert counts(TASK.score_files(gold, pred)["task1"]["relaxed"]) == (1, 1, 1)


def test_all_overlapping_predictions_are_consumed_and_all_but_the_largest_are_false(tmp_path: Path) -> None:
    gold = write(tmp_path, "g", line("10-20", "C1"), line("22-40", "C1"))
    pred = write(tmp_path, "p", line("8-11", "C1"), line("12-19", "C1"), line("19-30", "C1"))
    assert counts(TASK.score_files(gold, pred)["task1"]["relaxed"]) == (1, 2, 1)


def test_reading_for_scoring(tmp_path: Path) -> None:
    folder = tmp_path / "gold"
    folder.mkdir()
    (folder / "a.pipe.txt").write_bytes(b"D1.text|10-20|c0000001\r\n\r\nD1|30-40|CUI-LESS|\r\n")
    pred = tmp_path / "pred.pipe"
    pred.write_bytes(b"d1|10-20|C0000009\nd1|10-20|C0000001\nd1|30-40|cui-less\nother|1-2|C0000003\n")
    scores = TASK.score_files(folder, pred)
    assert counts(scores["task1"]["strict"]) == (2, 0, 0)


def test_body_locations_accumulate_and_one_in_common_agrees(tmp_path: Path) -> None:
    gold = write(tmp_path, "g", line("1-5", "C1", BL="C0000010"), line("1-5", "C1", BL="C0000011"))
    near = write(tmp_path, "near", line("1-5", "C1", BL="C0000011"))
    far = write(tmp_path, "far", line("1-5", "C1", BL="C0000012"))
    assert TASK.score_files(gold, near)["task2"]["slots"]["BL"] == 1
    assert TASK.score_files(gold, far)["task2"]["slots"]["BL"] == 0


def test_both_spellings_of_donor_agree(tmp_path: Path) -> None:
    gold = write(tmp_path, "g", line("1-5", "C1", SC="doner_other"))
    pred = write(tmp_path, "p", line("1-5", "C1", SC="donor_other"))
    assert TASK.score_files(gold, pred)["task2"]["slots"]["SC"] == 1


def test_no_pair_at_all_scores_zero(tmp_path: Path) -> None:
    scores = TASK.score_files(write(tmp_path, "g", line("1-5", "C1")), write(tmp_path, "p", line("50-60", "C1")))
    assert scores["task2"]["accuracy"] == 0
    assert scores["task2"]["weighted_accuracy"] == 0
    assert scores["task1"]["relaxed"]["f1"] == 0


@pytest.mark.parametrize("content", ["d1|10-20\n", "d1|canary words|C1\n", "d1||C1\n"])
def test_an_unreadable_line_is_named_and_not_shown(tmp_path: Path, content: str) -> None:
    bad = tmp_path / "bad.pipe"
    bad.write_text(line("1-2", "C1") + content, encoding="utf-8")
    with pytest.raises(DataError, match=r"bad\.pipe, line 2: ") as caught:
        TASK.score_files(bad, bad)
    assert "canary" not in str(caught.value)


def test_a_folder_without_pipe_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"holds no \.pipe file"):
        TASK.score_files(tmp_path / "empty", tmp_path / "empty")
    with pytest.raises(DataError, match="no file or folder"):
        TASK.score_files(tmp_path / "missing", tmp_path / "missing")


def test_arrays_of_sums_give_arrays_of_scores() -> None:
    gold = [
        Document("a", "", (Mention(((0, 2),), concept="C1"),)),
        Document("b", "", (Mention(((0, 2), (4, 6)), concept="C1"),)),
    ]
    pred = [Document("a", "", (Mention(((0, 2),), concept="C1"),)), Document("b", "", (Mention(((0, 2),), concept="C1"),))]
    rows = TASK.statistics(gold, pred)
    sums = {key: np.array([rows[0][key], rows[1][key], rows[0][key] + rows[1][key], 0.0]) for key in rows[0]}
    scores = TASK.summarise(sums)
    np.testing.assert_allclose(scores["task1"]["strict"]["f1"], [1, 0, 0.5, 0])
    np.testing.assert_allclose(scores["task1"]["relaxed"]["f1"], [1, 1, 1, 0])
    np.testing.assert_allclose(scores["task1"]["discontiguous"]["recall"], [0, 0, 0, 0])
    assert isinstance(TASK.score(gold, pred)["task1"]["strict"]["tp"], int)


def test_documents_without_gold_are_not_scored() -> None:
    gold = [Document("a", "", (Mention(((0, 2),)),)), Document("b", "")]
    pred = [Document("a", "", (Mention(((0, 2),)),)), Document("b", "", (Mention(((0, 2),)),))]
    assert counts(TASK.score(gold, pred)["task1"]["strict"]) == (1, 0, 0)


def test_sums_of_any_number_type_give_plain_numbers() -> None:
    found = (Mention(((0, 2),), concept="C1"),)
    rows = TASK.statistics([Document("a", "", found)], [Document("a", "", found)])
    scores = TASK.summarise({key: np.float64(value) for key, value in rows[0].items()})
    assert scores == TASK.summarise(rows[0])
    assert type(scores["task1"]["strict"]["f1"]) is float
    assert type(scores["task2"]["slots"]["NI"]) is float


def test_importing_the_task_imports_nothing_heavy() -> None:
    code = "import sys, bench_tasks; print([m for m in ('numpy', 'torch', 'transformers', 'scipy') if m in sys.modules])"
    environment = {"PYTHONPATH": ":".join(p for p in sys.path if p)}
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment)
    assert done.stdout.strip() == "[]"
