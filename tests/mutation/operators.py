"""Small wrong changes of a piece of code, each of a kind that people make and nobody sees."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
_PAIRS = (
    *("min max", "any all", "minimum maximum", "cummin cummax", "amin amax", "argmin argmax"),
    *("sum mean", "zeros ones", "zeros_like ones_like", "new_zeros new_ones", "sqrt square"),
    *("startswith endswith", "addcmul_ addcdiv_", "zeros_ ones_"),
)
_ONE_WAY = {name: other for pair in _PAIRS for name, other in [pair.split()]}
NAMES = _ONE_WAY | {other: name for name, other in _ONE_WAY.items()}
"""Functions and methods of one signature."""
_LEFT_OUT = (
    *("abs", "bool", "clamp", "clone", "contiguous", "cumsum", "detach", "double", "eval", "exp"),
    *("flatten", "flip", "float", "log", "long", "nan_to_num", "neg", "requires_grad_", "reshape"),
    *("reversed", "softmax", "sorted", "sqrt", "square", "squeeze", "t", "view", "view_as"),
)
DROPPED = frozenset(_LEFT_OUT)
"""Functions and methods that a mutant leaves out: what they are given stands in for the result."""
UNSEEN_KEYWORDS = frozenset({"device", "strict"})
"""Nothing to see on one device; `strict` guards what cannot happen."""
SCOPES = frozenset({"no_grad", "enable_grad", "fork_rng"})
"""What a mutant runs a block, or a function, without."""


def expressions(node: ast.AST) -> Iterator[ast.expr]:
    """Yield wrong expressions in the place of one."""
    match node:
        case ast.Compare():
            yield from _comparisons(node)
        case ast.BinOp(left, op, right) if type(op) in OPERATORS:
            yield ast.BinOp(left, OPERATORS[type(op)](), right)
        case ast.UnaryOp(ast.USub() | ast.Invert() | ast.Not(), operand):
            yield operand
        case ast.BoolOp(op, values):
            yield ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
            for i in range(len(values)):
                rest = values[:i] + values[i + 1 :]
                yield ast.BoolOp(op, rest) if len(rest) > 1 else rest[0]
        case ast.IfExp(_, body, orelse):
            yield body
            yield orelse
        case ast.Constant(value):
            yield from (ast.Constant(other) for other in _constants(value))
        case ast.Call():
            yield from _calls(node)


def _comparisons(node: ast.Compare) -> Iterator[ast.expr]:
    for i, op in enumerate(node.ops):
        for other in COMPARISONS[type(op)]:
            yield ast.Compare(
                node.left, [*node.ops[:i], other(), *node.ops[i + 1 :]], node.comparators
            )


def _constants(value: Any) -> Iterator[Any]:
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int | float):
        yield value + 1
        if value:
            yield value - 1 if isinstance(value, int) else 0.0


def _calls(node: ast.Call) -> Iterator[ast.expr]:
    func, args = node.func, node.args
    if isinstance(func, ast.Attribute):
        name = func.attr
        of_module = isinstance(func.value, ast.Name) and func.value.id in ("torch", "functional")
        first = args[0] if of_module and args else func.value
        if name in NAMES:
            swapped = ast.Attribute(func.value, NAMES[name], func.ctx)
            yield ast.Call(swapped, args, node.keywords)
    elif isinstance(func, ast.Name):
        name, first = func.id, args[0] if args else func
        if name in NAMES:
            yield ast.Call(ast.Name(NAMES[name], func.ctx), args, node.keywords)
        if name in ("min", "max"):
            yield from args[:2] if len(args) == 2 else ()
    else:
        return
    if name in DROPPED and first is not func:
        yield first
    if name == "where" and len(args) == 3:
        yield ast.Call(func, [args[0], args[2], args[1]], node.keywords)
    if name == "isinstance" and isinstance(args[1], ast.BinOp):
        yield ast.Call(func, [args[0], args[1].left], [])
        yield ast.Call(func, [args[0], args[1].right], [])
    for keyword in node.keywords:
        if keyword.arg not in UNSEEN_KEYWORDS:
            rest = [other for other in node.keywords if other is not keyword]
            yield ast.Call(func, args, rest)


def conditions(parent: ast.AST, field: str) -> Iterator[ast.expr]:
    """Yield what stands in for a condition of a parent: always, and never."""
    only_raises = isinstance(parent, ast.If) and isinstance(parent.body[0], ast.Raise)
    if (field == "test" and isinstance(parent, ast.If | ast.While)) or field == "ifs":
        yield ast.Constant(False)
        if not only_raises and not isinstance(parent, ast.While):
            yield ast.Constant(True)


def statements(node: ast.stmt, parent: ast.AST) -> Iterator[ast.stmt]:
    """Yield wrong statements in the place of one."""
    left_out = ast.Pass()
    match node:
        case ast.Expr(ast.Call()) | ast.Continue() | ast.Break() | ast.Delete():
            yield left_out
        case ast.Return() if isinstance(parent, ast.If) and len(parent.body) > 1:
            yield left_out
        case ast.AugAssign(target, op, value):
            yield left_out
            if type(op) in OPERATORS:
                yield ast.AugAssign(target, OPERATORS[type(op)](), value)
        case ast.Assign([ast.Subscript()]):
            yield left_out
        case ast.Assign([ast.Name(name)], value) if name in _names(value):
            yield left_out
        case ast.With([ast.withitem(ast.Call(ast.Attribute(attr=name)))], body) if name in SCOPES:
            yield ast.If(ast.Constant(True), body, [])
        case ast.FunctionDef():
            rest = [d for d in node.decorator_list if not SCOPES & set(_names(d))]
            if len(rest) < len(node.decorator_list):
                fields = {name: getattr(node, name) for name in node._fields}
                yield ast.FunctionDef(**{**fields, "decorator_list": rest})


def _names(node: ast.AST) -> Iterator[str]:
    for part in ast.walk(node):
        if isinstance(part, ast.Name):
            yield part.id
        elif isinstance(part, ast.Attribute):
            yield part.attr
