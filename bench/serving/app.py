"""The application: one endpoint that predicts, and the page that asks it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from bench.api.data import Document
from bench.errors import BenchError, DataError, UsageError, out_of_memory
from bench.kit import records
from bench.kit.jsonl import Record
from bench.results.schema import Stage
from bench.results.store import as_record
from bench.serving.guard import Guard, Rules, place, problem
from bench.wording import some

MOST_TEXTS = 100
LONGEST_TEXT = 50_000
"""Characters of one text."""
MOST_MENTIONS = 1_000
"""Mentions given with one text, which may all be related with one another."""

PAGE = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
ROUTES = dict.fromkeys(PAGE, True) | {"/healthz": True, "/about": False, "/predict": False}
"""Path to whether it needs no token."""
WANTED = {
    None: ("strings", 'Wanted {"texts": ["…", …]}: strings.'),
    "mentions": (
        "objects with a text and its mentions",
        'Wanted {"texts": [{"text": "…", "mentions": [{"fragments": [[0, 4]], "label": "…"}, …]}, …]}; a mention also has a '
        '"concept" where concepts are related.',
    ),
}
"""What a text comes with to what `texts` holds, in a word and in whole."""


@dataclass(frozen=True)
class About:
    """What is served.

    Args:
        run: its id.
        task: its name.
        stage: of the run.
        synthetic: whether the run was trained on generated text.
        predicts: kinds of annotation, as of `bench.api.head.Head`.
        given: ``mentions`` where these come with a text, to be related.
        labels: of mentions that the run met in relations; empty where none are given.
        directed: whether a relation from one mention to another differs from its reverse.
    """

    run: str
    task: str
    stage: Stage
    synthetic: bool
    predicts: tuple[str, ...]
    given: Literal["mentions"] | None = None
    labels: tuple[str, ...] = ()
    directed: bool = True


class Texts(BaseModel):
    """The body of a request."""

    model_config = ConfigDict(extra="forbid", strict=True)
    texts: list[str | dict[str, Any]]


def make_app(
    predict: Callable[[Sequence[Document]], Sequence[Document]],
    about: About,
    worker: Executor,
    log: Callable[[str], None],
    hosts: frozenset[str] | None = None,
    token: str | None = None,
) -> ASGIApp:
    """The application with its guard.

    Args:
        predict: gives a document for each one, which holds a text, and mentions where these are given.
        about: what predicts.
        worker: has one thread, in which `predict` is called: requests wait for one another.
        log: takes a line for each request, and one where something fails.
        hosts: names by which a request may call the server; None: any.
        token: that requests have to bring; None: none.
    """
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    told = asdict(about) | {"limits": {"texts": MOST_TEXTS, "characters": LONGEST_TEXT, "mentions": MOST_MENTIONS}}
    item, wanted = WANTED[about.given]

    @app.post("/predict")
    async def predict_texts(request: Request, body: Texts) -> Response:
        request.state.texts = len(body.texts)
        if len(body.texts) > MOST_TEXTS:
            return problem(
                413, f"Got {some(len(body.texts), 'text')}; wanted at most {MOST_TEXTS}.", "Send them in several requests."
            )
        if any(isinstance(text, str) is (about.given is not None) for text in body.texts):
            return problem(422, f"'texts' holds something other than {item}.", wanted)
        try:
            documents = [_document(number, text) for number, text in enumerate(body.texts)]
        except DataError as error:
            return problem(422, error.message, error.hint or "")
        longest = max((len(document.text) for document in documents), default=0)
        if longest > LONGEST_TEXT:
            return problem(
                413,
                f"A text has {some(longest, 'character')}; wanted at most {LONGEST_TEXT:,}.",
                "Cut it, or use 'bench predict'.",
            )
        if any(len(document.mentions) > MOST_MENTIONS for document in documents):
            return problem(413, f"A text comes with more than {MOST_MENTIONS:,} mentions.", "Cut it, or use 'bench predict'.")
        if "pairs" in about.predicts and any(d.mentions and not any(m.concept for m in d.mentions) for d in documents):
            return problem(422, "The mentions of a text have no concepts, and it is these that are related.", wanted)
        if not all(_encodable(document.text) for document in documents):
            return problem(422, "A text holds half of a surrogate pair, which is no character.", "Send Unicode text.")
        try:
            predicted = await asyncio.get_running_loop().run_in_executor(worker, partial(predict, documents))
        except BenchError as error:
            return problem(422 if isinstance(error, UsageError) else 500, error.message, error.hint or "")
        except Exception as error:
            log(f"error: {place(error)}")
            if out_of_memory(error):
                return problem(503, "Memory ran out.", "Send fewer or shorter texts.")
            return problem(500, f"The model failed ({type(error).__name__}).", "The server's log says where.")
        origin = {"run": about.run, "task": about.task, "stage": about.stage, "synthetic": about.synthetic}
        found = origin | {"predictions": [as_record(document) for document in predicted]}
        return Response(json.dumps(found), media_type="application/json")

    @app.get("/about")
    async def tell_about() -> Response:
        return Response(json.dumps(told), media_type="application/json")

    @app.get("/healthz")
    async def tell_health() -> Response:
        return Response('{"status": "ok"}', media_type="application/json")

    for path, (name, kind) in PAGE.items():
        content = files("bench.serving").joinpath("static", name).read_bytes()
        app.get(path)(_static(content, kind))

    @app.exception_handler(RequestValidationError)
    async def refuse_body(request: Request, error: RequestValidationError) -> Response:
        return problem(422, f"{_fault(error, item)} {wanted}")  # FastAPI's own answer would quote the text

    @app.exception_handler(HTTPException)
    async def refuse(request: Request, error: HTTPException) -> Response:
        if request.scope["path"] in ROUTES:
            known = {400: f"The body cannot be read. {wanted}", 405: "This method is not for this path."}
            refusal = problem(error.status_code, known.get(error.status_code, "The request is refused."))
            refusal.headers.update(error.headers or {})  # 405 has to say which methods are
            return refusal
        return problem(error.status_code, f"There is nothing here; wanted one of {', '.join(ROUTES)}.")

    return Guard(app, Rules(ROUTES, hosts, token), log)


def _static(content: bytes, kind: str) -> Callable[[], Awaitable[Response]]:
    async def give() -> Response:
        return Response(content, media_type=kind)

    return give


def _document(number: int, text: str | Mapping[str, Any]) -> Document:
    """A text as a document; of an object its text and mentions, which are checked.

    Raises:
        DataError: naming the text by its number, from 1 on, and quoting nothing.
    """
    if isinstance(text, str):
        return Document(str(number), text)
    record = Record(Path("request"), number + 1, {**text, "id": str(number)}, "text")
    (document,) = records.documents([record], "mentions")
    return document


def _encodable(text: str) -> bool:
    """Whether a text is made of characters; JSON can spell halves of surrogate pairs, which tokenizers refuse."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _fault(error: RequestValidationError, item: str) -> str:
    """What is wrong with a body, by the kinds of fault that pydantic names; never its names or values."""
    faults = {
        "json_invalid": "The body is not JSON.",
        "extra_forbidden": "The body has a field other than 'texts'.",
        "list_type": "'texts' is no list.",
        "string_type": f"'texts' holds something other than {item}.",
        "missing": "The body has no 'texts'.",
        "model_attributes_type": "The body is no JSON object, or its type is not application/json.",
    }
    kinds = [str(fault["type"]) for fault in error.errors()]
    return next((words for kind, words in faults.items() if kind in kinds), "The body is not as it should be.")
