from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from bench.results import Headline, Invariants, Quantization, Result, TaskScores, layout

PAGE = Path(__file__).parents[2] / "docs" / "results.md"
PREFIXES = {"headline.": Headline, "scores.<task>.": TaskScores, "invariants.": Invariants, "quantization.": Quantization}


def test_every_promised_name_is_on_the_page_and_nothing_else() -> None:
    promised = {f.name for f in fields(Result)} - {"extra"}
    for prefix, kind in PREFIXES.items():
        promised |= {prefix + f.name for f in fields(kind)}
    written = re.findall(r"^\| `([^`]+)` \| [^|]+ \| [^|]+ \|$", PAGE.read_text(), re.MULTILINE)
    assert len(written) == len(set(written))
    assert set(written) == promised


def test_every_file_on_the_page_is_one_that_a_run_has() -> None:
    text = PAGE.read_text()
    for name in (layout.JOURNAL, layout.INFO, layout.RESULT, f"{layout.CHECKPOINTS}/", f"{layout.MIRRORS}/<tracker>.json"):
        assert f"{name}`" in text
    assert f"{layout.PREDICTIONS}/{layout.predictions_name('<task>', '<split>', '<stage>')}" in text
