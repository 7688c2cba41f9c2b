"""All checks of `bench verify`: a finished run against its manifest, its journal, its statistics, its weights and its corpora.

Each check holds, differs, or was not made, with the reason. Together they say that the files of the run agree with each other
and, where a corpus is there, with its gold. They do not say that the run took place: whoever makes up every file consistently,
or trains again and says nothing, passes (docs/verifying.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bench.data.content import code_digest
from bench.errors import BenchError, RunStateError
from bench.registry import Registry
from bench.results.layout import RESULT
from bench.results.manifest import Manifest
from bench.results.schema import Result
from bench.results.store import read_result
from bench.steps.resolve import resolve
from bench.steps.start import given
from bench.verifying.check import Check, Verification, verdict
from bench.verifying.records import cross_checks, files, journal, parity
from bench.verifying.scoring import task_checks


def verify(folder: Path, registry: Registry, data: Mapping[str, str] | None = None) -> Verification:
    """Holds a finished run against everything that is there.

    Args:
        folder: of the run.
        registry: the plugins, whose scorers are needed.
        data: task to the folder of its corpus; those that the run read, where they still are.
    """
    manifest, checks = files(folder)
    try:
        result = read_result(folder)
    except RunStateError as error:
        return Verification(folder.name, folder, (*checks, Check(RESULT, "differs", error.message)))
    checks += _made(RESULT, lambda: cross_checks(result, manifest))
    checks += _made("journal", lambda: journal(folder, result, manifest))
    checks.append(parity(folder, result, registry))
    for name in result.scores:
        checks += task_checks(folder, result, name, registry, dict(data or {}))
    checks += [_model(result, registry), _code(result, manifest, registry)]
    return Verification(result.id, folder, tuple(checks))


def _made(what: str, make: Callable[[], Sequence[Check]]) -> Sequence[Check]:
    """Checks of a file; one that differs where the file has what a check cannot even read, though its hashes hold."""
    try:
        return make()
    except (AttributeError, LookupError, TypeError, ValueError):  # written anew, of any shape
        return (Check(what, "differs", "it holds what bench does not write"),)


def _model(result: Result, registry: Registry) -> Check:
    """The base model's files, where they are on this machine; nothing is fetched."""
    what, name, stated = "base model", str(result.config.get("model")), str(result.hashes.get("model"))
    short = {entry.name for entry in registry.entries("models")}
    if name not in short and not Path(name).expanduser().is_dir():
        return Check(what, "not checked", f"{name} is not on this machine")
    try:
        found = resolve(given(result), registry).model.sha256()
    except BenchError:
        return Check(what, "not checked", f"{name} cannot be read on this machine")
    return verdict(what, [f"{name} has other files here"] * (found != stated), f"{name}, SHA-256 {stated[:12]}…")


def _code(result: Result, manifest: Manifest | None, registry: Registry) -> Check:
    """The sources that ran, against those that verify; another version of bench is no fault of the run."""
    what, commit = "code", str(result.git.get("commit") or "no commit")[:12]
    ran = f"{commit}{' with changes' * bool(result.git.get('dirty'))}"
    if manifest is None:
        return Check(what, "not checked", f"{ran}; no manifest tells its hash")
    try:
        here = code_digest(*resolve(given(result), registry).used())
    except BenchError:
        return Check(what, "not checked", f"{ran}; a part of the run is not installed here")
    if here != manifest.code.get("sha256"):
        return Check(what, "not checked", f"{ran}; other sources are installed here")
    return Check(what, "holds", f"{ran}; the same sources are installed here")
