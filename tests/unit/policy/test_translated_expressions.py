"""Conditions as Python: what is translated, and what a translation leaves to the library."""

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from services.policy.expressions import Language, customer_language, customer_type
from services.policy.schemas import Schema
from services.router.decision.model import Truth
from tests.unit.policy.test_expressions import LANGUAGE, NAMES, scope

POLICY = Path(__file__).parents[3] / "deploy" / "policy"


def conditions_of_the_example() -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for file in sorted((POLICY / "rules").glob("*.yaml")):
        for rule in YAML(typ="safe").load(file)["rules"]:
            on = rule["on"] if isinstance(rule["on"], str) else rule["on"][0]
            found.extend((on, rule[key]) for key in ("when", "who", "material") if key in rule)
    return sorted(set(found))


def language_of(event_type: str) -> Language:
    attributes = YAML(typ="safe").load(POLICY / "clarion.yaml").get("attributes", {})
    for file in (POLICY / "events").glob("*.yaml"):
        declared = YAML(typ="safe").load(file)
        if declared["type"] == event_type:
            return Language(Schema(declared["data"]).type, customer_type(attributes))
    raise AssertionError(event_type)


@pytest.mark.parametrize(("event_type", "source"), conditions_of_the_example())
def test_every_condition_of_the_example_policy_is_translated(event_type: str, source: str) -> None:
    assert language_of(event_type).compile(source, NAMES).translated


@pytest.mark.parametrize(
    "source",
    [
        'event.lifecycle == "opened" && data.count >= 1',
        'event.severity in ["major", "critical"]',
        'event.lifecycle.startsWith("op")',
        "data.back_at != previous.back_at || data.cause != previous.cause",
        'now - data.back_at > duration("30m")',
        'data.back_at > timestamp("2026-03-28T22:30:00+01:00")',
        "has(data.place.zip) && has(customer.attributes.plan)",
        "size(data.streets) > 2",
        'data.streets.exists(street, street.name == "a")',
        'size(data.streets.filter(street, street.name != null)) > 1 ? data.urgent : data.cause.contains("x")',
        "data.extra.deep[0] > 3",
        "-data.count * 2 + 7 / data.count % 3 < 0",
        "data.price * 2.0 > 1.5",
        'string(data.count) + "x" in ["1x", "2x"]',
    ],
)
def test_what_policies_say_is_translated(source: str) -> None:
    assert LANGUAGE.compile(source, NAMES).translated


@pytest.mark.parametrize(
    "source",
    [
        'data.area.matches("a+")',
        "data.back_at.getHours() > 3",
        "data == null",
        "data.extra == now",
        'duration("1ns") < duration("1s")',
        "double(data.count) > 1.5",
        '{"a": data.count}.a == 1',
        "data.place in [data.place]",
    ],
)
def test_what_can_not_be_said_exactly_stays_in_the_library(source: str) -> None:
    assert not LANGUAGE.compile(source, NAMES).translated


