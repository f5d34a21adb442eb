"""Conditions of a policy: CEL, checked against the types of the data, evaluated on plain values.

An expression is compiled twice. The first time it is typed (`cel_types`), so that a typo or a wrong type is a mistake
with its place. The second time it is made to run on maps that hold only what it reads, with null for what is absent:
comparing with null works, any other use of an absent value makes the condition ABSENT, which counts as false.
Evaluation is pure and never raises.
"""

import calendar
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC
from functools import cache
from typing import Any, Final

from cel_expr_python import cel
from google.protobuf.timestamp_pb2 import Timestamp
from msgspec import Struct

from services.policy import words
from services.policy.cel_tree import Tree, compared, possible
from services.policy.cel_types import environment, path_of_message
from services.policy.mistakes import nearest
from services.policy.schemas import Field, Kind, all_optional, instant
from services.router.decision.model import SECOND, Condition, Event, Key, Profile, Scope, Truth

EVENT: Final = Field(
    Kind.OBJECT,
    fields={
        "id": Field(Kind.STRING),
        "source": Field(Kind.STRING),
        "type": Field(Kind.STRING),
        "subject": Field(Kind.STRING),
        "time": Field(Kind.TIMESTAMP),
        "lifecycle": Field(Kind.STRING),
        "sequence": Field(Kind.INTEGER, optional=True),
        "severity": Field(Kind.STRING),
        "tenant": Field(Kind.STRING),
    },
)
_CLOSED_WORDS: Final = {("event", "lifecycle"): words.LIFECYCLES, ("event", "severity"): words.SEVERITIES}
_ATTRIBUTE_KINDS: Final = {
    "string": Kind.STRING,
    "int": Kind.INTEGER,
    "number": Kind.NUMBER,
    "bool": Kind.BOOL,
    "date": Kind.DATE,
    "timestamp": Kind.TIMESTAMP,
}
_SHOWN_LENGTH: Final = 60


class Fault(Struct, frozen=True):
    """A mistake inside an expression, `offset` characters after its beginning."""

    offset: int
    length: int
    message: str
    suggestion: str = ""


