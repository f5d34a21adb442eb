"""What the door lets in, and what it says about the rest."""

from collections.abc import Callable, Mapping

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from clarion.v1 import event_pb2
from services.ingest.check import Reason, Refused, Taken, check_event
from services.router.decision.model import Defaults, EventType, Policy

Customers = event_pb2.Audience.Customers
Change = Callable[[event_pb2.Event], object]


def _area(data: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    return () if isinstance(data.get("area"), str) else (("data.area", "must be a text"),)


TYPES = (
    EventType("com.northwind.outage", lifecycle=True, check=_area),
    EventType("com.northwind.order.error", lifecycle=False, check=lambda _: ()),
)
POLICY = Policy(
    tenant="northwind",
    hash="0" * 64,
    defaults=Defaults(),
    categories={},
    caps=(),
    locks=(),
    event_types={declared.name: declared for declared in TYPES},
    rules=(),
    walks={},
    attributes={"feeder": "string"},
)


def event(change: Change = lambda _: None) -> event_pb2.Event:
    good = event_pb2.Event(
        id="o1",
        source="oms",
        type="com.northwind.outage",
        subject="INC-7",
        tenant="northwind",
        lifecycle=event_pb2.LIFECYCLE_OPENED,
        audience=event_pb2.Audience(customers=Customers(ids=["ana"])),
        data=b'{"area":"Mitte"}',
    )
    change(good)
    return good


def verdict(change: Change = lambda _: None, default_tenant: str = "") -> Taken | Refused:
    return check_event(event(change), {"northwind": POLICY}.get, default_tenant)


def found(change: Change) -> list[tuple[str, str, str]]:
    answer = verdict(change)
    assert isinstance(answer, Refused)
    assert answer.reason == answer.violations[0].reason
    return [(violation.reason, violation.field, violation.description) for violation in answer.violations]


def setting(**fields: object) -> Change:
    def change(good: event_pb2.Event) -> None:
        for name, value in fields.items():
            if value is None:
                good.ClearField(name)  # type: ignore[arg-type]
            elif isinstance(value, Timestamp | event_pb2.Audience):
                getattr(good, name).CopyFrom(value)
            else:
                setattr(good, name, value)

    return change


def named(*customers: str) -> event_pb2.Audience:
    return event_pb2.Audience(customers=Customers(ids=customers))


HOSTILE = "must not have control or text direction characters"
WHOM = "must be audience.customers.ids (1 to 1000 of them), audience.select (CEL) or audience.everyone (true)"
TENANT = "must be 1 to 63 of a-z, 0-9, _ and -, not beginning with _ or -"
NO_POLICY = "orion has no policy in force: activate one with `clarion policy activate DIR`"
UNKNOWN = "com.northwind.outag is not declared in the policy of northwind (did you mean com.northwind.outage?)"
INSTANT = "must be an instant from 1970 to 9999"

MISTAKES = [
    (setting(id=""), "INVALID_EVENT", "id", "is missing"),
    (setting(source=""), "INVALID_EVENT", "source", "is missing"),
    (setting(type=""), "INVALID_EVENT", "type", "is missing"),
    (setting(id="x" * 257), "INVALID_EVENT", "id", "has 257 bytes; the limit is 256"),
    (setting(id="ä" * 129), "INVALID_EVENT", "id", "has 258 bytes; the limit is 256"),
    (setting(source="x" * 1025), "INVALID_EVENT", "source", "has 1025 bytes; the limit is 1024"),
    (setting(subject="x" * 257), "INVALID_EVENT", "subject", "has 257 bytes; the limit is 256"),
    (setting(dataschema="x" * 1025), "INVALID_EVENT", "dataschema", "has 1025 bytes; the limit is 1024"),
    (setting(id="a\x00b"), "INVALID_EVENT", "id", HOSTILE),
    (setting(source="oms\r\nBcc: x"), "INVALID_EVENT", "source", HOSTILE),
    (setting(subject="INC\u202e7"), "INVALID_EVENT", "subject", HOSTILE),
    (setting(tenant="North Wind"), "INVALID_EVENT", "tenant", TENANT),
    (setting(tenant="_north"), "INVALID_EVENT", "tenant", TENANT),
    (setting(tenant="n" * 64), "INVALID_EVENT", "tenant", TENANT),
    (setting(tenant=""), "INVALID_EVENT", "tenant", "is missing, and the door has no default (CLARION_TENANT)"),
    (setting(lifecycle=9), "INVALID_EVENT", "lifecycle", "must be POINT, OPENED, UPDATED, RESOLVED or CANCELLED"),
    (setting(severity=9), "INVALID_EVENT", "severity", "must be INFO, MINOR, MAJOR or CRITICAL"),
    (setting(time=Timestamp(seconds=-1)), "INVALID_EVENT", "time", INSTANT),
    (setting(time=Timestamp(seconds=1, nanos=10**9)), "INVALID_EVENT", "time", INSTANT),
    (setting(expire_time=Timestamp(seconds=253_402_300_800)), "INVALID_EVENT", "expire_time", INSTANT),
    (setting(audience=None), "INVALID_AUDIENCE", "audience", WHOM),
    (setting(audience=event_pb2.Audience(everyone=False)), "INVALID_AUDIENCE", "audience", WHOM),
    (setting(audience=event_pb2.Audience(select=" ")), "INVALID_AUDIENCE", "audience", WHOM),
    (setting(audience=named()), "INVALID_AUDIENCE", "audience.customers.ids", "must name 1 to 1000 customers, not 0"),
    (
        setting(audience=named(*(f"c{number}" for number in range(1_001)))),
        "INVALID_AUDIENCE",
        "audience.customers.ids",
        "must name 1 to 1000 customers, not 1001",
    ),
    (setting(audience=named("ana", "ben", "ana")), "INVALID_AUDIENCE", "audience.customers.ids[2]", "is named twice"),
    (
        setting(audience=event_pb2.Audience(select='customer.attributes.feedr == "F-17"')),
        "INVALID_AUDIENCE",
        "audience.select",
        "undefined field 'feedr' in customer.attributes at character 1 (did you mean feeder?)",
    ),
    (
        setting(audience=event_pb2.Audience(select="event.id == 'x'")),
        "INVALID_AUDIENCE",
        "audience.select",
        "unknown name 'event' at character 1",
    ),
    (
        setting(audience=event_pb2.Audience(select="customer.id")),
        "INVALID_AUDIENCE",
        "audience.select",
        "gives string, not true or false at character 1",
    ),
    (
        setting(audience=event_pb2.Audience(select="true " + " " * 4_000)),
        "INVALID_AUDIENCE",
        "audience.select",
        "it has more than 1000 characters at character 1001",
    ),
    (setting(audience=named("a|b")), "INVALID_EVENT", "audience.customers.ids[0]", 'must not have "|" in it'),
    (setting(audience=named("a\nb")), "INVALID_EVENT", "audience.customers.ids[0]", HOSTILE),
    (
        setting(audience=named("a" * 257)),
        "INVALID_EVENT",
        "audience.customers.ids[0]",
        "has 257 bytes; the limit is 256",
    ),
    (setting(tenant="orion"), "NO_POLICY", "tenant", NO_POLICY),
    (setting(type="com.northwind.outag"), "UNKNOWN_TYPE", "type", UNKNOWN),
    (setting(data=b'{"area":7}'), "INVALID_DATA", "data.area", "must be a text"),
    (setting(data=b""), "INVALID_DATA", "data", "is not JSON: input data was truncated"),
    (setting(data=b"[1]"), "INVALID_DATA", "data", "must be a JSON object"),
    (setting(data=b'{"area":"a","area":"b"}'), "INVALID_DATA", "data", "has a key twice in one object"),
    (setting(data=b'{"area":NaN}'), "INVALID_DATA", "data", "is not JSON: invalid character (byte 8)"),
    (setting(data=b'{"area":"\xff"}'), "INVALID_DATA", "data", "is not UTF-8 (byte 0 of a text)"),
    (setting(data=b'{"n":' + b"9" * 19 + b"}"), "INVALID_DATA", "data", "has a whole number beyond 64 bits"),
    (setting(data=b"[" * 33 + b"]" * 33), "INVALID_DATA", "data", "is nested deeper than 32 levels"),
    (setting(data=b"[" * 30_000), "INVALID_DATA", "data", "is nested deeper than 32 levels"),
    (setting(data_content_type="application/xml"), "INVALID_DATA", "data_content_type", "must be application/json"),
    (
        setting(type="com.northwind.order.error"),
        "INVALID_DATA",
        "lifecycle",
        "must be POINT: the type is declared without a lifecycle",
    ),
]


@pytest.mark.parametrize(
    ("change", "reason", "field", "description"),
    MISTAKES,
    ids=[f"{place}-{field}" for place, (_, _, field, _) in enumerate(MISTAKES)],
)
def test_one_mistake_is_named_alone(change: Change, reason: str, field: str, description: str) -> None:
    assert found(change) == [(reason, field, description)]


def test_a_good_event_is_taken() -> None:
    assert verdict() == Taken("northwind", event())


UNUSUAL = {
    "no subject": setting(subject="", lifecycle=0),
    "long names": setting(id="x" * 256, subject="ä" * 128, source="y" * 1024),
    "charset": setting(data_content_type="application/json; charset=utf-8"),
    "long ago": setting(time=Timestamp(seconds=0), expire_time=Timestamp(seconds=1)),
    "no trace": setting(traceparent="nonsense"),
    "deep": setting(data=b'{"area":"x","deep":' + b"[" * 31 + b"]" * 31 + b"}"),
    "numbers": setting(data=b'{"area":"x","n":9223372036854775807,"m":-9223372036854775808,"r":1.5}'),
    "point of a type without lifecycle": setting(type="com.northwind.order.error", lifecycle=1),
    "negative sequence": setting(sequence=-1),
    "a list of names": setting(audience=named(*(f"c{number}" for number in range(1_000)))),
    "a selector": setting(audience=event_pb2.Audience(select='customer.attributes.feeder == "F-17"')),
    "everyone": setting(audience=event_pb2.Audience(everyone=True)),
}


@pytest.mark.parametrize("change", UNUSUAL.values(), ids=UNUSUAL.keys())
def test_what_is_unusual_but_right_is_taken(change: Change) -> None:
    assert isinstance(verdict(change), Taken)


def test_the_door_has_a_default_tenant() -> None:
    taken = verdict(setting(tenant=""), default_tenant="northwind")

    assert isinstance(taken, Taken)
    assert taken.tenant == "northwind"


def test_every_mistake_is_found_at_once_the_weightiest_first() -> None:
    wrong = setting(id="", audience=None, type="com.northwind.outages", data=b"x")

    assert [(reason, field) for reason, field, _ in found(wrong)] == [
        ("INVALID_EVENT", "id"),
        ("INVALID_AUDIENCE", "audience"),
        ("UNKNOWN_TYPE", "type"),
        ("INVALID_DATA", "data"),
    ]


def test_an_event_of_300_kib_is_told_the_limit() -> None:
    answer = verdict(setting(data=b'{"area":"' + b"x" * 307_200 + b'"}'))

    assert isinstance(answer, Refused)
    assert answer.reason is Reason.TOO_LARGE
    assert "64 KiB" in answer.message


def test_no_value_of_the_data_is_repeated() -> None:
    for data in (b'{"area":7,"who":"CANARY"', b'{"CANARY @":1,"CANARY @":2}', b'{"a":CANARY}', b'"CANARY"'):
        answer = verdict(setting(data=data))
        assert isinstance(answer, Refused)
        assert "CANARY" not in str(answer)
