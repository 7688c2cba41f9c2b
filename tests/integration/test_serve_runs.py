"""`bench serve` on a run: through the command line, over HTTP, and its page in headless Chromium."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("peft")
pytest.importorskip("fastapi")

import bench
from bench.cli import main
from bench.registry import load

TASK = "2015-T14"
CANARY = "Zyxqanary"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@dataclass
class Server:
    """A `bench serve` of its own process."""

    process: subprocess.Popen[str]
    url: str
    said: Path
    temporary: Path

    def ask(self, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"} | headers)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())


def serving(folder: Path, place: Path, *words: str) -> Server:
    """Starts a server and waits until it says where it is."""
    temporary = place / "tmp"
    temporary.mkdir(parents=True)
    said = place / "said"
    with said.open("w", encoding="utf-8") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "bench", "serve", str(folder), "--port", "0", *words],
            stdout=out, stderr=subprocess.STDOUT, text=True, cwd=place, env=os.environ | {"TMPDIR": str(temporary)},
        )  # fmt: skip
    for _ in range(1200):
        address = re.search(r"^ +(http://\S+/) \(\^C ends it\)$", said.read_text(encoding="utf-8"), re.MULTILINE)
        if address:
            return Server(process, address[1].replace("0.0.0.0", "127.0.0.1"), said, temporary)
        try:
            process.wait(0.1)
        except subprocess.TimeoutExpired:
            continue
        break
    process.kill()
    pytest.fail(said.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def result(small_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[bench.RunResult]:
    from bench.invariants import smoke

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(smoke, "UPDATES", 5)
        patch.setattr(smoke, "EXAMPLES", 8)
        yield bench.run(
            task=TASK, data={TASK: small_corpus}, model="tiny-bert", head="span", quant="rtn", steps=12, max_length=64,
            batch_tokens=256, micro_batch=256, tracker="none", waive="smoke", out=tmp_path_factory.mktemp("serve") / "runs",
        )  # fmt: skip


@pytest.fixture(scope="module")
def notes(small_corpus: Path) -> Sequence[str]:
    return [document.text for document in load().get("tasks", TASK).load(small_corpus)["test"]]


@pytest.fixture(scope="module")
def far(result: bench.RunResult, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Listens beyond this machine, with a token that it made."""
    running = serving(result.folder, tmp_path_factory.mktemp("far"), "--stage", "quantized", "--host", "0.0.0.0")
    yield running
    running.process.kill()
    running.process.wait()


@pytest.fixture(scope="module")
def token(far: Server) -> str:
    (made,) = re.findall(r"shown this once: (\S{32})$", far.said.read_text(encoding="utf-8"), re.MULTILINE)
    return str(made)


