"""The mutants of a source file.

Left out is what nobody computes with: annotations, docstrings, texts, what a `raise` or an `assert`
says, decorators and the bases of classes.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType

from operators import conditions, expressions, statements

_UNTOUCHED = (ast.Raise, ast.Assert, ast.JoinedStr, ast.Import, ast.ImportFrom)
_FIELDS = {"annotation", "returns", "bases", "decorator_list", "type_params", "type_comment"}
Key = tuple[str, str, str, str]
"""File, scope, what a statement was, and what it becomes."""
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Mutant:
    """A file with one small change."""

    file: str
    """Its path in the repository."""
    scope: str
    """The function or class that was changed, by its qualified name; "" for the module."""
    at_import: bool
    """Whether what was changed runs when the file is imported, as defaults do."""
    was: str
    """The statement, or the head of it, in one line."""
    becomes: str
    lines: tuple[int, int]
    """The first and the last line of the statement."""
    code: CodeType
    """The whole file, compiled."""

    @property
    def key(self) -> Key:
        """Return what the mutant is known by, wherever the line moves."""
        return self.file, self.scope, self.was, self.becomes


@dataclass(frozen=True)
class _Slot:
    """A place in a tree where a node hangs."""

    parent: ast.AST
    field: str
    index: int | None
    statement: ast.stmt
    scope: str
    at_import: bool

    @property
    def node(self) -> ast.AST:
        held = getattr(self.parent, self.field)
        return held if self.index is None else held[self.index]

    def put(self, node: ast.AST) -> None:
        if self.index is None:
            setattr(self.parent, self.field, node)
        else:
            getattr(self.parent, self.field)[self.index] = node


def mutants_of(root: Path, file: str) -> list[Mutant]:
    """Return the mutants of a file, in the order of its lines; none that says the same twice."""
    tree = ast.parse((root / file).read_text())
    found: dict[Key, Mutant] = {}
    for slot in _slots(tree, ""):
        node, was = slot.node, _text(slot.statement)
        for other in _others(slot):
            ast.fix_missing_locations(ast.copy_location(other, node))
            slot.put(other)
            changed = slot.statement if node is not slot.statement else other
            assert isinstance(changed, ast.stmt)
            becomes = _text(changed)
            if becomes != was:
                code = compile(tree, str(root / file), "exec")
                last = slot.statement.end_lineno or slot.statement.lineno
                if hasattr(slot.statement, "body"):
                    last = max(slot.statement.lineno, slot.statement.body[0].lineno - 1)
                lines = (slot.statement.lineno, last)
                names = (slot.scope, slot.at_import, was, becomes)
                mutant = Mutant(file, *names, lines, code)
                found.setdefault(mutant.key, mutant)
            slot.put(node)
    return list(found.values())


def _others(slot: _Slot) -> Iterator[ast.AST]:
    """Yield what a mutant has in a slot."""
    node = slot.node
    if isinstance(node, ast.stmt):
        yield from statements(node, slot.parent)
        return
    yield from conditions(slot.parent, slot.field)
    of_types = slot.at_import or (
        isinstance(slot.parent, ast.Call)
        and slot.index == 1
        and ast.unparse(slot.parent.func) == "isinstance"
    )
    if not (of_types and isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr)):
        yield from expressions(node)


def _slots(
    node: ast.AST, scope: str, statement: ast.stmt | None = None, *, at_import: bool = True
) -> Iterator[_Slot]:
    """Yield the places below a node where a change can be seen."""
    own_scope = scope
    is_function = isinstance(node, _FUNCTIONS)
    if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
        own_scope = f"{scope}.{node.name}" if scope else node.name
    for field, value in ast.iter_fields(node):
        if field in _FIELDS:
            continue
        children = value if isinstance(value, list) else [value]
        inside = own_scope if field == "body" else scope
        now = at_import and not (is_function and field == "body")
        for index, child in enumerate(children):
            if not isinstance(child, ast.AST) or _is_text(child):
                continue
            if isinstance(child, ast.keyword) and child.arg == "strict":
                continue
            around = child if isinstance(child, ast.stmt) else statement
            if around is not None and isinstance(child, ast.stmt | ast.expr):
                place = index if isinstance(value, list) else None
                yield _Slot(node, field, place, around, inside, now)
            yield from _slots(child, inside, around, at_import=now)


def _is_text(node: ast.AST) -> bool:
    """Say whether a node is only read by people, or by type checkers."""
    is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return is_docstring or isinstance(node, _UNTOUCHED)


def _text(statement: ast.stmt) -> str:
    """Return a statement in one line, without what it holds."""
    if not hasattr(statement, "body"):
        return ast.unparse(statement)
    fields = {name: getattr(statement, name, None) for name in statement._fields}
    empty = {"orelse": [], "finalbody": [], "handlers": []}
    fields |= {"body": [ast.Pass()]} | {k: v for k, v in empty.items() if k in fields}
    head = type(statement)(**fields)
    return " ".join(ast.unparse(ast.fix_missing_locations(head)).split("\n")[:-1])
