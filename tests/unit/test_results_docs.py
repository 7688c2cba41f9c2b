from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path
from runpy import run_path

import pytest

from bench.results import layout
from bench.results.invariants import Invariants
from bench.results.schema import Headline, Quantization, Result, TaskScores

DOCS = Path(__file__).parents[2] / "docs"
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


def test_the_json_schema_is_that_of_the_code_and_holds_for_a_result() -> None:
    old = json.loads((Path(__file__).parent / "results" / "version-1.json").read_text(encoding="utf-8"))
    value = Result.from_json(old).to_json()
    made = run_path(str(DOCS / "result_schema.py"))
    assert made["text"]() == made["SCHEMA"].read_text(encoding="utf-8"), "run: python docs/result_schema.py"
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(made["SCHEMA"].read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(value, schema)
    for name, odd in (("headline", {"task": "toy"}), ("scores", {"toy": {"trained": {"task1": {"f1": 1}}}})):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(value | {name: odd}, schema)
