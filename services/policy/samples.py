"""Sample data that fits a JSON Schema, for trying templates and for previews: no randomness, the same every time.

What the schema gives itself is used first: `const`, `examples`, `default`, `enum`. Otherwise the value is the
plainest of its type and format within the limits. `samples` gives the least that is allowed, everything, and
everything as long as it may be; what a schema demands beyond that (a pattern that can't be read, conditions between
fields) makes a sample that does not fit, and is left out.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

from services.policy.pattern_text import text_of
from services.policy.schemas import Schema, SchemaError

Size = Literal["least", "usual", "most"]

# What is long where the schema sets no limit, and the most even where it allows more: an event has at most 64 KiB.
_UNLIMITED_TEXT: Final = 200
_LONGEST_TEXT: Final = 2_000
_UNLIMITED_LIST: Final = 20
_LONGEST_LIST: Final = 100
_ROOM: Final = 60_000
_VALUES: Final = 20_000
_DEPTH: Final = 16
_FORMATS: Final[Mapping[str, str]] = {
    "date-time": "2026-03-28T18:05:00Z",
    "date": "2026-03-28",
    "time": "18:05:00Z",
    "duration": "PT4H",
    "email": "ana@example.org",
    "idn-email": "ana@example.org",
    "hostname": "example.org",
    "idn-hostname": "example.org",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.org/",
    "uri-reference": "/path",
    "iri": "https://example.org/",
    "iri-reference": "/path",
    "uri-template": "https://example.org/{id}",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "json-pointer": "/a",
    "relative-json-pointer": "0",
    "regex": "a",
}
_WORDS: Final = "Lorem ipsum dolor sit amet consectetur adipiscing elit sed do "


def sample(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return plausible data with all fields of a schema; nothing if what it demands is too large."""
    return _made(schema, "usual") or {}


