"""One Python file out of bench's own source: what some of its definitions need, and nothing else.

An exported folder predicts without bench. Were its code written by hand, it would be a second implementation of every head,
which could differ. So the file is made of the definitions that evaluate a run, as they stand in the source: those that are
named, and whatever these refer to by name, module by module in the order of their imports. A method is taken where its name is
an attribute of something that is taken, so that losses and the counting of training labels stay behind. A name that two modules
use for two things is preceded by its module's in the file.

The source is read, never run.
"""

from __future__ import annotations

import ast
import textwrap
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence

from bench.errors import UsageError
from bench.exporting.source import BLOCKS, FUNCTIONS, Definition, Origin, Source, defined, is_text, names_in

LAZY = "bench.heads.lazy"
_TORCH: Mapping[str, Origin] = {
    "F": ("torch.nn", "functional"), "Module": ("torch.nn", "Module"), "nn": ("torch", "nn"), "torch": ("torch", ""),
}  # fmt: skip
_WHOLE = ("dataclass", "NamedTuple", "TypedDict", "Enum")
"""Classes marked by these, as decorator or base, keep all that is assigned in their body."""


class Bundle:
    """The definitions that some roots need.

    Args:
        roots: the definitions that are named; a method is named ``Class.method`` and becomes a function.
        used: methods of them that are called from outside.
        packages: names of the packages whose code is taken in; of all others the file imports.

    Raises:
        UsageError: a module has no source, or uses another one in a way that cannot be taken apart.
    """

    def __init__(self, roots: Sequence[Origin], used: Collection[str], packages: Collection[str]) -> None:
        self._packages = frozenset(packages)
        self._sources: dict[str, Source] = {}
        self._taken: dict[Origin, None] = {}
        self._members: set[tuple[Origin, int]] = set()
        self._attributes: set[str] = set(used)
        self._outside: dict[Origin, str] = {}
        """What is imported from elsewhere, to the name under which."""
        self._scanned: set[int] = set()
        for module, name in roots:
            self._source(module).open(name)
            self._need(self._source(module), name)
        self._close()
        self._names = self._flat_names()

    def name(self, origin: Origin) -> str:
        """The name that a taken definition has in the file."""
        return self._names[self._home(*origin)]

    def text(self, head: str) -> str:
        """The file; it begins with the lines of `head`."""
        text = "\n".join([head.rstrip(), "", "from __future__ import annotations", "", *self._import_lines()])
        for module in self._order():
            mine = [name for home, name in self._taken if home == module]
            source = self._sources[module]
            written: set[int] = set()
            pieces = []
            for name, definition in source.definitions.items():
                if name in mine and id(definition.node) not in written:
                    written.add(id(definition.node))
                    pieces.append((definition.node, self._written(source, name, definition)))
            if pieces:
                text += f"\n\n\n# {module}: {_first_line(source.tree)}\n"
            apart = False
            for node, piece in pieces:
                text += ("\n\n\n" if apart or isinstance(node, BLOCKS) else "\n") + piece
                apart = isinstance(node, BLOCKS)
        return text + "\n"

    def _source(self, module: str) -> Source:
        if module not in self._sources:
            self._sources[module] = Source.read(module)
        return self._sources[module]

    def _inside(self, module: str) -> bool:
        return module.partition(".")[0] in self._packages

    def _home(self, module: str, name: str) -> Origin:
        """Where a name is defined that a module of these packages has, by way of what it imports."""
        while name and self._inside(module) and module != LAZY:
            source = self._source(module)
            if name in source.definitions or name not in source.imports:
                break
            module, name = source.imports[name]
        return _TORCH[name] if module == LAZY else (module, name)

    def _need(self, source: Source, name: str, imports: Mapping[str, Origin] | None = None) -> None:
        """Takes what a name of a module stands for, if it is a global one."""
        if imports and name in imports:
            if not self._inside(imports[name][0]):
                return  # its function imports it in the file as well
            origin = self._home(*imports[name])
        elif name in source.definitions or name in source.imports:
            origin = self._home(source.name, name)
        else:
            return
        module, what = origin
        if not self._inside(module):
            self._outside[origin] = name
            return
        if what not in self._source(module).definitions:
            raise UsageError(f"{source.name} uses {module}.{what or name} as a module; its code cannot be taken out of bench.")
        self._taken.setdefault(origin, None)

    def _close(self) -> None:
        """Takes what is needed by what is taken, until nothing is added."""
        while True:
            before = len(self._taken), len(self._members), len(self._attributes)
            for module, name in list(self._taken):
                source = self._source(module)
                node = source.definitions[name].node
                if isinstance(node, ast.ClassDef):
                    self._scan_class(source, name, node)
                else:
                    self._scan(source, node)
            if before == (len(self._taken), len(self._members), len(self._attributes)):
                return

    def _scan_class(self, source: Source, name: str, node: ast.ClassDef) -> None:
        for part in (*node.bases, *node.decorator_list, *(k.value for k in node.keywords)):
            self._scan(source, part)
        for at, member in enumerate(node.body):
            if _keeps(node, member, self._attributes):
                self._members.add(((source.name, name), at))
                self._scan(source, member)

    def _scan(self, source: Source, node: ast.AST) -> None:
        if id(node) in self._scanned:
            return
        self._scanned.add(id(node))
        for name, _, imports in names_in(node):
            self._need(source, name, imports)
        self._attributes |= {part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute)}

    def _flat_names(self) -> dict[Origin, str]:
        """A name for everything, each once; whoever shares one is told by its module."""
        origins = [*self._taken, *self._outside]
        plain = {**{o: o[1].rpartition(".")[2] for o in self._taken}, **self._outside}
        counts = Counter(plain.values())
        names = {}
        for origin in origins:
            shared = counts[plain[origin]] > 1 and origin in self._taken
            names[origin] = _told(origin) if shared else plain[origin]
        if len(set(names.values())) < len(names):
            raise UsageError("Two imports of the code to be exported have one name; it cannot be one file.")
        return names

    def _import_lines(self) -> list[str]:
        plain: list[str] = []
        parts: dict[str, list[str]] = {}
        for (module, what), name in sorted(self._outside.items()):
            if what:
                parts.setdefault(module, []).append(what + (f" as {name}" if name != what else ""))
            else:
                plain.append(f"import {module}" + (f" as {name}" if name != module.partition(".")[0] else ""))
        return [*plain, *(f"from {module} import {', '.join(names)}" for module, names in parts.items())]

    def _order(self) -> list[str]:
        """The modules, each behind those that it imports."""
        order: dict[str, None] = {}

        def visit(module: str) -> None:
            if module in order or not self._inside(module) or module == LAZY or module in opened:
                return
            opened.add(module)
            for other in self._source(module).runtime:
                visit(other)
            order[module] = None

        opened: set[str] = set()
        for module, _ in list(self._taken):
            visit(module)
        return list(order)

    def _written(self, source: Source, name: str, definition: Definition) -> str:
        """The text of a definition, without what it does not need and with the names of the file."""
        start, end = source.span(definition.node)
        if definition.doc is not None:
            end = source.span(definition.doc)[1]
        edits = list(self._edits(source, name, definition.node))
        text, at = b"", start
        for low, high, replacement in sorted(edits):
            if low >= at:
                text, at = text + source.text[at:low] + replacement.encode(), high
        lines = (text + source.text[at:end]).decode()
        return textwrap.dedent(lines).strip("\n")

    def _edits(self, source: Source, name: str, node: ast.stmt) -> Iterator[tuple[int, int, str]]:
        if isinstance(node, ast.ClassDef):
            behind = node.body[0].lineno - 1
            for at, member in enumerate(node.body):
                low, high = source.lines[behind], source.span(member)[1] + 1
                assert member.end_lineno is not None
                behind = member.end_lineno
                doc = is_text(member) and at and not isinstance(node.body[at - 1], BLOCKS)
                if ((source.name, name), at - bool(doc)) not in self._members:
                    yield low, high, ""
        for part in ast.walk(node):
            if isinstance(part, ast.ImportFrom) and part.module and self._inside(part.module):
                low, high = source.span(part)
                yield low, high + 1, ""
        if isinstance(node, BLOCKS) and (flat := self.name((source.name, name))) != node.name:
            low = source.text.index(node.name.encode(), source.lines[node.lineno - 1])  # behind ``def`` or ``class``
            yield low, low + len(node.name.encode()), flat
        for used, place, imports in names_in(node):
            flat = self._flat(source, used, imports)
            if flat != used:
                low, high = source.span(place)
                yield low, high, flat

    def _flat(self, source: Source, name: str, imports: Mapping[str, Origin]) -> str:
        if name in imports:
            return self._names.get(self._home(*imports[name]), name) if self._inside(imports[name][0]) else name
        known = name in source.definitions or name in source.imports
        return self._names.get(self._home(source.name, name), name) if known else name


