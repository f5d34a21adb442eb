"""What the doors write: checked values become records of Kafka.

An event is a CloudEvent in binary mode: its attributes are headers `ce_*` in UTF-8, its data is the value as it came,
its key is `tenant|customer` if it names one customer, else its subject's or its own. An attribute that was not given
has no header; instants are RFC 3339 in UTC.
A change of a customer is protobuf under the same key, so that it reaches the same owner in order.
"""

import msgspec
from google.protobuf.timestamp_pb2 import Timestamp
from msgspec import Struct

from clarion.v1 import event_pb2, profile_pb2
from services.common.clock import iso
from services.common.identifiers import MAX_EVENT_BYTES, event_key
from services.ingest.check import Refused, Taken, refused, too_large

JSON_TYPE = "application/json"

_LIFECYCLES = {value: name.removeprefix("LIFECYCLE_").lower() for name, value in event_pb2.Lifecycle.items() if value}
_SEVERITIES = {value: name.removeprefix("SEVERITY_").lower() for name, value in event_pb2.Severity.items() if value}


class Record(Struct, frozen=True, gc=False):
    """A record to be written."""

    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...]


def event_record(taken: Taken, traceparent: str, door: str) -> Record:
    """Return the record of an event, with the trace context it goes on in and the door it came by."""
    event = taken.event
    sequence = str(event.sequence) if event.HasField("sequence") else ""
    attributes = (
        ("ce_specversion", "1.0"),
        ("ce_id", event.id),
        ("ce_source", event.source),
        ("ce_type", event.type),
        ("ce_subject", event.subject),
        ("ce_time", _instant(event.time) if event.HasField("time") else ""),
        ("ce_dataschema", event.dataschema),
        ("ce_tenant", taken.tenant),
        ("ce_lifecycle", _LIFECYCLES.get(event.lifecycle, "")),
        ("ce_sequence", sequence),
        ("ce_severity", _SEVERITIES.get(event.severity, "")),
        ("ce_expirytime", _instant(event.expire_time) if event.HasField("expire_time") else ""),
        ("ce_traceparent", traceparent),
        ("ce_audience", msgspec.json.encode(_audience(event.audience)).decode()),
        ("content-type", event.data_content_type or JSON_TYPE),
        ("clarion-door", door),
    )
    headers = tuple((name, text.encode()) for name, text in attributes if text)
    key = event_key(taken.tenant, event.audience.customers.ids, event.subject, event.source, event.id)
    return Record(key, event.data, headers)


def _audience(audience: event_pb2.Audience) -> dict[str, object]:
    match audience.WhichOneof("kind"):
        case "select":
            return {"select": audience.select}
        case "everyone":
            return {"everyone": True}
        case _:
            return {"customers": list(audience.customers.ids)}


def fit(record: Record) -> Record | Refused:
    """Refuse an event whose record the router would find too large; it measures values, not names, as is done here."""
    size = len(record.value) + sum(len(value) for _, value in record.headers)
    return record if size <= MAX_EVENT_BYTES else refused([too_large("event", size)])


def change_record(tenant: str, customer: str, merge_patch: bytes, author: str, accepted: int) -> Record:
    """Return the record of a change of a customer's profile, accepted at an instant (microseconds since 1970)."""
    seconds, micros = divmod(accepted, 1_000_000)
    change = profile_pb2.Change(
        tenant=tenant,
        customer=customer,
        merge_patch=merge_patch,
        author=author,
        accept_time=Timestamp(seconds=seconds, nanos=micros * 1000),
    )
    return Record(customer_key(tenant, customer), change.SerializeToString(deterministic=True), ())


def customer_key(tenant: str, customer: str) -> bytes:
    """Return the key under which everything about a customer is written."""
    return f"{tenant}|{customer}".encode()


def _instant(instant: Timestamp) -> str:
    return iso(instant.seconds * 1_000_000 + instant.nanos // 1000)
