"""How a translated condition gets its values: the source being written, and the reads of what the scope holds.

A name of the scope (`data`, `previous`, ...) is read as a whole where it is first used, with a test of every value
that the expression reads of it: the library converts it there too, and one bad value spoils the name.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum, auto
from typing import Any, Final

from msgspec import Struct

from services.policy import cel_values as values
from services.policy.schemas import Field, Kind
from services.router.decision.model import Lifecycle, Severity

_LINES: Final = 4_000
_DEPTH: Final = 60
_HELPERS: Final[Mapping[str, Any]] = {
    **{
        thing.__name__: thing
        for thing in (
            *(values.Unusual, values.text, values.whole, values.number, values.moment),
            *(values.same, values.contains, values.inside, values.less, values.at_most),
            *(values.add, values.subtract, values.multiply, values.divide, values.remainder, values.negate),
            *(values.bounded, values.size, values.select, values.element, values.as_text, values.span, values.shifted),
        )
    },
    "ERROR": values.ERROR,
    "INT_MIN": values.INT_MIN,
    "INT_MAX": values.INT_MAX,
    "TIME_MIN": values.TIME_MIN,
    "TIME_MAX": values.TIME_MAX,
    **{kind.__name__: kind for kind in (bool, int, float, str, list, dict, RecursionError)},
    "len": len,
    "NOTHING": {}.get,
    "LIFECYCLES": ("", *(word.name.lower() for word in sorted(Lifecycle))),
    "SEVERITIES": ("", *(word.name.lower() for word in sorted(Severity))),
}


class Untranslatable(Exception):  # noqa: N818 - no failure: the expression stays in the library
    """There is no exact translation."""


class Sort(Enum):
    """What is known of a value when the source is written."""

    BOOL = auto()
    INT = auto()
    FLOAT = auto()
    TEXT = auto()
    TIME = auto()
    SPAN = auto()
    LIST = auto()
    OBJECT = auto()
    ANY = auto()
    NULL = auto()


_SORTS: Final = {
    Kind.STRING: Sort.TEXT,
    Kind.DATE: Sort.TEXT,
    Kind.INTEGER: Sort.INT,
    Kind.NUMBER: Sort.FLOAT,
    Kind.BOOL: Sort.BOOL,
    Kind.TIMESTAMP: Sort.TIME,
}
_KINDS: Final = {
    Sort.TEXT: Kind.STRING,
    Sort.INT: Kind.INTEGER,
    Sort.FLOAT: Kind.NUMBER,
    Sort.BOOL: Kind.BOOL,
    Sort.TIME: Kind.TIMESTAMP,
}


def sort_of(field: Field) -> Sort:
    """Return the sort of a declared type."""
    if field.kind is Kind.OBJECT and not field.open:
        return Sort.OBJECT
    if field.kind is Kind.LIST and field.item is not None:
        return Sort.LIST
    return _SORTS.get(field.kind, Sort.ANY)


def inner_of(field: Field) -> Field | None:
    """Return what `Typed` keeps of a declared type: that of a list's items, or the object."""
    sort = sort_of(field)
    return field.item if sort is Sort.LIST else field if sort is Sort.OBJECT else None


class Typed(Struct, frozen=True):
    """A value in the source: a name, its sort, and whether it may be null or an error.

    `field` is the type of a list's items, or of an object.
    """

    code: str
    sort: Sort
    field: Field | None = None
    null: bool = False
    error: bool = False

    def as_field(self) -> Field:
        """Return the type of a list's items that are such values."""
        if self.sort is Sort.OBJECT and self.field is not None:
            return self.field
        if self.sort is Sort.LIST:
            return Field(Kind.LIST, item=self.field)
        return Field(_KINDS.get(self.sort, Kind.ANY))


class Writer:
    """The source of one function and the objects that it names."""

    def __init__(self) -> None:
        self.namespace: dict[str, Any] = dict(_HELPERS)
        self._lines: list[str] = []
        self._depth = 2
        self._names = 0
        self._constants: dict[tuple[type, Any], str] = {}

    def line(self, text: str) -> None:
        """Write one line."""
        if len(self._lines) >= _LINES or self._depth > _DEPTH:
            raise Untranslatable
        self._lines.append("    " * self._depth + text)

    def fresh(self) -> str:
        """Return a new name."""
        self._names += 1
        return f"v{self._names}"

    def keep(self, code: str) -> str:
        """Give a value a name."""
        name = self.fresh()
        self.line(f"{name} = {code}")
        return name

    def constant(self, value: Any) -> str:
        """Return the name of a constant."""
        if value is None or value is True or value is False:
            return str(value)
        key = (type(value), repr(value))
        if key not in self._constants:
            self._constants[key] = f"K{len(self._constants)}"
            self.namespace[self._constants[key]] = value
        return self._constants[key]

    def helper(self, function: Any) -> str:
        """Return the name of an object that the function needs besides constants."""
        name = f"H{len(self.namespace)}"
        self.namespace[name] = function
        return name

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """Write what follows inside a block; what a block holds may be empty."""
        self.line(head)
        self._depth += 1
        before = len(self._lines)
        yield
        if len(self._lines) == before:
            self.line("pass")
        self._depth -= 1

    def source(self) -> str:
        """Return the function."""
        ending = ["    except (Unusual, RecursionError):", "        return otherwise(scope)", ""]
        return "\n".join(["def evaluate(scope):", "    try:", *self._lines, *ending])


