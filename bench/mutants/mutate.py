"""Small mistakes that somebody could make in a module, one at a time.

A mutant is the module's syntax tree with one node changed: a comparison, a constant by one, `and` for `or`, a `not`,
another member of the same enum, `min` for `max`, `+` for `-`, a check answering None, a statement left out, an entry
left out of a tuple of checks. Docstrings, annotations, imports and type aliases are left alone, and so are the texts
of exceptions.
"""

import ast
import copy
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import CodeType
from typing import Any

from msgspec import Struct

# The enums of the core: a member may be mistaken for the next one.
Enums = Mapping[str, Sequence[str]]
Change = tuple[str, Callable[[Any], ast.AST]]

_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
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
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
}
_CALLS = {"min": "max", "max": "min", "any": "all", "all": "any"}


class Spot(Struct, frozen=True):
    """Where a mistake can be made: the place of a node in the walk over its module, and which of its changes."""

    module: str
    place: int
    number: int


class Mutant(Struct, frozen=True):
    """One mistake: `before` and `after` are the statement's own lines, without what is nested in it.

    Mutants of one shape are one and the same.
    """

    module: str
    line: int
    kind: str
    before: str
    after: str
    shape: bytes
    code: CodeType


def spots(module: str, source: str, enums: Enums) -> list[Spot]:
    """Return all places for mistakes in a module."""
    tree = ast.parse(source)
    spared = _left_alone(tree)
    nodes = [(place, node) for place, node in enumerate(ast.walk(tree)) if place not in spared]
    return [Spot(module, place, number) for place, node in nodes for number, _ in enumerate(_changes(node, enums))]


def mutant(spot: Spot, source: str, enums: Enums) -> Mutant:
    """Make one mistake."""
    tree = ast.parse(source)
    target = list(ast.walk(tree))[spot.place]
    statement = _statement_of(tree, target)
    before = _first_line(statement)
    kind, change = list(_changes(target, enums))[spot.number]
    changed = _put(tree, target, change(target))
    after = _first_line(changed if statement is target else statement)
    code = compile(ast.fix_missing_locations(tree), f"{spot.module}.py", "exec")
    return Mutant(spot.module, statement.lineno, kind, before, after, shape(tree), code)


def shape(tree: ast.Module) -> bytes:
    """Return what two trees share only if they say the same."""
    return hashlib.blake2b(ast.dump(tree).encode()).digest()


def _left_alone(tree: ast.Module) -> frozenset[int]:
    """Return the places of what is no behaviour: docstrings, annotations, imports, raised texts, types."""
    spared: set[int] = set()
    for node in ast.walk(tree):
        parts: list[ast.AST | None] = []
        match node:
            case ast.Import() | ast.ImportFrom() | ast.Raise():
                parts = [node]
            case ast.FunctionDef():
                parts = [node.returns, *(a.annotation for a in (*node.args.args, *node.args.kwonlyargs))]
                parts += node.decorator_list
            case ast.AnnAssign():
                parts = [node.annotation]
            case ast.Expr(value=ast.Constant(value=str())):
                parts = [node]
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Subscript() | ast.BinOp(op=ast.BitOr())) if name[
                0
            ].isupper():
                parts = [node]
            case ast.ClassDef():
                parts = [*node.bases, *(k.value for k in node.keywords)]
            case _:
                continue
        spared.update(id(inner) for part in parts if part is not None for inner in ast.walk(part))
    return frozenset(place for place, node in enumerate(ast.walk(tree)) if id(node) in spared)


def _changes(node: ast.AST, enums: Enums) -> Iterator[Change]:
    """Give the mistakes that can be made at a node; each returns the node's successor."""
    yield from _of_conditions(node)
    yield from _of_values(node, enums)
    yield from _of_statements(node)


def _of_conditions(node: ast.AST) -> Iterator[Change]:
    match node:
        case ast.Compare(ops=[first, *_]):
            for other in _COMPARISONS[type(first)]:
                yield "comparison", _comparison(other)
        case ast.BoolOp():
            yield "and/or", _other_bool
            for at in range(len(node.values)):
                yield "operand left out", _operand_left_out(at)
        case ast.UnaryOp(op=ast.Not()):
            yield "not", lambda n: n.operand
        case ast.IfExp():
            yield "branch", lambda n: n.body
            yield "branch", lambda n: n.orelse
        case ast.If() | ast.While():
            yield "condition", _negated
        case _:
            return


