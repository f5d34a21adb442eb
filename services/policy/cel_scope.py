"""What of a scope an expression sees in the library: plain maps of what it reads, null for what is absent."""

import calendar
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC
from typing import Any, Final

from google.protobuf.timestamp_pb2 import Timestamp

from services.policy.schemas import Field, Kind, instant
from services.router.decision.model import SECOND, Event, Lifecycle, Profile, Scope, Severity

_SHOWN_LENGTH: Final = 60
_LIFECYCLES: Final = {lifecycle: lifecycle.name.lower() for lifecycle in Lifecycle}
_SEVERITIES: Final = {severity: severity.name.lower() for severity in Severity}
# A number that CEL does not take: the name that holds it is an error wherever it is used.
_REFUSED: Final = 1 << 64
_ATTRIBUTES: Final = ("customer", "attributes")

Gather = Callable[[Scope], dict[str, Any]]


def narrowed(types: Mapping[str, Field], paths: Sequence[tuple[str, ...]]) -> dict[str, Field]:
    """Return the types with only those fields of objects that the paths read."""
    return {root: _narrow(field, (root,), frozenset(paths)) for root, field in types.items()}


def _narrow(field: Field, path: tuple[str, ...], paths: frozenset[tuple[str, ...]]) -> Field:
    size = len(path)
    read = {other[size] for other in paths if len(other) > size and other[:size] == path}
    if field.open and path == _ATTRIBUTES:  # clarion.yaml could not be read
        return Field(Kind.OBJECT, fields={name: Field(Kind.ANY, optional=True) for name in read}, closed=True)
    if field.kind is not Kind.OBJECT or field.open or path in paths:
        return field
    fields = {name: _narrow(inner, (*path, name), paths) for name, inner in field.fields.items() if name in read}
    return Field(Kind.OBJECT, field.optional, fields, closed=True)


def gatherer(paths: Sequence[tuple[str, ...]], types: Mapping[str, Field], longest: int) -> Gather:
    """Return a function that takes what the paths need out of a scope; types as `narrowed`."""
    read: dict[str, set[str]] = {}
    for root, *rest in paths:
        read.setdefault(root, set()).update(rest[:1] or ["*"])
    makers: list[tuple[str, Callable[[Scope], Any]]] = []
    for root, names in sorted(read.items()):
        makers.append((root, _maker(root, frozenset(names), types[root], longest)))

    def gather(scope: Scope) -> dict[str, Any]:
        return {root: make(scope) for root, make in makers}

    return gather


def shower(paths: Sequence[tuple[str, ...]], types: Mapping[str, Field], longest: int) -> Callable[[Scope], str]:
    """Return a function that gives the values of a scope that the paths read, for people; types as `narrowed`."""
    readers = [(f"{'.'.join(path)} is ", _reader(path, types, longest)) for path in paths]

    def show(scope: Scope) -> str:
        return ", ".join([f"{said}{_shown(read(scope))}" for said, read in readers])

    return show


def _reader(path: tuple[str, ...], types: Mapping[str, Field], longest: int) -> Callable[[Scope], Any]:
    """Return a function that reads what one path means; what most rules ask, without making maps first."""
    match path:
        case ("event", name):
            value = _EVENT_VALUES[name]
            return lambda scope: value(scope.event)
        case ("data", name):
            field = types["data"].child(name)
            return lambda scope: _value(field, scope.event.data.get(name), longest)
        case _:
            gather = gatherer([path], types, longest)
            return lambda scope: _at(gather(scope), path)


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
        case int() if value == _REFUSED:
            return "beyond what can be compared"
        case float() if value.is_integer():
            return str(int(value))
    return str(value)


def _maker(root: str, names: frozenset[str], field: Field, longest: int) -> Callable[[Scope], Any]:
    match root:
        case "event":
            picked = sorted(field.fields if "*" in names else names)
            return lambda scope: {name: _EVENT_VALUES[name](scope.event) for name in picked}
        case "customer":
            attributes = field.fields.get("attributes", Field(Kind.OBJECT, closed=True))
            return lambda scope: _customer(scope.customer, attributes, longest)
        case "now":
            return lambda scope: _moment(scope.now)
        case "previous":
            return lambda scope: _picked(scope.previous or {}, names, field, longest)
        case _:
            return lambda scope: _picked(scope.event.data, names, field, longest)


def _picked(data: Mapping[str, Any], names: frozenset[str], field: Field, longest: int) -> Any:
    if "*" in names:
        return _value(field, data, longest)
    return {name: _value(field.child(name), data.get(name), longest) for name in names}


def _value(field: Field | None, value: Any, longest: int) -> Any:  # noqa: PLR0911 - one line for each kind
    if value is None or field is None:
        return None
    match field.kind:
        case Kind.TIMESTAMP:
            return _instant(value)
        case Kind.INTEGER:
            return _converted(int, value)
        case Kind.NUMBER:
            return _converted(float, value)
        case Kind.OBJECT if not field.open:
            inner = value if isinstance(value, Mapping) else {}
            return {name: _value(child, inner.get(name), longest) for name, child in field.fields.items()}
        case Kind.LIST if field.item is not None and isinstance(value, list) and len(value) <= longest:
            item = field.item
            return [_value(item, one, longest) for one in value]
    return value if _short(value, longest) else _REFUSED


def _converted(kind: type[int | float], value: Any) -> Any:
    try:
        return kind(value) if isinstance(value, int | float) else None
    except (ValueError, OverflowError):
        return _REFUSED


def _short(value: Any, longest: int) -> bool:
    """Whether no list inside is too long."""
    if isinstance(value, list):
        return len(value) <= longest and all(_short(inner, longest) for inner in value)
    return not isinstance(value, dict) or all(_short(inner, longest) for inner in value.values())


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
    "lifecycle": lambda event: _LIFECYCLES[event.lifecycle],
    "sequence": lambda event: event.sequence,
    "severity": lambda event: _SEVERITIES[event.severity],
    "tenant": lambda event: event.tenant,
}


def _customer(profile: Profile | None, attributes: Field, longest: int) -> dict[str, Any]:
    if profile is None:
        none = dict.fromkeys(attributes.fields)
        return {"id": None, "locale": None, "timezone": None, "attributes": none}
    return {
        "id": profile.customer,
        "locale": profile.locale or None,
        "timezone": profile.timezone or None,
        "attributes": _value(attributes, profile.attributes, longest),
    }
