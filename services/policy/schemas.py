"""The JSON Schema of an event type's data: checks data, and says which types expressions and templates see.

JSON Schema 2020-12, closed: nothing is fetched, a reference stays inside its schema, patterns run in linear time, an
unknown format is a mistake. What is said of bad data never holds a value of it, nor a key that the schema doesn't
name: it goes into records and answers, and data is about people.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import Any, Final

import jsonschema_rs
import msgspec
from msgspec import Struct

from services.policy import words
from services.policy.mistakes import nearest

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
MISTAKES_SHOWN: Final = 10
_DEPTH_LIMIT: Final = 16
_INT64: Final = 1 << 63
# Where else an object may say what it has.
_ELSEWHERE: Final = frozenset({"patternProperties", "allOf", "anyOf", "oneOf", "$ref", "if", "dependentSchemas"})
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z", re.ASCII)


class Kind(Enum):
    """Types that expressions and templates know."""

    STRING = "text"
    INTEGER = "a whole number"
    NUMBER = "a number"
    BOOL = "true or false"
    TIMESTAMP = "an instant"
    DATE = "a date"
    OBJECT = "an object"
    LIST = "a list"
    ANY = "anything"


class Field(Struct, frozen=True):
    """The type of one value.

    An object without declared fields is open, unless it is closed: any key may be asked for. `words` are the only
    texts that a text can be; none: any.
    """

    kind: Kind
    optional: bool = False
    fields: Mapping[str, "Field"] = {}
    item: "Field | None" = None
    closed: bool = False
    words: tuple[str, ...] = ()

    @property
    def open(self) -> bool:
        """Whether nothing is known of what is inside."""
        return self.kind is Kind.ANY or (self.kind is Kind.OBJECT and not self.fields and not self.closed)

    def child(self, name: str) -> "Field | None":
        """Return the type of a field; None when there is none."""
        if self.open:
            return Field(Kind.ANY, optional=True)
        return self.fields.get(name)


class SchemaError(ValueError):
    """The schema can't be used; `keys` leads to the place in it, `suggestion` is what was probably meant."""

    def __init__(self, message: str, keys: Sequence[str | int] = (), suggestion: str = "") -> None:
        super().__init__(message)
        self.keys = tuple(keys)
        self.suggestion = suggestion