def _of_values(node: ast.AST, enums: Enums) -> Iterator[Change]:
    match node:
        case ast.BinOp() if type(node.op) in _OPERATORS:
            yield "arithmetic", _operator
        case ast.Constant(value=bool()):
            yield "constant", lambda n: ast.Constant(not n.value)
        case ast.Constant(value=int()):
            yield "constant", lambda n: ast.Constant(n.value + 1)
            yield "constant", lambda n: ast.Constant(n.value - 1)
        case ast.Attribute(value=ast.Name(id=name), attr=member) if member in enums.get(name, ()):
            yield "enum", _next_member(enums[name])
        case ast.Call(func=ast.Name(id=name)) if name in _CALLS:
            yield "call", _other_call
        case ast.Tuple(elts=[_, _, *_]) if isinstance(node.ctx, ast.Load):
            for at in range(len(node.elts)):
                yield "entry left out", _entry_left_out(at)
        case _:
            return


def _of_statements(node: ast.AST) -> Iterator[Change]:
    match node:
        case ast.Return(value=ast.expr()):
            yield "returns None", lambda _: ast.Return(ast.Constant(None))
        case ast.Expr() | ast.AugAssign() | ast.Continue() | ast.Break() | ast.Assign(targets=[ast.Attribute()]):
            yield "statement left out", lambda _: ast.Pass()
        case _:
            return


def _comparison(other: type[ast.cmpop]) -> Callable[[Any], ast.AST]:
    def change(node: ast.AST) -> ast.AST:
        assert isinstance(node, ast.Compare)
        node.ops = [other(), *node.ops[1:]]
        return node

    return change


def _operator(node: ast.AST) -> ast.AST:
    assert isinstance(node, ast.BinOp)
    node.op = _OPERATORS[type(node.op)]()
    return node


def _other_bool(node: ast.AST) -> ast.AST:
    assert isinstance(node, ast.BoolOp)
    node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
    return node


def _operand_left_out(at: int) -> Callable[[Any], ast.AST]:
    def change(node: ast.AST) -> ast.AST:
        assert isinstance(node, ast.BoolOp)
        left = [*node.values[:at], *node.values[at + 1 :]]
        return left[0] if len(left) == 1 else ast.BoolOp(node.op, left)

    return change


def _entry_left_out(at: int) -> Callable[[Any], ast.AST]:
    def change(node: ast.AST) -> ast.AST:
        assert isinstance(node, ast.Tuple)
        node.elts = [*node.elts[:at], *node.elts[at + 1 :]]
        return node

    return change


def _next_member(members: Sequence[str]) -> Callable[[Any], ast.AST]:
    def change(node: ast.AST) -> ast.AST:
        assert isinstance(node, ast.Attribute)
        node.attr = members[(members.index(node.attr) + 1) % len(members)]
        return node

    return change


def _other_call(node: ast.AST) -> ast.AST:
    assert isinstance(node, ast.Call)
    assert isinstance(node.func, ast.Name)
    node.func = ast.Name(_CALLS[node.func.id], ast.Load())
    return node


def _negated(node: ast.AST) -> ast.AST:
    assert isinstance(node, ast.If | ast.While)
    node.test = ast.UnaryOp(ast.Not(), node.test)
    return node


def _put(tree: ast.Module, target: ast.AST, changed: ast.AST) -> ast.AST:
    """Put the changed node in the place of its original; return it."""
    if changed is target:
        return changed
    for parent in ast.walk(tree):
        for name, value in ast.iter_fields(parent):
            if value is target:
                setattr(parent, name, changed)
            elif isinstance(value, list):
                value[:] = [changed if inner is target else inner for inner in value]
    return changed


def _statement_of(tree: ast.Module, target: ast.AST) -> ast.stmt:
    """Return the innermost statement around a node."""
    found: ast.stmt | None = None
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt) and any(inner is target for inner in ast.walk(node)):
            found = node
    assert found is not None
    return found


def _first_line(statement: ast.AST) -> str:
    """Return a statement as one line, without what is nested in it."""
    shown = copy.deepcopy(statement)
    for name in ("body", "orelse", "cases"):
        if isinstance(getattr(shown, name, None), list):
            setattr(shown, name, [ast.Pass()] if name == "body" else [])
    return " ".join(ast.unparse(ast.fix_missing_locations(shown)).split())
