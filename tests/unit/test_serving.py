"""The application of `bench serve` and its guard: who may ask, what is refused, and that no text is told to anybody."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("httpx2")

from starlette.testclient import TestClient

from bench.api.data import Document, Judgement, Mention, Relation
from bench.errors import DivergedError, UsageError
from bench.reporting import SilentReporter
from bench.results.store import read_predictions
from bench.serving import guard
from bench.serving.app import LONGEST_TEXT, MOST_MENTIONS, MOST_TEXTS, PAGE, About, make_app
from bench.serving.serve import ServeConfig, _check, _listening, _tell

HERE = "http://127.0.0.1:8000"
TOKEN = "a-token-that-is-long-enough"
CANARY = "Zyxqanary"


def found(documents: Sequence[Document]) -> list[Document]:
    """What a model could give: every text has a mention in two fragments, and a class."""
    mention = Mention(((0, 1), (2, 4)), "Disorder", "C0000001", {"NI": ("yes",)}, 0.123456789)
    return [
        Document(document.id, document.text, (mention,) if document.text else (), judgements=(Judgement("a", 0.75, True),))
        for document in documents
    ]


class Served:
    """An application with what it logged."""

    def __init__(self, predict: Any = found, about: About | None = None, **guarded: Any) -> None:
        self.log: list[str] = []
        self.worker = ThreadPoolExecutor(1)
        about = about or About("run-1", "2015-T14", "trained", True, ("mentions",))
        self.app = make_app(predict, about, self.worker, self.log.append, **guarded)
        self.client = TestClient(self.app, base_url=HERE)

    def ask(self, texts: Any = None, **how: Any) -> Any:
        return self.client.post("/predict", **({"json": {"texts": texts}} | how))


@pytest.fixture
def served() -> Iterator[Served]:
    made = Served(hosts=frozenset({"127.0.0.1", "localhost"}))
    yield made
    made.worker.shutdown()


def test_an_answer_holds_what_a_prediction_file_holds(served: Served, tmp_path: Path) -> None:
    answer = served.ask(["a bc", "", "😀 né"])
    assert answer.status_code == 200
    told = answer.json()
    assert {k: told[k] for k in told if k != "predictions"} == {
        "run": "run-1", "task": "2015-T14", "stage": "trained", "synthetic": True,
    }  # fmt: skip
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(line) + "\n" for line in told["predictions"]), encoding="utf-8")
    texts = [Document(str(number), text) for number, text in enumerate(("a bc", "", "😀 né"))]
    expected = [document.without_text() for document in found(texts)]
    assert list(read_predictions(tmp_path / "p.jsonl")) == expected
    assert "né" not in answer.text
    assert served.log == [f"POST /predict 200, 3 texts, {served.log[0].rpartition(', ')[2]}"]


def test_every_answer_is_kept_nowhere_and_loads_nothing_from_elsewhere(served: Served) -> None:
    for path in (*PAGE, "/healthz", "/about", "/nowhere", "/predict"):
        headers = served.client.get(path).headers
        assert headers["cache-control"] == "no-store"
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in headers
    for method, path, allowed in (("GET", "/predict", "POST"), ("POST", "/", "GET"), ("DELETE", "/about", "GET")):
        refusal = served.client.request(method, path)
        assert (refusal.status_code, refusal.headers["allow"]) == (405, allowed)
    assert served.client.get("/healthz").json() == {"status": "ok"}
    about = served.client.get("/about").json()
    assert about["limits"] == {"texts": MOST_TEXTS, "characters": LONGEST_TEXT, "mentions": MOST_MENTIONS}
    page = served.client.get("/").text
    assert "http" not in page.replace("http-equiv", "")  # nothing to fetch from another place
    assert "style=" not in page
    assert "<script>" not in page


@pytest.mark.parametrize(
    ("status", "says", "how"),
    [
        (422, "not JSON", {"content": CANARY, "headers": {"Content-Type": "application/json"}}),
        (422, "no JSON object", {"content": f'{{"texts": ["{CANARY}"]}}', "headers": {"Content-Type": "text/plain"}}),
        (422, "no 'texts'", {"json": {}}),
        (422, "other than 'texts'", {"json": {"texts": ["a"], CANARY: 1}}),
        (422, "no list", {"json": {"texts": CANARY}}),
        (422, "other than strings", {"json": {"texts": [CANARY, 5]}}),
        (422, "other than strings", {"json": {"texts": [{"text": CANARY, "mentions": []}]}}),
        (422, "surrogate", {"content": f'{{"texts": ["{CANARY} \\ud800"]}}', "headers": {"Content-Type": "application/json"}}),
        (400, "cannot be read", {"content": "[" * 50_000, "headers": {"Content-Type": "application/json"}}),
        (413, "wanted at most", {"json": {"texts": [CANARY] * (MOST_TEXTS + 1)}}),
        (413, "wanted at most", {"json": {"texts": [f"{CANARY}{'a' * LONGEST_TEXT}"]}}),
        (413, "KiB", {"json": {"texts": [CANARY * guard.LARGEST_BODY]}}),
        (413, "KiB", {"content": iter([CANARY.encode() * 1000] * 1000)}),  # no length is announced
    ],
)
def test_a_body_that_is_refused_is_told_and_not_quoted(
    status: int,
    says: str,
    how: dict[str, Any],
    served: Served,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.DEBUG):
        answer = served.ask(**how)
    assert (answer.status_code, set(answer.json())) == (status, {"error"})
    assert says in answer.json()["error"]
    assert "  " not in answer.json()["error"]
    out, err = capfd.readouterr()
    assert CANARY not in answer.text + out + err + caplog.text + "".join(served.log)
    assert served.ask(["a bc"]).status_code == 200


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [
        (ValueError(CANARY), 500, "ValueError"),
        (MemoryError(CANARY), 503, "Memory ran out"),
        (UsageError("What is told.", "What to do."), 422, "What is told. What to do."),
        (DivergedError("Not finite."), 500, "Not finite."),
    ],
)
def test_an_error_of_the_model_is_told_by_kind_and_place(
    error: Exception, status: int, says: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    def fail(documents: Sequence[Document]) -> list[Document]:
        raise error

    served = Served(fail)
    with caplog.at_level(logging.DEBUG):
        answer = served.ask([CANARY])
    assert answer.status_code == status
    assert says in answer.json()["error"]
    out, err = capfd.readouterr()
    assert CANARY not in answer.text + out + err + caplog.text + "".join(served.log)
    if status == 500 and not isinstance(error, DivergedError):
        assert "test_serving.py" in served.log[0]


def test_what_fails_outside_the_model_ends_in_the_guard(served: Served, capfd: pytest.CaptureFixture[str]) -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError(CANARY)

    log: list[str] = []
    client = TestClient(guard.Guard(broken, guard.Rules({}), log.append), base_url=HERE)
    answer = client.get(f"/{CANARY}?{CANARY}")
    assert answer.status_code == 500
    assert log[0].startswith("error: ValueError in ")
    assert log[1].startswith("other 500")
    out, err = capfd.readouterr()
    assert CANARY not in answer.text + out + err + "".join(log)
    served.client.get(f"/{CANARY}?{CANARY}")
    assert served.log[-1].startswith("other 404")


def test_what_takes_too_long_at_the_end_is_told() -> None:
    async def cancelled(scope: Any, receive: Any, send: Any) -> None:
        raise asyncio.CancelledError

    log: list[str] = []
    answer = TestClient(guard.Guard(cancelled, guard.Rules({"/": True}), log.append), base_url=HERE).get("/")
    assert (answer.status_code, answer.json()["error"][:21]) == (503, "The server is ending.")
    assert log[0].startswith("GET / 503")


def test_a_name_that_is_not_this_machine_s_is_refused(served: Served) -> None:
    for host in ("evil.example", "127.0.0.1.evil.example", "[::2]:8000", ""):
        assert served.client.get("/", headers={"Host": host}).status_code == 421
    for host in ("localhost:9000", "LOCALHOST", "127.0.0.1"):
        assert served.client.get("/", headers={"Host": host}).status_code == 200


def test_the_page_of_another_site_may_not_ask(served: Served) -> None:
    for origin in ("http://evil.example", "null", "http://127.0.0.1:9000"):
        assert served.ask(["a"], headers={"Origin": origin}).status_code == 403
    assert served.ask(["a"], headers={"Origin": HERE}).status_code == 200


def test_a_token_is_wanted_for_all_but_the_page_and_the_health() -> None:
    served = Served(token=TOKEN)
    for path in (*PAGE, "/healthz"):
        assert served.client.get(path).status_code == 200
    for header in (None, f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}", "Bearer", "Bearer ké"):
        headers = {} if header is None else {"Authorization": header.encode("latin-1")}
        for answer in (served.ask([CANARY], headers=headers), served.client.get("/about", headers=headers)):
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
            assert TOKEN not in answer.text
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert served.ask(["a bc"], headers=headers).status_code == 200
    assert served.client.get("/about", headers=headers | {"Host": "any.example"}).status_code == 200
    assert served.client.get("/nowhere").status_code == 401  # what there is stays untold


def test_predictions_wait_for_one_another_and_the_health_does_not() -> None:
    together, most, release = 0, 0, threading.Event()

    def slow(documents: Sequence[Document]) -> list[Document]:
        nonlocal together, most
        together += 1
        most = max(most, together)
        release.wait(10)
        time.sleep(0.02)
        together -= 1
        return found(documents)

    served = Served(slow)
    with served.client as client, ThreadPoolExecutor(4) as askers:
        answers = [askers.submit(client.post, "/predict", json={"texts": ["a bc"]}) for _ in range(3)]
        assert client.get("/healthz").status_code == 200
        assert not any(answer.done() for answer in answers)
        release.set()
        assert [answer.result().status_code for answer in answers] == [200] * 3
    assert most == 1


def test_a_port_that_is_taken_and_a_host_that_is_not_are_told() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(UsageError, match=f"Port {port} of 127.0.0.1 is taken.*--port 0"), _listening("127.0.0.1", port):
            pass
    for host in ("", "no such host", "192.0.2.1"):
        with pytest.raises(UsageError, match=r"--host 127\.0\.0\.1"), _listening(host, 0):
            pass
    with _listening("127.0.0.1", 0) as listener:  # before anything is loaded
        port = listener.getsockname()[1]
        with pytest.raises(UsageError, match="taken"), _listening("127.0.0.1", port):
            pass


def test_tokens_that_are_easily_guessed_or_cannot_be_sent_are_refused() -> None:
    for token in ("", "short", "with a blank in its middle", "ein-schlüssel-aus-umlauten", "two\nlines-of-a-token"):
        with pytest.raises(UsageError, match="wanted at least 16") as caught:
            _check(ServeConfig(token=token))
        assert not token or token not in str(caught.value)
    _check(ServeConfig(token=TOKEN))
    with pytest.raises(UsageError, match="65535"):
        _check(ServeConfig(port=70_000))


def test_a_token_of_the_user_s_own_is_not_printed() -> None:
    class Console(SilentReporter):
        def __init__(self) -> None:
            self.lines: list[str] = []

        def note(self, message: str) -> None:
            self.lines.append(message)

        warn = note

    own, made, near = Console(), Console(), Console()
    _tell(ServeConfig(host="0.0.0.0", token=TOKEN), 80, TOKEN, False, False, own)
    _tell(ServeConfig(host="0.0.0.0"), 80, "made-for-this", False, False, made)
    _tell(ServeConfig(), 80, None, True, True, near)
    assert TOKEN not in " ".join(own.lines)
    assert [line for line in made.lines if "made-for-this" in line]
    assert any("not encrypted" in line for line in own.lines)
    assert not any("encrypted" in line or "token" in line for line in near.lines)
    assert any("SYNTHETIC" in line for line in near.lines)


# ---- mentions that come with a text -----------------------------------------------------------------------------------------
def related(documents: Sequence[Document]) -> list[Document]:
    """Relates the first mention of a text to each of the others, by their concepts."""
    made = []
    for document in documents:
        first, *others = [((), mention.concept or "none") for mention in document.mentions] or [((), "none")]
        made.append(Document(document.id, "", relations=tuple(Relation(first, other, "CID", 0.5) for other in others)))
    return made


def mention(start: Any, end: Any, **more: Any) -> dict[str, Any]:
    return {"fragments": [[start, end]], "label": "Chemical", "concept": "C1"} | more


@pytest.fixture
def relating() -> Iterator[Served]:
    made = Served(related, About("run-1", "bc5cdr-cid", "trained", True, ("pairs",), "mentions", ("Chemical", "Disease")))
    yield made
    made.worker.shutdown()


def test_mentions_come_with_a_text_where_these_are_related(relating: Served) -> None:
    text = "😀 melprilol causes gout"
    answer = relating.ask([
        {"id": "ignored", "text": text, "mentions": [mention(2, 11), mention(19, 23, label="Disease", concept="D1")]},
        {"text": "Nothing.", "mentions": []},
    ])  # fmt: skip
    assert answer.status_code == 200
    first, second = answer.json()["predictions"]
    assert first["id"] == "0"
    assert first["relations"] == [{"source": [[], "C1"], "target": [[], "D1"], "label": "CID", "confidence": 0.5}]
    assert "relations" not in second
    about = relating.client.get("/about").json()
    assert (about["given"], about["labels"], about["directed"]) == ("mentions", ["Chemical", "Disease"], True)


@pytest.mark.parametrize(
    ("status", "says", "texts"),
    [
        (422, "other than objects with a text and its mentions", [CANARY]),
        (422, "other than objects with a text and its mentions", [5]),
        (422, "no field 'mentions'", [{"text": CANARY}]),
        (422, "no field 'text'", [{"mentions": []}]),
        (422, "text 2: mention 1: the fragment 0-99 lies outside the text", [
            {"text": CANARY, "mentions": []}, {"text": CANARY, "mentions": [mention(0, 1), mention(0, 99)]},
        ]),
        (422, "whole numbers", [{"text": CANARY, "mentions": [mention(0, 1.5)]}]),
        (422, "'label'", [{"text": CANARY, "mentions": [mention(0, 1, label=[CANARY])]}]),
        (422, "'concept'", [{"text": CANARY, "mentions": [mention(0, 1, concept={CANARY: 1})]}]),
        (422, "have no concepts", [{"text": CANARY, "mentions": [{"fragments": [[0, 2]], "label": "Chemical"}]}]),
        (413, "more than 1,000 mentions", [{"text": CANARY * 300, "mentions": [mention(n, n + 1) for n in range(1001)]}]),
        (413, "wanted at most 50,000", [{"text": CANARY * 10_000, "mentions": []}]),
    ],
)  # fmt: skip
def test_mentions_that_are_wrong_are_told_and_not_quoted(status: int, says: str, texts: Any, relating: Served) -> None:
    answer = relating.ask(texts)
    assert answer.status_code == status
    assert says in answer.json()["error"]
    assert CANARY not in answer.text
    assert CANARY not in "".join(relating.log)