class Reads:
    """Reads of the scope, each written where it is first needed."""

    def __init__(self, out: Writer, paths: Sequence[tuple[str, ...]], types: Mapping[str, Field], longest: int) -> None:
        self._out = out
        self._types = types
        self._longest = longest
        self._paths = paths
        self._loaded: frozenset[str] = frozenset()
        self._places: dict[tuple[str, ...], Typed] = {}

    @contextmanager
    def branch(self) -> Iterator[None]:
        """What is read inside may not have been read outside."""
        before = self._loaded
        yield
        self._loaded = before

    def lifecycle(self) -> str:
        """Return the name of the event's lifecycle, a member of the enum."""
        self._load("event")
        return self._places["event", "lifecycle"].code

    def place(self, path: tuple[str, ...]) -> Typed | None:
        """Return the value at a path; None when it lies inside another value."""
        if path[0] not in self._types:
            raise Untranslatable
        self._load(path[0])
        return self._places.get(path)

    def _load(self, root: str) -> None:
        if root in self._loaded:
            return
        self._loaded |= {root}
        match root:
            case "event":
                self._event()
            case "data":
                self._fields(self._out.keep("scope.event.data.get"), ("data",), self._types[root])
            case "previous":
                previous = self._out.keep("scope.previous")
                getter = self._out.keep(f"NOTHING if {previous} is None else {previous}.get")
                self._fields(getter, ("previous",), self._types[root])
            case "customer":
                self._customer()
            case "now":
                self._time(("now",), "scope.now")
            case _:
                raise Untranslatable

    def _below(self, path: tuple[str, ...]) -> list[str]:
        """Return the names that are read right below a path; a path that is read whole stays in the library."""
        if path in self._paths:
            raise Untranslatable
        size = len(path)
        return sorted({other[size] for other in self._paths if len(other) > size and other[:size] == path})

    def _read(self, path: tuple[str, ...], code: str, typed: Typed) -> str:
        """Write a read; a place has one name, though it may be read in several branches."""
        name = self._places[path].code if path in self._places else self._out.fresh()
        self._out.line(f"{name} = {code}")
        self._places[path] = Typed(name, typed.sort, typed.field, null=typed.null, error=typed.error)
        return name

    def _checked(self, path: tuple[str, ...], code: str, field: Field, *, null: bool = True) -> None:
        """Write a read and the test that the value is what its type says."""
        sort = sort_of(field)
        name = self._read(path, code, Typed("", sort, inner_of(field), null=null))
        given = f"{name} is not None and " if null else ""
        match sort:
            case Sort.TEXT:
                test = f"({name}.__class__ is not str or not {name}.isascii())" if null else f"not {name}.isascii()"
                self._out.line(f"if {given}{test}: {name} = text({name})")
            case Sort.INT:
                self._out.line(
                    f"if {given}({name}.__class__ is not int or not INT_MIN <= {name} <= INT_MAX): "
                    f"{name} = whole({name})"
                )
            case Sort.FLOAT:
                self._out.line(f"if {given}{name}.__class__ is not float: {name} = number({name})")
            case Sort.BOOL:
                self._out.line(f"if {given}{name}.__class__ is not bool: raise Unusual")
            case Sort.TIME:
                self._out.line(f"if {name} is not None: {name} = moment({name})")
            case _:
                read = self._out.helper(values.reader(field, self._longest))
                self._out.line(f"if {name} is not None: {name} = {read}({name})")

    def _fields(self, getter: str, path: tuple[str, ...], field: Field) -> None:
        for name in self._below(path):
            child = field.child(name)
            if child is None:
                raise Untranslatable
            self._checked((*path, name), f"{getter}({self._out.constant(name)})", child)

    def _event(self) -> None:
        event = self._out.keep("scope.event")
        for name in self._below(("event",)):
            where = ("event", name)
            match name:
                case "time":
                    self._time(where, f"{event}.time")
                case "lifecycle":
                    self._read(where, f"{event}.lifecycle", Typed("", Sort.TEXT))
                case "severity":
                    self._read(where, f"SEVERITIES[{event}.severity]", Typed("", Sort.TEXT))
                case "sequence":
                    self._checked(where, f"{event}.sequence", Field(Kind.INTEGER))
                case "id" | "source" | "type" | "subject" | "tenant":
                    self._checked(where, f"{event}.{name}", Field(Kind.STRING), null=False)
                case _:
                    raise Untranslatable

    def _time(self, path: tuple[str, ...], code: str) -> None:
        name = self._read(path, code, Typed("", Sort.TIME))
        self._out.line(f"if not TIME_MIN <= {name} <= TIME_MAX: raise Unusual")

    def _customer(self) -> None:
        profile = self._out.keep("scope.customer")
        for name in self._below(("customer",)):
            if name == "attributes":
                self._places["customer", name] = Typed("NOTHING", Sort.OBJECT)  # `has` asks whether it is null: never
                getter = self._out.keep(f"NOTHING if {profile} is None else {profile}.attributes.get")
                self._fields(getter, ("customer", name), self._types["customer"].fields[name])
                continue
            known = {"id": "customer", "locale": "locale or None", "timezone": "timezone or None"}[name]
            self._checked(("customer", name), f"None if {profile} is None else {profile}.{known}", Field(Kind.STRING))