@pytest.mark.parametrize(
    ("source", "data", "expected"),
    [
        ("data.count + 1 > 0", {"count": (1 << 63) - 1}, Truth.ABSENT),
        ("data.count == 9007199254740992", {"count": 9007199254740993}, Truth.FALSE),
        ("data.extra == true", {"extra": 1}, Truth.FALSE),
        ("data.extra == 1.0", {"extra": 1}, Truth.TRUE),
        ("data.extra < 9007199254740992.0", {"extra": 9007199254740993}, Truth.FALSE),
        ("data.count / 2 == -3", {"count": -7}, Truth.TRUE),
        ("data.count % 2 == -1", {"count": -7}, Truth.TRUE),
        ("data.urgent && false", {}, Truth.FALSE),
        ("true || data.urgent", {}, Truth.TRUE),
        ("data.urgent || true", {}, Truth.TRUE),
        ("false && data.urgent", {}, Truth.FALSE),
        ("data.urgent && true", {}, Truth.ABSENT),
        ("!data.urgent", {}, Truth.ABSENT),
        ("data.urgent ? true : true", {}, Truth.ABSENT),
        ("data.extra.all(x, x > 1)", {"extra": [None, 1]}, Truth.FALSE),
        ("data.extra.exists(x, x > 1)", {"extra": [None, 2]}, Truth.TRUE),
        ("data.extra.exists(x, x > 1)", {"extra": [None, 1]}, Truth.ABSENT),
        ("data.extra.exists_one(x, x > 1)", {"extra": [None, 2]}, Truth.ABSENT),
        ("data.extra.exists(data, data == 3)", {"extra": [3]}, Truth.TRUE),
        ("data.area < data.cause", {"area": "\uffff", "cause": "\U0001f600"}, Truth.TRUE),
        ("data.extra.deep == null", {"extra": {}}, Truth.ABSENT),
        ("data.extra.all(x, x == 0)", {"extra": [0] * 9_999}, Truth.TRUE),
        ("data.extra.all(x, x == 0)", {"extra": [0] * 10_000}, Truth.ABSENT),
        ("size(data.extra.map(x, x)) > 0", {"extra": [0] * 1_000}, Truth.TRUE),
        ("size(data.extra.map(x, x)) > 0", {"extra": [0] * 1_001}, Truth.ABSENT),
        ("data.price > 1.0", {"price": 10**400}, Truth.ABSENT),
        ("true || data.price > 1.0", {"price": 10**400}, Truth.TRUE),
        ('data.count == 0 || data.extra == "x"', {"extra": 1 << 70}, Truth.ABSENT),
        ('data.cause == "x" || data.count == 0', {"cause": "\ud800"}, Truth.ABSENT),
    ],
)
def test_a_translation_says_what_the_library_says(source: str, data: dict[str, Any], expected: Truth) -> None:
    compiled = LANGUAGE.compile(source, NAMES)
    assert compiled.translated
    assert (compiled.condition.evaluate(scope(data)), compiled.by_library(scope(data))) == (expected, expected)


def test_lists_in_lists_keep_their_types() -> None:
    times = {"type": "array", "items": {"type": "array", "items": {"type": "string", "format": "date-time"}}}
    language = Language(Schema({"type": "object", "properties": {"times": times}}).type, customer_type({}))
    compiled = language.compile("data.times.exists(day, day[0] == data.times[0][0])", NAMES)
    seen = scope({"times": [["1970-01-01T01:00:00Z"]]})
    assert compiled.condition.evaluate(seen) is compiled.by_library(seen) is Truth.TRUE


@pytest.mark.parametrize(
    ("source", "data", "key"),
    [
        ('data.area + ":" + string(data.count)', {}, "Mitte:0"),
        ("event.subject", {}, "INC-1"),
        ("data.cause", {}, None),
        ("data.cause", {"cause": "storm"}, "storm"),
        ("data.extra", {"extra": "x"}, "x"),
        ("data.extra", {"extra": 3}, None),
        ('data.cause == null ? "none" : data.cause', {}, "none"),
        ("data.area + customer.attributes.plan", {}, None),
    ],
)
def test_a_key_is_the_text_that_its_expression_gives(source: str, data: dict[str, Any], key: str | None) -> None:
    compiled = LANGUAGE.compile_key(source, ["event", "data", "customer", "now"])
    assert compiled.translated
    assert (compiled.evaluate(scope(data)), compiled.by_library(scope(data))) == (key, key)


def test_segments_are_conditions_about_the_customer() -> None:
    language = customer_language({"plan": "string"})
    condition = language.compile('customer.attributes.plan == "gold"', ["customer", "now"]).condition
    assert condition.evaluate(scope(attributes={"plan": "gold"})) is Truth.TRUE
    assert condition.evaluate(scope()) is Truth.FALSE
