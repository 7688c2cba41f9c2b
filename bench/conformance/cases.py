"""The list of checks, the kinds of parts that each applies to, and the cases of a reference."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

from bench.api.part import Requirement
from bench.api.task import Task
from bench.conformance.corpora import corpus_there
from bench.conformance.workbench import Failure, Workbench, one_line
from bench.errors import UsageError, unknown
from bench.registry import KINDS, Entry, Kind, Registry, singular

CHECKS: Mapping[str, str] = {
    "metadata": "the part's description is complete and true, and can be read without torch",
    "determinism": "the same input gives the same result, whatever the global random state",
    "oracle-round-trip": "gold survives encoding and decoding, or what is lost is counted",
    "gradients": "every trainable tensor gets a gradient and moves, also after an evaluation",
    "token-counts": "the base model sees exactly the tokens that the ledger counts",
    "parity": "the number of trainable parameters is exactly the planned one",
    "save-and-load": "what is saved and loaded again is the same",
    "privacy": "no text of a corpus and no folder of the user gets where it must not be",
}
"""Name to meaning of every check, in the order in which they run."""

_TRAIN = tuple(Requirement(m, "bench-suite[train]") for m in ("torch", "transformers", "peft", "safetensors"))
_DATA = (*_TRAIN, Requirement("datasets", "bench-suite[train]"))
_GOLD: Mapping[str, tuple[Requirement, ...]] = {
    "metadata": (), "determinism": (), "oracle-round-trip": (), "gradients": _TRAIN[:1], "token-counts": _DATA,
    "save-and-load": (), "privacy": (),
}  # fmt: skip
_NEEDS: Mapping[Kind, Mapping[str, tuple[Requirement, ...]]] = {
    "tasks": _GOLD,
    "heads": _GOLD,
    "architectures": {
        "metadata": (), "determinism": _TRAIN, "gradients": _TRAIN, "token-counts": _TRAIN, "parity": _TRAIN,
        "save-and-load": _TRAIN,
    },
    "quantizers": {
        "metadata": (), "determinism": _TRAIN, "gradients": _TRAIN, "save-and-load": _TRAIN, "privacy": _TRAIN,
    },
    "models": {"metadata": (), "determinism": (), "token-counts": _TRAIN, "parity": _TRAIN, "save-and-load": _TRAIN},
    "schedules": {"metadata": (), "determinism": (), "save-and-load": _TRAIN[:1]},
    "studies": {"metadata": (), "determinism": (), "save-and-load": ()},
    "trackers": {"metadata": (), "determinism": (), "save-and-load": (), "privacy": ()},
}  # fmt: skip
"""Kind to its checks, and the packages that each needs in addition to those of the part."""


@dataclass(frozen=True)
class CheckResult:
    """The result of one check of a part, ``kind/name``.

    `detail` says what was checked, or of a failure what was found and what was wanted. `missing` is the command that lets a
    check run that could not, which is not passed either; else empty.
    """

    name: str
    part: str
    passed: bool
    detail: str
    missing: str = ""


@dataclass(frozen=True)
class Case:
    """One check, by its name, of one part."""

    entry: Entry
    check: str

    @property
    def part(self) -> str:
        """``kind/name``."""
        return f"{self.entry.kind}/{self.entry.name}"

    def __str__(self) -> str:
        return f"{self.part}-{self.check}"

    def needs(self) -> tuple[Requirement, ...]:
        """Packages that the check needs and that are not installed."""
        missing = self.entry.part.missing()
        return missing + tuple(r for r in _NEEDS[self.entry.kind][self.check] if not r.present())

    def run(self, bench: Workbench) -> CheckResult:
        """Runs the check; an exception of the part is a failed check."""
        result = partial(CheckResult, self.check, self.part)
        needs = self.needs()
        if needs:
            modules = ", ".join(dict.fromkeys(r.module for r in needs))
            commands = " && ".join(dict.fromkeys(r.command for r in needs))
            return result(False, f"not run: needs {modules}, which is not installed; {commands}", commands)
        task = self.entry.part
        if isinstance(task, Task) and self.check != "metadata" and not corpus_there(task, bench):
            command = f"bench check {self.entry.name} --data {self.entry.name}=DIR"
            return result(False, f"not run: it has no synthetic corpus; with one of your own, a small one: {command}", command)
        module = import_module(f"bench.conformance.{self.entry.kind}")
        check: Callable[[Any, Workbench], str] = module.CHECKS[self.check]
        try:
            return result(True, check(self.entry.part, bench))
        except Failure as failure:
            return result(False, str(failure))
        except Exception as error:  # a plugin's code may raise anything
            return result(False, one_line(error))


def checks_of(kind: Kind) -> tuple[str, ...]:
    """The checks that apply to a kind of part, in order."""
    return tuple(name for name in CHECKS if name in _NEEDS[kind])


def cases(ref: str, registry: Registry) -> list[Case]:
    """Every check of every part that a reference names: its name, ``kind/name``, its plugin or its distribution.

    Raises:
        UsageError: nothing has that name, or the plugin could not be loaded.
    """
    return [Case(entry, name) for entry in _entries(ref, registry) for name in checks_of(entry.kind)]


def _entries(ref: str, registry: Registry) -> list[Entry]:
    everything = [entry for kind in KINDS for entry in registry.entries(kind)]
    broken = [b for b in registry.broken if ref in (b.plugin, b.distribution)]
    if broken:
        raise UsageError(f"The plugin {broken[0].plugin} could not be loaded: {broken[0].reason}.", broken[0].fix)
    for matches in (
        lambda e: ref in (f"{e.kind}/{e.name}", f"{singular(e.kind)}/{e.name}"),
        lambda e: ref == e.plugin,
        lambda e: ref == e.distribution,
        lambda e: ref == e.name,
    ):
        matching = [entry for entry in everything if matches(entry)]
        if matching:
            return matching
    known = {word for e in everything for word in (e.name, e.plugin, e.distribution)}
    raise unknown("plugin or part", ref, known, "bench list")