class Schema:
    """One event type's schema, ready to check."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        if schema.get("$schema", DIALECT) != DIALECT:
            raise SchemaError(f"only {DIALECT} is known", ["$schema"])
        document = dict(schema)
        self.type = _field(document, document, required=True, keys=(), depth=0)
        if self.type.kind is not Kind.OBJECT:
            raise SchemaError("the data of an event is an object (type: object)")
        try:
            self._validator = jsonschema_rs.Draft202012Validator(
                _bounded(document),
                validate_formats=True,
                ignore_unknown_formats=False,
                pattern_options=jsonschema_rs.RegexOptions(),
                retriever=_refuse,
            )
        except jsonschema_rs.ValidationError as error:
            raise SchemaError(_schema_mistake(error), [*error.instance_path]) from None
        except (jsonschema_rs.ReferencingError, ValueError) as error:
            raise SchemaError(f"this is no JSON Schema: {str(error).splitlines()[0][:200]}") from None

    def check(self, data: Any) -> tuple[tuple[str, str], ...]:
        """Return the first mistakes of the data as (path, what is wrong), without any value of it."""
        if self._validator.is_valid(data):
            return ()
        found = []
        for error in self._validator.iter_errors(data):
            found.append((self._path(error.instance_path), _say(error)))
            if len(found) == MISTAKES_SHOWN:
                break
        return tuple(sorted(found))

    def _path(self, keys: Iterable[str | int]) -> str:
        text, here = "data", Field(Kind.ANY) if self.type.open else self.type
        for key in keys:
            if isinstance(key, int):
                here = here.item or Field(Kind.ANY)
                text += f"[{key}]"
                continue
            known = here.fields.get(key)
            text += f".{key}" if known is not None else ".*"
            here = known or Field(Kind.ANY)
        return text


def shared(types: Sequence[Field]) -> Field:
    """Return what several objects have in common: fields that all know with the same type."""
    first, *others = types
    if not others:
        return first
    fields = {}
    for name, field in first.fields.items():
        found = [other.fields.get(name) for other in others]
        known = [other for other in found if other is not None and other.kind is field.kind]
        if len(known) == len(others):
            fields[name] = _meet(field, known)
    return Field(Kind.OBJECT, fields=fields, closed=True)


def _meet(field: Field, others: Sequence[Field]) -> Field:
    optional = field.optional or any(other.optional for other in others)
    if field.kind is Kind.OBJECT:
        met = shared([field, *others]).fields
        return Field(field.kind if met or not field.fields else Kind.ANY, optional, met)
    items = [other.item for other in [field, *others] if other.item is not None]
    alike = len(items) == len(others) + 1 and len({item.kind for item in items}) == 1
    item = msgspec.structs.replace(items[0], words=_all_words(items)) if alike else None
    return Field(field.kind, optional, item=item, words=_all_words([field, *others]))


def _all_words(fields: Sequence[Field]) -> tuple[str, ...]:
    """Return the words that one of several texts can be; none when one of them can be anything."""
    if not all(field.words for field in fields):
        return ()
    return tuple(dict.fromkeys(word for field in fields for word in field.words))


def all_optional(field: Field) -> Field:
    """Return a type with every field optional: what `previous` is."""
    fields = {name: _loose(inner) for name, inner in field.fields.items()}
    return Field(field.kind, field.optional, fields, closed=field.closed)


def _loose(field: Field) -> Field:
    fields = {name: _loose(inner) for name, inner in field.fields.items()}
    return msgspec.structs.replace(field, optional=True, fields=fields)


def instant(text: Any) -> datetime | None:
    """Return the instant of a date-time of JSON Schema, leap seconds as the second before; None if it is none."""
    if not isinstance(text, str):
        return None
    try:
        return words.instant(text.replace(":60", ":59", 1) if text[16:19] == ":60" else text)
    except words.WordError:
        return None


def _refuse(uri: str) -> Any:
    raise ValueError(f"references to {uri[:80]!r} are not allowed")


def _field(
    schema: Any, document: Mapping[str, Any], *, required: bool, keys: tuple[str | int, ...], depth: int
) -> Field:
    if not isinstance(schema, dict):
        return Field(Kind.ANY, optional=not required)
    if depth > _DEPTH_LIMIT:
        raise SchemaError(f"the schema is nested more than {_DEPTH_LIMIT} deep", keys)
    if "$ref" in schema:
        return _referred(schema["$ref"], document, required=required, keys=keys, depth=depth)
    kind, nullable = _kind(schema, keys)
    optional = nullable or not required
    if kind is Kind.OBJECT:
        needed = schema.get("required", [])
        fields = {}
        for name, inner in _mapping(schema, "properties", keys).items():
            place = (*keys, "properties", name)
            if _IDENTIFIER.match(name) is None:
                raise SchemaError(f"the field name {name[:60]!r} can't be used in expressions", place)
            fields[name] = _field(inner, document, required=name in needed, keys=place, depth=depth + 1)
        _known_to_be_required(schema, keys)
        return Field(kind, optional, fields)
    if kind is Kind.LIST:
        item = _field(schema.get("items"), document, required=True, keys=(*keys, "items"), depth=depth + 1)
        return Field(kind, optional, item=item)
    return Field(kind, optional, words=_words(schema) if kind is Kind.STRING else ())


def _known_to_be_required(schema: Mapping[str, Any], keys: tuple[str | int, ...]) -> None:
    """Refuse to require what nothing here describes: no data would do, or only data with a field that nobody knows."""
    known, needed = schema.get("properties"), schema.get("required", [])
    if not known or not isinstance(needed, list) or not _ELSEWHERE.isdisjoint(schema):
        return
    for index, name in enumerate(needed):
        if isinstance(name, str) and name not in known:
            raise SchemaError(f"{name[:60]!r} is not in 'properties'", (*keys, "required", index), nearest(name, known))


def _words(schema: Mapping[str, Any]) -> tuple[str, ...]:
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    return tuple(value for value in values if isinstance(value, str)) if isinstance(values, list) else ()


def _referred(
    reference: Any, document: Mapping[str, Any], *, required: bool, keys: tuple[str | int, ...], depth: int
) -> Field:
    place = (*keys, "$ref")
    if not isinstance(reference, str) or not reference.startswith("#/"):
        raise SchemaError("a reference stays inside the schema (#/$defs/...)", place)
    here: Any = document
    path = tuple(reference[2:].split("/"))
    for part in path:
        here = here.get(part) if isinstance(here, dict) else None
    if here is None:
        raise SchemaError(f"{reference[:80]!r} is not in this schema", place)
    return _field(here, document, required=required, keys=path, depth=depth + 1)


def _mapping(schema: Mapping[str, Any], key: str, keys: tuple[str | int, ...]) -> Mapping[str, Any]:
    value = schema.get(key, {})
    if not isinstance(value, dict):
        raise SchemaError(f"{key!r} must be a mapping", (*keys, key))
    return value


_KINDS: Final = {
    "string": Kind.STRING,
    "integer": Kind.INTEGER,
    "number": Kind.NUMBER,
    "boolean": Kind.BOOL,
    "object": Kind.OBJECT,
    "array": Kind.LIST,
}


def _kind(schema: Mapping[str, Any], keys: tuple[str | int, ...]) -> tuple[Kind, bool]:
    """Return the type of a schema and whether null is allowed."""
    stated = schema.get("type")
    names = stated if isinstance(stated, list) else [stated]
    if stated is None:
        values = schema.get("enum", [schema["const"]] if "const" in schema else [])
        if isinstance(values, list) and values and all(isinstance(value, str) for value in values):
            names = ["string"]
        elif "properties" in schema:
            names = ["object"]
    nullable = "null" in names
    rest = [name for name in names if name not in {"null", None}]
    for name in rest:
        if name not in _KINDS:
            raise SchemaError(f"{str(name)[:60]!r} is not one of {', '.join(_KINDS)}, null", (*keys, "type"))
    kind = _KINDS[rest[0]] if len(rest) == 1 else Kind.ANY
    if kind is Kind.STRING:
        kind = {"date-time": Kind.TIMESTAMP, "date": Kind.DATE}.get(schema.get("format", ""), kind)
    return kind, nullable or kind is Kind.ANY


def _bounded(schema: Any) -> Any:
    """Bound whole numbers to 64 bits, so that what passes the check fits every later type."""
    if isinstance(schema, list):
        return [_bounded(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    done = {key: value if key in {"enum", "const", "default"} else _bounded(value) for key, value in schema.items()}
    if schema.get("type") == "integer":
        done.setdefault("minimum", -_INT64)
        done.setdefault("maximum", _INT64 - 1)
    return done


def _schema_mistake(error: jsonschema_rs.ValidationError) -> str:
    keyword = error.instance_path[-1] if error.instance_path else ""
    match keyword:
        case "pattern":
            return "this pattern can't be used (no look-around, no back references)"
        case "format":
            return "this format is not known"
        case _:
            pass
    return "this is no JSON Schema 2020-12" if keyword else f"this is no JSON Schema: {error.message[:200]}"


def _say(error: jsonschema_rs.ValidationError) -> str:  # noqa: C901, PLR0911 - one line for each keyword
    kinds = jsonschema_rs.ValidationErrorKind
    match error.kind:
        case kinds.Required(property=name):
            return f"{name!r} is missing"
        case kinds.Type(types=types):
            return f"must be {' or '.join(sorted(types))}"
        case kinds.Format(format=name):
            return f"is not a {name}"
        case kinds.AdditionalProperties(unexpected=unexpected):
            return f"has {len(unexpected)} field(s) that the schema does not allow"
        case kinds.FalseSchema():
            return "has a field that the schema does not allow"
        case kinds.Maximum(limit=limit) | kinds.ExclusiveMaximum(limit=limit):
            return f"is too large (limit {limit})"
        case kinds.Minimum(limit=limit) | kinds.ExclusiveMinimum(limit=limit):
            return f"is too small (limit {limit})"
        case kinds.MaxLength(limit=limit) | kinds.MaxItems(limit=limit):
            return f"is too long (limit {limit})"
        case kinds.MinLength(limit=limit) | kinds.MinItems(limit=limit):
            return f"is too short (limit {limit})"
        case kinds.Enum(options=options):
            return f"is not one of {', '.join(str(option) for option in options)}"
        case kind:
            return f"breaks '{kind.name}' of the schema"
