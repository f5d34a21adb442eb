"""JSON Schema of data: strict, closed, and silent about values."""

from typing import Any

import pytest

from services.policy.schemas import Schema, SchemaError


def schema(**properties: Any) -> Schema:
    return Schema({"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}, **properties}})


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({}, ("data", "'a' is missing")),
        ({"a": 3}, ("data.a", "must be string")),
        ({"a": "x", "n": "secret"}, ("data.n", "must be integer")),
        ({"a": "x", "n": 11}, ("data.n", "is too large (limit 10)")),
        ({"a": "x", "big": 1 << 63}, ("data.big", "is too large (limit 9223372036854775807)")),
        ({"a": "x", "t": "2026-02-30T00:00:00Z"}, ("data.t", "is not a date-time")),
        ({"a": "x", "t": "secret"}, ("data.t", "is not a date-time")),
        ({"a": "x", "l": ["one", "secret"]}, ("data.l[1]", "is not one of one, two")),
        ({"a": "x", "p": "secret"}, ("data.p", "breaks 'pattern' of the schema")),
        ({"a": "x", "o": {"ana@example.org": 1}}, ("data.o.*", "must be string")),
        ({"a": "x", "c": {"ana@example.org": 1}}, ("data.c", "has a field that the schema does not allow")),
        ({"a": "x", "d": {"b": "", "ana@example.org": 1}}, ("data.d", "has 1 field(s) that the schema does not allow")),
        ([], ("data", "must be object")),
        ("secret", ("data", "must be object")),
    ],
)
def test_bad_data_is_named_without_its_values(data: Any, expected: tuple[str, str]) -> None:
    checked = schema(
        n={"type": "integer", "maximum": 10},
        big={"type": "integer"},
        t={"type": "string", "format": "date-time"},
        l={"type": "array", "items": {"enum": ["one", "two"]}},
        p={"type": "string", "pattern": "^a+$"},
        o={"type": "object", "additionalProperties": {"type": "string"}},
        c={"type": "object", "additionalProperties": False},
        d={"type": "object", "additionalProperties": False, "properties": {"b": {"type": "string"}}},
    ).check(data)
    assert checked == (expected,)
    assert "secret" not in str(checked)
    assert "ana" not in str(checked)


def test_good_data_has_no_mistake() -> None:
    assert schema().check({"a": "x", "more": 1}) == ()


def test_only_the_first_mistakes_are_told() -> None:
    numbers = schema(l={"type": "array", "items": {"type": "integer"}})
    assert len(numbers.check({"a": "x", "l": ["x"] * 500})) == 10


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"type": "array"}, "the data of an event is an object"),
        ({"type": "object", "properties": {"x": {"$ref": "https://x.example/s"}}}, "stays inside the schema"),
        ({"type": "object", "properties": {"x": {"$ref": "file:///etc/passwd"}}}, "stays inside the schema"),
        ({"type": "object", "properties": {"x": {"anyOf": [{"$ref": "file:///etc/passwd"}]}}}, "not allowed"),
        (
            {"type": "object", "properties": {"x": {"type": "string", "pattern": "(?=a)b"}}},
            "this pattern can't be used",
        ),
        ({"type": "object", "$schema": "https://x.example/schema"}, "only https://json-schema.org/draft/2020-12"),
        ({"type": "object", "properties": {"x": {"$ref": "#/properties/x"}}}, "nested more than"),
    ],
)
def test_a_schema_that_can_not_be_used_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(SchemaError, match=message.replace("(", r"\(")):
        Schema(given)


def test_what_is_required_may_be_described_elsewhere() -> None:
    described: list[dict[str, Any]] = [{"patternProperties": {"^b": {}}}, {"allOf": [{"properties": {"b": {}}}]}]
    for elsewhere in described:
        given = {"type": "object", "properties": {"a": {}}, "required": ["b"], **elsewhere}
        assert Schema(given).check({"b": 1}) == ()
    assert Schema({"type": "object", "required": ["b"]}).check({"b": 1}) == ()


def test_a_reference_inside_the_schema_is_followed() -> None:
    named = Schema(
        {
            "type": "object",
            "properties": {"where": {"$ref": "#/$defs/place"}},
            "$defs": {"place": {"type": "object", "required": ["zip"], "properties": {"zip": {"type": "string"}}}},
        }
    )
    assert named.check({"where": {"zip": 3}}) == (("data.where.zip", "must be string"),)
    place = named.type.child("where")
    assert place is not None
    assert place.child("zap") is None
