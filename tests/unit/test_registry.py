"""The registry: good plugins, each way to be broken, who wins a name, and what a raising observer does."""

from __future__ import annotations

import contextlib
import importlib.metadata
import sys
import textwrap
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.api.tracker import RunEvent
from bench.discovery import entry_points
from bench.errors import UsageError
from bench.registry import FIRST_PARTY, KINDS, PluginWarning, Registry, load

ARCHITECTURE = """
from bench.api.architecture import Adapter, Architecture
from bench.hooks import hookimpl

class One(Architecture):
    name = {name!r}
    version = "1"
    summary = "one adapter"
    def adapters(self, tasks):
        return (Adapter("only", "shared"),)
    def passes(self, task):
        return (("only",),)

@hookimpl
def bench_architectures():
    return [One()]
"""


class Site:
    """A folder on sys.path into which distributions are put as pip would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(self, distribution: str, source: str, entry: str = "plugin", module: str | None = None) -> None:
        module = module or f"{distribution.replace('-', '_')}_module"
        (self.folder / f"{module}.py").write_text(textwrap.dedent(source))
        info = self.folder / f"{distribution.replace('-', '_')}-1.0.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        with (info / "entry_points.txt").open("a") as points:
            points.write(f"[bench]\n{entry} = {module}\n")

    def load(self) -> Registry:
        return load(entry_points("bench", [str(self.folder)]))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    yield Site(tmp_path)
    for name in set(sys.modules) - before:
        if name.endswith("_module"):
            del sys.modules[name]


def test_a_part_is_found_with_where_it_came_from(site: Site) -> None:
    site.install("third-party", ARCHITECTURE.format(name="X1"))
    registry = site.load()
    (entry,) = registry.entries("architectures")
    assert (entry.kind, entry.name, entry.distribution, entry.plugin) == (
        "architectures", "X1", "third-party", "third-party:plugin",
    )  # fmt: skip
    assert registry.get("architectures", "X1") is entry.part
    assert registry.broken == []
    assert all(registry.entries(kind) == [] for kind in KINDS if kind != "architectures")


def test_unknown_names_suggest_and_point_at_the_listing(site: Site) -> None:
    site.install("third-party", ARCHITECTURE.format(name="wide"))
    with pytest.raises(UsageError) as caught:
        site.load().get("architectures", "widee")
    assert caught.value.message == "Unknown architecture 'widee'. Did you mean 'wide'?"
    assert caught.value.hint == "Run 'bench list architectures'."
    assert caught.value.exit_code == 2
    with pytest.raises(UsageError, match=r"Unknown kind 'taskz'\. Did you mean 'tasks'"):
        site.load().get("taskz", "any")


def test_unknown_names_mention_plugins_that_failed(site: Site) -> None:
    site.install("bad", "raise RuntimeError('no')\n")
    with pytest.raises(UsageError, match="It also says why one plugin could not be loaded"):
        site.load().get("tasks", "any")


@pytest.mark.parametrize(
    ("source", "reason", "fix"),
    [
        ("import not_there_at_all\n", "No module named 'not_there_at_all'", "pip install not_there_at_all"),
        ("raise RuntimeError('boom')\n", "importing it raised RuntimeError: boom (bad_module.py:1)", "pip uninstall bad"),
        ("raise SystemExit(3)\n", "importing it raised SystemExit: 3", "pip uninstall bad"),
        ("def f(:\n", "importing it raised SyntaxError", "pip uninstall bad"),
        (
            "from bench.hooks import hookimpl\n@hookimpl\ndef bench_taks():\n    return []\n",
            "there is no hook 'bench_taks'",
            "bad",
        ),
        (
            "from bench.hooks import hookimpl\n@hookimpl\ndef bench_tasks(x):\n    return []\n",
            "bench_tasks asks for 'x'",
            "bad",
        ),
        ("from bench.hooks import hookimpl\n@hookimpl\ndef bench_tasks():\n    return [1]\n", "handed over int", "bad"),
        (
            "from bench.hooks import hookimpl\n@hookimpl\ndef bench_tasks():\n    return None\n",
            "bench_tasks raised TypeError",
            "bad",
        ),
        (
            "from bench.hooks import hookimpl\n@hookimpl\ndef bench_tasks():\n    1 / 0\n",
            "bench_tasks raised ZeroDivisionError",
            "bad",
        ),
        ("x = 1\n", "it has no hook function", "@bench.hooks.hookimpl"),
        (ARCHITECTURE.format(name="X").replace("One()", "One"), "handed over the class One", "bad"),
        (ARCHITECTURE.format(name="a b"), "is named 'a b'", "bad"),
        (ARCHITECTURE.format(name="X").replace('version = "1"', "version = 1"), "version = 1; it must be one line", "bad"),
        (ARCHITECTURE.format(name="X").replace("one adapter", ""), "summary = ''", "bad"),
        (ARCHITECTURE.format(name="X").replace("def passes", "def passed"), "bench_architectures raised TypeError", "bad"),
    ],
)
def test_a_broken_plugin_is_named_and_takes_no_other_down(site: Site, source: str, reason: str, fix: str) -> None:
    site.install("bad", source)
    site.install("good", ARCHITECTURE.format(name="G"))
    registry = site.load()
    (broken,) = registry.broken
    assert (broken.plugin, broken.distribution) == ("bad:plugin", "bad")
    assert reason in broken.reason
    assert fix in broken.fix
    assert "\n" not in broken.reason
    assert [entry.name for entry in registry.entries("architectures")] == ["G"]


def test_the_good_parts_of_a_plugin_survive_its_bad_ones(site: Site) -> None:
    source = ARCHITECTURE.format(name="G").replace("[One()]", "(x for x in [One(), 3])")
    site.install("mixed", source + "\n@hookimpl\ndef bench_models():\n    raise OSError\n")
    registry = site.load()
    assert [entry.name for entry in registry.entries("architectures")] == ["G"]
    assert sorted(broken.reason.split(" (")[0] for broken in registry.broken) == [
        "bench_architectures handed over int, which is no bench.api.architecture.BaseArchitecture",
        "bench_models raised OSError",
    ]


def test_the_same_name_twice_blames_the_later_and_first_party_counts_first(site: Site) -> None:
    site.install("aaa-earlier-in-the-alphabet", ARCHITECTURE.format(name="A1"))
    site.install(FIRST_PARTY, ARCHITECTURE.format(name="A1"))
    registry = site.load()
    (entry,) = registry.entries("architectures")
    assert entry.distribution == FIRST_PARTY
    (broken,) = registry.broken
    assert broken.distribution == "aaa-earlier-in-the-alphabet"
    assert "'A1' is left out: bench-suite:plugin already has that name" in broken.reason
    assert "pip uninstall aaa-earlier-in-the-alphabet" in broken.fix


def test_a_tracker_may_not_be_called_none(site: Site) -> None:
    source = """
    from bench.api.tracker import Tracker
    from bench.hooks import hookimpl
    class Nothing(Tracker):
        name, version, summary = "none", "1", "nothing"
        def open(self, run): return 0
        def write(self, events): pass
        def close(self, finished): pass
    @hookimpl
    def bench_trackers(): return [Nothing()]
    """
    site.install("sly", source)
    registry = site.load()
    assert registry.entries("trackers") == []
    assert "is named 'none'" in registry.broken[0].reason


@pytest.mark.parametrize(("value", "names"), [("1", ["A1"]), ("0", ["A1", "X1"]), ("", ["A1", "X1"])])
def test_third_parties_can_be_left_out(site: Site, monkeypatch: pytest.MonkeyPatch, value: str, names: list[str]) -> None:
    site.install(FIRST_PARTY, ARCHITECTURE.format(name="A1"))
    site.install("third-party", ARCHITECTURE.format(name="X1"))
    site.install("bad", "raise RuntimeError\n")
    monkeypatch.setenv("BENCH_NO_PLUGINS", value)
    registry = site.load()
    assert [entry.name for entry in registry.entries("architectures")] == names
    assert bool(registry.broken) == (len(names) > 1)


def test_one_module_under_two_entry_points_counts_once(site: Site) -> None:
    site.install("double", ARCHITECTURE.format(name="D"), entry="one")
    site.install("double", ARCHITECTURE.format(name="D"), entry="two")
    registry = site.load()
    assert len(registry.entries("architectures")) == 1
    assert [(b.plugin, b.reason) for b in registry.broken] == [
        ("double:two", "the same module is already loaded under another entry point")
    ]


def test_a_raising_observer_is_warned_about_once_and_left_out() -> None:
    from types import SimpleNamespace

    from bench.hooks import hookimpl

    heard: list[int] = []

    @hookimpl
    def bad(event: RunEvent) -> None:
        raise ValueError("patient John Doe")

    @hookimpl
    def good(event: RunEvent) -> None:
        heard.append(event.seq)

    @hookimpl
    def deaf() -> None:
        heard.append(-1)

    registry = Registry()
    for name, hook in (("bad", bad), ("good", good), ("deaf", deaf)):
        registry.add(SimpleNamespace(bench_event=hook), f"{name}:plugin", name)
    assert registry.broken == []
    with pytest.warns(PluginWarning) as caught:
        registry.emit(RunEvent(0, 0.0, "start"))
    with warnings.catch_warnings(action="error") if sys.version_info >= (3, 11) else contextlib.nullcontext():
        registry.emit(RunEvent(1, 0.0, "end"))
    assert heard == [0, -1, 1, -1]
    (warning,) = caught
    assert "bad:plugin raised ValueError at a 'start' event (test_registry.py:" in str(warning.message)
    assert "John" not in str(warning.message)


def test_discovery_agrees_with_importlib_metadata() -> None:
    for group in ("console_scripts", "bench", "pytest11"):
        theirs = {(p.name, p.value) for p in importlib.metadata.entry_points(group=group)}
        assert {(p.name, p.value) for p in entry_points(group)} == theirs
    assert {p.name for p in entry_points("console_scripts")} >= {"pytest"}


def test_discovery_reads_what_people_write(tmp_path: Path) -> None:
    info = tmp_path / "My_Plugin.X-2.0.dist-info"
    info.mkdir()
    (info / "entry_points.txt").write_text(
        "[other]\na = b\n\n[bench]\n# note\n x =  pathlib:Path.home [extra]\n[bench.more]\nz = y\n"
    )
    (point,) = entry_points("bench", [str(tmp_path / "missing"), str(tmp_path), str(tmp_path)])
    assert (point.name, point.module, point.distribution) == ("x", "pathlib", "my-plugin-x")
    assert point.load() == Path.home
