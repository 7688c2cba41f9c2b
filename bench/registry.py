"""Finds plugins, checks what they hand over, and knows every part by kind and name.

Every installed distribution with an entry point in the group ``bench`` is a plugin, this one's own included. They are loaded
one at a time, so that a broken one is reported and takes no other down. ``BENCH_NO_PLUGINS=1`` leaves third parties out.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, overload

import pluggy

from bench import hooks
from bench.api.architecture import BaseArchitecture
from bench.api.head import Head
from bench.api.model import Model
from bench.api.part import Part
from bench.api.quantizer import Quantizer
from bench.api.schedule import Schedule
from bench.api.study import StudyKind
from bench.api.task import Task
from bench.api.tracker import RunEvent, Tracker
from bench.discovery import Point, entry_points
from bench.errors import BenchError, MissingError, UsageError, unknown
from bench.wording import some

Kind = Literal["tasks", "heads", "architectures", "quantizers", "models", "schedules", "studies", "trackers"]
KINDS: tuple[Kind, ...] = ("tasks", "heads", "architectures", "quantizers", "models", "schedules", "studies", "trackers")
GROUP = "bench"
FIRST_PARTY = "bench-suite"

_CLASSES: dict[Kind, type[Part]] = {
    "tasks": Task,
    "heads": Head,
    "architectures": BaseArchitecture,
    "quantizers": Quantizer,
    "models": Model,
    "schedules": Schedule,
    "studies": StudyKind,
    "trackers": Tracker,
}
# A name is typed after a flag, before "=", joined by "+" in run ids, and becomes part of a folder's name.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_TAKEN = {"trackers": {"none"}, "studies": {"show"}}
TASK_FILE = ".toml"
"""What ends in this, where a task's name is wanted, is a file that a plugin makes a task from."""


class PluginWarning(UserWarning):
    """A plugin failed; its part is left out and the work continues."""


@dataclass(frozen=True)
class Entry:
    """A part, its kind (plural), the name that the user types, and its plugin, ``distribution:entry-point``."""

    kind: Kind
    name: str
    part: Part
    distribution: str
    plugin: str


@dataclass(frozen=True)
class Broken:
    """A plugin, or one part of it, that was left out: what is wrong, in one line, and what to do about it."""

    plugin: str
    distribution: str
    reason: str
    fix: str