def samples(schema: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    """Return data with the required fields only, with all fields, and with all as long as may be; each fits."""
    try:
        fits = Schema(schema)
    except SchemaError:
        return ()
    found: list[dict[str, Any]] = []
    for size in ("least", "usual", "most"):
        made = _made(schema, size)
        if made is not None and made not in found and not fits.check(made):
            found.append(made)
    return tuple(found)


def sample_customer(attributes: Mapping[str, str], locale: str, timezone: str) -> dict[str, Any]:
    """Return a customer as templates see him, with every attribute that clarion.yaml declares."""
    made = {name: _ATTRIBUTES[kind] for name, kind in attributes.items() if kind in _ATTRIBUTES}
    return {"id": "ana", "locale": locale, "timezone": timezone, "attributes": made}


def sample_event(event_type: str, lifecycle: str, severity: str) -> dict[str, Any]:
    """Return an event as templates see it."""
    return {
        "id": "sample-1",
        "source": "sample",
        "type": event_type,
        "subject": "S-1",
        "time": _FORMATS["date-time"],
        "lifecycle": lifecycle,
        "sequence": 1,
        "severity": severity,
        "tenant": "sample",
    }


_ATTRIBUTES: Final[Mapping[str, Any]] = {
    "string": "sample",
    "int": 3,
    "number": 2.5,
    "bool": True,
    "date": _FORMATS["date"],
    "timestamp": _FORMATS["date-time"],
}


def _made(schema: Mapping[str, Any], size: Size) -> dict[str, Any] | None:
    try:
        made = _Maker(schema, size).object(schema, 0)
    except _TooLargeError:
        return None
    return made if isinstance(made, dict) else None


class _TooLargeError(Exception):
    pass


class _Maker:
    """Makes one sample; `room` is how many characters may still be filled, `left` how many values may be made."""

    def __init__(self, root: Mapping[str, Any], size: Size) -> None:
        self._root = root
        self._size = size
        self._room = _ROOM
        self._left = _VALUES

    def value(self, schema: Any, depth: int, name: str = "") -> Any:
        """Make a value of any type."""
        self._left -= 1
        if self._left < 0:
            raise _TooLargeError
        if not isinstance(schema, Mapping) or depth > _DEPTH:
            return "sample"
        schema = _merged(schema, self._root)
        given = _given(schema, self._size)
        kind = _type(schema)
        simple = {"integer": _number, "number": _number, "boolean": _truth, "null": _nothing}
        if given:
            return given[0]
        if kind in simple:
            return simple[kind](schema, self._size)
        return (
            {"object": self.object, "array": self._array}[kind](schema, depth)
            if kind in {"object", "array"}
            else self._text(schema, name)
        )

    def object(self, schema: Mapping[str, Any], depth: int) -> Any:
        """Make an object of its fields, or as the schema shows it."""
        schema = _merged(schema, self._root)
        given = [value for value in _given(schema, self._size) if isinstance(value, dict)]
        if given:
            return given[0]
        fields = schema.get("properties")
        fields = fields if isinstance(fields, Mapping) else {}
        needed = [name for name in schema.get("required") or [] if name not in fields]
        wanted = [name for name in fields if self._size != "least" or name in (schema.get("required") or [])]
        made = {name: self.value(fields[name], depth + 1, name) for name in wanted}
        return {**made, **dict.fromkeys(needed, "sample")}

    def _array(self, schema: Mapping[str, Any], depth: int) -> list[Any]:
        least, limit = _count(schema, "minItems", 0), _count(schema, "maxItems", _UNLIMITED_LIST)
        most = max(least, min(limit, _LONGEST_LIST))
        count = {"least": least, "usual": max(least, min(2, limit)), "most": most}[self._size]
        first = schema.get("prefixItems")
        heads = first if isinstance(first, list) else []
        items = schema.get("items", {})
        made: list[Any] = []
        for index in range(len(heads) if items is False else count):
            if index >= least and self._room <= 0:
                break
            made.append(self.value(heads[index] if index < len(heads) else items, depth + 1))
        return _unlike(made, least) if schema.get("uniqueItems") else made

    def _text(self, schema: Mapping[str, Any], name: str) -> str:
        made = _text(schema, self._size if self._room > 0 else "least", name)
        self._room -= len(made)
        if self._room < -_ROOM:
            raise _TooLargeError
        return made


def _merged(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a schema together with what it refers to: the first of several choices, all of what all must hold."""
    merged = dict(schema)
    for _ in range(_DEPTH):
        more: list[Any] = []
        if (reference := merged.pop("$ref", None)) is not None:
            more.append(_referred(str(reference), root))
        more += merged.pop("allOf", None) or []
        for choice in ("anyOf", "oneOf"):
            more += (merged.pop(choice, None) or [])[:1]
        if not more:
            break
        for other in more:
            merged = _met(merged, other) if isinstance(other, Mapping) else merged
    return merged


def _met(schema: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    met = {**other, **schema}
    if "properties" in schema and "properties" in other:
        met["properties"] = {**other["properties"], **schema["properties"]}
    if "required" in schema and "required" in other:
        met["required"] = list(dict.fromkeys([*schema["required"], *other["required"]]))
    return met


def _referred(reference: str, root: Mapping[str, Any]) -> Any:
    here: Any = root
    for part in reference.removeprefix("#/").split("/"):
        here = here.get(part) if isinstance(here, Mapping) else None
    return here


def _given(schema: Mapping[str, Any], size: Size) -> list[Any]:
    """Return the values that a schema names itself, the best first."""
    if "const" in schema:
        return [schema["const"]]
    allowed = schema.get("enum")
    if isinstance(allowed, list) and allowed:
        longest = sorted(allowed, key=lambda value: len(str(value)), reverse=True)
        return longest if size == "most" else allowed
    if size == "most":
        return []
    examples = schema.get("examples")
    found = list(examples) if isinstance(examples, list) else []
    return [*found, schema["default"]] if "default" in schema else found


def _type(schema: Mapping[str, Any]) -> str:
    stated = schema.get("type")
    if isinstance(stated, list):
        stated = next((name for name in stated if name != "null"), "null")
    if stated is None:
        hints = {"properties": "object", "items": "array", "minimum": "number", "maximum": "number"}
        stated = next((kind for key, kind in hints.items() if key in schema), "string")
    return str(stated)


def _unlike(values: Iterable[Any], least: int) -> list[Any]:
    """Return the values that differ; texts and numbers are made to, as far as the least number asks for."""
    found: list[Any] = []
    for index, value in enumerate(values):
        other = value
        if value in found and len(found) < least:
            other = f"{value}{index}" if isinstance(value, str) else value + index if isinstance(value, int) else value
        if other not in found:
            found.append(other)
    return found


def _count(schema: Mapping[str, Any], key: str, otherwise: int) -> int:
    value = schema.get(key, otherwise)
    return int(value) if isinstance(value, int | float) and value >= 0 else otherwise


def _number(schema: Mapping[str, Any], size: Size) -> int | float:
    whole = _type(schema) == "integer"
    step = schema.get("multipleOf") or (1 if whole else 0.5)
    lowest, highest = schema.get("minimum"), schema.get("maximum")
    if "exclusiveMinimum" in schema:
        lowest = schema["exclusiveMinimum"] + step
    if "exclusiveMaximum" in schema:
        highest = schema["exclusiveMaximum"] - step
    wanted = {"least": 1, "usual": 3, "most": 1_234_567}[size]
    number = max(wanted, lowest) if lowest is not None else wanted
    number = min(number, highest) if highest is not None else number
    if "multipleOf" in schema:
        number = -(-number // step) * step if size != "most" or highest is None else number // step * step
    return int(number) if whole else number


def _truth(_schema: Mapping[str, Any], size: Size) -> bool:
    return size != "least"


def _nothing(_schema: Mapping[str, Any], _size: Size) -> None:
    return None


def _text(schema: Mapping[str, Any], size: Size, name: str) -> str:
    least, limit = min(_count(schema, "minLength", 0), _ROOM), _count(schema, "maxLength", _UNLIMITED_TEXT)
    if isinstance(schema.get("pattern"), str):
        made = text_of(schema["pattern"], longest=size == "most")
        if made is not None:
            return made
    if schema.get("format") in _FORMATS:
        return _FORMATS[schema["format"]]
    if size == "most":
        length = max(least, min(limit, _LONGEST_TEXT))
        return (_WORDS * (length // len(_WORDS) + 1))[: length - 1].ljust(length, ".") if length else ""
    word = "x" if size == "least" else name.replace("_", " ") or "sample"
    return word.ljust(least, "x")[: max(limit, least)]
