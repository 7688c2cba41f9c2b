from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from bench.report.content import shown
from bench.results import Headline, Invariants, Quantization, Result, TaskScores, summary
from bench.results.summary import Row, change, notices, p_value, rows, score, size

STRICT = {"tp": 3, "fp": 1, "fn": 1, "precision": 0.75, "recall": 0.5, "f1": 0.6, "ci95": [0.512, 0.7]}
HELD = {"status": "held"}
RESULT = Result(
    id="toy",
    config={},
    headline=Headline("toy", "test", "quantized", "task1.strict.f1", 0.6, (0.512, 0.7)),
    scores={
        "toy": TaskScores({"task1": {"strict": STRICT, "accuracy": 1.0}}, {"task1": {"strict": {"f1": 0.5, "ci95": None}}})
    },
    invariants=Invariants({"status": "held", "total": 12345}, HELD, {"status": "waived"}, HELD, HELD),
    quantization=Quantization(4.5, 54 << 20, 0.2213, None),
    timings={"train": 12.34},
    memory={"peak": 3 << 30},
    hashes={},
    versions={"torch": "2.13.0", "wandb": None},
    hardware={"cores": 2},
    git={},
    waivers=("smoke",),
    synthetic=True,
)


def test_rows_say_what_the_result_says() -> None:
    found = rows(RESULT)
    assert found[0] == Row("headline", "toy test, quantized: task1.strict.f1", ".600 [.512, .700] (synthetic)")
    assert Row("scores of toy, test, trained", "task1.strict", ".600 [.512, .700]  P .750  R .500") in found
    assert Row("scores of toy, test, trained", "task1.accuracy", "1.000") in found
    assert Row("scores of toy, test, quantized", "task1.strict", ".500") in found
    assert Row("invariants", "tokens", "held; total 12,345") in found
    assert Row("invariants", "smoke", "waived") in found
    assert Row("quantization", "bytes", "54.0 MiB") in found
    assert Row("timings", "train", "12.3 s") in found
    assert Row("memory", "peak", "3.0 GiB") in found
    assert [r.name for r in found if r.section == "quantization"] == ["bits_per_weight", "bytes", "error"]
    assert [r.name for r in found if r.section == "versions"] == ["torch"]


def test_a_section_is_in_one_piece() -> None:
    sections = [row.section for row in rows(RESULT)]
    assert len(set(sections)) == sum(1 for i, s in enumerate(sections) if i == 0 or sections[i - 1] != s)


def test_what_must_not_be_missed() -> None:
    first, second = notices(RESULT)
    assert "SYNTHETIC" in first
    assert "WAIVED: smoke" in second
    assert notices(replace(RESULT, synthetic=False, waivers=())) == []
    leaks = {"toy": {"allowed": 3, "tolerated": 0}, "other": {"allowed": 0, "tolerated": 8}}
    (only,) = notices(replace(RESULT, synthetic=False, waivers=(), leaks=leaks))
    assert "LEAKS ALLOWED" in only
    assert "toy 3;" in only
    assert "other" not in only
    assert "synthetic" not in rows(replace(RESULT, synthetic=False))[0].value


def test_numbers_read_well() -> None:
    assert [score(0.0), score(1.0), score(-0.25)] == [".000", "1.000", "-0.250"]
    assert [size(0), size(1023), size(1024), size(5 << 40)] == ["0 B", "1023 B", "1.0 KiB", "5.0 TiB"]


@pytest.mark.parametrize(
    ("value", "reads"), [(0.0004, "<.001"), (0.0, "<.001"), (0.001, ".001"), (0.0312, ".031"), (1.0, "1.000"), (None, "")]
)
def test_a_p_value_reads_alike_wherever_it_is_shown(value: float | None, reads: str) -> None:
    assert p_value(value) == shown(value, "p") == reads


@pytest.mark.parametrize(
    ("value", "reads"), [(0.0123, "+.012"), (-0.0123, "−.012"), (-0.0001, ".000"), (1.5, "+1.500"), (None, "")]
)
def test_a_difference_reads_alike_wherever_it_is_shown(value: float | None, reads: str) -> None:
    assert change(value) == shown(value, "change") == reads


def test_no_other_place_rounds_a_p_value() -> None:
    root = Path(summary.__file__).parents[1]
    places = [p for p in root.rglob("*.py") if re.search(r"""["']<\.0+1""", p.read_text(encoding="utf-8"))]
    assert places == [root / "results" / "summary.py"]
