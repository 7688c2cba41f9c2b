"""The page in a real browser: headless Chromium, without a network."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

for _name in ("jinja2", "vl_convert"):
    pytest.importorskip(_name)
sync = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
MARKS = ".mark-symbol path, .mark-rule line, .mark-line path, .mark-rect path"


@pytest.fixture(scope="module")
def report(made: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from bench.pages import write
    from bench.registry import load

    out = tmp_path_factory.mktemp("report")
    made.token_control(out / "runs", seeds=2)
    return write.report(["made-up"], out / "runs", load(), out / "page").page.parent


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def page(browser: Any, report: Path) -> Iterator[Any]:
    """Loaded and drawn once: twenty plots take seconds."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    tab = context.new_page()
    tab.set_default_timeout(120_000)
    tab.told, tab.asked = [], []
    tab.on("console", lambda message: tab.told.append(message.text))
    tab.on("pageerror", lambda error: tab.told.append(str(error)))
    tab.on("request", lambda request: tab.asked.append(request.url))
    tab.goto((report / "index.html").as_uri())
    tab.wait_for_selector("html[data-drawn]")
    yield tab
    context.close()


def test_it_loads_in_silence_and_asks_for_nothing(page: Any) -> None:
    assert page.told == []
    assert [url for url in page.asked if not url.startswith(("file:", "data:"))] == []
    assert len([url for url in page.asked if url.startswith("file:")]) == 1


def test_every_plot_has_marks_and_a_text_alternative(page: Any) -> None:
    plots = page.query_selector_all(".plot")
    assert len(plots) >= 20
    for plot in plots:
        assert plot.query_selector_all(MARKS), plot.get_attribute("id")
        said = page.query_selector(f"#{plot.get_attribute('aria-describedby')}").text_content()
        assert re.search(r"\d", said)
        assert plot.get_attribute("aria-label")


def test_tables_sort_by_mouse_and_by_keyboard(page: Any) -> None:
    table = page.query_selector("table:has(#table-arms)")
    heads = [head.text_content().strip() for head in table.query_selector_all("thead th")]
    place = heads.index("mean")

    def values() -> list[float]:
        return [float(row.query_selector_all("th, td")[place].text_content()) for row in table.query_selector_all("tbody tr")]

    before = values()
    head = table.query_selector_all("thead th")[place]
    head.query_selector("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert values() == sorted(before, reverse=True) != before
    head.query_selector("button").focus()
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    assert values() == sorted(before)
    assert "mean, ascending" in page.query_selector("#told").text_content()
    first = table.query_selector_all("thead th")[0]
    first.query_selector("button").focus()
    page.keyboard.press("Space")
    assert [head.get_attribute("aria-sort") for head in table.query_selector_all("thead th")].count("none") == len(heads) - 1
    names = [row.query_selector("th").text_content() for row in table.query_selector_all("tbody tr")]
    assert names == sorted(names)


def test_it_can_be_read_without_a_mouse_or_eyes(page: Any) -> None:
    page.evaluate("document.body.tabIndex = -1; document.body.focus()")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    for table in page.query_selector_all("table"):
        assert table.query_selector("caption").text_content().strip()
        assert all(head.get_attribute("scope") for head in table.query_selector_all("th"))
    assert page.evaluate(
        "[...document.querySelectorAll('[id]')].length === new Set([...document.querySelectorAll('[id]')].map(e => e.id)).size"
    )
    assert page.evaluate("document.documentElement.lang") == "en"


AXE = [Path(path) for path in (os.environ.get("AXE_CORE", ""), "node_modules/axe-core/axe.min.js")]
"""`npm pack axe-core` unpacked, or AXE_CORE; https://github.com/dequelabs/axe-core"""


def test_axe_finds_nothing_to_complain_of(page: Any) -> None:
    script = next((path for path in AXE if path.is_file()), None)
    if script is None:
        pytest.skip("axe-core is not here")
    page.evaluate(script.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run()")
    assert len(found["passes"]) > 10
    assert [(one["id"], one["nodes"][0]["html"][:200]) for one in found["violations"]] == []


def test_a_plot_is_one_image_and_not_a_hundred(page: Any) -> None:
    assert page.query_selector_all(".plot svg")
    assert page.query_selector_all(".plot svg:not([aria-hidden])") == []
    assert page.query_selector_all(".plot [role], .plot [aria-roledescription]") == []


def test_what_is_read_from_top_to_bottom_stands_in_one_column(page: Any) -> None:
    edges = {
        what: page.evaluate(
            f"(() => {{ const e = document.querySelector('{what}'), s = getComputedStyle(e);"
            " return e.getBoundingClientRect().left + parseFloat(s.paddingLeft); })()"
        )
        for what in (".top", "nav ul", "main", "footer")
    }
    assert len(set(edges.values())) == 1, edges
    assert edges["main"] > 60  # the column stands in the middle of 1,280 pixels
    last = page.query_selector_all("nav a")[-1].bounding_box()
    assert last["x"] + last["width"] <= 1280  # every section is in sight


def test_a_long_table_filters_by_what_is_typed(page: Any) -> None:
    box = page.query_selector('input[data-table="table-runs"]')
    rows = page.query_selector_all("table:has(#table-runs) tbody tr")
    assert len(rows) > 10
    box.fill("bc5cdr own")
    kept = [row.text_content() for row in rows if row.is_visible()]
    assert 0 < len(kept) < len(rows)
    assert all("bc5cdr" in text and "own share" in text for text in kept)
    assert page.query_selector("#told").text_content() == f"{len(kept)} of {len(rows)} lines."
    box.fill("")
    assert all(row.is_visible() for row in rows)
    assert page.query_selector('input[data-table="table-parity"]') is None  # a short one needs none


def test_the_page_says_what_it_asks_when_it_was_made_and_what_it_means(page: Any) -> None:
    title = page.query_selector("h1").text_content()
    assert title == "Does training on ncbi-disease and bc5cdr together help, beyond more training tokens?"
    assert page.title().startswith(title)
    assert re.search(r"Written 20\d\d-\d\d-\d\d by bench report made-up", page.query_selector(".top").text_content())
    said = page.query_selector(".meaning").text_content()
    assert said.startswith("What this means: For ncbi-disease, training with the other tasks is worth more")


def test_a_phone_needs_no_sideways_scrolling(page: Any, browser: Any, report: Path) -> None:
    context = browser.new_context(viewport={"width": 360, "height": 780}, color_scheme="dark")
    tab = context.new_page()
    tab.goto((report / "index.html").as_uri())
    tab.wait_for_selector("html[data-drawn]", timeout=120_000)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") != page.evaluate(
        "getComputedStyle(document.body).backgroundColor"
    )
    context.close()


def test_synthetic_is_stamped_on_all_of_it(page: Any, report: Path) -> None:
    stamped = page.query_selector_all("figcaption:has(.stamp), caption:has(.stamp), .verdict:has(.stamp)")
    assert len(stamped) == len(page.query_selector_all("figcaption, caption, .verdict")) > 10
    assert "synthetic" in page.title()
    for path in (report / "figures").glob("*.svg"):
        assert "SYNTHETIC DATA" in path.read_text(encoding="utf-8")


def test_every_figure_and_table_lies_beside_it_as_files(page: Any, report: Path) -> None:
    links = {link.get_attribute("href") for link in page.query_selector_all(".files a")}
    assert len(links) > 20
    assert all((report / link).stat().st_size > 100 for link in links)
    assert all((report / link).read_bytes().startswith(b"%PDF") for link in links if link.endswith(".pdf"))
