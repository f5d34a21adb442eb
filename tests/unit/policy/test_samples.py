"""Sample data: it fits its schema, and is the same every time."""

from pathlib import Path
from typing import Any

import pytest

from services.policy.bundle import read_folder
from services.policy.draft import draft
from services.policy.pattern_text import text_of
from services.policy.samples import sample, sample_customer, sample_event, samples
from services.policy.schemas import Schema

EXAMPLE = Path(__file__).parents[3] / "deploy" / "policy"


def of(field: dict[str, Any], *, required: bool = True) -> dict[str, Any]:
    return {"type": "object", "required": ["f"] if required else [], "properties": {"f": field}}


def test_the_variants_are_the_least_everything_and_the_longest() -> None:
    schema = {
        "type": "object",
        "required": ["order", "count"],
        "properties": {
            "order": {"type": "string", "maxLength": 12},
            "count": {"type": "integer", "minimum": 2, "maximum": 900},
            "note": {"type": "string", "minLength": 1},
            "list": {"type": "array", "items": {"type": "boolean"}, "maxItems": 3},
        },
    }
    assert samples(schema) == (
        {"order": "x", "count": 2},
        {"order": "order", "count": 3, "note": "note", "list": [True, True]},
        {"order": "Lorem ipsum.", "count": 900, "note": samples(schema)[2]["note"], "list": [True] * 3},
    )
    assert len(samples(schema)[2]["note"]) == 200
    assert sample(schema) == samples(schema)[1]


FIELDS: list[dict[str, Any]] = [
    {"type": "string"},
    {"type": "string", "minLength": 300, "maxLength": 301},
    {"type": "string", "maxLength": 0},
    {"type": "string", "maxLength": 3},
    *(
        {"type": "string", "format": name}
        for name in ("date-time", "date", "time", "email", "hostname", "ipv4", "ipv6", "uri", "uuid", "duration")
    ),
    {"type": "string", "pattern": "^[0-9]{1,7}[.][0-9]{2}$"},
    {"type": "string", "pattern": "^(AB|CDE)-\\d+$", "maxLength": 14},
    {"type": "string", "pattern": "^[A-Z]{3}(?:-[a-z]{2,4})?$"},
    {"enum": ["a", "bbb"]},
    {"const": {"x": [1]}},
    {"type": "string", "examples": ["shown"], "default": "other"},
    {"type": "integer"},
    {"type": "integer", "minimum": -9, "maximum": -3},
    {"type": "integer", "exclusiveMinimum": 10, "exclusiveMaximum": 12},
    {"type": "integer", "multipleOf": 7, "maximum": 100},
    {"type": "number", "minimum": 0.25, "maximum": 0.75},
    {"type": "boolean"},
    {"type": ["null", "string"]},
    {"type": "null"},
    {"type": "array", "items": {"type": "integer"}, "minItems": 3},
    {"type": "array", "items": {"type": "string"}, "minItems": 2, "uniqueItems": True},
    {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "items": False},
    {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}, "b": {}}},
    {"type": "object", "required": ["a"]},
    {"$ref": "#/properties/other"},
    {"allOf": [{"type": "string"}, {"maxLength": 5}, {"minLength": 4}]},
    {"anyOf": [{"type": "integer"}, {"type": "string"}]},
]


@pytest.mark.parametrize("field", FIELDS, ids=str)
def test_every_sample_fits_its_schema(field: dict[str, Any]) -> None:
    schema = of(field)
    schema["properties"]["other"] = {"type": "integer", "minimum": 7}
    found = samples(schema)
    assert len(found) == 3
    assert [Schema(schema).check(each) for each in found] == [()] * len(found)
    assert found == samples(schema)
    assert Schema(schema).check(sample(schema)) == ()


def test_what_the_schema_shows_is_used() -> None:
    assert sample(of({"type": "string", "examples": ["shown"], "default": "other"})) == {"f": "shown"}
    assert sample(of({"type": "string", "default": "other"})) == {"f": "other"}
    assert [each["f"] for each in samples(of({"enum": ["a", "bbb"]}))] == ["a", "bbb"]


@pytest.mark.parametrize(
    "schema",
    [
        of({"type": "string", "pattern": "^(?=x)x$"}),
        of({"type": "string", "pattern": "^[^a]$", "minLength": 2}),
        of({"not": {}}),
        {"type": "object", "required": ["a"], "additionalProperties": False},
    ],
)
def test_a_schema_for_which_nothing_is_found_has_no_samples(schema: dict[str, Any]) -> None:
    assert samples(schema) == ()


@pytest.mark.parametrize(
    "pattern",
    ["a{1000}{9}", "(" * 50 + "a" + ")" * 50, "((((a{99}){99}){99}){99})", "(a", "[a", "a\\", "(?<!x)y", "a{2"],
)
def test_a_pattern_that_is_not_simple_has_no_text(pattern: str) -> None:
    assert text_of(pattern, longest=True) is None


def test_samples_of_the_example_fit_and_are_small() -> None:
    found = draft(read_folder(EXAMPLE))
    for placed in found.events:
        made = samples(placed.event.data)
        assert made
        assert all(len(str(each)) < 65_536 for each in made)


WIDE = {"type": "array", "maxItems": 10_000}


@pytest.mark.parametrize("text", [{"type": "string", "maxLength": 100_000}, {"type": "string", "maxLength": 2_000}])
def test_a_sample_is_no_larger_than_an_event(text: dict[str, Any]) -> None:
    fields = {"type": "object", "properties": {f"f{number}": text for number in range(100)}}
    made = samples(of({**WIDE, "items": {**WIDE, "items": fields}}))
    assert len(made) == 3
    assert all(len(str(each)) < 200_000 for each in made)


@pytest.mark.parametrize(
    "field",
    [
        {"type": "array", "minItems": 1_000_000_000},
        {"type": "array", "minItems": 1e300},
        {"type": "array", "minItems": 500, "items": {"type": "array", "minItems": 500}},
        {"type": "array", "minItems": 500, "items": {"type": "array", "minItems": 500, "items": {"type": "integer"}}},
        {"type": "array", "minItems": 500, "items": {"type": "string", "minLength": 500}},
        {"type": "string", "minLength": 1_000_000_000},
    ],
)
def test_a_schema_that_demands_too_much_has_no_samples(field: dict[str, Any]) -> None:
    assert samples(of(field)) == ()
    assert len(str(sample(of(field)))) < 100_000


def test_a_customer_has_every_declared_attribute() -> None:
    assert sample_customer({"plan": "string", "since": "date", "n": "int"}, "de", "Europe/Berlin") == {
        "id": "ana",
        "locale": "de",
        "timezone": "Europe/Berlin",
        "attributes": {"plan": "sample", "since": "2026-03-28", "n": 3},
    }
    assert sample_event("acme.order", "opened", "major")["lifecycle"] == "opened"
