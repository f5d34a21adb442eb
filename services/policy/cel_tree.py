"""The tree of a checked CEL expression: what it reads, and `has` made to mean "is not null".

Values reach an expression as plain maps in which an absent value is null, so that `==` and `!=` see null and any
other use of it is an error (which makes a condition false). CEL's own `has` asks for the key, which is always there:
it is rewritten into comparisons with null. The tree is read with our own description of the public `cel.expr`
messages; only what is used of them is described, the rest is carried along unread.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory

Path = tuple[str, ...]
Proto = descriptor_pb2.FieldDescriptorProto

# In a path: what is in the list before it.
ITEM: Final = "[]"

_PACKAGE: Final = "clarion_cel"
# message -> (field, number, type or message, repeated); numbers are those of cel.expr's syntax.proto and checked.proto.
_MESSAGES: Final[dict[str, Sequence[tuple[str, int, int | str, bool]]]] = {
    "Checked": [("types", 3, Proto.TYPE_BYTES, True), ("expr", 4, "Expr", False), ("source", 5, "Source", False)],
    "Source": [("positions", 4, "Position", True)],
    "Position": [("id", 1, Proto.TYPE_INT64, False), ("offset", 2, Proto.TYPE_INT32, False)],
    "Expr": [
        ("id", 2, Proto.TYPE_INT64, False),
        ("constant", 3, "Constant", False),
        ("ident", 4, "Ident", False),
        ("select", 5, "Select", False),
        ("call", 6, "Call", False),
        ("list", 7, "List", False),
        ("struct", 8, "Struct", False),
        ("comprehension", 9, "Comprehension", False),
    ],
    "Constant": [
        ("null", 1, Proto.TYPE_INT32, False),
        ("truth", 2, Proto.TYPE_BOOL, False),
        ("whole", 3, Proto.TYPE_INT64, False),
        ("unsigned", 4, Proto.TYPE_UINT64, False),
        ("number", 5, Proto.TYPE_DOUBLE, False),
        ("string", 6, Proto.TYPE_STRING, False),
        ("raw", 7, Proto.TYPE_BYTES, False),
    ],
    "Ident": [("name", 1, Proto.TYPE_STRING, False)],
    "Select": [
        ("operand", 1, "Expr", False),
        ("field", 2, Proto.TYPE_STRING, False),
        ("test_only", 3, Proto.TYPE_BOOL, False),
    ],
    "Call": [("target", 1, "Expr", False), ("function", 2, Proto.TYPE_STRING, False), ("args", 3, "Expr", True)],
    "List": [("elements", 1, "Expr", True)],
    "Struct": [("entries", 2, "Entry", True)],
    "Entry": [("key", 3, "Expr", False), ("value", 4, "Expr", False)],
    "Comprehension": [
        ("variable", 1, Proto.TYPE_STRING, False),
        ("range", 2, "Expr", False),
        ("accumulator", 3, Proto.TYPE_STRING, False),
        ("start", 4, "Expr", False),
        ("condition", 5, "Expr", False),
        ("step", 6, "Expr", False),
        ("result", 7, "Expr", False),
    ],
}
_CHEAP: Final = frozenset(
    {
        *("_&&_", "_||_", "!_", "_?_:_", "_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_"),
        *("-_", "_-_", "_*_", "_/_", "_%_", "_+_", "startsWith", "endsWith"),
    }
)
_PARTS: Final = ("range", "start", "condition", "step", "result")


@cache
def _checked_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="cel.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        if name in {"Constant", "Expr"}:
            message.oneof_decl.add(name="kind")
        for field_name, number, kind, repeated in fields:
            label = Proto.LABEL_REPEATED if repeated else Proto.LABEL_OPTIONAL
            field: Any = message.field.add(name=field_name, number=number, label=label)
            if isinstance(kind, str):
                field.type, field.type_name = Proto.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
            else:
                field.type = kind
            if name == "Constant" or (name == "Expr" and field_name != "id"):
                field.oneof_index = 0
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Checked"))


class Tree:
    """A checked expression, to be read."""

    def __init__(self, serialized: bytes) -> None:
        self._any = any_pb2.Any.FromString(serialized)
        self._checked = _checked_class().FromString(self._any.value)
        self.root = self._checked.expr
        self._offsets = {position.id: position.offset for position in self._checked.source.positions}

    def offset(self, node: Any) -> int:
        """Return where a node stands in the source, in characters."""
        return int(self._offsets.get(node.id, 0))

    def paths(self) -> tuple[tuple[str, ...], ...]:
        """Return the values that the expression reads, as paths of names, sorted."""
        return tuple(sorted(set(_paths(self.root, frozenset()))))

    def loops(self) -> int:
        """Return how deeply loops over lists are nested."""
        return _loops(self.root)

    def costly(self) -> bool:
        """Say whether a round of a loop may cost more than the comparison of plain values."""
        return any(_costly(node.comprehension) for node in self.nodes() if node.HasField("comprehension"))

    def nodes(self) -> Iterator[Any]:
        """Yield every node."""
        return _nodes(self.root)

    def compared(self) -> Iterator[tuple[Any, Path]]:
        """Yield the texts written in the expression, each with the path of the value it is compared with."""
        return _compared(self.root, {})

    def with_null_tests(self) -> bytes:
        """Return the expression, serialized, with `has` asking for null."""
        fresh = max((node.id for node in self.nodes()), default=0) + 1
        for node in list(self.nodes()):
            if node.HasField("select") and node.select.test_only:
                fresh = _ask_for_null(node, fresh)
        return any_pb2.Any(
            type_url=self._any.type_url, value=self._checked.SerializeToString(deterministic=True)
        ).SerializeToString(deterministic=True)


def path(node: Any) -> Path:
    """Return the path of names that a node is (`event.lifecycle`), or ()."""
    if node.HasField("ident"):
        return (node.ident.name,)
    if node.HasField("select"):
        above = path(node.select.operand)
        return (*above, node.select.field) if above else ()
    return ()


def possible(node: Any, field: tuple[str, ...], values: frozenset[str]) -> frozenset[str]:  # noqa: PLR0911 - one line for each operator
    """Return the values of a field for which a condition may hold."""
    if not node.HasField("call"):
        return values
    args = node.call.args
    match node.call.function:
        case "_&&_":
            return possible(args[0], field, values) & possible(args[1], field, values)
        case "_||_":
            return possible(args[0], field, values) | possible(args[1], field, values)
        case "_==_" if any(path(arg) == field for arg in args):
            constants = {arg.constant.string for arg in args if arg.HasField("constant")}
            return values & constants if constants else values
        case "_!=_" if any(path(arg) == field for arg in args):
            return values - {arg.constant.string for arg in args if arg.HasField("constant")}
        case "@in" if path(args[0]) == field and args[1].HasField("list"):
            elements = args[1].list.elements
            if all(element.HasField("constant") for element in elements):
                return values & {element.constant.string for element in elements}
    return values


def _compared(node: Any, bound: Mapping[str, Path]) -> Iterator[tuple[Any, Path]]:
    """Yield constants with the place whose value they are compared with; `bound` says what loops call theirs."""
    if node.HasField("comprehension"):
        loop = node.comprehension
        walked = _place(loop.range, bound)
        inside = {**bound, loop.variable: (*walked, ITEM) if walked else (), loop.accumulator: ()}
        yield from _compared(loop.range, bound)
        for part in _PARTS[1:]:
            yield from _compared(getattr(loop, part), inside)
        return
    if node.HasField("call") and node.call.function in {"_==_", "_!=_", "@in"}:
        one, other = node.call.args
        for here, there in ((one, other), (other, one)):
            place = _place(here, bound)
            if node.call.function == "@in" and here is other and place:
                place = (*place, ITEM)
            constants = list(there.list.elements) if there.HasField("list") else [there]
            if place:
                yield from ((each, place) for each in constants if each.constant.WhichOneof("kind") == "string")
    for child in _children(node):
        yield from _compared(child, bound)


def _place(node: Any, bound: Mapping[str, Path]) -> Path:
    found = path(node)
    if found and found[0] in bound:
        return (*bound[found[0]], *found[1:]) if bound[found[0]] else ()
    return found


def _nodes(root: Any) -> Iterator[Any]:
    todo = [root]
    while todo:
        node = todo.pop()
        yield node
        todo.extend(_children(node))


def _costly(loop: Any) -> bool:
    """Whether a loop builds a list (the library copies it each round) or calls what reads long values."""
    if loop.start.HasField("list"):
        return True
    for node in _nodes(loop.step):
        if node.HasField("call") and node.call.function not in _CHEAP:
            in_constants = node.call.function == "@in" and node.call.args[1].HasField("list")
            if not in_constants:
                return True
    return False


def _children(node: Any) -> list[Any]:
    if node.HasField("select"):
        return [node.select.operand]
    if node.HasField("call"):
        target = [node.call.target] if node.call.HasField("target") else []
        return [*target, *node.call.args]
    if node.HasField("list"):
        return list(node.list.elements)
    if node.HasField("struct"):
        return [part for entry in node.struct.entries for part in (entry.key, entry.value)]
    if node.HasField("comprehension"):
        return [getattr(node.comprehension, part) for part in _PARTS]
    return []


def _paths(node: Any, bound: frozenset[str]) -> Iterator[tuple[str, ...]]:
    found = path(node)
    if found:
        if found[0] not in bound:
            yield found
        return
    if node.HasField("comprehension"):
        loop = node.comprehension
        yield from _paths(loop.range, bound)
        inside = bound | {loop.variable, loop.accumulator}
        for part in _PARTS[1:]:
            yield from _paths(getattr(loop, part), inside)
        return
    for child in _children(node):
        yield from _paths(child, bound)


def _loops(node: Any) -> int:
    own = 1 if node.HasField("comprehension") else 0
    return own + max(map(_loops, _children(node)), default=0)


def _ask_for_null(node: Any, fresh: int) -> int:
    """Turn `has(a.b.c)` into `a.b != null && a.b.c != null`; return the next free id."""
    value = type(node)()
    value.CopyFrom(node)
    value.select.test_only = False
    steps = [value]
    while steps[-1].HasField("select") and steps[-1].select.operand.HasField("select"):
        steps.append(steps[-1].select.operand)
    tests = []
    for step in reversed(steps):
        test = type(node)()
        test.call.function = "_!=_"
        test.call.args.add().CopyFrom(step)
        test.call.args.add().constant.null = 0
        tests.append(test)
    whole = tests[0]
    for test in tests[1:]:
        both = type(node)()
        both.call.function = "_&&_"
        both.call.args.add().CopyFrom(whole)
        both.call.args.add().CopyFrom(test)
        whole = both
    node.CopyFrom(whole)
    todo = [node]
    while todo:
        inner = todo.pop()
        inner.id = fresh
        fresh += 1
        todo.extend(_children(inner))
    return fresh
