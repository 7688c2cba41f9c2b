"""The site's navigation has every page once; versions agree; the issue forms are what GitHub takes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import bench

ROOT = Path(__file__).parents[2]
SITE = ROOT / "docs" / "site"


def test_every_page_is_in_the_navigation_once() -> None:
    nav = (SITE / "mkdocs.yml").read_text(encoding="utf-8").split("\nnav:\n")[1]
    listed = re.findall(r"([\w./-]+\.md)$", nav, re.MULTILINE)
    assert len(listed) == len(set(listed))
    pages = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md")}
    assert pages <= set(listed)
    assert [page for page in listed if not page.startswith("reference/") and not (ROOT / page).is_file()] == []


def test_style_and_scripts_are_files_of_the_site() -> None:
    text = (SITE / "mkdocs.yml").read_text(encoding="utf-8")
    assets = re.findall(r"(assets/[\w.]+)", text)
    assert len(assets) == 3
    assert all((SITE / "theme" / asset).is_file() for asset in assets)
    assert re.search(r"^  font: false", text, re.MULTILINE)
    assert "http" not in text


def test_ci_builds_it() -> None:
    tox = (ROOT / "tox.ini").read_text(encoding="utf-8")
    assert "docs" in tox.split("env_list =")[1].split("skip_missing")[0].split()
    assert "mkdocs build" in tox.split("[testenv:docs]")[1].split("[testenv:")[0]
    assert re.search(r"^strict: true$", (SITE / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)


def test_a_citation_has_the_version_of_the_package() -> None:
    for name, pattern in (("CITATION.cff", r"^version: (.+)$"), ("pyproject.toml", r'^version = "(.+)"$')):
        assert re.findall(pattern, (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE) == [bench.__version__], name


@pytest.mark.parametrize("name", ["bug", "idea"])
def test_an_issue_form_is_one(name: str) -> None:
    yaml = pytest.importorskip("yaml")
    path = ROOT / ".github" / "ISSUE_TEMPLATE" / f"{name}.yml"
    if not path.parent.is_dir():
        pytest.skip("not a checkout")
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert form["name"]
    assert form["description"]
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert {field["type"] for field in fields} <= {"textarea", "input", "dropdown", "checkboxes"}
    assert all(field["attributes"]["label"] for field in fields)
    ids = [field["id"] for field in fields]
    assert len(ids) == len(set(ids))


def test_a_citation_file_is_whole() -> None:
    yaml = pytest.importorskip("yaml")
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "type", "authors", "version", "license"} <= set(citation)
