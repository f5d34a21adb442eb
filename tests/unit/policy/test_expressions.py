"""Conditions: what they say of data, above all of absent data."""

from typing import Any

import pytest

from services.policy.expressions import ExpressionError, Language, customer_type
from services.policy.schemas import Schema, shared
from services.router.decision.model import Event, Lifecycle, Profile, Scope, Severity, Truth

NAMES = ("event", "data", "customer", "previous", "now")
SCHEMA = Schema(
    {
        "type": "object",
        "required": ["area", "count"],
        "properties": {
            "area": {"type": "string"},
            "count": {"type": "integer"},
            "cause": {"type": "string"},
            "price": {"type": "number"},
            "urgent": {"type": "boolean"},
            "back_at": {"type": "string", "format": "date-time"},
            "place": {"type": "object", "properties": {"zip": {"type": "string"}}},
            "streets": {"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}}}},
            "extra": {},
            "fooBar": {"type": "string"},
            "foo_bar": {"type": "string"},
        },
    }
)
LANGUAGE = Language(SCHEMA.type, customer_type({"plan": "string", "age": "int", "since": "date"}))
HOUR = 3_600_000_000


def scope(data: dict[str, Any] | None = None, previous: dict[str, Any] | None = None, **profile: Any) -> Scope:
    event = Event(
        tenant="t",
        source="s",
        id="e1",
        type="x",
        subject="INC-1",
        time=HOUR,
        lifecycle=Lifecycle.UPDATED,
        sequence=None,
        severity=Severity.MAJOR,
        expiry=None,
        customers=("ana",),
        data={"area": "Mitte", "count": 0, **(data or {})},
        content_hash=b"",
        accepted=0,
    )
    return Scope(event, Profile("ana", **profile) if profile else None, previous, 2 * HOUR)


def truth(source: str, seen: Scope) -> Truth:
    return LANGUAGE.compile(source, NAMES).condition.evaluate(seen)


@pytest.mark.parametrize(
    "source",
    [
        "data.cause == null",
        'data.cause != "storm"',
        "data.back_at == null",
        "data.place == null",
        "data.extra == null",
        "!has(data.cause)",
        "!has(data.back_at)",
        "!has(data.place)",
        "!has(data.place.zip)",
        "has(data.area)",
        "event.sequence == null",
        'data.count < 7 || data.cause == "storm"',
        "data.count == 0",
        "customer.attributes.plan == null",
    ],
)
def test_an_absent_value_is_null_and_not_zero(source: str) -> None:
    assert truth(source, scope()) is Truth.TRUE


@pytest.mark.parametrize(
    "source",
    [
        'data.cause < "x"',
        "data.price < 5.0",
        "data.price * 2.0 < 5.0",
        "data.back_at < now",
        "!(data.back_at < now)",
        'data.place.zip == ""',
        "size(data.streets) == 0",
        'data.streets.exists(street, street.name == "a")',
        'data.cause.startsWith("x")',
        "event.sequence > 3",
        "customer.attributes.age >= 18",
        "data.extra > 3",
        "data.urgent",
        "previous.count > 3",
        "data.cause < previous.cause",
        "1 / data.count > 0",
        'data.area.matches("(")',
    ],
)
def test_any_other_use_of_an_absent_value_makes_the_condition_absent(source: str) -> None:
    assert truth(source, scope()) is Truth.ABSENT


@pytest.mark.parametrize(
    ("source", "data"),
    [
        ("data.back_at < now", {"back_at": "1970-01-01T01:30:00Z"}),
        ("data.back_at > event.time", {"back_at": "1970-01-01T04:00:00.000001+02:00"}),
        ('now - data.back_at == duration("30m")', {"back_at": "1970-01-01T01:30:00Z"}),
        ("data.price > 1.0", {"price": 2}),
        ("data.urgent", {"urgent": True}),
        ('data.streets.exists(street, street.name == "a")', {"streets": [{"name": "b"}, {"name": "a"}]}),
        ("data.streets.all(street, street.name == null)", {"streets": [{}, {}]}),
        ("data.extra.deep == 3", {"extra": {"deep": 3}}),
        ("data.fooBar != data.foo_bar", {"fooBar": "a", "foo_bar": "b"}),
        ('event.lifecycle in ["updated", "opened"] && event.severity == "major"', {}),
        ("data.count == 5", {"count": 5.0}),
        ('data.cause == "x" ? data.count == 0 : false', {"cause": "x"}),
        ("has(data.place.zip)", {"place": {"zip": "1"}}),
    ],
)
def test_present_values_have_the_types_of_the_schema(source: str, data: dict[str, Any]) -> None:
    assert truth(source, scope(data)) is Truth.TRUE


@pytest.mark.parametrize("extra", [1 << 70, "\ud800", {"deep": 1 << 70}])
def test_what_cel_can_not_take_makes_the_condition_absent(extra: object) -> None:
    assert truth("data.extra == 3", scope({"extra": extra})) is Truth.ABSENT


def test_an_instant_that_can_not_be_read_is_absent() -> None:
    assert truth("data.back_at < now", scope({"back_at": "0000-01-01T00:00:00Z"})) is Truth.ABSENT
    assert truth("data.back_at == null", scope({"back_at": "9999-12-31T23:59:59-14:00"})) is Truth.TRUE


def test_a_leap_second_is_the_second_before() -> None:
    assert truth("data.back_at < now", scope({"back_at": "1970-01-01T01:59:60Z"})) is Truth.TRUE


def test_material_news_is_a_difference_also_to_nothing() -> None:
    source = "data.back_at != previous.back_at || data.cause != previous.cause"
    known = {"back_at": "2026-01-01T10:00:00Z"}
    assert truth(source, scope(known, {})) is Truth.TRUE
    assert truth(source, scope({}, known)) is Truth.TRUE
    assert truth(source, scope(known, known)) is Truth.FALSE
    assert truth(source, scope(known, {"back_at": "2026-01-01T11:00:00+01:00"})) is Truth.FALSE
    assert truth(source, scope(known, {"back_at": "2026-01-01T10:00:01Z"})) is Truth.TRUE


def test_a_customer_without_profile_has_no_attributes() -> None:
    source = 'customer.attributes.plan == "gold"'
    assert truth(source, scope()) is Truth.FALSE
    assert truth(source, scope(attributes={"plan": "gold"})) is Truth.TRUE
    assert truth('customer.locale == null && customer.id == "ana"', scope(locale="")) is Truth.TRUE


def test_what_was_read_is_shown() -> None:
    condition = LANGUAGE.compile(
        'event.lifecycle == "opened" && data.count >= 1 && data.back_at != null && data.price > 1.0', NAMES
    ).condition
    assert condition.show(scope({"price": 2, "cause": "unread"})) == (
        'data.back_at is absent, data.count is 0, data.price is 2, event.lifecycle is "updated"'
    )


def test_a_long_text_is_shown_short() -> None:
    shown = LANGUAGE.compile('data.area == "x"', NAMES).condition.show(scope({"area": "a" * 500}))
    assert shown == f'data.area is "{"a" * 57}..."'


@pytest.mark.parametrize(
    ("source", "lifecycles"),
    [
        ('event.lifecycle == "opened" && data.count > 1', {"opened"}),
        ('event.lifecycle in ["resolved", "cancelled"]', {"resolved", "cancelled"}),
        ('event.lifecycle == "opened" || event.lifecycle == "updated"', {"opened", "updated"}),
        ('event.lifecycle != "point"', {"opened", "updated", "resolved", "cancelled"}),
        ("data.count > 1", {"point", "opened", "updated", "resolved", "cancelled"}),
    ],
)
def test_the_lifecycles_of_a_condition_are_known(source: str, lifecycles: set[str]) -> None:
    assert LANGUAGE.compile(source, NAMES).lifecycles == lifecycles


def test_several_types_share_what_all_declare() -> None:
    other = Schema(
        {
            "type": "object",
            "required": ["count"],
            "properties": {"count": {"type": "integer"}, "area": {"type": "string"}, "price": {"type": "string"}},
        }
    )
    language = Language(shared([SCHEMA.type, other.type]), customer_type({}))
    language.compile("data.count > 1 && data.area == null", NAMES)
    with pytest.raises(ExpressionError, match="undefined field 'price' in data"):
        language.compile("data.price == null", NAMES)


def test_a_field_of_an_open_object_may_be_asked_for() -> None:
    language = Language(Schema({"type": "object"}).type, customer_type({}))
    compiled = language.compile("data.anything > 3", NAMES)
    assert compiled.condition.evaluate(scope({"anything": 4})) is Truth.TRUE
    assert compiled.condition.evaluate(scope()) is Truth.ABSENT
