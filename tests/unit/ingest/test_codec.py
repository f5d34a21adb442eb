"""Records of events: what the door takes, the router takes."""

import pytest

from clarion.v1 import event_pb2
from services.common import identifiers
from services.common.processor.ports import Record as Read
from services.ingest.check import Reason, Refused, Taken
from services.ingest.codec import Record, event_record, fit
from services.router import codec as router


def named(*customers: str) -> event_pb2.Audience:
    return event_pb2.Audience(customers=event_pb2.Audience.Customers(ids=customers))


def record_with(data_bytes: int) -> Record:
    data = b'{"a":"' + b"x" * (data_bytes - 8) + b'"}'
    event = event_pb2.Event(id="o1", source="oms", type="t", tenant="northwind", data=data)
    event.audience.customers.ids.append("ana")
    return event_record(Taken("northwind", event), "", "grpc")


@pytest.mark.parametrize("over", [0, 1])
def test_the_door_and_the_router_draw_the_limit_at_the_same_byte(over: int) -> None:
    attributes = sum(len(value) for _, value in record_with(100).headers)
    record = record_with(identifiers.MAX_EVENT_BYTES - attributes + over)
    read = Read("events", 0, 0, 1, record.key, record.value, record.headers)

    if over:
        answer = fit(record)
        assert isinstance(answer, Refused)
        assert answer.reason is Reason.TOO_LARGE
        with pytest.raises(router.PoisonError, match="64 KiB"):
            router.event(read, "")
    else:
        assert fit(record) is record
        assert router.event(read, "").customers == ("ana",)


@pytest.mark.parametrize(
    ("audience", "header", "key"),
    [
        (event_pb2.Audience(everyone=True), b'{"everyone":true}', b"northwind|INC-7"),
        (event_pb2.Audience(select="true"), b'{"select":"true"}', b"northwind|INC-7"),
        (named("ana", "ben"), b'{"customers":["ana","ben"]}', b"northwind|INC-7"),
        (named("ana"), b'{"customers":["ana"]}', b"northwind|ana"),
    ],
)
def test_the_router_reads_the_audience_that_the_door_writes(
    audience: event_pb2.Audience, header: bytes, key: bytes
) -> None:
    event = event_pb2.Event(id="o1", source="oms", type="t", subject="INC-7", audience=audience, data=b"{}")
    record = event_record(Taken("northwind", event), "", "grpc")
    assert (dict(record.headers)["ce_audience"], record.key) == (header, key)
    read = router.event(Read("events", 0, 0, 1, record.key, record.value, record.headers), "")
    assert (list(read.customers), read.select, read.everyone) == (
        list(audience.customers.ids),
        audience.select,
        audience.everyone,
    )


def test_an_event_for_many_without_a_subject_has_its_own_key() -> None:
    event = event_pb2.Event(id="o1", source="oms", type="t", audience=event_pb2.Audience(everyone=True), data=b"{}")
    assert event_record(Taken("northwind", event), "", "grpc").key == b"northwind|oms|o1"
