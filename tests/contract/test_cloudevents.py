"""What the door writes is a CloudEvent in binary mode: the project's own Kafka binding reads it."""

from datetime import UTC, datetime

from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka_event
from google.protobuf.timestamp_pb2 import Timestamp

from clarion.v1 import event_pb2
from services.ingest.check import Taken
from services.ingest.codec import event_record

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def full_event() -> event_pb2.Event:
    return event_pb2.Event(
        id="o1",
        source="https://oms.example/störung",
        type="com.northwind.outage",
        subject="INC-7",
        time=Timestamp(seconds=1_774_733_400, nanos=123_456_789),
        dataschema="https://schemas.example/outage",
        tenant="northwind",
        lifecycle=event_pb2.LIFECYCLE_OPENED,
        sequence=0,
        severity=event_pb2.SEVERITY_MAJOR,
        expire_time=Timestamp(seconds=1_774_740_600),
        audience=event_pb2.Audience(customers=event_pb2.Audience.Customers(ids=['änne "x"'])),
        data=b'{"area": "Mitte"}',
    )


def test_the_cloudevents_sdk_reads_every_attribute() -> None:
    record = event_record(Taken("northwind", full_event()), TRACE, "grpc")

    read = from_kafka_event(KafkaMessage(dict(record.headers), record.key, record.value))

    assert read.get_attributes() == {
        "specversion": "1.0",
        "id": "o1",
        "source": "https://oms.example/störung",
        "type": "com.northwind.outage",
        "subject": "INC-7",
        "time": datetime(2026, 3, 28, 21, 30, 0, 123_456, tzinfo=UTC),
        "dataschema": "https://schemas.example/outage",
        "datacontenttype": "application/json",
        "tenant": "northwind",
        "lifecycle": "opened",
        "sequence": "0",
        "severity": "major",
        "expirytime": "2026-03-28T23:30:00.000000Z",
        "traceparent": TRACE,
        "audience": '{"customers":["änne \\"x\\""]}',
        "partitionkey": 'northwind|änne "x"',
    }
    assert read.get_data() == {"area": "Mitte"}


def test_the_data_goes_on_byte_for_byte() -> None:
    assert event_record(Taken("northwind", full_event()), "", "grpc").value == b'{"area": "Mitte"}'


def test_what_was_not_given_has_no_header() -> None:
    event = event_pb2.Event(id="o1", source="oms", type="com.northwind.order.error", data=b"{}")
    event.audience.customers.ids.append("ana")

    record = event_record(Taken("northwind", event), "", "grpc")

    assert dict(record.headers) == {
        "ce_specversion": b"1.0",
        "ce_id": b"o1",
        "ce_source": b"oms",
        "ce_type": b"com.northwind.order.error",
        "ce_tenant": b"northwind",
        "ce_audience": b'{"customers":["ana"]}',
        "content-type": b"application/json",
        "clarion-door": b"grpc",
    }
    assert record.key == b"northwind|ana"
