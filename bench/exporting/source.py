"""The source of a module as definitions: where each stands, which global names it reads, and where these come from.

`bench.exporting.standalone` makes one file of several modules by it. Source is parsed, never run.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

from bench.errors import UsageError

Origin = tuple[str, str]
"""Module and name of a definition; an empty name is the module itself."""

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
BLOCKS = (ast.ClassDef, *FUNCTIONS)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass
class Definition:
    """A statement at the top of a module, with the string that documents it."""

    node: ast.stmt
    doc: ast.stmt | None = None


@dataclass
class Source:
    """A module's source: its definitions, and where its imported names come from."""

    name: str
    text: bytes
    tree: ast.Module
    definitions: dict[str, Definition] = field(default_factory=dict)
    imports: dict[str, Origin] = field(default_factory=dict)
    runtime: list[str] = field(default_factory=list)
    """Modules that it imports when it is imported itself."""

    @classmethod
    def read(cls, name: str) -> Source:
        """Parses a module.

        Raises:
            UsageError: it has no source file.
        """
        spec = find_spec(name)
        if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
            raise UsageError(f"The source of {name} is not there, of which the exported code would be made.")
        text = Path(spec.origin).read_bytes()
        source = cls(name, text, ast.parse(text))
        source._take(source.tree.body, runtime=True)
        return source

    def open(self, name: str) -> None:
        """Makes ``Class.method`` a definition of its own: a function that takes any `self`."""
        owner, _, method = name.rpartition(".")
        for node in self.definitions[owner].node.body if owner else ():  # type: ignore[attr-defined]
            if isinstance(node, FUNCTIONS) and node.name == method:
                self.definitions[name] = Definition(node)

    @cached_property
    def lines(self) -> list[int]:
        """Offset of each line's first byte."""
        starts = [0]
        for line in self.text.splitlines(keepends=True):
            starts.append(starts[-1] + len(line))
        return starts

    def span(self, node: ast.stmt | ast.expr) -> tuple[int, int]:
        """First byte of a node, its decorators included, and the byte behind it."""
        first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))])
        start = self.lines[first - 1] if isinstance(node, ast.stmt) else self.lines[node.lineno - 1] + node.col_offset
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        end = self.lines[node.end_lineno - 1] + node.end_col_offset
        if isinstance(node, ast.stmt):  # with a comment behind it
            end = self.lines[node.end_lineno] - 1 if node.end_lineno < len(self.lines) else end
        return start, max(end, start)

    def _take(self, body: Sequence[ast.stmt], runtime: bool) -> None:
        for at, node in enumerate(body):
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                for alias in node.names:
                    self.imports[alias.asname or alias.name] = (node.module, alias.name)
                if runtime:
                    self.runtime.append(node.module)
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    self.imports[alias.asname or alias.name.partition(".")[0]] = (alias.name, "")
            elif isinstance(node, ast.If):  # of TYPE_CHECKING: where both branches define a name, the one that runs counts
                self._take(node.body, runtime=False)
                self._take(node.orelse, runtime)
            else:
                following = body[at + 1] if at + 1 < len(body) else None
                for name in defined(node):
                    self.definitions[name] = Definition(node, following if is_text(following) else None)


def defined(node: ast.stmt) -> list[str]:
    """The names that a statement defines."""
    if isinstance(node, BLOCKS):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)]


def is_text(node: ast.stmt | None) -> bool:
    """Whether a statement is a string alone, which documents what stands before it."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def names_in(
    node: ast.AST, local: Set[str] = frozenset(), imports: Mapping[str, Origin] = MappingProxyType({})
) -> Iterator[tuple[str, ast.Name, Mapping[str, Origin]]]:
    """Every global name below a node, with its place and what the functions around it import.

    Args:
        node: of a module's source.
        local: names that mean something else here.
        imports: of the functions around the node.
    """
    if isinstance(node, (ast.Lambda, *FUNCTIONS)):
        arguments = node.args
        outer = [
            *arguments.defaults,
            *(d for d in arguments.kw_defaults if d is not None),
            *getattr(node, "decorator_list", ()),
        ]
        for part in outer:
            yield from names_in(part, local, imports)
        bound = {a.arg for a in ast.walk(arguments) if isinstance(a, ast.arg)}
        body = node.body if isinstance(node.body, list) else [node.body]
        for part in _scope(body):
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                bound.add(part.id)
            elif isinstance(part, ast.ImportFrom) and part.module:
                imports = {**imports, **{alias.asname or alias.name: (part.module, alias.name) for alias in part.names}}
            elif isinstance(part, ast.ExceptHandler) and part.name:
                bound.add(part.name)
            elif isinstance(part, ast.Import):
                bound |= {alias.asname or alias.name.partition(".")[0] for alias in part.names}
        annotated = [a.annotation for a in ast.walk(arguments) if isinstance(a, ast.arg) and a.annotation is not None]
        returns = [node.returns] if isinstance(node, FUNCTIONS) and node.returns is not None else []
        for part in (*annotated, *returns):
            yield from names_in(part, local, imports)
        for part in body:
            yield from names_in(part, local | bound, imports)
        return
    if isinstance(node, ast.ClassDef):
        bound = {name for member in node.body for name in defined(member)}  # its methods do not see them
        for part in (*node.bases, *node.keywords, *node.decorator_list):
            yield from names_in(part, local, imports)
        for member in node.body:
            yield from names_in(member, local if isinstance(member, FUNCTIONS) else local | bound, imports)
        return
    if isinstance(node, _COMPREHENSIONS):
        yield from names_in(node.generators[0].iter, local, imports)
        targets = {n.id for g in node.generators for n in ast.walk(g.target) if isinstance(n, ast.Name)}
        inside = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        inside += [part for g in node.generators for part in (g.target, *g.ifs)] + [g.iter for g in node.generators[1:]]
        for part in inside:
            yield from names_in(part, local | targets, imports)
        return
    if isinstance(node, ast.Name):
        if node.id not in local:
            yield node.id, node, imports
        return
    for child in ast.iter_child_nodes(node):
        yield from names_in(child, local, imports)


def _scope(body: Sequence[ast.AST]) -> Iterator[ast.AST]:
    """The nodes of a function's own scope: what functions, lambdas and comprehensions in it bind is theirs, but for ``:=``."""
    for node in body:
        if isinstance(node, _COMPREHENSIONS):
            yield from (part.target for part in ast.walk(node) if isinstance(part, ast.NamedExpr))
            continue
        yield node
        if not isinstance(node, (ast.Lambda, *BLOCKS)):
            yield from _scope(list(ast.iter_child_nodes(node)))
