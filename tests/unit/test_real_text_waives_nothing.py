"""No test and no benchmark on a real corpus waives an invariant, nor makes the smoke gate easier."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
Function = ast.FunctionDef | ast.AsyncFunctionDef
CONFTESTS = [ROOT / "tests" / "conftest.py", ROOT / "tests" / "integration" / "conftest.py"]


def functions(tree: ast.Module) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def texts(node: ast.AST) -> set[str]:
    return {inner.value for inner in ast.walk(node) if isinstance(inner, ast.Constant) and isinstance(inner.value, str)}


def waives(node: ast.AST) -> bool:
    """Whether a waiver is asked for, or a constant of the gate changed, in so many words."""
    for inner in ast.walk(node):
        asked = [inner.value] if isinstance(inner, ast.keyword) and inner.arg == "waive" else []
        if isinstance(inner, ast.Dict):
            pairs = zip(inner.keys, inner.values, strict=True)
            asked += [value for key, value in pairs if isinstance(key, ast.Constant) and key.value == "waive"]
        if any(not isinstance(value, (ast.Tuple, ast.List)) or value.elts for value in asked):
            return True
        if isinstance(inner, ast.Constant) and isinstance(inner.value, str) and "--waive" in inner.value.split():
            return True
        if (
            isinstance(inner, ast.Call)
            and ast.unparse(inner.func).endswith("setattr")
            and texts(inner) & {"UPDATES", "EXAMPLES", "HALF"}
        ):
            return True
    return False


def is_real(node: ast.AST) -> bool:
    """Whether the folder of the real corpora is named, or the mark or the fixture that stands for it."""
    marked = isinstance(node, ast.Attribute) and ast.unparse(node).endswith("mark.shared")
    fixture = isinstance(node, Function) and "shared" in [arg.arg for arg in node.args.args]
    joined = isinstance(node, ast.BinOp) and {"shared", "data"} <= texts(node)
    imported = isinstance(node, ast.Attribute) and ast.unparse(node) in ("common.IOB", "common.NCBI")
    return marked or fixture or joined or imported or any(is_real(inner) for inner in ast.iter_child_nodes(node))


def closure(known: dict[str, ast.AST], holds: Callable[[ast.AST], bool]) -> set[str]:
    """The names, functions or not, of which something holds: themselves, or something that they use."""
    uses = {name: _used(node) for name, node in known.items()}
    found = {name for name, node in known.items() if holds(node)}
    while more := {name for name in known.keys() - found if uses[name] & found}:
        found |= more
    return found


def _used(node: ast.AST) -> set[str]:
    inner = list(ast.walk(node))
    read = {one.id for one in inner if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Load)}
    own = {one.id for one in inner if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)}
    return (read - own) | {one.arg for one in inner if isinstance(one, ast.arg)}


def named(trees: Iterable[ast.Module]) -> dict[str, ast.AST]:
    """Name to the function, or the module's assignment, that makes it; the last one where there are several."""
    found: dict[str, ast.AST] = {}
    for tree in trees:
        for node in tree.body:
            if isinstance(node, ast.Assign):
                found |= {target.id: node.value for target in node.targets if isinstance(target, ast.Name)}
        found |= {function.name: function for function in functions(tree)}
    return found


def offenders(source: str, fixtures: Iterable[str] = ()) -> list[str]:
    """The tests of a module that are on real text and waive something."""
    module = ast.parse(source)
    known = named([*map(ast.parse, fixtures), module])
    real, waiving = closure(known, is_real), closure(known, waives)
    everywhere = "pytestmark" in real
    tests = [function.name for function in functions(module) if function.name.startswith("test_")]
    return [name for name in tests if name in waiving and (everywhere or name in real)]


def test_no_test_on_a_real_corpus_waives_anything() -> None:
    fixtures = [path.read_text(encoding="utf-8") for path in CONFTESTS]
    found = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        near = [text for home, text in zip(CONFTESTS, fixtures, strict=True) if home.parent in path.parents]
        if names := offenders(path.read_text(encoding="utf-8"), near):
            found[path.name] = names
    assert found == {}


def test_no_benchmark_on_a_real_corpus_waives_anything() -> None:
    trees = {path.name: ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "benchmarks").glob("*.py")}
    real = {name for name, tree in trees.items() if is_real(tree)}
    assert {"bench_gate.py", "bench_concepts.py", "bench_iob_loading.py", "common.py"} <= real
    assert [name for name in real if waives(trees[name])] == []


SHORT = "@pytest.fixture\ndef short(tiny):\n    return tiny()"
FIXTURE = "@pytest.fixture\ndef tiny():\n    return RunConfig(**{'waive': ('smoke',)})\n"
EASIER = "@pytest.fixture\ndef tiny(monkeypatch):\n    monkeypatch.setattr(smoke, 'UPDATES', 5)\n"
REAL = "ROOT = Path(__file__).parents[3] / 'shared' / 'data'\n"


@pytest.mark.parametrize(
    ("source", "fixtures"),
    [
        ("@pytest.mark.shared\ndef test_x():\n    run(RunConfig(waive=('smoke',)))", ()),
        ("pytestmark = pytest.mark.shared\ndef test_x():\n    run(waive=names)", ()),
        ("def test_x(shared):\n    main(['run', '--waive', 'parity'])", ()),
        ("def test_x(shared):\n    main('run --steps 3 --waive parity'.split())", ()),
        (REAL + "FILE = ROOT / 'a'\ndef test_x():\n    run(FILE, waive=['smoke'])", ()),
        (REAL + "def corpus():\n    return ROOT\ndef test_x():\n    run(corpus(), waive=['smoke'])", ()),
        ("def short():\n    return RunConfig(waive=('smoke',))\ndef test_x(shared):\n    run(short(), shared)", ()),
        ("def test_x(tiny, shared):\n    run(tiny(waive=()))", [FIXTURE]),
        ("@pytest.mark.shared\ndef test_x(tiny):\n    run(tiny())", [EASIER]),
        ("@pytest.mark.shared\ndef test_x(short):\n    run(short)", [FIXTURE, SHORT]),
    ],
)  # fmt: skip
def test_a_waiver_on_real_text_is_found_however_it_comes_about(source: str, fixtures: list[str]) -> None:
    assert offenders(source, fixtures) == ["test_x"]


@pytest.mark.parametrize(
    ("source", "fixtures"),
    [
        ("def test_x(tiny):\n    run(tiny())", [FIXTURE]),
        ("@pytest.mark.shared\ndef test_x():\n    run(RunConfig(waive=()))", [FIXTURE]),
        (REAL + "def test_x():\n    run(waive=('smoke',))\n@pytest.mark.shared\ndef test_y():\n    run(ROOT)", ()),
        ("def test_x(tmp_path):\n    run(tmp_path / 'shared' / 'adapter', waive=('smoke',))", ()),
        ("def test_x(tiny):\n    shared = run(tiny())\n    check(shared)", [FIXTURE, REAL + "def shared():\n    return ROOT"]),
    ],
)
def test_a_waiver_on_made_up_text_is_none_of_ours(source: str, fixtures: list[str]) -> None:
    assert offenders(source, fixtures) == []