class ExpressionError(ValueError):
    """The expression can't be used."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(fault.message for fault in faults))
        self.faults = tuple(faults)


class Compiled(Struct, frozen=True):
    """A condition and what is known of it: the paths it reads and the lifecycles for which it may hold."""

    condition: Condition
    paths: tuple[tuple[str, ...], ...]
    lifecycles: frozenset[str]


def customer_type(attributes: Mapping[str, str] | None) -> Field:
    """Return the type of `customer` with the attributes that clarion.yaml declares; None: it could not be read."""
    declared = {name: Field(_ATTRIBUTE_KINDS[kind], optional=True) for name, kind in (attributes or {}).items()}
    known = Field(Kind.OBJECT, fields=declared, closed=True) if attributes is not None else Field(Kind.ANY)
    return Field(
        Kind.OBJECT,
        fields={
            "id": Field(Kind.STRING, optional=True),
            "locale": Field(Kind.STRING, optional=True),
            "timezone": Field(Kind.STRING, optional=True),
            "attributes": known,
        },
    )


def customer_language(attributes: Mapping[str, str] | None) -> "Language":
    """Return the language of segments and selectors: they see the customer alone."""
    return Language(Field(Kind.OBJECT, closed=True), customer_type(attributes))


class Language:
    """The names and types that the expressions of one event type, or of several, can use."""

    def __init__(self, data: Field, customer: Field) -> None:
        now = Field(Kind.TIMESTAMP)
        self._types = {"event": EVENT, "data": data, "customer": customer, "previous": all_optional(data), "now": now}
        self._environments: dict[tuple[str, ...], Any] = {}

    def compile(self, source: str, names: Sequence[str]) -> Compiled:
        """Compile a condition that may use these names; raise ExpressionError."""
        types = {name: self._types[name] for name in sorted(names)}
        key = tuple(types)
        if key not in self._environments:
            self._environments[key] = environment(types)
        try:
            checked = self._environments[key].compile(source)
        except RuntimeError as error:
            raise ExpressionError(_faults(str(error), source, types)) from None
        result = checked.return_type()
        if result not in (cel.Type.BOOL, cel.Type.DYN) and not _is_bool_wrapper(result):
            raise ExpressionError([Fault(0, len(source), f"gives {result.name().lower()}, not true or false")])
        return self._runnable(source)

    def compile_key(self, source: str, names: Sequence[str]) -> Key:
        """Compile an expression that gives text; raise ExpressionError."""
        types = {name: self._types[name] for name in sorted(names)}
        key = tuple(types)
        if key not in self._environments:
            self._environments[key] = environment(types)
        try:
            checked = self._environments[key].compile(source)
        except RuntimeError as error:
            raise ExpressionError(_faults(str(error), source, types)) from None
        result = checked.return_type().name()
        if "string" not in result.lower() and checked.return_type() != cel.Type.DYN:
            raise ExpressionError([Fault(0, len(source), f"gives {result.lower()}, not text")])
        tree = Tree(_untyped().compile(source).serialize())
        program = _untyped().deserialize(tree.with_null_tests())
        gather = _gatherer(tree.paths(), self._types)

        def evaluate(scope: Scope) -> str | None:
            try:
                value = program.eval(data=gather(scope)).value()
            except (RuntimeError, TypeError, ValueError, OverflowError):
                return None
            return value if isinstance(value, str) else None

        return Key(source, evaluate)

    def _runnable(self, source: str) -> Compiled:
        tree = Tree(_untyped().compile(source).serialize())
        _refuse_costly(tree, source)
        _refuse_unknown_words(tree)
        paths = tree.paths()
        lifecycles = possible(tree.root, ("event", "lifecycle"), frozenset(words.LIFECYCLES))
        program = _untyped().deserialize(tree.with_null_tests())
        gather = _gatherer(paths, self._types)
        return Compiled(Condition(source, _evaluator(program, gather), _shower(paths, gather)), paths, lifecycles)


@cache
def _untyped() -> Any:
    names = ("event", "data", "customer", "previous", "now")
    return cel.NewEnv(variables=dict.fromkeys(names, cel.Type.DYN))


def _is_bool_wrapper(result: Any) -> bool:
    return "BoolValue" in result.name() or result.name().lower() in {"wrapper(bool)", "bool_wrapper"}


def _evaluator(program: Any, gather: Callable[[Scope], dict[str, Any]]) -> Callable[[Scope], Truth]:
    def evaluate(scope: Scope) -> Truth:
        try:
            value = program.eval(data=gather(scope)).value()
        except (RuntimeError, TypeError, ValueError, OverflowError):
            # What CEL can't take (a number beyond 64 bits in an undeclared field, half a character): not comparable.
            return Truth.ABSENT
        if value is True:
            return Truth.TRUE
        return Truth.FALSE if value is False else Truth.ABSENT

    return evaluate


def _shower(paths: Sequence[tuple[str, ...]], gather: Callable[[Scope], dict[str, Any]]) -> Callable[[Scope], str]:
    def show(scope: Scope) -> str:
        values = gather(scope)
        return ", ".join(f"{'.'.join(path)} is {_shown(_at(values, path))}" for path in paths)

    return show


def _at(values: Any, path: Sequence[str]) -> Any:
    for name in path:
        values = values.get(name) if isinstance(values, dict) else None
    return values


def _shown(value: Any) -> str:  # noqa: PLR0911 - one line for each type
    match value:
        case None:
            return "absent"
        case bool():
            return "true" if value else "false"
        case Timestamp():
            return value.ToDatetime(UTC).isoformat().replace("+00:00", "Z")
        case str():
            text = value if len(value) <= _SHOWN_LENGTH else value[: _SHOWN_LENGTH - 3] + "..."
            return f'"{text}"'
        case list():
            return f"a list of {len(value)}"
        case dict():
            return "an object"
        case float() if value.is_integer():
            return str(int(value))
    return str(value)


# --- values --------------------------------------------------------------------------------------


def _gatherer(paths: Sequence[tuple[str, ...]], types: Mapping[str, Field]) -> Callable[[Scope], dict[str, Any]]:
    """Return a function that takes what the paths need out of a scope."""
    read: dict[str, set[str]] = {}
    for root, *rest in paths:
        read.setdefault(root, set()).update(rest[:1] or ["*"])
    makers: list[tuple[str, Callable[[Scope], Any]]] = []
    for root, names in sorted(read.items()):
        makers.append((root, _maker(root, frozenset(names), types[root], _attributes(paths))))

    def gather(scope: Scope) -> dict[str, Any]:
        return {root: make(scope) for root, make in makers}

    return gather


def _attributes(paths: Sequence[tuple[str, ...]]) -> frozenset[str]:
    return frozenset(path[2] for path in paths if path[:2] == ("customer", "attributes") and len(path) > 2)  # noqa: PLR2004


def _maker(root: str, names: frozenset[str], field: Field, attributes: frozenset[str]) -> Callable[[Scope], Any]:
    match root:
        case "event":
            picked = sorted(EVENT.fields if "*" in names else names)
            return lambda scope: {name: _EVENT_VALUES[name](scope.event) for name in picked}
        case "customer":
            declared = field.fields["attributes"]
            kinds = tuple((name, declared.child(name)) for name in sorted(attributes or declared.fields))
            return lambda scope: _customer(scope.customer, kinds)
        case "now":
            return lambda scope: _moment(scope.now)
        case "previous":
            return lambda scope: _picked(scope.previous or {}, names, field)
        case _:
            return lambda scope: _picked(scope.event.data, names, field)


def _picked(data: Mapping[str, Any], names: frozenset[str], field: Field) -> Any:
    if "*" in names:
        return _value(field, data)
    return {name: _value(field.child(name), data.get(name)) for name in names}


def _value(field: Field | None, value: Any) -> Any:  # noqa: PLR0911 - one line for each kind
    if value is None or field is None:
        return None
    match field.kind:
        case Kind.TIMESTAMP:
            return _instant(value)
        case Kind.INTEGER:
            return int(value) if isinstance(value, int | float) else None
        case Kind.NUMBER:
            return float(value) if isinstance(value, int | float) else None
        case Kind.OBJECT if not field.open:
            inner = value if isinstance(value, Mapping) else {}
            return {name: _value(child, inner.get(name)) for name, child in field.fields.items()}
        case Kind.LIST if field.item is not None and isinstance(value, Sequence):
            item = field.item
            return [_value(item, one) for one in value]
    return value


def _moment(time: int) -> Timestamp:
    # Inside a map CEL takes this message for an instant, not Python's datetime.
    return Timestamp(seconds=time // SECOND, nanos=time % SECOND * 1000)


def _instant(value: Any) -> Timestamp | None:
    found = instant(value)
    if found is None:
        return None
    return Timestamp(seconds=calendar.timegm(found.timetuple()), nanos=found.microsecond * 1000)


_EVENT_VALUES: Final[Mapping[str, Callable[[Event], Any]]] = {
    "id": lambda event: event.id,
    "source": lambda event: event.source,
    "type": lambda event: event.type,
    "subject": lambda event: event.subject,
    "time": lambda event: _moment(event.time),
    "lifecycle": lambda event: event.lifecycle.name.lower(),
    "sequence": lambda event: event.sequence,
    "severity": lambda event: event.severity.name.lower(),
    "tenant": lambda event: event.tenant,
}


def _customer(profile: Profile | None, attributes: Sequence[tuple[str, Field | None]]) -> dict[str, Any]:
    if profile is None:
        return {"id": None, "locale": None, "timezone": None, "attributes": {name: None for name, _ in attributes}}
    return {
        "id": profile.customer,
        "locale": profile.locale or None,
        "timezone": profile.timezone or None,
        "attributes": {name: _value(field, profile.attributes.get(name)) for name, field in attributes},
    }


# --- mistakes ------------------------------------------------------------------------------------

_ERROR = re.compile(r"^(?:\w+: )?ERROR: <input>:(\d+):(\d+): (.*)$", re.MULTILINE)
_FIELD = re.compile(r"undefined field '([^']*)' not found in struct '([^']*)'")
_NAME = re.compile(r"undeclared reference to '([^']*)'")
_OVERLOAD = re.compile(r"found no matching overload for '([^']*)' applied to '\((.*)\)'")
_WORD_TYPES: Final = (
    (re.compile(r"wrapper\((\w+)\)"), r"\1"),
    (re.compile(r"google\.protobuf\.Timestamp"), "timestamp"),
    (re.compile(r"null_type"), "null"),
)


def _faults(text: str, source: str, types: Mapping[str, Field]) -> list[Fault]:
    lines = source.split("\n")
    found: list[Fault] = []
    for match in _ERROR.finditer(text):
        line, column, message = int(match[1]), int(match[2]), match[3].removesuffix(" [INVALID_ARGUMENT]")
        offset = sum(len(before) + 1 for before in lines[: line - 1]) + max(column - 1, 0)
        found.append(_fault(message, min(offset, len(source)), source, types))
    first = text.splitlines()[0] if text else "it can't be compiled"
    return found or [Fault(0, len(source), f"this is no expression: {first[:200]}")]


def _fault(message: str, offset: int, source: str, types: Mapping[str, Field]) -> Fault:
    if match := _FIELD.search(message):
        name, path = match[1], path_of_message(match[2])
        start, length = _selection(source, offset, name)
        here: Field | None = Field(Kind.OBJECT, fields=types, closed=True)
        for part in path.replace("[]", ".[]").split("."):
            here = (here.item if part == "[]" else here.child(part)) if here else None
        known = here.fields if here else {}
        return Fault(start, length, f"undefined field {name!r} in {path}", nearest(name, known))
    if match := _NAME.search(message):
        name = match[1].partition(".")[0]
        start, length = _selection(source, offset, match[1].rpartition(".")[2])
        return Fault(start, length, f"unknown name {name!r}", nearest(name, types))
    if match := _OVERLOAD.search(message):
        operator, operands = match[1].strip("_").replace("_", " ").strip("@"), match[2]
        for pattern, word in _WORD_TYPES:
            operands = pattern.sub(word, operands)
        return Fault(offset, max(len(operator), 1), f"{operator!r} can't take ({operands})")
    short = message.partition(" expecting ")[0].replace("mismatched input", "unexpected").replace("'<EOF>'", "end")
    return Fault(offset, 1, short[:1].lower() + short[1:200])


def _selection(source: str, offset: int, name: str) -> tuple[int, int]:
    """Return begin and length of the selection (`event.severty`) that an error at its dot is about."""
    for match in re.finditer(rf"(?:[A-Za-z_]\w*\s*\.\s*)*{re.escape(name)}\b", source):
        if match.end() > offset:
            return match.start(), match.end() - match.start()
    return offset, 1


def _refuse_costly(tree: Tree, source: str) -> None:
    # Data may hold lists of thousands: a loop inside a loop would stop the partition.
    if tree.loops() > 1:
        raise ExpressionError([Fault(0, len(source), "a loop inside a loop is not allowed")])


def _refuse_unknown_words(tree: Tree) -> None:
    """Refuse `event.lifecycle == "open"`: it could never hold."""
    faults = []
    for node in tree.nodes():
        for field, known in _CLOSED_WORDS.items():
            for constant in compared(node, field):
                word = constant.constant.string
                if word not in known:
                    message = f"{word[:40]!r} is not one of {', '.join(known)}"
                    faults.append(Fault(tree.offset(constant), len(word) + 2, message, nearest(word, known)))
    if faults:
        raise ExpressionError(sorted(faults, key=lambda fault: fault.offset))