class Registry:
    """Parts by kind and name, and the plugins that observe runs."""

    def __init__(self) -> None:
        self.broken: list[Broken] = []
        self._entries: dict[Kind, dict[str, Entry]] = {kind: {} for kind in KINDS}
        self._observers: list[tuple[str, pluggy.HookImpl]] = []
        self._makers: list[tuple[str, str, pluggy.HookImpl]] = []
        self._from_files: dict[Path, Entry] = {}
        self._manager = pluggy.PluginManager("bench")
        self._manager.add_hookspecs(hooks)

    def entries(self, kind: str) -> list[Entry]:
        """The parts of a kind (plural), first party first, in the order their plugins hand them over."""
        return list(self._of(kind).values())

    @overload
    def get(self, kind: Literal["tasks"], name: str) -> Task: ...
    @overload
    def get(self, kind: Literal["heads"], name: str) -> Head: ...
    @overload
    def get(self, kind: Literal["architectures"], name: str) -> BaseArchitecture: ...
    @overload
    def get(self, kind: Literal["quantizers"], name: str) -> Quantizer: ...
    @overload
    def get(self, kind: Literal["models"], name: str) -> Model: ...
    @overload
    def get(self, kind: Literal["schedules"], name: str) -> Schedule: ...
    @overload
    def get(self, kind: Literal["studies"], name: str) -> StudyKind: ...
    @overload
    def get(self, kind: Literal["trackers"], name: str) -> Tracker: ...
    @overload
    def get(self, kind: str, name: str) -> Part: ...
    def get(self, kind: str, name: str) -> Part:
        """The part of a kind (plural) that carries a name; of a task also the path of a ``.toml`` file that says what it is.

        Raises:
            UsageError: nothing carries that name; it says what comes near, and whether a plugin failed to load. Or no plugin
                makes a task from the file, or what the file says means nothing.
        """
        return self.entry(kind, name).part

    def entry(self, kind: str, name: str) -> Entry:
        """The same as `get`, with where the part came from."""
        known = self._of(kind)
        if name in known:
            return known[name]
        if kind == "tasks" and name.endswith(TASK_FILE):
            return self._from_file(Path(name).absolute())
        error = unknown(singular(kind), name, known, f"bench list {kind}")
        if self.broken:
            error.hint = f"{error.hint} It also says why {_plugins(len({b.plugin for b in self.broken}))} could not be loaded."
        raise error

    def heads_of(self, task: Task) -> tuple[str, ...]:
        """Names of the heads that fit a task: its own, its default first, then every registered head that predicts the same."""
        predicts = set(task.head(task.heads[0]).predicts)
        fitting = [entry.name for entry in self.entries("heads") if set(cast(Head, entry.part).predicts) == predicts]
        return tuple(dict.fromkeys((*task.heads, *fitting)))

    def head(self, task: Task, name: str | None = None) -> Head:
        """A fresh head for a task, its default where no name is given; its own heads come before registered ones.

        Raises:
            UsageError: nothing carries that name, or the head predicts something else than the task asks for.
            MissingError: what the head needs is not installed, with the command that installs it.
        """
        if name is None or name in task.heads:
            return task.head(name or task.heads[0])
        fitting, known = self.heads_of(task), self._entries["heads"]
        if name not in known:
            raise unknown(f"head of {task.name}", name, fitting, f"bench show task {task.file or task.name}")
        head = cast(Head, known[name].part)
        if name not in fitting:
            predicts = " and ".join(task.head(task.heads[0]).predicts)
            got = f"Head {name!r} predicts {' and '.join(head.predicts)}; {task.name} wants {predicts}."
            raise UsageError(got, f"These fit: {', '.join(fitting)}.")
        if missing := head.missing():
            raise MissingError(f"{name!r} needs {missing[0].module}, which is not installed.", f"Type: {missing[0].command}")
        return deepcopy(head)

    def emit(self, event: RunEvent) -> None:
        """Hands an event to every `bench_event` hook, one at a time; one that raises is warned about once and left out."""
        for observer in tuple(self._observers):
            plugin, hook = observer
            try:
                hook.function(*([event] if "event" in hook.argnames else []))
            except Exception as error:
                self._observers.remove(observer)
                # The message stays out: it is the plugin's own and could quote anything.
                warnings.warn(
                    f"The plugin {plugin} raised {type(error).__name__} at a '{event.kind}' event ({place_of(error)}); "
                    "it is left out for the rest of the run.",
                    PluginWarning,
                    stacklevel=2,
                )

    def add(self, module: Any, plugin: str, distribution: str) -> None:
        """Registers a plugin and its parts; every fault is recorded in `broken`.

        Args:
            module: a module, or any object with `hookimpl` functions.
            plugin: ``distribution:entry-point``.
            distribution: named in `bench list`.
        """
        try:
            self._manager.register(module, plugin)
            self._manager.check_pending()
        except (pluggy.PluginValidationError, ValueError) as error:
            if self._manager.has_plugin(plugin):
                self._manager.unregister(name=plugin)
            self._blame(plugin, distribution, _hook_fault(error))
            return
        count = 0
        for kind in KINDS:
            for hook in self._hooks(f"bench_{kind}", module):
                count += 1
                try:
                    parts = tuple(cast(Iterable[Part], hook.function()))
                except Exception as error:
                    self._blame(plugin, distribution, f"bench_{kind} raised {_line(error)}")
                    continue
                for part in parts:
                    self._take(Entry(kind, str(getattr(part, "name", "")), part, distribution, plugin))
        observers = self._hooks("bench_event", module)
        self._observers += [(plugin, hook) for hook in observers]
        makers = self._hooks("bench_task_from_file", module)
        self._makers += [(plugin, distribution, hook) for hook in makers]
        if not count and not observers and not makers:
            fix = "Decorate its functions with @bench.hooks.hookimpl; the hooks are in bench/hooks.py."
            self._blame(plugin, distribution, "it has no hook function", fix)

    def _from_file(self, path: Path) -> Entry:
        """The task that a file describes, made once; third parties are asked before bench."""
        if path in self._from_files:
            return self._from_files[path]
        if not path.is_file():
            raise UsageError(f"There is no task file {path}.", "Name a .toml file, or a task that 'bench list tasks' shows.")
        for plugin, distribution, hook in sorted(self._makers, key=lambda maker: maker[1] == FIRST_PARTY):
            try:
                task = cast("Task | None", hook.function(*([path] if "path" in hook.argnames else [])))
            except BenchError:
                raise
            except Exception as error:
                where = f"The plugin {plugin} raised {type(error).__name__} over {path} ({place_of(error)})."
                raise UsageError(where, _report(distribution)) from None
            if task is None:
                continue
            if fault := _part_fault("tasks", task):
                raise UsageError(f"The plugin {plugin} made no task from {path}: {fault}.", _report(distribution))
            if taken := self._entries["tasks"].get(task.name):
                fix = f"'bench show task {task.name}' shows it; results of the two would be taken for one another."
                raise UsageError(f"{path}: {taken.distribution} has a task named {taken.name!r}; wanted a free name.", fix)
            self._from_files[path] = Entry("tasks", task.name, task, distribution, plugin)
            return self._from_files[path]
        raise UsageError(f"No plugin makes a task from {path}.", "'bench list' says which plugins could not be loaded.")

    def _of(self, kind: str) -> dict[str, Entry]:
        if kind not in self._entries:
            raise unknown("kind", kind, KINDS, "bench list")
        return self._entries[kind]

    def _hooks(self, name: str, module: Any) -> list[pluggy.HookImpl]:
        caller = cast(pluggy.HookCaller, getattr(self._manager.hook, name))
        return [i for i in caller.get_hookimpls() if i.plugin is module]

    def _take(self, entry: Entry) -> None:
        fault = _part_fault(entry.kind, entry.part)
        earlier = self._entries[entry.kind].get(entry.name)
        if fault:
            self._blame(entry.plugin, entry.distribution, fault)
        elif earlier:
            same_author = entry.distribution in (FIRST_PARTY, earlier.distribution)
            fix = "Give it a name of its own" + ("." if same_author else f", or pip uninstall {entry.distribution}.")
            reason = f"its {singular(entry.kind)} {entry.name!r} is left out: {earlier.plugin} already has that name"
            self._blame(entry.plugin, entry.distribution, reason, fix)
        else:
            self._entries[entry.kind][entry.name] = entry

    def _blame(self, plugin: str, distribution: str, reason: str, fix: str | None = None) -> None:
        self.broken.append(Broken(plugin, distribution, reason, fix or _report(distribution)))


