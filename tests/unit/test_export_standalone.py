"""One file out of several modules: what it takes along, what it leaves behind, and how it keeps names apart."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from bench.errors import UsageError
from bench.exporting.standalone import Bundle

MODULES = {
    "__init__": "",
    "low": '''
"""Low things. More."""
from __future__ import annotations
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from decimal import Decimal
SIZE = 2
"""How large."""
UNUSED = 99

def helper(size: int) -> int:
    """Its own `size` and `SIZE`."""
    return size + SIZE

def shadow(SIZE: int) -> int:
    return SIZE + 1

class Base:
    """A base."""

    name = "base"

    def used(self) -> int:
        """Called."""
        return self.inner() + SIZE

    def inner(self) -> int:
        return 1

    def train(self) -> Decimal:
        """Called by nobody."""
        return expensive()

def expensive():
    raise AssertionError
''',
    "high": '''
"""High things."""
from __future__ import annotations
from math import sqrt as root
from apart.low import Base, helper, shadow
SIZE = 40  # another one

class Part(Base):
    """A part."""

    SIZE = 7

    def used(self) -> int:
        from apart.low import shadow as other
        from math import floor

        return super().used() + floor(root(16)) + helper(SIZE) + other(1) + shadow(SIZE=3) + sum(SIZE for SIZE in (1, 2))

    @staticmethod
    def alone(number: int) -> int:
        return number + SIZE
''',
    "whole": """
from apart import low

class Odd:
    def used(self):
        return low.SIZE
""",
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "apart").mkdir()
    for name, text in MODULES.items():
        (tmp_path / "apart" / f"{name}.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    for name in [n for n in sys.modules if n.partition(".")[0] == "apart"]:
        monkeypatch.delitem(sys.modules, name)


def run(text: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "one_file"}
    exec(compile(text, "one_file", "exec"), names)
    return names


def test_one_file_does_what_the_package_does(package: None) -> None:
    from apart.high import Part  # type: ignore[import-not-found]

    bundle = Bundle([("apart.high", "Part"), ("apart.high", "Part.alone")], ("used",), ("apart",))
    text = bundle.text('"""Made."""')
    names = run(text)
    assert names["Part"]().used() == Part().used() == 2 + 1 + 4 + 42 + 2 + 4 + 3
    assert names[bundle.name(("apart.high", "Part.alone"))](1) == 41
    assert (names["LOW_SIZE"], names["HIGH_SIZE"]) == (2, 40)
    assert names["Part"].__mro__[1].__name__ == "Base"
    # What nobody calls stays behind, with what it alone needs; so do imports of the package.
    for absent in ("expensive", "train", "Decimal", "UNUSED", "apart import", "SIZE = 7"):
        assert absent not in text
    assert "# another one" in text
    assert '"""How large."""' in text
    assert "# apart.low: Low things" not in text.partition("# apart.low")[0]


def test_a_module_that_is_used_as_a_whole_is_refused(package: None) -> None:
    with pytest.raises(UsageError, match=r"uses apart\.low as a module"):
        Bundle([("apart.whole", "Odd")], ("used",), ("apart",))


def test_every_head_of_bench_makes_a_file_that_imports_nothing_of_bench() -> None:
    pytest.importorskip("torch")
    import ast

    from bench.exporting.code import _classes, _settings
    from bench.registry import load

    for entry in load().entries("heads"):
        roots = [tuple(name.split(":")) for name in _classes(_settings(entry.part))]  # type: ignore[arg-type]
        ours = [("bench.exporting.runtime", name) for name in ("ExportedModel", "document", "load", "PARTS")]
        packages = {"bench", *(module.partition(".")[0] for module, _ in roots)}
        text = Bundle([*ours, *roots], ("predict", "batches"), packages).text('"""Made."""')  # type: ignore[list-item]
        imported = {
            (node.module or "") if isinstance(node, ast.ImportFrom) else node.names[0].name
            for node in ast.walk(ast.parse(text))
            if isinstance(node, (ast.ImportFrom, ast.Import))
        }
        assert not {name for name in imported if name.startswith("bench")}
        assert not any(f" def {name}(" in text for name in ("loss", "fit", "choices")), entry.name
