"""Wire <-> values: sends, profiles, feedback, the ledger, the event in the form that templates see."""

from base64 import b32encode
from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import msgspec
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError

from clarion.v1 import event_pb2, feedback_pb2, profile_pb2, send_pb2
from services.common.processor.ports import Record
from services.senders.ledger import Entry, Finding
from services.senders.send import Choice, Item, Recipient, Send, Wish

_ID_BYTES = 20
# An honest send is one event of 64 KiB at most and some names; its ledger entry and its feedback must fit into records.
_LARGEST = 256 * 1024

encode_entry = msgspec.msgpack.Encoder().encode
_decode_entry = msgspec.msgpack.Decoder[Entry](Entry).decode
_CHOICES = {int(choice): choice for choice in Choice}


def decode_entry(value: bytes) -> Entry:
    """Read a value of the ledger; it is our own, so one that can't be read is a bug."""
    entry: Entry = _decode_entry(value)
    return entry


class UnreadableError(Exception):
    """A record that can't be understood; the message says why, without personal data."""


@lru_cache(maxsize=4096)
def name(send_id: bytes) -> str:
    """Return a send id as text: base32, lower case; asked several times while a send is under way, so kept."""
    return b32encode(send_id).decode("ascii").rstrip("=").lower()


def ledger_key(lane: str, send_id: bytes) -> bytes:
    """Return the key of a send in the ledger."""
    return f"{lane}|{name(send_id)}".encode("ascii")


def customer_key(tenant: str, customer: str) -> bytes:
    """Return the key of all records about a customer."""
    return f"{tenant}|{customer}".encode()


def send(record: Record, lane: str, channel: str) -> Send:
    """Read a record of this channel's sends; raise UnreadableError."""
    if len(record.value or b"") > _LARGEST:
        raise UnreadableError("is too large")
    try:
        wire = send_pb2.Send.FromString(record.value or b"")
    except DecodeError:
        raise UnreadableError("not a send") from None
    problem = _problem(wire, channel)
    if problem:
        raise UnreadableError(problem)
    return Send(
        send_id=wire.send_id,
        decision_id=wire.decision_id,
        lane=lane,
        step=wire.step,
        tenant=wire.tenant,
        customer=wire.customer,
        channel=wire.channel,
        rule=wire.rule,
        category=wire.category,
        critical=wire.message_class == event_pb2.MESSAGE_CLASS_CRITICAL,
        marketing=wire.message_class == event_pb2.MESSAGE_CLASS_MARKETING,
        required=wire.required,
        template=wire.template,
        locale=wire.locale,
        timezone=wire.timezone,
        policy_hash=wire.policy_hash,
        expires=wire.expire_time_us,
        decided=wire.decide_time_us,
        source=wire.event.source,
        event_id=wire.event.id,
        subject=wire.event.subject,
        event=wire.event.SerializeToString(deterministic=True) if wire.HasField("event") else b"",
        after=wire.after,
        items=tuple(_item(item) for item in wire.items),
    )


def _item(wire: send_pb2.DigestItem) -> Item:
    return Item(
        rule=wire.rule,
        category=wire.category,
        marketing=wire.message_class == event_pb2.MESSAGE_CLASS_MARKETING,
        required=wire.required,
        template=wire.template,
        expires=wire.expire_time_us,
        event=wire.event.SerializeToString(deterministic=True),
        after=wire.after,
    )


def _problem(wire: send_pb2.Send, channel: str) -> str:
    if len(wire.send_id) != _ID_BYTES or len(wire.decision_id) != _ID_BYTES:
        return "an id is not 20 bytes long"
    if not wire.tenant or not wire.customer:
        return "names no customer"
    if wire.channel != channel:
        return "is for another channel"
    if wire.items:
        return "" if all(item.HasField("event") for item in wire.items) else "holds an item without event"
    return "" if wire.HasField("event") else "holds no event"


def recipient(value: bytes, channel: str) -> Recipient:
    """Read a customer's profile as far as it concerns this channel; raise UnreadableError."""
    try:
        wire = profile_pb2.Profile.FromString(value)
    except DecodeError:
        raise UnreadableError("not a profile") from None
    return Recipient(
        customer=wire.customer,
        address=wire.addresses.get(channel, ""),
        suppressed=wire.erased or any(found.channel == channel for found in wire.suppressed),
        consents=channel in wire.consents,
        wishes=tuple(
            Wish(wish.category, wish.channel, _CHOICES[int(wish.value)])
            for wish in wire.preferences
            if int(wish.value) in _CHOICES
        ),
        locale=wire.locale,
        timezone=wire.timezone,
        attributes={key: _attribute(attribute) for key, attribute in sorted(wire.attributes.items())},
    )


def _attribute(value: profile_pb2.AttributeValue) -> str | int | float | bool | None:
    kind = value.WhichOneof("value")
    return None if kind is None else getattr(value, kind)


def feedback(finding: Finding) -> bytes:
    """Write what is known of a send."""
    sent, outcome = finding.send, finding.outcome
    return feedback_pb2.Feedback(
        tenant=sent.tenant,
        customer=sent.customer,
        send_id=sent.send_id,
        decision_id=sent.decision_id,
        source=sent.source,
        event_id=sent.event_id,
        rule=sent.rule,
        channel=sent.channel,
        step=sent.step,
        provider=finding.provider,
        outcome=feedback_pb2.DeliveryOutcome.ValueType(outcome.kind),
        hard=outcome.hard,
        reason=f"{outcome.reason} {outcome.code}".strip(),
        time_us=finding.time,
        parked=finding.parked,
        attempt=finding.attempt,
    ).SerializeToString(deterministic=True)


def context(sent: Send, customer: Recipient, event: bytes) -> Mapping[str, Any]:
    """Return what templates see: `event`, `data`, `customer`; raise UnreadableError for data that is not JSON."""
    wire = event_pb2.Event.FromString(event)
    try:
        data = msgspec.json.decode(wire.data) if wire.data else {}
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise UnreadableError("data is not JSON") from None
    shown: dict[str, Any] = MessageToDict(wire, preserving_proto_field_name=True)
    return {
        "event": {
            "id": wire.id,
            "source": wire.source,
            "type": wire.type,
            "subject": wire.subject,
            "time": shown.get("time", ""),
            "lifecycle": _word(event_pb2.Lifecycle.Name(wire.lifecycle), "LIFECYCLE_", "point"),
            "severity": _word(event_pb2.Severity.Name(wire.severity), "SEVERITY_", "info"),
            "sequence": wire.sequence if wire.HasField("sequence") else None,
            "tenant": wire.tenant,
        },
        "data": data,
        "customer": customer_context(sent, customer),
    }


def customer_context(sent: Send, customer: Recipient) -> Mapping[str, Any]:
    """Return what templates see of the customer."""
    return {
        "id": sent.customer,
        "locale": sent.locale,
        "timezone": sent.timezone,
        "attributes": customer.attributes,
    }


def _word(enum_name: str, prefix: str, unset: str) -> str:
    word = enum_name.removeprefix(prefix).lower()
    return unset if word == "unspecified" else word


def content_hash(content: bytes) -> bytes:
    """Return what the ledger remembers of a message's content."""
    return blake2b(content, digest_size=16).digest()
