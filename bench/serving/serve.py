"""Loads the model of a finished run and serves it until it is interrupted; nothing is written to disk."""

from __future__ import annotations

import errno
import secrets
import socket
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from bench.api.data import Document
from bench.errors import MissingError, UsageError
from bench.registry import Registry
from bench.reporting import Reporter
from bench.results.schema import Stage
from bench.steps.finished import finished_run
from bench.steps.trained import chosen_task, given, load_trained
from bench.wording import some

PORT = 8000
SHORTEST_TOKEN = 16
PATIENCE = 5
"""Seconds for which answers are waited for once the server is to end."""
WAITING = 100
"""Connections at once; a further one is told to come back."""


@dataclass(frozen=True)
class ServeConfig:
    """What is served, and where.

    Args:
        task: one of the run's; None where it has one.
        stage: ``trained``, or ``quantized`` for the same adapters on the quantized base.
        device: where it computes, e.g. ``cpu``; the run's where None.
        host: name or address to listen on.
        port: to listen on; 0 for any that is free.
        token: that requests have to bring. Where None, one is made if `host` is more than this machine, and none is wanted
            otherwise.
    """

    task: str | None = None
    stage: Stage = "trained"
    device: str | None = None
    host: str = "127.0.0.1"
    port: int = PORT
    token: str | None = None


def serve(folder: Path, registry: Registry, config: ServeConfig, console: Reporter) -> bool:
    """Serves the model of a finished run, and returns when it is interrupted (SIGINT, SIGTERM).

    Answers are waited for a few seconds. A prediction that takes longer goes on in its thread, and nobody gets it.

    Args:
        folder: of the run.
        registry: the plugins.
        config: what, and where.
        console: shows steps, the address, and a line for each request.

    Returns:
        Whether no prediction is still going on.

    Raises:
        UsageError: no such task, stage, device or host; the task needs more than a text; the port is taken; the token is short.
        RunStateError: the run did not finish, or its weights are missing or damaged.
        MissingError: the extra ``serve`` is not installed.
    """
    try:
        import uvicorn

        from bench.serving.app import About, make_app
    except ImportError as error:
        name = (error.name or "fastapi").partition(".")[0]
        raise MissingError(f"'bench serve' needs {name}, which is not installed.", "pip install 'bench-suite[serve]'") from None
    run = finished_run(folder, registry)
    task = chosen_task(run.result, tuple(run.parts.tasks), config.task)
    head = run.parts.fresh_head(task)
    needed = given(head)
    if needed == "passages":
        raise UsageError(
            f"Task {task} of run {run.result.id} needs texts with their passages, which the page does not take.",
            f"Predict files: bench predict {run.result.id} INPUT --task {task} --out DIR.",
        )
    _check(config)
    worker, predicting = ThreadPoolExecutor(1, "predict"), threading.Lock()
    with _listening(config.host, config.port) as listener:
        loopback = ip_address(listener.getsockname()[0]).is_loopback
        token = config.token or (None if loopback else secrets.token_urlsafe(24))
        model = load_trained(folder, registry, config.stage, config.device, console)

        def predict(documents: Sequence[Document]) -> Sequence[Document]:
            with predicting:
                return model.predict(documents, task)

        console.step("trying it on a text")  # the linker learns at the first call, and what is amiss is told now
        worker.submit(predict, [Document("0", "This text stands for the first one.")]).result()
        hosts = frozenset({"localhost", "127.0.0.1", "::1", config.host.lower()}) if loopback else None
        kinds = run.saved_heads()[task]["state"].get("kinds", ())
        about = About(
            run.result.id, task, config.stage, run.result.synthetic, head.predicts, needed,
            labels=tuple(kinds) if needed else (), directed=not getattr(head, "forward", False),
        )  # fmt: skip
        app = make_app(predict, about, worker, console.note, hosts, token)
        settings = uvicorn.Config(
            app, http="h11", ws="none", lifespan="off", log_config=None, log_level="critical", access_log=False,
            server_header=False, limit_concurrency=WAITING, timeout_graceful_shutdown=PATIENCE,
        )  # fmt: skip
        console.step(f"serving {task} with the {config.stage} model of {run.result.id}")
        _tell(config, listener.getsockname()[1], token, loopback, run.result.synthetic, console)
        with suppress(KeyboardInterrupt):  # uvicorn raises the signal again once it has ended
            uvicorn.Server(settings).run([listener])
    worker.shutdown(wait=False, cancel_futures=True)
    console.note("ended")
    return not predicting.locked()


def _check(config: ServeConfig) -> None:
    """Refuses a port or a token before the model is loaded."""
    if not 0 <= config.port < 2**16:
        raise UsageError(f"--port is {config.port}; wanted a number from 0 (any that is free) to 65535.")
    token = config.token
    if token is not None and (len(token) < SHORTEST_TOKEN or not token.isascii() or not token.isprintable() or " " in token):
        raise UsageError(
            f"The token has {some(len(token), 'character')}; wanted at least {SHORTEST_TOKEN}, ASCII and without blanks.",
            "Leave it out where the server is not on this machine alone, and one is made.",
        )


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that listens before the model is loaded, so that a taken port is told at once."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host or "?", port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError):
        message = f"There is no host {host!r}; wanted a name or an address of this machine."
        raise UsageError(message, "Use --host 127.0.0.1.") from None
    with socket.socket(family, kind, protocol) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
            listener.listen(WAITING)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                message = f"Port {port} of {host} is taken by another program; wanted a free one."
                hint = "Use --port 0 for any that is free."
            elif error.errno == errno.EACCES:
                message, hint = f"Port {port} is not for this user; wanted one from 1024 on.", f"Use --port {PORT}."
            else:
                message = f"{host} cannot be listened on: {error.strerror or error}; wanted an address of this machine."
                hint = "Use --host 127.0.0.1."
            raise UsageError(message, hint) from None
        yield listener


def _tell(config: ServeConfig, port: int, token: str | None, loopback: bool, synthetic: bool, console: Reporter) -> None:
    """Says where to go, and with what."""
    host = f"[{config.host}]" if ":" in config.host else config.host
    console.note(f"http://{host}:{port}/ (^C ends it)")
    if synthetic:
        console.warn("SYNTHETIC: the run was trained on generated text, so this says nothing about real text")
    if token is not None and config.token is None:
        console.note(f"token, which is shown this once: {token}")
    if not loopback:
        console.warn("Other machines can connect, and HTTP is not encrypted: put a server that speaks TLS before it.")