@pytest.fixture(scope="module")
def server(result: bench.RunResult, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = serving(result.folder, tmp_path_factory.mktemp("server"))
    yield running
    running.process.kill()
    running.process.wait()


def traces(*folders: Path) -> dict[str, tuple[int, int]]:
    """Every file and folder with its size and its time of change; a folder's moves where a file comes and goes."""
    places = [place for folder in folders for place in (folder, *folder.rglob("*"))]
    return {str(place): (place.stat().st_size, place.stat().st_mtime_ns) for place in places if place.exists()}


def predicted(folder: Path, texts: Sequence[str], out: Path, *words: str) -> list[Any]:
    """What `bench predict` writes of texts."""
    lines = "".join(json.dumps({"id": str(i), "text": text}) + "\n" for i, text in enumerate(texts))
    (notes := out.with_suffix(".jsonl")).write_text(lines, encoding="utf-8")
    assert main(["predict", str(folder), str(notes), "--out", str(out), *words]) == 0
    return [json.loads(line) for line in (out / "predictions.jsonl").read_text(encoding="utf-8").splitlines()]


def test_it_answers_what_bench_predict_writes_and_leaves_no_trace(
    result: bench.RunResult, server: Server, notes: Sequence[str], tmp_path: Path
) -> None:
    texts = [notes[0][:600], f"{CANARY}. {notes[1][:300]}", ""]
    expected = predicted(result.folder, texts, tmp_path / "out")
    assert sum(len(document["mentions"]) for document in expected) > 0
    places = server.temporary, result.folder, Path(os.environ["XDG_CACHE_HOME"]) / "bench"
    before = traces(*places)
    status, answer = server.ask("predict", {"texts": texts})
    assert (status, answer["run"], answer["stage"], answer["synthetic"]) == (200, result.id, "trained", True)
    assert answer["predictions"] == expected
    assert server.ask("predict", {"texts": [f"{CANARY} " * 20_000]})[0] == 413
    assert server.ask("predict", {CANARY: CANARY})[0] == 422
    assert server.ask(f"{CANARY}?{CANARY}")[0] == 404
    assert traces(*places) == before
    said = server.said.read_text(encoding="utf-8")
    assert "SYNTHETIC" in said
    assert f"POST /predict 200, {len(texts)} texts" in said
    assert CANARY not in said


def test_what_cannot_be_served_is_told_before_a_model_is_loaded(
    result: bench.RunResult, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    port = server.url.rstrip("/").rpartition(":")[2]
    capsys.readouterr()
    for words, says in (
        (["--port", port], f"Port {port} of 127.0.0.1 is taken"),
        (["--stage", "quant"], "Did you mean 'quantized'"),
        (["--token", "short"], "wanted at least 16"),
        (["--task", "2015-T15"], "Did you mean '2015-T14'"),
    ):
        assert main(["serve", str(result.folder), *words]) == 2
        said = capsys.readouterr()
        assert says in said.err
        assert len(said.err.splitlines()) <= 2
        assert "loading" not in said.out


# ---- the page -------------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no Chromium")
    with sync.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Any, server: Server) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    tab = context.new_page()
    tab.set_default_timeout(60_000)
    tab.told, tab.asked = [], []
    tab.on("console", lambda message: tab.told.append(message.text))
    tab.on("pageerror", lambda error: tab.told.append(str(error)))
    tab.on("request", lambda request: tab.asked.append(request.url))
    tab.goto(server.url)
    tab.locator("#facts", has_text="model of run").wait_for()
    yield tab
    context.close()


def answered(page: Any, text: str, mentions: list[dict[str, Any]] | None = None) -> None:
    """Asks about a text; the answer is the server's own, or the one given."""
    if mentions is not None:
        body = json.dumps({"predictions": [{"id": "0", "mentions": mentions}]})
        page.route("**/predict", lambda route: route.fulfill(status=200, content_type="application/json", body=body))
    page.fill("#text", text)
    page.focus("#text")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#result:not([hidden])")


def mention(text: str, *words: str, label: str = "Disorder", **more: Any) -> dict[str, Any]:
    """A mention of words of a text, with offsets in characters."""
    return {"fragments": [[text.index(word), text.index(word) + len(word)] for word in words], "label": label} | more


def boxes(page: Any, selector: str) -> list[dict[str, float]]:
    found: list[dict[str, float]] = page.evaluate(
        "s => [...document.querySelectorAll(s)].map(e => e.getBoundingClientRect().toJSON())", selector
    )
    return found


def words(page: Any, text: str, word: str) -> dict[str, float]:
    """Where the browser has set a word of the shown text."""
    start = text.index(word)
    place: dict[str, float] = page.evaluate(
        """([from, to]) => {
          const shown = document.getElementById("shown"), range = document.createRange();
          const walk = document.createTreeWalker(shown, NodeFilter.SHOW_TEXT);
          let at = 0;
          for (let node = walk.nextNode(); node; at += node.length, node = walk.nextNode()) {
            if (from >= at && from < at + node.length) range.setStart(node, from - at);
            if (to > at && to <= at + node.length) range.setEnd(node, to - at);
          }
          return range.getBoundingClientRect().toJSON();
        }""",
        [len(text[:place].encode("utf-16-le")) // 2 for place in (start, start + len(word))],
    )
    return place


def test_the_page_shows_what_the_model_finds(page: Any, server: Server, notes: Sequence[str], result: bench.RunResult) -> None:
    text = notes[0][:600]
    expected = result.predict(text)[0].mentions
    assert expected
    answered(page, text)
    assert page.text_content("#shown") == text
    rows = page.query_selector_all("#list tbody tr")
    assert [row.query_selector("th").text_content() for row in rows] == [
        " … ".join(text[start:end] for start, end in m.fragments) for m in expected
    ]
    assert page.text_content("#status").startswith(f"{len(expected):,} mention")
    assert len(page.query_selector_all("#under .bar")) >= sum(len(m.fragments) for m in expected)
    assert page.is_visible("#synthetic")
    assert [line for line in page.told if line] == []
    assert {url.removeprefix(server.url).partition("?")[0] for url in page.asked} == {
        "", "page.css", "page.js", "icon.svg", "about", "predict",
    }  # fmt: skip


def test_arcs_join_fragments_over_lines_and_follow_the_window(page: Any) -> None:
    text = "😀 The left knee and the right ankle were, after all that had been said and done before, badly swollen."
    answered(page, text, [mention(text, "left knee", "swollen"), mention(text, "right ankle", "swollen", concept="C0000001")])

    def check() -> int:
        arcs = boxes(page, "#under .arc")
        for box, word in zip(boxes(page, "#under .bar"), ("left knee", "swollen", "right ankle", "swollen"), strict=True):
            assert box["left"] == pytest.approx(words(page, text, word)["left"], abs=1.5)
            assert box["right"] == pytest.approx(words(page, text, word)["right"], abs=1.5)
            assert box["top"] > words(page, text, word)["top"] + 10  # below the word, within its line
            assert box["bottom"] < words(page, text, word)["bottom"] + 20
        for arc in arcs:  # in the room above a line: its words begin below
            tops = [words(page, text, word)["top"] for word in ("left knee", "right ankle", "swollen")]
            assert min(top for top in tops if top > arc["top"] - 4) >= arc["bottom"] - 6
        first, last = boxes(page, "#under g:nth-child(1) .arc")[0], boxes(page, "#under g:nth-child(1) .arc")[-1]
        knee, swollen = words(page, text, "left knee"), words(page, text, "swollen")
        assert knee["left"] < first["left"] < knee["right"]
        assert swollen["left"] < last["right"] < swollen["right"]
        assert last["bottom"] <= swollen["top"] + 4
        assert boxes(page, "#under g:nth-child(1) .arc")[0]["top"] != boxes(page, "#under g:nth-child(2) .arc")[0]["top"]
        return len(arcs)

    assert check() == 2
    wide = boxes(page, "#under .bar")
    page.set_viewport_size({"width": 400, "height": 800})
    page.locator("#under .arc").nth(2).wait_for(state="attached")  # lines break between the fragments
    assert check() > 2
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    page.set_viewport_size({"width": 1280, "height": 900})
    page.locator("#under .arc").nth(2).wait_for(state="detached")
    assert boxes(page, "#under .bar") == wide


def test_overlapping_mentions_have_bars_of_their_own(page: Any) -> None:
    text = "Severe left ventricular failure was seen."
    answered(page, text, [
        mention(text, "Severe left ventricular failure", label="Disorder"), mention(text, "left ventricular", label="Site"),
        mention(text, "ventricular failure", label="Disorder"),
    ])  # fmt: skip
    tops = [box["top"] for box in boxes(page, "#under .bar")]
    assert len({round(top) for top in tops}) == 3
    assert page.text_content("#legend") == "Disorder (2)Site (1)"
    place = words(page, text, "ventricular")
    page.mouse.move((place["left"] + place["right"]) / 2, (place["top"] + place["bottom"]) / 2)
    assert page.text_content("#tip").count("Disorder") == 2
    assert len(page.query_selector_all("#under .on")) == len(page.query_selector_all("#list tr.on")) == 3
    page.keyboard.press("Escape")
    assert not page.is_visible("#tip")


def test_a_mention_is_reached_by_the_keyboard(page: Any) -> None:
    text = "Nothing but a fever."
    answered(page, text, [mention(text, "fever", concept="C0015967", confidence=0.934, slots={"NI": ["yes"]})])
    cells = [cell.text_content() for cell in page.query_selector_all("#list tbody tr > *")]
    assert cells == ["fever", "Disorder", "C0015967", "0.93", "NI: yes", "14–19"]
    page.focus("#clear")
    for _ in range(10):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.className") == "mention":
            break
    page.keyboard.press("Enter")
    assert page.text_content("#tip") == "Disorder, concept C0015967, confidence 0.93; NI: yes"
    assert page.query_selector_all("#under .on")
    for table in page.query_selector_all("table"):
        assert all(head.get_attribute("scope") for head in table.query_selector_all("th"))
    page.click("#clear")
    assert page.input_value("#text") == ""
    assert "fever" not in page.content()


def test_a_text_is_never_read_as_markup(page: Any) -> None:
    text = "<img src=x onerror=\"document.title='gone'\"> <script>document.title='gone'</script> & fever"
    answered(page, text, [mention(text, "<img src=x", label="<b>Disorder</b>", concept="<i>"), mention(text, "fever")])
    assert page.text_content("#shown") == text
    assert page.query_selector("#result img, #result script, #result b, #result i") is None
    assert "gone" not in page.title()


def test_classes_are_bars_the_likeliest_first(page: Any) -> None:
    page.route("**/about", lambda route: route.fulfill(json={
        "run": "r", "task": "gad", "stage": "trained", "synthetic": False, "predicts": ["classes"],
        "limits": {"texts": 1, "characters": 100},
    }))  # fmt: skip
    page.route("**/predict", lambda route: route.fulfill(json={"predictions": [{"id": "0", "mentions": [], "judgements": [
        {"name": "no", "score": 0.2, "chosen": False}, {"name": "yes", "score": 0.8, "chosen": True},
    ]}]}))  # fmt: skip
    page.reload()
    page.locator("#facts", has_text="gad").wait_for()
    assert not page.is_visible("#synthetic")
    answered(page, "A text.")
    assert [item.text_content() for item in page.query_selector_all("#bars li")] == ["yes (chosen)0.80", "no0.20"]
    wide, narrow = (box["width"] for box in boxes(page, "#bars .fill"))
    assert wide == pytest.approx(4 * narrow, rel=0.02)
    assert not page.is_visible("#found")


CHEM = "😀 Aspirin and ibuprofen inhibit COX-1, and in the second experiment aspirin alone had no effect on it at any dose."


def relating(page: Any, **changes: Any) -> list[Any]:
    """Makes the page that of a task that relates given mentions; gives a list of the bodies that it will ask with."""
    asked: list[Any] = []
    about = {
        "run": "r", "task": "chemprot", "stage": "trained", "synthetic": False, "predicts": ["relations"], "given": "mentions",
        "labels": ["CHEMICAL", "GENE"], "directed": True, "limits": {"texts": 1, "characters": 50_000, "mentions": 10},
    } | changes  # fmt: skip

    def answer(route: Any) -> None:
        asked.append(json.loads(route.request.post_data))
        given = asked[-1]["texts"][0]["mentions"]
        concepts = "pairs" in about["predicts"]
        ends = [[[], m["concept"]] if concepts else [m["fragments"], m["label"]] for m in given]
        unique = list({json.dumps(end): end for end in ends}.values())
        relations = [{"source": end, "target": unique[-1], "label": "CPR:4", "confidence": 0.75} for end in unique[:-1]]
        route.fulfill(json={"predictions": [{"id": "0", "mentions": [], "relations": relations}]})

    page.route("**/about", lambda route: route.fulfill(json=about))
    page.route("**/predict", answer)
    page.reload()
    page.locator("#facts", has_text=about["task"]).wait_for()
    return asked


def select(page: Any, words: str, label: str) -> None:
    """Selects the first place of some words in the text box, and chooses their type."""
    page.evaluate(
        "w => { const t = document.getElementById('text'), at = t.value.indexOf(w); t.setSelectionRange(at, at + w.length); }",
        words,
    )
    page.locator("#types button", has_text=label).click()


def given_on(page: Any) -> list[str]:
    return [item.text_content() for item in page.query_selector_all("#given li")]


@pytest.mark.parametrize("width", [1280, 390])
def test_mentions_are_marked_and_their_relations_are_arcs(page: Any, width: int) -> None:
    asked = relating(page)
    page.set_viewport_size({"width": width, "height": 900})
    page.fill("#text", CHEM)
    page.click("#go")
    assert "Mark two mentions or more" in page.text_content("#error")
    select(page, " Aspirin ", "CHEMICAL")  # blanks at the ends are left out; the same words are marked in any case of letters
    select(page, "ibuprofen", "CHEMICAL")
    select(page, "COX-1", "GENE")
    assert given_on(page) == ["AspirinCHEMICAL×", "ibuprofenCHEMICAL×", "COX-1GENE×", "aspirinCHEMICAL×"]
    assert page.text_content("#status") == "4 mentions marked."
    page.locator("#given .gone").nth(1).click()
    page.click("#go")
    page.wait_for_selector("#result:not([hidden])")
    (text,) = asked[-1]["texts"]
    assert text["text"] == CHEM
    assert [CHEM[m["fragments"][0][0] : m["fragments"][0][1]] for m in text["mentions"]] == ["Aspirin", "COX-1", "aspirin"]
    assert page.text_content("#status") == "3 mentions given. 2 relations."
    rows = [
        [cell.text_content() for cell in row.query_selector_all("th, td")]
        for row in page.query_selector_all("#relations tbody tr")
    ]
    assert rows == [
        ["Aspirin (CHEMICAL)", "CPR:4", "aspirin (CHEMICAL)", "0.75"], ["COX-1 (GENE)", "CPR:4", "aspirin (CHEMICAL)", "0.75"],
    ]  # fmt: skip
    # Each relation has one label, and one arrow, which stands on the mention that it goes to; nothing is wider than the page.
    assert [item.text_content() for item in page.query_selector_all("#under .relation text")] == ["CPR:4", "CPR:4"]
    goal = words(page, CHEM, "aspirin")
    for head in boxes(page, "#under .relation .head"):
        assert goal["left"] < (head["left"] + head["right"]) / 2 < goal["right"]
        assert head["bottom"] == pytest.approx(goal["top"], abs=6)
    assert len(boxes(page, "#under .relation .head")) == 2
    labels, frame = boxes(page, "#under .relation text"), boxes(page, "#drawing")[0]
    assert all(frame["left"] <= box["left"] and box["right"] <= frame["right"] for box in labels)
    assert not (labels[0]["bottom"] > labels[1]["top"] + 2 and labels[1]["bottom"] > labels[0]["top"] + 2
                and labels[0]["right"] > labels[1]["left"] and labels[1]["right"] > labels[0]["left"])  # fmt: skip
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.hover("#relations tbody tr:nth-child(2)")
    assert len(page.query_selector_all("#under .relation.on")) == 1
    assert len(page.query_selector_all("#under g.on:not(.relation)")) == 2
    page.uncheck("#arcs")
    assert not page.query_selector_all("#under .relation *")
    assert [line for line in page.told if line] == []


def test_marked_words_keep_their_place_while_the_text_changes(page: Any) -> None:
    asked = relating(page, directed=False)
    page.fill("#text", CHEM)
    select(page, "ibuprofen", "CHEMICAL")
    select(page, "COX-1", "GENE")
    page.evaluate("() => { const t = document.getElementById('text'); t.focus(); t.setSelectionRange(0, 0); }")
    page.keyboard.type("Here: 😀 ")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#result:not([hidden])")
    (text,) = asked[-1]["texts"]
    assert text["text"].startswith("Here: 😀 ")
    assert [text["text"][m["fragments"][0][0] : m["fragments"][0][1]] for m in text["mentions"]] == ["ibuprofen", "COX-1"]
    assert not page.query_selector_all("#under .head")  # a relation without a direction has no arrow
    page.fill("#text", CHEM.replace("ibuprofen", "naproxen"))
    assert given_on(page) == ["COX-1GENE×"]
    assert page.text_content("#status") == "1 mark went with the words that changed."
    page.click("#clear")
    assert given_on(page) == []


def test_concepts_are_joined_by_their_nearest_mentions(page: Any) -> None:
    asked = relating(page, task="bc5cdr-cid", predicts=["pairs"])
    page.fill("#text", CHEM)
    for word, label in (("aspirin", "CHEMICAL"), ("effect", "GENE")):
        select(page, word, label)
    names = page.locator("#given input")
    assert [names.nth(i).input_value() for i in range(3)] == ["aspirin", "aspirin", "effect"]
    names.nth(0).fill("D001")
    names.nth(0).press("Tab")
    assert [names.nth(i).input_value() for i in range(3)] == ["D001", "D001", "effect"]  # all mentions of these words
    page.click("#go")
    page.wait_for_selector("#result:not([hidden])")
    assert [m["concept"] for m in asked[-1]["texts"][0]["mentions"]] == ["D001", "D001", "effect"]
    (row,) = page.query_selector_all("#relations tbody tr")
    assert [cell.text_content() for cell in row.query_selector_all("th, td")] == ["aspirin (D001)", "CPR:4", "effect", "0.75"]
    arc = boxes(page, "#under .relation .arc")[0]
    assert words(page, CHEM, "aspirin")["left"] < arc["left"] < words(page, CHEM, "aspirin")["right"]  # not the first one


def test_what_is_wrong_is_said_on_the_page(page: Any) -> None:
    page.click("#go")
    assert page.text_content("#error") == "There is no text yet."
    page.fill("#text", "a" * 50_001)
    page.click("#go")
    page.locator("#error", has_text="50,001").wait_for()
    assert not page.is_visible("#result")


def test_the_page_asks_for_the_token(browser: Any, far: Server, token: str) -> None:
    tab = browser.new_context(color_scheme="dark").new_page()
    tab.goto(far.url)
    tab.wait_for_selector("#key:not([hidden])")
    assert not tab.is_visible("#ask")
    tab.fill("#token", "wrong")
    tab.keyboard.press("Enter")
    tab.wait_for_selector("#error:not([hidden])")
    tab.fill("#token", token)
    tab.keyboard.press("Enter")
    tab.wait_for_selector("#ask:not([hidden])")
    assert not tab.is_visible("#key")
    answered(tab, "No effusion.")
    assert tab.evaluate("localStorage.length + sessionStorage.length + document.cookie.length") == 0
    tab.context.close()


# ---- the last one, since it ends the server --------------------------------------------------------------------------------
def test_beyond_this_machine_a_token_is_wanted_and_an_interrupt_is_no_failure(
    result: bench.RunResult, far: Server, token: str, notes: Sequence[str], tmp_path: Path
) -> None:
    texts = [notes[0][:600]]
    assert far.ask("predict", {"texts": texts})[0] == 401
    status, answer = far.ask("predict", {"texts": texts}, Authorization=f"Bearer {token}")
    assert (status, answer["stage"]) == (200, "quantized")
    assert answer["predictions"] == predicted(result.folder, texts, tmp_path / "out", "--stage", "quantized")
    with ThreadPoolExecutor(1) as asker:  # what takes minutes is not waited for
        slow = asker.submit(far.ask, "predict", {"texts": [notes[0][:9000] * 5] * 20}, Authorization=f"Bearer {token}")
        time.sleep(1)
        far.process.send_signal(signal.SIGINT)
        assert far.process.wait(60) == 0
        assert slow.result()[0] in (200, 503)
    said = far.said.read_text(encoding="utf-8")
    assert said.endswith("ended\n")
    assert said.count(token) == 1
    assert "not encrypted" in said
    assert "Traceback" not in said
