from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench.pages.content import shown
from bench.results import display
from bench.results.display import change, p_value, score, size


def test_numbers_read_well() -> None:
    assert [score(0.0), score(1.0), score(-0.25)] == [".000", "1.000", "−.250"]
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
    root = Path(display.__file__).parents[1]
    places = [p for p in root.rglob("*.py") if re.search(r"""["']<\.0+1""", p.read_text(encoding="utf-8"))]
    assert places == [root / "results" / "display.py"]
