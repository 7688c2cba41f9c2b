"""What stands between the network and the application: who may ask, how much, and what is told of it.

A request's text passes through and is never quoted: not in an answer, not in a line of the log.
"""

from __future__ import annotations

import asyncio
import hmac
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bench.wording import some

LARGEST_BODY = 1024**2
"""Bytes of a request."""

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Of every answer: it is kept nowhere, and a page may load nothing from elsewhere and run no script but its own."""


@dataclass(frozen=True)
class Rules:
    """Who may ask for what.

    Args:
        routes: path to whether it is open to those without a token. Requests for another path are logged without it.
        hosts: names by which a request may call the server; None: any.
        token: that a request has to bring, as ``Authorization: Bearer TOKEN``; None: none.
    """

    routes: Mapping[str, bool]
    hosts: frozenset[str] | None = None
    token: str | None = None


class Guard:
    """An ASGI application around another one that lets through what the rules allow.

    Args:
        app: what answers; it is called with a body that has been read whole.
        rules: who may ask.
        log: takes one line for each request: method, path, status, seconds; the number of texts where `app` put it into
            ``scope["state"]["texts"]``.
    """

    def __init__(self, app: ASGIApp, rules: Rules, log: Callable[[str], None]) -> None:
        self._app, self._rules, self._log = app, rules, log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request; nothing that goes wrong in the application leaves this as an exception."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = perf_counter(), 0

        async def marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        try:
            refusal = self._refusal(Headers(scope=scope), scope["path"])
            body = await _body(scope, receive) if refusal is None else b""
            if body is None:
                refusal = problem(
                    413, f"The request is larger than {LARGEST_BODY // 1024:,} KiB.", "Send fewer or shorter texts."
                )
            if refusal is None:
                await self._app(scope, _replayed(body or b"", receive), marked)
            else:
                await refusal(scope, receive, marked)
        except asyncio.CancelledError:  # only at the end of the server, for an answer that took too long
            if not status:
                await problem(503, "The server is ending.", "Ask again when it has been started.")(scope, receive, marked)
        except Exception as error:
            self._log(f"error: {place(error)}")
            if not status:
                await problem(500, "The server failed.", "Its log says where.")(scope, receive, marked)
        what = (
            f"{scope['method']} {scope['path']}"
            if scope["path"] in self._rules.routes and scope["method"] in _METHODS
            else "other"
        )
        texts = scope.get("state", {}).get("texts")
        count = "" if texts is None else f", {some(texts, 'text')}"
        self._log(f"{what} {status}{count}, {perf_counter() - started:.2f} s")

    def _refusal(self, headers: Headers, path: str) -> Response | None:
        """The answer to a request that the rules do not allow."""
        host = headers.get("host", "")
        if self._rules.hosts is not None and _name(host) not in self._rules.hosts:
            wanted = " or ".join(sorted(self._rules.hosts))
            return problem(
                421, f"The request is for another host; wanted {wanted}.", "Open the address that 'bench serve' printed."
            )
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2] != host:
            return problem(
                403, "The request comes from the page of another site.", "Ask from a program, or from this server's page."
            )
        if self._rules.token is None or self._rules.routes.get(path, False):
            return None
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self._rules.token.encode()):
            return None
        got = "a wrong one" if given else "none"
        refusal = problem(401, f"A token is wanted; got {got}.", "Send the header 'Authorization: Bearer TOKEN'.")
        refusal.headers["WWW-Authenticate"] = "Bearer"
        return refusal


_METHODS = ("GET", "HEAD", "POST", "OPTIONS")


def problem(status: int, message: str, hint: str = "") -> Response:
    """An answer that says in one line what is wrong, as ``{"error": …}``."""
    return JSONResponse({"error": f"{message} {hint}".strip()}, status)


def place(error: BaseException) -> str:
    """The kind of an exception and where it was raised, without its message, which could quote a text."""
    frames = traceback.extract_tb(error.__traceback__)[-4:]
    stack = " < ".join(f"{'/'.join(Path(f.filename).parts[-2:])}:{f.lineno} in {f.name}" for f in reversed(frames))
    return f"{type(error).__name__} in {stack}"


def _name(host: str) -> str:
    """A Host header without its port."""
    if host.startswith("["):
        return host.partition("]")[0].lstrip("[").lower()
    return host.partition(":")[0].lower()


async def _body(scope: Scope, receive: Receive) -> bytes | None:
    """The body of a request; None where it is too large, of which no more than the limit is read."""
    announced = Headers(scope=scope).get("content-length", "0")
    if not announced.isdecimal() or int(announced[:12]) > LARGEST_BODY:
        return None
    body, more = bytearray(), True
    while more:
        message = await receive()
        if message["type"] != "http.request":  # whoever asked has gone
            break
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > LARGEST_BODY:
            return None
    return bytes(body)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Gives a body that has been read, then what else comes."""
    bodies = [body]

    async def again() -> Message:
        if bodies:
            return {"type": "http.request", "body": bodies.pop(), "more_body": False}
        return await receive()

    return again