def _first_line(tree: ast.Module) -> str:
    return (ast.get_docstring(tree) or "").partition("\n")[0].rstrip(".")


def _told(origin: Origin) -> str:
    """A name with its module's: ``SPAN_SIZE``, ``SpanAccepted``, ``span_padded``; underscores in front stay."""
    module, name = origin
    name = name.rpartition(".")[2]
    stem, bare = module.rpartition(".")[2].strip("_"), name.lstrip("_")
    lead = "_" * (len(name) - len(bare))
    if bare.isupper():
        return f"{lead}{stem.upper()}_{bare}"
    return f"{lead}{stem.title().replace('_', '')}{bare}" if bare[0].isupper() else f"{lead}{stem}_{bare}"


def _keeps(owner: ast.ClassDef, member: ast.stmt, attributes: Collection[str]) -> bool:
    """Whether a member of a class is taken, given the names of attributes that are used anywhere."""
    if isinstance(member, FUNCTIONS):
        called = member.name.startswith("__") and member.name.endswith("__")  # by Python, or by torch
        return called or member.name == "forward" or member.name in attributes
    names = defined(member)
    marks = {n.id for part in (*owner.bases, *owner.decorator_list) for n in ast.walk(part) if isinstance(n, ast.Name)}
    return not names or bool(marks.intersection(_WHOLE)) or any(n in attributes or n.startswith("__") for n in names)
