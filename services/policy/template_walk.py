"""The walk over one template: what it may do, and which names it may use.

A template may only print values, choose, walk a list, format. Every name is typed; a value that may be absent must be
asked for first, so that no message has a hole. There is nothing in what is allowed that could grow without bound:
repetition, macros, ranges and nested loops are refused, which the engine's budget of steps would not stop from eating
memory.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, Final

import jinja2
import minijinja
from jinja2 import nodes
from msgspec import Struct

from services.policy import formats
from services.policy.mistakes import nearest
from services.policy.schemas import Field, Kind

Path = tuple[str, ...]
_ANY: Final = Field(Kind.ANY)
_TEXT: Final = Field(Kind.STRING)
_NUMBERS: Final = (Kind.INTEGER, Kind.NUMBER, Kind.ANY)
# Filter -> what it takes, how many arguments.
_TAKES: Final[Mapping[str, tuple[tuple[Kind, ...], range]]] = {
    "date": ((Kind.TIMESTAMP, Kind.DATE), range(1)),
    "time": ((Kind.TIMESTAMP,), range(1)),
    "datetime": ((Kind.TIMESTAMP,), range(1)),
    "number": ((Kind.INTEGER, Kind.NUMBER), range(1)),
    "money": ((Kind.STRING, Kind.INTEGER, Kind.NUMBER), range(1, 2)),
    "plural": ((Kind.INTEGER, Kind.NUMBER), range(2, 5)),
    "phone": ((Kind.STRING,), range(1)),
    "join": ((Kind.LIST,), range(2)),
    "default": (tuple(Kind), range(1, 2)),
    "length": ((Kind.STRING, Kind.LIST), range(1)),
    "lower": ((Kind.STRING,), range(1)),
    "upper": ((Kind.STRING,), range(1)),
    "trim": ((Kind.STRING,), range(1)),
}


class Fault(Struct, frozen=True):
    """A mistake inside a template."""

    offset: int
    length: int
    message: str
    suggestion: str = ""


class Names(Struct, frozen=True):
    """What a template can see, and how to say where its data is declared."""

    types: Mapping[str, Field]
    declared: str


def faults(source: str, names: Names) -> list[Fault]:
    """Return what is wrong with one template."""
    try:
        formats.environment().add_template("part", source)
    except minijinja.TemplateError as error:
        return [_syntax(source, error)]
    try:
        tree = jinja2.Environment(autoescape=True).parse(source)
    except (jinja2.TemplateSyntaxError, RecursionError) as error:
        line = getattr(error, "lineno", 1)
        offset = sum(len(before) + 1 for before in source.split("\n")[: line - 1])
        return [Fault(offset, 1, f"syntax error: {getattr(error, 'message', 'nested too deep')}")]
    walk = _Walk(source, names)
    try:
        walk.statements(tree.body, frozenset())
    except RecursionError:
        return [Fault(0, 1, "the template is nested too deep")]
    return walk.faults


def _syntax(source: str, error: minijinja.TemplateError) -> Fault:
    begin, end = error.range or (0, 1)
    raw = source.encode()
    offset = len(raw[:begin].decode(errors="ignore"))
    length = len(raw[begin:end].decode(errors="ignore"))
    return Fault(offset, max(length, 1), f"syntax error: {error.detail or error.kind}")


class _Walk:
    """Walks the tree of one template; `sure` are the paths known to be there."""

    def __init__(self, source: str, names: Names) -> None:
        self.faults: list[Fault] = []
        self._source = source
        self._declared = names.declared
        self._scope: dict[str, Field] = dict(names.types)
        self._loops = 0
        self._seen: dict[tuple[int, str], int] = {}
        self._visits: dict[str, int] = {}
        self._lines = [0]
        for line in source.split("\n"):
            self._lines.append(self._lines[-1] + len(line) + 1)

    # --- statements ---

    def statements(self, body: Sequence[nodes.Node], sure: frozenset[Path]) -> None:
        for node in body:
            match node:
                case nodes.Output():
                    for part in node.nodes:
                        if not isinstance(part, nodes.TemplateData):
                            self._value(part, sure)
                case nodes.If():
                    self._if(node, sure)
                case nodes.For():
                    self._for(node, sure)
                case _:
                    self._refuse(node, f"{type(node).__name__.lower()!r} is not allowed in a template")

    def _if(self, node: nodes.If, sure: frozenset[Path]) -> None:
        for branch in (node, *node.elif_):
            self._test(branch.test, sure)
            holds, fails = _guards(branch.test)
            self.statements(branch.body, sure | holds)
            sure |= fails
        self.statements(node.else_, sure)

    def _for(self, node: nodes.For, sure: frozenset[Path]) -> None:
        if node.test is not None or node.recursive or node.else_ or not isinstance(node.target, nodes.Name):
            self._refuse(node, "only the plain form {% for x in data.list %} is allowed")
            return
        if self._loops:
            self._refuse(node, "a loop inside a loop is not allowed")
            return
        field = self._value(node.iter, sure)
        if field is not None and field.kind not in {Kind.LIST, Kind.ANY}:
            self._refuse(node, f"a loop walks a list, not {field.kind.value}")
        name = node.target.name
        if name in self._scope:
            self._refuse(node, f"the name {name!r} is taken")
            return
        self._scope[name] = (field.item if field else None) or _ANY
        self._loops += 1
        self.statements(node.body, sure)
        self._loops -= 1
        del self._scope[name]

    # --- expressions ---

    def _value(self, node: nodes.Node, sure: frozenset[Path]) -> Field | None:
        """Return the type of an expression whose value is used: it must be there."""
        field = self._type(node, sure)
        path = _path(node)
        unknown = path[:1] == ("data",) and not self._declared  # no rule uses it: nothing is known of its data
        if field is not None and field.optional and path and path not in sure and not unknown:
            dotted = ".".join(path)
            self._fault(node, dotted, f"{dotted!r} may be absent: ask first, {{% if {dotted} %}}")
        return field

    def _test(self, node: nodes.Node, sure: frozenset[Path]) -> None:
        """Check a condition: a value may be absent here, what it is inside of may not."""
        match node:
            case nodes.And():
                self._test(node.left, sure)
                self._test(node.right, sure | _guards(node.left)[0])
            case nodes.Or():
                self._test(node.left, sure)
                self._test(node.right, sure | _guards(node.left)[1])
            case nodes.Not():
                self._test(node.node, sure)
            case nodes.Getattr() | nodes.Name():
                self._type(node, sure)
            case _:
                self._value(node, sure)

    def _type(  # noqa: C901, PLR0911, PLR0912 - one line for each kind of node
        self, node: nodes.Node, sure: frozenset[Path]
    ) -> Field | None:
        match node:
            case nodes.Const():
                return _constant(node.value)
            case nodes.Name():
                return self._name(node)
            case nodes.Getattr():
                return self._attribute(node, sure)
            case nodes.Filter():
                return self._filter(node, sure)
            case nodes.Test():
                return self._asked(node, sure)
            case nodes.Compare():
                return self._compare(node, sure)
            case nodes.And() | nodes.Or() | nodes.Not():
                self._test(node, sure)
                return Field(Kind.BOOL)
            case nodes.CondExpr():
                return self._choice(node, sure)
            case nodes.Concat():
                for part in node.nodes:
                    self._value(part, sure)
                return _TEXT
            case nodes.Add() | nodes.Sub():
                return self._sum(node, sure)
            case nodes.Neg():
                return self._value(node.node, sure)
            case _:
                self._refuse(node, f"{type(node).__name__.lower()!r} is not allowed in a template")
                return None

    def _name(self, node: nodes.Name) -> Field | None:
        field = self._scope.get(node.name)
        if field is None:
            self._fault(node, node.name, f"unknown name {node.name!r}", nearest(node.name, self._scope))
        return field

    def _attribute(self, node: nodes.Getattr, sure: frozenset[Path]) -> Field | None:
        inside = self._value(node.node, sure)
        mentioned = ".".join(_path(node))
        self._visits[mentioned] = self._visits.get(mentioned, 0) + 1
        if inside is None:
            return None
        field = inside.child(node.attr)
        if field is None:
            path = _path(node)
            dotted = ".".join(path) or node.attr
            self._fault(node, dotted, f"{dotted!r} is not in {self._home(path)}", nearest(node.attr, inside.fields))
        return field

    def _home(self, path: Path) -> str:
        match path:
            case ("data", *_) if self._declared:
                return self._declared
            case ("customer", "attributes", *_):
                return "attributes of clarion.yaml"
            case _:
                return ".".join(path[:-1]) or "this"

    def _filter(self, node: nodes.Filter, sure: frozenset[Path]) -> Field | None:
        known = [*formats.FILTERS, *formats.BUILT_IN]
        if node.name not in known or node.node is None:
            self._fault(node, f"| {node.name}", f"unknown filter {node.name!r}", nearest(node.name, known))
            return None
        wants_value = node.name != "default"
        field = self._value(node.node, sure) if wants_value else self._type(node.node, sure)
        for argument in [*node.args, *(pair.value for pair in node.kwargs)]:
            self._value(argument, sure)
        takes, count = _TAKES[node.name]
        if field is not None and field.kind not in (*takes, Kind.ANY):
            self._fault(node, f"| {node.name}", f"the filter {node.name!r} can't take {field.kind.value}")
        if len(node.args) + len(node.kwargs) not in count or node.dyn_args or node.dyn_kwargs:
            wanted = f"{count.start} to {count.stop - 1}" if len(count) > 1 else str(count.start)
            noun = "argument" if wanted == "1" else "arguments"
            self._fault(node, f"| {node.name}", f"the filter {node.name!r} takes {wanted} {noun}")
        if node.name == "length":
            return Field(Kind.INTEGER)
        return Field(field.kind) if field is not None and node.name == "default" else _TEXT

    def _asked(self, node: nodes.Test, sure: frozenset[Path]) -> Field:
        if node.name not in {"defined", "undefined"}:
            self._refuse(node, f"the test {node.name!r} is not allowed in a template")
        self._type(node.node, sure)
        return Field(Kind.BOOL)

    def _compare(self, node: nodes.Compare, sure: frozenset[Path]) -> Field:
        sides = [(node.expr, self._value(node.expr, sure))]
        sides += [(operand.expr, self._operand(operand.expr, sure)) for operand in node.ops]
        known = next((field.words for side, field in sides if field is not None and field.words and _path(side)), ())
        for side, _ in sides if known else ():
            for constant in [side] if isinstance(side, nodes.Const) else side.find_all(nodes.Const):
                word = str(constant.value)
                if constant.value is not None and word not in known:
                    self._fault(constant, word, f"{word!r} is not one of {', '.join(known)}", nearest(word, known))
        return Field(Kind.BOOL)

    def _operand(self, node: nodes.Node, sure: frozenset[Path]) -> Field | None:
        if isinstance(node, nodes.List | nodes.Tuple) and all(isinstance(item, nodes.Const) for item in node.items):
            return None
        return self._value(node, sure)

    def _choice(self, node: nodes.CondExpr, sure: frozenset[Path]) -> Field | None:
        self._test(node.test, sure)
        holds, fails = _guards(node.test)
        field = self._value(node.expr1, sure | holds)
        if node.expr2 is None:
            self._refuse(node, "a choice needs its 'else'")
            return field
        self._value(node.expr2, sure | fails)
        return field

    def _sum(self, node: nodes.Add | nodes.Sub, sure: frozenset[Path]) -> Field:
        for side in (node.left, node.right):
            field = self._value(side, sure)
            if field is not None and field.kind not in _NUMBERS:
                self._refuse(node, f"'+' and '-' take numbers, not {field.kind.value}")
        return Field(Kind.NUMBER)

    # --- places ---

    def _refuse(self, node: nodes.Node, message: str) -> None:
        line = min(max(node.lineno, 1), len(self._lines) - 1)
        begin = self._lines[line - 1]
        tag = re.compile(r"\{[{%]").search(self._source, begin)
        self.faults.append(Fault(tag.start() if tag else begin, 2 if tag else 1, message))

    def _fault(self, node: nodes.Node, needle: str, message: str, suggestion: str = "") -> None:
        """Note a mistake where the source reads like the needle: the time it was met, else next on the line."""
        line = min(max(node.lineno, 1), len(self._lines) - 1)
        pattern = r"\s*".join(re.escape(part) for part in re.findall(r"\w+|[^\w\s]", needle))
        begin = self._seen.get((line, needle), self._lines[line - 1])
        reads = re.compile(rf"(?<![\w.]){pattern}(?!\w)")
        met = self._visits.get(needle, 0)
        match = next(islice(reads.finditer(self._source), met - 1, None), None) if met else None
        match = match or reads.search(self._source, begin)
        if match is None:
            self.faults.append(Fault(self._lines[line - 1], 1, message, suggestion))
            return
        self._seen[line, needle] = match.end()
        self.faults.append(Fault(match.start(), match.end() - match.start(), message, suggestion))


def _path(node: nodes.Node) -> Path:
    if isinstance(node, nodes.Name):
        return (node.name,)
    if isinstance(node, nodes.Getattr):
        above = _path(node.node)
        return (*above, node.attr) if above else ()
    return ()


def _guards(  # noqa: PLR0911 - one line for each kind of test
    test: nodes.Node,
) -> tuple[frozenset[Path], frozenset[Path]]:
    """Return what is known to be there if a test holds, and if it fails."""
    nothing: frozenset[Path] = frozenset()
    match test:
        case nodes.Name() | nodes.Getattr():
            return frozenset([_path(test)]), nothing
        case nodes.Not():
            holds, fails = _guards(test.node)
            return fails, holds
        case nodes.And():
            return _guards(test.left)[0] | _guards(test.right)[0], _guards(test.left)[1] & _guards(test.right)[1]
        case nodes.Or():
            return _guards(test.left)[0] & _guards(test.right)[0], _guards(test.left)[1] | _guards(test.right)[1]
        case nodes.Test(name="defined"):
            return frozenset([_path(test.node)]), nothing
        case nodes.Test(name="undefined"):
            return nothing, frozenset([_path(test.node)])
        case _:
            return nothing, nothing


def _constant(value: Any) -> Field:
    match value:
        case bool():
            return Field(Kind.BOOL)
        case int():
            return Field(Kind.INTEGER)
        case float():
            return Field(Kind.NUMBER)
        case str():
            return _TEXT
        case _:
            return _ANY