def singular(kind: str) -> str:
    """One part of a kind: ``task`` of ``tasks``, ``study`` of ``studies``."""
    return f"{kind[:-3]}y" if kind.endswith("ies") else kind[:-1]


def load(points: Iterable[Point] | None = None) -> Registry:
    """Loads every plugin there is, or these entry points; first-party parts count first, then distributions by name."""
    registry = Registry()
    ordered = sorted(
        entry_points(GROUP) if points is None else points, key=lambda p: (p.distribution != FIRST_PARTY, p.distribution, p.name)
    )
    if points is None and not any(point.distribution == FIRST_PARTY for point in ordered):
        fix = "Install it: pip install -c constraints.txt '.[all]' (or -e .) in its folder."
        registry.broken.append(
            Broken(FIRST_PARTY, FIRST_PARTY, "bench itself is not installed, so its own parts are missing", fix)
        )
    alone = os.environ.get("BENCH_NO_PLUGINS", "") not in ("", "0")
    for point in ordered:
        distribution = point.distribution
        if alone and distribution != FIRST_PARTY:
            continue
        plugin = f"{distribution}:{point.name}"
        try:
            module = point.load()
        except ModuleNotFoundError as error:
            missing = (error.name or "").partition(".")[0]
            own_module = missing in ("", point.module.partition(".")[0])
            fix = _report(distribution) if own_module else f"Install what it imports, e.g. pip install {missing}."
            registry.broken.append(Broken(plugin, distribution, f"importing it raised {_line(error)}", fix))
        except (Exception, SystemExit) as error:
            registry.broken.append(Broken(plugin, distribution, f"importing it raised {_line(error)}", _report(distribution)))
        else:
            registry.add(module, plugin, distribution)
    return registry


def _part_fault(kind: Kind, part: Any) -> str | None:
    """Why a part cannot be taken, or None."""
    expected = _CLASSES[kind]
    if isinstance(part, type):
        return f"bench_{kind} handed over the class {part.__name__}; it must hand over an instance, {part.__name__}()"
    if not isinstance(part, expected):
        return f"bench_{kind} handed over {type(part).__name__}, which is no bench.api.{singular(kind)}.{expected.__name__}"
    for field in ("name", "version", "summary"):
        value = getattr(part, field, None)
        if not isinstance(value, str) or not value.strip() or "\n" in value:
            return f"the {singular(kind)} {type(part).__name__} has {field} = {value!r}; it must be one line of text"
    if not _NAME.fullmatch(part.name) or part.name in _TAKEN.get(kind, ()):
        wanted_name = "up to 64 letters, digits, '.', '_' and '-'"
        return f"the {singular(kind)} {type(part).__name__} is named {part.name!r}; wanted are {wanted_name}"
    return None


def _hook_fault(error: Exception) -> str:
    """Pluggy's own words, without the objects it prints into them."""
    text = str(error)
    misspelt = re.match(r"unknown hook '(\w+)'", text)
    if misspelt:
        known = [name for name in dir(hooks) if name.startswith("bench_")]
        return f"there is no hook {misspelt[1]!r}; the hooks are {', '.join(known)}"
    arguments = re.search(r"Argument\(s\) (\{.*?\})", text)
    named = re.search(r"for hook '(\w+)'", text)
    if arguments and named:
        return f"{named[1]} asks for {arguments[1].strip('{}')}, which the hook does not give"
    if "already registered" in text:
        return "the same module is already loaded under another entry point"
    return _line(error)


def _line(error: BaseException) -> str:
    """An exception in one short line, with where it was raised."""
    text = " ".join(str(error).split())
    text = f"{text[:157]}..." if len(text) > 160 else text
    return f"{type(error).__name__}{f': {text}' if text else ''} ({place_of(error)})"


def place_of(error: BaseException) -> str:
    """File and line that raised an exception."""
    import traceback  # 9 ms that a healthy `bench list` does not need

    frames = [f for f in traceback.extract_tb(error.__traceback__) if "importlib" not in f.filename]
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "no frame"


def _report(distribution: str) -> str:
    if distribution == FIRST_PARTY:
        return "Install bench again, or report it with the output of 'bench doctor'."
    return f"Report it to the authors of {distribution}, or pip uninstall {distribution}."


def _plugins(count: int) -> str:
    return "one plugin" if count == 1 else some(count, "plugin")
