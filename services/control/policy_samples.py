"""Data made up from the JSON Schema of an event type: one object with every field that the schema names."""

from collections.abc import Mapping
from typing import Any, Final

from services.policy.schemas import Schema, SchemaError

_TEXTS: Final = ("A-1", "12.50", "EUR", "1234", "A1", "a", "abc", "123", "AB-1234", "2026-03-28")
_FORMATS: Final = {
    "date-time": "2026-03-28T21:30:00Z",
    "date": "2026-03-28",
    "email": "ana@example.org",
    "uri": "https://www.example.org/a",
}


def samples(schema: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return objects that fit a schema, as far as they can be made up."""
    value = _value(schema, schema)
    return [value if isinstance(value, dict) else {}]


def _value(schema: Any, root: Mapping[str, Any]) -> Any:
    if not isinstance(schema, Mapping):
        return _TEXTS[0]
    if "$ref" in schema:
        return _value(_referred(str(schema["$ref"]), root), root)
    stated = [schema[key] for key in ("const", "default") if key in schema]
    listed = [each for key in ("examples", "enum") for each in schema.get(key) or ()]
    given = [*stated, *listed]
    return given[0] if given else _of_type(schema, root)


def _of_type(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Any:
    stated = schema.get("type", "object" if "properties" in schema else "string")
    names = stated if isinstance(stated, list) else [stated]
    match next((name for name in names if name != "null"), "null"):
        case "object":
            return {name: _value(inner, root) for name, inner in (schema.get("properties") or {}).items()}
        case "array":
            return [_value(schema.get("items", {}), root) for _ in range(max(1, schema.get("minItems", 1)))]
        case "integer" | "number" as kind:
            some = 3 if kind == "integer" else 1.5
            return min(max(some, schema.get("minimum", some)), schema.get("maximum", some))
        case "boolean":
            return True
        case "null":
            return None
        case _:
            return _text(schema)


def _text(schema: Mapping[str, Any]) -> str:
    if schema.get("format") in _FORMATS:
        return _FORMATS[schema["format"]]
    for text in _TEXTS:
        long = text.ljust(schema.get("minLength", 0), "a")
        try:
            if not Schema({"type": "object", "properties": {"text": dict(schema)}}).check({"text": long}):
                return long
        except SchemaError:
            break
    return _TEXTS[0]


def _referred(reference: str, root: Mapping[str, Any]) -> Any:
    here: Any = root
    for part in reference.removeprefix("#/").split("/"):
        here = here.get(part, {}) if isinstance(here, Mapping) else {}
    return here
