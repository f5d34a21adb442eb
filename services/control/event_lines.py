"""Events and customers as lines of JSON become what the doors take.

An event has the keys of a CloudEvent in JSON with Clarion's extensions. Its data goes on byte for byte: whether it is
right is the door's to say. A mistake here is only what cannot be said in a message at all: no JSON, an unknown key, a
word or a type that does not exist. All mistakes of a line are reported.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec
from google.protobuf.timestamp_pb2 import Timestamp

from clarion.v1 import event_pb2, ingest_pb2
from services.common.strict_json import JsonMistake, parse

_INSTANT = re.compile(
    r"(\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?([Zz]|[+-]\d\d:\d\d)",
    re.ASCII,
)


class Mistake(msgspec.Struct, frozen=True):
    """What is wrong with one field of a line; an empty field means the line as a whole."""

    reason: str
    field: str
    message: str


Mistakes = tuple[Mistake, ...]
EventLine = tuple[int, event_pb2.Event | Mistakes]
CustomerLine = tuple[int, ingest_pb2.PutCustomerRequest | Mistakes]
Set = Callable[[event_pb2.Event, Any], None]


class _WrongValueError(Exception):
    """A value that its key can't have."""


def read_events(lines: Iterable[str | bytes], tenant: str = "", first: int = 1) -> Iterator[EventLine]:
    """Turn lines into events, each with its number counted from `first`; a line may name its tenant.

    Empty lines are passed over.
    """
    for number, line in enumerate(lines, first):
        if text := _bytes(line):
            yield number, _event(text, tenant)


def read_customers(lines: Iterable[str | bytes], tenant: str = "", first: int = 1) -> Iterator[CustomerLine]:
    """Turn lines `{"customer": ..., ...merge patch}` into requests; a line may name its tenant."""
    for number, line in enumerate(lines, first):
        if text := _bytes(line):
            yield number, _customer(text, tenant)


def _bytes(line: str | bytes) -> bytes:
    return (line.encode(errors="surrogateescape") if isinstance(line, str) else line).strip()


def _event(line: bytes, tenant: str) -> event_pb2.Event | Mistakes:
    fields = _object(line, "INVALID_EVENT")
    if isinstance(fields, tuple):
        return fields
    event = event_pb2.Event(tenant=tenant)
    mistakes = []
    for key, raw in fields.items():
        take = _KEYS.get(key)
        try:
            if take is None:
                near = difflib.get_close_matches(key, _KEYS, 1)
                hint = _MEANT.get(key) or (f" (did you mean {near[0]}?)" if near else "")
                raise _WrongValueError(f"is not a key of an event{hint}")  # noqa: TRY301  # one place for all mistakes
            take(event, raw)
        except _WrongValueError as wrong:
            mistakes.append(Mistake("INVALID_EVENT", key, str(wrong)))
    return tuple(mistakes) or event


def _customer(line: bytes, tenant: str) -> ingest_pb2.PutCustomerRequest | Mistakes:
    fields = _object(line, "INVALID_CUSTOMER")
    if isinstance(fields, tuple):
        return fields
    request = ingest_pb2.PutCustomerRequest(tenant=tenant)
    mistakes = []
    patch = dict(fields)
    for key in ("customer", "tenant"):
        try:
            if (raw := patch.pop(key, None)) is not None:
                setattr(request, key, _text(raw))
        except _WrongValueError as wrong:
            mistakes.append(Mistake("INVALID_CUSTOMER", key, str(wrong)))
    request.merge_patch = msgspec.json.encode(patch)
    return tuple(mistakes) or request


def _object(line: bytes, reason: str) -> Mapping[str, msgspec.Raw] | Mistakes:
    try:
        # The data may be nested as deep as it may be by itself, inside the line's object.
        value = parse(line, max_depth=33)
    except JsonMistake as mistake:
        return (Mistake(reason, "", f"the line {mistake}"),)
    if not isinstance(value, dict):
        return (Mistake(reason, "", "the line is not a JSON object"),)
    return msgspec.json.decode(line, type=dict[str, msgspec.Raw])


def _text(raw: msgspec.Raw) -> str:
    value = msgspec.json.decode(raw)
    if not isinstance(value, str):
        raise _WrongValueError("must be a text")
    return value


def _texts(field: str) -> Set:
    def take(event: event_pb2.Event, raw: msgspec.Raw) -> None:
        setattr(event, field, _text(raw))

    return take


def _words(field: str, prefix: str, numbers: Mapping[str, int]) -> Set:
    known = {name.removeprefix(prefix).lower(): number for name, number in numbers.items() if number}

    def take(event: event_pb2.Event, raw: msgspec.Raw) -> None:
        number = known.get(_text(raw))
        if number is None:
            raise _WrongValueError(f"must be one of {', '.join(known)}")
        setattr(event, field, number)

    return take


def _instants(field: str) -> Set:
    def take(event: event_pb2.Event, raw: msgspec.Raw) -> None:
        match = _INSTANT.fullmatch(_text(raw))
        instant = Timestamp()
        try:
            if match is None:
                raise ValueError  # noqa: TRY301  # same answer as for a day that does not exist
            whole, fraction, zone = match.groups()
            instant.FromJsonString(f"{whole.upper()}{'.' + fraction if fraction else ''}{zone.upper()}")
        except ValueError:
            raise _WrongValueError("must be an instant such as 2026-03-28T22:30:00+01:00") from None
        getattr(event, field).CopyFrom(instant)

    return take


def _sequence(event: event_pb2.Event, raw: msgspec.Raw) -> None:
    value = msgspec.json.decode(raw)
    if isinstance(value, bool) or not isinstance(value, int):
        raise _WrongValueError("must be a whole number")
    event.sequence = value


def _audience(event: event_pb2.Event, raw: msgspec.Raw) -> None:
    match msgspec.json.decode(raw):
        case {"customers": [*ids]} as one if len(one) == 1 and all(isinstance(name, str) for name in ids):
            event.audience.customers.ids.extend(ids)
            event.audience.customers.SetInParent()
        case {"select": str(expression)} as one if len(one) == 1:
            event.audience.select = expression
        case {"everyone": True} as one if len(one) == 1:
            event.audience.everyone = True
        case _:
            raise _WrongValueError("must be {customers: [...]}, {select: CEL} or {everyone: true}")


def _data(event: event_pb2.Event, raw: msgspec.Raw) -> None:
    event.data = bytes(raw)


def _version(_: event_pb2.Event, raw: msgspec.Raw) -> None:
    if _text(raw) != "1.0":
        raise _WrongValueError('must be "1.0"')


# Keys that people write though an event has none like them.
_MEANT = dict.fromkeys(
    ("customer", "customers", "recipient", "recipients", "to"),
    ': an event names its customer as "audience": {"customers": [ID]}',
)
_KEYS: Mapping[str, Set] = {
    "specversion": _version,
    "id": _texts("id"),
    "source": _texts("source"),
    "type": _texts("type"),
    "subject": _texts("subject"),
    "time": _instants("time"),
    "dataschema": _texts("dataschema"),
    "datacontenttype": _texts("data_content_type"),
    "tenant": _texts("tenant"),
    "lifecycle": _words("lifecycle", "LIFECYCLE_", dict(event_pb2.Lifecycle.items())),
    "sequence": _sequence,
    "severity": _words("severity", "SEVERITY_", dict(event_pb2.Severity.items())),
    "expirytime": _instants("expire_time"),
    "traceparent": _texts("traceparent"),
    "audience": _audience,
    "data": _data,
}
