"""Lines of JSON become events and changes, or mistakes with their line."""

import json

import pytest

from clarion.v1 import event_pb2, ingest_pb2
from services.control.event_lines import Mistake, read_customers, read_events

LINE = (
    '{"specversion": "1.0", "id": "o1", "source": "oms", "type": "com.northwind.outage", "subject": "INC-7", '
    '"time": "2026-03-28T22:30:00.123456+01:00", "lifecycle": "opened", "sequence": 1, "severity": "major", '
    '"expirytime": "2026-03-29T22:30:00Z", "tenant": "northwind", "datacontenttype": "application/json", '
    '"audience": {"customers": ["ana"]}, "data": {"n": 1.10,  "area": "Mitte"}}'
)


def only(line: str) -> event_pb2.Event | tuple[Mistake, ...]:
    ((_, read),) = read_events([line])
    return read


def test_every_key_of_a_line_has_its_place_in_the_event() -> None:
    expected = event_pb2.Event(
        id="o1",
        source="oms",
        type="com.northwind.outage",
        subject="INC-7",
        lifecycle=event_pb2.LIFECYCLE_OPENED,
        sequence=1,
        severity=event_pb2.SEVERITY_MAJOR,
        tenant="northwind",
        data_content_type="application/json",
        data=b'{"n": 1.10,  "area": "Mitte"}',
    )
    expected.time.FromJsonString("2026-03-28T21:30:00.123456Z")
    expected.expire_time.FromJsonString("2026-03-29T22:30:00Z")
    expected.audience.customers.ids.append("ana")

    assert only(LINE) == expected


@pytest.mark.parametrize(
    ("audience", "expected"),
    [
        (
            {"customers": ["ana", "ben"]},
            event_pb2.Audience(customers=event_pb2.Audience.Customers(ids=["ana", "ben"])),
        ),
        ({"select": "customer.locale == 'de'"}, event_pb2.Audience(select="customer.locale == 'de'")),
        ({"everyone": True}, event_pb2.Audience(everyone=True)),
    ],
)
def test_a_line_may_be_for_many(audience: object, expected: event_pb2.Audience) -> None:
    read = only(json.dumps({"id": "o1", "audience": audience}))
    assert isinstance(read, event_pb2.Event)
    assert read.audience == expected


def test_lines_keep_their_numbers_and_empty_ones_are_passed_over() -> None:
    numbers = [number for number, _ in read_events(["", LINE, "  \n", "{"], first=10)]

    assert numbers == [11, 13]


@pytest.mark.parametrize(
    ("change", "field", "message"),
    [
        ({"lifecylce": "opened"}, "lifecylce", "is not a key of an event (did you mean lifecycle?)"),
        ({"lifecycle": "open"}, "lifecycle", "must be one of point, opened, updated, resolved, cancelled"),
        ({"severity": 3}, "severity", "must be a text"),
        ({"time": "2026-02-30T00:00:00Z"}, "time", "must be an instant such as 2026-03-28T22:30:00+01:00"),
        ({"expirytime": "tomorrow"}, "expirytime", "must be an instant such as 2026-03-28T22:30:00+01:00"),
        ({"sequence": True}, "sequence", "must be a whole number"),
        ({"audience": {"all": 1}}, "audience", "must be {customers: [...]}, {select: CEL} or {everyone: true}"),
        ({"specversion": "0.3"}, "specversion", 'must be "1.0"'),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_what_cannot_be_said_in_a_message_is_a_mistake(change: dict[str, object], field: str, message: str) -> None:
    line = json.dumps({"id": "o1", **change})

    assert only(line) == (Mistake("INVALID_EVENT", field, message),)


@pytest.mark.parametrize(
    "line", ["{", "[]", '{"id": "a", "id": "b"}', "\udcff", '{"data": ' + "[" * 99 + "]" * 99 + "}"]
)
def test_a_line_that_is_no_json_object_is_one_mistake(line: str) -> None:
    read = only(line)
    assert isinstance(read, tuple)
    (mistake,) = read

    assert (mistake.reason, mistake.field) == ("INVALID_EVENT", "")


def test_all_audiences_are_carried_to_the_door() -> None:
    select = only('{"audience": {"select": "true"}}')
    everyone = only('{"audience": {"everyone": true}}')
    nobody = only('{"audience": {"customers": []}}')

    assert [read.audience.WhichOneof("kind") for read in (select, everyone, nobody)] == [  # type: ignore[union-attr]
        "select",
        "everyone",
        "customers",
    ]


def test_a_customer_line_is_the_patch_without_the_name() -> None:
    ((number, read),) = read_customers([b'{"customer": "ana", "locale": "de", "timezone": null}'], "northwind")

    assert (number, read) == (
        1,
        ingest_pb2.PutCustomerRequest(
            tenant="northwind", customer="ana", merge_patch=b'{"locale":"de","timezone":null}'
        ),
    )


def test_a_customer_line_with_a_wrong_name_is_a_mistake() -> None:
    ((_, read),) = read_customers(['{"customer": 7, "locale": "de"}'])

    assert read == (Mistake("INVALID_CUSTOMER", "customer", "must be a text"),)
